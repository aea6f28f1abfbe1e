"""Every command on a device that is not the CPU. Run by language/test_devices.py in a process of its own: a device that PyTorch
knows is known to the end.
"""

import json
import random
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import wordsight
from command_line import Ran
from command_line import wordsight as command
from doubles import prepare, save_tiny_lm
from virtual_device import NAME, Device, register
from wordsight import models
from wordsight.language.devices import _measured, chosen_device
from wordsight.runtime import check_device

MODELS = ("--classifier", "by_virtual_device:classifier", "--lm", "lm", "--translator", "t.safetensors")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(6, 2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(pixels).mean((2, 3)))


def classifier(device: str) -> wordsight.Classifier:
    torch.manual_seed(0)
    net = Net()
    with torch.no_grad():  # more red or more green
        net.body[0].weight[:2] = torch.eye(2, 3)[:, :, None, None] / 9
        net.body[0].bias.zero_()
        net.head.weight.copy_(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]) @ torch.eye(2, 6))
        net.head.bias.zero_()
    return wordsight.classifier(net, head=net.head, transform=prepare, labels=["red", "green"], name="tiny", device=device)


def photographs(folder: Path) -> None:
    """120 labelled images in two colours, every tenth under the other label, and captions of them."""
    draw = random.Random(0)
    lines = ["image,caption"]
    for i in range(120):
        red = i % 2 == 0
        place = folder / "labelled" / ("red" if red ^ (i % 10 == 9) else "green")
        place.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(i).integers(0, 60, (20, 20, 3)) + np.array([150, 20, 40] if red else [20, 150, 40])
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i}.png")
        (folder / "flat").mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "flat" / f"{i}.png")
        thing = draw.choice(["dog", "ball"]) if red else draw.choice(["cat", "dog"])
        lines.append(f"{i}.png,a {'red ' if red else ''}{thing} {'runs' if red else 'sleeps'}")
    (folder / "c.csv").write_text("\n".join(lines))
    (folder / "text.txt").write_text("a red dog runs\n\na cat sleeps\n")


def on_both(folder: Path, *arguments: str) -> tuple[Ran, Ran]:
    """What the command says on the CPU and on the device, neither of which fails."""
    said = []
    for device in ("cpu", NAME):
        shutil.rmtree(folder / "cache", ignore_errors=True)  # all is computed there
        said.append(command(folder, *arguments, "--device", device))
        assert said[-1].returncode < 2, said[-1].stderr  # 1: a mitigation without evidence
    return said[0], said[1]


def training(folder: Path) -> None:
    trained = []
    for out in ("t", "again"):
        options = ("--text", "text.txt", "--epochs", "3", "--hidden", "16", "--prefix-tokens", "2", "--learning-rate", "0.01")
        ran = command(
            folder, "train", "--captions", "c.csv", "--images", "flat", "--dev", "0.2", "--out", f"{out}.safetensors", *MODELS[:4],
            *options, "--device", "cpu" if out == "t" else NAME,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        trained.append(json.loads(ran.stdout)["dev_loss"])
    assert trained[1] == pytest.approx(trained[0], rel=0.05)  # other random numbers for dropout


def explanations(folder: Path) -> None:
    some = ("labelled/red/0.png", "labelled/green/1.png")
    cpu, device = on_both(folder, "explain", *some, *MODELS, "--sentences", "60", "--where", "dog", "--out", "out", "--json")
    for here, there in zip(cpu.stdout.splitlines(), device.stdout.splitlines(), strict=True):
        one, other = json.loads(here), json.loads(there)
        assert list(one["words"]) == list(other["words"])
        assert list(one["words"].values()) == pytest.approx(list(other["words"].values()), abs=1e-5)


def audits(folder: Path) -> None:
    for words in ("sentences", "both", "head"):
        cpu, device = on_both(folder, "audit", "labelled", *MODELS, "--words", words, "--sentences", "20", "--out", words)
        assert cpu.stdout == device.stdout
        assert (folder / words / "words.csv").read_text().count("\n") > 3


def mitigations(folder: Path) -> None:
    for method, words in (("project", "head"), ("mask", "sentences"), ("reweight", "both")):
        options = ("--finding", "ball", "--label", "red", "--method", method, "--words", words, "--sentences", "20")
        cpu, device = (
            json.loads(ran.stdout) for ran in on_both(folder, "mitigate", "labelled", *MODELS, *options, "--out", "m.st")
        )
        assert cpu["average_change"]["value"] == pytest.approx(device["average_change"]["value"], abs=1e-6)


def other_commands(folder: Path) -> None:
    cpu, device = on_both(folder, "classes", "flat", *MODELS)
    assert cpu.stdout == device.stdout
    cpu, device = on_both(folder, "head", "labelled", *MODELS[:2], "--out", "h.safetensors")
    assert cpu.stdout == device.stdout
    cpu, device = on_both(
        folder, "transfer", "--images", "flat", "--from", "t.safetensors", "--from-classifier", MODELS[1], *MODELS[:4],
        "--out", "moved.safetensors",
    )  # fmt: skip
    assert json.loads(cpu.stdout) == json.loads(device.stdout)


def the_choice(folder: Path) -> None:
    check_device(NAME)
    assert set(_measured(NAME)) == {"float32", "bfloat16"}  # both are right there
    ran = command(folder, "explain", "labelled/red/0.png", *MODELS, "--sentences", "10")
    assert ran.returncode == 0, ran.stderr
    assert len(list((folder / "cache" / "speeds").glob("*.json"))) == 2  # of the CPU and of the device
    assert chosen_device("auto") in ("cpu", NAME)


SCENARIOS = (training, explanations, audits, mitigations, other_commands, the_choice)

if __name__ == "__main__":
    register()
    models.native_dtype = lambda device: torch.float32  # what is compared has one precision
    setting = Path(sys.argv[1])
    save_tiny_lm(setting / "lm")
    photographs(setting)
    with Device():
        for scenario in SCENARIOS:
            scenario(setting)
            print("done:", scenario.__name__)
