"""What ``make lint`` says of packages with known vulnerabilities."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / ".ci" / "advisories"


def said(tmp_path: Path, answer: str) -> tuple[str, int]:
    file = tmp_path / "answer.json"
    file.write_text(answer, encoding="utf-8")
    ended = subprocess.run([sys.executable, SCRIPT, file], capture_output=True, text=True, check=False)
    return ended.stderr, ended.returncode


def test_a_vulnerable_package_fails_and_is_named(tmp_path: Path) -> None:
    known = [{"id": "PYSEC-1", "fix_versions": ["1.2", "1.1.9"]}, {"id": "PYSEC-2", "fix_versions": []}]
    packages = [{"name": "bad", "version": "1.0", "vulns": known}, {"name": "good", "version": "2.0", "vulns": []}]
    lines = "bad 1.0: PYSEC-1, mended in 1.2, 1.1.9\nbad 1.0: PYSEC-2, mended in no version\n"
    assert said(tmp_path, json.dumps({"dependencies": packages})) == (lines, 1)


def test_packages_that_cannot_be_checked_are_counted_and_fail_nothing(tmp_path: Path) -> None:
    packages = [{"name": "own", "skip_reason": "not on PyPI"}, {"name": "good", "version": "2.0", "vulns": []}]
    line = "1 of 2 packages could not be checked for known vulnerabilities: own, ...\n"
    assert said(tmp_path, json.dumps({"dependencies": packages})) == (line, 0)


def test_no_answer_is_said_and_fails_nothing(tmp_path: Path) -> None:
    line = "pip-audit could not ask: no package was checked for known vulnerabilities\n"
    assert said(tmp_path, "") == (line, 0)
