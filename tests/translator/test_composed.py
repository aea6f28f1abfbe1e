"""Features composed for captions without images."""

import pytest
import torch

from doubles import tiny_classifier
from wordsight.classifiers.imagenet import imagenet_classes, imagenet_labels
from wordsight.errors import FeatureError
from wordsight.translator.classes import ClassCaptions, toward_classes, with_article
from wordsight.translator.composed import Composer, with_composed


def views_of(z: torch.Tensor) -> torch.Tensor:
    """Two views an image, a little to either side of its features."""
    return torch.stack([z + 0.1, z - 0.1], 1)


def test_what_a_word_adds_is_found_with_the_other_words_fixed():
    # Dogs often run here: only a regression on both words tells what each adds.
    captions = [["dog running"]] * 8 + [["dog"]] * 4 + [["running"]] * 4 + [["tree"]] * 4
    dog = torch.tensor(["dog" in c[0] for c in captions]).float()
    running = torch.tensor(["running" in c[0] for c in captions]).float()
    z = torch.stack([3 * dog, 2 * running, torch.ones(20)], 1)
    composer = Composer(views_of(z), captions, ridge=1e-3)
    effect = dict(zip(composer.vocabulary, composer.effect, strict=True))
    # Without a tree there is a dog or something running: the three are measured against each other, to a constant.
    assert effect["dog"].tolist() == pytest.approx([3, 0, 0], abs=0.01)
    assert effect["running"].tolist() == pytest.approx([0, 2, 0], abs=0.01)
    # The rest of an image without a dog, and a dog in it.
    made = composer.compose([["a dog"]], torch.tensor([19]))
    assert made.shape == (1, 2, 3)
    assert made[0].tolist() == [pytest.approx([3.1, 0.1, 1.1], abs=0.02), pytest.approx([2.9, -0.1, 0.9], abs=0.02)]
    added = composer.compose([["a dog"]], torch.tensor([19]), torch.tensor([[0.0, 0, 5]]))
    assert added[0, 0].tolist() == pytest.approx([3.1, 0.1, 6.1], abs=0.02)


def test_what_an_image_shows_beside_its_words_stays():
    captions = [["dog"]] * 4 + [["cat"]] * 4
    z = torch.tensor([[1.0, 0]] * 4 + [[0.0, 0]] * 4)
    z[5, 1] = 7.0  # said by no caption
    composer = Composer(views_of(z), captions, ridge=1e-3)
    made = composer.compose([["a dog"], ["a dog"]], torch.tensor([5, 6])).mean(1)
    assert (made[0] - made[1]).tolist() == pytest.approx([0, 7], abs=1e-4)


def test_features_stay_positive_where_the_images_have_no_negative_ones():
    captions = [["dog"]] * 4 + [["cat"]] * 4
    z = torch.tensor([[1.0, 0.2]] * 4 + [[0.2, 1.0]] * 4)
    composer = Composer(views_of(z), captions)
    made = composer.compose([["dog"]], torch.tensor([7]), torch.tensor([[-9.0, 0]]))
    assert made[0, :, 0].tolist() == [0, 0]
    composer = Composer(views_of(z) - 5, captions)
    assert composer.compose([["dog"]], torch.tensor([7]), torch.tensor([[-9.0, 0]])).min() < -9


def test_the_image_that_lends_the_rest_has_similar_words():
    captions = [["a dog in the snow"]] * 5 + [["a cat on a sofa"]] * 5 + [["a red bus"]] * 5
    composer = Composer(torch.rand(15, 2, 4), captions)
    drawn = composer.similar([["snow with a dog"]] * 200 + [["a bus"]] * 200, torch.Generator().manual_seed(0))
    assert set(drawn[:200].tolist()) == set(range(5))
    assert set(drawn[200:].tolist()) == set(range(10, 15))


