"""The command line on a tiny model: options, output, exit statuses. In this process; the last tests start one of their own."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn

from command_line import wordsight
from doubles import MODELS, prepare, save_tiny_models, tiny_classifier, tiny_lm, tiny_translator
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.cli import main
from wordsight.translator.checkpoint import save_translator


@pytest.fixture
def setting(tmp_path):
    """Photographs, a tiny language model on disk, a translator for it and for doubles:tiny_classifier."""
    save_tiny_models(tmp_path)
    (tmp_path / "photographs").mkdir()
    for name, colour in (("a", "red"), ("b", "green")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / "photographs" / f"{name}.png")
    return tmp_path


def test_json_on_stdout_and_nothing_else(setting):
    ran = wordsight(setting, "explain", "photographs", "--json", "--sentences", "60", "--seed", "5", *MODELS)
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [line["image"] for line in lines] == ["a.png", "b.png"]
    for line in lines:
        assert set(line) == {"image", "prediction", "words", "intervals", "lift", "sources", "sentences", "examples", "seed"}
        assert (line["sentences"], line["seed"]) == (60, 5)
        assert set(line["prediction"][0]) == {"label", "probability"}
    assert "explained 2 of 2 images" in ran.stderr
    again = wordsight(setting, "explain", "photographs", "--json", "--sentences", "60", "--seed", "5", *MODELS)
    assert again.stdout == ran.stdout


def test_precision_mode_and_memory(setting):
    ran = wordsight(
        setting, "explain", "photographs/a.png", "--json", "--sentences", "40", "--precision", "0.04", "--mode", "exact",
        "--memory", "1", *MODELS,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["sentences"] > 40
    assert max(high - low for low, high in found["intervals"].values()) < 0.2
    for options, message in (("--precision", "2"), "precision is 2.0, wanted"), (("--mode", "greedy"), "mode is 'greedy'"):
        wrong = wordsight(setting, "explain", "photographs", *options, *MODELS)
        assert wrong.returncode == 2
        assert message in wrong.stderr


def test_transfer_from_unlabelled_pictures(setting):
    for i in range(20):
        Image.new("RGB", (9, 9), (i * 12, 255 - i * 9, i * 5)).save(setting / "photographs" / f"{i:02}.png")
    (setting / "captions.csv").write_text("image,caption\n01.png,a dog\n02.png,a cat runs\n")
    ran = wordsight(
        setting, "transfer", "--images", "photographs", "--from", "t.safetensors", "--from-classifier", MODELS[1],
        "--classifier", "doubles:tiny_classifier", "--lm", "lm", "--captions", "captions.csv", "--out", "new.safetensors",
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert (found["images"], found["left_out"], found["after"]["images"]) == (20, 0, 2)
    assert found["r2"] > 0.9
    again = wordsight(
        setting, "explain", "photographs/a.png", "--sentences", "5", *MODELS[:4], "--translator", "new.safetensors"
    )
    assert again.returncode == 0, again.stderr


def test_failures_are_named_the_rest_goes_on_and_the_status_is_not_zero(setting):
    (setting / "photographs" / "broken.jpg").write_bytes(b"")
    ran = wordsight(setting, "explain", "photographs/*", "--json", "--sentences", "5", *MODELS)
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 2
    assert "broken.jpg" in ran.stderr
    assert "explained 2 of 3 images; 1 failed" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_figures_and_text(setting):
    ran = wordsight(setting, "explain", "photographs/a.png", "--out", "out", "--top", "3", "--sentences", "30", *MODELS)
    assert ran.returncode == 0, ran.stderr
    assert "95% interval" in ran.stdout
    assert sorted(p.name for p in (setting / "out").iterdir()) == [
        "a.bars.png",
        "a.cloud.png",
        "a.words.png",
        "explanations.jsonl",
    ]
    with Image.open(setting / "out" / "a.words.png") as image:
        assert image.size[0] >= 1000


def test_long_names_are_shortened(setting):
    for letter in ("x", "y"):
        Image.new("RGB", (9, 9), "red").save(setting / "photographs" / f"{'ä' * 120}{letter}.png")
    (setting / "photographs" / "a.png").unlink()
    ran = wordsight(setting, "explain", "photographs", "--out", "out", "--sentences", "5", *MODELS)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in (setting / "out").glob("*.words.png")} == {
        "b.words.png",
        f"{'ä' * 100}.words.png",
        f"{'ä' * 100}-2.words.png",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.jpg", *MODELS), "nothing.jpg"),
        (("photographs", "--classifier", "timm:resnt50"), "Did you mean 'timm:resnet50'?"),
        (("photographs", *MODELS[:4], "--translator", "none.safetensors"), "There is no translator file none.safetensors"),
        (("photographs", *MODELS[:2], "--lm", "nowhere", *MODELS[4:]), "Cannot load the language model 'nowhere'"),
        (("photographs", *MODELS[:4]), "There is no translator for the language model 'lm'"),
        (("photographs",), "Cannot fetch efficientnet_lite0"),
    ],
)
def test_errors_are_one_line_without_traceback(setting, arguments, message):
    ran = wordsight(setting, "explain", *arguments)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_failing_function_is_one_line_and_a_traceback_with_debug(setting):
    (setting / "mine.py").write_text("def net():\n    return {}['weights']\n")
    options = ("photographs", "--classifier", "mine.py:net", *MODELS[2:])
    ran = wordsight(setting, "explain", *options)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "(KeyError: 'weights', " in ran.stderr
    assert "mine.py line 2 in net)" in ran.stderr
    for arguments in (("--debug", "explain", *options), ("explain", *options, "--debug")):
        ran = wordsight(setting, *arguments)
        assert ran.returncode == 2
        assert "Traceback (most recent call last)" in ran.stderr


def test_options_out_of_range(setting):
    ran = wordsight(setting, "explain", "photographs", "--top-p", "0", *MODELS)
    assert ran.returncode == 2
    assert "top_p is 0.0" in ran.stderr


def test_train_then_explain(setting):
    rows = ["image,caption", "a.png,a dog runs", "b.png,a cat sleeps", "lost.png,a red ball"]
    (setting / "captions.csv").write_text("\n".join(rows))
    ran = wordsight(
        setting, "train", "--captions", "captions.csv", "--images", "photographs", "--out", "own.safetensors",
        "--dev", "0.5", "--epochs", "2", "--hidden", "8", "--prefix-tokens", "2", *MODELS[:4],
    )  # fmt: skip
    assert ran.returncode == 1, ran.stderr  # one caption has no image
    assert json.loads(ran.stdout)["images"] == 1
    assert "lost.png" in ran.stderr
    assert "used 2 of 3 images" in ran.stderr
    ran = wordsight(
        setting, "explain", "photographs", "--json", "--sentences", "5", *MODELS[:4], "--translator", "own.safetensors"
    )
    assert ran.returncode == 0, ran.stderr


def test_a_missing_source_is_named_and_the_rest_goes_on(setting):
    ran = wordsight(setting, "explain", "photographs/a.png", "missing.png", "--json", "--sentences", "5", *MODELS)
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert "missing.png" in ran.stderr
    assert "explained 1 of 2 images; 1 failed" in ran.stderr


def test_the_user_s_photographs_are_never_overwritten(setting):
    photograph = setting / "photographs" / "a.png"
    before = photograph.read_bytes()
    ran = wordsight(setting, "explain", "photographs/a.png", "--out", "photographs", "--sentences", "5", *MODELS)
    assert ran.returncode == 0, ran.stderr
    assert photograph.read_bytes() == before
    (setting / "photographs" / "a.words.png").write_bytes(before)
    ran = wordsight(setting, "explain", "photographs", "--out", "photographs", "--sentences", "5", *MODELS)
    assert ran.returncode == 2
    assert "would replace" in ran.stderr
    assert (setting / "photographs" / "a.words.png").read_bytes() == before
    ran = wordsight(setting, "explain", "photographs", "--out", "photographs/a.png", *MODELS)
    assert ran.returncode == 2
    assert "Cannot write to --out" in ran.stderr


def test_a_device_that_is_not_there(setting):
    ran = wordsight(setting, "explain", "photographs", "--device", "nonsense", *MODELS)
    assert ran.returncode == 2
    assert "The device 'nonsense' cannot be used" in ran.stderr
    assert "This machine has: cpu" in ran.stderr
    ran = wordsight(setting, "explain", "photographs", "--device", "meta", *MODELS)
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "The device 'meta' cannot be used" in ran.stderr


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("explain", ("photographs", "--mode", "typo"), "mode is 'typo', wanted 'stratified' or 'exact'"),
        ("explain", ("nothing.jpg",), "'nothing.jpg' does not exist"),
        ("audit", ("nowhere", "--out", "audit"), "nowhere is not labelled images"),
        (
            "mitigate",
            ("photographs", "--finding", "a", "--label", "b", "--out", "o", "--method", "typo"),
            "Unknown method 'typo'",
        ),
        ("train", ("--captions", "a", "--images", "b", "--out", "o", "--dev", "typo"), "--dev is 'typo', wanted a share"),
    ],
)
def test_typing_errors_end_a_command_before_any_model_is_loaded(setting, monkeypatch, command, options, message):
    def load(*args, **kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("wordsight.models.load_classifier", load)
    monkeypatch.setattr("wordsight.models.named_language_model", load)
    ran = wordsight(setting, command, *options)
    assert ran.returncode == 2
    assert message in " ".join(ran.stderr.replace("│", " ").split())


def test_a_classifier_without_a_translator_says_how_to_get_one(setting, monkeypatch):
    monkeypatch.setattr("wordsight.models.starter_translator", lambda: tiny_translator(tiny_classifier(seed=1), tiny_lm()))
    ran = wordsight(setting, "explain", "photographs", *MODELS[:4])
    assert ran.returncode == 2
    assert "The classifier 'tiny' has no translator yet." in ran.stderr
    assert "wordsight explain photo.jpg --classifier doubles:tiny_classifier --images photographs/" in ran.stderr


def test_a_head_for_classes_of_one_s_own_and_explaining_with_it(setting):
    for i in range(20):
        folder = setting / "classes" / ("warm" if i % 2 else "cold")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (250 - i, 10, 10) if i % 2 else (10, 10, 250 - i)).save(folder / f"{i}.png")
    made = wordsight(setting, "head", "classes", "--out", "head.safetensors", "--classifier", "doubles:tiny_classifier")
    assert made.returncode == 0, made.stderr
    found = json.loads(made.stdout)
    assert (found["labels"], found["images"], found["accuracy_held_out"]) == (["cold", "warm"], 16, 1.0)
    for name in ("warm", "cold"):
        photograph = next((setting / "classes" / name).iterdir())
        ran = wordsight(setting, "explain", str(photograph), "--json", "--classifier", "head:head.safetensors", *MODELS[2:])
        assert ran.returncode == 0, ran.stderr
        assert json.loads(ran.stdout)["prediction"][0]["label"] == name
    missing = wordsight(setting, "explain", "photographs", "--classifier", "head:none.safetensors", *MODELS[2:])
    assert missing.returncode == 2
    assert "There is no head file none.safetensors" in missing.stderr


def labelled(folder: Path) -> Path:
    """Images in two colours, some of each under the wrong name."""
    for i in range(24):
        shade = 255 - 7 * i
        colour = ((shade, 0, 40), (0, shade, 40))[(i + (i % 5 == 0)) % 2]
        place = folder / "labelled" / ("red", "green")[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), colour).save(place / f"{i}.png")
    return folder / "labelled"


def test_what_cannot_be_used_is_named_the_rest_goes_on_and_the_status_is_one(setting):
    rows = [f"{path},{path.parent.name}" for path in sorted(labelled(setting).rglob("*.png"))]
    (setting / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (setting / "t.csv").write_text("\n".join(["image,label", *rows, "photographs/a.png,", "phone.heic,phone"]))
    ran = wordsight(setting, "head", "t.csv", "--classifier", "doubles:tiny_classifier", "--out", "mine.safetensors")
    assert ran.returncode == 1, ran.stderr
    assert "Row 26 of t.csv (photographs/a.png): it has no label; fill it in." in ran.stderr
    assert "phone.heic' is a HEIC image, which needs the package pillow-heif" in ran.stderr
    assert (json.loads(ran.stdout)["left_out"], json.loads(ran.stdout)["labels"]) == (2, ["green", "red"])


def test_audit_writes_findings_words_images_and_a_report(setting):
    labelled(setting)
    made = wordsight(setting, "head", "labelled", "--classifier", "doubles:tiny_classifier", "--out", "mine.safetensors")
    assert made.returncode == 0, made.stderr
    translator, card = tiny_translator(tiny_classifier(), tiny_lm())
    translator.to_prefix.weight.data *= 100  # the colours' features are small and alike, sentences should not be
    save_translator(setting / "bold.safetensors", translator, card)
    models = ["--classifier", "head:mine.safetensors", "--lm", "lm", "--translator", "bold.safetensors"]
    done = wordsight(
        setting, "audit", "labelled", "--out", "audit", "--sentences", "10", "--seed", "8", *models, "--fail-on", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "24 images of 2 classes. The classifier, mine.safetensors, predicts 75% of them right." in done.stdout
    found = json.loads((setting / "audit" / "findings.json").read_text())
    assert found["settings"]["spec"] == "head:mine.safetensors"
    assert found["settings"]["data"] == "labelled"
    assert {p.name for p in (setting / "audit").iterdir()} == {"findings.json", "words.csv", "images.jsonl", "report.html"}
    again = wordsight(setting, "audit", "labelled", "--out", "audit", "--sentences", "10", "--seed", "8", *models)
    assert again.stdout == done.stdout
    (setting / "labelled" / "red" / "broken.png").write_bytes(b"no image")
    again = wordsight(setting, "audit", "labelled", "--out", "audit", "--sentences", "10", "--seed", "8", *models)
    assert (again.returncode, again.stdout) == (1, done.stdout)
    assert "labelled/red/broken.png: 'labelled/red/broken.png' is not an image that Pillow can read" in again.stderr


def test_a_head_from_a_hugging_face_dataset(setting):
    import datasets

    rows = [str(path) for path in sorted(labelled(setting).rglob("*.png"))]
    names = [Path(row).parent.name for row in rows]
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["red", "green"])})
    made = datasets.Dataset.from_dict({"image": [*rows, None], "label": [*names, "red"]}, features=kinds)
    datasets.DatasetDict({"train": made, "test": made.select([0])}).save_to_disk(setting / "saved")
    options = ("--split", "train", "--classifier", "doubles:tiny_classifier", "--out", "mine.safetensors")
    done = wordsight(setting, "head", "saved", *options)
    assert done.returncode == 1, done.stderr  # for the row without an image, like any image that cannot be read
    found = json.loads(done.stdout)
    assert (found["labels"], found["left_out"], found["images"] + found["held_out"]) == (["green", "red"], 1, 24)
    assert "train-000024.no-image' is empty (0 bytes)" in done.stderr
    done = wordsight(setting, "head", "hf:nobody/nothing", *options)
    assert done.returncode == 2
    assert "'hf:nobody/nothing' cannot be loaded from the Hugging Face Hub" in done.stderr


def test_audit_of_labels_that_the_classifier_lacks(setting):
    (setting / "labelled" / "cow").mkdir(parents=True)
    Image.new("RGB", (20, 20)).save(setting / "labelled" / "cow" / "1.png")
    models = ["--classifier", "doubles:tiny_classifier", "--lm", "lm", "--translator", "t.safetensors"]
    done = wordsight(setting, "audit", "labelled", "--out", "audit", *models)
    assert done.returncode == 2
    assert "1 of 1 labels are none of the classifier's 3 classes: 'cow'." in done.stderr


def test_mitigate_says_whether_it_is_better(setting):
    labelled(setting)
    models = [
        "--classifier",
        "doubles:tiny_classifier",
        "--lm",
        "lm",
        "--translator",
        "t.safetensors",
        "--sentences",
        "8",
        "--seed",
        "3",
    ]
    made = wordsight(setting, "head", "labelled", "--classifier", "doubles:tiny_classifier", "--out", "mine.safetensors")
    assert made.returncode == 0, made.stderr
    models[1] = "head:mine.safetensors"
    translator, card = tiny_translator(tiny_classifier(), tiny_lm())
    translator.to_prefix.weight.data *= 100  # features are small and alike, sentences should not be
    save_translator(setting / "t.safetensors", translator, card)
    options = ["--finding", "cat", "--label", "red", "--out", "better.safetensors", "--report", "after"]
    done = wordsight(setting, "mitigate", "labelled", *options, *models)
    assert done.returncode == 1, done.stderr  # of 24 images 5 are measured on
    found = json.loads(done.stdout)
    assert (found["verdict"], found["words"], sum(group["images"] for group in found["before"]["groups"])) == (
        "no evidence", "sentences", 5,
    )  # fmt: skip
    assert (setting / "better.safetensors").exists()
    assert "no evidence; keep the head you have. " in done.stderr
    assert "groups have fewer than 10 images that neither head nor finding has seen, and do not count" in done.stderr
    assert "wanted 10 more of it" in done.stderr or "wanted 9 more of it" in done.stderr
    # Too few images for an audit of the new head: it is made and measured all the same.
    assert "no report in after: There is nothing to compare" in done.stderr


@pytest.mark.parametrize(("low", "high", "status"), [(0.1, 0.4, 0), (-0.1, 0.4, 1), (-0.4, -0.1, 3)])
def test_every_verdict_of_mitigate_has_an_exit_status_of_its_own(setting, monkeypatch, low, high, status):
    from reporting import a_mitigation, an_audit
    from wordsight.audits.statistics import Estimate
    from wordsight.classifiers.head import Head

    labelled(setting)
    head = Head(torch.eye(2), torch.zeros(2), ("duck", "hen"), "tiny", "f" * 64)
    made = replace(a_mitigation(an_audit(setting)), worst_change=Estimate(0.0, low, high), head=head)
    monkeypatch.setattr("wordsight.mitigation.run.mitigate", lambda *_args, **_options: made)
    models = ["--classifier", "doubles:tiny_classifier", "--lm", "lm", "--translator", "t.safetensors"]
    options = ["--finding", "water", "--label", "duck", "--out", "better.safetensors"]
    assert wordsight(setting, "mitigate", "labelled", *options, *models).returncode == status


def test_mitigate_refuses_an_unknown_source_of_words(setting):
    options = ["--finding", "water", "--label", "duck", "--out", "better.safetensors", "--words", "dreams"]
    done = wordsight(setting, "mitigate", "photographs", *options)
    assert done.returncode == 2
    assert "--words is 'dreams', wanted one of: both, sentences, head." in done.stderr


def test_mitigate_needs_a_class_for_a_word(setting):
    done = wordsight(setting, "mitigate", "photographs", "--finding", "water", "--out", "better.safetensors")
    assert done.returncode == 2
    assert "The word 'water' came without a class" in done.stderr


def test_where_needs_a_folder_and_names_words_without_a_map(setting):
    models = ["--classifier", "doubles:tiny_classifier", "--lm", "lm", "--translator", "t.safetensors", "--sentences", "20"]
    done = wordsight(setting, "explain", "photographs/a.png", "--where", "dog", *models)
    assert done.returncode == 2
    assert "--where came without --out" in done.stderr
    blind = wordsight(setting, "explain", "photographs/a.png", "--where", "cow", "--out", "maps", *models)
    assert blind.returncode == 1  # the words stand without the maps
    assert "'cow' is in none of 20 sentences" in blind.stderr
    assert "has no layer with a spatial feature map" in blind.stderr
    assert (setting / "maps" / "a.words.png").exists()


def dropout_head():
    """Convolution, then a head that begins with dropout."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Sequential(nn.Dropout(), nn.Linear(6, 3)),
    )
    return make_classifier(net, transform=prepare, name="tiny")


