"""A translator for a second classifier, from unlabelled pictures."""

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.commands.train import caption_agreement
from wordsight.errors import FeatureError, TranslatorError
from wordsight.explain import Explainer
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.transfer import transfer_translator


@pytest.fixture
def pictures(tmp_path, cache):
    """Pictures of one colour each."""
    colours = torch.randint(0, 256, (60, 3), generator=torch.Generator().manual_seed(0)).tolist()
    for i, colour in enumerate(colours):
        Image.new("RGB", (9, 9), tuple(colour)).save(tmp_path / f"{i:02}.png")
    return sorted(tmp_path.glob("*.png"))


def test_a_transferred_translator_explains_the_new_classifier(pictures, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=32), tiny_lm(sharpness=2.0)
    translator, card = tiny_translator(old, lm)
    out = tmp_path / "new.safetensors"
    made = transfer_translator(translator, card, old, new, lm, pictures, out)
    assert (made.images, made.failures) == (60, {})
    assert made.r2 > 0.9
    again, new_card = load_translator(out)
    assert (new_card.classifier, new_card.features, new_card.figures["r2_held_out"]) == ("tiny", 32, made.r2)
    assert "transferred from the translator for 'tiny'" in str(new_card.data["about"])
    before, after = Explainer(old, lm, translator, card), Explainer(new, lm, again, new_card)
    for one, other in zip(*(e.explain(pictures[:3], sentences=300) for e in (before, after)), strict=True):
        assert other.words == pytest.approx(one.words, abs=0.1)
    people = {pictures[0].name: ["a dog runs", "a cat"]}
    assert caption_agreement(after, pictures[:1], people, sentences=50).images == 1


def test_unreadable_pictures_are_named_and_too_few_refused(pictures, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=8), tiny_lm()
    pair = tiny_translator(old, lm)
    pictures[3].write_bytes(b"")
    made = transfer_translator(*pair, old, new, lm, pictures, tmp_path / "new.safetensors")
    assert made.images == 59
    assert list(made.failures) == ["03.png"]
    with pytest.raises(FeatureError, match="4 of 5 images have features of both classifiers, wanted at least 10"):
        transfer_translator(*pair, old, new, lm, pictures[:5], tmp_path / "new.safetensors")


def test_a_translator_of_another_classifier_is_refused(pictures, tmp_path):
    old, new, lm = tiny_classifier(features=8), tiny_classifier(seed=1, features=8), tiny_lm()
    with pytest.raises(TranslatorError, match="The translator was made for the classifier 'tiny'"):
        transfer_translator(*tiny_translator(new, lm), old, new, lm, pictures, tmp_path / "new.safetensors")
