"""From a finding to a better head, on tiny models whose words are given."""

import dataclasses
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from doubles import prepare, tiny_classifier, tiny_lm, tiny_translator
from wordsight.audits.observations import Observations
from wordsight.classifiers.head import Head, load_head, with_head
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import LabelError, WordsightError
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.images.labelled import LabelledImages
from wordsight.mitigation.reweight import reweighing, reweight
from wordsight.mitigation.run import mitigate
from wordsight.mitigation.target import Target, as_target, read_target
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import Sampled


def observed_with(images: int = 1500, agree: float = 0.9, *, groups: bool = False, splits: bool = False):
    """An explainer whose head uses "ball", which agrees with the class in 90% of the images; images, labels, features, sentences."""
    classifier, lm = tiny_classifier(), tiny_lm()
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(images) % 2
    word = torch.where(torch.rand(images, generator=generator) < agree, label, 1 - label).bool()
    z = torch.randn(images, 6, generator=generator)
    z[:, 0] += 1.5 * (2 * label - 1)
    z[:, 1] += 4.0 * (2 * word.float() - 1)
    classifier = with_head(classifier, fit_head(z, label, ["cat", "dog"], classifier))
    sampled = [
        Sampled(Counter({"a red ball": 1, "a dog runs": 1}), WordRates({"ball": WordRate(5, 0.8 if has else 0.02, 0, 1)}, 10))
        for has in word.tolist()
    ]
    images_ = LabelledImages(
        [Path(f"{i}.png") for i in range(images)],  # without files: no head can have been trained on these
        [classifier.labels[int(c)] for c in label],
        ["ball" if has else "none" for has in word.tolist()] if groups else None,
        ["test" if i % 3 == 0 else "train" for i in range(images)] if splits else None,
    )
    return Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm)), images_, label, z, sampled


def observations(images, names, *rest) -> Observations:
    """As if these images had been read; each has a content of its own."""
    return Observations(images, names, *rest, digests=[f"{i:016x}" + "f" * 48 for i in range(len(names))])


def names_of(label: torch.Tensor) -> list[str]:
    return [f"{i}.png" for i in range(len(label))]


def mitigation(tmp_path, monkeypatch, *, method: str = "reweight", word: str = "ball", **options):
    explainer, images, label, z, sampled = observed_with(**options)
    monkeypatch.setattr(
        "wordsight.mitigation.run.observe",
        lambda *_args, **_options: observations(images, names_of(label), label, z, sampled, {}, tmp_path),
    )
    result = mitigate(explainer, images, Target("dog", word), method=method)
    result.save(tmp_path / "head.safetensors")
    return result, explainer


def test_reweighting_makes_the_worst_group_better_without_group_labels(tmp_path, monkeypatch):
    result, explainer = mitigation(tmp_path, monkeypatch, images=5000)
    assert result.verdict == "better"
    assert result.worst_change.low > 0
    assert result.after.worst > result.before.worst + 0.1
    assert not result.true_groups
    assert {(g.label, g.present) for g in result.after.groups} == {("cat", False), ("cat", True), ("dog", False), ("dog", True)}
    assert result.before.severity is not None
    assert result.after.severity is not None
    assert result.after.severity.value < result.before.severity.value
    head = load_head(tmp_path / "head.safetensors")
    assert head.figures["mitigation"] == {"label": "dog", "word": "ball", "method": "reweight"}
    assert with_head(explainer.classifier, head).labels == ("cat", "dog")


def test_retrained_images_weigh_by_their_rates(tmp_path, monkeypatch):
    weighed = []

    def retrained(z, label, importance, classifier, **options):
        weighed.append(importance)
        return reweight(z, label, importance, classifier, **options)

    monkeypatch.setattr("wordsight.mitigation.run.reweight", retrained)
    mitigation(tmp_path, monkeypatch, splits=True)
    explainer, images, label, _, sampled = observed_with(splits=True)
    train = torch.tensor([split == "train" for split in images.splits])
    rate = torch.tensor([drawn.rates.words["ball"].rate for drawn in sampled])
    torch.testing.assert_close(weighed[0], reweighing(rate[train], label[train], explainer.classifier))