def test_where_with_a_head_that_begins_with_dropout(setting, monkeypatch):
    monkeypatch.setattr("doubles.made_in_a_test", dropout_head, raising=False)
    save_translator(setting / "d.safetensors", *tiny_translator(dropout_head(), tiny_lm()))
    models = ["--classifier", "doubles:made_in_a_test", "--lm", "lm", "--translator", "d.safetensors"]
    seen: list[tuple[str, int, int]] = []
    monkeypatch.setattr("wordsight.commands.progress._Lines.__call__", lambda _, *step: seen.append(step))
    ran = wordsight(setting, "explain", "photographs", "--where", "dog", "--out", "maps", "--sentences", "60", *models)
    assert ran.returncode == 0, ran.stderr
    # Each of two images has the word's map and the class's.
    assert [step for step in seen if step[0] == "heat maps"] == [("heat maps", done, 4) for done in (0, 1, 2, 2, 3, 4)]
    assert {path.name for path in (setting / "maps").glob("*.where.png")} == {"a.where.png", "b.where.png"}


def an_audit(folder: Path, *, water: float = 0.8) -> None:
    """What 'wordsight audit' leaves of twelve ducks and four hens: water is said of the ducks, less of the four missed."""
    folder.mkdir()
    with (folder / "images.jsonl").open("w") as file:
        for i in range(16):
            label, missed = "duck" if i < 12 else "hen", 8 <= i < 12
            words = {"water": round(water / (4 if missed else 1) + i / 1000, 4), "grass": 0.3} if i < 12 else {"grass": 0.3}
            predicted = "hen" if missed else label
            image = {"image": f"{i}.png", "path": f"{i}.png", "label": label, "predicted": predicted, "probability": 0.9}
            image |= {"words": words, "sentence": "", "group": "pond" if i % 2 else "yard", "split": None}
            file.write(json.dumps(image) + "\n")


