"""The photographs of the shortcut benchmark, their groups, and how they are split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shortcut_tasks import ALL, CLASSES, WORDS, Task
from starter_data import lines
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions

#: Heads are trained on sets in which class and attribute agree in these shares of the images.
AGREEMENTS = (0.5, 0.7, 0.8, 0.9, 0.95)
_LEAST_TRAINING = 20
_FOR_TRAINING = 2 / 3


@dataclass(frozen=True)
class Photographs:
    """All photographs with features and captions; everything else names them by row.

    ``seen``: which ones the starter's translator was trained on. ``of_set``: the set of each.
    """

    files: list[Path]
    of_set: np.ndarray
    seen: Bool[np.ndarray, " images"]
    views: Float[Tensor, "images views features"]
    captions: list[list[str]]

    @property
    def z(self) -> Float[Tensor, "images features"]:
        """Features, the mean over views."""
        return self.views.mean(1)

    def has(self, attribute: str) -> Bool[np.ndarray, " images"]:
        """Photographs of which at least two captions name it, or one of fewer than four."""
        captions = np.array([len(own) for own in self.captions])
        return self._named(attribute) >= np.where(captions < 4, 1, 2)

    def lacks(self, attribute: str) -> Bool[np.ndarray, " images"]:
        """Photographs of which no caption names it."""
        return self._named(attribute) == 0

    def share(self, attribute: str) -> Float[np.ndarray, " images"]:
        """The share of each photograph's captions that name it."""
        return self._named(attribute) / np.array([len(own) for own in self.captions])

    def _named(self, attribute: str) -> Int[np.ndarray, " images"]:
        words = set(WORDS[attribute].split())
        return np.array([sum(bool(set(c.lower().replace(".", " ").split()) & words) for c in own) for own in self.captions])

    def of_class(self, name: str) -> Bool[np.ndarray, " images"]:
        """Photographs of a class."""
        there, missing = CLASSES[name]
        return self.has(there) & np.logical_and.reduce([self.lacks(other) for other in missing])


def photographs(shared: Path, explainer: Explainer) -> Photographs:
    """The train and dev photographs of every set of scenes."""
    files, of_set, seen, views, captions = [], [], [], [], []
    for part in ("train", "dev"):
        named = [(name, image) for name in ALL for image in lines(shared / name / f"{part}.txt")]
        of_part = [shared / name / "images" / image for name, image in named]
        found = extract_stored(explainer.classifier, of_part, cache_folder() / "features", mirrored=part == "train")
        assert not found.failures, found.failures
        # Features of the mirror images, which train_starter.py has extracted, too, come after the image's own.
        views.append(found.views[:, : found.views.shape[1] // 2] if part == "train" else found.views)
        told = {name: read_captions(shared / name / "captions.csv") for name in ALL}
        captions += [told[name][image] for name, image in named]
        files += of_part
        of_set += [name for name, _ in named]
        seen += [part == "train"] * len(named)
    return Photographs(files, np.array(of_set), np.array(seen), torch.cat(views), captions)


def groups(of: Photographs, task: Task) -> list[np.ndarray]:
    """Rows of the four groups: class a with x, a with y, b with x, b with y."""
    x = of.has(task.x) & (of.lacks(task.y) if task.y else True)
    y = (of.has(task.y) & of.lacks(task.x)) if task.y else of.lacks(task.x)
    here = np.isin(of.of_set, task.sets)
    return [np.flatnonzero(here & of.of_class(c) & a) for c in (task.a, task.b) for a in (x, y)]


@dataclass(frozen=True)
class Split:
    """Rows of each group for training, testing, a balanced audit and one as biased as the training."""

    train: list[np.ndarray]
    test: list[np.ndarray]
    balanced: list[np.ndarray]
    biased: list[np.ndarray]  # may be some of the balanced audits' images, but none that was trained on or tested with
    unseen: list[np.ndarray] | None  # balanced, none of it seen by the translator; None if a group has fewer than ten

    def halves(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The test images in two: what decides, and what is measured on."""
        return [group[::2] for group in self.test], [group[1::2] for group in self.test]


def split(rows: list[np.ndarray], agreement: float, seed: int, seen: np.ndarray) -> Split:
    """Draw them: 25 to 60 test images a group, at most 400 training images a class, as many at every agreement."""
    draw = np.random.default_rng(seed)
    rows = [draw.permutation(group) for group in rows]
    held = min(60, max(25, min(map(len, rows)) // 4))
    fewest = min(held, *(int((~seen[g]).sum()) for g in rows))
    unseen = [g[~seen[g]][:fewest] for g in rows] if fewest >= 10 else None
    if unseen is not None and min(len(g) for g in rows) - fewest >= 2 * held + _LEAST_TRAINING:
        rows = [g[~np.isin(g, u)] for g, u in zip(rows, unseen, strict=True)]
    else:
        unseen = None
    test, audit, rest = ([g[:held] for g in rows], [g[held : 2 * held] for g in rows], [g[2 * held :] for g in rows])
    # A third of the scarcest group stays for the biased audit, which else would have an image or two against the shortcut.
    fitting = min(_fitting(rest, (max(AGREEMENTS), 0.5, 0.5, max(AGREEMENTS))))
    assert min(map(len, test)) >= 25, "too few test images"
    assert fitting >= _LEAST_TRAINING, f"only {fitting} training images a class"
    most = min(400, max(_LEAST_TRAINING, round(_FOR_TRAINING * fitting)))
    shares = (agreement, 1 - agreement, 1 - agreement, agreement)
    train = [g[: round(most * share)] for g, share in zip(rest, shares, strict=True)]
    kept = unseen or [np.empty(0, dtype=int)] * 4
    spare = [np.concatenate([a, g[len(t) :], u]) for a, g, t, u in zip(audit, rest, train, kept, strict=True)]
    many = min(200, *_fitting(spare, shares))
    biased = [g[: round(many * share)] for g, share in zip(spare, shares, strict=True)]
    return Split(train, test, audit, biased, unseen)


def _fitting(groups: list[np.ndarray], shares: tuple[float, ...]) -> list[int]:
    """How many images a class could have, by each group."""
    return [int(len(group) / share) for group, share in zip(groups, shares, strict=True)]


def labels_of(rows: list[np.ndarray]) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """All rows, their class and their group."""
    group = torch.tensor(np.repeat(range(4), [len(g) for g in rows]))
    return np.concatenate(rows), group // 2, group
