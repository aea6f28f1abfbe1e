"""The short path: image -> features -> prefix -> sentences -> words."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from wordsight.classifiers.classifier import Classifier
from wordsight.features.extraction import ImageLike, extract
from wordsight.fetch import OnBytes, ignore_bytes
from wordsight.images.files import read_image, to_rgb
from wordsight.language.content import rules_fingerprint
from wordsight.language.model import LanguageModel
from wordsight.models import load_models, starter_translator
from wordsight.sentences.consensus import consensus
from wordsight.sentences.estimates import WordCounts
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.sampler import ESTIMATOR, MEMORY, Sampled, image_seed, sample
from wordsight.storage import cache_folder, read_stored, replacing
from wordsight.tensors import Features, Prefix
from wordsight.translator.checkpoint import TranslatorCard, check_fits, load_translator, translator_fingerprint
from wordsight.translator.mlp import Translator
from wordsight.words.scores import WordScore, word_table

logger = logging.getLogger(__name__)


#: Sentences an image by default: the standard error of a word's rate is at most 2.2 points.
SENTENCES = 500


#: Images whose sentences are sampled together, unless they have more sentences than this in all.
_TOGETHER, _SENTENCES_TOGETHER = 16, 50_000


@dataclass(frozen=True)
class Prediction:
    """A class that the classifier itself predicts, with its probability in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True)
