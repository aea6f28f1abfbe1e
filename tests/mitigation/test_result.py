"""A mitigation as a table, as JSON and as a head's file."""

import dataclasses
import json

import pandas as pd
import pytest
import torch

from reporting import a_mitigation, an_audit
from wordsight.audits.findings import Group
from wordsight.audits.statistics import Estimate
from wordsight.classifiers.head import Head, load_head
from wordsight.mitigation.result import Mitigation


@pytest.fixture
def mitigation(tmp_path) -> Mitigation:
    head = Head(torch.eye(2), torch.zeros(2), ("duck", "hen"), "tiny", "f" * 64, {"penalty": 10.0})
    return dataclasses.replace(a_mitigation(an_audit(tmp_path)), head=head)


def test_a_row_a_group_then_the_averages(mitigation):
    table = mitigation.to_dataframe()
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["group", "images", "before", "after", "change"]
    assert table["images"].tolist() == [10, 6, 8, 24, 24, 24]
    assert table["before"].tolist() == pytest.approx([1, 0.4, 1, 0.75, 0.7, 0.4])
    assert table["change"].tolist() == pytest.approx([-0.2, 0.4, -0.2, 0.05, 0.1, 0.4])


def test_the_head_is_written_with_its_figures(mitigation, tmp_path):
    path = tmp_path / "folder" / "better.safetensors"
    assert mitigation.save(str(path)) == path
    head = load_head(path)
    assert head.labels == ("duck", "hen")
    torch.testing.assert_close(head.weight, torch.eye(2))
    assert head.figures == {
        "mitigation": {"label": "duck", "word": "water", "method": "reweight"},
        "penalty": 10.0,
        "before": {"average": 0.75, "worst": 0.4},
        "after": {"average": 0.8, "worst": 0.8},
    }
    assert mitigation.head.figures == {"penalty": 10.0}  # the result itself stays as it is
    assert [file.name for file in path.parent.iterdir()] == ["better.safetensors"]


def test_one_line_of_json(mitigation, tmp_path):
    text = dataclasses.replace(mitigation, masked=tmp_path / "masked").to_json(head=tmp_path / "better.safetensors")
    assert "\n" not in text
    entry = json.loads(text)
    assert list(entry) == [
        "label", "word", "words", "method", "true_groups", "verdict", "worst_change", "average_change", "too_small", "left_out",
        "head", "masked", "before", "after",
    ]  # fmt: skip
    assert (entry["head"], entry["masked"]) == (str(tmp_path / "better.safetensors"), str(tmp_path / "masked"))
    assert entry["before"]["groups"][1] == {"label": "duck", "present": False, "images": 6, "accuracy": 0.4}
    assert entry["before"]["severity"]["value"] == 0.3
    assert entry["after"]["severity"] is None
    plain = json.loads(mitigation.to_json())
    assert plain["head"] is plain["masked"] is None


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.01, 0.2, "better"), (0.0, 0.2, "no evidence"), (-1, 1, "no evidence"), (-0.2, -0.01, "worse")],
)
def test_the_verdict_is_about_the_interval_of_the_worst_group_s_change(mitigation, low, high, verdict):
    found = dataclasses.replace(mitigation, worst_change=Estimate(0.4, low, high))
    assert found.verdict == verdict
    assert found.better == (verdict == "better")


def test_true_groups_have_no_presence_in_their_names(mitigation):
    groups = [Group("duck, pond", None, 3, 0.5)]
    before, after = (dataclasses.replace(side, groups=groups) for side in (mitigation.before, mitigation.after))
    assert dataclasses.replace(mitigation, before=before, after=after).to_dataframe()["group"][0] == "duck, pond"
