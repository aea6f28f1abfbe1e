"""A translator for a second classifier, from unlabelled images."""

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.commands.transfer import caption_agreement
from wordsight.errors import FeatureError, TranslatorError
from wordsight.explain import Explainer
from wordsight.runtime import no_progress
from wordsight.sentences.sampling import Sampling
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.transfer import transfer_translator


@pytest.fixture
def images(tmp_path, cache):
    """Images of one colour each."""
    colours = torch.randint(0, 256, (60, 3), generator=torch.Generator().manual_seed(0)).tolist()
    for i, colour in enumerate(colours):
        Image.new("RGB", (9, 9), tuple(colour)).save(tmp_path / f"{i:02}.png")
    return sorted(tmp_path.glob("*.png"))


def test_a_transferred_translator_explains_the_new_classifier(images, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=32), tiny_lm(sharpness=2.0)
    translator, card = tiny_translator(old, lm)
    out = tmp_path / "new.safetensors"
    made = transfer_translator((translator, card), old, new, images)
    made.save(out)
    assert (made.images, made.failures) == (60, {})
    assert made.r2 > 0.9
    again, new_card = load_translator(out)
    assert again.reference.shape == (60, 32)  # of the new classifier's features
    assert (new_card.classifier, new_card.features, new_card.figures["r2_held_out"]) == ("tiny", 32, made.r2)
    assert "transferred from the translator for 'tiny'" in str(new_card.data["about"])
    before, after = Explainer(old, lm=lm, translator=(translator, card)), Explainer(new, lm=lm, translator=(again, new_card))
    for one, other in zip(*(e.explain(images[:3], Sampling(sentences=300)) for e in (before, after)), strict=True):
        assert other.words == pytest.approx(one.words, abs=0.1)
    people = {images[0].name: ["a dog runs", "a cat"]}
    assert caption_agreement(after, images[:1], people, sentences=50, on_progress=no_progress).images == 1


def test_unreadable_images_are_named_and_too_few_refused(images, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=8), tiny_lm()
    pair = tiny_translator(old, lm)
    images[3].write_bytes(b"")
    made = transfer_translator(pair, old, new, images)
    assert made.images == 59
    assert list(made.failures) == ["03.png"]
    with pytest.raises(FeatureError, match="4 of 5 images have features of both classifiers, wanted at least 10"):
        transfer_translator(pair, old, new, images[:5])


def test_a_translator_of_another_classifier_is_refused(images, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=8), tiny_lm()
    with pytest.raises(TranslatorError, match="The translator was made for the classifier 'tiny'"):
        transfer_translator(tiny_translator(new, lm), old, new, images)
