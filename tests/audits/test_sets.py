"""Sets of images by conditions, and their words, against numbers worked out by hand."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from wordsight.audits.result import AuditedImage
from wordsight.audits.sets import compare, select
from wordsight.errors import LabelError


def image(i: int, label: str, predicted: str, group: str | None = None, **words: float) -> AuditedImage:
    return AuditedImage(f"{i}.png", Path(f"{i}.png"), label, predicted, 0.9, words, "", group)


IMAGES = [
    image(0, "duck", "duck", "pond", water=0.9),
    image(1, "duck", "duck", "pond", water=0.7),
    image(2, "duck", "hen", "yard", water=0.2, straw=0.4),
    image(3, "duck", "hen", "pond", water=0.4),
    image(4, "hen", "hen", "yard", straw=0.6),
    image(5, "hen", "duck", "pond", water=0.5),
    image(6, "hen", "hen", "yard", straw=0.2, farm=0.3),
]


@pytest.mark.parametrize(
    ("conditions", "rows"),
    [
        ("class=duck", [0, 1, 2, 3]),
        ("predicted=duck", [0, 1, 5]),
        ("group=yard", [2, 4, 6]),
        ("right", [0, 1, 4, 6]),
        ("wrong", [2, 3, 5]),
        ("class=duck,wrong", [2, 3]),
        ("wrong,group=pond,class=duck", [3]),
        (" wrong , class = duck ", [2, 3]),
        ("right,wrong", []),
    ],
)
def test_all_conditions_have_to_hold(conditions, rows):
    assert select(IMAGES, conditions).nonzero()[0].tolist() == rows


def test_a_class_may_have_a_comma_or_a_condition_in_its_name():
    images = [image(0, "shark, white", "right"), image(1, "right", "right"), image(2, "a=b", "a=b")]
    assert select(images, "class=shark, white").tolist() == [True, False, False]
    assert select(images, "class=shark, white, wrong").tolist() == [True, False, False]
    assert select(images, "predicted=right,right").tolist() == [False, True, False]
    assert select(images, "class=a=b,right").tolist() == [False, False, True]


@pytest.mark.parametrize("condition", ["duck", "", "Wrong", "wrong=yes", "split=test", "wrong,"])
def test_an_unknown_condition(condition):
    wanted = (
        rf"^Unknown condition '{condition}'\. Wanted class=NAME, predicted=NAME, group=NAME, right or wrong, or several of "
    )
    with pytest.raises(LabelError, match=wanted + r"them with commas between\.$"):
        select(IMAGES, condition)


def test_a_name_that_no_image_has():
    with pytest.raises(
        LabelError, match=r"^No image is class=hem; in this audit class is one of 'hen', 'duck'\. Wanted class="
    ):
        select(IMAGES, "class=hem")
    with pytest.raises(
        LabelError, match=r"^No image is predicted=ox; in this audit predicted is one of '(hen', 'duck|duck', 'hen)'\."
    ):
        select(IMAGES, "predicted=ox")
    with pytest.raises(LabelError, match=r"No image is group=yard,rigth; in this audit group is one of 'yard', 'pond'\."):
        select(IMAGES, "group=yard,rigth")
    many = [image(i, f"class {i}", "class 0") for i in range(30)]
    with pytest.raises(LabelError, match=r"class is one of 'class 2', ('class \d+', ){19}\.\.\.\. Wanted"):
        select(many, "class=class 2a")
    with pytest.raises(
        LabelError, match=r"'group=pond' came, but the audit's images have no group\. Audit a table with the col"
    ):
        select([replace(image, group=None) for image in IMAGES], "group=pond")


def test_a_set_against_all_others_by_hand():
    found = compare(IMAGES, "class=duck", min_images=2)
    assert (found.here, found.elsewhere) == ("class=duck", "all others")
    assert (found.images_here, found.images_elsewhere) == (4, 3)
    words = {word.word: word for word in found.words}
    assert set(words) == {"water", "straw"}  # one image has farm
    # Water: (0.9 + 0.7 + 0.2 + 0.4) / 4 less 0.5 / 3. Straw: 0.4 / 4 less 0.8 / 3. Who does not say it counts with 0.
    assert words["water"].here == pytest.approx(0.55)
    assert words["water"].difference.value == pytest.approx(0.55 - 0.5 / 3)
    assert words["straw"].difference.value == pytest.approx(0.1 - 0.8 / 3)
    # Straw's variances are 0.04 and 0.28 / 3, errors squared 0.01 and 0.28 / 9; degrees of freedom
    # (0.01 + 0.28/9)^2 / (0.01^2 / 3 + (0.28/9)^2 / 2) = 3.267, for which Student's quantile is 3.0401.
    reach = 3.0401 * (0.01 + 0.28 / 9) ** 0.5
    assert words["straw"].difference.high == pytest.approx(0.1 - 0.8 / 3 + reach, abs=1e-4)


def test_a_set_against_another():
    found = compare(IMAGES, "wrong,class=duck", "right,class=duck", min_images=2)
    assert (found.images_here, found.images_elsewhere) == (2, 2)
    (water,) = found.words
    assert (water.here, water.elsewhere) == (pytest.approx(0.3), pytest.approx(0.8))


def test_a_small_set_may_show_fewer_images_of_a_word():
    """Both of two images have it: no five can."""
    images = [*IMAGES, image(7, "ox", "ox", horn=0.5), image(8, "ox", "ox", horn=0.6)]
    assert "horn" in {word.word for word in compare(images, "class=ox").words}
    assert {word.word for word in compare(images, "class=duck").words} == {"water"}  # five images have it
    assert compare(images, "class=ox").words[0].word == "horn"


def test_sets_that_cannot_be_compared():
    with pytest.raises(
        LabelError, match=r"^2 of the 7 images are both 'class=duck' and 'wrong', wanted two sets without an im"
    ):
        compare(IMAGES, "class=duck", "wrong")
    few = r"images are in the set '%s', wanted at least two\. Choose other conditions, or audit more images\.$"
    with pytest.raises(LabelError, match="^0 " + few % "right,wrong"):
        compare(IMAGES, "right,wrong")
    with pytest.raises(LabelError, match="^1 " + few % "class=hen,wrong"):
        compare(IMAGES, "class=duck", "class=hen,wrong")
    with pytest.raises(LabelError, match="^0 " + few % "all others"):
        compare(IMAGES[:4], "class=duck")
    with pytest.raises(
        LabelError, match=r"^No set came to compare with the other images\. Name one with --here\. Wanted class="
    ):
        compare(IMAGES)
    rare = [replace(image, words={"water": 0.09}) for image in IMAGES]
    with pytest.raises(
        LabelError, match=r"^There is nothing to compare: no word has a rate of 0.1 or more in 3 of the 7 images"
    ):
        compare(rare, "class=duck")


def test_before_and_after():
    # After: predicted right throughout, rates of water half as large; one image is new, one is gone.
    after = [replace(old, predicted=old.label, words={w: r / 2 for w, r in old.words.items()}) for old in IMAGES[1:]]
    after.append(image(9, "duck", "duck", "pond", water=1.0))
    found = compare(after, before=IMAGES, min_images=2)
    assert (found.here, found.elsewhere) == ("all, after", "the same images, before")
    assert (found.images_here, found.images_elsewhere) == (6, 6)
    water = next(word for word in found.words if word.word == "water")
    assert (water.here, water.elsewhere) == (pytest.approx(0.15), pytest.approx(0.3))
    # The second audit says which images are right; their words before are those of the same images, wrong or right.
    found = compare(after, "right,class=duck", before=IMAGES, min_images=2)
    assert (found.images_here, found.images_elsewhere) == (3, 3)
    assert found.words[0].elsewhere == pytest.approx((0.7 + 0.2 + 0.4) / 3)
    # Elsewhere is looked up in the first audit, where 2 and 3 are wrong; the same images may be here, too.
    found = compare(after, "class=duck", "class=duck,wrong", before=IMAGES, min_images=2)
    assert (found.here, found.elsewhere) == ("class=duck, after", "class=duck,wrong, before")
    assert (found.images_here, found.images_elsewhere) == (3, 2)
    assert next(word for word in found.words if word.word == "water").elsewhere == pytest.approx(0.3)


def test_audits_without_images_in_common():
    others = [replace(image, image=f"x/{image.image}") for image in IMAGES]
    wanted = (
        r"^The audits have 0 image names in common, wanted at least two; 7 and 6 images came, such as '0\.png' and 'x/1\.png'\."
    )
    with pytest.raises(LabelError, match=wanted + r" Audit the same images twice\.$"):
        compare(others[1:], before=IMAGES)
    with pytest.raises(LabelError, match=r"0 and 0 images came, such as none\. Audit"):
        compare([], before=[])


def test_a_row_a_word():
    images = [image(i, "duck" if i < 30 else "hen", "duck", water=0.5 + 0.01 * (i % 7) + 0.3 * (i < 30)) for i in range(60)]
    found = compare(images, "class=duck")
    frame = found.to_dataframe()
    assert list(frame.columns) == [
        "word", "here", "elsewhere", "difference", "difference_low", "difference_high",
        "separation", "separation_low", "separation_high", "q",
    ]  # fmt: skip
    (water,) = found.words
    assert found.differing() == [water]
    assert found.differing(false_discovery=water.q / 2) == []
    row = frame.iloc[0]
    assert (row["word"], row["here"]) == ("water", round(water.here, 4))
    assert 0 < row["q"] == pytest.approx(water.q, rel=1e-3)
    assert row["q"] < 1e-4
    assert isinstance(frame, pd.DataFrame)
