"""The starter's real weights on real photographs. Fetched at first use; skipped without network."""

import json
import subprocess
import sys
from importlib.resources import files

import pytest
import torch
from PIL import Image
from safetensors import safe_open

from wordsight.errors import DownloadError
from wordsight.explain import Explainer
from wordsight.features.extraction import extract
from wordsight.language import starter
from wordsight.language.blocked import blocked
from wordsight.language.starter import starter_language_model
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import cache_folder
from wordsight.translator.reference import REFERENCES
from wordsight.words.baseline import SENTENCES, SHIPPED, baseline, baseline_key, reference, sample_baseline

pytestmark = pytest.mark.starter


@pytest.fixture(scope="module")
def explainer():
    try:
        return Explainer()
    except DownloadError as error:
        pytest.skip(f"the starter's weights are neither in the cache nor reachable: {error}")


@pytest.fixture(scope="module")
def photographs():
    data = pytest.importorskip("skimage.data")
    samples = pytest.importorskip("sklearn.datasets")
    return {
        "cat": Image.fromarray(data.chelsea()),
        "coffee": Image.fromarray(data.coffee()),
        "flower": Image.fromarray(samples.load_sample_image("flower.jpg")),
        "building": Image.fromarray(samples.load_sample_image("china.jpg")),
    }


@pytest.fixture(scope="module")
def explained(explainer, photographs):
    return dict(zip(photographs, explainer.explain(list(photographs.values()), Sampling(sentences=150, seed=0)), strict=True))


@pytest.mark.parametrize(
    ("photograph", "accepted"),
    [
        ("cat", {"cat"}),
        ("coffee", {"coffee", "cup", "espresso"}),
        ("flower", {"flower", "plant", "daisy"}),
        ("building", {"building", "palace", "house", "temple", "church"}),
    ],
)
def test_the_top_ten_words_make_sense(explained, photograph, accepted):
    assert accepted & set(explained[photograph].top(10))


def test_different_photographs_get_different_words(explained):
    tops = [set(e.top(10)) for e in explained.values()]
    assert all(len(a & b) <= 4 for i, a in enumerate(tops) for b in tops[:i])


def test_the_classifier_s_own_prediction_stands_beside_the_words(explained):
    assert explained["coffee"].prediction[0].label == "espresso"
    assert explained["cat"].prediction[0].label.endswith("cat")


def test_typical_sentences_and_no_word_is_cut_off(explained):
    for e in explained.values():
        assert len(e.examples) == 3
        assert len(json.loads(e.to_json(words=50))["words"]) == min(50, len(e.words))
    assert len(explained["cat"].words) > len(explained["cat"].top(10))


def test_later_starts_load_the_language_model_from_the_cache(explainer, monkeypatch):
    monkeypatch.setattr(starter, "_original", None)  # reading the original file again would take seconds
    lm = explainer.models.lm
    assert starter_language_model(dtype=lm.dtype).fingerprint == lm.fingerprint


def test_the_copy_in_bfloat16_is_the_rounded_model_and_counts_as_the_same_one(explainer, monkeypatch):
    whole, asked = starter_language_model(), []
    load = starter.load_language_model
    monkeypatch.setattr(
        starter, "load_language_model", lambda folder, **options: asked.append(folder) or load(folder, **options)
    )
    rounded = starter_language_model(dtype=torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    assert not asked  # it is loaded when it is needed
    assert rounded.embeddings.dtype == torch.bfloat16
    found = rounded.model.state_dict()
    (folder,) = asked
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.bfloat16}  # noqa: SIM118 (not a dict)
    assert rounded.fingerprint == whole.fingerprint == (folder / "fingerprint.txt").read_text()
    expected = {name: value.to(torch.bfloat16) for name, value in whole.model.state_dict().items()}
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert rounded.encode("A dog runs.") == whole.encode("A dog runs.")


def test_sentences_in_blocks_are_those_of_float32(explainer, photographs):
    features = extract(explainer.classifier, [photographs["cat"]])
    prefix, sampling = explainer.models.prefix(features.views.mean(1)), Sampling(sentences=60)
    plain, other = (sample(starter_language_model(), prefix, sampling, seeds=[seed])[0].sentences for seed in (1, 2))
    (found,) = sample(blocked(starter_language_model()), prefix, sampling, seeds=[1])
    assert (plain & found.sentences).total() >= 57  # a draw may fall on the other side of a boundary
    assert (plain & other).total() < 50  # another seed does not say the same


def test_a_cache_that_cannot_be_written_serves_as_it_is(explainer, tmp_path, monkeypatch, caplog):
    starter_language_model()
    (tmp_path / "smollm2-135m-instruct").symlink_to(cache_folder() / "smollm2-135m-instruct")
    monkeypatch.setattr(starter, "cache_folder", lambda: tmp_path)

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.LlamaForCausalLM.save_pretrained", full)
    lm = starter_language_model(dtype=torch.bfloat16)
    assert (lm.name, lm.dtype, lm.fingerprint) == (starter.LANGUAGE_MODEL, torch.bfloat16, explainer.models.lm.fingerprint)
    assert "no copy of the language model can be written ([Errno 28] No space left on device)" in caplog.text
    assert [path.name for path in tmp_path.glob("*-bfloat16*")] == []


def test_the_shipped_baseline_is_this_translators_own(explainer, cache):
    """It is not sampled again, and a fresh sample agrees with it."""
    shipped = json.loads((files("wordsight") / SHIPPED).read_text(encoding="utf-8"))
    assert shipped["key"] == baseline_key(explainer.models, Sampling(sentences=SENTENCES)), (
        "python benchmarks/train_starter.py baseline"
    )
    usual = baseline(explainer.models, Sampling(sentences=10), "sentences")
    assert not (cache / "baseline").exists()
    assert len(reference(explainer.models)) == REFERENCES
    fresh = sample_baseline(explainer.models, Sampling(sentences=250, seed=1000)).words
    frequent = [word for word, rate in usual.words.items() if rate.rate > 0.03]
    assert len(frequent) > 10
    apart = [abs(fresh[word].rate - usual.words[word].rate) for word in frequent if word in fresh]
    assert len(apart) > 0.9 * len(frequent)
    assert sum(apart) / len(apart) < 0.02
    # Sentences about usual images: what people's captions say most often.
    assert {"dog", "man", "white", "two", "people"} <= set(sorted(usual.words, key=lambda word: -usual.words[word].rate)[:8])


def test_what_is_said_of_many_images_has_no_lift(explainer, photographs):
    (cat,) = explainer.explain(photographs["cat"], Sampling(sentences=50))
    lifts = {score.word: score.lift for score in cat.table}
    assert lifts["cat"] > 3
    assert abs(lifts["white"]) < 0.7


def test_words_from_the_word_head_need_neither_transformers_nor_timm(explainer, photographs, tmp_path):
    photographs["cat"].save(tmp_path / "cat.png")
    code = (
        "import sys, wordsight; (found,) = wordsight.Explainer().explain(sys.argv[1], words='head'); "
        "print(found.top(1), *sorted({'pandas', 'timm', 'torchvision', 'transformers', 'scipy.stats'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, tmp_path / "cat.png"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "['cat']"
