"""The result of an audit, as plain data."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordsight.audits.evidence import MIN_LEVEL
from wordsight.audits.explained import Explained
from wordsight.audits.findings import ClassWord, Finding
from wordsight.audits.focus import Focus
from wordsight.audits.statistics import Estimate
from wordsight.audits.untested import Power, Untested
from wordsight.errors import LabelError
from wordsight.storage import replacing

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

    from wordsight.mitigation.result import Mitigation


@dataclass(frozen=True)
class AuditedImage:
    """One image of an audit.

    - ``image``: a name of its own. ``path``: its file.
    - ``label``: the true class. ``predicted``: the class with the largest logit; ``probability``: of that class, in [0, 1].
    - ``words``: rates in [0, 1] of the image's words, the most frequent first; not of all words.
    - ``sentence``: the sampled sentence that agrees best with the others; "" if none were sampled for this image.
    - ``group`` and ``split``: of the data; None if it has none.
    """

    image: str
    path: Path
    label: str
    predicted: str
    probability: float
    words: dict[str, float]
    sentence: str
    group: str | None = None
    split: str | None = None

    @property
    def right(self) -> bool:
        """Whether the predicted class is the label."""
        return self.label == self.predicted


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    - ``classes``: the classifier's. ``images``: those that could be read. ``failures``: the others' paths, with reasons.
    - ``words``: of every class with enough images. ``findings``: the harmful words, the strongest evidence first.
    - ``settings``: what the audit was made with.
    - ``heat_maps``: by image and word, where in the image's central square the word comes from: (rows, columns) in [0, 1].
    - ``focus``: whether the classifier looks at one position in all images predicted as a class.
    - ``explained``: how much of each class's logit the words explain.
    - ``copies``: images left out because they are identical or nearly identical to another one.
    - ``untested``: words that a class relies on, and too few images to measure their harm.
    - ``power``: from which gap of errors on a word of each class would most likely have been found.
    - ``unclear``: classes whose images could not be tested for harm, since their own name is in nearly every sentence.
    """

    classes: list[str]
    images: list[AuditedImage]
    words: list[ClassWord]
    findings: list[Finding]
    failures: dict[str, str]
    settings: dict[str, object] = field(default_factory=dict)
    heat_maps: dict[tuple[str, str], np.ndarray] = field(default_factory=dict, compare=False, repr=False)
    focus: list[Focus] = field(default_factory=list)
    explained: list[Explained] = field(default_factory=list)
    copies: int = 0
    untested: list[Untested] = field(default_factory=list)
    power: list[Power] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)

    @property
    def leading(self) -> list[Finding]:
        """The findings with evidence of their own; the others go along with one of them (``Finding.along_with``)."""
        return [finding for finding in self.findings if finding.along_with is None]

    def along(self, leader: Finding) -> list[Finding]:
        """The findings that go along with a leading one."""
        label, word = leader.about.label, leader.about.word
        return [finding for finding in self.findings if finding.about.label == label and finding.along_with == word]

    @property
    def accuracy(self) -> float:
        """Share of the images that are predicted right, in [0, 1]; NaN without images."""
        return float(np.mean([image.right for image in self.images]))

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a class and word: the fields of ``ClassWord``, estimates with the ends of their intervals."""
        import pandas

        return pandas.DataFrame([word_columns(word) for word in self.words])

    def to_json(self) -> str:
        """The findings with their groups and examples, ``untested``, ``power`` and the rest but images and words, as JSON."""
        return json.dumps(
            {
                "accuracy": round(self.accuracy, 4),
                "images": len(self.images),
                "findings": [
                    {
                        **word_columns(f.about),
                        "along_with": f.along_with,
                        "groups": [asdict(g) for g in f.groups],
                        "examples": self.examples(f),
                    }
                    for f in self.findings
                ],
                "untested": [
                    {
                        **word_columns(one.about),
                        "scarcer": "with" if one.has else "without",
                        "images_scarcer": one.images,
                        "images_wanted": one.wanted,
                    }
                    for one in self.untested
                ],
                "power": [asdict(power) for power in self.power],
                "unclear": self.unclear,
                "focus": [_focus(focus) for focus in self.focus],
                "explained": [
                    {"label": explained.label, "remarkable": explained.remarkable} | estimate_columns("share", explained.share)
                    for explained in self.explained
                ],
                "failures": self.failures,
                "copies": self.copies,
                "settings": self.settings,
            },
            indent=2,
        )

    def plot(self) -> "Figure":
        """The severity of each finding with its interval, the strongest evidence first; a note if there is no finding."""
        from wordsight.report.charts import findings_figure

        return findings_figure(self)

    def save(self, folder: str | Path, *, mitigations: "Sequence[Mitigation]" = ()) -> list[Path]:
        """Write ``findings.json``, ``words.csv``, ``images.jsonl`` and ``report.html`` into a folder; returns their paths.

        ``mitigations``: shown in the report, before and after. A missing folder is made; each file is replaced as a whole.
        Raises OSError if a file cannot be written.
        """
        from wordsight.report.html import render_report

        texts = {
            "findings.json": self.to_json() + "\n",
            "words.csv": self.to_dataframe().to_csv(index=False),
            "images.jsonl": "".join(json.dumps({**asdict(image), "path": str(image.path)}) + "\n" for image in self.images),
            "report.html": render_report(self, heat_maps=self.heat_maps, mitigations=mitigations),
        }
        for name, text in texts.items():
            with replacing(Path(folder) / name) as partial:
                partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names that are not UTF-8
        return [Path(folder) / name for name in texts]

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import audit_html

        return audit_html(self)

    def examples(self, finding: Finding, *, limit: int = 6) -> dict[str, list[str]]:
        """The names of ``example_images``, at most ``limit`` of each kind."""
        return {kind: [i.image for i in images] for kind, images in self.example_images(finding, limit=limit).items()}

    def example_images(self, finding: Finding, *, limit: int = 6) -> dict[str, list[AuditedImage]]:
        """Images that show a finding, at most ``limit`` of each kind.

        - "with": images of the class with the word that are predicted right, the highest rate first.
        - "missed": images of the class that are predicted wrong, the lowest rate first.
        - "mistaken": images of other classes with the word that are predicted as the class, the highest rate first.
        """
        label, word = finding.about.label, finding.about.word

        def has_word(image: AuditedImage) -> bool:
            return image.words.get(word, 0.0) >= MIN_LEVEL

        def pick(rows: Iterator[AuditedImage], *, reverse: bool) -> list[AuditedImage]:
            return sorted(rows, key=lambda i: i.words.get(word, 0.0), reverse=reverse)[:limit]

        own = [i for i in self.images if i.label == label]
        return {
            "with": pick((i for i in own if i.predicted == label and has_word(i)), reverse=True),
            "missed": pick((i for i in own if i.predicted != label), reverse=False),
            "mistaken": pick(
                (i for i in self.images if i.label != label and i.predicted == label and has_word(i)), reverse=True
            ),
        }


def word_columns(word: ClassWord) -> dict[str, object]:
    """A class's word as columns of a table: verdict, counts, and every estimate with its interval."""
    flat: dict[str, object] = {"label": word.label, "word": word.word, "verdict": word.verdict, "images_with": word.images_with}
    flat |= {"lift": round(word.lift, 4), "strength": round(word.strength, 4)}
    for name in ("rate", "encoded", "used", "against_rival", "missed", "mistaken", "severity"):
        flat |= estimate_columns(name, getattr(word, name))
    flat |= {name: None if (share := getattr(word, name)) is None else round(share, 4) for name in ("changes", "unseen")}
    return flat | {"rival": word.rival}


