"""An audit's images as Parquet."""

from pathlib import Path

import pytest

from wordsight.audits.parquet import write_parquet
from wordsight.audits.result import AuditedImage
from wordsight.errors import WordsightError


def test_a_row_an_image(tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    import pandas

    image = AuditedImage(
        image="1.png", path=Path("red/1.png"), label="red", predicted="blue", probability=0.7, words={"dog": 0.5, "ball": 0.25},
        sentence="a dog", group="day", split=None,
    )  # fmt: skip
    table = pandas.read_parquet(write_parquet([image], tmp_path / "images.parquet"))
    (row,) = table.to_dict("records")
    assert (row["image"], row["path"], row["label"], row["predicted"], row["probability"]) == (
        "1.png",
        "red/1.png",
        "red",
        "blue",
        0.7,
    )
    assert dict(row["words"]) == {"dog": 0.5, "ball": 0.25}
    assert (row["sentence"], row["group"]) == ("a dog", "day")
    assert pandas.isna(row["split"])


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(WordsightError, match=r"images\.parquet needs the package pyarrow .* pip install 'wordsight\[ray\]'"):
        write_parquet([], tmp_path / "images.parquet")
