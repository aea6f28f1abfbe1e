"""Are the rates of words right, and how much do they vary? Conditional expectation against plain counts of the same sentences.

    python benchmarks/rates.py [--sentences 64] [--runs 20] [--out benchmarks/results/rates.json]

The starter's translator and language model, two photographs that scikit-image ships. For words with a rate of
2% or more in as many other runs (the runs that chose the words would flatter them): by how much the rates differ from the
shares of sentences, all runs together, and in standard errors (paired: both are of the same sentences); and their variance over
the runs as a share of independent sentences'.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np

from engine import prefixes, rates_of, share_of_independent
from wordsight.language.devices import native_dtype
from wordsight.language.starter import starter_language_model
from wordsight.runtime import tune_memory
from wordsight.sentences.sampler import sample
from wordsight.sentences.sampling import Sampling


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentences", type=int, default=64)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/rates.json"))
    options = parser.parse_args()
    tune_memory()
    lm = starter_language_model(dtype=native_dtype("cpu"))
    above, errors, variances = [], [], []
    for prefix in prefixes():
        each = prefix[None].expand(2 * options.runs, -1, -1)
        found = sample(lm, each, Sampling(sentences=options.sentences), seeds=range(2 * options.runs))
        runs, others = ([one.rates.words for one in found[half::2]] for half in (0, 1))
        for word in set().union(*others):
            rates = np.array(rates_of(word, runs))
            shares = np.array([run[word].count / options.sentences if word in run else 0.0 for run in runs])
            off = rates - shares
            if statistics.mean(rates_of(word, others)) >= 0.02 and off.std() > 0:
                above.append(off.mean())
                errors.append(off.mean() / (off.std(ddof=1) / np.sqrt(options.runs)))
                variances.append(share_of_independent(rates.tolist(), options.sentences))
    figures = {
        "sentences": options.sentences,
        "runs": options.runs,
        "words": len(errors),
        "rate_above_counts_mean": round(statistics.mean(above), 5),
        "standard_errors_mean": round(statistics.mean(errors), 3),
        "beyond_1.96_standard_errors": round(float((np.abs(errors) > 1.96).mean()), 3),
        "variance_of_independent_median": round(statistics.median(variances), 3),
        "variance_of_independent_mean": round(statistics.mean(variances), 3),
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
