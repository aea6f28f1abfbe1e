"""Language models in GGUF files, llama.cpp's format: their tensors are read straight into transformers' modules."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wordsight.errors import ModelError
from wordsight.runtime import OnProgress, declare_torchvision_operators, no_progress

#: Architectures that are read, as GGUF and transformers both call them.
FAMILIES = ("llama", "qwen2", "qwen3")
#: transformers' settings by GGUF's keys, which stand behind the architecture's name.
_SETTINGS = {
    "hidden_size": "embedding_length",
    "intermediate_size": "feed_forward_length",
    "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count",
    "num_key_value_heads": "attention.head_count_kv",
    "max_position_embeddings": "context_length",
    "rms_norm_eps": "attention.layer_norm_rms_epsilon",
}
_TOKENS = {"bos_token_id": "bos", "eos_token_id": "eos", "unk_token_id": "unknown", "pad_token_id": "padding"}


def read_gguf(file: Path, *, on_progress: OnProgress = no_progress) -> tuple[Any, Any]:
    """A GGUF file's model in float32 and its tokenizer; ``on_progress`` counts tensors.

    Raises ModelError for what is no such file, and for an architecture other than ``FAMILIES``.
    """
    declare_torchvision_operators()
    from gguf import GGUFReader
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, PreTrainedTokenizerFast
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        reader = GGUFReader(file)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise ModelError(f"Cannot read {file} as GGUF ({error}). Give --lm a whole .gguf file.") from error
    values = {name: field.contents() for name, field in reader.fields.items() if len(field.data) == 1}
    family = values.get("general.architecture")
    if family not in FAMILIES:
        raise ModelError(
            f"{file} holds a model of the architecture '{family}', wanted one of: {', '.join(FAMILIES)}. Give --lm the same model "
            "as a folder with safetensors weights, or its name on the Hugging Face hub."
        )
    config = AutoConfig.for_model(family, **_config(values, {tensor.name: tensor for tensor in reader.tensors}))
    kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    with torch.device("meta"):
        wanted = set(kind(config).state_dict()) - ({"lm_head.weight"} if config.tie_word_embeddings else set())
    weights = _weights(file, reader.tensors, config, wanted, on_progress)
    divisors = weights.pop(_ROPE_DIVISORS, None)
    model = kind.from_pretrained(None, config=config, state_dict=weights, dtype=torch.float32)
    if divisors is not None:  # long contexts of Llama 3: some positions turn slower
        model.model.rotary_emb.inv_freq.div_(divisors)
    return model, PreTrainedTokenizerFast.from_pretrained(str(file.parent), gguf_file=file.name)


def _config(values: dict[str, Any], tensors: dict[str, Any]) -> dict[str, Any]:
    """Settings of the file's model, as transformers names them."""
    family = values["general.architecture"]
    settings = {name: values[f"{family}.{key}"] for name, key in _SETTINGS.items() if f"{family}.{key}" in values}
    head = values.get(f"{family}.attention.key_length") or values.get(f"{family}.rope.dimension_count")
    tokens = {name: values.get(f"tokenizer.ggml.{key}_token_id") for name, key in _TOKENS.items()}
    return {
        **settings,
        **{name: token for name, token in tokens.items() if token is not None},
        "head_dim": head or settings["hidden_size"] // settings["num_attention_heads"],
        "rope_parameters": {"rope_type": "default", "rope_theta": values.get(f"{family}.rope.freq_base", 10000.0)},
        "vocab_size": len(tensors["token_embd.weight"].data),
        "tie_word_embeddings": "output.weight" not in tensors,
    }


#: What Llama 3's rotary frequencies are divided by; no weight of transformers' model.
_ROPE_DIVISORS = "rope_freqs.weight"


def _weights(file: Path, tensors: list[Any], config: Any, wanted: set[str], on_progress: OnProgress) -> dict[str, Tensor]:
    """The file's tensors in float32 by transformers' names; those in ``wanted``, and the divisors of the rotary frequencies."""
    from gguf import MODEL_ARCH, dequantize, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH[config.model_type.upper()], config.num_hidden_layers)
    name_of = {_ROPE_DIVISORS: _ROPE_DIVISORS}
    for name in wanted:
        module, _, kind = name.rpartition(".")
        name_of[f"{names.get_name(module)}.{kind}"] = name
    weights = {}
    for done, tensor in enumerate(tensors):
        on_progress(f"reading {file.name}", done, len(tensors))
        if tensor.name not in name_of:
            raise ModelError(
                f"{file} has the tensor '{tensor.name}', which transformers' {config.model_type} model has not. Give --lm the "
                "same model as a folder with safetensors weights."
            )
        weight = torch.from_numpy(np.require(dequantize(tensor.data, tensor.tensor_type), np.float32, "W"))
        if config.model_type == "llama" and (".attn_q." in tensor.name or ".attn_k." in tensor.name):
            weight = _rows_in_order(weight, config.head_dim)
        weights[name_of[tensor.name]] = weight.contiguous()
    on_progress(f"reading {file.name}", len(tensors), len(tensors))
    if missing := sorted(wanted - set(weights)):
        raise ModelError(
            f"{file} lacks {len(missing)} tensors of its model (first: '{missing[0]}'). Give --lm a whole .gguf file."
        )
    return weights


def _rows_in_order(weight: Tensor, size: int) -> Tensor:
    """llama.cpp's rotary embedding turns neighbouring rows of a head; transformers turns row i with row i + size / 2."""
    return weight.unflatten(0, (-1, size // 2, 2)).transpose(1, 2).flatten(0, 2)
