"""Labelled images in the forms people have them."""

import pandas as pd
import pytest
from PIL import Image

from wordsight.errors import ImageError, LabelError
from wordsight.images.files import read_image
from wordsight.images.labelled import read_labelled


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)
    return path


def test_a_folder_a_class(tmp_path):
    paths = [image(tmp_path / name) for name in ("cat/b.png", "cat/a.png", "dog/c.png")]
    found = read_labelled(tmp_path)
    assert found.paths == [paths[1], paths[0], paths[2]]
    assert found.labels == ["cat", "cat", "dog"]
    assert found.groups is found.splits is None


def test_folders_called_train_and_val_are_splits(tmp_path):
    for name in ("train/cat/a.png", "train/dog/b.png", "val/cat/c.png"):
        image(tmp_path / name)
    found = read_labelled(tmp_path)
    assert found.splits == ["train", "train", "val"]
    assert found.split("val").labels == read_labelled(tmp_path, split="val").labels == ["cat"]
    with pytest.raises(LabelError, match="There is no split 'test'; the data has: train, val"):
        found.split("test")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_a_table(tmp_path, ending):
    table = pd.DataFrame({"image": ["x/a.png", "b.png"], "label": ["cat", "NA"], "group": ["water", "land"]})
    file = tmp_path / f"labels.{ending}"
    if ending == "parquet":
        table.to_parquet(file)
    else:
        table.to_csv(file, index=False, sep="\t" if ending == "tsv" else ",")
    found = read_labelled(file)
    assert found.paths == [tmp_path / "x" / "a.png", tmp_path / "b.png"]
    assert (found.labels, found.groups, found.splits) == (["cat", "NA"], ["water", "land"], None)


def test_the_waterbirds_release(tmp_path):
    """The layout of the release: waterbird_complete95_forest2water2/metadata.csv and folders of species."""
    (tmp_path / "metadata.csv").write_text(
        "img_id,img_filename,y,split,place,place_filename\n"
        "1,001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg,1,0,1,/o/ocean/00002178.jpg\n"
        "2,004.Groove_billed_Ani/Groove_Billed_Ani_0002_1670.jpg,0,2,1,/o/ocean/00000215.jpg\n"
    )
    found = read_labelled(tmp_path)
    assert found.paths[0] == tmp_path / "001.Black_footed_Albatross" / "Black_Footed_Albatross_0046_18.jpg"
    assert (found.labels, found.groups, found.splits) == (["waterbird", "landbird"], ["water", "water"], ["train", "test"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("photo,label\na.png,cat\n", "lacks the column image; it has: photo, label"),
        ("a,b\n1,2\n", "lacks the columns image and label"),
        ("image,label\na.png,\nb.png, \n", "has 2 rows, and each lacks its image or its label. Fill them in."),
        ("file_name,path,label\na.png,b.png,cat\n", "has the columns file_name and path; name the one with the images 'image'"),
        ("image,label\nhttps://a.b/c.png,cat\n", r"names 1 addresses \(the first: https://a.b/c.png\), which are not fetched"),
        ("image,label\n", "has no images"),
        ("", "cannot be read as a table"),
    ],
)
def test_tables_that_cannot_be_used_are_named(tmp_path, content, message):
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path / "labels.csv")


def test_what_is_no_labelled_images_is_refused(tmp_path):
    with pytest.raises(LabelError, match="is not labelled images"):
        read_labelled(tmp_path / "nothing")
    with pytest.raises(LabelError, match="has no images"):
        read_labelled(tmp_path)
    (tmp_path / "metadata.csv").write_text("img_filename,y\na.jpg,1\n")
    with pytest.raises(LabelError, match="lacks place, split, so this is not the Waterbirds release"):
        read_labelled(tmp_path)
    (tmp_path / "metadata.csv").write_text("img_filename,y,place,split\na.jpg,7,0,0\n")
    with pytest.raises(LabelError, match="has y '7', wanted one of 0, 1"):
        read_labelled(tmp_path)


def test_the_backgrounds_challenge_as_it_is(tmp_path):
    for variation in ("original", "mixed_rand", "only_fg"):
        for name in ("00_dog", "02_wheeled vehicle"):
            folder = tmp_path / variation / "val" / name
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4)).save(folder / "fg_n02084071_1.png")
    found = read_labelled(tmp_path)
    assert sorted(set(found.labels)) == ["dog", "wheeled vehicle"]
    assert found.splits == ["original"] * 2 + ["mixed_rand"] * 2 + ["only_fg"] * 2
    assert [p.parent.parent.parent.name for p in found.split("mixed_rand").paths] == ["mixed_rand"] * 2


def test_missing_groups_and_null_labels_are_named(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,label,group\na.png,cat,day\nb.png,dog,\n")
    with pytest.raises(LabelError, match=r"Row 3 of .* lacks its group; 1 rows do. Fill them in, or leave the column out"):
        read_labelled(table)
    pd.DataFrame({"image": ["a.png", "b.png"], "label": ["cat", None]}).to_parquet(tmp_path / "t.parquet")
    found = read_labelled(tmp_path / "t.parquet")
    assert (found.paths, found.labels) == ([tmp_path / "a.png"], ["cat"])
    assert found.left_out == {f"row 3 of {tmp_path / 't.parquet'}": "it lacks its image or its label"}


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("t.csv", "Image,Label\nä.png,cat\nb.png,dog\n", "utf-8"),
        ("t.csv", "file_name;class\nä.png;cat\nb.png;dog\n", "utf-8-sig"),
        ("t.csv", "image\tlabel\nä.png\tcat\nb.png\tdog\n", "utf-16"),
        ("t.csv", "image, label\nä.png, cat\nb.png, dog\n", "latin-1"),
        ("t.txt", "image\tlabel\nä.png\tcat\nb.png\tdog\n", "utf-8"),
        ("t.jsonl", '{"file_name": "ä.png", "label": "cat"}\n{"file_name": "b.png", "label": "dog"}\n', "utf-8"),
    ],
)
def test_tables_as_people_write_them(tmp_path, name, text, encoding):
    found = read_labelled(write(tmp_path / name, text, encoding))
    assert (found.paths, found.labels) == ([tmp_path / "ä.png", tmp_path / "b.png"], ["cat", "dog"])


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_folder_with_the_metadata_of_hugging_faces_imagefolder(tmp_path, name):
    text = "file_name,label\na.png,cat\n" if name.endswith("csv") else '{"file_name": "a.png", "label": "cat"}\n'
    found = read_labelled(write(tmp_path / name, text).parent)
    assert (found.paths, found.labels) == ([tmp_path / "a.png"], ["cat"])


