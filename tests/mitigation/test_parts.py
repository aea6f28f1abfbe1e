"""Which images train the new head, and which are measured on."""

import numpy as np
import pytest
import torch

from wordsight.errors import LabelError
from wordsight.images.sets import LabelledImages
from wordsight.mitigation.accuracies import Groups, measurable
from wordsight.mitigation.parts import split_up
from wordsight.mitigation.reweight import hold_out

DIGESTS = [f"{i:016x}" + "f" * 48 for i in range(60)]


def parts_of(*, splits=None, trained=(), found=(), z=None, digests=DIGESTS):
    label = torch.arange(60) % 2
    z = torch.randn(60, 40, generator=torch.Generator().manual_seed(0)) if z is None else z
    images = LabelledImages([], ["cat", "dog"] * 30, None, splits)
    known = {"trained_on": frozenset(DIGESTS[i][:16] for i in trained), "found_on": frozenset(DIGESTS[i][:16] for i in found)}
    return split_up(images, z, digests, label, label, **known, share=0.3, seed=0)


def rows(mask) -> list[int]:
    return mask.nonzero().flatten().tolist()


def test_what_trained_the_head_trains_again_and_the_rest_is_measured_on():
    parts = parts_of(trained=range(40), found=range(40, 50))
    assert (rows(parts.train), rows(parts.held), rows(parts.rest)) == ([*range(40)], [*range(50, 60)], [*range(50)])


def test_where_it_is_not_known_a_share_of_the_images_that_did_not_choose_the_finding_is_measured_on():
    parts = parts_of(found=range(30))
    assert int(parts.held.sum()) == 18  # 30% of each class of 30, all of the 30 others
    assert not parts.held[:30].any()
    assert torch.equal(parts.train, ~parts.held)


def test_splits_are_kept_without_what_was_seen():
    splits = ["train"] * 20 + ["val"] * 20 + ["test"] * 20
    assert rows(parts_of(splits=splits, found=range(40, 45)).held) == [*range(45, 60)]
    assert rows(parts_of(splits=splits, found=range(40, 60)).held) == [*range(20, 40)]
    assert rows(parts_of(splits=splits, found=range(40, 60)).train) == [*range(20)]


def test_copies_of_what_was_seen_and_of_each_other_are_not_measured_on():
    z = torch.randn(60, 40, generator=torch.Generator().manual_seed(0))
    z[50] = 1.01 * z[3]  # a resized copy of an image that trained the head
    z[59] = z[58]
    same = [*DIGESTS[:51], DIGESTS[4], *DIGESTS[52:]]
    parts = parts_of(trained=range(50), z=z, digests=same)
    assert rows(parts.held) == [*range(52, 59)]
    assert rows(parts.rest[50:]) == [1]  # the very file that trained the head


def test_nothing_left_says_how_many_are_wanted():
    with pytest.raises(
        LabelError,
        match=r"Of 60 images 50 trained the classifier's head, 10 others are those that the finding was found on and 0 are copies "
        r"of others: none is left to measure on, wanted at least 10 of each of 2 groups\. Give more images, or audit a part",
    ):
        parts_of(trained=range(50), found=range(50, 60))


def test_only_free_images_are_held_out():
    group, free = torch.tensor([0] * 10 + [1] * 10), torch.arange(20) >= 8
    held = hold_out(0.3, group, seed=0, among=free)
    assert rows(held[:10]) == [8, 9]
    assert int(held[10:].sum()) == 3


def test_groups_that_the_verdict_needs():
    """Class 0 is the finding's. Groups: 0 without, 1 with; 2 and 3 of class 1; 4 and 5 of class 2."""
    label = torch.tensor([0] * 40 + [1] * 30 + [2] * 14)
    number = torch.tensor([0] * 20 + [1] * 20 + [2] * 15 + [3] * 15 + [4] * 10 + [5] * 4)
    held = torch.ones(84, dtype=torch.bool)
    found = measurable(Groups(number, None), held, label, 0)
    assert (found.counted, found.small, found.enough) == ({0, 1, 2, 3, 4}, {5: 4}, True)
    held[:11] = False  # nine images of class 0 without the word
    assert not measurable(Groups(number, None), held, label, 0).enough
    # No image of another class has the word: it cannot be known whether such images are mistaken.
    without = torch.tensor(np.where(number == 3, 2, np.where(number == 5, 4, number)))
    found = measurable(Groups(without, None), torch.ones(84, dtype=torch.bool), label, 0)
    assert (found.small, found.enough) == ({3: 0, 5: 0}, False)
    # Of the data's own groups all are needed.
    names = [f"group {i}" for i in range(6)]
    assert not measurable(Groups(number, names), torch.ones(84, dtype=torch.bool), label, 0).enough
