"""Labelled images in folders: a folder for each class, perhaps inside folders for each split."""

import os
from collections import Counter
from pathlib import Path

from wordsight.errors import ImageError, LabelError
from wordsight.images.files import find_images
from wordsight.images.sets import SPLITS, LabelledImages, joined

#: Folders that programs leave behind.
_JUNK = frozenset(["__macosx", "__pycache__", "@eadir", "lost+found", "$recycle.bin", "system volume information"])
#: Folders that an error lists at most.
_SHOWN = 12


def folders(path: Path) -> LabelledImages:
    """The images of each class's folder; of train/cat/1.jpg the split is train, and of cat/train/1.jpg, too.

    Where some folders have the names of splits, the others are splits by their own names if they have folders of the same
    classes, and left out if they have no image. Anything else beside them is refused with the tree that was read: a folder
    "train" is hardly a class. A class without readable images is left out and named. Raises LabelError.
    """
    inside = _folders_in(path)
    named = [folder for folder in inside if folder.name.lower() in SPLITS]
    if len(inside) == 1 and any(below.name.lower() in SPLITS for below in _folders_in(inside[0])):
        return folders(inside[0])  # a data set unpacked into a folder of its own name
    if named:
        return _split_first(path, inside, named)
    if inside and all(_is_split_up(folder) for folder in inside):
        return _class_first(inside)
    left_out: dict[str, str] = {}
    paths: list[Path] = []
    labels: list[str] = []
    for folder in inside:
        try:
            found = find_images([folder])
        except ImageError as error:
            left_out[folder.name] = f"no image of the class is read. {error}"
            continue
        paths += found
        labels += [folder.name] * len(found)
    return LabelledImages(paths, labels, left_out=left_out)


def _split_first(path: Path, inside: list[Path], named: list[Path]) -> LabelledImages:
    classes = {below.name for folder in named for below in _folders_in(folder)}
    parts, left_out = [], {}
    for folder in inside:
        below = {part.name for part in _folders_in(folder)}
        if (folder in named and below) or (below and below <= classes):
            parts.append(folders(folder).as_split(SPLITS.get(folder.name.lower(), folder.name)))
        elif not _has_images(folder):
            left_out[folder.name] = "a folder without images beside the splits."
        else:
            raise LabelError(
                f"{path} has the folders {', '.join(f.name for f in inside)}: {', '.join(f.name for f in named)} "
                f"{'is the name of a split' if len(named) == 1 else 'are names of splits'}, and '{folder.name}' has images but no "
                f"folders of classes that the others have. Wanted a folder for each class, or for each split with the same classes "
                f"inside. It was read as:\n{_tree(path)}\nMove what is no split elsewhere, or name a split's folder itself."
            )
    return joined(parts, left_out)


def _class_first(inside: list[Path]) -> LabelledImages:
    parts, left_out = [], {}
    for folder in inside:
        for below in _folders_in(folder):
            if _has_images(below):
                found = find_images([below])
                split = SPLITS[below.name.lower()]
                parts.append(LabelledImages(found, [folder.name] * len(found), splits=[split] * len(found)))
            else:
                left_out[f"{folder.name}/{below.name}"] = "no image of the class is read."
    return joined(parts, left_out)


def _folders_in(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith(".") and p.name.lower() not in _JUNK)


def _is_split_up(folder: Path) -> bool:
    below = _folders_in(folder)
    return bool(below) and all(part.name.lower() in SPLITS for part in below)


def _has_images(folder: Path) -> bool:
    try:
        return bool(find_images([folder]))
    except ImageError:
        return False


def _tree(path: Path) -> str:
    """The folders with how many files each has, two levels deep."""
    lines = []
    for root, names, files in os.walk(path):
        depth = len(Path(root).relative_to(path).parts)
        names[:] = [] if depth >= 2 else sorted(names)
        kinds = Counter(Path(name).suffix.lower() or "no ending" for name in files)
        counted = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3))
        lines.append(f"{'  ' * (depth + 1)}{Path(root).name}/ {counted}".rstrip())
    return "\n".join(lines[:_SHOWN] + (["  ..."] if len(lines) > _SHOWN else []))
