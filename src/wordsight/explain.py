"""The short path: image -> features -> prefix -> sentences -> words."""

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from wordsight.classifiers.classifier import Classifier
from wordsight.errors import ImageError
from wordsight.features.extraction import extract
from wordsight.features.maps import HeatMap, class_map
from wordsight.features.store import content_digests
from wordsight.images.files import read_image, to_rgb
from wordsight.images.sources import ImageLike, Images, image_list, stored_image
from wordsight.images.tidy import printable
from wordsight.language.model import LanguageModel
from wordsight.models import Models, Pair, load_models
from wordsight.runtime import AUTO, OnProgress, no_progress
from wordsight.sentences.consensus import consensus
from wordsight.sentences.sampler import NO_SENTENCES, Sampled, image_seed, sample
from wordsight.sentences.sampling import Sampling
from wordsight.tensors import Features
from wordsight.translator.word_head import HeadRates
from wordsight.words.baseline import SENTENCES, baseline
from wordsight.words.class_words import ClassWords, class_words
from wordsight.words.joined import check_words, head_words, join
from wordsight.words.maps import word_map
from wordsight.words.scores import WordScore, word_table

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)

#: Images whose sentences are sampled together, unless they have more sentences than this in all.
_IMAGES_TOGETHER, _SENTENCES_TOGETHER = 16, 50_000
#: Of a table of words; an empty one has them, too.
_COLUMNS = [column.name for column in fields(WordScore)]


@dataclass(frozen=True)
class Prediction:
    """A class that the classifier itself predicts, with its probability in [0, 1]."""

    label: str
    probability: float


@dataclass(frozen=True)
class Explanation:
    """What the features of one image hold, in words.

    ``table`` has every word found, the most frequent first. ``examples`` are the sentences that agree best with all sampled
    ones. ``prediction`` has the classifier's five most probable classes.
    """

    image: str
    prediction: list[Prediction]
    table: list[WordScore]
    examples: list[str]
    sampling: Sampling
    source: ImageLike = field(repr=False)
    z: Features = field(repr=False, compare=False)
    sampled: Sampled = field(repr=False, compare=False)

    @property
    def sentences(self) -> int:
        """How many sentences were sampled."""
        return self.sampled.rates.sentences

    @property
    def words(self) -> dict[str, float]:
        """Word -> rate: how probable a description of the image has it, in [0, 1], most frequent first."""
        return {score.word: score.rate for score in self.table}

    def top(self, n: int = 10) -> list[str]:
        """The n most frequent words."""
        return [score.word for score in self.table[:n]]

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a word: word, count, rate, low, high (95% interval), lift and lift_z (log-odds against usual images), source."""
        import pandas

        return pandas.DataFrame([asdict(score) for score in self.table], columns=_COLUMNS)

    def to_json(self, *, words: int | None = None) -> str:
        """One line of JSON; ``words`` limits it to the most frequent."""
        table = self.table[:words]
        return json.dumps(
            {
                "image": self.image,
                "prediction": [asdict(prediction) for prediction in self.prediction],
                "words": {s.word: round(s.rate, 6) for s in table},
                "intervals": {s.word: [round(s.low, 6), round(s.high, 6)] for s in table},
                "lift": {s.word: None if s.lift is None else round(s.lift, 4) for s in table},
                "sources": {s.word: s.source for s in table},
                "sentences": self.sentences,
                "examples": self.examples,
                "seed": self.sampling.seed,
            },
            # Escapes keep the line printable whatever the terminal's encoding and the file's name.
            ensure_ascii=True,
        )

    def plot(self) -> "Figure":
        """The image beside its words: bars with intervals, a word cloud, typical sentences."""
        from wordsight.report.plots import explanation_figure

        image = read_image(self.source) if isinstance(self.source, str | Path) else to_rgb(self.source)
        best = self.prediction[0]
        title = f"{self.image}: {best.label} ({best.probability:.0%})"
        return explanation_figure(image, self.table, title=title, sentences=self.examples)

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import explanation_html

        return explanation_html(self)


@dataclass(frozen=True)
class Failure:
    """An image that could not be explained, and why."""

    image: str
    reason: str


class Explanations(list[Explanation]):
    """Explanations in the order of the images; ``failures`` names the images that are missing, with reasons."""

    failures: list[Failure]

    def __init__(self, results: Sequence[Explanation | Failure]) -> None:
        super().__init__(result for result in results if isinstance(result, Explanation))
        self.failures = [result for result in results if isinstance(result, Failure)]

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row an image and word: the columns of ``Explanation.to_dataframe`` after the image's name."""
        import pandas

        rows = [{"image": printable(explanation.image), **asdict(score)} for explanation in self for score in explanation.table]
        return pandas.DataFrame(rows, columns=["image", *_COLUMNS])

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import explanations_html

        return explanations_html(self)


