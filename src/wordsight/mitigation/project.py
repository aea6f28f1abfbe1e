"""Take a word's direction out of a head."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from wordsight.classifiers.classifier import Classifier
from wordsight.classifiers.head import Head
from wordsight.tensors import Features


def project(
    weight: Float[Tensor, "classes features"],
    bias: Float[Tensor, " classes"],
    directions: Sequence[Float[Tensor, " features"]],
    z: Features,
    classifier: Classifier,
) -> Head:
    """Take the words' directions out of every class's weights; mean logits over ``z`` stay as they are.

    Afterwards the gradient of each of these words' rates is orthogonal to every logit: the decision no longer uses it.
    """
    basis = torch.linalg.qr(torch.stack(list(directions)).double().T).Q
    taken = (weight.double() @ basis) @ basis.T
    shift = taken @ z.double().mean(0)
    return Head(
        (weight - taken.float()),
        (bias + shift.float()),
        tuple(classifier.labels),
        classifier.spec or classifier.name,
        classifier.fingerprint,
    )
