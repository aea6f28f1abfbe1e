"""Images and labelled images in memory: arrays, tensors, tables, datasets."""

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, TensorDataset

from wordsight.errors import ImageError, LabelError
from wordsight.images.labelled import read_labelled
from wordsight.images.sets import LabelledImages
from wordsight.images.sources import LazyImages, image_list, to_image
from wordsight.runtime import declare_torchvision_operators

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)


class Pairs(Dataset):
    classes = ("cat", "dog")

    def __init__(self) -> None:
        self.read: list[int] = []

    def __len__(self) -> int:
        return 4

    def __getitem__(self, i: int):
        self.read.append(i)
        return Image.fromarray(PIXELS + i), i % 2


@pytest.mark.parametrize(
    "value",
    [
        PIXELS,
        PIXELS.transpose(2, 0, 1),
        PIXELS / 255,
        PIXELS.astype(np.int64),
        torch.from_numpy(PIXELS),
        torch.from_numpy(PIXELS).permute(2, 0, 1).float() / 255,
        IMAGE,
    ],
)
def test_every_kind_of_image_in_memory_has_the_same_pixels(value):
    assert np.array_equal(np.asarray(to_image(value)), PIXELS)
    (only,) = image_list(value)
    assert np.array_equal(np.asarray(only), PIXELS)


def test_grey_and_batches():
    assert to_image(PIXELS[:, :, 0]).mode == "L"
    assert to_image(PIXELS[:, :, :1] / 255).mode == "L"
    assert to_image(PIXELS[:, :, 0] > 100).mode == "L"
    assert len(image_list(torch.zeros(5, 3, 4, 4))) == 5
    assert len(image_list([PIXELS, IMAGE, "a.png", np.zeros((2, 4, 4, 3))])) == 5


def test_paths_folders_patterns(tmp_path):
    for name in ("a.png", "b.png"):
        IMAGE.save(tmp_path / name)
    assert image_list(tmp_path) == image_list(str(tmp_path / "*.png")) == [tmp_path / "a.png", tmp_path / "b.png"]
    assert image_list("missing.png") == ["missing.png"]  # named among the failures, not an error
    assert image_list([tmp_path, "missing.png"]) == [tmp_path / "a.png", tmp_path / "b.png", "missing.png"]


def test_tables_datasets_and_loaders_are_read_one_by_one():
    assert image_list(pd.DataFrame({"image": [IMAGE, "a.png"]})) == [IMAGE, "a.png"]
    pairs = Pairs()
    images = image_list(pairs)
    assert isinstance(images, LazyImages)
    assert (len(images), len(images[1:3])) == (4, 2)
    pairs.read.clear()  # the type checker of the tests looks at an item
    assert np.array_equal(np.asarray(images[2]), PIXELS + 2)
    assert np.array_equal(np.asarray(images[1:3][1]), PIXELS + 2)
    assert pairs.read == [2, 2]
    assert len(image_list(DataLoader(pairs, batch_size=3))) == 4
    rows = datasets.Dataset.from_dict({"image": [IMAGE, IMAGE], "label": [0, 1]}).cast_column("image", datasets.Image())
    assert np.array_equal(np.asarray(image_list(rows)[1]), PIXELS)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (3, "A int came, wanted images: a path, folder or pattern"),
        ([], "No images came: the sequence is empty."),
        ([3], "A int came, wanted an image: a path, a PIL image, an array or a tensor."),
        (np.zeros((5, 4, 7)), r"An array of shape (5, 4, 7) came, wanted (height, width, 3)"),
        (torch.randn(3, 4, 4), "came, wanted 0 to 1. Give images before normalisation: the classifier's own transform"),
        (PIXELS.astype(int) * 9, "came, wanted integers 0 to 255."),
        (pd.DataFrame({"file": ["a"]}), "The table has the columns file. Wanted a column image."),
        (
            datasets.DatasetDict({"train": datasets.Dataset.from_dict({"a": [1]})}),
            "with the splits train came, wanted one split",
        ),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ImageError) as caught:
        image_list(images)
    assert message in str(caught.value)


def test_labelled_datasets_loaders_tables_and_sets(cache):
    for source in (Pairs(), DataLoader(Pairs(), batch_size=2)):
        found = read_labelled(source)
        assert found.labels == ["cat", "dog", "cat", "dog"]
        assert np.array_equal(np.asarray(Image.open(found.paths[3])), PIXELS + 3)
        assert found.paths[0].parent == cache / "images"
    assert read_labelled(TensorDataset(torch.zeros(2, 3, 4, 4), torch.tensor([3, 5]))).labels == ["3", "5"]
    table = pd.DataFrame({"image": [IMAGE, PIXELS, "a.png"], "label": ["x", "y", "y"], "split": ["train", "test", "test"]})
    found = read_labelled(table)
    assert found.paths[0] == found.paths[1]  # one file for the same content
    assert (found.labels, found.splits, str(found.paths[2])) == (["x", "y", "y"], ["train", "test", "test"], "a.png")
    assert read_labelled(table, split="test").labels == read_labelled(found, split="test").labels == ["y", "y"]
    assert read_labelled(found) == found
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])})
    rows = datasets.Dataset.from_dict({"image": [IMAGE, IMAGE], "label": [0, 1]}, features=features)
    assert read_labelled(rows).labels == ["cat", "dog"]
    both = read_labelled(datasets.DatasetDict({"train": rows, "test": rows}))
    assert both.splits == ["train", "train", "test", "test"]


def test_folders_of_torchvision_give_their_files(tmp_path):
    declare_torchvision_operators()
    from torchvision.datasets import ImageFolder

    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        IMAGE.save(tmp_path / label / "1.png")
    found = read_labelled(ImageFolder(str(tmp_path)))
    assert (found.labels, found.paths) == (["cat", "dog"], [tmp_path / "cat" / "1.png", tmp_path / "dog" / "1.png"])


def test_one_bad_item_is_named_later_and_the_rest_goes_on(cache):
    class Mixed(Pairs):
        def __getitem__(self, i: int):
            return (None, 0) if i == 1 else super().__getitem__(i)

    found = read_labelled(Mixed())
    assert [path.name.endswith(".no-image") for path in found.paths] == [False, True, False, False]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (TensorDataset(torch.zeros(2, 3, 4, 4)), "Item 0 of the TensorDataset is a tuple, wanted a pair (image, label)."),
        (7, "A int is not labelled images. Give a folder with a folder for each class"),
        (pd.DataFrame({"image": [IMAGE]}), "The table lacks the column label; it has: image."),
        (
            pd.DataFrame({"image": [IMAGE, None], "label": [None, "b"]}),
            "None of the 2 rows of the table can be used. Row 0 of the table: it has no label; fill it in.",
        ),
        (LabelledImages([], []), "A LabelledImages has no images."),
    ],
)
def test_what_is_not_labelled_is_refused(source, message, cache):
    with pytest.raises(LabelError) as caught:
        read_labelled(source)
    assert message in str(caught.value)
