import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import TranslatorError
from wordsight.explain import Explainer
from wordsight.translator.checkpoint import load_translator, save_translator, translator_fingerprint


@pytest.fixture
def saved(tmp_path):
    translator, card = tiny_translator(tiny_classifier(), tiny_lm())
    save_translator(tmp_path / "t.safetensors", translator, card)
    return tmp_path / "t.safetensors"


def test_a_saved_translator_comes_back_with_its_card(saved):
    translator, card = load_translator(saved)
    original, original_card = tiny_translator(tiny_classifier(), tiny_lm())
    assert card == original_card
    assert translator_fingerprint(translator) == translator_fingerprint(original)
    z = torch.randn(3, 6)
    torch.testing.assert_close(translator(z), original(z), rtol=1e-2, atol=1e-2)  # stored in half precision


def test_usual_features_come_back_and_are_no_part_of_the_fingerprint(saved, tmp_path):
    translator, card = load_translator(saved)  # as before there were any
    assert translator.reference.shape == (0, 6)
    before = translator_fingerprint(translator)
    translator.reference = torch.arange(12.0).view(2, 6)
    save_translator(tmp_path / "u.safetensors", translator, card)
    again, _ = load_translator(tmp_path / "u.safetensors")
    assert torch.equal(again.reference, translator.reference)
    assert translator_fingerprint(again) == before


def test_all_metadata_is_inside_the_file(saved):
    with safe_open(saved, "pt") as file:
        text = file.metadata()["wordsight"]
    for field in ("classifier", "features", "language_model", "fingerprint", "prefix_tokens", "data", "seed", "version"):
        assert field in text


def test_a_missing_file(tmp_path):
    with pytest.raises(TranslatorError, match=r"There is no translator file .*none\.safetensors\. Give --translator"):
        load_translator(tmp_path / "none.safetensors")


def test_foreign_files(tmp_path):
    text = tmp_path / "text.safetensors"
    text.write_text("not tensors")
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    for path in (text, foreign):
        with pytest.raises(TranslatorError, match=rf"{path.name} is not a wordsight translator .*wordsight train"):
            load_translator(path)


def test_another_classifier_or_language_model_is_refused():
    classifier, lm = tiny_classifier(), tiny_lm()
    pair = tiny_translator(classifier, lm)
    Explainer(classifier, lm=lm, translator=pair)
    other = tiny_classifier(seed=1)
    with pytest.raises(TranslatorError, match=r"made for the classifier 'tiny' \(6 features, weights \w+\), but came with"):
        Explainer(other, lm=lm, translator=pair)
    with pytest.raises(TranslatorError, match=r"came with 'tiny' \(5 features"):
        Explainer(tiny_classifier(features=5), lm=lm, translator=pair)
    with pytest.raises(TranslatorError, match=r"made for the language model 'tiny-lm' \(hidden size 16, weights"):
        Explainer(classifier, lm=tiny_lm(seed=1), translator=pair)
