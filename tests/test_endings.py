"""How commands end: Ctrl-C, a reader who left, a full disk, a terminal that is none or cannot show everything."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from command_line import wordsight
from doubles import MODELS, save_tiny_models, tiny_classifier, tiny_lm, tiny_translator
from wordsight.__main__ import main as entry_point
from wordsight.audits.use import _drawn
from wordsight.explain import Explainer
from wordsight.images.labelled import read_labelled
from wordsight.sentences.sampling import Sampling

CLASSIFIER = ("--classifier", "doubles:tiny_classifier")
INTERRUPTED = "wordsight: interrupted; what was stored by now stays, and the same command goes on from there\n"


@pytest.fixture
def setting(tmp_path):
    """Labelled photographs in two colours, captions of them, tiny models, and what an audit left."""
    save_tiny_models(tmp_path)
    for i in range(24):
        place = tmp_path / "labelled" / ("red", "green")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), ((255 - i, 0, 40), (0, 255 - i, 40))[i % 2]).save(place / f"{i}.png")
    (tmp_path / "c.csv").write_text("\n".join(["image,caption", *(f"{i}.png,a dog runs" for i in range(24))]))
    return tmp_path


COMMANDS = {
    "explain": ("explain", "labelled", "--sentences", "5", *MODELS),
    "audit": ("audit", "labelled", "--out", "audit", "--sentences", "5", *MODELS),
    "mitigate": ("mitigate", "labelled", "--finding", "dog", "--label", "red", "--out", "m.safetensors", *MODELS),
    "head": ("head", "labelled", "--out", "h.safetensors", *CLASSIFIER),
    "train": ("train", "--captions", "c.csv", "--images", "labelled", "--out", "o.safetensors", *CLASSIFIER, "--lm", "lm"),
    "transfer": (
        "transfer", "--images", "labelled", "--from", "t.safetensors", "--from-classifier", "doubles:tiny_classifier",
        *CLASSIFIER, "--lm", "lm", "--out", "o.safetensors",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_during_a_long_step_is_one_line_and_130(setting, monkeypatch, command):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.setattr("wordsight.commands.progress._Lines.__call__", interrupted)
    ran = wordsight(setting, *COMMANDS[command])
    signal.signal(signal.SIGINT, before)
    assert (ran.returncode, ran.stderr) == (130, INTERRUPTED)
    assert not list(setting.glob("*.partial"))


def test_ctrl_c_while_nothing_is_shown_and_outside_of_the_command(setting, monkeypatch):
    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    for place, arguments in (
        ("wordsight.explain.Explainer.classes", ("classes", "labelled", *MODELS)),
        ("wordsight.audits.sets.compare", ("compare", "audit", "--here", "wrong")),
        ("wordsight.cli.tune_threads", ("--help",)),
        ("wordsight.cli.app", ("--help",)),
        ("wordsight.commands.endings.TyperGroup.make_context", ("--help",)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupt)
            ran = wordsight(setting, *arguments)
        assert (ran.returncode, ran.stderr) == (130, INTERRUPTED)
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_while_python_still_imports(capsys, monkeypatch):
    class Interrupts:
        @staticmethod
        def find_spec(name, *_):
            if name == "wordsight.cli":
                raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    monkeypatch.delitem(sys.modules, "wordsight.cli", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupts, *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        entry_point()
    signal.signal(signal.SIGINT, before)
    assert (ended.value.code, capsys.readouterr().err) == (130, INTERRUPTED)


def started(folder: Path, *arguments: str, **options) -> subprocess.Popen:
    """The command in a process of its own, whose output is ours to read."""
    environment = {**os.environ, "WORDSIGHT_CACHE": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= options.pop("environment", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "wordsight", *arguments], cwd=folder, env=environment, text=True, **options)


def finished(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=120)
    return process.returncode, out or "", err or ""


@pytest.mark.slow
def test_a_real_ctrl_c(setting):
    process = started(setting, "explain", "labelled", "--sentences", "50000", *MODELS)
    assert process.stdout is not None
    process.stdout.readline()  # the first of 24 images is done
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    status, _, err = finished(process)
    # Where the signal met code that Python itself had compiled from text, it ends by the signal: 130 in a shell, too.
    assert status in (130, -signal.SIGINT)
    assert err == INTERRUPTED


@pytest.mark.slow
def test_a_reader_who_leaves_gets_no_traceback_and_141(setting):
    for arguments in (
        ("explain", "labelled", "--sentences", "5", *MODELS),
        ("explain", "labelled", "--json", "--sentences", "5", *MODELS),
    ):
        reading, writing = os.pipe()
        os.close(reading)  # gone before the first line
        process = started(setting, *arguments, stdout=writing)
        os.close(writing)
        status, _, err = finished(process)
        assert (status, err) == (141, "")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_output_that_has_no_room_is_one_line(setting):
    for arguments in (("--version",), ("explain", "--help"), ("explain", "labelled/red/0.png", "--sentences", "5", *MODELS)):
        with Path("/dev/full").open("w") as full:
            status, _, err = finished(started(setting, *arguments, stdout=full))
        assert (status, err.count("\n")) == (2, 1)
        assert "Something cannot be written ([Errno 28] No space left on device). Make room, write to another place" in err


@pytest.mark.slow
def test_closed_output_and_errors_that_nobody_hears(setting):
    command = f"exec {sys.executable} -m wordsight explain labelled/red/0.png --sentences 5 {' '.join(MODELS)}"
    environment = {**os.environ, "WORDSIGHT_CACHE": str(setting / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}
    for closed in (">&-", ">&- 2>&- <&-"):
        ran = subprocess.run(["sh", "-c", f"{command} {closed}"], cwd=setting, env=environment, capture_output=True, text=True)
        assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
)
def test_any_locale_shows_and_writes_every_name(setting, environment):
    folder = setting / "names"
    folder.mkdir()
    for label, old in (("größe", "red"), ("Κόκκινο", "green")):
        (setting / "labelled" / old).rename(folder / label)
    (folder / "größe" / "0.png").rename(folder / "größe" / "bïld.png")
    assert sorted(set(read_labelled(folder).labels)) == ["größe", "Κόκκινο"]
    options = {"environment": environment, "stdin": subprocess.DEVNULL}
    for arguments in (
        ("head", "names", *CLASSIFIER, "--out", "h.safetensors"),
        (
            "audit",
            "names",
            "--classifier",
            "head:h.safetensors",
            *MODELS[2:],
            "--sentences",
            "10",
            "--words",
            "sentences",
            "--out",
            "ä",
        ),
        (
            "explain",
            "names/größe/bïld.png",
            "--classifier",
            "head:h.safetensors",
            *MODELS[2:],
            "--sentences",
            "5",
            "--out",
            "ö",
        ),
    ):
        status, out, err = finished(started(setting, *arguments, **options, encoding="latin1"))
        assert "Traceback" not in err
        assert status == 0 or "There is nothing to compare" in err
    assert "b" in out
    assert (setting / "ö" / "bïld.words.png").is_file()
    text = (setting / "ö" / "explanations.jsonl").read_text(encoding="ascii")
    assert "gr\\u00f6\\u00dfe" in text


def test_names_that_are_not_utf_8_decide_chance_and_stand_in_tables(setting):
    odd = setting / os.fsdecode(b"b\xefld.png")
    (setting / "labelled" / "red" / "0.png").rename(odd)
    assert 0 <= _drawn(f"1 {odd.name}").random() < 1
    assert _drawn("1 a.png").random() == random.Random("1 a.png").random()
    classifier, lm = tiny_classifier(), tiny_lm()
    explainer = Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))
    found = explainer.explain([odd], Sampling(sentences=20))
    assert set(found.to_dataframe()["image"]) == {r"b\udcefld.png"}