def test_captions_of_a_class_are_people_s_with_its_name():
    classes = {c.name: c for c in imagenet_classes()}
    assert len(imagenet_classes()) == 1000
    known = ClassCaptions(["A dog runs on the grass.", "the man holds a fish in his hand", "dog"])
    generator = torch.Generator().manual_seed(0)
    assert known.draw(classes["Irish setter"], generator) == ["An Irish setter runs on the grass.", "A dog runs on the grass."]
    assert known.draw(classes["tench"], generator)[0] == "The man holds a tench in his hand"
    assert known.draw(classes["umbrella"], generator) == ["An umbrella.", "There is an umbrella."]
    assert with_article("eel") == "an eel"


def test_how_far_a_class_is_added():
    weight = 3 * torch.eye(4)  # of length 3: only its direction counts
    # Two images of two views; from their mean, (2, 1, 2, 2), each lies 1 along its predicted class's direction.
    views = torch.tensor([[[3.0, 0, 2, 2], [3, 0, 2, 2]], [[1.0, 2, 2, 2], [1, 2, 2, 2]]])
    options = {"generator": torch.Generator().manual_seed(0)}
    added = toward_classes(weight, views, torch.tensor([0, 1]), reach=(2.0, 2.0), **options)
    assert added.tolist() == (2 * torch.eye(4)).tolist()
    length = toward_classes(weight, views, torch.tensor([0, 1]), reach=(1.0, 3.0), **options).diagonal()
    assert (length >= 1).all()
    assert (length <= 3).all()
    assert len(set(length.tolist())) == 4


def test_images_on_the_far_side_of_their_class_do_not_say_how_far_it_is_added():
    views = torch.tensor([[[3.0, 0]], [[1.0, 0]], [[2.0, 0]]])  # 1, -1 and 0 along the first class
    options = {"reach": (1.0, 1.0), "generator": torch.Generator().manual_seed(0)}
    assert toward_classes(torch.eye(2), views, torch.zeros(3, dtype=torch.long), **options).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(FeatureError, match="None of the 3 images lies farther along the direction of the class"):
        toward_classes(torch.eye(2), views, torch.ones(3, dtype=torch.long), **options)


def test_how_far_is_drawn_from_the_images_and_from_the_reach():
    views = torch.tensor([[[3.0, 0]], [[1.0, 0]], [[-4.0, 0]]])  # so long along the first class; the third does not count
    weight, zeros = torch.eye(2)[:1].repeat(2000, 1), torch.zeros(3, dtype=torch.long)
    options = {"generator": torch.Generator().manual_seed(0)}
    far = toward_classes(weight, views, zeros, reach=(1.0, 1.0), **options)[:, 0]
    assert set(far.tolist()) == {1, 3}
    assert 900 < int((far == 3).sum()) < 1100
    far = toward_classes(weight, views, zeros, reach=(1.0, 2.0), **options)[:, 0]
    assert 2.9 < float(far.mean()) < 3.1  # (1 + 3) / 2 x (1 + 2) / 2
    # A row of zeros points nowhere, so nothing is added.
    assert toward_classes(torch.tensor([[1.0, 0], [0, 0]]), views, zeros, **options)[1].tolist() == [0, 0]


def test_images_then_text_then_classes():
    captions = [["a dog runs over the grass", "red dog"]] * 5 + [["a cat sleeps on a bed"]] * 5
    text = [["a dog on a sofa", "the dog sleeps on a sofa"], ["a cat"]]
    classifier = tiny_classifier(features=8, labels=imagenet_labels())
    views = torch.rand(10, 4, 8)
    options = {"classifier": classifier, "generator": torch.Generator().manual_seed(0)}
    made, told = with_composed(views, captions, text, draws=2, **options)
    assert made.shape == (2012, 4, 8)
    assert torch.equal(made[:10], views)
    assert told[:10] == captions
    assert told[10:12] == text
    for of, given in zip([*imagenet_classes()] * 2, told[12:], strict=True):
        assert len(given) == 2
        assert of.name.lower() in given[0].lower()
    assert {given[1] for given in told[12:] if "setter" in given[0]} == {"a dog runs over the grass"}
    # Without text and classes nothing is composed.
    assert with_composed(views, captions, [], draws=0, **options)[0] is views
