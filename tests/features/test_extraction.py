"""Extraction and its store, with a classifier small enough to check by hand."""

from pathlib import Path

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


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    paths = []
    for i in range(5):
        image = Image.new("RGB", (16, 12), (40 * i, 100, 255 - 40 * i))
        image.paste((255, 255, 255), (0, 0, 4, 12))  # the left edge tells a picture from its mirror image
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
    assert found.kept == [0, 2, 3, 4]
    assert found.views.shape == (4, 1, 6)
    assert "1.png" in found.failures[1]


def test_features_that_are_not_finite_are_named(photographs):
    classifier = tiny_classifier()
    broken = Classifier(**{**vars(classifier), "backbone": lambda x: classifier.backbone(x).fill_(float("nan"))})
    found = extract(broken, photographs)
    assert found.kept == []
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


def test_the_store_reads_what_it_wrote_and_goes_on_where_it_was_cut(photographs, tmp_path, monkeypatch):
    store, classifier = tmp_path / "store", tiny_classifier()
    plain = extract(classifier, photographs)
    calls = []
    real = extraction.extract
    monkeypatch.setattr(extraction, "extract", lambda c, p, **k: calls.append(len(p)) or real(c, p, **k))
    assert torch.equal(extract_stored(classifier, photographs, store, part=2).views, plain.views)
    assert calls == [2, 2, 1]
    assert torch.equal(extract_stored(classifier, photographs, store, part=2).views, plain.views)
    assert calls == [2, 2, 1]
    next(store.iterdir()).unlink()  # as if it had been cut before this part
    extract_stored(classifier, photographs, store, part=2)
    assert len(calls) == 4


def test_another_classifier_or_a_changed_file_is_extracted_anew(photographs, tmp_path):
    store = tmp_path / "store"
    first = extract_stored(tiny_classifier(), photographs, store).views
    assert not torch.equal(extract_stored(tiny_classifier(seed=1), photographs, store).views, first)
    Image.new("RGB", (30, 30), "red").save(photographs[0])
    changed = extract_stored(tiny_classifier(), photographs, store).views
    assert not torch.equal(changed[0], first[0])
    assert torch.equal(changed[1:], first[1:])


def test_an_own_classifier_by_import_path():
    assert load_classifier("doubles:tiny_classifier").name == "doubles:tiny_classifier"
    with pytest.raises(ModelError, match=r"'doubles:prepare_nothing': .* Wanted 'package.module:function'"):
        load_classifier("doubles:prepare_nothing")
    with pytest.raises(ModelError, match="returned LanguageModel, wanted a wordsight Classifier"):
        load_classifier("doubles:tiny_lm")


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ModelError, match=r"Unknown classifier 'timm:resnt50'. Did you mean 'timm:resnet50'\?"):
        load_classifier("timm:resnt50")
    with pytest.raises(ModelError, match=r"Unknown classifier 'resnet50'\. Wanted 'starter', 'timm:NAME'"):
        load_classifier("resnet50")


def test_labels_must_fit_the_head():
    torch.manual_seed(0)
    net = TinyNet()
    with pytest.raises(ModelError, match="'net' has 3 classes but 2 labels came"):
        make_classifier(net, head=net.head, transform=prepare, labels=["a", "b"], name="net")


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
