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
    """Take the words' directions out of the weights of every class; the mean logits over ``z`` do not change.

    Afterwards each direction is orthogonal to the gradient of every logit: the decision no longer uses it.
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
