"""The prefix tree: sentences that begin alike share their beginnings' evaluation.

Every sentence to be drawn is a *draw* with uniform numbers of its own, one a token. A node of the tree is a distinct beginning
with the draws that pass through it; its next-token distribution is computed once, and its draws move on to its children. The
sentences are those that the draws would have got one by one.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.language.model import LanguageModel, State
from wordsight.runtime import free_memory, is_full
from wordsight.sentences.nucleus import Nucleus, draw, find_nuclei
from wordsight.sentences.sampling import Sampling
from wordsight.tensors import Prefix

logger = logging.getLogger(__name__)


#: Tokens that a row of the cache has room for at first.
FIRST_STEPS = 12


@dataclass(frozen=True)
class Step:
    """What one step of some draws looked like. All on the CPU.

    ``draws``: indices of the draws, ordered by node. ``node``: each draw's node, counted from 0. ``nuclei``: the next-token
    distributions; their ``rows`` are nodes. ``tokens``: what each draw drew.
    """

    number: int
    draws: Int[Tensor, " draws"]
    node: Int[Tensor, " draws"]
    nuclei: list[Nucleus]
    tokens: Int[Tensor, " draws"]


@dataclass
class _Frontier:
    """Beginnings of equal length, to be evaluated. ``row``: where each node's parent is in ``state``; ``last``: its last token.

    With ``whole``, the state is the frontier's own and its rows are the nodes, in order. ``capacity`` and ``room``: rows that
    the state can hold, and positions of each.
    """

    number: int
    state: State | None
    capacity: int
    room: int
    whole: bool
    row: Tensor
    last: Tensor
    draws: Tensor
    node: Tensor


def first_steps(steps: int) -> int:
    """Tokens that a row has room for at first. Most sentences end within them; those that go on get more when they are few."""
    return min(FIRST_STEPS, steps)


@torch.inference_mode()
def grow(
    lm: LanguageModel,
    prefix: Prefix,
    image: Int[Tensor, " draws"],
    uniform: Float[Tensor, "draws steps"],
    sampling: Sampling,
    *,
    stratum: Int[Tensor, " draws"] | None = None,
    max_nodes: int = 512,
    on_step: Callable[[Step], None] = lambda _: None,
    on_ended: Callable[[int], None] = lambda _: None,
) -> Int[Tensor, "draws steps"]:
    """Token ids of every draw; ``lm.end`` from a sentence's end on.

    ``image``: the row of ``prefix`` that each draw belongs to. ``uniform``: in [0, 1), one number a draw and step. ``stratum``
    makes the draws of one node and stratum share their node's distribution out evenly among themselves (systematic resampling)
    instead of drawing independently. ``max_nodes``: nodes evaluated at once, and half of those whose keys and values stay
    (fewer once sentences outgrow ``first_steps``); halved when the GPU's memory does not suffice. ``on_step`` sees every step;
    ``on_ended`` how many sentences were finished.
    Raises TranslatorError if the language model gives logits that are not numbers.
    """
    tokens = torch.full(uniform.shape, lm.end)
    order = image.argsort(stable=True)
    used, node = image[order].unique_consecutive(return_inverse=True)
    tree = _Tree(lm, prefix[used], uniform, sampling, stratum, max_nodes, on_step, on_ended)
    start = torch.zeros(len(used), dtype=torch.long)
    pending = [_Frontier(0, None, 0, 0, False, torch.arange(len(used)), start, order, node)]
    while pending:
        frontier = pending.pop()
        if frontier.whole and frontier.room < lm.positions(prefix.shape[1]) + frontier.number:
            frontier = replace(frontier, whole=False)  # outgrown: its rows move to a state with more room
        waiting = pending if frontier.whole else [*pending, frontier]
        positions = sum({id(f.state): f.capacity * f.room for f in waiting if f.state is not None}.values())
        pending += reversed(tree.expand(frontier, tokens, waiting=positions))
    return tokens


@dataclass
class _Tree:
    lm: LanguageModel
    prefix: Tensor
    uniform: Tensor
    sampling: Sampling
    stratum: Tensor | None
    max_nodes: int
    on_step: Callable[[Step], None]
    on_ended: Callable[[int], None]

    def expand(self, frontier: _Frontier, tokens: Tensor, *, waiting: int) -> list[_Frontier]:
        """Evaluate a frontier, let its draws draw, and return what is to be evaluated next (or the frontier in pieces).

        ``waiting``: positions of the states that frontiers wait for.
        """
        before, steps = self.lm.positions(self.prefix.shape[1]), self.uniform.shape[1]
        first = before + first_steps(steps)
        room = first if before + frontier.number <= first else before + steps
        limit = max(
            1, (2 * self.max_nodes * first - waiting) // (2 * room)
        )  # half of what is free: pieces may have to be split again
        if len(frontier.row) > (frontier.capacity if frontier.whole else limit):
            return _pieces(frontier, limit)
        capacity = max(len(frontier.row), min(len(frontier.draws), limit))
        # One that is not whole gets a state of its own, with rows for what its draws can become.
        own = frontier if frontier.whole else replace(frontier, capacity=capacity, room=room)
        tried = self._try(own)
        if tried is None:
            self.max_nodes = max(1, min(self.max_nodes, len(frontier.row)) // 2)
            free_memory(self.lm.device)
            logger.warning("the GPU's memory does not suffice; going on with %d beginnings at once", self.max_nodes)
            return _pieces(frontier, self.max_nodes)
        step, state = tried
        tokens[step.draws, step.number] = step.tokens
        self.on_step(step)
        goes_on = step.tokens != self.lm.end
        if step.number + 1 == self.uniform.shape[1]:
            goes_on = torch.zeros_like(goes_on)
        if ended := int((~goes_on).sum()):
            self.on_ended(ended)
        if not bool(goes_on.any()):
            return []
        return [self._children(step, goes_on, state, own.capacity, own.room)]

    def _try(self, frontier: _Frontier) -> tuple[Step, State] | None:
        """One step, with the state it left; None if the GPU's memory did not suffice."""
        try:
            state, hidden = self._evaluate(frontier)
            return self._draw(frontier, hidden), state
        except RuntimeError as error:
            if not is_full(error):
                raise
            before = self.lm.positions(self.prefix.shape[1]) + frontier.number - 1
            undone = frontier.state is None or frontier.state.undo(before)
            if not undone or len(frontier.row) < 2:
                raise
        return None

    def _children(self, step: Step, goes_on: Tensor, state: State, capacity: int, room: int) -> _Frontier:
        key = step.node[goes_on] * _SPREAD + step.tokens[goes_on]
        child, node = key.unique(return_inverse=True)
        row, last = child // _SPREAD, child % _SPREAD
        whole = len(child) <= capacity
        if whole:
            place = rows_for(row)
            node = place[node]
            row, last = torch.empty_like(row).index_copy(0, place, row), torch.empty_like(last).index_copy(0, place, last)
            state.select(row)
            row = torch.arange(len(child))
        order = node.argsort(stable=True)
        return _Frontier(step.number + 1, state, capacity, room, whole, row, last, step.draws[goes_on][order], node[order])

    def _evaluate(self, frontier: _Frontier) -> tuple[State, Tensor]:
        size = {"capacity": frontier.capacity, "room": frontier.room}
        if frontier.state is None:
            return self.lm.start(self.prefix[frontier.row], **size)
        state = frontier.state if frontier.whole else frontier.state.copied(frontier.row, **size)
        return state, self.lm.step(state, frontier.last)

    def _draw(self, frontier: _Frontier, hidden: Tensor) -> Step:
        uniform = self.uniform[frontier.draws, frontier.number]
        if self.stratum is not None:
            uniform = systematic(uniform, frontier.node, self.stratum[frontier.draws])
        tokens = torch.zeros_like(frontier.draws)
        first = torch.searchsorted(frontier.node, torch.arange(len(hidden) + 1))
        nuclei = []
        at_once = _HEAD_ROWS if hidden.device.type == "cpu" else _HEAD_ROWS_GPU
        for start in range(0, len(hidden), at_once):
            for found in find_nuclei(self.lm.logits(hidden[start : start + at_once]), self.sampling):
                found = replace(found, rows=found.rows + start)
                nuclei.append(found)
                here, row = _members(first, found.rows)
                tokens[here] = draw(found, row, uniform[here])
        return Step(frontier.number, frontier.draws, frontier.node, nuclei, tokens)


