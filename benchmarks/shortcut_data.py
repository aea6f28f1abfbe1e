"""The photographs of the shortcut benchmark, their groups, and how they are split."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from shortcut_tasks import CLASSES, WORDS, Task
from starter_data import lines
from wordsight.explain import Explainer
from wordsight.features.extraction import extract_stored
from wordsight.storage import cache_folder
from wordsight.translator.captions import read_captions

#: Heads are trained on sets in which class and attribute agree in these shares of the images.
AGREEMENTS = (0.5, 0.7, 0.8, 0.9, 0.95)
#: Photographs of dev by whose loss the starter's weights were chosen.
_CHOSEN_BY = 200
_LEAST_TRAINING = 25
_FOR_TRAINING = 2 / 3


@dataclass(frozen=True)
class Photographs:
    """All photographs with features and captions; everything else names them by row."""

    files: list[Path]
    seen: np.ndarray  # trained on by the translator, or chosen by
    z: torch.Tensor
    captions: list[list[str]]

    def has(self, attribute: str) -> np.ndarray:
        """Photographs of which at least two captions name it."""
        return self._named(attribute) >= 2

    def lacks(self, attribute: str) -> np.ndarray:
        """Photographs of which no caption names it."""
        return self._named(attribute) == 0

    def _named(self, attribute: str) -> np.ndarray:
        words = set(WORDS[attribute].split())
        return np.array([sum(bool(set(c.lower().replace(".", " ").split()) & words) for c in own) for own in self.captions])

    def of_class(self, name: str) -> np.ndarray:
        """Photographs of a class."""
        there, missing = CLASSES[name]
        return self.has(there) & np.logical_and.reduce([self.lacks(one) for one in missing])


def photographs(shared: Path, explainer: Explainer) -> Photographs:
    """Flickr8k's train and dev splits."""
    flickr = shared / "flickr8k"
    train, dev = lines(flickr / "train.txt"), lines(flickr / "dev.txt")
    captions = read_captions(flickr / "captions.csv")
    files = [flickr / "images" / name for name in train + dev]
    found = extract_stored(explainer.classifier, files, cache_folder() / "features")
    assert not found.failures, found.failures
    z = found.views.mean(1)
    seen = np.arange(len(files)) < len(train) + _CHOSEN_BY
    return Photographs(files, seen, z, [captions[f.name] for f in files])


def groups(of: Photographs, task: Task) -> list[np.ndarray]:
    """Rows of the four groups: class a with x, a with y, b with x, b with y."""
    x = of.has(task.x) & (of.lacks(task.y) if task.y else True)
    y = (of.has(task.y) & of.lacks(task.x)) if task.y else of.lacks(task.x)
    return [np.flatnonzero(of.of_class(c) & a) for c in (task.a, task.b) for a in (x, y)]


@dataclass(frozen=True)
class Split:
    """Rows of each group for training, testing, a balanced audit and one as biased as the training."""

    train: list[np.ndarray]
    test: list[np.ndarray]
    balanced: list[np.ndarray]
    biased: list[np.ndarray]  # may be some of the balanced audits' images, but none that was trained on or tested with
    unseen: list[np.ndarray] | None  # balanced, none of it seen by the translator; None if a group has fewer than ten

    def audited(self) -> list[np.ndarray]:
        """Rows of all audits."""
        return self.balanced + self.biased + (self.unseen or [])


def split(rows: list[np.ndarray], agreement: float, seed: int, seen: np.ndarray) -> Split:
    """Draw them: 25 to 60 test images a group, at most 400 training images a class, as many at every agreement."""
    draw = np.random.default_rng(seed)
    rows = [draw.permutation(group) for group in rows]
    held = min(60, max(25, min(map(len, rows)) // 4))
    fewest = min(held, *(int((~seen[g]).sum()) for g in rows))
    unseen = [g[~seen[g]][:fewest] for g in rows] if fewest >= 10 else None
    if unseen is not None:
        rows = [g[~np.isin(g, u)] for g, u in zip(rows, unseen, strict=True)]
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
