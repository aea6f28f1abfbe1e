"""Packing, loss and resumption, on a tiny language model."""

import pytest
import torch

from doubles import tiny_lm
from wordsight.errors import FeatureError, TranslatorError
from wordsight.language.packing import pack
from wordsight.translator import optimisation as training
from wordsight.translator.mlp import Translator
from wordsight.translator.optimisation import Captioned, Settings, train

CAPTIONS = [[[1, 2, 4, 0], [1, 3, 0]], [[1, 6, 7, 8, 0]], [[2, 0], [3, 5, 0], [1, 1, 1, 1, 1, 0]]]


@pytest.fixture(scope="module")
def lm():
    return tiny_lm()


def plain_loss(lm, prefix, captions) -> torch.Tensor:
    """One caption after the other, nothing shared: what packing must equal."""
    total = torch.zeros(())
    for image, own in zip(prefix, captions, strict=True):
        for caption in own:
            words = lm.model.get_input_embeddings()(torch.tensor(caption[:-1]))
            logits = lm.model(inputs_embeds=torch.cat([image, words])[None]).logits[0, len(image) - 1 :]
            total = total + torch.nn.functional.cross_entropy(logits, torch.tensor(caption), reduction="sum")
    return total


def test_packed_captions_cost_what_single_captions_cost(lm):
    prefix = torch.randn(3, 2, lm.hidden, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    packed = lm.loss(prefix, CAPTIONS, backward_scale=1.0)
    packed_gradient, prefix.grad = prefix.grad, None
    plain = plain_loss(lm, prefix, CAPTIONS)
    plain.backward()
    assert packed == pytest.approx(plain.item(), rel=1e-5)
    torch.testing.assert_close(packed_gradient, prefix.grad, rtol=1e-4, atol=1e-5)


def test_pack_lays_captions_behind_the_prefix():
    packed = pack([[[5, 6, 0], [7, 0]], [[8, 0]]], prefix=2)
    assert packed.tokens.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 2], [0, 1, 2, 0, 0]]
    assert packed.target.tolist() == [5, 6, 0, 7, 0, 8, 0]
    assert packed.target_position.tolist() == [0, 1, 2, 0, 3, 0, 1]
    assert packed.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],  # the second caption does not see the first
    ]


def examples(seed: int = 0, images: int = 24) -> Captioned:
    generator = torch.Generator().manual_seed(seed)
    kind = torch.randint(2, (images,), generator=generator)
    views = torch.randn(images, 2, 6, generator=generator) * 0.2 + kind[:, None, None] * 2.0
    return Captioned(views, [[[1, 2, 4, 0]] if k else [[1, 3, 5, 0], [6, 3, 0]] for k in kind.tolist()])


def translator(lm) -> Translator:
    torch.manual_seed(0)
    made = Translator(6, lm.hidden, hidden=16, prefix_tokens=2, dropout=0.1)
    made.learn_scale(examples().views)
    return made


def test_training_lowers_the_loss_and_keeps_the_best_weights(lm):
    made = translator(lm)
    history = train(made, lm, examples(), examples(1), settings=Settings(epochs=20, batch=4, learning_rate=0.01))
    assert min(history) < 0.7 * history[0]
    assert not made.training


def test_the_result_is_the_running_mean_of_the_weights(lm, monkeypatch):
    """The first step's weights, then as much of the mean as memory says, but at most (1 + n) / (10 + n), by hand."""
    seen = []

    def step(made, *_args):
        with torch.no_grad():
            made.to_prefix.bias.fill_(float(len(seen)))
        seen.append(made)
        return 1.0

    monkeypatch.setattr(training, "_step", step)
    made = translator(lm)
    monkeypatch.setattr(training, "dev_loss", lambda *_args, **_options: -float(len(seen)))  # the last is the best
    settings = Settings(epochs=1, batch=3, evaluations=1, averaging=0.2)
    train(made, lm, examples(0, 9), examples(1), settings=settings)
    assert len(seen) == 3
    # 0; 2/11 * 0 + 9/11 * 1, since 2/11 < 0.2; 0.2 * 9/11 + 0.8 * 2, since 3/12 > 0.2
    torch.testing.assert_close(made.to_prefix.bias, torch.full_like(made.to_prefix.bias, 0.2 * 9 / 11 + 1.6))


def test_only_the_translator_learns(lm):
    before = {name: value.clone() for name, value in lm.model.state_dict().items()}
    train(translator(lm), lm, examples(), examples(1), settings=Settings(epochs=1, batch=4))
    for name, value in lm.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_an_interrupted_training_ends_as_an_uninterrupted_one(lm, tmp_path, monkeypatch):
    settings = Settings(epochs=3, batch=5)
    whole = translator(lm)
    history = train(whole, lm, examples(), examples(1), settings=settings)

    class PowerCutError(Exception):
        pass

    def cut(progress):
        if progress.step == 7:
            raise PowerCutError

    checkpoint = tmp_path / "run.checkpoint"
    monkeypatch.setattr(training, "SAVE_EVERY", 0)
    with pytest.raises(PowerCutError):
        train(
            translator(lm), lm, examples(), examples(1),
            settings=settings, checkpoint=checkpoint, on_progress=cut,
        )  # fmt: skip
    again = translator(lm)
    torch.manual_seed(123)  # whatever ran in between
    seen = []
    resumed = train(
        again, lm, examples(), examples(1),
        settings=settings, checkpoint=checkpoint, on_progress=lambda p: seen.append(p.step),
    )  # fmt: skip
    assert seen[0] == 7  # step 7 was cut before its checkpoint, so it is done again
    assert resumed == history
    for name, value in again.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name


def test_a_checkpoint_of_another_training_is_refused(lm, tmp_path):
    checkpoint = tmp_path / "run.checkpoint"
    train(translator(lm), lm, examples(), examples(1), settings=Settings(epochs=1), checkpoint=checkpoint)
    with pytest.raises(TranslatorError, match=r"belongs to another training \(it differs in: settings\)\. Remove"):
        train(translator(lm), lm, examples(), examples(1), settings=Settings(epochs=2), checkpoint=checkpoint)
    with pytest.raises(TranslatorError, match=r"it differs in: data, dev\)"):
        train(translator(lm), lm, examples(3), examples(4), settings=Settings(epochs=1), checkpoint=checkpoint)
    checkpoint.write_bytes(b"no checkpoint")
    with pytest.raises(TranslatorError, match=r"(?s)cannot be read .* Remove it to start anew"):
        train(translator(lm), lm, examples(), examples(1), settings=Settings(epochs=1), checkpoint=checkpoint)


def test_early_stop_after_losses_that_no_longer_fall(lm):
    made = translator(lm)
    settings = Settings(epochs=30, batch=4, learning_rate=0.0, evaluations=2, patience=3)
    history = train(made, lm, examples(), examples(1), settings=settings)
    assert len(history) < 60


def test_features_that_are_not_finite_are_refused():
    views = torch.zeros(3, 1, 4)
    views[1, 0, 2] = float("nan")
    with pytest.raises(FeatureError, match=r"features of 1 of 3 images are not finite \(first: row 1\)"):
        Captioned(views, [[[1, 0]]] * 3)


def test_features_without_captions_are_refused():
    with pytest.raises(FeatureError, match="2 images have features but 1 have captions"):
        Captioned(torch.zeros(2, 1, 4), [[[1, 0]]])
