"""What a mitigation did, as plain data."""

from dataclasses import dataclass

from wordsight.audits.findings import Group
from wordsight.audits.statistics import Estimate


@dataclass(frozen=True)
class Accuracies:
    """How well a head does on held-out images. All shares are in [0, 1].

    ``average``: of all images. ``reweighted``: mean of the groups' accuracies weighed by the training set's group sizes (the
    Waterbirds convention). ``worst``: of the worst group. Groups are label and true group where the data has them, else label
    and presence of the word (pseudo-groups). ``severity``: the finding's own, with this head; None if a side has no image.
    """

    average: float
    reweighted: float
    worst: float
    groups: list[Group]
    severity: Estimate | None


@dataclass(frozen=True)
class Mitigation:
    """A finding, what was done about it, and how well the heads do before and after, on the same held-out images.

    ``true_groups`` says whether the groups are the data's own. ``better``: the worst group improved.
    """

    label: str
    word: str
    method: str
    true_groups: bool
    before: Accuracies
    after: Accuracies

    @property
    def better(self) -> bool:
        """Whether the worst group is predicted right more often than before."""
        return self.after.worst > self.before.worst
