"""The nucleus and draws from it."""

import pytest
import torch

from wordsight.sentences.nucleus import draw, find_nuclei, most_probable, nucleus
from wordsight.sentences.sampling import Sampling


def drawn(logits: torch.Tensor, uniform: torch.Tensor, sampling: Sampling) -> list[int]:
    """One token a row."""
    tokens = torch.full((len(logits),), -1)
    for found in find_nuclei(logits, sampling):
        tokens[found.rows] = draw(found, torch.arange(len(found.rows)), uniform[found.rows])
    return tokens.tolist()


def test_nucleus_is_the_smallest_set_that_reaches_top_p():
    share = torch.tensor([[0.5, 0.3, 0.15, 0.05]])
    # 0.5 < 0.7 <= 0.5 + 0.3: two tokens; 0.8 is reached exactly by two.
    assert nucleus(share, 0.7).tolist()[0] == pytest.approx([0.5, 0.3, 0, 0])
    assert nucleus(share, 0.5).tolist()[0] == pytest.approx([0.5, 0, 0, 0])
    assert nucleus(share, 0.81).tolist()[0] == pytest.approx([0.5, 0.3, 0.15, 0])
    assert nucleus(share, 1.0).tolist()[0] == pytest.approx([0.5, 0.3, 0.15, 0.05])


def test_nuclei_are_renormalised_and_name_their_tokens():
    logits = torch.tensor([[0.3, 0.2, 0.5], [0.05, 0.9, 0.05]]).log()
    (found,) = find_nuclei(logits, Sampling(top_p=0.75))
    assert found.rows.tolist() == [0, 1]
    assert found.ids[:, 0].tolist() == [2, 1]
    assert found.share[0].tolist() == pytest.approx([0.625, 0.375])
    assert found.share[1].tolist() == pytest.approx([1.0, 0.0])


def test_draw_inverts_the_renormalised_cumulative_distribution():
    # Tokens 2, 0, 1 with 0.5, 0.3, 0.2; top_p 0.75 keeps 2 and 0, renormalised 0.625 and 0.375.
    logits = torch.tensor([0.3, 0.2, 0.5]).log().repeat(4, 1)
    uniform = torch.tensor([0.0, 0.62, 0.63, 0.999], dtype=torch.float64)
    assert drawn(logits, uniform, Sampling(top_p=0.75)) == [2, 2, 0, 0]


def test_nuclei_wider_than_the_first_look_are_found():
    # Equally likely tokens: no look but the last holds 90% of them.
    logits = torch.zeros(3, 6000)
    logits[1, 17] = 20.0  # this row's nucleus is one token
    tokens = drawn(logits, torch.tensor([0.0, 0.5, 0.9999], dtype=torch.float64), Sampling(top_p=0.9))
    assert tokens[1] == 17
    many = drawn(torch.zeros(4000, 6000), torch.rand(4000, dtype=torch.float64), Sampling(top_p=0.9))
    assert len(set(many)) > 2000


@pytest.mark.parametrize("tokens", [300, 49_152, 50_001])
def test_the_most_probable_tokens_are_those_of_a_full_sort(tokens):
    values = torch.randn(7, tokens, generator=torch.Generator().manual_seed(1))
    best, ids = most_probable(values, 40)
    expected = values.sort(descending=True)
    assert torch.equal(best, expected.values[:, :40])
    assert torch.equal(ids, expected.indices[:, :40])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 0.0}, "top_p is 0.0, wanted a number above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"temperature": 0.0}, "temperature is 0.0, wanted a number above 0"),
        ({"max_tokens": 0}, "max_tokens is 0, wanted at least 1"),
        ({"mode": "greedy"}, "mode is 'greedy', wanted 'stratified' or 'exact'"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Sampling(**options)
