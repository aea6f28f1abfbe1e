"""Writing an audit, and reading its images: whatever a line may hold, the error names it."""

import json

import pandas as pd
import pytest

from reporting import a_mitigation, an_audit
from wordsight.audits.parquet import write_parquet
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


def test_an_audit_is_written_as_a_whole_with_its_mitigations(tmp_path):
    audit = an_audit(tmp_path)
    folder = tmp_path / "new" / "folder"
    files = audit.save(folder, mitigations=[a_mitigation(audit)])
    assert [file.name for file in files] == ["findings.json", "words.csv", "images.jsonl", "report.html"]
    assert sorted(file.name for file in folder.iterdir()) == sorted(file.name for file in files)
    entry = json.loads((folder / "findings.json").read_text(encoding="utf-8"))
    assert entry == json.loads(audit.to_json())
    assert [finding["word"] for finding in entry["findings"]] == ["water"]
    assert entry["findings"][0]["examples"] == audit.examples(audit.findings[0])
    table = pd.read_csv(folder / "words.csv", keep_default_na=False)
    assert list(table["word"]) == [word.word for word in audit.words]
    assert list(table.columns) == list(audit.to_dataframe().columns)
    assert read_images(folder) == audit.images
    assert "Before and after mitigation" in (folder / "report.html").read_text(encoding="utf-8")
    audit.save(folder)  # again, without mitigations: every file is replaced
    assert "Before and after mitigation" not in (folder / "report.html").read_text(encoding="utf-8")


def test_names_that_are_not_utf_8_are_written_and_read_again(tmp_path):
    audit = an_audit(tmp_path, name="caf\udce9")
    audit.save(tmp_path / "out")
    assert [image.image for image in read_images(tmp_path / "out")] == [image.image for image in audit.images]
    write_parquet(audit.images, tmp_path / "images.parquet")
    assert pd.read_parquet(tmp_path / "images.parquet")["image"][0] == "caf\\udce90.png"
    assert "caf\\udce9" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_examples_of_a_finding_by_hand(tmp_path):
    audit = an_audit(tmp_path)
    examples = audit.examples(audit.findings[0], limit=3)
    assert examples == {"with": ["0.png", "1.png", "2.png"], "missed": ["15.png", "14.png", "13.png"], "mistaken": []}
