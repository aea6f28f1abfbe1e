"""Tables as people have them: names of columns, separators, encodings, paths, blanks, images inside of Parquet."""

import io
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wordsight.errors import ImageError, LabelError
from wordsight.images.files import read_image
from wordsight.images.labelled import read_labelled

RED, BLUE = (250, 0, 0), (0, 0, 250)


def png(colour: tuple[int, int, int]) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (9, 9), colour).save(made, format="PNG")
    return made.getvalue()


def colours(paths) -> list[tuple[int, ...]]:
    return [read_image(path).getpixel((0, 0)) for path in paths]


@pytest.mark.parametrize("kind", ["struct", "bytes", "named"])
def test_parquet_with_images_in_it(tmp_path, kind):
    values = [png(RED), png(BLUE)]
    if kind == "struct":
        values = [{"bytes": value, "path": f"{i}.png"} for i, value in enumerate(values)]
    elif kind == "named":  # a struct that names files beside the table
        for i, value in enumerate(values):
            (tmp_path / f"{i}.png").write_bytes(value)
        values = [{"bytes": None, "path": f"{i}.png"} for i in range(2)]
    file = tmp_path / "d.parquet"
    pd.DataFrame({"image": values, "label": ["red", None]}).to_parquet(file)
    found = read_labelled(file)
    assert (found.labels, colours(found.paths)) == (["red"], [RED])
    assert found.left_out == {f"Row 1 of {file}": "it has no label; fill it in."}
    if kind != "named":
        in_memory = read_labelled(pd.read_parquet(file))
        assert colours(in_memory.paths) == [RED]


def test_a_folder_of_parquet_files_with_splits_in_their_names(tmp_path):
    (tmp_path / "data").mkdir()
    for name, colour in (("train-00000-of-00002", RED), ("train-00001-of-00002", BLUE), ("test-00000-of-00001", RED)):
        pd.DataFrame({"image": [{"bytes": png(colour), "path": None}], "label": [1]}).to_parquet(
            tmp_path / "data" / f"{name}.parquet"
        )
    found = read_labelled(tmp_path)
    assert (found.splits, found.labels, colours(found.paths)) == (["test", "train", "train"], ["1"] * 3, [RED, RED, BLUE])
    (tmp_path / "data" / "test-00000-of-00001.parquet").write_bytes(b"half")
    with pytest.raises(
        LabelError, match=r"test-00000-of-00001.parquet cannot be read as Parquet \(.*Write or download it again"
    ):
        read_labelled(tmp_path)


