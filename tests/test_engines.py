"""Work in parts: in this process and by Ray, with the same results, whatever happens to a worker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wordsight.engines import LOCAL, engine_named
from wordsight.errors import WordsightError


@pytest.mark.slow
def test_by_ray(tmp_path):
    pytest.importorskip("ray", reason="ray is not installed: pip install 'wordsight[ray]'")
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", ""), str(tests.parent / "src")])
    own = {"PYTHONPATH": path, "WORDSIGHT_CACHE": str(tmp_path / "cache"), "RAY_USAGE_STATS_ENABLED": "0"}
    ran = subprocess.run(
        [sys.executable, str(tests / "by_ray.py"), str(tmp_path)],
        env=os.environ | own, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr[-4000:]
    assert len([line for line in ran.stdout.splitlines() if line.startswith("done: ")]) == 4, (
        ran.stdout
    )  # Ray writes lines, too


def test_parts_in_this_process():
    assert list(LOCAL.run(str, [3, 4])) == [(0, "3"), (1, "4")]


def test_an_engine_by_name(monkeypatch):
    assert engine_named("local") is LOCAL
    assert engine_named(LOCAL) is LOCAL
    with pytest.raises(WordsightError, match=r"The engine 'spark' came, wanted 'local' \(this process\) or 'ray'"):
        engine_named("spark")
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(WordsightError, match=r"needs the package ray, which cannot .* pip install 'wordsight\[ray\]'"):
        engine_named("ray")
