"""The translator: features of one classifier -> prefix of one language model. The only thing that is trained."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wordsight.tensors import Features, Prefix, Views
from wordsight.translator.reference import reference_features
from wordsight.translator.word_head import HeadRates, WordHead


class Translator(nn.Module):
    """An MLP with one residual block; the feature mean and spread are part of it.

    ``trunk`` ends in ``hidden`` units and can be warm-started as a word probe (see ``warm_start``); ``to_prefix`` maps them
    linearly to ``prefix_tokens`` vectors in the language model's input space. ``words``: the word head on the same standardised
    features, or None. ``reference``: usual features, which lifts are measured against; older files have none.
    """

    mean: Tensor
    spread: Tensor
    reference: Tensor
    words: WordHead | None

    def __init__(
        self, features: int, lm_hidden: int, *, hidden: int = 1024, prefix_tokens: int = 8, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.prefix_tokens = prefix_tokens
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.register_buffer("reference", torch.zeros(0, features), persistent=False)  # it decides no word
        self.trunk = nn.Sequential(nn.Dropout(), nn.Linear(features, hidden), nn.GELU(), nn.Dropout())
        self.residual = nn.Sequential(nn.Linear(hidden, hidden // 2), nn.GELU(), nn.Dropout(), nn.Linear(hidden // 2, hidden))
        self.set_dropout(dropout)
        self.words = None
        self.to_prefix = nn.Linear(hidden, prefix_tokens * lm_hidden)
        # The block starts as the identity, the prefix close to its bias.
        for parameter in self.residual[3].parameters():
            nn.init.zeros_(parameter)

    def set_dropout(self, dropout: float) -> None:
        """Drop this share of the trunk's units, and half as many of the features and inside the residual block."""
        for layer, share in ((self.trunk[0], dropout / 2), (self.trunk[3], dropout), (self.residual[2], dropout / 2)):
            assert isinstance(layer, nn.Dropout)
            layer.p = share

    @torch.no_grad()
    def learn_scale(self, views: Views) -> None:
        """Take mean, spread and usual features from training features; features that hardly vary are not blown up."""
        z = views.mean(1)
        self.reference = reference_features(z)
        self.mean.copy_(z.mean(0))
        self.spread.copy_(z.std(0, correction=0) + 1e-3)

    @torch.no_grad()
    def start_prefix(
        self,
        instruction: Float[Tensor, "prefix hidden"],
        words: Float[Tensor, "words hidden"],
        probe: Float[Tensor, "words units"],
        z: Features,
    ) -> None:
        """Start the prefix as a text instruction, moved by the words that a probe of the trunk finds in the features.

        ``instruction``: embeddings, repeated or cut to the prefix's length. ``words``: embeddings of the probe's words; each
        prefix vector takes every so-many-th of them, weighted by the probe's scores (``probe``, its weights). ``z``: usual
        features, for which the words together move a vector by 0.4 of the embeddings' spread.
        """
        tokens, size = self.prefix_tokens, words.shape[1]
        bias = instruction.repeat(-(-tokens // len(instruction)), 1)[:tokens]
        weight = torch.stack([words[i::tokens].T @ probe[i::tokens] for i in range(tokens)]).flatten(0, 1)
        training = self.training
        h = self.eval().trunk(self.standardise(z))
        self.train(training)
        if len(words):
            weight *= 0.4 * words.std() / ((h - h.mean(0)) @ weight.T).std().clamp(min=1e-6)
        self.to_prefix.weight.copy_(weight.view(tokens * size, -1))
        self.to_prefix.bias.copy_(bias.flatten() - weight @ h.mean(0))

    @torch.no_grad()
    def start_from_head(self, weight: Float[Tensor, "classes features"]) -> None:
        """Let the first hidden units start as the classes' directions in a classifier's head (as many as fit).

        What the head separates is then visible to the translator from the first step, for classes that no training
        photograph shows, too.
        """
        layer = self.trunk[1]
        assert isinstance(layer, nn.Linear)
        rows = (weight * self.spread)[: len(layer.weight)]
        usual = layer.weight.norm(dim=1).mean()
        layer.weight[: len(rows)] = rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-6) * usual

    @property
    def features(self) -> int:
        """Feature size that this translator reads."""
        return len(self.mean)

    def standardise(self, z: Float[Tensor, "*images features"]) -> Float[Tensor, "*images features"]:
        """Features in units of their spread over the training images."""
        return (z - self.mean) / self.spread

    def word_rates(self, z: Features) -> HeadRates | None:
        """What the word head says of features (images, features), as the classifier gives them; None without a head."""
        return None if self.words is None else self.words.rates(self.standardise(z.to(self.mean.device)))

    def forward(self, z: Features) -> Prefix:
        """Features (images, features), as the classifier gives them -> prefix (images, prefix, lm hidden)."""
        h = self.trunk(self.standardise(z))
        return self.to_prefix(h + self.residual(h)).unflatten(-1, (self.prefix_tokens, -1))