def test_before_is_the_classifiers_own_head(tmp_path, monkeypatch):
    """The average of the groups, weighed by their shares in training, by hand."""
    result, explainer = mitigation(tmp_path, monkeypatch, splits=True, groups=True)
    _, images, label, z, _ = observed_with(splits=True, groups=True)
    held = torch.tensor([split == "test" for split in images.splits])
    right = (explainer.classifier.logits(z[held]).argmax(1) == label[held]).float()
    assert result.before.average == pytest.approx(float(right.mean()))
    names = [f"{name}, {group}" for name, group in zip(images.labels, images.groups, strict=True)]
    accuracy, share = {}, {}
    for name in set(names):
        rows = torch.tensor([n == name for n in names])
        accuracy[name] = float(right[rows[held]].mean())
        share[name] = float(rows[~held].float().mean())
    assert result.true_groups
    assert result.before.worst == pytest.approx(min(accuracy.values()))
    assert result.before.reweighted == pytest.approx(sum(accuracy[n] * share[n] for n in accuracy))


def test_projecting_takes_out_what_the_word_adds(tmp_path, monkeypatch):
    result, explainer = mitigation(tmp_path, monkeypatch, method="project")
    head = load_head(tmp_path / "head.safetensors")
    assert not torch.equal(head.weight, explainer.classifier.head_weight)
    assert result.method == "project"


