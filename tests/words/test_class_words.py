"""Words of classes, on a tiny classifier with a word head; the command prints them."""

import json

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import ImageError, TranslatorError
from wordsight.explain import Explainer
from wordsight.translator.word_head import WordHead


@pytest.fixture
def images(tmp_path, cache):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(110):
        Image.new("RGB", (16, 16), (2 * i, (37 * i) % 256, (91 * i) % 256)).save(folder / f"{i:03}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def explainer(*, head: bool = True) -> Explainer:
    classifier, lm = tiny_classifier(), tiny_lm()
    translator, card = tiny_translator(classifier, lm)
    if head:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            translator.words = WordHead(classifier.features, ["cat", "dog", "sky"], hidden=8, rank=8)
    return Explainer(classifier, translator=(translator, card), lm=lm)


def test_every_class_has_its_clear_words_and_failures_are_named(images):
    found = explainer().classes(images)
    assert [of.label for of in found.classes] == list(tiny_classifier().labels)
    assert found.images == 110
    assert [path.rsplit("/", 1)[-1] for path in found.failures] == ["broken.png"]
    for of in found.classes:
        assert all(word.low > 0 or word.high < 0 for word in of.words)
        sizes = [abs(word.reliance) for word in of.words]
        assert sizes == sorted(sizes, reverse=True)
    assert len(json.loads(found.to_json())["classes"]) == len(found.classes)
    assert list(found.to_dataframe().columns) == ["label", "word", "reliance", "low", "high"]


def test_a_translator_without_a_word_head_is_refused(images):
    with pytest.raises(TranslatorError, match="has no word head, wanted one: the words of classes come from it"):
        explainer(head=False).classes(images)


def test_too_few_images_are_refused(images):
    with pytest.raises(ImageError, match=r"1 of 2 images can be read, wanted at least 100 .*broken\.png"):
        explainer().classes([images / "000.png", images / "broken.png"])
