"""An audit from labelled images to findings, on tiny models."""

import dataclasses
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import expit, logit

from doubles import TinyNet, prepare, tiny_classifier, tiny_lm, tiny_translator
from wordsight.audits.compare import rates_of, usual_words
from wordsight.audits.explained import explained
from wordsight.audits.findings import Limits
from wordsight.audits.observations import Observations, own_names, rate_matrix
from wordsight.audits.result import read_images
from wordsight.audits.run import audit
from wordsight.audits.use import draw_images, gradients_at
from wordsight.classifiers.coarse import NINE, OTHER, fitting
from wordsight.classifiers.head import with_head
from wordsight.classifiers.imagenet import label_numbers
from wordsight.classifiers.modules import classifier as make_classifier
from wordsight.errors import LabelError, TranslatorError
from wordsight.explain import Explainer
from wordsight.features.heads import fit_head
from wordsight.images.labelled import LabelledImages
from wordsight.sentences.estimates import WordRates
from wordsight.sentences.sampler import Sampled
from wordsight.sentences.sampling import Sampling
from wordsight.translator.word_head import WordHead


@pytest.fixture
def setting(tmp_path, cache):
    """Twelve images of each of two colours that a tiny classifier has as classes, and one that is no image."""
    classifier, lm = tiny_classifier(), tiny_lm()
    paths, labels = [], []
    for i in range(24):
        path = tmp_path / f"{i}.png"
        shade = 255 - 7 * i
        Image.new("RGB", (16, 16), (shade, 0, 40) if i % 2 else (0, shade, 40)).save(path)
        paths.append(path)
        labels.append("red" if i % 2 else "green")
    (tmp_path / "broken.png").write_bytes(b"no image")
    z = torch.stack([classifier.features_of(prepare(Image.open(path))[None])[0, 0] for path in paths])
    # Trained on noisy features, so that some images are predicted wrong.
    noisy = z + 0.3 * z.std(0) * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    number = torch.tensor([classifier.labels.index(label) for label in labels])
    classifier = with_head(classifier, fit_head(noisy, number, classifier.labels, classifier))
    images = LabelledImages([*paths, tmp_path / "broken.png"], [*labels, "red"], groups=["day"] * 25)
    translator, card = tiny_translator(classifier, lm)
    translator.to_prefix.weight.data *= 100  # features are small and alike here, sentences should not be
    return images, Explainer(classifier, lm=lm, translator=(translator, card))


def test_an_audit_looks_at_every_readable_image(setting):
    images, explainer = setting
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert len(result.images) == 24
    assert [Path(name).name for name in result.failures] == ["broken.png"]
    first = result.images[0]
    assert (first.image, first.label, first.group) == ("0.png", "green", "day")
    logits = explainer.classifier.logits(explainer.classifier.features_of(prepare(Image.open(images.paths[0]))[None])[0])
    assert first.predicted == explainer.classifier.labels[int(logits.argmax())]
    assert first.probability == pytest.approx(float(logits.softmax(1).max()), abs=1e-3)
    assert result.accuracy == sum(i.label == i.predicted for i in result.images) / 24
    assert {word.label for word in result.words} <= {"red", "green", "blue"}
    assert not any(word.word == "red" and word.label == "red" and word.verdict != "class" for word in result.words)
    frame = result.to_dataframe()
    assert len(frame) == len(result.words)