def test_a_retrained_head_can_be_projected_too(tmp_path, monkeypatch):
    direction = torch.tensor([1.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    monkeypatch.setattr("wordsight.mitigation.run.added_by_thing", lambda *_args, **_options: direction)
    mitigation(tmp_path, monkeypatch)
    plain = load_head(tmp_path / "head.safetensors")
    result, _ = mitigation(tmp_path, monkeypatch, method="reweight+project")
    both = load_head(tmp_path / "head.safetensors")
    assert float((plain.weight @ direction).abs().max()) > 0.1
    torch.testing.assert_close(both.weight @ direction, torch.zeros(2), atol=1e-5, rtol=0)
    assert result.method == "reweight+project"
    assert "penalty" in both.figures


def test_masking_hides_the_words_region_in_training_images_and_retrains(tmp_path, monkeypatch):
    """The images are real here, and so is a classifier with a spatial feature map."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    classifier = make_classifier(net, head=net[4], transform=prepare, labels=["cat", "dog"], name="net")
    paths = [tmp_path / f"{i}.png" for i in range(40)]
    for i, path in enumerate(paths):
        Image.effect_noise((16, 16), 10 + 5 * i).convert("RGB").save(path)
    z = classifier.features_of(torch.stack([prepare(Image.open(path)) for path in paths])).mean(1)
    label, lm = torch.arange(40) % 2, tiny_lm()
    _, _, _, _, sampled = observed_with(40)
    images = LabelledImages(paths, ["dog" if i % 2 else "cat" for i in range(40)])
    explainer = Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))
    monkeypatch.setattr(
        "wordsight.mitigation.run.observe",
        lambda *_args, **_options: observations(images, names_of(label), label, z, sampled, {}, tmp_path / "store"),
    )
    upper = np.repeat([[1.0], [0.0]], 4, axis=0).repeat(8, axis=1)
    monkeypatch.setattr("wordsight.mitigation.masks.locate", lambda *_args: upper)
    result = mitigate(explainer, images, Target("dog", "ball"), method="mask")
    masked = list(result.masked.glob("*.png"))
    with_word = [i for i, drawn in enumerate(sampled) if drawn.rates.words["ball"].rate > 0.5]
    assert 0 < len(masked) < len(with_word)  # those that are held out are left as they are
    rows = [int(path.name.split("-")[0]) for path in masked]
    assert set(rows) <= set(with_word)
    for path, row in zip(masked, rows, strict=True):
        pixels, own = np.asarray(Image.open(path)), np.asarray(Image.open(paths[row]))
        np.testing.assert_array_equal(pixels[10:], own[10:])
        assert np.ptp(pixels[:6].reshape(-1, 3), axis=0).max() == 0


def test_where_there_is_nothing_to_mitigate_there_is_no_evidence(tmp_path, monkeypatch):
    """Images in which the word does not go along with the class."""
    result, _ = mitigation(tmp_path, monkeypatch, agree=0.5, method="project")
    assert result.verdict == "no evidence"
    assert not result.better
    assert json.loads(result.to_json(head=tmp_path / "h"))["verdict"] == "no evidence"


def test_nothing_is_measured_on_images_that_anything_was_chosen_on(tmp_path, monkeypatch):
    """Of 1,500 images 900 trained the head, the finding was found on 300 others, 300 are left."""
    explainer, images, label, z, sampled = observed_with()
    name = [f"{i:016x}" for i in range(1500)]
    own = dataclasses.replace(explainer.classifier, trained_on=frozenset(name[:900]) | {"f" * 16})
    explainer.models = dataclasses.replace(explainer.models, classifier=own)
    monkeypatch.setattr(
        "wordsight.mitigation.run.observe",
        lambda *_args, **_options: observations(images, names_of(label), label, z, sampled, {}, tmp_path),
    )
    target = Target("dog", "ball", frozenset(name[900:1200]))
    result = mitigate(explainer, images, target, method="reweight")
    assert sum(group.images for group in result.before.groups) == 300
    assert result.head.trained_on == own.trained_on  # those 900, and one that is not here
    result.save(tmp_path / "head.safetensors")
    assert load_head(tmp_path / "head.safetensors").trained_on == own.trained_on
    with pytest.raises(
        LabelError,
        match=r"Of 1500 images 900 trained the classifier's head, 600 others are those that the finding was found on and 0 are "
        r"copies of others: none is left to measure on, wanted at least 10 of each of 4 groups\. Give more images",
    ):
        mitigate(explainer, images, Target("dog", "ball", frozenset(name[900:])), method="reweight")


def test_groups_of_few_images_are_named(tmp_path, monkeypatch):
    result, _ = mitigation(tmp_path, monkeypatch, images=120, agree=0.95)
    assert result.verdict == "no evidence"
    assert set(result.too_small.values()) <= set(range(10))
    assert "dog, without 'ball'" in result.too_small
    assert (result.worst_change.low, result.worst_change.high) == (-1, 1)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"method": "wish"},
            WordsightError,
            r"Unknown method 'wish'\. Wanted one of reweight, mask, project, reweight\+project",
        ),
        ({"word": "cow"}, WordsightError, "0 of 1500 images have 'cow'; wanted images with the word and images without it"),
    ],
)
def test_what_cannot_be_mitigated_is_refused(tmp_path, monkeypatch, options, error, message):
    with pytest.raises(error, match=message):
        mitigation(tmp_path, monkeypatch, **options)


def test_an_unknown_class_and_odd_splits_are_refused(tmp_path, monkeypatch):
    explainer, images, label, z, sampled = observed_with()
    monkeypatch.setattr(
        "wordsight.mitigation.run.observe",
        lambda *_args, **_options: observations(odd, names_of(label), label, z, sampled, {}, tmp_path),
    )
    with pytest.raises(LabelError, match="'cow' is none of the classifier's 2 classes"):
        mitigate(explainer, images, Target("cow", "ball"))
    odd = LabelledImages(images.paths, images.labels, None, ["one"] * len(images.labels))
    with pytest.raises(LabelError, match="The data has the splits one; wanted train, and test or val"):
        mitigate(explainer, images, Target("dog", "ball"))


def test_a_head_is_not_retrained_without_images_of_a_class(tmp_path, monkeypatch):
    explainer, images, label, z, sampled = observed_with()
    classifier = explainer.classifier
    wider = Head(torch.randn(3, 6), torch.zeros(3), ("cat", "dog", "cow"), classifier.name, classifier.fingerprint)
    explainer.models = dataclasses.replace(explainer.models, classifier=with_head(classifier, wider))
    monkeypatch.setattr(
        "wordsight.mitigation.run.observe",
        lambda *_args, **_options: observations(images, names_of(label), label, z, sampled, {}, tmp_path),
    )
    with pytest.raises(LabelError, match=r"1 of the classifier's 3 classes have no image to train on \(first: 'cow'\)"):
        mitigate(explainer, images, Target("dog", "ball"))
    assert mitigate(explainer, images, Target("dog", "ball"), method="project").method == "project"


def test_targets_are_read_from_findings(tmp_path, caplog):
    file, image = tmp_path / "findings.json", tmp_path / "1.png"
    Image.new("RGB", (4, 4)).save(image)
    entry = {
        "image": "1.png",
        "path": str(image),
        "label": "dog",
        "predicted": "dog",
        "probability": 0.9,
        "words": {},
        "sentence": "",
    }
    gone = {**entry, "image": "2.png", "path": str(tmp_path / "2.png")}
    file.write_text(json.dumps({"findings": [{"label": "dog", "word": "ball"}, {"label": "cat", "word": "sofa"}]}))
    with pytest.raises(LabelError, match=r"images\.jsonl cannot be read"):  # nobody would know what the finding was found on
        read_target(str(file))
    (tmp_path / "images.jsonl").write_text(json.dumps(entry) + "\n" + json.dumps(gone) + "\n")
    found_on = frozenset({hashlib.sha256(image.read_bytes()).hexdigest()[:16]})
    assert read_target(str(file)) == Target("dog", "ball", found_on)
    assert "1 of the audit's 2 images cannot be read any more" in caplog.text
    assert read_target(str(file), "cat") == Target("cat", "sofa", found_on)
    assert read_target("water", "duck") == Target("duck", "water")
    with pytest.raises(WordsightError, match="has no finding of class 'cow': there is nothing to mitigate"):
        read_target(str(file), "cow")
    with pytest.raises(WordsightError, match="The word 'water' came without a class"):
        read_target("water")
    file.write_text("[]")
    with pytest.raises(WordsightError, match="cannot be read as findings"):
        read_target(str(file))
    with pytest.raises(WordsightError, match=r"none.json cannot be read as findings \(FileNotFoundError"):
        read_target(str(tmp_path / "none.json"))


def test_a_finding_with_its_audit_or_a_pair_is_a_target(tmp_path):
    from reporting import an_audit

    audit = an_audit(tmp_path)
    with_audit = as_target(audit.findings[0], audit)
    assert (with_audit.label, with_audit.word, len(with_audit.found_on)) == ("duck", "water", 24)
    assert as_target(("duck", "water"), audit) == as_target(Target("duck", "water"), audit) == with_audit
    assert as_target(("duck", "water")) == as_target(Target("duck", "water")) == Target("duck", "water")
    with pytest.raises(WordsightError, match=r"'water' of 'duck' came without its audit, .* audit\.findings\[0\], audit=audit"):
        as_target(audit.findings[0])
    with pytest.raises(WordsightError, match=r"'water' is no finding\. Give one of audit.findings, or a class and a word"):
        as_target("water")


def test_a_mitigation_shows_itself(tmp_path, monkeypatch):
    result, _ = mitigation(tmp_path, monkeypatch)
    table = result.to_dataframe()
    assert list(table["group"][:4]) == [
        "cat, without 'ball'", "cat, with 'ball'", "dog, without 'ball'", "dog, with 'ball'",
    ]  # fmt: skip
    assert list(table["group"][4:]) == ["average", "reweighted", "worst"]
    assert table["change"].tolist() == pytest.approx((table["after"] - table["before"]).tolist())
    assert result.plot().axes
    assert ("the worst group is better" in result._repr_html_()) == result.better
    entry = json.loads(result.to_json(head="h.safetensors"))
    assert (entry["head"], entry["before"]["worst"]) == ("h.safetensors", result.before.worst)


def test_a_misspelt_method_is_an_error_before_anything_is_read(monkeypatch):
    explainer = observed_with(20)[0]
    monkeypatch.setattr("wordsight.mitigation.run.observe", None)
    monkeypatch.setattr("wordsight.mitigation.run.read_labelled", None)
    with pytest.raises(WordsightError, match=r"^Unknown method 'reweigh'\. Did you mean 'reweight'\? Wanted one of reweight, "):
        mitigate(explainer, "no/such/folder", ("dog", "ball"), method="reweigh")
