"""Where the shortcut benchmark's words come from: wordsight's two sources, what needs no translator, and people."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors.numpy import load_file, save_file
from torch import Tensor

from shortcut_data import Photographs
from wordsight.audits.observations import rate_matrix
from wordsight.explain import Explainer
from wordsight.features.store import content_digests
from wordsight.language.content import content_words
from wordsight.sentences.sampler import image_seed
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder, replacing
from wordsight.translator.word_head import fit_word_head
from wordsight.words.joined import head_words, join

FOLDS = 3


@dataclass(frozen=True)
class Source:
    """Word rates of photographs, in [0, 1]; ``here``: of which photographs they are known."""

    name: str
    vocabulary: tuple[str, ...]
    rates: Float[np.ndarray, "images words"]
    here: Bool[np.ndarray, " images"]

    def column(self, words: Sequence[str]) -> int | None:
        """Of the first of these words that the source knows."""
        return next((self.vocabulary.index(word) for word in words if word in self.vocabulary), None)


def ceiling(of: Photographs, attributes: Collection[str]) -> Source:
    """What people wrote, with one column for each attribute: the share of a photograph's captions with any word that names it.

    Five people's own words are scattered over synonyms; what they say together is as much as any source of words can know.
    """
    written = people(of)
    vocabulary = tuple(sorted({*written.vocabulary, *attributes}))
    column = {word: i for i, word in enumerate(written.vocabulary)}
    rates = np.zeros((len(of.files), len(vocabulary)))
    for i, word in enumerate(vocabulary):
        rates[:, i] = of.share(word) if word in attributes else written.rates[:, column[word]]
    return Source("people", vocabulary, rates, written.here)


def people(of: Photographs) -> Source:
    """What people wrote: the share of a photograph's captions with a word."""
    own = [[content_words(c) for c in captions] for captions in of.captions]
    count = Counter(w for captions in own for w in set().union(*captions))
    vocabulary = tuple(sorted(w for w, n in count.items() if n >= 10))
    column = {w: i for i, w in enumerate(vocabulary)}
    rates = np.zeros((len(own), len(vocabulary)))
    for row, captions in enumerate(own):
        for caption in captions:
            for w in caption & column.keys():
                rates[row, column[w]] += 1 / len(captions)
    return Source("people", vocabulary, rates, np.ones(len(own), bool))


def cross_fitted(name: str, of: Photographs, store: Path) -> Source:
    """Words of every photograph by a model that was fitted on the photographs of other folds; made once, then read.

    "head": a word head like a translator's own (without its composed features). "ridge": ridge regression from features to
    words. "knn": captions of the 60 nearest features.
    """
    written = people(of)
    about = hashlib.sha256(f"{name} {FOLDS} {written.vocabulary}".encode() + of.z.numpy().tobytes()).hexdigest()[:16]
    file = store / f"words-{name}-{about}.safetensors"
    if not file.exists():
        fold = np.random.default_rng(0).integers(0, FOLDS, len(of.z))
        rates = np.zeros(written.rates.shape, np.float32)
        for number in range(FOLDS):
            held, fitted = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            rates[held] = _HOW[name](of, written, fitted, held)
        store.mkdir(parents=True, exist_ok=True)
        with replacing(file) as partial:
            save_file({"rates": rates}, partial)
    return Source(name, written.vocabulary, load_file(file)["rates"].astype(np.float64), written.here)


def _head(of: Photographs, written: Source, fitted: np.ndarray, held: np.ndarray) -> np.ndarray:
    mean, spread = of.z[fitted].mean(0), of.z[fitted].std(0) + 1e-3
    x = (of.views - mean) / spread
    head = fit_word_head(x[fitted], [of.captions[i] for i in fitted], epochs=8, rank=256)
    assert head is not None
    own = head.rates(x[held].mean(1))
    known = {word: i for i, word in enumerate(own.vocabulary)}
    rates = np.zeros((len(held), len(written.vocabulary)), np.float32)
    for column, word in enumerate(written.vocabulary):
        if word in known:
            rates[:, column] = own.rates[:, known[word]].numpy()
    return rates


def _standardised(of: Photographs) -> np.ndarray:
    z = of.z.double().numpy()
    return (z - z.mean(0)) / (z.std(0) + 1e-3)


def _ridge(of: Photographs, written: Source, fitted: np.ndarray, held: np.ndarray) -> np.ndarray:
    x, mean = _standardised(of), written.rates[fitted].mean(0)
    gram = x[fitted].T @ x[fitted] + 3000 * np.eye(x.shape[1])
    weight = np.linalg.solve(gram, x[fitted].T @ (written.rates[fitted] - mean))
    return np.clip(x[held] @ weight + mean, 0, 1)


def _knn(of: Photographs, written: Source, fitted: np.ndarray, held: np.ndarray) -> np.ndarray:
    x = _standardised(of)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    similar = x[held] @ x[fitted].T
    nearest = np.argpartition(-similar, 60, axis=1)[:, :60]
    weight = np.exp(10 * np.take_along_axis(similar, nearest, 1))
    weight /= weight.sum(1, keepdims=True)
    return np.stack([w @ written.rates[fitted[rows]] for w, rows in zip(weight, nearest, strict=True)])


_HOW = {"head": _head, "ridge": _ridge, "knn": _knn}


def shipped(of: Photographs, explainer: Explainer, sentences: int) -> dict[str, Source]:
    """The starter's own words of the photographs that its translator was not trained on: "sentences", "both", "starter head"."""
    rows = np.flatnonzero(~of.seen)
    z = of.z[rows]
    sampled = sample_stored(
        explainer.models.lm,
        explainer.models.prefix(z),
        cache_folder() / "sentences",
        Sampling(sentences=sentences),
        seeds=[image_seed(0, digest or "") for digest in content_digests([of.files[row] for row in rows.tolist()])],
        on_images=lambda done, total: print(f"\rsentences {done}/{total}", end="", flush=True),
    )
    head = explainer.models.word_rates(z)
    assert head is not None
    found = {}
    for name, words in {"sentences": "sentences", "both": "both", "starter head": "head"}.items():
        joined = [join(own.rates, head_words(head, row), words) for row, own in enumerate(sampled)]
        vocabulary, own_rates = rate_matrix([{w: r.rate.rate for w, r in own.items()} for own in joined], min_images=10)
        rates = np.zeros((len(of.files), len(vocabulary)))
        rates[rows] = own_rates.toarray()
        found[name] = Source(name, vocabulary, rates, ~of.seen)
    return found


def word_scores(rates: Float[np.ndarray, "images words"]) -> Float[np.ndarray, "images words"]:
    """Log-odds: the scores of a word head, which do not saturate."""
    rates = rates.clip(1e-6, 1 - 1e-6)
    return np.log(rates / (1 - rates))


def ridge_direction(
    z: Float[Tensor, "images features"], rates: Float[np.ndarray, "images words"], column: int, *, penalty: float = 5.0
) -> Float[Tensor, " features"]:
    """What a word adds to the features while the other words stay fixed: ridge regression of the features on all words."""
    y = torch.from_numpy(rates - rates.mean(0))
    gram = y.T @ y + penalty * torch.eye(y.shape[1], dtype=torch.float64)
    x = z.double()
    return torch.linalg.solve(gram, y.T @ (x - x.mean(0)))[column].float()
