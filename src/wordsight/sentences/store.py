"""Sentences and rates kept on disk: a second look costs seconds, an interrupted one goes on."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from wordsight.files import read_kept, replacing
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.sampler import ESTIMATOR, MEMORY, Sampled, sample
from wordsight.tensors import Prefix
from wordsight.translator.language_model import LanguageModel
from wordsight.words.content import rules_fingerprint
from wordsight.words.scores import WordRate, WordRates


def sample_stored(
    lm: LanguageModel,
    prefix: Prefix,
    store: Path,
    *,
    sentences: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    seeds: Sequence[int],
    memory: int = MEMORY,
    part: int = 16,
    on_images: Callable[[int, int], None] = lambda done, total: None,
) -> list[Sampled]:
    """Like ``sample``, kept in ``store``: a file for every ``part`` images, written as it goes.

    Keyed by everything that decides what is said: prefixes, seeds, settings, language model and the rules for words.
    """
    found: list[Sampled] = []
    for start in range(0, len(prefix), part):
        here, seeds_here = prefix[start : start + part], seeds[start : start + part]
        about = f"{lm.fingerprint} {lm.dtype} {sampling} {sentences} {list(seeds_here)} {rules_fingerprint()} {ESTIMATOR}"
        digest = hashlib.sha256(about.encode() + here.detach().float().cpu().numpy().tobytes())
        file = store / f"{digest.hexdigest()[:32]}.json"
        known = read_kept(file, _read)
        if known is None:
            known = sample(lm, here, sentences=sentences, sampling=sampling, seeds=seeds_here, memory=memory)
            with replacing(file) as partial:
                partial.write_text(json.dumps([_plain(one) for one in known]), encoding="utf-8")
        found += known
        on_images(len(found), len(prefix))
    return found


def _plain(one: Sampled) -> dict:
    words = {word: [rate.count, rate.rate, rate.low, rate.high] for word, rate in one.rates.words.items()}
    return {"said": one.sentences, "words": words, "sentences": one.rates.sentences}


def _read(file: Path) -> list[Sampled]:
    return [
        Sampled(Counter(one["said"]), WordRates({w: WordRate(*values) for w, values in one["words"].items()}, one["sentences"]))
        for one in json.loads(file.read_text(encoding="utf-8"))
    ]
