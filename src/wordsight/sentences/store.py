"""Sentences and rates on disk: a second look costs seconds, an interrupted one goes on."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from torch import Tensor

from wordsight.engines import LOCAL, Engine
from wordsight.language.content import rules_fingerprint
from wordsight.language.model import LanguageModel
from wordsight.sentences.estimates import WordRate, WordRates
from wordsight.sentences.sampler import ESTIMATOR, Sampled, sample
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
    memory: int | None = None,
    part: int | None = None,
    engine: Engine = LOCAL,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """Like ``sample``, with a store: a file for every image, ``part`` images sampled at a time (16, on a GPU 512) and written as
    they come.

    Keyed by everything that decides which sentences are drawn: prefix, seed, settings, language model and the rules for words;
    not by the other images, so that a folder that grew by one image costs the sentences of one. ``engine``: where the sentences
    are sampled; this process keeps the store.
    """
    settings = f"{lm.fingerprint} {lm.dtype} {sampling} {rules_fingerprint()} {ESTIMATOR}"
    files = [
        store / f"{hashlib.sha256(f'{settings} {seed} '.encode() + image_prefix.tobytes()).hexdigest()[:32]}.json"
        for seed, image_prefix in zip(seeds, prefix.detach().float().cpu().numpy(), strict=True)
    ]
    return store_each(
        files,
        _read,
        partial(_sample_part, lm, sampling, memory),
        _write,
        at_once=part or (_PART if prefix.device.type == "cpu" else _PART_GPU),
        part=lambda rows: (prefix[rows], [seeds[i] for i in rows]),
        engine=engine,
        on_done=on_images,
    )


#: Images sampled at a time: an interrupted run loses their sentences.
_PART, _PART_GPU = 16, 512


def _sample_part(lm: LanguageModel, sampling: Sampling, memory: int | None, part: tuple[Tensor, list[int]]) -> list[Sampled]:
    prefix, seeds = part
    return sample(lm, prefix, sampling, seeds=seeds, memory=memory)


def _write(file: Path, sampled: Sampled) -> None:
    words = {word: [rate.count, rate.rate, rate.low, rate.high] for word, rate in sampled.rates.words.items()}
    entry = {"counts": sampled.sentences, "words": words, "sentences": sampled.rates.sentences}
    file.write_text(json.dumps(entry), encoding="utf-8")


def _read(file: Path) -> Sampled:
    stored = json.loads(file.read_text(encoding="utf-8"))
    rates = {word: WordRate(*values) for word, values in stored["words"].items()}
    return Sampled(Counter(stored["counts"]), WordRates(rates, stored["sentences"]))
