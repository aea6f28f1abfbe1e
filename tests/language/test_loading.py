"""Language models from folders: each kind as it was saved, and refusals that say what to do."""

from pathlib import Path

import pytest
import torch

from doubles import FAMILIES, tiny_family, tiny_lm, tiny_tokenizer
from wordsight.errors import ModelError
from wordsight.language import loading
from wordsight.language.cross_attention import CrossAttentionLM
from wordsight.language.loading import load_language_model

#: BERT as it was meant.
ENCODER = FAMILIES["bert"] | {"is_decoder": False, "add_cross_attention": False, "vocab_size": 9}


def saved(model, folder, **tokenizer):
    model.save_pretrained(folder)
    made = tiny_tokenizer()
    for name, value in tokenizer.items():
        setattr(made, name, value)
    made.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_loaded_as_it_was_saved(family, tmp_path):
    lm = tiny_family(family)
    loaded = load_language_model(saved(lm.model, tmp_path))
    assert type(loaded) is type(lm)
    assert loaded.fingerprint == lm.fingerprint
    prefix = torch.randn(2, 3, lm.hidden)
    for expected, found in zip(heads(lm, prefix), heads(loaded, prefix), strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of what is mapped")
def test_the_file_is_read_not_mapped_in_float32(tmp_path):
    """Blocks replace weights one by one; those of a mapped file would stay until the last one is gone."""
    folder = saved(tiny_lm().model, tmp_path)
    mapped, maps = loading._from_transformers(str(folder), "cpu", {}), Path("/proc/self/maps")
    assert str(folder) in maps.read_text()  # the test sees it
    del mapped
    lm = load_language_model(folder)
    assert lm.dtype == torch.float32
    assert str(folder) not in maps.read_text()


def heads(lm, prefix) -> list[torch.Tensor]:
    state, first = lm.start(prefix, capacity=2, room=8)
    return [lm.logits(first), lm.logits(lm.step(state, torch.tensor([1, 2])))]


def test_of_a_joined_encoder_and_decoder_the_decoder_is_asked(tmp_path):
    from transformers import AutoConfig, BertModel, EncoderDecoderModel

    lm = tiny_family("bert")
    encoder = BertModel(AutoConfig.for_model("bert", **ENCODER))
    joined = EncoderDecoderModel(encoder=encoder, decoder=lm.model)
    loaded = load_language_model(saved(joined, tmp_path))
    assert isinstance(loaded, CrossAttentionLM)
    prefix = torch.randn(2, 3, lm.hidden)
    for expected, found in zip(heads(lm, prefix), heads(loaded, prefix), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_model_that_fills_gaps_is_refused(tmp_path):
    from transformers import AutoConfig, BertForMaskedLM

    config = AutoConfig.for_model("bert", **ENCODER)
    saved(BertForMaskedLM(config), tmp_path)
    with pytest.raises(
        ModelError, match=r"it is a bert model that fills gaps, wanted one that goes on with a text\. Give --lm a"
    ):
        load_language_model(tmp_path)


def test_cross_attention_that_was_never_trained_is_refused(tmp_path):
    from transformers import AutoConfig, BertLMHeadModel

    saved(tiny_family("bert").model, tmp_path)
    plain = AutoConfig.for_model("bert", **FAMILIES["bert"] | {"add_cross_attention": False}, vocab_size=9)
    saved(BertLMHeadModel(plain), tmp_path)
    AutoConfig.for_model("bert", **FAMILIES["bert"], vocab_size=9, architectures=["BertLMHeadModel"]).save_pretrained(tmp_path)
    with pytest.raises(
        ModelError, match=r"its file lacks \d+ of its weights \(first: bert\.encoder\.layer\.0\.crossattention\."
    ):
        load_language_model(tmp_path)


def test_texts_must_be_able_to_end_and_bert_s_end_with_a_separator(tmp_path):
    lm = tiny_lm()
    saved(lm.model, tmp_path / "endless", eos_token=None)
    with pytest.raises(
        ModelError, match=r"has no end-of-text token; sentences could not end\. Choose one whose tokenizer defines"
    ):
        load_language_model(tmp_path / "endless")
    saved(lm.model, tmp_path / "bert", eos_token=None, sep_token="ball")
    assert load_language_model(tmp_path / "bert").encode("a dog") == [1, 2, 7]


def test_four_bits_want_bitsandbytes_and_a_gpu(tmp_path, monkeypatch):
    name = f"{saved(tiny_lm().model, tmp_path)}@4bit"
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match=r"wants bitsandbytes, and that is not installed\. Install it \(pip install bitsand"):
        load_language_model(name)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    with pytest.raises(ModelError, match=r"want a GPU, and the device is 'cpu'\. Give --device cuda, or --lm .* without @4bit"):
        load_language_model(name)


def test_four_bits_are_asked_of_transformers_and_the_model_is_not_moved(tmp_path, monkeypatch):
    """Stands in for a GPU with bitsandbytes: what is passed on."""
    lm, asked = tiny_lm(), {}
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: object())
    monkeypatch.setattr("transformers.BitsAndBytesConfig", lambda **settings: settings)
    monkeypatch.setattr(
        loading,
        "_from_transformers",
        lambda name, device, options, **_: asked.update(name=name, **options) or (lm.model, lm.tokenizer),
    )
    monkeypatch.setattr(lm.model, "to", None)  # transformers refuses to move what has 4 bits
    loaded = load_language_model("some/model@4bit", dtype=torch.bfloat16, device="cuda:0")
    settings = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.bfloat16}
    assert asked == {
        "name": "some/model",
        "quantization_config": settings,
        "device_map": {"": "cuda:0"},
        "dtype": torch.bfloat16,
    }
    assert loaded.name == "some/model@4bit"
