"""The prefix tree's distribution, against sentences enumerated one by one."""

import weakref
from collections import Counter

import pytest
import torch
from scipy.stats import norm

from agreement import agreement
from doubles import tiny_lm
from wordsight.language.cache import KeysAndValues
from wordsight.language.causal import CausalLM
from wordsight.sentences import tree
from wordsight.sentences.plain import enumerate_sentences, next_distribution, sample_one
from wordsight.sentences.sampler import cut_at_end
from wordsight.sentences.sampling import Sampling
from wordsight.sentences.tree import Step, grow, rows_for, systematic

SMALL = ("<end>", "a", "dog", "cat", "runs")


@pytest.fixture(scope="module")
def lm():
    return tiny_lm(words=SMALL, sharpness=3.0)


@pytest.fixture(scope="module")
def prefix(lm):
    return torch.randn(2, 3, lm.hidden, generator=torch.Generator().manual_seed(5))


def grown(lm, prefix, sampling: Sampling, draws: int, *, seed: int = 1, images: int = 1, **options) -> list[list[tuple]]:
    """The sentences of ``images`` trees on the same prefix, each of ``draws``."""
    uniform = torch.rand(images * draws, sampling.max_tokens, generator=torch.Generator().manual_seed(seed))
    image = torch.arange(images).repeat_interleave(draws)
    if options.pop("stratified", False):
        options["stratum"] = torch.zeros_like(image)
    tokens = grow(lm, prefix.expand(images, -1, -1), image, uniform, sampling, **options)
    rows = [tuple(row) for row in cut_at_end(tokens, lm.end)]
    return [rows[i : i + draws] for i in range(0, len(rows), draws)]