def test_copies_under_other_names_count_once(setting):
    images, explainer = setting
    copies = [path.with_name(f"copy of {path.name}") for path in images.paths[:3]]
    for path, copy in zip(images.paths, copies, strict=False):
        copy.write_bytes(path.read_bytes())
    more = LabelledImages([*images.paths, *copies], [*images.labels, *images.labels[:3]], groups=["day"] * 28)
    result = audit(explainer, more, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert (len(result.images), result.copies) == (24, 3)
    assert json.loads(result.to_json())["copies"] == 3
    alone = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert (alone.copies, alone.words) == (0, result.words)


def test_how_much_the_words_explain_of_each_class(setting):
    images, explainer = setting
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    z = torch.stack(
        [explainer.classifier.features_of(prepare(Image.open(path))[None])[0].mean(0) for path in images.paths[:24]]
    )
    logits = explainer.classifier.logits(z).double().numpy()
    logits -= logits.mean(1, keepdims=True)
    words = usual_words([image.words for image in result.images], min_images=2)
    rates = rates_of([image.words for image in result.images], words)
    predicted = np.bincount(logits.argmax(1), minlength=3)
    expected = {found.label: found.share for found in explained(rates, logits, explainer.classifier.labels, predicted)}
    entries = json.loads(result.to_json())["explained"]
    assert {entry["label"] for entry in entries} == {word.label for word in result.words}
    for entry in entries:
        share = expected[entry["label"]]
        assert [entry["share"], entry["share_low"], entry["share_high"]] == pytest.approx(
            [share.value, share.low, share.high], abs=0.01
        )


def test_heat_maps_of_a_class_are_made_once(setting, monkeypatch, tmp_path):
    """Half of the maps have their heat in one corner, the others anywhere."""
    images, explainer = setting
    random, asked = np.random.default_rng(0), []

    def located(_classifier, path, direction, **_options):
        asked.append(Path(path).name)
        heat = random.random((14, 14)) * 0.1
        if int(Path(path).stem) % 2:
            heat[12:, 12:] = 1.0
        else:
            y, x = random.integers(0, 12, 2)
            heat[y : y + 2, x : x + 2] = 1.0
        return heat

    explainer.models = dataclasses.replace(
        explainer.models, classifier=dataclasses.replace(explainer.classifier, locate=lambda pixels, direction: pixels)
    )
    monkeypatch.setattr("wordsight.audits.focus.locate", located)
    monkeypatch.setattr("wordsight.audits.run._heat_maps", lambda *_args, **_options: {})
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    found = {focus.label: focus for focus in result.focus}
    assert set(found) == {word.label for word in result.words}
    assert found["red"].agreement.value > 0.5 > found["green"].agreement.value
    assert found["red"].remarkable
    assert not found["green"].remarkable
    entries = json.loads(result.to_json())["focus"]
    assert [entry["remarkable"] for entry in entries if entry["label"] == "red"] == [True]
    asked.clear()
    assert audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2)).focus == result.focus
    assert asked == []


def test_an_image_that_is_gone_leaves_the_findings_without_focus(setting, monkeypatch, caplog):
    images, explainer = setting

    def gone(*_args, **_options):
        raise FileNotFoundError("0.png")

    explainer.models = dataclasses.replace(
        explainer.models, classifier=dataclasses.replace(explainer.classifier, locate=lambda pixels, direction: pixels)
    )
    monkeypatch.setattr("wordsight.audits.focus.locate", gone)
    monkeypatch.setattr("wordsight.audits.run._heat_maps", lambda *_args, **_options: {})
    assert audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2)).focus == []
    assert "Whether 'red' is decided at one position is not known: 0.png" in caplog.text


@pytest.mark.parametrize("error", [ValueError("no map"), RuntimeError("mps"), IndexError(3)])
def test_a_failed_heat_map_never_ends_an_audit(setting, caplog, error):
    def locate(pixels, direction):
        raise error

    images, explainer = setting
    explainer.models = dataclasses.replace(
        explainer.models, classifier=dataclasses.replace(explainer.classifier, locate=locate)
    )
    done = audit(explainer, images, sampling=Sampling(sentences=10, seed=8))
    assert (len(done.images), done.focus) == (24, [])
    assert f"'tiny' cannot be located in ({type(error).__name__}: {error})" in caplog.text


def test_a_second_audit_samples_and_differentiates_nothing(setting, monkeypatch):
    images, explainer = setting
    limits = Limits(images=2, false_discovery=1.0)
    seen: list[tuple[str, int, int]] = []
    first = audit(
        explainer, images, sampling=Sampling(sentences=10), limits=limits, on_progress=lambda *step: seen.append(step)
    )
    assert list(dict.fromkeys(stage for stage, _, _ in seen)) == ["features", "sentences", "tests", "findings", "positions"]
    for stage in ("tests", "findings", "positions"):  # of two classes
        assert [step for step in seen if step[0] == stage] == [(stage, done, 2) for done in range(3)]
    monkeypatch.setattr("wordsight.sentences.store.sample", None)
    monkeypatch.setattr("wordsight.words.gradients.sentence_gradients", None)
    second = audit(explainer, images, sampling=Sampling(sentences=10), limits=limits)
    assert second.words == first.words
    assert second.images == first.images


