import dataclasses
import json
import logging
from pathlib import Path

import pytest

from wordsight.errors import CaptionError
from wordsight.translator.captions import match_captions, read_captions, read_text, tidy_caption


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def coco(images: object, annotations: object) -> str:
    return json.dumps({"info": {}, "images": images, "annotations": annotations})


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("a dog .", "a dog."),
        ("  A  dog\n\truns ", "A dog runs."),
        ("A dog .  It runs !", "A dog. It runs!"),
        ("a man , a dog ; a cat : three ?", "a man, a dog; a cat: three?"),
        ("the dog 's ball", "the dog's ball."),
        ("two players ' shirts", "two players' shirts."),
        ("he does n't look", "he doesn't look."),
        ("a sign 'stop' here", "a sign 'stop' here."),
        ("a .22 rifle", "a .22 rifle."),
        ('a sign says "stop."', 'a sign says "stop."'),
        ('a sign says "stop"', 'a sign says "stop".'),
        ("a dog ,", "a dog."),
        ("Is it a dog?", "Is it a dog?"),
        ("ein Übergang", "ein Übergang."),
        ("狗在跑。", "狗在跑。"),
        ("7", "7."),
        ("", ""),
        (" \n", ""),
        (" . , !", ""),
    ],
)
def test_tidy_caption(raw: str, wanted: str) -> None:
    assert tidy_caption(raw) == wanted
    assert tidy_caption(wanted) == wanted


def test_csv(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.csv",
        'id,Caption,image,source\r\n1,"a cat, a dog",b.jpg,x\r\n2,A bird.,a.jpg,x\r\n\r\n3,one more,b.jpg,x\r\n',
    )
    assert read_captions(path) == {"b.jpg": ["a cat, a dog.", "one more."], "a.jpg": ["A bird."]}
    assert list(read_captions(str(path))) == ["b.jpg", "a.jpg"]


def test_csv_of_unicode_and_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.CSV", 'image,caption\né.jpg,"a ""big"" dog\non a mat\u2028here"\n')
    assert read_captions(path) == {"é.jpg": ['a "big" dog on a mat here.']}


def test_tsv(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tsv", "caption\timage\na cat, a dog\tx/b.jpg\n")
    assert read_captions(path) == {"x/b.jpg": ["a cat, a dog."]}


def test_coco(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}, {"id": 4, "file_name": "none.jpg"}]
    annotations = [{"image_id": 7, "id": 1, "caption": "A cat\n"}, {"image_id": 3, "caption": "a dog ."}]
    annotations.append({"image_id": 7, "caption": "Two cats"})
    path = written(tmp_path / "captions_val.json", coco(images, annotations))
    assert read_captions(path) == {"b.jpg": ["A cat.", "Two cats."], "a.jpg": ["a dog."]}


@pytest.mark.parametrize("name", ["results.token", "Flickr8k.token.txt", "captions"])
def test_flickr(tmp_path: Path, name: str) -> None:
    text = "b.jpg#0\tA dog .\r\nb.jpg#1\tA dog\u2028and\ta cat\r\n\r\na#b.jpg.1#0\tA child 's toy\r\n"
    path = written(tmp_path / name, text)
    assert read_captions(path) == {"b.jpg": ["A dog.", "A dog and a cat."], "a#b.jpg.1": ["A child's toy."]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "image,caption\na.jpg,a dog\n"),
        ("a.json", coco([{"id": 1, "file_name": "a.jpg"}], [{"image_id": 1, "caption": "a dog"}])),
        ("a.txt", "a.jpg#0\ta dog\n"),
    ],
)
def test_byte_order_mark(tmp_path: Path, name: str, text: str) -> None:
    assert read_captions(written(tmp_path / name, text, "utf-8-sig")) == {"a.jpg": ["a dog."]}


def test_empty_captions_are_dropped_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "a.csv", "image,caption\na.jpg, .\na.jpg,a dog\nb.jpg,\n")
    with caplog.at_level(logging.WARNING):
        assert read_captions(path) == {"a.jpg": ["a dog."]}
    assert caplog.messages == [f"2 of 3 captions in {str(path)!r} are empty and were dropped"]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(CaptionError, match=r"a.csv' cannot be read \(No such file.*A caption file was wanted.*check the path"):
        read_captions(tmp_path / "a.csv")
    with pytest.raises(CaptionError, match=r"cannot be read \(Is a directory|cannot be read \(Permission denied"):
        read_captions(tmp_path)
    with pytest.raises(CaptionError, match=r"cannot be read \(embedded null byte"):
        read_captions("a\0.csv")


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.json"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_latin_1_names_the_line(tmp_path: Path, name: str, mark: str) -> None:
    path = tmp_path / name
    path.write_bytes(mark.encode() + "image,caption\na.jpg,a dog\nb.jpg,a café\n".encode("latin-1"))
    with pytest.raises(CaptionError, match=rf"{name}' is not UTF-8: line 3 has the byte 0xe9. Convert the file to UTF-8"):
        read_captions(path)


