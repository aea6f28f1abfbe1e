"""The bundle: which translator a classifier gets, made once and kept."""

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight import models
from wordsight.errors import FeatureError, TranslatorError
from wordsight.explain import Explainer
from wordsight.models import own_translator


@pytest.fixture
def starter(monkeypatch, cache):
    """A tiny starter: its classifier, its language model and its translator."""
    classifier, lm = tiny_classifier(), tiny_lm()
    pair = tiny_translator(classifier, lm)
    monkeypatch.setattr(models, "starter_translator", lambda: pair)
    monkeypatch.setattr(models, "load_classifier", lambda spec, **_: classifier)
    return classifier, lm, pair


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    colours = torch.randint(0, 256, (20, 3), generator=torch.Generator().manual_seed(0)).tolist()
    for i, colour in enumerate(colours):
        Image.new("RGB", (9, 9), tuple(colour)).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture
def transfers(monkeypatch):
    """The number of images of each transfer."""
    calls: list[int] = []
    real = models.transfer_translator
    monkeypatch.setattr(models, "transfer_translator", lambda *a, **k: calls.append(len(a[3])) or real(*a, **k))
    return calls


def test_the_starter_s_classifier_has_the_starter_s_translator(starter):
    classifier, lm, pair = starter
    assert own_translator(classifier, lm) is not None
    assert own_translator(classifier, lm)[1] == pair[1]


def test_another_classifier_without_images_is_told_what_to_give(starter):
    _, lm, _ = starter
    with pytest.raises(TranslatorError) as caught:
        own_translator(tiny_classifier(seed=1), lm)
    message = str(caught.value)
    assert message.startswith("The classifier 'tiny' has no translator yet. It is made from photographs of the kind that you")
    assert "wordsight explain photo.jpg --classifier CLASSIFIER --images photographs/" in message
    assert 'Explainer(classifier, images="photographs/")' in message


def test_with_images_it_is_made_once_and_kept(starter, images, transfers):
    _, lm, _ = starter
    other = tiny_classifier(seed=1, features=8)
    translator, card = own_translator(other, lm, images)
    assert (card.classifier_fingerprint, card.features, transfers) == (other.fingerprint, 8, [20])
    again, same = own_translator(other, lm, images)  # the same images: read
    assert transfers == [20]
    assert same == card
    for name, value in again.state_dict().items():
        torch.testing.assert_close(value, translator.state_dict()[name], atol=1e-3, rtol=1e-3)  # half precision lies between
    assert own_translator(other, lm)[1] == card  # no images: the one that is there
    assert own_translator(other, lm, [str(images / f"{i:02}.png") for i in range(15)])[1].data["images"] == 15
    assert transfers == [20, 15]
    third = tiny_classifier(seed=2)
    own_translator(third, lm, [Image.open(path) for path in sorted(images.iterdir())])
    assert transfers == [20, 15, 20]


def test_too_few_images_and_another_language_model_are_refused(starter, images):
    _, lm, _ = starter
    with pytest.raises(FeatureError, match="3 of 3 images have features of both classifiers, wanted at least 10"):
        own_translator(tiny_classifier(seed=1), lm, [images / f"{i:02}.png" for i in range(3)])
    with pytest.raises(TranslatorError, match=r"There is no translator for the language model 'tiny-lm'.* Train one with"):
        own_translator(tiny_classifier(), tiny_lm(seed=1))


def test_a_cache_that_cannot_be_written_costs_no_result(starter, images, cache, caplog):
    cache.mkdir(exist_ok=True)
    (cache / "translators").write_text("a file where a folder should be")
    _, lm, _ = starter
    assert own_translator(tiny_classifier(seed=1), lm, images)[1].classifier == "tiny"
    assert "the translator cannot be written" in caplog.text


def test_an_explainer_of_another_classifier_in_one_call(starter, images):
    _, lm, _ = starter
    explainer = Explainer(tiny_classifier(seed=1), images=images, lm=lm)
    assert explainer.models.card.data["images"] == 20
    assert explainer.explain(images / "00.png")[0].words