def test_what_is_written_can_be_read(setting, tmp_path):
    images, explainer = setting
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    files = result.save(tmp_path / "out")
    assert [f.name for f in files] == ["findings.json", "words.csv", "images.jsonl", "report.html"]
    written = json.loads(files[0].read_text())
    assert written["images"] == 24
    assert written["settings"]["sampling"]["sentences"] == 10
    assert read_images(tmp_path / "out") == result.images
    assert files[3].read_text().startswith("<!doctype html>")


def test_labels_are_the_classifiers_own_or_synsets():
    assert label_numbers(["b", "a"], ["a", "b"]).tolist() == [1, 0]
    with pytest.raises(LabelError, match=r"1 of 2 labels are none of the classifier's 2 classes: 'c'. Name the classes as"):
        label_numbers(["b", "c"], ["a", "b"])
    from wordsight.classifiers.imagenet import imagenet_labels

    assert label_numbers(["n01440764", "tench", "crane (n03126707)"], imagenet_labels()).tolist() == [0, 0, 517]


def test_labels_of_imagenet_9_are_read_through_the_nine_classes():
    tiny = tiny_classifier()
    full = type(tiny)(
        **{**vars(tiny), "labels": tuple(f"class {i}" for i in range(1000)), "head": lambda z: z @ torch.eye(6, 1000)}
    )
    seen = fitting(full, ["dog", "wheeled vehicle"])
    assert seen.labels == (*NINE, OTHER)
    tench = torch.zeros(1, 6)
    tench[0, 0] = 1
    assert seen.labels[int(seen.logits(tench).argmax())] == "fish"
    assert fitting(full, ["dog", "class 3"]) is full
    assert fitting(tiny, ["dog"]) is tiny


def test_a_head_that_is_not_linear_is_audited_too(setting):
    images, explainer = setting
    linear = explainer.classifier.head

    class Head(torch.nn.Module):
        def forward(self, z):
            return linear(z) ** 3

    torch.manual_seed(0)
    net = TinyNet()
    net.head = Head()
    odd = make_classifier(net, head=net.head, transform=prepare, labels=explainer.classifier.labels, name="odd")
    lm = tiny_lm()
    translator, card = tiny_translator(odd, lm)
    translator.to_prefix.weight.data *= 100
    result = audit(
        Explainer(odd, lm=lm, translator=(translator, card)), images, sampling=Sampling(sentences=10), limits=Limits(images=2)
    )
    assert len(result.images) == 24


def test_files_of_one_name_get_different_names(tmp_path):
    assert own_names([tmp_path / "a" / "1.png", tmp_path / "b" / "2.png"]) == ["1.png", "2.png"]
    assert own_names([tmp_path / "a" / "1.png", tmp_path / "b" / "1.png"]) == ["a/1.png", "b/1.png"]


def test_nothing_to_compare_is_an_error_and_no_clean_bill(setting):
    images, explainer = setting
    red = images.take([i for i, label in enumerate(images.labels) if label == "red"])
    with pytest.raises(LabelError, match=r"There is nothing to compare: the 12 images have 1 labels and"):
        audit(explainer, red, sampling=Sampling(sentences=10))


def test_classes_of_one_name_are_refused(setting):
    images, explainer = setting
    explainer.models = dataclasses.replace(
        explainer.models,
        classifier=type(explainer.classifier)(**{**vars(explainer.classifier), "labels": ("red", "green", "red")}),
    )
    with pytest.raises(LabelError, match="'tiny' has several classes named 'red', wanted a different name for each"):
        audit(explainer, images, sampling=Sampling(sentences=10))


def test_the_rate_matrix_keeps_words_that_enough_images_say():
    words = [{"dog": 0.5, "cat": 0.05}, {"dog": 0.1, "cat": 0.9}, {"cat": 0.2}]
    vocabulary, rates = rate_matrix(words, min_images=2)
    assert vocabulary == ("cat", "dog")
    assert rates.toarray().tolist() == [pytest.approx(row) for row in ([0.05, 0.5], [0.9, 0.1], [0.2, 0.0])]
    assert float(rates[2, 1]) == 0


