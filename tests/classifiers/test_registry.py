"""Classifiers by name: every scheme on tiny or random weights, and what is said of names that nothing has."""

import re
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from doubles import tiny_classifier
from wordsight.classifiers.head import Head, save_head
from wordsight.classifiers.registry import load_classifier
from wordsight.errors import ModelError
from wordsight.runtime import declare_torchvision_operators

declare_torchvision_operators()

IMAGE = Image.new("RGB", (40, 30), "orange")


def test_torchvision_with_weights_of_one_s_own(tmp_path):
    from torchvision import models

    torch.manual_seed(0)
    net = models.mobilenet_v3_small(num_classes=7).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    torch.save(net.state_dict(), tmp_path / "w.pth")
    for file in ("w.safetensors", "w.pth"):
        spec = f"torchvision:mobilenet_v3_small@{tmp_path / file}"
        classifier = load_classifier(spec)
        assert (classifier.spec, classifier.name) == (spec, "torchvision:mobilenet_v3_small")
        assert len(classifier.labels) == 7
        z = classifier.features_of(classifier.prepare(IMAGE)[None])[:, 0]
        torch.testing.assert_close(classifier.logits(z), net(classifier.prepare(IMAGE)), atol=1e-4, rtol=1e-4)


def test_timm_with_weights_of_one_s_own(tmp_path):
    import timm

    net = timm.create_model("test_resnet", pretrained=False, num_classes=3)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    classifier = load_classifier(f"timm:test_resnet@{tmp_path / 'w.safetensors'}")
    assert (classifier.spec, len(classifier.labels)) == (f"timm:test_resnet@{tmp_path / 'w.safetensors'}", 3)


