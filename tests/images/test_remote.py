"""Labelled images in buckets (fsspec's in-memory one), WebDataset shards and Parquet files."""

import io
import json
import pickle
import tarfile
from pathlib import Path

import fsspec
import pytest
from PIL import Image

from doubles import tiny_classifier
from wordsight.audits.observations import own_names
from wordsight.errors import ImageError, LabelError
from wordsight.features.extraction import extract_stored
from wordsight.images.files import read_image
from wordsight.images.labelled import read_labelled

COLOURS = {"red": (250, 0, 0), "green": (0, 250, 0), "blue": (0, 0, 250)}


def png(colour: tuple[int, int, int]) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(made, format="PNG")
    return made.getvalue()


def check(images, labels: list[str]) -> None:
    """The images are of the colours that their labels say, and have features as files have them."""
    assert images.labels == labels
    for path, label in zip(images.paths, images.labels, strict=True):
        assert read_image(path).getpixel((0, 0)) == COLOURS[label]
        again = pickle.loads(pickle.dumps(path))
        assert (again, again.open().read()) == (path, path.open().read())
    assert len(set(own_names(images.paths))) == len(images.paths)


@pytest.fixture
def bucket():
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield memory
    memory.store.clear()


def test_folders_of_a_bucket(bucket, tmp_path, cache):
    for label, colour in COLOURS.items():
        bucket.pipe(f"/set/{label}/1.png", png(colour))
    bucket.pipe("/set/red/notes.txt", b"no image")
    images = read_labelled("memory://set")
    check(images, ["blue", "green", "red"])
    assert images.source == "memory://set"
    found = extract_stored(tiny_classifier(), images.paths, tmp_path / "store")
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file, path in zip(files, images.paths, strict=True):
        file.write_bytes(path.open().read())
    assert found.digests == extract_stored(tiny_classifier(), files, tmp_path / "other").digests
    bucket.rm("/set/red/1.png")
    found = extract_stored(tiny_classifier(), images.paths, tmp_path / "third")
    assert found.readable == [0, 1]
    assert "memory:///set/red/1.png' cannot be opened (FileNotFoundError" in found.failures[2]


def test_splits_of_a_bucket(bucket):
    for split in ("train", "valid"):
        bucket.pipe(f"/set/{split}/red/1.png", png(COLOURS["red"]))
    images = read_labelled("memory://set")
    assert (images.labels, images.splits) == (["red", "red"], ["train", "val"])
    check(read_labelled("memory://set", split="val"), ["red"])


def shard(file: Path, samples: dict[str, dict[str, bytes]]) -> None:
    with tarfile.open(file, "w") as tar:
        for key, members in samples.items():
            for kind, content in members.items():
                about = tarfile.TarInfo(f"{key}.{kind}")
                about.size = len(content)
                tar.addfile(about, io.BytesIO(content))


def test_webdataset_shards(tmp_path):
    shard(tmp_path / "s-0.tar", {"a/0": {"png": png(COLOURS["red"]), "cls": b"red"}})
    about = json.dumps({"label": "blue", "group": "night"}).encode()
    shard(tmp_path / "s-1.tar", {"0": {"json": about, "png": png(COLOURS["blue"])}, "1": {"txt": b"no image"}})
    for source in (str(tmp_path / "s-{0..1}.tar"), f"file://{tmp_path}/s-*.tar"):
        images = read_labelled(source)
        check(images, ["red", "blue"])
        assert images.groups is None  # not every image has one
    one = read_labelled(tmp_path / "s-1.tar")
    assert (one.groups, one.paths[0].name) == (["night"], "0.png")


def test_parquet_of_images(tmp_path):
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(COLOURS))})
    rows = {"image": [{"bytes": png(colour), "path": None} for colour in COLOURS.values()], "label": [0, 1, 2]}
    datasets.Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "d.parquet")
    check(read_labelled(f"file://{tmp_path}/d.parquet"), ["red", "green", "blue"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("memory://nowhere", r"memory://nowhere cannot be read \(ValueError: 0 images are there, .*s3fs for s3://"),
        ("memory://no.tar", r"memory://no\.tar cannot be read \(FileNotFoundError: no file has this name\)"),
        ("nonsense://x/y", r"nonsense://x/y cannot be read \(ValueError: Protocol not known: nonsense"),
    ],
)
def test_what_cannot_be_read(source, message, bucket):
    with pytest.raises(LabelError, match=message):
        read_labelled(source)


def test_a_sample_without_label_is_named_and_the_rest_goes_on(tmp_path):
    red = {"png": png(COLOURS["red"])}
    shard(tmp_path / "s.tar", {"x": red, "y": red | {"cls": b"red"}})
    found = read_labelled(tmp_path / "s.tar")
    assert (found.labels, list(found.left_out.values())) == (["red"], ["it has no label; fill it in."])
    shard(tmp_path / "s.tar", {"x": red})
    with pytest.raises(
        LabelError, match=r"None of the 1 rows of .*\. The sample '/x' of .*s\.tar: it has no label; fill it in\."
    ):
        read_labelled(tmp_path / "s.tar")


def test_what_is_no_image_in_a_shard(tmp_path):
    shard(tmp_path / "s.tar", {"x": {"png": b"no image", "cls": b"red"}})
    with pytest.raises(ImageError, match=r"x\.png' is not an image that Pillow can read: it begins with b'no image'"):
        read_image(read_labelled(tmp_path / "s.tar").paths[0])
