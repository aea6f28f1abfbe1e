"""Extraction and its store, with a classifier small enough to check by hand."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from doubles import TinyNet, prepare, tiny_classifier
from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.classifiers.registry import load_classifier
from wordsight.classifiers.timm_models import timm_classifier
from wordsight.errors import FeatureError, ModelError
from wordsight.features import extraction
from wordsight.features.extraction import extract, extract_stored
from wordsight.features.store import FeatureStore
from wordsight.images.files import read_image


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = []
    for i in range(5):
        image = Image.new("RGB", (16, 12), (40 * i, 100, 255 - 40 * i))
        image.paste((255, 255, 255), (0, 0, 4, 12))  # the left edge tells an image from its mirror image
        image.save(tmp_path / f"{i}.png")
        paths.append(tmp_path / f"{i}.png")
    return paths


def test_features_are_what_the_head_is_called_with(photographs):
    torch.manual_seed(0)
    net = TinyNet()
    classifier = make_classifier(net, head=net.head, transform=prepare, labels=["a", "b", "c"], name="net")
    z = extract(classifier, photographs).views
    pixels = torch.cat([prepare(Image.open(p)) for p in photographs])
    torch.testing.assert_close(z[:, 0], net.body(pixels.mean((2, 3))).relu())
    torch.testing.assert_close(classifier.probabilities(z[:, 0]), net(pixels).softmax(-1))
    assert not net.head._forward_pre_hooks  # no hook stays behind


def test_unreadable_pictures_are_named_and_the_rest_goes_on(photographs):
    photographs[1].write_bytes(b"")
    found = extract(tiny_classifier(), photographs, batch=2)
    assert found.readable == [0, 2, 3, 4]
    assert found.views.shape == (4, 1, 6)
    assert "1.png" in found.failures[1]


def test_features_that_are_not_finite_are_named(photographs):
    classifier = tiny_classifier()
    broken = Classifier(**{**vars(classifier), "backbone": lambda x: classifier.backbone(x).fill_(float("nan"))})
    found = extract(broken, photographs)
    assert found.readable == []
    assert "its features are not finite (NaN or infinite)" in found.failures[0]


def test_a_backbone_that_gives_maps_is_refused(photographs):
    classifier = tiny_classifier()
    broken = Classifier(**{**vars(classifier), "backbone": lambda x: x})
    with pytest.raises(FeatureError, match=r"gave features of shape \(5, 3, 8, 8\), wanted \(5, 6\)"):
        extract(broken, photographs)


def test_the_mirror_image_s_views_follow_the_picture_s(photographs):
    halves = lambda image: torch.cat([prepare(image)[:, :, :, :4].repeat(1, 1, 1, 2)])  # noqa: E731 (the left half only)
    torch.manual_seed(0)
    net = TinyNet()
    classifier = make_classifier(net, head=net.head, transform=halves, labels=["a", "b", "c"], name="net")
    views = extract(classifier, photographs, mirrored=True).views
    assert views.shape == (5, 2, 6)
    assert not torch.equal(views[:, 0], views[:, 1])
    torch.testing.assert_close(views[:, :1], extract(classifier, photographs).views)


@pytest.fixture
def extracted(monkeypatch) -> list[int]:
    """How many images each call of ``extract`` gets."""
    calls: list[int] = []
    real = extraction.extract
    monkeypatch.setattr(extraction, "extract", lambda c, p, **k: calls.append(len(p)) or real(c, p, **k))
    return calls


def test_the_store_gives_back_what_was_extracted(photographs, tmp_path, extracted):
    store, classifier = tmp_path / "store", tiny_classifier()
    plain = extract(classifier, photographs)
    for _ in range(2):
        found = extract_stored(classifier, photographs, store)
        assert torch.equal(found.views, plain.views)
        assert found.readable == [0, 1, 2, 3, 4]
        assert found.digests == [hashlib.sha256(path.read_bytes()).hexdigest() for path in photographs]
    assert extracted == [5]
    mirrored = extract_stored(classifier, photographs, store, mirrored=True)
    assert mirrored.views.shape == (5, 2, 6)
    assert extracted == [5, 5]


def test_one_image_more_costs_one_image_and_identical_images_cost_one(photographs, tmp_path, extracted):
    store, classifier = tmp_path / "store", tiny_classifier()
    extract_stored(classifier, photographs[1:4], store)
    copies = [tmp_path / "copy.png", tmp_path / "again.png"]
    for copy in copies:
        copy.write_bytes(photographs[0].read_bytes())
    found = extract_stored(classifier, [copies[0], *photographs, copies[1]], store)
    assert extracted == [3, 2]  # the first image, which is there three times, and the last
    assert torch.equal(found.views[0], found.views[1])
    assert torch.equal(found.views[6], found.views[1])
    assert torch.equal(found.views[1:6], extract(classifier, photographs).views)


def test_an_interrupted_extraction_goes_on(photographs, tmp_path, extracted, monkeypatch):
    store, classifier = tmp_path / "store", tiny_classifier()
    monkeypatch.setattr(extraction, "_WRITE_EVERY", 2)

    def stop(done: int, total: int) -> None:
        if done > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_stored(classifier, photographs, store, on_images=stop)
    extracted.clear()
    assert extract_stored(classifier, photographs, store).readable == [0, 1, 2, 3, 4]
    assert extracted == [2, 1]


def test_a_failure_is_tried_again(photographs, tmp_path):
    store, whole = tmp_path / "store", photographs[2].read_bytes()
    photographs[2].write_bytes(whole[:50])
    missing = tmp_path / "missing.png"
    found = extract_stored(tiny_classifier(), [*photographs, missing], store)
    assert found.readable == [0, 1, 3, 4]
    assert "2.png' cannot be decoded" in found.failures[2]
    assert "missing.png' does not exist" in found.failures[5]
    photographs[2].write_bytes(whole)
    assert extract_stored(tiny_classifier(), photographs, store).readable == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("damage", [b"no database at all, but long enough to be taken for one" * 40, b""])
def test_a_damaged_store_is_made_anew(photographs, tmp_path, damage, caplog):
    store, classifier = tmp_path / "store", tiny_classifier()
    first = extract_stored(classifier, photographs, store).views
    for file in store.iterdir():
        file.write_bytes(damage)
    assert torch.equal(extract_stored(classifier, photographs, store).views, first)
    assert torch.equal(extract_stored(classifier, photographs, store).views, first)
    assert ("is damaged" in caplog.text) == bool(damage)


def test_a_store_that_cannot_be_written_costs_no_result(photographs, tmp_path, caplog):
    (tmp_path / "store").write_text("a file where the folder should be")
    found = extract_stored(tiny_classifier(), photographs, tmp_path / "store")
    assert found.readable == [0, 1, 2, 3, 4]
    assert "features cannot be written to" in caplog.text


def test_a_disk_that_fills_up_costs_no_result(photographs, tmp_path, caplog):
    with FeatureStore(tmp_path, "key") as store:
        store._connection.execute("PRAGMA max_page_count = 2")  # SQLite's own "database or disk is full"
        store.write({f"{i}": torch.zeros(4, 1000) for i in range(10)})
        assert "features cannot be written to" in caplog.text
        assert store.read(["0"]) == {}


def test_two_processes_may_share_a_store(tmp_path):
    with FeatureStore(tmp_path, "key") as first, FeatureStore(tmp_path, "key") as second:
        first.write({"a": torch.ones(1, 3)})
        second.write({"b": torch.zeros(1, 3)})
        assert set(first.read(["a", "b", "c"])) == set(second.read(["a", "b", "c"])) == {"a", "b"}


def test_another_classifier_or_a_changed_file_is_extracted_anew(photographs, tmp_path):
    store = tmp_path / "store"
    first = extract_stored(tiny_classifier(), photographs, store).views
    assert not torch.equal(extract_stored(tiny_classifier(seed=1), photographs, store).views, first)
    Image.new("RGB", (30, 30), "red").save(photographs[0])
    changed = extract_stored(tiny_classifier(), photographs, store).views
    assert not torch.equal(changed[0], first[0])
    assert torch.equal(changed[1:], first[1:])


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_timm_models_with_weights_of_one_s_own(name, tmp_path):
    import timm
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, num_classes=4)
    save_file(model.state_dict(), tmp_path / "own.safetensors")
    classifier = load_classifier(f"timm:{name}@{tmp_path / 'own.safetensors'}")
    image = Image.new("RGB", (250, 240), "orange")
    z = extract(classifier, [image]).views[:, 0]
    pixels = classifier.prepare(image)
    torch.testing.assert_close(classifier.probabilities(z), model.eval()(pixels).softmax(-1), rtol=1e-3, atol=1e-4)
    assert classifier.labels == ("class 0", "class 1", "class 2", "class 3")
    with pytest.raises(ModelError, match=r"Cannot load 'timm:resnet34' from .*own\.safetensors"):
        timm_classifier("resnet34", weights=tmp_path / "own.safetensors")


def test_long_strips_are_cut_to_their_middle_first():
    seen = []
    classifier = tiny_classifier()
    watching = Classifier(**{**vars(classifier), "prepare": lambda image: seen.append(image.size) or prepare(image)})
    extract(watching, [Image.new("RGB", (1, 5000)), Image.new("RGB", (5000, 2)), Image.new("RGB", (1, 1))])
    assert sorted(seen) == [(1, 1), (1, 8), (16, 2)]


def as_large_as_the_image(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)


def test_a_transform_that_keeps_sizes_is_run_one_by_one():
    torch.manual_seed(0)
    classifier = make_classifier(TinyNet(), transform=as_large_as_the_image)
    images = [Image.new("RGB", size, "orange") for size in ((9, 9), (20, 10), (9, 9))]
    found = extract(classifier, images)
    assert found.readable == [0, 1, 2]
    torch.testing.assert_close(found.views[1], found.views[0])


def test_images_with_another_number_of_views_are_named(tmp_path):
    def two_of_wide_ones(image: Image.Image) -> torch.Tensor:
        view = as_large_as_the_image(image.resize((8, 8)))
        return torch.stack([view] * (2 if image.width > image.height else 1))

    classifier = make_classifier(TinyNet(), transform=two_of_wide_ones)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, size in zip(paths, ((9, 9), (20, 10), (9, 10)), strict=True):
        Image.new("RGB", size, "orange").save(path)
    for found in (extract(classifier, paths), extract_stored(classifier, paths, tmp_path / "store")):
        assert (found.readable, list(found.views.shape)) == ([0, 2], [2, 1, 6])
        assert found.failures == {1: "the transform made 2 views of it, and 1 of most images; wanted equally many of each"}


def test_threads_may_share_a_classifier(photographs):
    classifier = tiny_classifier()
    images = [read_image(path) for path in photographs[:2]] * 8
    alone = extract(classifier, images, batch=1).views
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: extract(classifier, images, batch=1).views, range(8)))
    for views in made:
        torch.testing.assert_close(views, alone)