def _focus(focus: Focus) -> dict[str, object]:
    entry: dict[str, object] = {"label": focus.label, "images": focus.images, "remarkable": focus.remarkable}
    return entry | estimate_columns("agreement", focus.agreement) | {"heat": np.round(focus.heat, 4).tolist()}


def estimate_columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """An estimate as columns of a table: NAME, NAME_low and NAME_high, to four decimals; None where there is no estimate."""
    ends = {name: "value", f"{name}_low": "low", f"{name}_high": "high"}
    return {key: None if estimate is None else round(float(getattr(estimate, end)), 4) for key, end in ends.items()}


def read_images(folder: str | Path) -> list[AuditedImage]:
    """Read the images of an audit from the ``images.jsonl`` that ``Audit.save`` wrote into a folder.

    Raises LabelError if there is no such file, it has no image, or one of its lines cannot be read.
    """
    path = Path(folder) / "images.jsonl"
    try:
        lines = path.read_bytes().splitlines()  # bytes, so that a line that is no UTF-8 is known by its number
    except OSError as error:
        raise LabelError(
            f"{path} cannot be read ({error.strerror}). Give the folder that 'wordsight audit' wrote with --out."
        ) from error
    if not lines:
        raise LabelError(f"{path} has no image, wanted one a line. Run 'wordsight audit' again.")
    images = []
    for number, line in enumerate(lines, start=1):
        try:
            images.append(_image(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LabelError(
                f"Line {number} of {path} cannot be read ({type(error).__name__}: {error}). Wanted an image as 'wordsight "
                "audit' writes it; the file may be cut off or changed. Run 'wordsight audit' again."
            ) from error
    return images


def _image(entry: object) -> AuditedImage:
    """One line of ``images.jsonl``; a label that is no text would match nothing later, without an error."""
    if not isinstance(entry, dict):
        raise TypeError(f"{type(entry).__name__} instead of an object")
    grouped = ["group"] if entry.get("group") is not None else []
    for name in ("image", "label", "predicted", *grouped):
        if not isinstance(entry[name], str):
            raise TypeError(f"{name} is {entry[name]!r}, not text")
    for word, rate in entry["words"].items():
        if not 0 <= rate <= 1:
            raise ValueError(f"the rate of {word!r} is {rate}, not in [0, 1]")
    return AuditedImage(**{**entry, "path": Path(entry["path"])})
