"""What folders above images mean: no layout makes a split a class, or a class a split, without an error that shows the tree."""

import pytest
from PIL import Image

from wordsight.errors import LabelError
from wordsight.images.labelled import read_labelled
from wordsight.images.layout import split_name


def images(folder, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            Image.new("RGB", (4, 4)).save(path)
        else:
            path.write_text("no image")


SPLIT = ("train/cat/a.png", "train/dog/b.png", "test/cat/c.png")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (SPLIT, ["test", "train", "train"]),
        ((*SPLIT, "notes/readme.txt"), ["test", "train", "train"]),
        ((*SPLIT, "holdout/dog/d.png"), ["holdout", "test", "train", "train"]),
        ([f"pets/{name}" for name in SPLIT], ["test", "train", "train"]),
        ([*(f"pets/{name}" for name in SPLIT), "notes/readme.txt"], ["test", "train", "train"]),
        ([f"data/pets/{name}" for name in SPLIT], ["test", "train", "train"]),
        (("train/images/cat/a.png", "train/images/dog/b.png", "test/images/cat/c.png"), ["test", "train", "train"]),
        (("cat/train/a.png", "cat/test/c.png", "dog/train/b.png"), ["test", "train", "train"]),
        (("Train_set/cat/a.png", "Train_set/dog/b.png", "TEST/cat/c.png"), ["test", "train", "train"]),
    ],
)
def test_splits_are_recognised(tmp_path, names, splits):
    images(tmp_path, *names)
    found = read_labelled(tmp_path)
    assert sorted(found.splits) == splits
    assert {path.name: label for path, label in zip(found.paths, found.labels, strict=True)}.items() >= {
        "a.png": "cat",
        "b.png": "dog",
        "c.png": "cat",
    }.items()


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((*SPLIT, "extra/e.png"), r"'extra' is neither a split nor has it the classes .*Read was: extra/ \(1 images in no folder\)"),
        ((*SPLIT, "extra/cow/e.png"), r"extra/ \(cow/ 1\), test/ \(cat/ 1\), train/ \(cat/ 1, dog/ 1\)\. Wanted class/image, or"),
        (("train/a.png", "test/b.png", "notes/readme.txt"), "splits have no folders of classes in them"),
        (("train/images/a.png", "test/images/b.png"), "splits have no folders of classes in them"),
        (("one/train/cat/a.png", "two/test/cat/b.png"), "splits lie in several folders"),
    ],
)  # fmt: skip
def test_what_may_be_both_is_refused_with_the_tree(tmp_path, names, message):
    images(tmp_path, *names)
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path)


def test_a_class_may_be_called_train(tmp_path):
    images(tmp_path, "bus/a.png", "train/b.png", "boat/left/c.png")
    found = read_labelled(tmp_path)
    assert (found.labels, found.splits) == (["boat", "bus", "train"], None)


def test_a_test_split_without_labels_is_left_out_and_said(tmp_path, caplog):
    images(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/c.png")
    found = read_labelled(tmp_path)
    assert (found.labels, found.splits) == (["cat", "dog"], ["train", "train"])
    assert "1 images lie in no class's folder and are left out; the first: " in caplog.text


def test_junk_and_empty_class_folders_are_left_out_and_named(tmp_path, caplog):
    images(
        tmp_path, "cat/a.png", "dog/b.png", "raw/c.cr2", "__MACOSX/cat/d.png", ".ipynb_checkpoints/e.png", "cat/__MACOSX/f.png"
    )
    (tmp_path / "empty").mkdir()
    found = read_labelled(tmp_path)
    assert found.labels == ["cat", "dog"]
    assert f"{tmp_path / 'raw'} has no images (1 files with .cr2) and is left out" in caplog.text
    assert f"{tmp_path / 'empty'} has no images (it is empty) and is left out" in caplog.text
    assert "MACOSX" not in caplog.text


@pytest.mark.parametrize(
    ("folder", "split"),
    [("train", "train"), ("val2017", "val"), ("Test-Images", "test"), ("training_set", "train"), ("trains", None), ("1", None)],
)
def test_names_of_splits(folder, split):
    assert split_name(folder) == split
