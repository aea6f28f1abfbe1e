"""Language models in GGUF files of the Llama family, read tensor by tensor into the model that transformers has for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from wordsight.errors import ModelError
from wordsight.runtime import OnProgress, declare_torchvision_operators, no_progress

#: The architectures whose tensors have these names and this order of rotary halves.
ARCHITECTURES = ("llama",)
#: GGUF's names -> transformers' names; {} is the layer's number.
_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "blk.{}.attn_norm": "model.layers.{}.input_layernorm",
    "blk.{}.ffn_norm": "model.layers.{}.post_attention_layernorm",
    "blk.{}.attn_q": "model.layers.{}.self_attn.q_proj",
    "blk.{}.attn_k": "model.layers.{}.self_attn.k_proj",
    "blk.{}.attn_v": "model.layers.{}.self_attn.v_proj",
    "blk.{}.attn_output": "model.layers.{}.self_attn.o_proj",
    "blk.{}.ffn_gate": "model.layers.{}.mlp.gate_proj",
    "blk.{}.ffn_up": "model.layers.{}.mlp.up_proj",
    "blk.{}.ffn_down": "model.layers.{}.mlp.down_proj",
}


def read_gguf(path: Path, *, on_progress: OnProgress = no_progress) -> Any:
    """The model in a GGUF file, its weights in float32 whatever their quantisation there, equal to what transformers reads.

    ``on_progress`` gets the stage "reading FILE". Raises ModelError for other architectures, for tensors that the model does not have
    and for missing ones, and for what is no GGUF file.
    """
    declare_torchvision_operators()
    import gguf
    from transformers import LlamaConfig, LlamaForCausalLM

    try:
        reader = gguf.GGUFReader(path)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise ModelError(f"{path} cannot be read as a GGUF file ({error}). Copy or download it again.") from error
    about = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("tokenizer.ggml.tok")}
    if about.get("general.architecture") not in ARCHITECTURES:
        raise ModelError(
            f"{path} holds the architecture '{about.get('general.architecture')}', wanted {' or '.join(ARCHITECTURES)} (Llama, "
            "Mistral, SmolLM). For another, give the model's folder with safetensors weights, or its Hugging Face name."
        )
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    config = LlamaConfig(
        vocab_size=int(tensors["token_embd.weight"].shape[1]),
        hidden_size=about["llama.embedding_length"],
        intermediate_size=about["llama.feed_forward_length"],
        num_hidden_layers=about["llama.block_count"],
        num_attention_heads=about["llama.attention.head_count"],
        num_key_value_heads=about.get("llama.attention.head_count_kv", about["llama.attention.head_count"]),
        rms_norm_eps=about["llama.attention.layer_norm_rms_epsilon"],
        max_position_embeddings=about["llama.context_length"],
        rope_parameters={"rope_type": "default", "rope_theta": about.get("llama.rope.freq_base", 10000.0)},
        bos_token_id=about.get("tokenizer.ggml.bos_token_id"),
        eos_token_id=about.get("tokenizer.ggml.eos_token_id"),
        pad_token_id=about.get("tokenizer.ggml.padding_token_id"),
        tie_word_embeddings="output.weight" not in tensors,
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    weights = {}
    for done, (name, weight) in enumerate(_weights(tensors, config, path), start=1):
        weights[name] = weight
        on_progress(f"reading {path.name}", done, len(tensors))
    if config.tie_word_embeddings:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    if differ := sorted(model.state_dict().keys() ^ weights.keys()):
        raise ModelError(f"{path} and a Llama model of its sizes differ in {len(differ)} tensors (the first: {differ[0]}).")
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.model.rotary_emb = type(model.model.rotary_emb)(config)  # its frequencies are no weights, and were on no device
    return model.eval()


def _weights(tensors: dict[str, Any], config: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    import gguf

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for name, tensor in tensors.items():
        parts = name.split(".")
        number = parts[1] if parts[0] == "blk" else ""
        stem = ".".join(("blk", "{}", *parts[2:-1]) if number else parts[:-1])
        if stem not in _NAMES or parts[-1] not in ("weight", "bias"):
            raise ModelError(
                f"{path} has the tensor '{name}', which no Llama model has. Give the model as a folder of safetensors."
            )
        weight = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).copy()).float()
        own = heads.get(parts[-2])
        yield f"{_NAMES[stem].format(number)}.{parts[-1]}", weight if own is None else _rotary_order(weight, own)


def _rotary_order(weight: Tensor, heads: int) -> Tensor:
    """GGUF interleaves the two halves of each head's rotary dimensions; transformers has one after the other."""
    half = weight.shape[0] // heads // 2
    return weight.view(heads, half, 2, *weight.shape[1:]).transpose(1, 2).reshape(weight.shape)
