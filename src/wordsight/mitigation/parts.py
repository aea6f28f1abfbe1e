"""Which images train the new head, and which are measured on: none that trained the old head or chose the finding."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from wordsight.audits.duplicates import fold
from wordsight.classifiers.head import image_key
from wordsight.errors import LabelError
from wordsight.images.sets import LabelledImages
from wordsight.mitigation import LEAST
from wordsight.mitigation.reweight import hold_out
from wordsight.tensors import Features


@dataclass(frozen=True)
class Parts:
    """``train``: images that train the new head. ``held``: those measured on, no copies of each other or of any other image.

    ``rest``: images that are neither measured on nor copies of such; they may choose something, since nothing is measured there.
    """

    train: Bool[Tensor, " images"]
    held: Bool[Tensor, " images"]
    rest: Bool[Tensor, " images"]


def split_up(
    images: LabelledImages,
    z: Features,
    digests: Sequence[str],
    label: Int[Tensor, " images"],
    group: Int[Tensor, " images"],
    *,
    trained_on: frozenset[str],
    found_on: frozenset[str],
    share: float,
    seed: int,
) -> Parts:
    """Divide the images. ``trained_on``: what trained the old head; ``found_on``: what chose the finding (as ``Head`` names images).

    With splits, "train" trains and "test" is measured on, or "val" where no image of "test" is left. Without, what trained the old
    head trains the new one, and all others are measured on; if it is not known, a ``share`` of each group is.
    Raises LabelError for other splits, and if no image is left to measure on.
    """
    known = [image_key(digest) for digest in digests]
    trained, found = (torch.tensor([digest in of for digest in known]) for of in (trained_on, found_on))
    splits = None if images.splits is None else np.array(images.splits)
    before = trained | found
    if splits is not None:
        if "train" not in splits or not {"test", "val"} & set(splits.tolist()):
            raise LabelError(
                f"The data has the splits {', '.join(sorted(set(splits.tolist())))}; wanted train, and test or val. Give them "
                "these names, or leave the column out."
            )
        before = before | torch.from_numpy(splits == "train")
    once = _once(z, digests, before)
    fresh = once & ~before
    if splits is not None:
        train = torch.from_numpy(splits == "train")
        held = fresh & torch.from_numpy(splits == "test")
        held = held if held.any() else fresh & torch.from_numpy(splits == "val")
    elif set(label[trained].tolist()) == set(label.tolist()):
        train, held = trained, fresh
    else:
        held = hold_out(share, group, seed=seed, among=fresh)
        train = (before | fresh) & ~held
    if not held.any():
        raise LabelError(
            f"Of {len(held)} images {int(trained.sum())} trained the classifier's head, {int((found & ~trained).sum())} others are "
            f"those that the finding was found on and {int((~once & ~before).sum())} are copies of others: none is left to "
            f"measure on, wanted at least {LEAST} of each of {len(group.unique())} groups. Give more images, or audit a part of "
            "them only (--split)."
        )
    return Parts(train, held, (before | fresh) & ~held)


def _once(z: Features, digests: Sequence[str], first: Bool[Tensor, " images"]) -> Bool[Tensor, " images"]:
    """Images that are no copy of another one (see ``duplicates.fold``); of a set of copies one of the ``first`` images counts."""
    order = [int(i) for i in np.argsort(~first.numpy(), kind="stable")]
    counted = fold(z.numpy()[order], [digests[i] for i in order])
    once = torch.zeros(len(first), dtype=torch.bool)
    once[[order[i] for i in counted.tolist()]] = True
    return once