@pytest.mark.parametrize("scheme", ["timm:test_resnet", "torchvision:mobilenet_v3_small"])
def test_checkpoints_as_training_scripts_write_them(tmp_path, scheme):
    kind, name = scheme.split(":")
    if kind == "timm":
        import timm

        net = timm.create_model(name, pretrained=False, num_classes=3)
    else:
        from torchvision import models

        net = models.get_model(name, num_classes=3)
    state = net.state_dict()
    wrapped = {f"model.module.{key}": value for key, value in state.items()} | {"loss.weight": torch.ones(3)}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": {"lr": 0.1}}, tmp_path / "last.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\n\nfür\n", encoding="utf-8")
    (tmp_path / "names.json").write_text('{"dog": 1, "cat": 0, "cow": 2}')
    spec = f"{scheme}@{tmp_path / 'last.pth'}"
    assert load_classifier(spec).labels == ("class 0", "class 1", "class 2")
    named = load_classifier(f"{spec}@{tmp_path / 'names.txt'}")
    assert (named.labels, named.spec) == (("cat", "dog", "für"), f"{spec}@{tmp_path / 'names.txt'}")
    assert load_classifier(f"{spec}@{tmp_path / 'names.json'}").labels == ("cat", "dog", "cow")
    (tmp_path / "names.json").write_text("7")
    with pytest.raises(
        ModelError, match=r"The labels in .*names\.json cannot be read \(ValueError: it holds a int\)\. Wanted one name a line"
    ):
        load_classifier(f"{spec}@{tmp_path / 'names.json'}")
    first = next(iter(state))
    torch.save({key: value[:1] if key == first else value for key, value in state.items()}, tmp_path / "other.pth")
    with pytest.raises(
        ModelError, match=rf"its weights are another network's: 1 of other sizes: {first} is \(1, .*Name the network"
    ):
        load_classifier(f"{scheme}@{tmp_path / 'other.pth'}")
    torch.save({"a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"missing in the file: .* and \d+ more; 2 not in the network: a, b") as caught:
        load_classifier(f"{scheme}@{tmp_path / 'other.pth'}")
    assert "Check the" not in str(caught.value)
    torch.save({"epoch": 3, "weights": 7}, tmp_path / "other.pth")
    with pytest.raises(
        ModelError, match=r"holds a dict of epoch, weights, wanted a state dict of tensors, alone or as state_dict"
    ):
        load_classifier(f"{scheme}@{tmp_path / 'other.pth'}")


def test_a_hugging_face_folder(tmp_path):
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    labels = {0: "cat", 1: "dog"}
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8,
        id2label=labels, label2id={name: i for i, name in labels.items()},
    )  # fmt: skip
    ViTForImageClassification(config).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    classifier = load_classifier(f"hf:{tmp_path / 'vit'}")
    assert classifier.labels == ("cat", "dog")
    assert classifier.prepare(IMAGE).shape == (1, 3, 32, 32)
    assert classifier.spec == f"hf:{tmp_path / 'vit'}"


def test_a_function_in_a_file_and_in_a_module(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("from doubles import tiny_classifier\n\ndef net(device):\n    return tiny_classifier()\n")
    monkeypatch.chdir(tmp_path)
    by_file, by_module = load_classifier("mine.py:net"), load_classifier("doubles:tiny_classifier")
    assert (by_file.spec, by_module.spec) == ("mine.py:net", "doubles:tiny_classifier")
    assert by_file.name == by_module.name == "tiny"
    assert by_file.fingerprint == by_module.fingerprint


def test_a_path_with_home_a_file_of_one_function_and_imports_from_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    (tmp_path / "beside_it.py").write_text("from doubles import tiny_classifier\n")
    (tmp_path / "alone.py").write_text("def net():\n    from beside_it import tiny_classifier\n    return tiny_classifier()\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    for spec in (f"{tmp_path}/alone.py:net", "~/alone.py:net", f"{tmp_path}/alone.py"):
        assert load_classifier(spec).name == "tiny"
    (tmp_path / "two.py").write_text("def a():\n    pass\n\ndef b():\n    pass\n\ndef _c():\n    pass\n")
    with pytest.raises(ModelError, match=r"two\.py' came without a function, and has 2: a, b\. Wanted '.*two\.py:function'"):
        load_classifier(f"{tmp_path}/two.py")


def test_an_error_in_one_s_own_function_has_its_reason_and_place(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    file = tmp_path / "broken.py"
    file.write_text(
        "import sys\n\ndef key():\n    return {}['weights']\n\ndef ends():\n    sys.exit(3)\n\ndef file():\n    open('no.pth')\n"
    )
    reasons = {"key": "KeyError: 'weights'", "ends": "SystemExit: 3", "file": "FileNotFoundError: "}
    for function, reason in reasons.items():
        with pytest.raises(ModelError, match=rf"\({reason}.*, {re.escape(str(file))} line \d+ in {function}\)"):
            load_classifier(f"{file}:{function}")


def test_torchvision_s_operators_are_declared_before_one_s_own_module_is_imported(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    done = []
    monkeypatch.setattr("wordsight.classifiers.own.declare_torchvision_operators", lambda: done.append("declared"))
    (tmp_path / "late.py").write_text("import doubles\ndoubles.imported()\ndef net():\n    return doubles.tiny_classifier()\n")
    monkeypatch.setattr("doubles.imported", lambda: done.append("imported"), raising=False)
    load_classifier(f"{tmp_path}/late.py:net")
    assert done == ["declared", "imported"]


def test_a_head_with_the_classifier_that_it_was_made_for(tmp_path):
    base = load_classifier("doubles:tiny_classifier")
    head = Head(torch.eye(2, 6), torch.zeros(2), ("x", "y"), "doubles:tiny_classifier", base.fingerprint)
    save_head(tmp_path / "h.safetensors", head)
    classifier = load_classifier(f"head:{tmp_path / 'h.safetensors'}")
    assert classifier.labels == ("x", "y")
    assert classifier.spec == f"head:{tmp_path / 'h.safetensors'}"
    assert classifier.fingerprint == base.fingerprint
    save_head(tmp_path / "h.safetensors", Head(torch.eye(2, 6), torch.zeros(2), ("x", "y"), "pets", base.fingerprint))
    with pytest.raises(ModelError, match="was made for the classifier 'pets', which cannot be loaded"):
        load_classifier(f"head:{tmp_path / 'h.safetensors'}")


def raises():
    raise RuntimeError("weights are gone")


def text():
    return "net"


def elsewhere():
    return type(tiny_classifier())(**{**vars(tiny_classifier()), "device": "meta"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("resnet50", "Unknown classifier 'resnet50'. Wanted 'starter', 'timm:NAME' (for example 'timm:resnet50')"),
        ("timm:resnt50", "Unknown classifier 'timm:resnt50'. Did you mean 'timm:resnet50'?"),
        ("torchvision:resnt50", "Unknown classifier 'torchvision:resnt50'. Did you mean 'torchvision:resnet50'?"),
        ("torchvision:resnet18@none.pth", "Cannot load 'torchvision:resnet18' from none.pth: There is no file none.pth."),
        ("timm:resnet18@none.safetensors", "Cannot load 'timm:resnet18' from none.safetensors: There is no file"),
        ("hf:nowhere/at-all", "Cannot load 'hf:nowhere/at-all'"),
        ("head:none.safetensors", "There is no head file none.safetensors"),
        ("best.pth", "'best.pth' is a file of weights, which does not say of what network. Wanted 'timm:NAME@best.pth'"),
        ("none.py:net", "There is no file none.py (searched from"),
        (
            "nowhere.at.all:net",
            "Cannot load the classifier 'nowhere.at.all:net' (ModuleNotFoundError: No module named 'nowhere'",
        ),
        ("doubles:nothing", "AttributeError: module 'doubles' has no attribute 'nothing'"),
        ("raises", "(RuntimeError: weights are gone, "),
        ("text", "returned str, wanted a wordsight Classifier: return wordsight.classifier(net,"),
        ("elsewhere", "The device 'meta' cannot be used ("),
    ],
)
def test_what_is_wrong_is_said(spec, message, monkeypatch):
    if spec in ("raises", "text", "elsewhere"):
        monkeypatch.setattr("doubles.made_in_a_test", globals()[spec], raising=False)
        spec = "doubles:made_in_a_test"
    with pytest.raises(ModelError) as caught:
        load_classifier(spec)
    assert message in str(caught.value)


def test_a_function_that_cannot_choose_the_device_is_no_error(caplog):
    assert load_classifier("doubles:tiny_classifier", device="mps").device == "cpu"
    assert caplog.messages == [
        "'doubles:tiny_classifier' returned a classifier on the device 'cpu', not 'mps': features are extracted there. For the other "
        "give the function a parameter device and pass it on to wordsight.classifier(..., device=device)."
    ]


def test_a_file_with_more_than_tensors_is_refused(tmp_path):
    torch.save({"a": Image.new("RGB", (2, 2))}, tmp_path / "w.pth")
    with pytest.raises(ModelError, match="holds more than tensors, or is damaged"):
        load_classifier(f"torchvision:resnet18@{tmp_path / 'w.pth'}")
