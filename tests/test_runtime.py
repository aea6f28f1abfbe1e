"""Adjustments to the process."""

import os
import subprocess
import sys

import pytest

from wordsight.runtime import tune_memory, tune_threads, usable_cores

CACHES = ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")


@pytest.mark.parametrize("cache", CACHES)
def test_what_kernels_remember_of_shapes_is_bounded_unless_the_user_says_otherwise(monkeypatch, cache):
    for one in CACHES:
        monkeypatch.delenv(one, raising=False)
    monkeypatch.setenv(cache, "7")
    tune_memory.__wrapped__()
    assert {one: os.environ[one] for one in CACHES} == dict.fromkeys(CACHES, "128") | {cache: "7"}


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        pytest.param({}, 64, id="no cgroup"),
        pytest.param({"cpu.max": "max 100000"}, 64, id="no quota"),
        pytest.param({"cpu.max": "100000 100000"}, 1, id="one core"),
        pytest.param({"cpu.max": "250000 100000"}, 3, id="two and a half"),
        pytest.param({"cpu.max": "20000 100000"}, 1, id="a fifth"),
        pytest.param({"cpu.max": "9900000 100000"}, 64, id="more than the affinity"),
        pytest.param({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2, id="cgroup 1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64, id="cgroup 1 without quota"),
        pytest.param({"cpu.max": "nonsense"}, 64, id="unreadable"),
    ],
)
def test_the_container_s_quota_bounds_the_cores(tmp_path, monkeypatch, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == cores


def test_threads_sleep_while_they_wait_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    tune_threads()
    assert (os.environ["OMP_NUM_THREADS"], os.environ["OMP_WAIT_POLICY"]) == ("7", "PASSIVE")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    tune_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_the_command_line_loads_pytorch_only_after_threads_are_set():
    code = "import sys, wordsight.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
