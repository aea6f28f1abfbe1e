"""Words and rates of four photographs, and a small audit, are what they were: ``tests/golden.json``.

Numbers depend on the processor (bfloat16 or not) and on the versions of PyTorch and transformers, so the file says for which it holds,
and the test skips elsewhere. WORDSIGHT_WRITE_GOLDEN=1 writes it anew, for a change whose purpose is other numbers.
"""

import json
import os
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from PIL import Image

from wordsight.errors import DownloadError

FILE = Path(__file__).parent / "golden.json"
pytestmark = [pytest.mark.starter, pytest.mark.slow]


def found(folder: Path) -> dict:
    """Words, predictions and sentences of four photographs, and an audit of parts of them."""
    import wordsight

    data, samples = pytest.importorskip("skimage.data"), pytest.importorskip("sklearn.datasets")
    explainer = wordsight.Explainer()
    photographs = {
        "coffee": ("indoors", data.coffee()),
        "cat": ("indoors", data.chelsea()),
        "palace": ("outdoors", samples.load_sample_image("china.jpg")),
        "flower": ("outdoors", samples.load_sample_image("flower.jpg")),
    }
    for name, (label, pixels) in photographs.items():
        image = Image.fromarray(pixels)
        image.save(folder / f"{name}.png")
        (folder / "classes" / label).mkdir(parents=True, exist_ok=True)
        for number in range(4):
            left, top = (number % 2) * image.width // 2, (number // 2) * image.height // 2
            image.crop((left, top, left + image.width // 2, top + image.height // 2)).save(
                folder / "classes" / label / f"{name}-{number}.png"
            )
    paths = [folder / f"{name}.png" for name in photographs]
    explained = {
        explanation.image: {
            "prediction": [[prediction.label, prediction.probability] for prediction in explanation.prediction],
            "words": {score.word: [score.count, round(score.rate, 5), round(score.low, 5), round(score.high, 5)]
                      for score in explanation.table[:30]},
            "examples": explanation.examples,
        }
        for explanation in explainer.explain(paths, wordsight.Sampling(sentences=60, seed=3))
    }  # fmt: skip
    head = wordsight.train_head(folder / "classes", explainer.classifier, held_out=0)
    head.save(folder / "head.safetensors")
    own = wordsight.Explainer(f"head:{folder / 'head.safetensors'}")
    audit = wordsight.audit(own, folder / "classes", sampling=wordsight.Sampling(sentences=12, seed=1))
    rows = audit.to_dataframe()[["label", "word", "verdict", "rate", "encoded", "used"]].round(3)
    return {"explained": explained, "audit": json.loads(rows.to_json(orient="values"))}


def where() -> dict[str, str]:
    """What the numbers depend on."""
    bf16 = bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())
    processor = f"{torch.backends.cpu.get_cpu_capability()}, bfloat16 {bf16}, {torch.get_num_threads()} threads"
    return {"processor": processor, "torch": torch.__version__, "transformers": version("transformers")}


@pytest.fixture
def one_thread():
    """The file is of one thread, wherever the test runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_words_and_rates_are_what_they_were(tmp_path):
    if os.environ.get("WORDSIGHT_WRITE_GOLDEN"):
        FILE.write_text(json.dumps({"where": where(), **found(tmp_path)}, indent=1) + "\n")
    golden = json.loads(FILE.read_text())
    if golden.pop("where") != where():
        pytest.skip(f"the file holds for another machine or other versions than {where()}")
    try:
        made = found(tmp_path)
    except DownloadError as error:
        pytest.skip(f"the starter's weights are neither in the cache nor reachable: {error}")
    assert made["explained"] == golden["explained"]
    assert made["audit"] == golden["audit"]