class Explanation:
    """What the features of one image say. ``table`` holds every word found, most frequent first."""

    image: str
    prediction: list[Prediction]
    table: list[WordScore]
    sentences: int
    examples: list[str]
    seed: int
    picture: ImageLike

    @property
    def words(self) -> dict[str, float]:
        """Word -> rate: the share of sentences that contain it, in [0, 1], most frequent first."""
        return {score.word: score.rate for score in self.table}

    def top(self, n: int = 10) -> list[str]:
        """The n most frequent words."""
        return [score.word for score in self.table[:n]]

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a word: word, count, rate, low, high (95% interval), lift and lift_z (log-odds against the mean feature)."""
        import pandas

        return pandas.DataFrame([vars(score) for score in self.table])

    def to_json(self, *, words: int | None = None) -> str:
        """One line of JSON; ``words`` limits it to the most frequent."""
        table = self.table[:words]
        return json.dumps(
            {
                "image": self.image,
                "prediction": [vars(p) for p in self.prediction],
                "words": {s.word: round(s.rate, 6) for s in table},
                "intervals": {s.word: [round(s.low, 6), round(s.high, 6)] for s in table},
                "lift": {s.word: None if s.lift is None else round(s.lift, 4) for s in table},
                "sentences": self.sentences,
                "examples": self.examples,
                "seed": self.seed,
            },
            # Escapes keep the line printable whatever the terminal's encoding and the file's name.
            ensure_ascii=True,
        )

    def plot(self) -> "Figure":
        """The photograph beside its words: bars with intervals, a word cloud, typical sentences."""
        from wordsight.report.plots import explanation_picture

        image = read_image(self.picture) if isinstance(self.picture, str | Path) else to_rgb(self.picture)
        best = self.prediction[0]
        title = f"{self.image}: {best.label} ({best.probability:.0%})"
        return explanation_picture(image, self.table, title=title, sentences=self.examples)


@dataclass(frozen=True)
class Failure:
    """An image that could not be explained, and why."""

    image: str
    reason: str


class Explanations(list[Explanation]):
    """Explanations in the order of the images; ``failures`` names the images that are missing, with reasons."""

    failures: list[Failure]

    def __init__(self, results: Sequence[Explanation | Failure]) -> None:
        super().__init__(r for r in results if isinstance(r, Explanation))
        self.failures = [r for r in results if isinstance(r, Failure)]


class Explainer:
    """A classifier, a language model and the translator between them.

    Raises TranslatorError if the translator was made for another classifier or language model.
    """

    def __init__(self, classifier: Classifier, lm: LanguageModel, translator: Translator, card: TranslatorCard) -> None:
        check_fits(card, classifier, lm)
        self.classifier = classifier
        self.lm = lm
        self.card = card
        self.fingerprint = translator_fingerprint(translator)
        self.translator = translator.to(lm.device).eval().requires_grad_(False)

    @classmethod
    def starter(cls, *, device: str = "cpu") -> "Explainer":
        """EfficientNet-Lite0, SmolLM2-135M-Instruct and the translator inside the package. Fetches weights at first use."""
        return cls.load(device=device)

    @classmethod
    def load(
        cls,
        *,
        classifier: str = "starter",
        lm: str | None = None,
        translator: str | Path | None = None,
        device: str = "cpu",
        on_bytes: OnBytes = ignore_bytes,
    ) -> "Explainer":
        """Any combination by name; what is left out is the starter's. See ``load_classifier`` for classifiers' names."""
        pair = load_translator(translator) if translator else starter_translator()
        return cls(*load_models(classifier=classifier, lm=lm, device=device, on_bytes=on_bytes), *pair)

    def explain(
        self,
        images: ImageLike | Sequence[ImageLike],
        *,
        sentences: int = SENTENCES,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        precision: float | None = None,
        memory: int = MEMORY,
        seed: int = 0,
    ) -> Explanations:
        """Explain images: paths or PIL images. Those that cannot be read are in ``.failures``; the rest go on.

        ``precision``: draw more than ``sentences`` where it takes more until every word's 95% interval reaches at most this
        far above and below its middle. ``memory``: bytes for the language model's keys and values at a time.
        """
        many = [images] if isinstance(images, ImageLike) else list(images)
        each = self.explain_each(many, sentences=sentences, sampling=sampling, precision=precision, memory=memory, seed=seed)
        results = Explanations(list(each))
        for failure in results.failures:
            logger.warning("%s: %s", failure.image, failure.reason)
        return results

    def explain_each(
        self,
        images: Sequence[ImageLike],
        *,
        sentences: int = SENTENCES,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        precision: float | None = None,
        memory: int = MEMORY,
        seed: int = 0,
        on_sentences: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Explanation | Failure]:
        """Like ``explain``, one result after the other as they are ready, in order."""
        reference = self._reference(sampling, memory)
        together = max(1, min(_TOGETHER, _SENTENCES_TOGETHER // sentences))
        said = 0
        for start in range(0, len(images), together):
            here = images[start : start + together]
            to_come = (len(images) - start - len(here)) * sentences

            def on_here(done: int, total: int, *, said: int = said, to_come: int = to_come) -> None:
                on_sentences(said + done, said + total + to_come)

            names = [_name(picture, start + i) for i, picture in enumerate(here)]
            found = extract(self.classifier, here)
            samples: dict[int, Sampled] = {}
            z = found.views.mean(1)
            if found.kept:
                drawn = sample(
                    self.lm,
                    self.prefix(z),
                    sentences=sentences,
                    sampling=sampling,
                    precision=precision,
                    memory=memory,
                    seeds=[image_seed(seed, names[i]) for i in found.kept],
                    on_sentences=on_here,
                )
                samples = dict(zip(found.kept, drawn, strict=True))
                said += sum(one.rates.sentences for one in drawn)
            for i, (name, picture) in enumerate(zip(names, here, strict=True)):
                if i in found.failures:
                    yield Failure(name, found.failures[i])
                    continue
                row = found.kept.index(i)
                yield Explanation(
                    image=name,
                    prediction=self._predict(z[row : row + 1]),
                    table=word_table(samples[i].rates, reference),
                    sentences=samples[i].rates.sentences,
                    examples=consensus(samples[i].sentences),
                    seed=seed,
                    picture=picture,
                )

    @torch.inference_mode()
    def prefix(self, z: Features) -> Prefix:
        """What the translator makes of features."""
        return self.translator(z.to(self.lm.device))

    def _predict(self, z: torch.Tensor, most: int = 5) -> list[Prediction]:
        best = self.classifier.probabilities(z)[0].topk(min(most, len(self.classifier.labels)))
        return [
            Prediction(self.classifier.labels[int(i)], round(p, 6))
            for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]

    def _reference(self, sampling: Sampling, memory: int, sentences: int = 1000) -> WordCounts:
        """Words of the mean feature: what the language model says when the features say nothing. Kept in the cache."""
        about = (
            f"{self.fingerprint} {self.lm.fingerprint} {self.lm.dtype} {sampling} {sentences} {rules_fingerprint()} {ESTIMATOR}"
        )
        file = cache_folder() / "reference" / f"{hashlib.sha256(about.encode()).hexdigest()[:32]}.json"
        kept = read_stored(file, lambda file: WordCounts(**json.loads(file.read_text(encoding="utf-8"))))
        if kept is not None:
            return kept
        mean = self.translator.mean[None]
        found = sample(self.lm, self.prefix(mean), sentences=sentences, sampling=sampling, seeds=[0], memory=memory)[0]
        counts = found.rates.expected_counts()
        with replacing(file) as partial:
            partial.write_text(json.dumps({"counts": dict(counts.counts), "sentences": counts.sentences}), encoding="utf-8")
        return counts


def _name(picture: ImageLike, index: int) -> str:
    return Path(picture).name if isinstance(picture, str | Path) else f"image {index}"
