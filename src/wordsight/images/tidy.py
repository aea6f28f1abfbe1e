"""Labels, groups and splits as they were meant: without blanks around them, splits by their usual names."""

import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from wordsight.images.layout import split_name
from wordsight.images.sets import LabelledImages

logger = logging.getLogger(__name__)

#: Examples that a line of the log names.
_NAMED = 3


def tidied(images: LabelledImages, source: str) -> LabelledImages:
    """The same images; what was changed, and what looks wrong, is said in the log."""
    labels = _stripped(images.labels, f"labels of {source}")
    groups = None if images.groups is None else _stripped(images.groups, f"groups of {source}")
    splits = None if images.splits is None else _split_names([split.strip() for split in images.splits])
    _say_if_alike(labels, source)
    _say_if_contradictory(images, labels, source)
    return replace(images, labels=labels, groups=groups, splits=splits)


def _stripped(values: Sequence[str], shown: str) -> list[str]:
    plain = {value: unicodedata.normalize("NFC", printable(value)).strip() for value in set(values)}
    if changed := sorted(value for value, kept in plain.items() if value.strip() != value):
        examples = ", ".join(f"{value!r} is read as {plain[value]!r}" for value in changed[:_NAMED])
        logger.warning("%d %s have blanks around them: %s", len(changed), shown, examples)
    return [plain[value] for value in values]


def printable(text: str) -> str:
    """Text that any file can hold. File names that are not UTF-8, or that Python read in a locale without it, come with what is
    none: it is decoded, or else escaped.
    """
    try:
        return text.encode(errors="surrogateescape").decode()
    except UnicodeError:
        return text.encode(errors="backslashreplace").decode()


def _split_names(splits: Sequence[str]) -> list[str]:
    """Splits by their usual names, unless two of them would become one."""
    usual = {split: split_name(split) or split for split in set(splits)}
    return [usual[split] for split in splits] if len(set(usual.values())) == len(usual) else list(splits)


def _say_if_alike(labels: Sequence[str], source: str) -> None:
    by_case: dict[str, set[str]] = {}
    for label in set(labels):
        by_case.setdefault(label.casefold(), set()).add(label)
    for alike in sorted(sorted(names) for names in by_case.values() if len(names) > 1):
        logger.warning("labels of %s differ in nothing but case: %s; they are different classes", source, ", ".join(alike))


def _say_if_contradictory(images: LabelledImages, labels: Sequence[str], source: str) -> None:
    labels_of: dict[str, set[str]] = {}
    for path, label in zip(images.paths, labels, strict=True):
        labels_of.setdefault(str(path), set()).add(label)
    wrong = [(path, sorted(found)) for path, found in labels_of.items() if len(found) > 1]
    if wrong:
        path, found = wrong[0]
        logger.warning(
            "%d images of %s have more than one label; the first, %s: %s", len(wrong), source, path, ", ".join(found)
        )
