"""Word-rate matching: train a translator on how often its own sampled sentences say each word.

The caption loss judges tokens one by one, each behind what a person wrote before it; what the sentences say after their own
beginnings, cut to the nucleus, is another thing. Here the objective is the Brier score of the word rates themselves, for an
image::

    sum over words of (rate(w) - target(w)) ** 2

Its gradient is estimated from a few sentences sampled for the image. With ``cost(w) = 2 * (rate(w) - target(w))``, the rate
taken from the image's *other* sentences, a sentence costs cost(w) once for each word that it contains, and the gradient is that
of the expected cost (REINFORCE, Williams 1992) with less noise:

- what the next token costs at once is known for every token that is a word of the vocabulary by itself, so it is summed over
  all of these, not only taken of the token drawn;
- what comes later counts for the token drawn. Nothing is subtracted from it: costs lie around zero anyway, and a mean over the
  image's other sentences, whose costs come from this sentence too, would make the estimate a biased one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from wordsight.sentences.lexicon import Lexicon
from wordsight.sentences.nucleus import Sampling
from wordsight.sentences.tree import grow
from wordsight.tensors import Prefix, Views
from wordsight.translator.language_model import LanguageModel
from wordsight.translator.mlp import Translator
from wordsight.translator.packing import pack, summed_loss
from wordsight.translator.training import noisy_prefix


@dataclass(frozen=True)
class Matching:
    """How to match word rates: images a step, sentences an image, and the weight beside the caption loss (nats a token)."""

    images: int = 40
    sentences: int = 8
    weight: float = 2.0

    def __post_init__(self) -> None:
        if self.images < 1 or self.sentences < 2 or not self.weight > 0:
            raise ValueError(
                f"images is {self.images}, sentences {self.sentences} and weight {self.weight}; wanted at least 1 image, at "
                "least 2 sentences (each one's cost comes from the others) and a weight above 0."
            )


def matching(
    lm: LanguageModel,
    views: Views,
    vocabulary: Sequence[str],
    targets: Float[Tensor, "images words"],
    *,
    settings: Matching,
    noise: float,
) -> Callable[[Translator], float]:
    """An objective for ``training.train``: the rates of ``vocabulary`` in random images' sentences against ``targets``.

    Words that are not in ``vocabulary`` should not be said: their target is 0. ``noise`` is that of the training. ``views`` and
    ``targets`` are on the CPU.
    """
    if targets.shape != (len(views), len(vocabulary)):
        raise ValueError(f"targets has the shape {tuple(targets.shape)}, wanted ({len(views)}, {len(vocabulary)}).")
    tokens = WordTokens(lm, vocabulary)

    def objective(translator: Translator) -> float:
        rows = torch.randperm(len(views))[: settings.images]
        prefix = noisy_prefix(translator, views[rows], noise)
        return rate_loss(lm, prefix, tokens, targets[rows], sentences=settings.sentences, backward_scale=settings.weight)

    return objective


class WordTokens:
    """The words of a vocabulary in a language model's tokens; numbers below ``len(vocabulary)`` are its words, in order."""

    def __init__(self, lm: LanguageModel, vocabulary: Sequence[str]) -> None:
        self.lexicon = Lexicon(lm)
        for word in vocabulary:
            self.lexicon.word_id(word)
        token, word = self.lexicon.whole_words()
        known = word < len(vocabulary)
        #: The tokens that are words of the vocabulary by themselves, and which.
        self.token, self.word = token[known], word[known]
        self.of_token = torch.full((len(lm.embeddings),), -1)
        self.of_token[self.token] = self.word

    def ends(self, tokens: Int[Tensor, "sentences steps"]) -> tuple[Tensor, Tensor]:
        """By token: the content word that the sentence so far ends in, or -1; and whether the token went on with a word."""
        run = torch.zeros(len(tokens), dtype=torch.long)
        word, goes_on = torch.empty_like(tokens), torch.empty_like(tokens, dtype=torch.bool)
        for step in range(tokens.shape[1]):
            run, word[:, step], goes_on[:, step] = self.lexicon.after(run, tokens[:, step])
        return word, goes_on


