"""Sentences and rates on disk: a second look costs seconds, an interrupted one goes on."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from wordsight.language.content import rules_fingerprint
from wordsight.language.model import LanguageModel
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, MEMORY, Sampled, sample
from wordsight.sentences.sampling import Sampling
from wordsight.storage import store_each
from wordsight.tensors import Prefix


def sample_stored(
    lm: LanguageModel,
    prefix: Prefix,
    store: Path,
    sampling: Sampling,
    *,
    seeds: Sequence[int],
    memory: int = MEMORY,
    part: int = 16,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """Like ``sample``, with a store: a file for every image, ``part`` images sampled at a time and written as they come.

    Keyed by everything that decides which sentences are drawn: prefix, seed, settings, language model and the rules for words;
    not by the other images, so that a folder that grew by one image costs the sentences of one.
    """
    settings = f"{lm.fingerprint} {lm.dtype} {sampling} {rules_fingerprint()} {ESTIMATOR}"
    files = [
        store / f"{hashlib.sha256(f'{settings} {seed} '.encode() + image_prefix.tobytes()).hexdigest()[:32]}.json"
        for seed, image_prefix in zip(seeds, prefix.detach().float().cpu().numpy(), strict=True)
    ]

    def make(rows: list[int]) -> list[Sampled]:
        own = [seeds[i] for i in rows]
        return sample(lm, prefix[rows], sampling, seeds=own, memory=memory)

    return store_each(files, _read, make, _write, at_once=part, on_done=on_images)


def _write(file: Path, sampled: Sampled) -> None:
    words = {word: [rate.count, rate.rate, rate.low, rate.high] for word, rate in sampled.rates.words.items()}
    entry = {"counts": sampled.sentences, "words": words, "sentences": sampled.rates.sentences}
    file.write_text(json.dumps(entry), encoding="utf-8")


def _read(file: Path) -> Sampled:
    stored = json.loads(file.read_text(encoding="utf-8"))
    rates = {word: WordRate(*values) for word, values in stored["words"].items()}
    return Sampled(Counter(stored["counts"]), WordRates(rates, stored["sentences"]))