@pytest.mark.parametrize(
    ("text", "came"),
    [("file,text\na.jpg,a dog\n", "'file', 'text'"), ("image;caption\n", "'image;caption'"), ("", "of an empty file")],
)
def test_missing_columns(tmp_path: Path, text: str, came: str) -> None:
    path = written(tmp_path / "a.csv", text)
    with pytest.raises(
        CaptionError, match=f"a.csv' has the columns {came}. The columns 'image' and 'caption' were wanted.*name"
    ):
        read_captions(path)


def test_commas_without_quotes(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "image,caption\na.jpg,a dog\nb.jpg,a dog, a cat\n")
    with pytest.raises(CaptionError, match=r"Line 3 of '.*a.csv' has 3 cells. As many as columns were wanted, 2: put captions"):
        read_captions(path)


def test_row_without_image(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "image,caption\n ,a dog\n")
    with pytest.raises(CaptionError, match=r"Line 2 of '.*a.csv' names no image. Fill in the column 'image' or remove"):
        read_captions(path)


def test_a_quote_that_is_never_closed(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", 'image,caption\na.jpg,"a dog\nb.jpg,a cat\n')
    with pytest.raises(CaptionError, match=r"Line 3 of '.*a.csv' cannot be read \(unexpected end of data\).*double quote"):
        read_captions(path)


@pytest.mark.parametrize("text", ['{"images": [', "", "[" * 100_000, '{"images": ' + "1" * 5000 + "}"])
def test_malformed_json(tmp_path: Path, text: str) -> None:
    with pytest.raises(CaptionError, match=r"a.json' is not valid JSON \(.*captions_\*.json was wanted: download it again"):
        read_captions(written(tmp_path / "a.json", text))


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("[1]", "list"),
        ('{"data": 1, "images": []}', "the keys 'data', 'images'"),
        ("{}", "the keys none"),
        ('{"images": {}, "annotations": []}', "the keys 'images', 'annotations'"),
    ],
)
def test_json_that_is_not_coco(tmp_path: Path, text: str, came: str) -> None:
    with pytest.raises(CaptionError, match=f"a.json' holds {came}. COCO's lists 'images' and 'annotations' were wanted"):
        read_captions(written(tmp_path / "a.json", text))


def test_coco_annotation_of_an_unknown_image(tmp_path: Path) -> None:
    text = coco([{"id": 1, "file_name": "a.jpg"}], [{"image_id": 1, "caption": "a"}, {"image_id": 9, "caption": "b"}])
    with pytest.raises(
        CaptionError, match=r"annotations\[1\] of '.*' is about image 9, which is not in 'images' \(1 entries.*Add it"
    ):
        read_captions(written(tmp_path / "a.json", text))


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        (
            [{"id": 1}],
            [],
            r"images\[0\] of '.*a.json' has 'id'. A 'id' \(number or text\) and a 'file_name' \(text\) were wanted",
        ),
        ([{"id": [1], "file_name": "a.jpg"}], [], r"images\[0\] of '.*a.json' has 'id', 'file_name'."),
        ([5], [], r"images\[0\] of '.*a.json' has 5."),
        ([], [{"image_id": 1, "bbox": []}], r"annotations\[0\] of '.*a.json' has 'image_id', 'bbox'.*not its instances"),
    ],
)
def test_coco_entries_of_another_kind(tmp_path: Path, images: object, annotations: object, message: str) -> None:
    with pytest.raises(CaptionError, match=message):
        read_captions(written(tmp_path / "a.json", coco(images, annotations)))


@pytest.mark.parametrize("line", ["a.jpg#0 a dog", "a.jpg\ta dog", "a.jpg#x\ta dog", "#0\ta dog", "image,caption"])
def test_flickr_line_of_another_kind(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "a.txt", f"a.jpg#0\ta dog\n{line}\n")
    with pytest.raises(CaptionError, match=r"Line 2 of '.*a.txt' is '.*'. Flickr's 'name.jpg#0<TAB>caption' was wanted: write"):
        read_captions(path)


