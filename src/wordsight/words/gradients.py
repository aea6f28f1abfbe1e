"""Does the decision use what a word stands for? The gradient of the word's rate against the gradient of a class's logit.

Since rate(w) is a sum of p(s) over the sentences that contain w, ``grad_z log rate(w)`` is the mean of
``grad_z log p(s | T(z))`` over sampled sentences that contain w. Over all sentences that mean is zero; what a sample of a few
has instead is noise that all words share, and the mean over all the sampled sentences is taken off.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence, Set
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from wordsight.language.model import LanguageModel
from wordsight.storage import store_each
from wordsight.tensors import Features
from wordsight.translator.checkpoint import translator_fingerprint
from wordsight.translator.mlp import Translator


def sentence_gradients(
    lm: LanguageModel, translator: Translator, z: Features, sentences: Sequence[str], *, batch: int = 32
) -> Features:
    """grad_z log p(sentence | T(z)) (rows, features): one sentence for each row of ``z``, each with its own copy of it."""
    parts = []
    for start in range(0, len(sentences), batch):
        rows = z[start : start + batch].to(translator.mean.device).detach().clone().requires_grad_()
        tokens = [[lm.encode(sentence)] for sentence in sentences[start : start + batch]]
        lm.loss(translator(rows), tokens, backward_scale=-1.0)
        assert rows.grad is not None
        parts.append(rows.grad.float().cpu())
    return torch.cat(parts) if parts else torch.zeros(0, translator.features)


def sentence_gradients_stored(
    lm: LanguageModel,
    translator: Translator,
    z: Features,
    sentences: Sequence[Sequence[str]],
    store: Path,
    *,
    at_once: int = 8,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> list[Tensor]:
    """Like ``sentence_gradients``, for several sentences of each image (one row of ``z``): (sentences, features) an image.

    Each image's are kept in ``store`` under everything that decides them, in half precision; ``at_once`` images are computed
    and written together.
    """
    about = f"{lm.fingerprint} {lm.dtype} {translator_fingerprint(translator)}".encode()
    files = []
    for row, own in zip(z.contiguous().float(), sentences, strict=True):
        digest = hashlib.sha256(about + json.dumps(own).encode() + row.numpy().tobytes())
        files.append(store / f"{digest.hexdigest()[:32]}.safetensors")

    def make(rows: list[int]) -> list[Tensor]:
        sizes = [len(sentences[i]) for i in rows]
        copies = z[rows].repeat_interleave(torch.tensor(sizes), dim=0)
        made = sentence_gradients(lm, translator, copies, [s for i in rows for s in sentences[i]]).half()
        return [own.clone() for own in made.split(sizes)]

    kept = store_each(
        files,
        lambda file: load_file(file)["gradients"],
        make,
        lambda file, own: save_file({"gradients": own}, file),
        at_once=at_once,
        on_done=on_images,
    )
    return [gradients.float() for gradients in kept]


def head_gradients(translator: Translator, z: Features, word: str) -> Features | None:
    """grad_z log rate(word) of the word head at each row of ``z``; None if it has no such word."""
    if translator.words is None or word not in translator.words.vocabulary:
        return None
    with torch.inference_mode(False), torch.enable_grad():
        rows = z.to(translator.mean.device).detach().clone().requires_grad_()
        rates = translator.words.eval()(translator.standardise(rows))[..., translator.words.vocabulary.index(word)]
        (gradient,) = torch.autograd.grad(rates.mean(0).log().sum(), rows)
    return gradient.float().cpu()


def word_gradients(gradients: Features, words: Sequence[Set[str]]) -> dict[str, Float[Tensor, " features"]]:
    """grad_z log rate(w) at one image, for each word that some of its sentences contain and some do not.

    ``gradients`` and ``words``: one row and one set of content words a sentence.
    """
    rows: dict[str, list[int]] = defaultdict(list)
    for row, found in enumerate(words):
        for word in found:
            rows[word].append(row)
    mean = gradients.mean(0)
    return {word: gradients[own].mean(0) - mean for word, own in rows.items() if len(own) < len(words)}