class Explainer:
    """Explains images: a classifier, a language model and the translator between them.

    ``classifier``: one made with ``wordsight.classifier``, or its name (``starter``, ``timm:resnet50``, ...; see
    ``load_classifier``). A classifier other than the starter needs a translator of its own: give ``images`` (a folder, paths, a
    glob pattern; no labels needed) and it is made from these and cached, or give ``translator``, a file that
    'wordsight train' or 'wordsight transfer' wrote. ``lm``: a folder, GGUF file or Hugging Face name; default the starter's.
    ``device``: "cpu", "cuda", "mps", ...; by default the fastest here, which is measured once if there is an accelerator.
    ``memory``: bytes for the language model's keys and values at a time; by default 320 MiB, on a GPU a quarter of what is free there.

    Raises ModelError for models that cannot be loaded and TranslatorError if there is no translator for them.
    """

    def __init__(
        self,
        classifier: str | Classifier = "starter",
        *,
        images: object = None,
        translator: str | Path | Pair | None = None,
        lm: str | LanguageModel | None = None,
        device: str = AUTO,
        memory: int | None = None,
        on_progress: OnProgress = no_progress,
    ) -> None:
        self.models: Models = load_models(
            classifier,
            images=images,
            translator=translator,
            lm=lm,
            device=device,
            memory=memory,
            on_progress=on_progress,
        )

    @property
    def classifier(self) -> Classifier:
        """The classifier that is explained."""
        return self.models.classifier

    def explain(
        self,
        images: Images,
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        *,
        words: str = "both",
        on_progress: OnProgress = no_progress,
    ) -> Explanations:
        """Explain images: whatever ``image_list`` reads (paths, folders, patterns, arrays, tensors, datasets, tables).

        ``words``: where word rates come from: "sentences" (sampled), "head" (the translator's word head, without any sentence:
        milliseconds an image), or "both" (the mean of their log-odds; of words outside the head's vocabulary the sentences').

        Those that cannot be read are in ``.failures``; the rest go on. Raises ImageError if there is no image at all, and
        TranslatorError for "head" if the translator has no word head.
        """
        results = Explanations(list(self.explain_each(image_list(images), sampling, words=words, on_progress=on_progress)))
        for failure in results.failures:
            logger.warning("%s: %s", failure.image, failure.reason)
        return results

    def explain_each(
        self,
        images: Sequence[ImageLike],
        sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
        *,
        words: str = "both",
        on_progress: OnProgress = no_progress,
    ) -> Iterator[Explanation | Failure]:
        """Like ``explain``, one result after the other as they are ready, in order."""
        check_words(self.models, words)
        usual = baseline(self.models, sampling, words, on_progress=on_progress)
        together = max(1, min(_IMAGES_TOGETHER, _SENTENCES_TOGETHER // sampling.sentences))
        drawn = 0
        for start in range(0, len(images), together):
            batch = [_read(images, i) for i in range(start, min(start + together, len(images)))]
            to_come = (len(images) - start - len(batch)) * sampling.sentences

            names = [_name(image, start + i) for i, image in enumerate(batch)]
            features = extract(self.classifier, batch)
            z = features.views.mean(1)
            sampled = [NO_SENTENCES] * len(features.readable)
            head = self.models.word_rates(z) if features.readable and words != "sentences" else None
            if features.readable and words != "head":
                # The word head's words are there before the language model is loaded.
                stage = "sentences" if head is None else f"sentences ({', '.join(_first_words(head))}, ...)"

                def on_batch(done: int, total: int, *, stage: str = stage, drawn: int = drawn, to_come: int = to_come) -> None:
                    on_progress(stage, drawn + done, drawn + total + to_come)

                on_batch(0, len(features.readable) * sampling.sentences)
                sampled = sample(
                    self.models.lm,
                    self.models.prefix(z),
                    sampling,
                    seeds=[image_seed(sampling.seed, _content(batch[i], names[i])) for i in features.readable],
                    memory=self.models.memory,
                    on_sentences=on_batch,
                )
                drawn += sum(found.rates.sentences for found in sampled)
            for i, (name, image) in enumerate(zip(names, batch, strict=True)):
                if i in features.failures:
                    yield Failure(name, features.failures[i])
                    continue
                row = features.readable.index(i)
                assert not isinstance(image, ImageError)
                yield Explanation(
                    image=name,
                    prediction=_predict(self.classifier, z[row : row + 1]),
                    table=word_table(
                        join(sampled[row].rates, None if head is None else head_words(head, row), words),
                        usual,
                        sentences=sampled[row].rates.sentences or SENTENCES,
                    ),
                    examples=consensus(sampled[row].sentences),
                    sampling=sampling,
                    source=image,
                    z=z[row : row + 1],
                    sampled=sampled[row],
                )

    def word_map(self, explanation: Explanation, word: str) -> HeatMap:
        """Where in the image a word of its explanation comes from, by the explanation's own sentences.

        Raises WordsightError if the word is in none or in all of the sampled sentences, ModelError if the classifier has no
        spatial feature map.
        """
        seed = explanation.sampling.seed
        return word_map(self.models, explanation.source, explanation.z, explanation.sampled, word, seed=seed)

    def classes(self, images: Images, *, on_progress: OnProgress = no_progress) -> ClassWords:
        """The words that each class of the classifier relies on, over unlabelled ``images`` (whatever ``image_list`` reads).

        Nothing is sampled: seconds for a thousand classes, once the images' features are stored. Raises TranslatorError if the
        translator has no word head, ImageError for fewer than 100 images.
        """
        paths = [stored_image(image, number=i) for i, image in enumerate(image_list(images))]
        return class_words(self.models, paths, on_progress=on_progress)

    def class_map(self, explanation: Explanation, label: str | None = None) -> HeatMap:
        """Grad-CAM of a class (default: the predicted one) on the explanation's image. Raises as ``word_map`` does."""
        return class_map(self.classifier, explanation.source, label or explanation.prediction[0].label)


def _predict(classifier: Classifier, z: Features, *, classes: int = 5) -> list[Prediction]:
    best = classifier.probabilities(z)[0].topk(min(classes, len(classifier.labels)))
    return [
        Prediction(classifier.labels[int(i)], round(p, 6))
        for p, i in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def _first_words(head: HeadRates, *, words: int = 5) -> list[str]:
    """The most frequent words of the first image."""
    found = head_words(head, 0)
    return sorted(found, key=lambda word: -found[word].rate)[:words]


def _read(images: Sequence[ImageLike], index: int) -> ImageLike | ImageError:
    """One image of a dataset may fail: the others go on."""
    try:
        return images[index]
    except ImageError as error:
        return error


def _content(image: ImageLike | ImageError, name: str) -> str:
    """What identifies an image's content, so that copies under other names have the same sentences."""
    if isinstance(image, str | Path):
        return content_digests([Path(image)])[0] or name
    if isinstance(image, Image.Image):
        return hashlib.sha256(f"{image.mode} {image.size}".encode() + image.tobytes()).hexdigest()
    return name


def _name(image: ImageLike | ImageError, index: int) -> str:
    return Path(image).name if isinstance(image, str | Path) else f"image {index}"