@pytest.mark.parametrize(("name", "text"), [("a.csv", "image,caption\n"), ("a.txt", "\n"), ("a.json", coco([], []))])
def test_no_captions(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(CaptionError, match=rf"{name}' has no captions. At least one caption was wanted: check"):
        read_captions(written(tmp_path / name, text))


def test_only_empty_captions(tmp_path: Path) -> None:
    with pytest.raises(CaptionError, match=r"a.txt' has 2 captions, all of them empty. At least one"):
        read_captions(written(tmp_path / "a.txt", "a.jpg#0\t.\na.jpg#1\t\n"))


def test_match_by_file_name() -> None:
    captions = {"b.jpg": ["B."], "gone.jpg": ["G."], "a.jpg": ["A.", "AA."]}
    matched = match_captions(captions, [Path("x/a.jpg"), Path("x/new.jpg"), Path("y/b.jpg")])
    assert matched.images == [Path("x/a.jpg"), Path("y/b.jpg")]
    assert matched.captions == [["A.", "AA."], ["B."]]
    assert matched.without_image == ["gone.jpg"]
    assert matched.without_caption == ["new.jpg"]
    matched.captions[0].append("changed")
    assert captions["a.jpg"] == ["A.", "AA."]
    with pytest.raises(dataclasses.FrozenInstanceError):
        matched.images = []  # pyright: ignore[reportAttributeAccessIssue]


def test_match_by_the_end_of_the_path() -> None:
    images = [Path("data/cats/1.jpg"), Path("data/dogs/1.jpg"), Path("data/hotdogs/2.jpg")]
    matched = match_captions({"dogs/1.jpg": ["D."], "cats\\1.jpg": ["C."], "./dogs/2.jpg": ["No."]}, images)
    assert matched.images == images[:2]
    assert matched.captions == [["C."], ["D."]]
    assert matched.without_image == ["./dogs/2.jpg"]


def test_match_where_the_images_are_named_from_inside_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train").mkdir()
    monkeypatch.chdir(tmp_path / "train")
    matched = match_captions({"train/a.jpg": ["A."], str(tmp_path / "train" / "b.jpg"): ["B."]}, [Path("a.jpg"), Path("b.jpg")])
    assert matched.captions == [["A."], ["B."]]


def test_match_whatever_the_unicode_form() -> None:
    assert match_captions({"caf\u00e9.jpg": ["A."]}, [Path("cafe\u0301.jpg")]).without_image == []


def test_two_names_of_one_image_add_up() -> None:
    matched = match_captions({"a.jpg": ["A."], "x/a.jpg": ["AA."]}, [Path("x/a.jpg")])
    assert matched.captions == [["A.", "AA."]]


def test_a_name_that_fits_images_in_two_folders() -> None:
    with pytest.raises(CaptionError, match=r"'1.jpg' fits 2 images, such as 'cats.1.jpg' and 'dogs.1.jpg'. One was wanted"):
        match_captions({"1.jpg": ["A."]}, [Path("cats/1.jpg"), Path("dogs/1.jpg")])


def test_nothing_matches() -> None:
    with pytest.raises(
        CaptionError, match=r"None of 1 caption names fits any of 2 images: the captions have 'a', the images 'a.jpg'"
    ):
        match_captions({"a": ["A."]}, [Path("a.jpg"), Path("b.jpg")])
    with pytest.raises(CaptionError, match=r"the captions have nothing, the images nothing. The same file names were wanted"):
        match_captions({}, [])
    with pytest.raises(CaptionError, match="the captions have '', the images"):
        match_captions({"": ["A."]}, [Path("a.jpg")])


def test_captions_without_images(tmp_path):
    file = tmp_path / "captions.txt"
    file.write_text("\ufeffA dog runs.\n A brown dog. \n\n \nA café.\n", encoding="utf-8")
    assert read_text(file) == [["A dog runs.", "A brown dog."], ["A café."]]
    file.write_text("A dog runs.\nA cat.\n", encoding="utf-8")
    assert read_text(file) == [["A dog runs."], ["A cat."]]
    file.write_text(" \n\n", encoding="utf-8")
    with pytest.raises(CaptionError, match=r"captions\.txt holds no caption, wanted a text file with one a line\."):
        read_text(file)
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(
        CaptionError, match=r"Cannot read the captions .*: .* Give --text a UTF-8 text file, one caption a line\."
    ):
        read_text(file)
