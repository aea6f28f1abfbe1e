"""Write src/wordsight/words/baselines/: word rates of the starter's mean feature, so that no first start has to sample them.

    python benchmarks/make_baselines.py

One file for each precision that the language model runs in. To be run again when the starter's translator, the rules for words
or the estimator of rates change; a test says so.
"""

from dataclasses import replace
from pathlib import Path

import torch

from wordsight.language.starter import starter_language_model
from wordsight.models import load_models
from wordsight.sentences.sampling import Sampling
from wordsight.words.baseline import baseline_name, sample_baseline, write_baseline

FOLDER = Path(__file__).parent.parent / "src/wordsight/words/baselines"


def main() -> None:
    for old in FOLDER.glob("*.json"):
        old.unlink()
    models = load_models()
    for dtype in (torch.float32, torch.bfloat16):
        models = replace(models, lm=starter_language_model(dtype=dtype))
        name = baseline_name(models.fingerprint, models.lm.fingerprint, dtype, Sampling())
        write_baseline(FOLDER / name, sample_baseline(models, Sampling()))
        print(f"{dtype}: {name}, {(FOLDER / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
