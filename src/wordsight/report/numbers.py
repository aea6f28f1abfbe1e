"""Numbers and groups as text."""

from wordsight.audits.findings import Group
from wordsight.audits.statistics import Estimate

_MINUS = "\N{MINUS SIGN}"


def percent(share: float) -> str:
    """A share, in [0, 1], as a whole percentage; with one decimal where rounding would give 0% or 100% wrongly."""
    whole = f"{share:.0%}"
    return f"{share:.1%}" if whole in ("0%", "100%") and share not in (0, 1) else whole


def points(share: float, *, signed: bool = False) -> str:
    """A difference of shares, in [-1, 1], in whole percentage points, with a minus sign instead of a hyphen."""
    number = f"{100 * share:+.0f}" if signed else f"{100 * share:.0f}"
    return with_minus("0" if float(number) == 0 else number)


def interval(estimate: Estimate) -> str:
    """The 95% interval of a difference of shares in points, with a remark if a positive difference is not certain."""
    text = f"95% interval {points(estimate.low)} to {points(estimate.high)}"
    # A difference that is rounded to 0 or is negative needs no such remark.
    return f"{text}, which includes no difference" if estimate.low <= 0 < round(100 * estimate.value) else text


def with_minus(text: str) -> str:
    """Text with minus signs instead of hyphens."""
    return text.replace("-", _MINUS)


def group_name(group: Group, word: str) -> str:
    """A group in words: its label, and whether its images have the word; a true group has its own name."""
    return group.label if group.present is None else f"{group.label}, {'with' if group.present else 'without'} “{word}”"
