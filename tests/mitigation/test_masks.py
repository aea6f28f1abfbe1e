"""Hiding a region of an image."""

import numpy as np
from PIL import Image

from wordsight.mitigation.masks import hide


def image() -> Image.Image:
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, :30] = (200, 0, 0)
    return Image.fromarray(pixels)


def test_the_hot_half_becomes_the_mean_colour_and_the_rest_stays():
    heat = np.zeros((10, 10))
    heat[:, :5] = 1.0
    hidden = np.asarray(hide(image(), heat))
    assert hidden[:, :25].reshape(-1, 3).tolist() == [[100, 0, 0]] * (40 * 25)
    assert hidden[:, 36:].max() == 0


def test_an_empty_map_hides_nothing():
    np.testing.assert_array_equal(np.asarray(hide(image(), np.zeros((4, 4)))), np.asarray(image()))