def test_blanks_around_labels_are_taken_off_and_said(tmp_path, caplog):
    (tmp_path / "t.csv").write_text(
        "image,label,split\na.png,disc ,train \nb.png,disc,train\nc.png,Disc,test\na.png,cube,test\n"
    )
    with caplog.at_level(logging.WARNING):
        found = read_labelled(tmp_path / "t.csv")
    assert (found.labels, found.splits) == (["disc", "disc", "Disc", "cube"], ["train", "train", "test", "test"])
    assert f"1 labels of {tmp_path / 't.csv'} have blanks around them: 'disc ' is read as 'disc'" in caplog.text
    assert "differ in nothing but case: Disc, disc; they are different classes" in caplog.text
    assert (
        f"1 images of {tmp_path / 't.csv'} have more than one label; the first, {tmp_path / 'a.png'}: cube, disc" in caplog.text
    )
    for folder in ("cat ", "dog"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        (tmp_path / "set" / folder / "a.png").write_bytes(png(RED))
    assert read_labelled(tmp_path / "set").labels == ["cat", "dog"]


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("t.csv", "Image,LABEL\na.png,cat\nb.png,dog\n", "utf-8"),
        ("t.csv", "file_name,label\na.png,cat\nb.png,dog\n", "utf-8"),
        ("t.csv", "\ufeffid;filename;class\n1;a.png;cat\n2;b.png;dog\n", "utf-8"),
        ("t.csv", "image\tlabel\na.png\tcat\nb.png\tdog\n", "utf-8"),
        ("t.tsv", "image,label\na.png,cat\nb.png,dog\n", "utf-8"),
        ("t.txt", "image\tlabel\na.png\tcat\nb.png\tdog\n", "utf-8"),
        ("t.csv", 'image, label\na.png, "cat"\nb.png, dog\n', "utf-8"),
        ("t.csv", '"image";"label"\r\n"a.png";"cat"\r\n"b.png";"dog"\r\n', "utf-8"),
        ("t.csv", "image,label\na.png,cat\nb.png,dog\n", "utf-16"),
        ("t.csv", "image,label\na.png,cat\nb.png,dog\n", "utf-16-le"),
        ("t.csv", "image,label\na.png,cat\nb.png,dog\n", "utf-16-be"),
        ("t.jsonl", '{"file_name": "a.png", "label": "cat"}\n\n{"file_name": "b.png", "label": "dog"}\n', "utf-8"),
    ],
)
def test_what_is_unambiguous_is_read(tmp_path, name, text, encoding):
    (tmp_path / name).write_bytes(text.encode(encoding))
    found = read_labelled(tmp_path / name)
    assert (found.paths, found.labels) == ([tmp_path / "a.png", tmp_path / "b.png"], ["cat", "dog"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "image,label\na.png,café\n".encode("latin1"), r"is not UTF-8: line 2 has the byte 0xe9.*iconv -f LATIN1 -t UTF-8 t"),
        ("t.csv", b"file,path,label\na,b,c\n", "no column image, and 2 that may be it: file, path. Name the right one image"),
        ("t.csv", b"a;b\n1;2\n", "lacks the columns image and label; it has: a;b"),
        ("t.csv", b"image,label\na.png,cat,3\n", "cannot be read as a table"),
        ("t.jsonl", b"[1,", "cannot be read as a table"),
        ("t.jsonl", b"7\n", r"line 1 is no object, as \{"),
    ],
)  # fmt: skip
def test_what_is_not_names_what_to_change(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LabelError, match=message):
        read_labelled(tmp_path / name)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_hugging_face_s_imagefolder(tmp_path, ending):
    for split in ("train", "validation"):
        (tmp_path / split).mkdir()
        rows = [{"file_name": "a.png", "label": "cat"}, {"file_name": "b.png", "label": "dog"}]
        text = pd.DataFrame(rows).to_csv(index=False) if ending == "csv" else "\n".join(map(json.dumps, rows))
        (tmp_path / split / f"metadata.{ending}").write_text(text)
    one = read_labelled(tmp_path / "train")
    assert (one.paths[0], one.labels, one.splits) == (tmp_path / "train" / "a.png", ["cat", "dog"], None)
    both = read_labelled(tmp_path)
    assert (both.labels, both.splits) == (["cat", "dog"] * 2, ["train"] * 2 + ["val"] * 2)
    assert read_labelled(tmp_path, split="validation").paths[0] == tmp_path / "validation" / "a.png"


def test_metadata_without_labels_leaves_them_to_the_folders(tmp_path):
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "a.png").write_bytes(png(RED))
    (tmp_path / "metadata.csv").write_text("file_name,width\ncat/a.png,9\n")
    assert read_labelled(tmp_path).labels == ["cat", "dog"]


def test_paths_of_other_systems_homes_and_addresses(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_bytes(png(RED))
    monkeypatch.setenv("HOME", str(tmp_path / "x"))
    rows = ["image,label", r"x\a.png,cat", "~/a.png,cat", f"file://{tmp_path}/x/a.png,cat", "~nobody-here/b.png,dog"]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    found = read_labelled(tmp_path / "t.csv")
    assert colours(found.paths[:3]) == [RED] * 3
    assert found.paths[3] == tmp_path / "~nobody-here" / "b.png"
    assert read_labelled("~/../t.csv").labels == found.labels


def test_whole_numbers_that_came_as_floats_are_whole(tmp_path):
    table = pd.DataFrame({"image": ["a.png", "b.png"], "label": [1.0, np.nan], "split": pd.array(["train", None])})
    found = read_labelled(table)
    assert (found.labels, list(found.left_out)) == (["1"], ["Row 1 of the table (b.png)"])
    assert found.paths == [Path("a.png")]


def test_an_address_that_cannot_be_read_is_named_with_its_reason(tmp_path):
    (tmp_path / "t.csv").write_text("image,label\nnowhere://host/a.png,cat\n")
    with pytest.raises(
        ImageError, match=r"'nowhere://host/a\.png' cannot be opened \(.*Protocol not known.*\)\. A file that can"
    ):
        read_image(read_labelled(tmp_path / "t.csv").paths[0])