def test_compare_two_sets_of_an_audit(tmp_path):
    an_audit(tmp_path / "audit")
    ran = wordsight(tmp_path, "compare", "audit", "--here", "class=duck,wrong", "--elsewhere", "class=duck,right")
    assert ran.returncode == 0, ran.stderr
    # By hand: ducks 8 to 11 have 0.2 + 0.0095 on average, ducks 0 to 7 0.8 + 0.0035; Welch's reach is
    # Student's at 9.85 degrees of freedom (2.233) times the root of (5/3 / 4 + 6 / 8) / 10^6: 0.24 points.
    assert ran.stdout.splitlines() == [
        "here: 4 images (class=duck,wrong); elsewhere: 8 images (class=duck,right)",
        "1 of 2 words differ at a false-discovery rate of 5%:",
        "  word               here  elsewhere  difference  95% interval               q",
        "  water             20.9%      80.3%      -59.4%  -59.6% to -59.2%       0.017",
    ]
    ran = wordsight(tmp_path, "compare", "audit", "--here", "group=pond", "--out", "pond.csv")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "here: 8 images (group=pond); elsewhere: 8 images (all others)",
        "0 of 2 words differ at a false-discovery rate of 5%",
    ]
    assert "wrote pond.csv" in ran.stderr
    assert sorted(line.split(",")[0] for line in (tmp_path / "pond.csv").read_text().splitlines()) == ["grass", "water", "word"]


