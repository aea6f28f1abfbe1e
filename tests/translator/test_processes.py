"""Training in several processes: the numbers of one, checkpoints that any number of them goes on from."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from doubles import save_tiny_lm
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.processes import Processes, launched

pytestmark = pytest.mark.slow

#: Trains on doubles, is cut at a step if one is given, and writes losses and weights.
SCRIPT = """
import json, sys
import torch
from doubles import tiny_lm
from wordsight.translator import optimisation
from wordsight.translator.mlp import Translator
from wordsight.translator.optimisation import Captioned, Settings, train
from wordsight.translator.processes import launched, leave
from pathlib import Path

def images(seed, count):
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(2, (count,), generator=generator)
    views = torch.randn(count, 2, 6, generator=generator) * 0.2 + kind[:, None, None] * 2.0
    return Captioned(views, [[[1, 2, 4, 0]] if k else [[1, 3, 5, 0], [6, 3, 0]] for k in kind.tolist()])

class Cut(Exception):
    pass

def on_progress(progress):
    losses.append(progress.loss)
    if progress.step == cut:
        raise Cut

out, cut, losses = Path(sys.argv[1]), int(sys.argv[2]), []
optimisation.SAVE_EVERY = 0
lm = tiny_lm()
processes = launched("cpu")
torch.manual_seed(processes.number)  # other weights in each process, until training has begun
made = Translator(6, lm.hidden, hidden=16, prefix_tokens=2, dropout=0.1)
made.learn_scale(images(0, 21).views)
settings = Settings(epochs=4, batch=4, learning_rate=0.01)
try:
    history = train(made, lm, images(0, 21), images(1, 9), settings=settings, checkpoint=out / "c", on_progress=on_progress)
    weights = torch.cat([value.flatten() for value in made.parameters()]).tolist()
    (out / f"{processes.count}-{processes.number}.json").write_text(json.dumps([history, losses, weights]))
except Cut:
    pass
leave()
"""


def run(*command: str, count: int, folder: Path) -> subprocess.CompletedProcess:
    tests = Path(__file__).parents[1]
    launch = () if count == 1 else ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(count))
    # (without a GPU "multi_gpu" means: several processes; they find gloo)
    path = os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", ""), str(tests.parent / "src")])
    own = {"PYTHONPATH": path, "WORDSIGHT_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    ran = subprocess.run(
        [sys.executable, *launch, *command],
        env=os.environ | own,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran


def trained(folder: Path, *, count: int, cut: int = 0) -> list[list[list[float]]]:
    """Losses on held-out images, losses of steps, and weights, of each process."""
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(SCRIPT)
    run("train.py", str(folder), str(cut), count=count, folder=folder)
    return [] if cut else [json.loads((folder / f"{count}-{number}.json").read_text()) for number in range(count)]


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    ((history, losses, weights),) = trained(tmp_path / "one", count=1)
    first, second = trained(tmp_path / "two", count=2)
    assert first == second  # to the last bit
    assert len(losses) == 24  # 21 images are six steps an epoch, the last of them one image: nothing for the second process
    assert first[0] == pytest.approx(history, rel=1e-5)
    assert first[1] == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(torch.tensor(first[2]), torch.tensor(weights), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1)])
def test_a_checkpoint_goes_on_with_another_number_of_processes(tmp_path, before, after):
    ((history, losses, weights),) = trained(tmp_path / "whole", count=1)
    trained(tmp_path / "cut", count=before, cut=9)
    resumed = trained(tmp_path / "cut", count=after)
    assert len(resumed) == after
    for own in resumed:
        assert own[0] == pytest.approx(history, rel=1e-5)
        assert len(own[1]) == len(losses) - 8  # step 9 was cut before its checkpoint, so it is done again
        torch.testing.assert_close(torch.tensor(own[2]), torch.tensor(weights), rtol=1e-3, atol=1e-5)


def test_the_command_under_accelerate(tmp_path):
    save_tiny_lm(tmp_path / "lm")
    (tmp_path / "photographs").mkdir()
    rows = ["image,caption"]
    for i in range(20):
        Image.new("RGB", (9, 9), (9 * i, 10, 0) if i % 2 else (0, 10, 9 * i)).save(tmp_path / "photographs" / f"{i}.png")
        rows.append(f"{i}.png,a {'dog runs' if i % 2 else 'cat sleeps'}")
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    options = (
        "train", "--captions", "captions.csv", "--images", "photographs", "--dev", "0.2", "--epochs", "3", "--hidden", "8",
        "--prefix-tokens", "2", "--classifier", "doubles:tiny_classifier", "--lm", "lm",
    )  # fmt: skip
    one = run("-m", "wordsight", *options, "--out", "one.safetensors", count=1, folder=tmp_path)
    two = run("-m", "wordsight", *options, "--out", "two.safetensors", count=2, folder=tmp_path)
    alone, together = (json.loads(ran.stdout) for ran in (one, two))  # one line: the second process says nothing
    assert together["dev_loss"] == pytest.approx(alone["dev_loss"], rel=1e-5)
    assert (together["images"], together["dev_images"]) == (alone["images"], alone["dev_images"]) == (16, 4)
    assert "used 20 of 20 images" in two.stderr
    weights = [load_translator(tmp_path / f"{name}.safetensors")[0].state_dict() for name in ("one", "two")]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=0.01, atol=1e-4)
    assert not list(tmp_path.glob("*.checkpoint"))


def test_one_process_is_the_first_and_adds_nothing(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = launched("cpu")
    assert alone == Processes()
    assert alone.first
    tensor = torch.ones(2)
    alone.add_up([tensor])
    assert tensor.tolist() == [1, 1]
    assert alone.from_first(lambda: 3) == 3