@pytest.mark.parametrize("draws", [50, 20_000])
@pytest.mark.parametrize("top_p", [0.6, 0.9, 1.0])
@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
@pytest.mark.parametrize("max_tokens", [1, 3])
def test_sentences_have_the_probabilities_of_independent_nucleus_samples(lm, prefix, draws, top_p, temperature, max_tokens):
    sampling = Sampling(top_p=top_p, temperature=temperature, max_tokens=max_tokens, mode="exact")
    probabilities = enumerate_sentences(lm, prefix[:1], sampling)
    assert sum(probabilities.values()) == pytest.approx(1)
    trees = grown(lm, prefix[:1], sampling, draws, images=20_000 // draws)
    assert agreement(Counter(s for tree in trees for s in tree), probabilities) > 1e-3


def test_a_biased_sampler_fails_the_same_test(lm, prefix):
    asked = Sampling(top_p=0.9, max_tokens=3)
    (biased,) = grown(lm, prefix[:1], Sampling(top_p=0.9, temperature=1.1, max_tokens=3), 20_000)
    assert agreement(Counter(biased), enumerate_sentences(lm, prefix[:1], asked)) < 1e-3


def pairs(lm, prefix, *, stratified: bool) -> float:
    """p-value for: both sentences of trees of two draws are independent."""
    sampling = Sampling(max_tokens=2)
    one = enumerate_sentences(lm, prefix[:1], sampling)
    trees = grown(lm, prefix[:1], sampling, 2, images=10_000, stratified=stratified)
    return agreement(Counter(tuple(tree) for tree in trees), {(a, b): one[a] * one[b] for a in one for b in one})


def test_sentences_of_one_tree_are_independent_in_exact_mode(lm, prefix):
    assert pairs(lm, prefix, stratified=False) > 1e-3


def test_stratified_sentences_are_not_independent_which_the_same_test_sees(lm, prefix):
    assert pairs(lm, prefix, stratified=True) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("draws", [2, 7, 60])
def test_stratified_mode_keeps_every_sentence_s_expected_count(lm, prefix, draws):
    sampling = Sampling(max_tokens=3)
    probabilities = enumerate_sentences(lm, prefix[:1], sampling)
    trees = [Counter(t) for t in grown(lm, prefix[:1], sampling, draws, images=4000, stratified=True)]
    counts = torch.tensor([[tree[s] for s in probabilities] for tree in trees], dtype=torch.float64)
    expected = draws * torch.tensor(list(probabilities.values()), dtype=torch.float64)
    z = (counts.mean(0) - expected) / (counts.std(0) / len(trees) ** 0.5)
    often = expected * len(trees) > 30
    assert int(often.sum()) > 10
    assert float(z[often].abs().max()) < norm.isf(1e-3 / (2 * int(often.sum())))
    # ... and varies less than independent draws would.
    independent = expected * (1 - expected / draws)
    assert float(counts.var(0).sum()) < 0.9 * float(independent.sum())


def test_the_reference_draws_what_it_enumerates(lm, prefix):
    sampling = Sampling(top_p=0.8, max_tokens=2)
    generator = torch.Generator().manual_seed(2)
    counts = Counter(tuple(sample_one(lm, prefix[:1], sampling, generator)) for _ in range(1500))
    assert agreement(counts, enumerate_sentences(lm, prefix[:1], sampling)) > 1e-3


def test_the_kept_cache_gives_the_model_s_own_next_tokens(lm, prefix):
    """Greedy twin: with a tiny nucleus, cached steps follow the uncached reference."""
    sampling = Sampling(top_p=1e-6, max_tokens=8)
    tokens = cut_at_end(grow(lm, prefix, torch.tensor([0, 1]), torch.zeros(2, 8), sampling), lm.end)
    for image in (0, 1):
        expected: list[int] = []
        while len(expected) < 8:
            (token,) = next_distribution(lm, prefix[image : image + 1], expected, sampling)
            if token == lm.end:
                break
            expected.append(token)
        assert tokens[image] == expected


@pytest.mark.parametrize("most", [1, 2, 7, 64])
@pytest.mark.parametrize("first_steps", [1, 2, 4, 12])
def test_memory_limits_do_not_change_the_sentences(lm, prefix, most, first_steps, monkeypatch):
    monkeypatch.setattr(tree, "FIRST_STEPS", first_steps)
    image = torch.arange(200) % 2
    uniform = torch.rand(200, 6, generator=torch.Generator().manual_seed(3))
    whole = grow(lm, prefix, image, uniform, Sampling(max_tokens=6), max_nodes=10_000)
    assert torch.equal(grow(lm, prefix, image, uniform, Sampling(max_tokens=6), max_nodes=most), whole)


def test_kept_positions_stay_within_what_is_allowed(lm, prefix, monkeypatch):
    """States that live at the same time; twice ``most`` rows of the first room, here 2 x 8 x (3 + 2) positions."""
    monkeypatch.setattr(tree, "FIRST_STEPS", 2)
    living, peak, sizes = weakref.WeakSet(), [0], weakref.WeakKeyDictionary()
    start, copied = CausalLM.start, KeysAndValues.copied

    def born(state: KeysAndValues, capacity: int, room: int) -> None:
        living.add(state)
        sizes[state] = max(capacity, state.cache.layers[0].rows) * room
        peak[0] = max(peak[0], sum(sizes[state] for state in living))

    def started(self, prefix, *, capacity, room):
        state, hidden = start(self, prefix, capacity=capacity, room=room)
        born(state, capacity, room)
        return state, hidden

    def copy(self, rows, *, capacity, room):
        state = copied(self, rows, capacity=capacity, room=room)
        born(state, capacity, room)
        return state

    monkeypatch.setattr(CausalLM, "start", started)
    monkeypatch.setattr(KeysAndValues, "copied", copy)
    uniform = torch.rand(300, 6, generator=torch.Generator().manual_seed(3))
    grow(lm, prefix[:1], torch.zeros(300, dtype=torch.long), uniform, Sampling(max_tokens=6), max_nodes=8)
    assert 0 < peak[0] <= 2 * 8 * (prefix.shape[1] + 2)


def test_each_beginning_is_evaluated_once(lm, prefix):
    sampling, steps = Sampling(max_tokens=4), []
    (sentences,) = grown(lm, prefix[:1], sampling, 3000, on_step=steps.append)
    beginnings = {s[:n] for s in sentences for n in range(min(len(s), sampling.max_tokens - 1) + 1)}
    assert sum(int(step.node[-1]) + 1 for step in steps) == len(beginnings)


def test_a_step_names_every_draw_once_with_its_node_s_distribution(lm, prefix):
    seen: list[Step] = []
    grow(lm, prefix, torch.arange(50) % 2, torch.rand(50, 3), Sampling(max_tokens=3), on_step=seen.append)
    assert sorted(seen[0].draws.tolist()) == list(range(50))
    for step in seen:
        assert step.node.tolist() == sorted(step.node.tolist())
        rows = torch.cat([found.rows for found in step.nuclei])
        assert sorted(rows.tolist()) == list(range(int(step.node[-1]) + 1))
        for found in step.nuclei:
            assert found.share.sum(-1).tolist() == pytest.approx([1.0] * len(found.rows))


def test_ended_sentences_are_reported_once(lm, prefix):
    ended: list[int] = []
    grow(lm, prefix, torch.arange(50) % 2, torch.rand(50, 5), Sampling(max_tokens=5), max_nodes=8, on_ended=ended.append)
    assert sum(ended) == 50


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB)."),
    ],
)
def test_gpu_memory_that_does_not_suffice_halves_the_batch(lm, prefix, monkeypatch, caplog, error):
    """Stands in for a GPU that holds two rows; the sentences are the same."""
    image, uniform = torch.arange(40) % 2, torch.rand(40, 5, generator=torch.Generator().manual_seed(4))
    whole = grow(lm, prefix, image, uniform, Sampling(max_tokens=5))
    forward = lm.model.base_model.layers[1].forward

    def small(hidden_states, *args, **kwargs):
        if len(hidden_states) > 2:
            raise error
        return forward(hidden_states, *args, **kwargs)

    monkeypatch.setattr(lm.model.base_model.layers[1], "forward", small)  # the first layer's cache is written by then
    assert torch.equal(grow(lm, prefix, image, uniform, Sampling(max_tokens=5)), whole)
    assert "the GPU's memory does not suffice" in caplog.text


def test_other_errors_are_no_lack_of_memory(lm, prefix, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("illegal memory access")

    monkeypatch.setattr(lm.model.base_model.layers[1], "forward", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        grow(lm, prefix, torch.arange(4) % 2, torch.rand(4, 5), Sampling(max_tokens=5))


def test_systematic_numbers_are_evenly_spaced_in_each_node_and_stratum():
    uniform = torch.tensor([0.5, 0.1, 0.2, 0.8, 0.9])
    node = torch.tensor([0, 0, 0, 1, 1])
    stratum = torch.tensor([0, 1, 0, 0, 0])
    # Node 0, stratum 0: draws 0 and 2, from 0.5: 0.25 and 0.75. Node 0, stratum 1: alone. Node 1: 0.4 and 0.9.
    assert systematic(uniform, node, stratum).tolist() == pytest.approx([0.25, 0.1, 0.75, 0.4, 0.9])


def test_rows_stay_where_their_parent_was():
    assert rows_for(torch.tensor([0, 0, 2, 2])).tolist() == [0, 1, 2, 3]
    assert rows_for(torch.tensor([1, 3])).tolist() == [1, 0]
    assert rows_for(torch.tensor([5, 5, 6])).tolist() == [0, 1, 2]
