"""The first lines of an audit, on the page and in the command's text."""

import dataclasses
from pathlib import Path

import pytest

from reporting import an_audit
from wordsight.audits.result import Audit
from wordsight.audits.untested import Power, Untested
from wordsight.commands.audit import as_text
from wordsight.report.command_lines import audit_command, classifier_name
from wordsight.report.summary import Line, summary


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    return an_audit(tmp_path)


def about(audit: Audit, name: str) -> list[Line]:
    return [line for line in summary(audit) if line.about == name]


def test_the_order_is_the_readers(audit):
    untested = Untested(audit.words[1], 3, 25)
    told = summary(dataclasses.replace(audit, untested=[untested], power=[Power("duck", 16, 0.2, 0.3)]))
    assert [line.about for line in told] == ["Looked at", "Found", "How sure", "Untested", "Not seen", "Next"]
    assert [line.about for line in told if line.command] == ["Next"]


def test_the_rate_that_is_held_is_the_audits_own(audit):
    loose = dataclasses.replace(audit, settings=audit.settings | {"limits": {"false_discovery": 0.2}})
    assert about(loose, "How sure")[0].text.startswith("Of such findings at most 20 in 100 are false on average.")
    silent = dataclasses.replace(loose, findings=[])
    assert about(silent, "How sure")[0].text.startswith(
        "A classifier without shortcuts is found to have one in at most 20 of 100"
    )


def test_of_many_classes_the_smallest_and_the_largest_gap_are_named(audit):
    few = [Power(f"class{i}", 9, 0.1 * i, 0.9) for i in range(1, 9)]
    (line,) = about(dataclasses.replace(audit, power=few), "Not seen")
    assert "unseen: class1 10, class2 20, class3 30" in line.text
    assert len(line.details) == 8
    (line,) = about(dataclasses.replace(audit, power=[*few, Power("ox", 9, 0.05, 0.9)]), "Not seen")
    assert "unseen: 5 (ox) to 80 (class8), by class. Words that few" in line.text
    # Without findings each class's gaps have a section of their own.
    assert about(dataclasses.replace(audit, power=few, findings=[]), "Not seen")[0].details == []


def test_what_to_do_next_asks_for_the_scarce_images(audit):
    for has, side in ((True, "with"), (False, "without")):
        one = Untested(audit.words[1], 3, 25, has=has)
        (line,) = about(dataclasses.replace(audit, findings=[], untested=[one]), "Next")
        assert line.text == f"Add 22 images of duck {side} “grass” and audit again."
        assert line.command == "wordsight audit DATA --classifier 'head:birds and more.safetensors' --out audit/"


def test_a_classifier_is_named_as_its_user_knows_it():
    assert classifier_name({"spec": "head:folder/my birds.safetensors", "classifier": "starter"}) == "my birds.safetensors"
    assert classifier_name({"spec": "timm:resnet50"}) == "timm:resnet50"
    assert classifier_name({}) == "a classifier"
    command = audit_command({"data": "a b/", "translator_file": "t", "lm_name": "lm"})
    assert command == "wordsight audit 'a b/' --classifier CLASSIFIER --translator t --lm lm --out audit/"


def test_the_command_prints_the_same_by_thing(audit):
    (water,) = audit.findings
    wet = dataclasses.replace(water, about=dataclasses.replace(water.about, word="wet"), along_with="water")
    lines = as_text(dataclasses.replace(audit, findings=[water, wet], power=[Power("duck", 16, 0.2, 0.3)])).splitlines()
    assert lines[1] == "1 thing that decisions use and that goes along with errors, in 1 of 2 classes. 2 words name them."
    assert lines[2:4] == ["duck: water", "  severity 31% (12% to 50%), rate 60%"]
    assert lines[5] == "  goes along with it, without evidence of its own: wet"
    assert not any(line.startswith("duck: wet") for line in lines)
    assert lines[-3].startswith("With 16 images of duck, gaps of errors below 20%")
    assert lines[-1].startswith("  wordsight mitigate DATA")
