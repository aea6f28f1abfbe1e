"""The short path on tiny models: results, order, failures, determinism."""

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from doubles import tiny_classifier, tiny_lm, tiny_translator
from wordsight.errors import TranslatorError
from wordsight.explain import Explainer
from wordsight.sentences.sampling import Sampling
from wordsight.translator.word_head import WordHead


@pytest.fixture
def explainer(cache):
    classifier, lm = tiny_classifier(), tiny_lm(sharpness=2.0)
    return Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm))


@pytest.fixture
def photographs(tmp_path):
    for name, colour in (("a", "red"), ("b", "green"), ("c", "blue")):
        Image.new("RGB", (20, 20), colour).save(tmp_path / f"{name}.png")
    return [tmp_path / f"{name}.png" for name in "abc"]


def test_rates_are_shares_of_the_sentences_with_intervals_and_lift(explainer, photographs):
    (result,) = explainer.explain(photographs[0], Sampling(sentences=200))
    assert result.image == "a.png"
    assert result.sentences == 200
    assert [p.probability for p in result.prediction] == sorted((p.probability for p in result.prediction), reverse=True)
    assert sum(p.probability for p in result.prediction) == pytest.approx(1, abs=1e-4)
    for score in result.table:
        assert score.rate == pytest.approx(score.count / 200, abs=0.15)
        assert 0 <= score.low <= score.rate <= score.high <= 1
        assert score.lift is not None
    assert result.top(2) == list(result.words)[:2]
    assert len(result.examples) == 3


def test_json_is_one_line_that_says_everything(explainer, photographs):
    (result,) = explainer.explain(photographs[0], Sampling(sentences=50, seed=3))
    line = result.to_json()
    assert "\n" not in line
    found = json.loads(line)
    assert set(found) == {"image", "prediction", "words", "intervals", "lift", "sources", "sentences", "examples", "seed"}
    assert found["words"].keys() == found["intervals"].keys()
    assert found["seed"] == 3
    assert len(json.loads(result.to_json(words=2))["words"]) == 2


def test_a_table_for_pandas(explainer, photographs):
    (result,) = explainer.explain(photographs[0], Sampling(sentences=50))
    frame = result.to_dataframe()
    assert list(frame.columns) == ["word", "count", "rate", "low", "high", "lift", "lift_z", "source"]
    assert list(frame["word"]) == list(result.words)


def test_the_same_seed_says_the_same_whatever_the_company(explainer, photographs):
    together = explainer.explain(photographs, Sampling(sentences=40, seed=1))
    alone = explainer.explain(photographs[1], Sampling(sentences=40, seed=1))
    assert alone[0].words == pytest.approx(together[1].words, abs=1e-6)
    assert explainer.explain(photographs[1], Sampling(sentences=40, seed=2))[0].words != alone[0].words


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(explainer, photographs):
    photographs[1].write_bytes(b"")
    results = explainer.explain(photographs, Sampling(sentences=10))
    assert [r.image for r in results] == ["a.png", "c.png"]
    assert [f.image for f in results.failures] == ["b.png"]
    assert "b.png" in results.failures[0].reason


def test_precision_is_reached(explainer, photographs):
    (result,) = explainer.explain(photographs[0], Sampling(sentences=40, precision=0.03))
    assert result.sentences > 40
    assert max(s.high - s.low for s in result.table if s.count) <= 0.06


def test_pictures_in_memory(explainer):
    (result,) = explainer.explain(Image.new("RGB", (5, 5), "red"), Sampling(sentences=10))
    assert result.image == "image 0"
    assert result.plot().axes


def test_the_reference_is_sampled_once(explainer, photographs, cache):
    explainer.explain(photographs[0], Sampling(sentences=10))
    (file,) = (cache / "baseline").iterdir()
    before = file.stat().st_mtime_ns
    explainer.explain(photographs[1], Sampling(sentences=10))
    assert file.stat().st_mtime_ns == before
    explainer.explain(photographs[1], Sampling(sentences=10, top_p=0.5))
    assert len(list((cache / "baseline").iterdir())) == 2


def test_copies_under_other_names_have_equal_words(explainer, photographs):
    copy = photographs[0].with_name("another-name.png")
    copy.write_bytes(photographs[0].read_bytes())
    first, second = explainer.explain([photographs[0], copy], Sampling(sentences=40))
    assert first.words == pytest.approx(second.words, abs=1e-6)  # the place in a batch changes features in the last digits
    assert first.examples == second.examples


def test_words_of_the_head_need_a_head_and_a_known_source(explainer, photographs):
    with pytest.raises(TranslatorError, match="has no word head, wanted one for words from the head"):
        explainer.explain(photographs[0], words="head")
    with pytest.raises(ValueError, match="words is 'all', wanted one of: both, sentences, head"):
        explainer.explain(photographs[0], words="all")


def test_words_of_the_head_alone_sample_nothing_and_both_join(cache, photographs):
    pair = tiny_translator(tiny_classifier(), tiny_lm())
    pair[0].words = WordHead(pair[1].features, ["cat", "zebu"], hidden=4, rank=4)
    explainer = Explainer(tiny_classifier(), translator=pair, lm=tiny_lm())
    (alone,) = explainer.explain(photographs[0], words="head")
    assert (alone.sentences, alone.examples) == (0, [])
    assert {score.source for score in alone.table} == {"head"}
    (both,) = explainer.explain(photographs[0], Sampling(sentences=40))
    by_word = {score.word: score for score in both.table}
    assert by_word["zebu"].source == "both"
    head = alone.words["zebu"]
    odds = math.sqrt(0.002 / 0.998 * head / (1 - head))  # no sentence has it: the mean of the log-odds with those of 0.002
    assert by_word["zebu"].rate == pytest.approx(odds / (1 + odds), rel=1e-5)
    assert {score.source for score in both.table} == {"both", "sentences"}


def test_no_words_left_are_an_empty_table(cache):
    classifier, lm = tiny_classifier(), tiny_lm(words=("<end>", "a", "the", "."))
    found = Explainer(classifier, lm=lm, translator=tiny_translator(classifier, lm)).explain(
        Image.new("RGB", (9, 9)), Sampling(sentences=5)
    )
    assert found[0].table == []
    assert list(found[0].to_dataframe()) == [
        "word", "count", "rate", "low", "high", "lift", "lift_z", "source",
    ]  # fmt: skip
    assert next(iter(found.to_dataframe())) == "image"
    assert found[0].plot() is not None


def test_threads_may_share_an_explainer(explainer, photographs):
    alone = explainer.explain(photographs, Sampling(sentences=20))
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: explainer.explain(photographs, Sampling(sentences=20)), range(4)))
    for found in made:
        assert [explanation.to_json() for explanation in found] == [explanation.to_json() for explanation in alone]
