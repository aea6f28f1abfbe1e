"""What lifts are measured against: mean rates over usual features."""

import pytest
import torch

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.models import Models
from wordsight.sentences.sampling import Sampling
from wordsight.translator.word_head import WordHead
from wordsight.words.baseline import SENTENCES, baseline, baseline_key, mean_over_images, sample_baseline


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("WORDSIGHT_CACHE", str(tmp_path))
    classifier, lm = tiny_classifier(), tiny_lm()
    translator, card = tiny_translator(classifier, lm)
    translator.to_prefix.weight.data *= 100  # its sentences hang on the features
    return Models(classifier, lm, translator, card)


def test_a_mean_over_images_by_hand():
    mean, reach = mean_over_images(torch.tensor([[0.1, 0.0], [0.3, 0.0], [0.5, 0.9], [0.7, 0.0]]))
    assert mean.tolist() == pytest.approx([0.4, 0.225])
    # Standard deviations 0.2582 and 0.45 over the root of 4, times 1.96.
    assert reach.tolist() == pytest.approx([0.25303, 0.441], abs=1e-5)


def test_sentences_are_shared_evenly_by_the_usual_features(models):
    usual = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    models.translator.reference = usual
    whole = sample_baseline(models, Sampling(sentences=400, mode="exact"))
    assert whole.sentences == 400
    alone = []
    for row in usual:
        models.translator.reference = row[None]
        alone.append(sample_baseline(models, Sampling(sentences=2000, mode="exact", seed=7)).words)
    for word in ("dog", "cat", "runs"):
        rates = torch.tensor([found[word].rate if word in found else 0.0 for found in alone])
        if word in whole.words:
            assert whole.words[word].rate == pytest.approx(float(rates.mean()), abs=0.08)
    spread = max((found["dog"].rate if "dog" in found else 0.0) for found in alone)
    assert spread > 0.05  # the features do not all say the same


def test_the_word_head_speaks_of_usual_features_too(models):
    torch.manual_seed(0)
    models.translator.words = WordHead(6, vocabulary=["dog", "cat"], hidden=4, rank=2, members=2)
    models.translator.reference = torch.randn(7, 6)
    found = baseline(models, Sampling(), "head")
    rates = models.word_rates(models.translator.reference).rates
    assert found.sentences == SENTENCES
    for column, word in enumerate(("dog", "cat")):
        assert found.words[word].rate == pytest.approx(float(rates[:, column].mean()))
        assert found.words[word].high - found.words[word].rate == pytest.approx(
            1.96 * float(rates[:, column].std()) / 7**0.5, rel=1e-4
        )


def test_other_usual_features_are_another_baseline(models):
    keys = {baseline_key(models, Sampling())}
    for row in (torch.zeros(1, 6), torch.ones(1, 6)):
        models.translator.reference = row
        keys.add(baseline_key(models, Sampling()))
    assert len(keys) == 2  # the mean of this translator is 0
