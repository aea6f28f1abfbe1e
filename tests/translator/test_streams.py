"""Training from WebDataset shards: what a folder and a caption file give, and nothing is done twice."""

import io
import json
import tarfile
from dataclasses import replace

import fsspec
import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm
from wordsight.errors import CaptionError
from wordsight.translator import streams
from wordsight.translator.optimisation import Settings
from wordsight.translator.streams import read_shards, store_shards, views_on_disk
from wordsight.translator.training import CaptionSource, train_translator

pytest.importorskip("webdataset", reason="webdataset is not installed: pip install 'wordsight[webdataset]'")


def png(i: int) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (9, 9), (200 + i, 10, 10) if i % 2 else (10, 10, 200 + i)).save(made, format="PNG")
    return made.getvalue()


def captions(i: int) -> list[str]:
    return ["a dog runs", "red dog"] if i % 2 else ["a cat sleeps"]


@pytest.fixture
def shards(tmp_path, cache):
    """40 captioned images in two shards, captions as text or JSON; one image is none, one sample has no caption."""
    for number in range(2):
        with tarfile.open(tmp_path / f"s-{number}.tar", "w") as tar:

            def add(name: str, content: bytes, tar=tar) -> None:
                about = tarfile.TarInfo(name)
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))

            for i in range(20 * number, 20 * number + 20):
                add(f"{i:02d}.png", png(i))
                text = "\n".join(captions(i)) if i % 3 else json.dumps({"captions": captions(i)})
                add(f"{i:02d}.{'txt' if i % 3 else 'json'}", text.encode())
            add(f"broken-{number}.png", b"no image")
            add(f"broken-{number}.txt", b"a dog")
            add(f"silent-{number}.png", png(0))
    return f"{tmp_path}/s-{{0..1}}.tar"


def trained(source: CaptionSource, **options):
    settings = replace(Settings(epochs=6, batch=4, learning_rate=0.01, hidden=16, prefix_tokens=2, dropout=0.1), **options)
    return train_translator([source], tiny_classifier(features=8), tiny_lm(), settings=settings, dev=0.1)


@pytest.mark.slow
def test_shards_train_as_a_folder_does(shards, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    rows = ["image,caption"]
    for i in range(40):
        (folder / f"{i:02d}.png").write_bytes(png(i))
        rows += [f"{i:02d}.png,{caption}" for caption in captions(i)]
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    by_folder, by_shards = trained(CaptionSource(tmp_path / "captions.csv", folder)), trained(CaptionSource(shards))
    assert by_shards.dev_losses == pytest.approx(by_folder.dev_losses, rel=1e-5)
    assert (by_shards.images, by_shards.dev_images) == (by_folder.images, by_folder.dev_images) == (36, 4)
    for name, value in by_folder.translator.state_dict().items():
        torch.testing.assert_close(by_shards.translator.state_dict()[name], value, rtol=1e-3, atol=1e-4)
    assert sorted(by_shards.failures) == ["broken-0", "broken-1"]


def test_a_shard_is_done_once(shards, tmp_path, monkeypatch):
    classifier, folder, seen = tiny_classifier(), tmp_path / "features", []
    store_shards(shards, classifier, folder, own=slice(0, None, 2))  # one of two processes
    monkeypatch.setattr(streams, "_samples", lambda address, of=streams._samples: seen.append(address[-7:]) or of(address))
    store_shards(shards, classifier, folder)
    assert seen == ["s-1.tar"]
    found = read_shards(shards, classifier, folder)
    assert [len(shard.names) for shard in found] == [20, 20]
    assert found[0].captions[:2] == [["a cat sleeps."], ["a dog runs.", "red dog."]]


def test_features_lie_on_disk_in_the_order_of_training(shards, tmp_path):
    classifier, folder = tiny_classifier(), tmp_path / "features"
    store_shards(shards, classifier, folder)
    found = read_shards(shards, classifier, folder)
    plain = views_on_disk(found, range(40), tmp_path / "plain")
    assert plain.shape == (40, 2, classifier.features)
    order = [*range(20, 40), *range(20)]
    assert torch.equal(views_on_disk(found, order, tmp_path / "other"), plain[order])
    assert (tmp_path / "other").stat().st_size == 4 * plain.numel()
    assert torch.equal(views_on_disk(found, order, tmp_path / "other"), plain[order])  # read, not made again


def test_shards_in_a_bucket(shards, tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe("/captions/s-0.tar", (tmp_path / "s-0.tar").read_bytes())
    store_shards("memory://captions/*.tar", tiny_classifier(), tmp_path / "features")
    (shard,) = read_shards("memory://captions/*.tar", tiny_classifier(), tmp_path / "features")
    assert len(shard.names) == 20
    memory.store.clear()


def test_what_is_no_shard(tmp_path, cache):
    classifier = tiny_classifier()
    with pytest.raises(
        CaptionError, match=r"The shards .*none\.tar cannot be listed \(FileNotFoundError: no file has this name\)"
    ):
        store_shards(str(tmp_path / "none.tar"), classifier, tmp_path)
    (tmp_path / "bad.tar").write_bytes(b"no shard " * 200)
    with pytest.raises(CaptionError, match=r"The shard .*bad\.tar cannot be read .* Wanted a \.tar file of WebDataset"):
        store_shards(str(tmp_path / "bad.tar"), classifier, tmp_path)
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    store_shards(str(tmp_path / "empty.tar"), classifier, tmp_path)
    with pytest.raises(CaptionError, match=r"None of the samples in the 1 shards of .*empty\.tar has an image and a caption"):
        read_shards(str(tmp_path / "empty.tar"), classifier, tmp_path)


def test_shards_and_folders_do_not_mix(tmp_path, cache):
    sources = [CaptionSource("a.tar"), CaptionSource("captions.csv", tmp_path)]
    with pytest.raises(CaptionError, match="1 of 2 sources of captions are shards, wanted all or none"):
        train_translator(sources, tiny_classifier(), tiny_lm())
