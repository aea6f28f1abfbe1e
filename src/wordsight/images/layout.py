"""What the folders above images mean: classes, splits, or both."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from wordsight.errors import LabelError
from wordsight.images.sets import SPLITS

#: Folders that stand between the data set and its classes.
_CONTAINERS = frozenset(["images", "image", "imgs", "img", "data", "dataset"])

_SPLIT = re.compile(rf"({'|'.join(SPLITS)})(?:[ _-]?(?:set|data|images|imgs|split|\d+))*", re.IGNORECASE)
#: Folders that an error's tree shows at each level.
_SHOWN = 6

Parts = tuple[str, ...]
"""The folders between the data set and an image, and the image's name."""


@dataclass(frozen=True)
class Place:
    """What the folders of one image say of it."""

    label: str
    split: str | None = None


def split_name(folder: str) -> str | None:
    """The split that a folder's name stands for (``Training``, ``val2017``, ``test_set``); None for any other name."""
    found = _SPLIT.fullmatch(folder)
    return SPLITS[found[1].lower()] if found else None


def places(images: Sequence[Parts], source: str) -> list[Place | None]:
    """What the folders say of each image; None for one that lies in no class's folder.

    Known are class/image, split/class/image and class/split/image, each also inside one folder called images or data. A folder
    beside train and test is a split, too, if it has their classes. Raises LabelError, with the tree that was read, if folders may be
    classes as well as splits.
    """
    inside = [parts for parts in images if len(parts) > 1]
    tops = sorted({parts[0] for parts in inside})
    if len(tops) == 1 and _is_container(tops[0], inside):
        inner = iter(places([parts[1:] for parts in inside], source))
        return [next(inner) if len(parts) > 1 else None for parts in images]
    named = [top for top in tops if split_name(top)]
    nested = any(len(parts) > 2 for parts in inside if parts[0] in named)
    certain = len(named) == len(tops) or len({split_name(top) for top in named}) > 1
    if named and (nested or certain):
        return _by_split(images, source, named)
    if inside and all(len(parts) == 3 and split_name(parts[1]) for parts in inside):
        return [Place(parts[0], split_name(parts[1])) if len(parts) > 1 else None for parts in images]
    if len({split_name(folder) for parts in inside for folder in parts[1:-2]} - {None}) > 1:
        raise LabelError(_unclear(source, images, "splits lie in several folders"))
    return [Place(parts[0]) if len(parts) > 1 else None for parts in images]


def _is_container(top: str, inside: Sequence[Parts]) -> bool:
    """Whether the only folder is no class, but holds the splits or the classes."""
    if split_name(top) or any(len(parts) == 2 for parts in inside):
        return False
    generic = top.lower() in _CONTAINERS and len({parts[1] for parts in inside}) > 1
    return generic or any(split_name(folder) for parts in inside for folder in parts[1:-2])


def _by_split(images: Sequence[Parts], source: str, named: Sequence[str]) -> list[Place | None]:
    classes = {_class_of(parts) for parts in images if parts[0] in named and len(parts) > 2}
    if all(name.lower() in _CONTAINERS for name in classes):
        raise LabelError(_unclear(source, images, "splits have no folders of classes in them"))
    for top in sorted({parts[0] for parts in images if len(parts) > 1} - set(named)):
        own = {_class_of(parts) if len(parts) > 2 else None for parts in images if parts[0] == top and len(parts) > 1}
        if not own <= classes:
            raise LabelError(_unclear(source, images, f"'{top}' is neither a split nor has it the classes of the splits"))
    return [Place(_class_of(parts), split_name(parts[0]) or parts[0].lower()) if len(parts) > 2 else None for parts in images]


def _class_of(parts: Parts) -> str:
    """The class in split/class/image and in split/images/class/image."""
    _, folder, *below = parts
    return below[0] if folder.lower() in _CONTAINERS and len(below) > 1 else folder


def _unclear(source: str, images: Sequence[Parts], reason: str) -> str:
    return (
        f"The folders of {source} may be classes as well as splits: {reason}. Read was: {tree(images)}. Wanted class/image, or "
        "split/class/image with splits called train, val and test. Move or rename what is neither, or give a table with the "
        "columns image, label and split."
    )


def tree(images: Sequence[Parts]) -> str:
    """Folders, and the folders in them, with their numbers of images; at most ``_SHOWN`` of each."""
    tops = Counter(parts[0] for parts in images if len(parts) > 1)
    shown = []
    for top, count in sorted(tops.items())[:_SHOWN]:
        inner = Counter(parts[1] for parts in images if len(parts) > 2 and parts[0] == top)
        below = [f"{name}/ {number}" for name, number in sorted(inner.items())[:_SHOWN]]
        if len(inner) > _SHOWN:
            below.append(f"{len(inner) - _SHOWN} more")
        if direct := count - sum(inner.values()):
            below.append(f"{direct} images in no folder")
        shown.append(f"{top}/ ({', '.join(below)})")
    if len(tops) > _SHOWN:
        shown.append(f"{len(tops) - _SHOWN} more folders")
    return ", ".join(shown) or "no folder with images"
