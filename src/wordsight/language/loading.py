"""Language models by name: from a folder, a GGUF file or the Hugging Face hub."""

from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open

from wordsight.errors import ModelError
from wordsight.language.gguf import read_gguf
from wordsight.language.model import LanguageModel, end_of_text
from wordsight.runtime import OnProgress, declare_torchvision_operators, no_progress
from wordsight.tensors import weights_fingerprint

#: Behind a model's name: its weights in 4 bits (bitsandbytes), on a GPU.
FOUR_BIT = "@4bit"


def load_language_model(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    shown_name: str | None = None,
    fingerprint: str | None = None,
    on_progress: OnProgress = no_progress,
) -> LanguageModel:
    """Load a language model from a folder, a GGUF file or by its Hugging Face name; folders hold safetensors.

    ``NAME@4bit`` holds the weights in 4 bits, and is another model than ``NAME``: it needs a translator of its own.
    ``fingerprint`` is that of the original weights where ``name`` holds a copy in another precision.

    Raises ModelError if there is no such model, if it cannot continue a prefix or if its texts cannot end.
    """
    four_bit = str(name).endswith(FOUR_BIT)
    if str(name).lower().endswith(".gguf"):
        model, tokenizer = read_gguf(Path(name), on_progress=on_progress)
        if str(device) == "cpu":
            model.set_attn_implementation("eager")
    else:
        options = _in_four_bits(str(name), dtype, device) if four_bit else {}
        in_memory = dtype == torch.float32 and str(device) == "cpu"
        model, tokenizer = _from_transformers(str(name).removesuffix(FOUR_BIT), device, options, in_memory=in_memory)
    if end_of_text(tokenizer) is None:
        raise ModelError(
            f"The language model '{name}' has no end-of-text token; sentences could not end. Choose one whose tokenizer "
            "defines eos_token."
        )
    fingerprint = fingerprint or weights_fingerprint(model.state_dict())
    model = (model if four_bit else model.to(device=device, dtype=dtype)).eval().requires_grad_(False)
    return _kind(model)(shown_name or str(name), lambda: (model, tokenizer), fingerprint)


def _kind(model: Any) -> type[LanguageModel]:
    from wordsight.language.causal import CausalLM
    from wordsight.language.cross_attention import CrossAttentionLM

    crossed = model.config.is_encoder_decoder or getattr(model.config, "add_cross_attention", False)
    return CrossAttentionLM if crossed else CausalLM


def _in_four_bits(name: str, dtype: torch.dtype, device: str) -> dict[str, Any]:
    """Options for transformers that load a model's weights in 4 bits, computing in ``dtype``."""
    from importlib.util import find_spec

    if find_spec("bitsandbytes") is None:
        raise ModelError(
            f"'{name}' asks for weights in 4 bits, which wants bitsandbytes, and that is not installed. Install it "
            f"(pip install bitsandbytes), or give --lm {name.removesuffix(FOUR_BIT)} without {FOUR_BIT}."
        )
    if torch.device(device).type != "cuda":
        raise ModelError(
            f"'{name}' asks for weights in 4 bits, which want a GPU, and the device is '{device}'. Give --device cuda, or "
            f"--lm {name.removesuffix(FOUR_BIT)} without {FOUR_BIT}."
        )
    from transformers import BitsAndBytesConfig

    settings = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": settings, "device_map": {"": device}, "dtype": dtype}


def _from_transformers(name: str, device: str, options: dict[str, Any], *, in_memory: bool = False) -> tuple[Any, Any]:
    """A model and its tokenizer from a folder or the hub.

    ``in_memory``: a causal model's file is read, not mapped. Of a mapped file every page that was ever read counts until the
    last weight that lies there is gone, though the others are in blocks.
    """
    declare_torchvision_operators()
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        config = AutoConfig.from_pretrained(name)
        if getattr(config, "is_decoder", True) is False and not config.is_encoder_decoder:
            raise ValueError(f"it is a {config.model_type} model that fills gaps, wanted one that goes on with a text.")
        kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
        # Eager attention: on short rows its backward pass is several times faster on CPUs than the fused one.
        attention = {"attn_implementation": "eager"} if str(device) == "cpu" else {}
        options = {"dtype": "auto", "use_safetensors": True, "output_loading_info": True, **attention, **options}
        causal: Any = None if config.is_encoder_decoder else MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
        if in_memory and causal is not None and (file := Path(name) / "model.safetensors").is_file():
            loading = causal.from_pretrained(None, config=config, state_dict=_read(file), **options)
        else:
            loading = kind.from_pretrained(name, **options)
        model, found = cast("Any", loading)
        if missing := sorted(found["missing_keys"]):
            raise ValueError(f"its file lacks {len(missing)} of its weights (first: {missing[0]}).")
    except Exception as error:  # transformers raises nearly everything on damaged files, AttributeError and TypeError included
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"Cannot load the language model '{name}': {reason} Give --lm a folder with config.json, tokenizer and "
            "safetensors weights, a .gguf file, or the name of a language model on the Hugging Face hub."
        ) from error
    # Of an encoder and a decoder that were joined (bert2bert) only the decoder is asked.
    return (model.decoder if config.model_type == "encoder-decoder" else model), tokenizer


def _read(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt", backend="pread") as weights:
        return {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 (not a dict)
