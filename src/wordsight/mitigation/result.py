"""The result of a mitigation, as plain data."""

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wordsight.audits.findings import Group
from wordsight.audits.statistics import Estimate
from wordsight.classifiers.head import Head, save_head
from wordsight.mitigation import VERDICTS

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Accuracies:
    """The accuracies of a head on held-out images, in [0, 1].

    - ``average``: of all images.
    - ``reweighted``: the mean of the groups' accuracies, weighted by the training set's group sizes (the Waterbirds convention).
    - ``worst``: of the worst group.
    - ``groups``: of label and true group where the data has groups, else of label and presence of the word (pseudo-groups).
    - ``severity``: of the finding, with this head, in [-1, 1]; None if a side has no image.
    """

    average: float
    reweighted: float
    worst: float
    groups: list[Group]
    severity: Estimate | None


@dataclass(frozen=True)
class Mitigation:
    """A finding, the new head, and the accuracies of the old and the new head on the same held-out images.

    - ``label`` and ``word``: of the finding. ``method``: one of ``METHODS``.
    - ``true_groups``: whether the groups are the data's own.
    - ``before`` and ``after``: with the classifier's own head and with the new one.
    - ``worst_change`` and ``average_change``: from one head to the other, with 95% intervals for pairs (see ``paired``).
    - ``too_small``: groups of fewer than ``LEAST`` held-out images, with their number: they do not count as the worst group.
    - ``words``: where the word's rates came from. ``failures``: images that could not be read, with reasons.
    - ``head``: the new head.
    - ``masked``: the folder of the masked images, for the method "mask".
    """

    label: str
    word: str
    method: str
    true_groups: bool
    before: Accuracies
    after: Accuracies
    worst_change: Estimate
    average_change: Estimate
    too_small: dict[str, int] = field(default_factory=dict)
    words: str = "sentences"
    failures: dict[str, str] = field(default_factory=dict)
    head: Head | None = field(default=None, repr=False, compare=False)
    masked: Path | None = field(default=None, compare=False)

    @property
    def verdict(self) -> str:
        """One of ``VERDICTS``: whether the interval of the worst group's change lies above 0, below 0, or holds it."""
        return VERDICTS[0] if self.worst_change.low > 0 else VERDICTS[2] if self.worst_change.high < 0 else VERDICTS[1]

    @property
    def better(self) -> bool:
        """Whether the worst group is better beyond chance."""
        return self.verdict == VERDICTS[0]

    def save(self, path: str | Path) -> Path:
        """Write the new head and its figures as one safetensors file, atomically; returns its path. Use it as ``head:PATH``.

        A missing folder is made. Raises OSError if the file cannot be written.
        """
        assert self.head is not None
        figures = {"mitigation": {"label": self.label, "word": self.word, "method": self.method}, **self.head.figures}
        for name, accuracies in (("before", self.before), ("after", self.after)):
            figures[name] = {"average": accuracies.average, "worst": accuracies.worst}
        save_head(path, replace(self.head, figures=figures))
        return Path(path)

    def to_json(self, *, head: str | Path | None = None) -> str:
        """One line of JSON: the finding, the accuracies before and after. ``head``: the path that the head was saved to."""
        entry = {key: getattr(self, key) for key in ("label", "word", "words", "method", "true_groups", "verdict")}
        entry |= {"worst_change": asdict(self.worst_change), "average_change": asdict(self.average_change)}
        entry |= {"too_small": self.too_small, "left_out": len(self.failures)}
        entry |= {"head": None if head is None else str(head), "masked": None if self.masked is None else str(self.masked)}
        return json.dumps(entry | {"before": asdict(self.before), "after": asdict(self.after)})

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row a group, then the averages: images, accuracy before, after and the change, in [0, 1]."""
        import pandas

        rows = []
        for old, new in zip(self.before.groups, self.after.groups, strict=True):
            presence = "" if old.present is None else f", {'with' if old.present else 'without'} '{self.word}'"
            rows.append((old.label + presence, old.images, old.accuracy, new.accuracy))
        images = sum(group.images for group in self.before.groups)
        for name in ("average", "reweighted", "worst"):
            rows.append((name, images, getattr(self.before, name), getattr(self.after, name)))
        table = pandas.DataFrame(rows, columns=["group", "images", "before", "after"])
        table["change"] = table["after"] - table["before"]
        return table

    def plot(self) -> "Figure":
        """Accuracy of every group and on average, before and after."""
        from wordsight.report.charts import mitigation_figure

        return mitigation_figure(self)

    def _repr_html_(self) -> str:
        from wordsight.report.notebook import mitigation_html

        return mitigation_html(self)