def test_audits_of_overlapping_images_take_gradients_at_the_same_ones(tmp_path):
    classifier, lm = tiny_classifier(), tiny_lm()
    explainer = Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))
    sampled = [Sampled(Counter({f"{word} dog": 1 for word in "abcdefgh"}), WordRates({}, 8))] * 60
    z = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    observed = Observations(
        LabelledImages([], []), [f"{i}.png" for i in range(60)], torch.zeros(60, dtype=torch.long), z, sampled, {}, tmp_path
    )
    drawn = draw_images(range(60), observed, seed=0, limit=8)
    found = gradients_at(drawn, observed, explainer.models, seed=0)
    assert (len(drawn), len(found)) == (8, 8)
    assert drawn == sorted(drawn)
    fewer = draw_images(range(0, 60, 2), observed, seed=0, limit=8)
    assert {row for row in drawn if row % 2 == 0} < set(fewer)
    assert draw_images(range(60), observed, seed=1, limit=8) != drawn


@pytest.fixture
def with_word_head(setting):
    """The same with a word head that the translator did not have."""
    images, explainer = setting
    torch.manual_seed(0)
    z = torch.stack([explainer.classifier.features_of(prepare(Image.open(path))[None])[0] for path in images.paths[:24]])
    explainer.models.translator.learn_scale(z)
    head = WordHead(6, ["red", "green", "ball", "grass", "water"], hidden=16, rank=8)
    for member in head.members:
        member[1].weight.data *= 10
        member[-1].weight.data *= 20
        member[-1].bias.data -= 2
    explainer.models.translator.words = head.eval().requires_grad_(False)
    return images, explainer


def test_the_word_head_speaks_for_all_images_and_nothing_is_sampled(with_word_head, monkeypatch):
    images, explainer = with_word_head
    monkeypatch.setattr("wordsight.sentences.store.sample", None)
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert result.settings["words"] == "head"
    assert {word for image in result.images for word in image.words} <= {"red", "green", "ball", "grass", "water"}
    assert {image.sentence for image in result.images} == {""}
    z = torch.stack(
        [explainer.classifier.features_of(prepare(Image.open(path))[None])[0].mean(0) for path in images.paths[:24]]
    )
    rates = explainer.models.word_rates(z)
    for word, rate in result.images[3].words.items():
        assert rate == pytest.approx(float(rates.rates[3, rates.vocabulary.index(word)]), abs=1e-4)


def test_images_that_carry_a_finding_get_a_sentence(with_word_head, monkeypatch):
    images, explainer = with_word_head
    monkeypatch.setattr("wordsight.audits.run._mapped", lambda result: [(3, "ball"), (0, "ball"), (3, "red")])
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert {i for i, image in enumerate(result.images) if image.sentence} <= {0, 3}
    assert any(image.sentence for image in result.images)


def test_words_from_sentences_and_from_both(with_word_head):
    images, explainer = with_word_head
    sampling, limits = Sampling(sentences=10), Limits(images=2)
    head, sentences, both = (
        audit(explainer, images, words=words, sampling=sampling, limits=limits).images[0].words
        for words in ("head", "sentences", "both")
    )
    assert set(both) >= set(sentences)
    for word in both:
        rates = [of.get(word, 0.0) for of in (head, sentences)]
        known = word in ("red", "green", "ball", "grass", "water")
        joined = expit(logit(np.clip(rates, 0.002, 0.998)).mean())
        assert both[word] == pytest.approx(joined if known else rates[1], abs=3e-3)


def test_a_translator_without_a_word_head_takes_sentences(setting):
    images, explainer = setting
    result = audit(explainer, images, sampling=Sampling(sentences=10), limits=Limits(images=2))
    assert result.settings["words"] == "sentences"
    assert all(image.sentence for image in result.images)
    with pytest.raises(TranslatorError, match="The translator for 'tiny' has no word head, wanted one for words from the head"):
        audit(explainer, images, words="head")
    with pytest.raises(ValueError, match="words is 'guesses', wanted one of: both, sentences, head"):
        audit(explainer, images, words="guesses")