def rate_loss(
    lm: LanguageModel,
    prefix: Prefix,
    words: WordTokens,
    targets: Float[Tensor, "images words"],
    *,
    sentences: int,
    sampling: Sampling = Sampling(),  # noqa: B008 (frozen)
    backward_scale: float | None = None,
) -> float:
    """Mean Brier score of the word rates of ``sentences`` sampled sentences an image; unbiased, so it can be below zero.

    Sentences are drawn independently, whatever ``sampling.mode`` says. With ``backward_scale`` an estimate of the gradient of
    that many times the score is added to whatever made ``prefix``. It is unbiased for ``top_p`` and temperature 1. Below, the
    sentences are those of the nucleus and the gradient is that of the whole distribution, so that words outside of the nucleus
    are pulled into it.
    """
    images = len(prefix)
    image = torch.arange(images).repeat_interleave(sentences)
    steps = sampling.max_tokens
    tokens = grow(lm, prefix.detach(), image, torch.rand(len(image), steps), sampling, most=_ROWS)
    word, goes_on = words.ends(tokens)
    no_word = len(words.lexicon.words)  # a column of its own
    stays = torch.cat([~goes_on[:, 1:], torch.ones_like(goes_on[:, :1])], dim=1)
    final = torch.where((word >= 0) & stays, word, no_word)
    said = torch.zeros(len(image), no_word + 1).scatter(1, final, 1.0)[:, :-1]
    wanted = torch.nn.functional.pad(targets.float(), (0, no_word - targets.shape[1]))
    rate = said.unflatten(0, (images, sentences)).mean(1)
    score = ((rate - wanted) ** 2 - rate * (1 - rate) / (sentences - 1)).sum(1).mean().item()
    if backward_scale is None:
        return score
    cost = 2 * ((sentences * rate[image] - said) / (sentences - 1) - wanted[image])
    step = torch.arange(steps).expand(tokens.shape)
    first = torch.full((len(image), no_word + 1), steps).scatter_reduce(1, final, step, "amin")[:, :-1]
    later = cost_later(word, goes_on, words.of_token[tokens] >= 0, cost, first)
    # Packed sentence by sentence; a sentence ends with the end-of-text token or after the most tokens.
    length = ((tokens != lm.end).sum(1) + 1).clamp(max=steps)
    rows = [row[:n] for row, n in zip(tokens.tolist(), length.tolist(), strict=True)]
    packed = pack([rows[i * sentences : (i + 1) * sentences] for i in range(images)], prefix=prefix.shape[1])
    inside = step < length[:, None]
    sentence, place = inside.nonzero(as_tuple=True)
    later, word_before = later[inside], torch.nn.functional.pad(word, (1, 0), value=-1)[:, :-1][inside]
    token_cost, token_first = cost[:, words.word], first[:, words.word]

    def expected_cost(logits: Tensor, part: slice) -> Tensor:
        device = logits.device
        new = (token_first[sentence[part]] >= place[part, None]) & (words.word != word_before[part, None])
        log_p = logits.log_softmax(-1)
        at_once = log_p[:, words.token.to(device)].exp() * (token_cost[sentence[part]] * new).to(device)
        drawn = log_p.gather(1, packed.target[part, None].to(device)).squeeze(1)
        return at_once.sum() + (drawn * later[part].to(device)).sum()

    summed_loss(lm, prefix, packed, expected_cost, backward_scale=backward_scale / len(image))
    return score


def cost_later(
    word: Int[Tensor, "sentences steps"],
    goes_on: Tensor,
    summed: Tensor,
    cost: Float[Tensor, "sentences words"],
    first: Int[Tensor, "sentences words"],
) -> Float[Tensor, "sentences steps"]:
    """What each drawn token is answerable for: the cost of all words from it on, less its own if that is ``summed`` anyway.

    ``word`` and ``goes_on`` as ``WordTokens.ends`` gives them; ``first``: the step at which each word is first said for good.
    """
    step = torch.arange(word.shape[1]).expand(word.shape)
    ending = word.clamp(min=0)
    new = (word >= 0) & (first.gather(1, ending) >= step)
    # A token costs the word that the sentence now ends in, if it is new, less the word that it went on with: "red" then "fish".
    gained = torch.where(new, cost.gather(1, ending), 0.0)
    lost = torch.where(goes_on, torch.nn.functional.pad(gained, (1, 0))[:, :-1], 0.0)
    own = gained - lost
    return own.flip(1).cumsum(1).flip(1) - torch.where(summed, own, 0.0)


#: Beginnings evaluated at once.
_ROWS = 1024
