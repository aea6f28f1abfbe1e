"""Where the shortcut benchmark's words come from: wordsight's sentences, or what needs no language model."""

from collections import Counter

import numpy as np
import torch

from shortcut_data import Photographs, labels_of
from shortcut_tasks import WORDS, Task
from wordsight.audits.evidence import Evidence
from wordsight.audits.findings import ClassWord, Limits, class_words
from wordsight.audits.kinds import class_itself
from wordsight.audits.observations import Observations, rate_matrix
from wordsight.audits.reliances import Reliances
from wordsight.classifiers.head import Head, with_head
from wordsight.errors import WordsightError
from wordsight.explain import Explainer
from wordsight.features.store import content_digests
from wordsight.images.labelled import LabelledImages
from wordsight.language.content import content_words
from wordsight.mitigation.run import word_direction
from wordsight.sentences.sampler import image_seed
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.store import sample_stored
from wordsight.storage import cache_folder


class Words:
    """A source of words: rates of all photographs, and how much a head uses each word."""

    def __init__(self, name: str, of: Photographs, explainer: Explainer, sentences: int, needed: np.ndarray) -> None:
        self.name, self.of, self.explainer = name, of, explainer
        if name in ("ridge", "knn"):
            self.vocabulary, self.rates, self.directions = cheap_words(of, name)
        else:
            sampled = sample_stored(
                explainer.models.lm,
                explainer.models.prefix(of.z[needed]),
                cache_folder() / "sentences",
                Sampling(sentences=sentences),
                seeds=[image_seed(0, digest or "") for digest in content_digests([of.files[row] for row in needed.tolist()])],
                on_images=lambda done, total: print(f"\rsentences {done}/{total}", end="", flush=True),
            )
            self.sampled = dict(zip(needed.tolist(), sampled, strict=True))
            words = [{word: rate.rate for word, rate in image.rates.words.items()} for image in sampled]
            self.vocabulary, rates = rate_matrix(words, min_images=10)
            self.rates = np.zeros((len(of.files), len(self.vocabulary)))
            self.rates[needed] = rates

    def audit(self, head: Head, task: Task, rows: list[np.ndarray], limits: Limits) -> tuple[Evidence, list[ClassWord]]:
        """Every word of both classes, on these images, and what it rests on."""
        here, label, _ = labels_of(rows)
        z = self.of.z[here]
        evidence = Evidence(self.vocabulary, self.rates[here], label.numpy(), head.logits(z).double().numpy(), head.labels)
        own = [class_itself(task.a), class_itself(task.b)]
        apart = set(f"{WORDS[task.a]} {WORDS[task.b]}".split())  # what a user would give as --apart
        return evidence, class_words(evidence, Reliances(evidence, z.numpy()), own, limits, apart=apart)

    def direction(
        self, head: Head, word: str, here: np.ndarray, label: torch.Tensor, present: torch.Tensor
    ) -> torch.Tensor | None:
        """Where the features go if the word is more frequent, by images that have it; None if that cannot be known."""
        if self.name in ("ridge", "knn"):
            return self.directions[:, self.vocabulary.index(word)]
        try:
            own, observed = self._observed(head, here, label)
            return word_direction(own.models, observed, word, present.nonzero()[:, 0].tolist(), seed=0)
        except WordsightError:
            return None

    def _observed(self, head: Head, here: np.ndarray, label: torch.Tensor) -> tuple[Explainer, Observations]:
        explainer = self.explainer
        own = Explainer(
            with_head(explainer.classifier, head),
            lm=explainer.models.lm,
            translator=(explainer.models.translator, explainer.models.card),
        )
        paths = [self.of.files[i] for i in here]
        images = LabelledImages(paths, [head.labels[int(c)] for c in label])
        sampled = [self.sampled[row] for row in here.tolist()]
        return own, Observations(images, [path.name for path in paths], label, self.of.z[here], sampled, {}, cache_folder())


def cheap_words(of: Photographs, name: str) -> tuple[tuple[str, ...], np.ndarray, torch.Tensor]:
    """Word rates without a language model, cross-fitted in five folds, and each word's direction in the features."""
    own = [[content_words(c) for c in captions] for captions in of.captions]
    count = Counter(w for captions in own for w in set().union(*captions))
    vocabulary = tuple(sorted(w for w, n in count.items() if n >= 10))
    column = {w: i for i, w in enumerate(vocabulary)}
    truth = np.zeros((len(own), len(vocabulary)))
    for row, captions in enumerate(own):
        for caption in captions:
            for w in caption & column.keys():
                truth[row, column[w]] += 1 / len(captions)
    z = of.z.double().numpy()
    mean, spread = z.mean(0), z.std(0) + 1e-3
    x = (z - mean) / spread

    def ridge(rows: np.ndarray) -> np.ndarray:
        gram = x[rows].T @ x[rows] + 3000 * np.eye(x.shape[1])
        return np.linalg.solve(gram, x[rows].T @ (truth[rows] - truth[rows].mean(0)))

    fold = np.random.default_rng(0).integers(0, 5, len(x))
    rates = np.zeros_like(truth)
    for one in range(5):
        held, rows = fold == one, fold != one
        if name == "ridge":
            rates[held] = np.clip(x[held] @ ridge(rows) + truth[rows].mean(0), 0, 1)
        else:
            a = x / np.linalg.norm(x, axis=1, keepdims=True)
            similar = a[held] @ a[rows].T
            nearest = np.argpartition(-similar, 60, axis=1)[:, :60]
            weight = np.exp(10 * np.take_along_axis(similar, nearest, 1))
            weight /= weight.sum(1, keepdims=True)
            rates[held] = np.einsum("ik,ikw->iw", weight, truth[rows][nearest])
    # A word's direction: the ridge weights, back in the features' own units.
    return vocabulary, rates, torch.from_numpy(ridge(np.ones(len(x), dtype=bool)) / spread[:, None]).float()
