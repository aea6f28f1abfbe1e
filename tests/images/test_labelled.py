"""Labelled images in the forms people have them."""

import pandas as pd
import pytest
from PIL import Image

from wordsight.errors import LabelError
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
        (
            "image,label\na.png,\n,cat\n",
            r"None of the 2 rows of .* can be used. Row 2 of .* \(a.png\): it has no label; fill it in",
        ),
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


def test_rows_that_lack_something_are_named_and_the_rest_goes_on(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("image,label,group,split\na.png,cat,day,train\nb.png,dog,,train\nc.png, ,day,train\n,cat,day,\n")
    found = read_labelled(table)
    assert (found.labels, found.groups, found.splits) == (["cat"], ["day"], ["train"])
    assert found.left_out == {
        f"Row 3 of {table} (b.png)": "it has no group; fill it in.",
        f"Row 4 of {table} (c.png)": "it has no label; fill it in.",
        f"Row 5 of {table}": "it has no image and no split; fill it in.",
    }
    assert found.split("train").left_out == found.left_out
    pd.DataFrame({"image": ["a.png", "b.png", None], "label": [3, None, 4]}).to_parquet(tmp_path / "t.parquet")
    found = read_labelled(tmp_path / "t.parquet")
    assert (found.labels, len(found.left_out)) == (["3"], 2)