#: Rows whose logits exist at a time; on two cores 64 are as fast as 256 and take 50 MiB less than 128. GPUs want more at once.
_HEAD_ROWS, _HEAD_ROWS_GPU = 64, 1024
#: Larger than any vocabulary: node and token in one number.
_SPREAD = 1 << 24


def _members(first: Tensor, nodes: Tensor) -> tuple[Tensor, Tensor]:
    """The draws of some nodes, and for each which of ``nodes`` it is in."""
    count = first[nodes + 1] - first[nodes]
    row = torch.arange(len(nodes)).repeat_interleave(count)
    within = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
    return first[nodes][row] + within, row


def systematic(
    uniform: Float[Tensor, " draws"], node: Int[Tensor, " draws"], stratum: Int[Tensor, " draws"]
) -> Float[Tensor, " draws"]:
    """Numbers evenly spaced among the draws of one node and stratum: (0 + u) / n, (1 + u) / n, ... with the first draw's u.

    Each of them, picked at random, is uniform on [0, 1), so that every token keeps its expected count.
    """
    _, group = (node * (int(stratum.max()) + 1) + stratum).unique(return_inverse=True)
    order = group.argsort(stable=True)
    size = torch.bincount(group)
    start = size.cumsum(0) - size
    rank = torch.arange(len(group)) - start[group[order]]
    spaced = torch.empty_like(uniform)
    spaced[order] = (rank + uniform[order][start[group[order]]]) / size[group[order]]
    return spaced


def _pieces(frontier: _Frontier, max_nodes: int) -> list[_Frontier]:
    """Split a frontier in order: no piece has more nodes than ``max_nodes``, nor more draws unless one node alone has."""
    nodes = torch.arange(len(frontier.row))
    ends = torch.searchsorted(frontier.node, nodes, right=True)  # after each node's last draw
    piece = (ends - 1) // max_nodes
    pieces, first, first_draw = [], 0, 0
    for count in piece.unique_consecutive(return_counts=True)[1].tolist():
        last = first + count
        last_draw = int(ends[last - 1])
        pieces.append(
            replace(
                frontier,
                whole=False,
                row=frontier.row[first:last],
                last=frontier.last[first:last],
                draws=frontier.draws[first_draw:last_draw],
                node=frontier.node[first_draw:last_draw] - first,
            )
        )
        first, first_draw = last, last_draw
    return pieces


def rows_for(parent: Int[Tensor, " children"]) -> Int[Tensor, " children"]:
    """A row for each child, 0 to children - 1, such that as many as possible are where their parent was and need no copy.

    ``parent`` is ascending.
    """
    children = len(parent)
    first = torch.ones(children, dtype=torch.bool)
    first[1:] = parent[1:] != parent[:-1]
    stays = first & (parent < children)
    free = torch.ones(children, dtype=torch.bool)
    free[parent[stays]] = False
    place = parent.clone()
    place[~stays] = free.nonzero().flatten()
    return place
