"""Reading an audit's images back: whatever a line may hold, the error names it."""

import json

import pytest

from wordsight.audits.result import read_images
from wordsight.errors import LabelError

IMAGE = {"image": "a.png", "path": "a.png", "label": "duck", "predicted": "hen", "probability": 0.9, "words": {"water": 0.5}}
IMAGE |= {"sentence": "", "group": None, "split": None}


def test_an_image_a_line(tmp_path):
    second = IMAGE | {"image": "b\u2028.png", "predicted": "duck", "group": "pond"}  # U+2028 ends no line
    lines = [json.dumps(entry, ensure_ascii=False) for entry in (IMAGE, second)]
    (tmp_path / "images.jsonl").write_text("\n".join(lines), encoding="utf-8")
    first, second = read_images(tmp_path)
    assert (first.image, first.right, first.group, first.words) == ("a.png", False, None, {"water": 0.5})
    assert (second.image, second.right, second.group) == ("b\u2028.png", True, "pond")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"image": "b.p', "JSONDecodeError: Unterminated string"),
        (b'{"image": "\xff"}', "UnicodeDecodeError: "),
        (b"", "JSONDecodeError: Expecting value"),
        (b"[1]", "TypeError: list instead of an object"),
        (b'{"image": "b.png"}', "KeyError: 'label'"),
        (json.dumps(IMAGE | {"label": 3}).encode(), "TypeError: label is 3, not text"),
        (json.dumps(IMAGE | {"predicted": None}).encode(), "TypeError: predicted is None, not text"),
        (json.dumps(IMAGE | {"group": 3}).encode(), "TypeError: group is 3, not text"),
        (json.dumps(IMAGE | {"words": ["water"]}).encode(), "AttributeError: "),
        (json.dumps(IMAGE | {"words": {"water": "0.5"}}).encode(), "TypeError: "),
        (json.dumps(IMAGE | {"words": {"water": 1.5}}).encode(), r"ValueError: the rate of 'water' is 1\.5, not in \[0, 1\]"),
        (json.dumps(IMAGE | {"words": {"water": float("nan")}}).encode(), "ValueError: the rate of 'water' is nan"),
        (json.dumps(IMAGE | {"colour": "red"}).encode(), "TypeError: "),
    ],
)
def test_a_damaged_line_is_named(tmp_path, line, reason):
    (tmp_path / "images.jsonl").write_bytes(json.dumps(IMAGE).encode() + b"\n" + line + b"\n")
    wanted = rf"^Line 2 of .*images\.jsonl cannot be read \({reason}.*\)\. Wanted an image as 'wordsight audit' writes it; "
    with pytest.raises(LabelError, match=wanted + r"the file may be cut off or changed\. Run 'wordsight audit' again\.$"):
        read_images(tmp_path)


def test_no_file_and_no_image(tmp_path):
    with pytest.raises(LabelError, match=r"images\.jsonl cannot be read \(No such file or directory\)\. Give the folder that"):
        read_images(tmp_path)
    (tmp_path / "images.jsonl").write_text("")
    with pytest.raises(LabelError, match=r"images\.jsonl has no image, wanted one a line\. Run 'wordsight audit' again\."):
        read_images(tmp_path)
