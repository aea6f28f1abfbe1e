"""Which device and precision are chosen. Times are made up here; what they are taken of is real."""

import json
import logging
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wordsight.errors import ModelError
from wordsight.language import devices
from wordsight.language.devices import _measured, _times, chosen_device, native_dtype
from wordsight.runtime import check_device


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WORDSIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def machine(monkeypatch, times: dict[str, dict[str, float]]) -> list[str]:
    """A machine that is no x86, with these devices; returns the list of what is measured."""
    measured: list[str] = []
    monkeypatch.setattr(devices, "_measured", lambda device: measured.append(device) or times[device])
    monkeypatch.setattr(devices, "_accelerator", lambda: next((device for device in times if device != "cpu"), None))
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    return measured


BOTH = {"float32": 1.2, "bfloat16": 1.0}


@pytest.mark.parametrize(
    ("cpu", "mps", "device", "precision"),
    [
        pytest.param({"float32": 1.0}, {"float32": 0.5}, "mps", torch.float32, id="GPU is faster"),
        pytest.param({"float32": 1.0}, {"float32": 0.9}, "cpu", torch.float32, id="GPU is hardly faster"),
        pytest.param({"float32": 1.0}, {}, "cpu", torch.float32, id="GPU is wrong or fails"),
        pytest.param(BOTH, {"float32": 1.0}, "cpu", torch.bfloat16, id="cores multiply bfloat16"),
        pytest.param({"float32": 1.1, "bfloat16": 1.0}, {"float32": 1.0}, "cpu", torch.float32, id="bfloat16 is hardly faster"),
        pytest.param(BOTH, {"float32": 0.8, "bfloat16": 0.6}, "mps", torch.bfloat16, id="GPU is faster in both"),
    ],
)
def test_the_fastest_that_is_right_is_chosen_once(monkeypatch, cpu, mps, device, precision):
    measured = machine(monkeypatch, {"cpu": cpu, "mps": mps})
    for _ in range(2):
        assert chosen_device("auto") == device
        assert native_dtype(device) == precision
    assert measured == ["mps", "cpu"]  # once, also of a device that fails


def test_without_an_accelerator_nothing_is_measured_for_the_device(monkeypatch):
    measured = machine(monkeypatch, {"cpu": {"float32": 1.0}})
    assert chosen_device("auto") == "cpu"
    assert measured == []


def test_a_named_device_is_checked_and_taken(monkeypatch):
    measured = machine(monkeypatch, {"cpu": {"float32": 1.0}, "mps": {"float32": 0.1}})
    assert chosen_device("cpu") == "cpu"
    for device in ("meta", "nowhere:7"):
        with pytest.raises(ModelError, match=rf"^The device '{device}' cannot be used \(.*\)\. This machine has: cpu\.$"):
            chosen_device(device)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ModelError, match=r"This machine has: cpu, mps\.$"):
        check_device("meta")
    assert measured == []


def test_times_are_kept_for_this_processor_and_pytorch(cache, monkeypatch, caplog):
    measured = machine(monkeypatch, {"cpu": {"float32": 2.0, "bfloat16": 1.0}})
    assert native_dtype("cpu") == torch.bfloat16
    (file,) = (cache / "speeds").glob("*.json")
    assert json.loads(file.read_text()) == {"float32": 2.0, "bfloat16": 1.0}
    monkeypatch.setattr(devices, "_processor", lambda: "another")
    assert native_dtype("cpu") == torch.bfloat16
    assert len(list((cache / "speeds").glob("*.json"))) == len(measured) == 2
    for broken in ("", "{", '{"float32": null}', '["float32"]'):
        for file in (cache / "speeds").glob("*.json"):
            file.write_text(broken)
        assert native_dtype("cpu") == torch.bfloat16
    assert len(measured) == 6
    assert "is damaged" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_error(cache, monkeypatch, caplog):
    machine(monkeypatch, {"cpu": {"float32": 2.0, "bfloat16": 1.0}})
    cache.write_text("no folder")
    assert native_dtype("cpu") == torch.bfloat16
    assert "cannot be written" in caplog.text


def test_common_processors_are_not_measured(monkeypatch):
    monkeypatch.setattr(devices, "_measured", lambda device: pytest.fail(device))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    for capability, has, wanted in (("AVX512", True, "bfloat16"), ("AVX512", False, "float32"), ("AVX2", True, "float32")):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda capability=capability: capability)
        monkeypatch.setattr(devices, "_has_bf16", lambda has=has: has)
        assert native_dtype("cpu") == getattr(torch, wanted)
    for fast in (True, False):  # older GPUs have bfloat16 by way of float32 only
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation, fast=fast: fast and not including_emulation
        )
        assert native_dtype("cuda:1") == (torch.bfloat16 if fast else torch.float32)


def test_apple_s_processors_have_a_name(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    asked: list[list[str]] = []

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, stdout="Apple M2\n")

    monkeypatch.setattr(subprocess, "run", run)
    assert devices._processor() == "Apple M2"
    assert asked == [["sysctl", "-n", "machdep.cpu.brand_string"]]


def test_what_is_measured_is_right_and_takes_time():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    times = _measured("cpu")
    assert torch.equal(torch.rand(1), expected)  # the user's random numbers are not touched
    assert set(times) == {"float32", "bfloat16"}
    assert all(seconds > 0 for seconds in times.values())


def test_what_fails_or_is_wrong_is_left_out(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    right = torch.ones(2, 3)
    answers = {
        ("cpu", "float32"): lambda: (right, 1.0),
        ("mps", "float32"): lambda: (right + 0.1, 0.1),
        ("mps", "bfloat16"): lambda: (right * float("nan"), 0.1),
        ("mps:1", "float32"): lambda: (right + 0.1, 0.1),
        ("mps:1", "bfloat16"): lambda: (right, 0.1),
        ("xpu", "float32"): lambda: (right + 1e-4, 0.2),
        ("xpu", "bfloat16"): lambda: (_ for _ in ()).throw(ValueError("no such operator")),
        ("cuda", "float32"): lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    }
    monkeypatch.setattr(devices, "_steps", lambda device, precision: answers[device, precision]())
    assert _measured("mps") == _measured("mps:1") == {}
    assert _measured("xpu") == {"float32": 0.2}
    assert "bfloat16 on xpu fails: no such operator" in caplog.text
    assert _times("cuda") == {}
    assert "cuda is not used, since something else has its memory (CUDA out of memory)" in caplog.text
    assert not list(devices.cache_folder().rglob("*.json"))  # it may be free the next time
    assert _times("mps") == {}
    assert "sampling's steps fail on mps or are wrong there: it is used only where it is named" in caplog.text
    assert len(list(devices.cache_folder().rglob("*.json"))) == 1


def test_processes_of_a_launcher_agree(monkeypatch):
    measured = machine(monkeypatch, {"cpu": {"float32": 1.0}, "mps": {"float32": 3.0}})
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert chosen_device("auto") == "mps"
    assert measured == []


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this PyTorch cannot be taught a device in Python",
)
def test_every_command_on_a_strict_device(tmp_path):
    tests = Path(__file__).parent.parent
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", ""), str(tests.parent / "src")])
    ran = subprocess.run(
        [sys.executable, str(tests / "by_virtual_device.py"), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path, "WORDSIGHT_CACHE": str(tmp_path / "cache")}, cwd=tmp_path, capture_output=True,
        text=True, timeout=400, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr[-4000:]
    assert ran.stdout.count("done: ") == 6
