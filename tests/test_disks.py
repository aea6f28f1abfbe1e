"""Disks that are full or may not be written to (of memory, where this user may mount them); several processes on one cache."""

import contextlib
import json
import logging
import multiprocessing
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from test_endings import CLASSIFIER, COMMANDS, MODELS, finished, setting, started  # noqa: F401 (a fixture)
from wordsight.errors import WordsightError
from wordsight.features.store import FeatureStore
from wordsight.models import own_translator
from wordsight.storage import _remove_unfinished, cache_needed, replacing
from wordsight.translator import optimisation, streams


@contextlib.contextmanager
def mounted(folder: Path, *options: str, what: str = "tmpfs") -> Iterator[Path]:
    """A disk of its own in a folder; skips the test where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = () if what.startswith("/") else ("-t", what)
    done = subprocess.run(["mount", *kind, *options, what, str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small(tmp_path):
    """A disk of 64 KiB, all of it taken."""
    if sys.platform != "linux":
        pytest.skip("mounts are made as on Linux")
    with mounted(tmp_path / "small", "-o", "size=64k") as folder:
        with contextlib.suppress(OSError), (folder / "taken").open("wb") as taken:
            taken.write(bytes(1 << 20))
        yield folder


def test_a_checkpoint_that_has_no_room_costs_no_training(small, caplog):
    with caplog.at_level(logging.WARNING):
        state = [torch.nn.Linear(300, 300) for _ in range(2)]
        optimisation._save(small / "c", *state, torch.optim.AdamW(state[0].parameters()), {}, 1, [], {})
    assert f"the checkpoint {small / 'c'} cannot be written ([Errno 28] No space left on device" in caplog.text
    assert [path.name for path in small.iterdir()] == ["taken"]


def test_weights_that_have_no_room_in_the_cache(small, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WORDSIGHT_CACHE", str(small / "cache"))
    classifier, lm = tiny_classifier(), tiny_lm()
    starter = tiny_translator(tiny_classifier(seed=1), lm)
    monkeypatch.setattr("wordsight.models.starter_translator", lambda: starter)
    monkeypatch.setattr("wordsight.models.load_classifier", lambda *_args, **_options: tiny_classifier(seed=1))
    for i in range(12):
        Image.new("RGB", (9, 9), (20 * i, 255 - 20 * i, 40)).save(tmp_path / f"{i}.png")
    own_translator(classifier, lm, str(tmp_path / "*.png"))
    assert "the translator cannot be written to" in caplog.text
    assert "No space left on device" in caplog.text


def test_shards_that_have_no_room_are_one_error_and_end_no_process(small):
    with (
        pytest.raises(WordsightError, match=r"The cache cannot be written \(\[Errno 28\] No space left on device"),
        cache_needed(),
    ):
        streams._reserve(small / "views", 1 << 20)
    save = {"views": torch.zeros(100_000)}
    (small / "views").unlink()
    with (
        pytest.raises(WordsightError, match=r"The cache cannot be written \(.*No space left on device.*WORDSIGHT_CACHE"),
        cache_needed(),
        replacing(small / "x.safetensors") as partial,
    ):
        streams.save_file(save, partial)
    assert [path.name for path in small.iterdir()] == ["taken"]


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_on_a_full_cache(small, setting, command):  # noqa: F811
    """Only training on shards and fetching need the cache; all else is slower, and says so."""
    arguments = [{"50000": "5"}.get(argument, argument) for argument in COMMANDS[command]]
    process = started(setting, *arguments, environment={"WORDSIGHT_CACHE": str(small / "cache"), "HOME": str(small)})
    status, _, err = finished(process)
    assert "Traceback" not in err
    assert status in (0, 1) or "There is nothing to compare" in err or "word" in err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["explain", "audit", "head", "train"])
def test_every_output_on_a_full_disk_is_one_line(small, setting, command):  # noqa: F811
    arguments = [*COMMANDS[command]]
    if "--out" in arguments:
        arguments[arguments.index("--out") + 1] = str(small / "out")
    else:
        arguments += ["--out", str(small / "out")]
    status, _, err = finished(started(setting, *arguments))
    assert "Traceback" not in err
    assert status == 2
    assert "No space left on device" in err or "There is nothing to compare" in err


@pytest.mark.slow
def test_a_cache_a_home_and_images_that_may_not_be_written(setting, tmp_path):  # noqa: F811
    if sys.platform != "linux":
        pytest.skip("mounts are made as on Linux")
    home = tmp_path / "home"
    with (
        mounted(setting / "labelled", "--bind", what=str(setting / "labelled")) as images,
        mounted(home, "-o", "ro") as _,
    ):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(images)], check=True)
        for name in ("explain", "head", "audit"):
            environment = {"HOME": str(home), "WORDSIGHT_CACHE": "", "MPLCONFIGDIR": "", "XDG_CACHE_HOME": ""}
            status, out, err = finished(started(setting, *COMMANDS[name], environment=environment))
            assert "Traceback" not in err
            assert status == 0 or "There is nothing to compare" in err, err
            if name == "head":
                assert "features cannot be written to" in err
                assert json.loads(out)["left_out"] == 0
        status, _, err = finished(started(setting, "explain", "labelled", "--out", "labelled/out", *MODELS))
        assert (status, err.count("\n")) == (2, 1)
        assert "Cannot write to --out labelled/out ([Errno 30] Read-only file system" in err


def test_what_killed_processes_left_is_removed_after_an_hour(tmp_path):
    old, fresh, foreign = (tmp_path / name for name in (".a.json.0123abcd.partial", ".b.json.0123abce.partial", ".c.partial"))
    for file in (old, fresh, foreign):
        file.write_text("half")
    for file in (old, foreign):
        os.utime(file, (0, 0))
    _remove_unfinished.cache_clear()
    with replacing(tmp_path / "a.json") as partial:
        partial.write_text("{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == [fresh.name, foreign.name, "a.json"]


def use_store(folder: Path, barrier, answers) -> None:
    messages: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logging.getLogger("wordsight").addHandler(handler)
    barrier.wait()
    with FeatureStore(folder, "key") as store:
        for number in range(5):
            store.write({str(number): torch.ones(1, 4)})
        answers.put((len(store.read([str(number) for number in range(5)])), messages))


def test_several_processes_make_one_store(tmp_path):
    context = multiprocessing.get_context("fork")
    for attempt in range(8):
        barrier, answers = context.Barrier(4), context.Queue()
        processes = [context.Process(target=use_store, args=(tmp_path / str(attempt), barrier, answers)) for _ in range(4)]
        for process in processes:
            process.start()
        assert [answers.get(timeout=60) for _ in processes] == [(5, [])] * 4
        for process in processes:
            process.join()


def test_a_store_that_is_locked_is_not_taken_for_damaged(tmp_path, caplog, monkeypatch):
    with FeatureStore(tmp_path, "key") as store:
        store.write({"a": torch.ones(1, 4)})
    monkeypatch.setattr("wordsight.features.store._LOCKED_TIMES", 1)
    monkeypatch.setattr("wordsight.features.store._PATIENCE", 0.1)
    other = sqlite3.connect(tmp_path / "key.sqlite")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("PRAGMA journal_mode = DELETE")
    other.execute("BEGIN EXCLUSIVE")
    with FeatureStore(tmp_path, "key") as store:
        assert store.read(["a"]) == {}
    assert "database is locked" in caplog.text
    assert "damaged" not in caplog.text
    other.close()
    monkeypatch.undo()
    with FeatureStore(tmp_path, "key") as store:
        assert set(store.read(["a"])) == {"a"}


def test_a_store_made_anew_does_not_meet_the_old_one_s_log(tmp_path):
    file = tmp_path / "key.sqlite"
    file.write_bytes(b"no database" * 400)
    for ending in ("-wal", "-shm"):
        file.with_name(file.name + ending).write_bytes(b"old log" * 1000)
    with FeatureStore(tmp_path, "key") as store:
        store.write({"a": torch.ones(1, 4)})
    with FeatureStore(tmp_path, "key") as store:
        assert set(store.read(["a"])) == {"a"}


@pytest.mark.slow
def test_two_commands_on_one_empty_cache(setting):  # noqa: F811
    for command in ("head", "explain", "audit"):
        outputs = [[*COMMANDS[command]], [*COMMANDS[command]]]
        for number, arguments in enumerate(outputs):
            if "--out" in arguments:
                arguments[arguments.index("--out") + 1] = f"{number}.safetensors"
        both = [finished(process) for process in [started(setting, *arguments) for arguments in outputs]]
        assert both[0][0] == both[1][0]
        assert both[0][1].replace("0.safetensors", "1.safetensors") == both[1][1]
        for _, _, err in both:
            assert "Traceback" not in err
            assert "cannot be written" not in err
            assert "damaged" not in err