def test_compare_before_and_after(tmp_path):
    an_audit(tmp_path / "before")
    an_audit(tmp_path / "after", water=0.4002)
    ran = wordsight(tmp_path, "compare", "before", "after", "--here", "class=duck,right", "--top", "1")
    assert ran.returncode == 0, ran.stderr
    assert "here: 8 images (class=duck,right, after); elsewhere: 8 images (the same images, before)" in ran.stdout
    assert "water             40.4%      80.3%      -40.0%" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("audit",), "No set came to compare with the other images. Name one with --here."),
        (("audit", "--here", "class=goose"), "No image is class=goose; in this audit class is one of"),
        (("nowhere", "--here", "wrong"), "images.jsonl cannot be read (No such file or directory)"),
        (("audit", "--here", "wrong", "--out", "audit"), "Cannot write audit: it is a folder"),
    ],
)
def test_compare_says_what_was_wanted(tmp_path, arguments, message):
    an_audit(tmp_path / "audit")
    ran = wordsight(tmp_path, "compare", *arguments)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout == ""


def test_a_folder_that_cannot_be_written_is_said_before_any_model_is_loaded(setting, monkeypatch):
    def refused(**_options):
        raise PermissionError(13, "Permission denied")

    labelled(setting)
    monkeypatch.setattr("wordsight.commands.shared.TemporaryFile", refused)
    monkeypatch.setattr("wordsight.commands.explain.load_explainer", None)
    monkeypatch.setattr("wordsight.commands.audit.load_explainer", None)
    for command, data in (("explain", "photographs"), ("audit", "labelled")):
        ran = wordsight(setting, command, data, "--out", "out", *MODELS)
        assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
        assert "Cannot write to --out out ([Errno 13] Permission denied). Give a folder that you may write to" in ran.stderr


