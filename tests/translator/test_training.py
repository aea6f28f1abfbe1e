"""Training from files to a translator's file that explains."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from doubles import tiny_classifier, tiny_lm
from wordsight.errors import CaptionError, ModelError, TranslatorError, WordsightError
from wordsight.explain import Explainer
from wordsight.sentences.sampling import Sampling
from wordsight.storage import check_writable
from wordsight.translator.checkpoint import load_translator
from wordsight.translator.optimisation import Settings
from wordsight.translator.training import CaptionSource, train_translator

pytestmark = pytest.mark.slow


@pytest.fixture
def source(tmp_path, cache):
    """Red images are dogs, blue ones cats."""
    (tmp_path / "images").mkdir()
    rows = ["image,caption"]
    for i in range(40):
        red = i % 2 == 0
        Image.new("RGB", (9, 9), (200 + i, 10, 10) if red else (10, 10, 200 + i)).save(tmp_path / "images" / f"{i}.png")
        rows += [f"{i}.png,a dog runs", f"{i}.png,red dog"] if red else [f"{i}.png,a cat sleeps"]
    (tmp_path / "captions.csv").write_text("\n".join(rows))
    return CaptionSource(tmp_path / "captions.csv", tmp_path / "images")


def quick(source, out, *, settings=Settings(epochs=25, batch=4, learning_rate=0.01), **options):  # noqa: B008 (frozen)
    """A small translator, trained and saved to ``out``."""
    small = replace(settings, hidden=16, prefix_tokens=2, dropout=0.1)
    checkpoint = out.with_name(out.name + ".checkpoint")
    trained = train_translator(
        [source], tiny_classifier(features=8), tiny_lm(), settings=small, checkpoint=checkpoint, **options
    )
    trained.save(out)
    return trained


def test_a_trained_translator_tells_what_it_saw(source, tmp_path):
    out = tmp_path / "t.safetensors"
    trained = quick(source, out, dev=0.1, settings=Settings(epochs=80, batch=4, learning_rate=0.02))
    assert (trained.images, trained.dev_images, trained.failures) == (36, 4, {})
    explainer = Explainer(tiny_classifier(features=8), lm=tiny_lm(), translator=load_translator(out))
    assert len(explainer.models.translator.reference) == 36
    red, blue = explainer.explain(
        [Image.new("RGB", (9, 9), c) for c in ((220, 10, 10), (10, 10, 220))], Sampling(sentences=100)
    )
    assert red.words["dog"] > 2 * blue.words.get("dog", 0)
    assert blue.words["cat"] > 2 * red.words.get("cat", 0)


def test_the_card_says_what_it_was_made_from(source, tmp_path):
    quick(source, tmp_path / "t.safetensors", terms="images made in a test", settings=Settings(epochs=1, seed=4))
    _, card = load_translator(tmp_path / "t.safetensors")
    assert (card.classifier, card.language_model, card.seed) == ("tiny", "tiny-lm", 4)
    assert card.data["about"] == "images made in a test"
    assert card.figures["dev_loss_nats_a_token"] > 0


def test_images_named_as_held_out(source, tmp_path):
    trained = quick(source, tmp_path / "t.safetensors", dev=["3.png", "4.png"], settings=Settings(epochs=1))
    assert (trained.images, trained.dev_images) == (38, 2)
    with pytest.raises(CaptionError, match=r"1 of the 2 images named by --dev have no features .*none\.png"):
        quick(source, tmp_path / "u.safetensors", dev=["3.png", "none.png"])


def test_captions_without_image_and_unreadable_images_are_named(source, tmp_path):
    (tmp_path / "images" / "5.png").unlink()
    (tmp_path / "images" / "6.png").write_bytes(b"no image")
    trained = quick(source, tmp_path / "t.safetensors", settings=Settings(epochs=1))
    assert set(trained.failures) == {"5.png", "6.png"}
    assert "no image" in trained.failures["5.png"]
    assert trained.images + trained.dev_images == 38


def test_an_interrupted_training_goes_on(source, tmp_path, monkeypatch):
    settings = Settings(epochs=4, batch=4)
    quick(source, tmp_path / "whole.safetensors", settings=settings)

    def cut(stage, done, total):
        if stage.startswith("training (loss ") and done == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr("wordsight.translator.optimisation.SAVE_EVERY", 0)

    with pytest.raises(KeyboardInterrupt):
        quick(source, tmp_path / "cut.safetensors", settings=settings, on_progress=cut)
    quick(source, tmp_path / "cut.safetensors", settings=settings)
    whole, cut_ = (load_translator(tmp_path / f"{n}.safetensors")[0].state_dict() for n in ("whole", "cut"))
    for name, value in whole.items():
        assert torch.equal(value, cut_[name]), name


def test_class_names_need_an_imagenet_head(source, tmp_path):
    with pytest.raises(ModelError, match="'tiny' has no linear head of 1000 ImageNet classes"):
        quick(source, tmp_path / "t.safetensors", settings=Settings(class_draws=1))


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WordsightError, match=r"Cannot write .*t\.safetensors"):
        check_writable(tmp_path / "file" / "t.safetensors")
    with pytest.raises(WordsightError, match=r"Cannot write .*: it is a folder\. Give --out a file"):
        check_writable(tmp_path)


def test_captions_without_images_are_trained_on(source, tmp_path):
    trained = quick(source, tmp_path / "t.safetensors", text=[["a dog runs"], ["a cat"]], settings=Settings(epochs=1))
    assert trained.images == 38
    _, card = load_translator(tmp_path / "t.safetensors")
    assert card.data["captions_without_images"] == 2


def test_training_goes_on_from_a_translator(source, tmp_path):
    first = quick(source, tmp_path / "first.safetensors", settings=Settings(epochs=30, batch=4, learning_rate=0.02))
    on = quick(source, tmp_path / "on.safetensors", start=tmp_path / "first.safetensors", settings=Settings(epochs=1, batch=4))
    assert len(load_translator(tmp_path / "on.safetensors")[0].reference) == on.images
    assert on.dev_losses[0] < first.dev_losses[0]
    _, card = load_translator(tmp_path / "on.safetensors")
    assert (card.hidden, card.prefix_tokens) == (16, 2)
    with pytest.raises(TranslatorError, match="The translator was made for the classifier 'tiny'"):
        train_translator([source], tiny_classifier(seed=5, features=8), tiny_lm(), start=tmp_path / "first.safetensors")


def test_without_passes_a_translator_is_only_measured(source, tmp_path):
    first = quick(source, tmp_path / "first.safetensors")
    measured = quick(
        source, tmp_path / "measured.safetensors", start=tmp_path / "first.safetensors", settings=Settings(epochs=0)
    )
    assert measured.dev_losses == [pytest.approx(min(first.dev_losses), abs=0.01)]  # half precision lies between
    (before, _), (after, card) = (
        load_translator(tmp_path / "first.safetensors"),
        load_translator(tmp_path / "measured.safetensors"),
    )
    for name, value in before.state_dict().items():
        torch.testing.assert_close(after.state_dict()[name], value)
    assert card.figures["dev_loss_nats_a_token"] == measured.dev_losses[0]
