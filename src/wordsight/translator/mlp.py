"""The translator: features of one classifier -> prefix of one language model. The only thing that is trained."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from wordsight.tensors import Features, Prefix, Views


class Translator(nn.Module):
    """An MLP with one residual block; the feature mean and spread are part of it.

    ``trunk`` ends in ``hidden`` units and can be warm-started as a word probe (see ``warm_start``); ``to_prefix`` maps them
    linearly to ``prefix_tokens`` vectors in the language model's input space.
    """

    mean: Tensor
    spread: Tensor

    def __init__(
        self, features: int, lm_hidden: int, *, hidden: int = 1024, prefix_tokens: int = 8, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.prefix_tokens = prefix_tokens
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.trunk = nn.Sequential(nn.Dropout(dropout / 2), nn.Linear(features, hidden), nn.GELU(), nn.Dropout(dropout))
        self.residual = nn.Sequential(
            nn.Linear(hidden, hidden // 2), nn.GELU(), nn.Dropout(dropout / 2), nn.Linear(hidden // 2, hidden)
        )
        self.to_prefix = nn.Linear(hidden, prefix_tokens * lm_hidden)
        # The block starts as the identity, the prefix close to its bias.
        for parameter in self.residual[3].parameters():
            nn.init.zeros_(parameter)

    @torch.no_grad()
    def learn_scale(self, views: Views) -> None:
        """Take mean and spread from training features; features that hardly vary are not blown up."""
        z = views.mean(1)
        self.mean.copy_(z.mean(0))
        self.spread.copy_(z.std(0, correction=0) + 1e-3)

    @torch.no_grad()
    def start_prefix(self, embeddings: Float[Tensor, "vocabulary hidden"], instruction: Sequence[int]) -> None:
        """Start the prefix near a text instruction's embeddings, so that the model knows at once what to do."""
        ids = (list(instruction) * self.prefix_tokens)[: self.prefix_tokens]
        self.to_prefix.bias.copy_(embeddings[ids].float().flatten())  # copies across devices
        self.to_prefix.weight.mul_(0.05 * float(embeddings.float().std() / self.to_prefix.weight.std().to(embeddings.device)))

    @torch.no_grad()
    def start_from_head(self, weight: Float[Tensor, "classes features"]) -> None:
        """Let the first hidden units start as the classes' directions in a classifier's head (as many as fit).

        What the head tells apart is then visible to the translator from the first step, for classes that no training
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

    def standardise(self, z: Features) -> Features:
        """Features in units of their spread over the training images."""
        return (z - self.mean) / self.spread

    def forward(self, z: Features) -> Prefix:
        """Features (images, features), as the classifier gives them -> prefix (images, prefix, lm hidden)."""
        h = self.trunk(self.standardise(z))
        return self.to_prefix(h + self.residual(h)).unflatten(-1, (self.prefix_tokens, -1))