def test_a_disk_that_fills_up_loses_nothing_that_was_computed(setting, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    labelled(setting)
    monkeypatch.setattr("wordsight.report.plots.save", full)
    ran = wordsight(setting, "explain", "photographs/a.png", "--out", "out", "--sentences", "5", "--json", *MODELS)
    assert ran.returncode == 2
    assert json.loads(ran.stdout)["image"] == "a.png"
    assert "Cannot write out ([Errno 28] No space left on device). Make room there, or give another --out" in ran.stderr
    monkeypatch.setattr("wordsight.features.heads.save_head", full)
    ran = wordsight(setting, "head", "labelled", "--classifier", MODELS[1], "--out", "mine.safetensors")
    assert ran.returncode == 2
    assert "Cannot write mine.safetensors ([Errno 28] No space left on device)." in ran.stderr


@pytest.mark.parametrize("rate", ["-1", "nan", "inf"])
def test_a_learning_rate_out_of_range_is_one_error(setting, rate):
    (setting / "c.csv").write_text("image,caption\na.png,a dog\n")
    ran = wordsight(setting, "train", "--captions", "c.csv", "--images", "photographs", "--out", "o", "--learning-rate", rate)
    assert ran.returncode == 2
    assert "wanted a number that is not negative, such as 0.001" in " ".join(ran.stderr.replace("│", " ").split())


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_name_that_is_not_utf_8_is_explained_and_escaped_whatever_the_terminal(setting, monkeypatch):
    named = setting / "photographs" / os.fsdecode(b"caf\xe9.png")
    (setting / "photographs" / "a.png").rename(named)
    for encoding in ("utf-8", "cp1252", "ascii"):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["wordsight", "explain", "photographs", "--out", "out", "--sentences", "5", *MODELS])
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "stdout", stream)
            patch.chdir(setting)
            patch.setenv("WORDSIGHT_CACHE", str(setting / "cache"))
            with pytest.raises(SystemExit) as ended:
                main()
        assert ended.value.code in (None, 0)
        stream.flush()
        shown = stream.buffer.getvalue().decode(encoding)
        assert "caf\\udce9.png" in shown
        assert "b.png" in shown
    assert (setting / "out" / os.fsdecode(b"caf\xe9.words.png")).exists()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=300, check=True)


def test_it_starts_as_a_module_and_tells_its_version():
    assert run("-m", "wordsight", "--version").stdout.startswith("wordsight 0.")


def test_help_and_import_load_no_large_library():
    code = "import sys, wordsight, wordsight.cli; print(*sorted({'torch', 'transformers', 'pandas'} & set(sys.modules)))"
    assert run("-c", code).stdout.strip() == ""
    shown = run("-m", "wordsight", "--help").stdout
    for command in ("audit", "compare", "explain", "head", "mitigate", "train", "transfer"):
        assert command in shown
