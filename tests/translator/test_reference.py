"""Usual features, by hand."""

import torch

from wordsight.translator.reference import REFERENCES, reference_features


def test_a_usual_feature_is_half_way_to_the_image_most_like_it():
    z = torch.tensor([[0.0, 0.0], [1.0, 0.2], [0.0, 10.0], [0.2, 11.0]])
    # Standardised, the first two point one way and the last two the other.
    expected = torch.tensor([[0.5, 0.1], [0.5, 0.1], [0.1, 10.5], [0.1, 10.5]])
    torch.testing.assert_close(reference_features(z), expected)


def test_features_that_do_not_vary_are_no_error():
    assert torch.equal(reference_features(torch.ones(3, 2)), torch.ones(3, 2))


def test_a_single_image_is_its_own():
    z = torch.tensor([[3.0, 4.0]])
    assert torch.equal(reference_features(z), z)


def test_of_many_images_some_are_taken_evenly():
    tenth = torch.arange(5000) // 500
    z = torch.eye(10)[tenth] + 0.01 * torch.randn(5000, 10, generator=torch.Generator().manual_seed(0))
    found = reference_features(z)
    assert found.shape == (REFERENCES, 10)
    assert found.argmax(1).bincount().tolist() == [25] * 10
    assert not any((z == row).all(1).any() for row in found)  # none is an image's own


def test_means_of_usual_features_are_those_of_the_images():
    """They hold what images hold, also what few of them hold."""
    draw = torch.Generator().manual_seed(1)
    z = torch.randn(3000, 20, generator=draw) * 0.1 + 4 * torch.eye(20)[torch.randint(20, (3000,), generator=draw)]
    rare = (reference_features(z) > 2).float().mean(0)
    assert rare.sum() == 1.0  # each holds exactly one of twenty things, as each image does
    assert rare.max() < 0.12