def test_labels_are_stripped_and_that_is_said(tmp_path, caplog):
    found = read_labelled(write(tmp_path / "t.csv", "image,label\na.png,disc \nb.png,disc\n"))
    assert found.labels == ["disc", "disc"]
    assert "label 'disc ' and 0 others had blanks around them, which are taken off" in caplog.text


def test_paths_of_windows_and_of_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    there = image(tmp_path / "x" / "a.png")
    found = read_labelled(write(tmp_path / "t.csv", "image,label\nx\\a.png,cat\n~/b.png,dog\n"))
    assert found.paths == [there, tmp_path / "home" / "b.png"]


def test_an_image_with_two_labels_is_left_out_and_named(tmp_path):
    found = read_labelled(write(tmp_path / "t.csv", "image,label\na.png,cat\na.png,dog\nb.png,dog\nb.png,dog\n"))
    assert found.labels == ["dog", "dog"]
    assert found.left_out == {str(tmp_path / "a.png"): "it has the labels cat and dog, in different rows"}


def test_parquet_as_hugging_faces_hub_serves_it(tmp_path):
    content = image(tmp_path / "a.png").read_bytes()
    for split, labels in (("train", ["cat", None]), ("test", ["dog"])):
        images = [{"bytes": content, "path": "a.png"} for _ in labels]
        (tmp_path / "d").mkdir(exist_ok=True)
        pd.DataFrame({"image": images, "label": labels}).to_parquet(tmp_path / "d" / f"{split}-00000-of-00001.parquet")
    found = read_labelled(tmp_path / "d")
    assert sorted(zip(found.labels, found.splits, strict=True)) == [("cat", "train"), ("dog", "test")]
    assert list(found.left_out.values()) == ["it has no label"]
    assert read_image(found.paths[0]).size == (4, 4)
    pd.DataFrame({"image": [content], "label": ["cat"]}).to_parquet(tmp_path / "raw.parquet")
    assert read_image(read_labelled(tmp_path / "raw.parquet").paths[0]).size == (4, 4)


def images(folder, *names):
    for name in names:
        image(folder / name)


def test_splits_with_something_beside_them(tmp_path):
    images(tmp_path, "train/cat/a.png", "train/dog/b.png", "test/cat/c.png", "test/dog/d.png")
    write(tmp_path / "readme.md", "x")
    (tmp_path / "notes").mkdir()
    write(tmp_path / "notes" / "n.txt", "x")
    found = read_labelled(tmp_path)
    assert (sorted(set(found.labels)), sorted(set(found.splits))) == (["cat", "dog"], ["test", "train"])
    assert found.left_out == {"notes": "a folder without images beside the splits."}
    images(tmp_path, "holdout/cat/e.png")
    assert sorted(set(read_labelled(tmp_path).splits)) == ["holdout", "test", "train"]
    images(tmp_path, "extra/f.png")
    with pytest.raises(LabelError, match="'extra' has images but no folders of classes that the others have") as caught:
        read_labelled(tmp_path)
    assert "extra/ 1 .png" in str(caught.value)


def test_splits_nested_one_level_deeper_or_inside_the_classes(tmp_path):
    images(tmp_path / "outer", "data/train/cat/a.png", "data/test/cat/b.png")
    assert read_labelled(tmp_path / "outer").splits == ["test", "train"]
    images(tmp_path / "inner", "cat/train/a.png", "cat/test/b.png", "dog/train/c.png", "dog/test/d.png")
    found = read_labelled(tmp_path / "inner")
    assert (found.labels, found.splits) == (["cat", "cat", "dog", "dog"], ["test", "train"] * 2)


def test_folders_that_hold_no_class_are_left_out_and_named(tmp_path):
    images(tmp_path, "cat/a.png", "dog/b.jfif.png", "__MACOSX/c.png", ".ipynb_checkpoints/d.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw" / "a.dng", "x")
    found = read_labelled(tmp_path)
    assert found.labels == ["cat", "dog"]
    assert sorted(found.left_out) == ["empty", "raw"]
    assert "no image of the class is read" in found.left_out["raw"]


def test_heic_is_named_and_jfif_is_read(tmp_path):
    images(tmp_path, "cat/a.png")
    Image.new("RGB", (4, 4)).save(tmp_path / "cat" / "b.jfif", format="JPEG")
    write(tmp_path / "cat" / "c.heic", "\0\0\0\x18ftypheic")
    found = read_labelled(tmp_path)
    assert [path.name for path in found.paths] == ["a.png", "b.jfif", "c.heic"]
    assert read_image(found.paths[1]).size == (4, 4)
    with pytest.raises(ImageError, match="is a HEIC image, which needs pillow-heif"):
        read_image(found.paths[2])
