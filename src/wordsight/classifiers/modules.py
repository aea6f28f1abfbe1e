"""A classifier from any torch module."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from PIL import Image
from torch import Tensor, nn

from wordsight.classifiers.classifier import Classifier, Prepare
from wordsight.classifiers.spatial import locator
from wordsight.errors import ModelError
from wordsight.tensors import weights_fingerprint


def classifier_from_module(
    module: nn.Module,
    *,
    head: nn.Module,
    prepare: Prepare,
    labels: Sequence[str],
    name: str,
    device: str = "cpu",
) -> Classifier:
    """Any classifier: a torch module and its last layer. The features are what the module hands to ``head``.

    ``head`` is a submodule called once a forward pass with (n, features), as timm's, torchvision's and Hugging Face's are.
    Raises ModelError if it is not, or if the number of labels is not that of the logits.
    """
    module = module.to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)  # pyright: ignore[reportCallIssue] (torch lacks the overload)

    def backbone(pixels: Tensor) -> Tensor:
        with _input_of(head) as seen:
            module(pixels)
        if len(seen) != 1:
            raise ModelError(
                f"The head of '{name}' ran {len(seen)} times in one forward pass, wanted once. Give the last layer as head."
            )
        return seen[0].flatten(1)

    with torch.inference_mode():
        probe = prepare(Image.new("RGB", (64, 64), "grey"))
        z = backbone(probe.to(device))
        classes = head(z).shape[-1]
    if len(labels) != classes:
        raise ModelError(f"'{name}' has {classes} classes but {len(labels)} labels came; give one label a class, in order.")
    weight = getattr(head, "weight", None)
    return Classifier(
        name=name,
        backbone=backbone,
        head=head,
        prepare=prepare,
        labels=tuple(labels),
        features=z.shape[1],
        fingerprint=weights_fingerprint(module.state_dict()),
        device=device,
        head_weight=weight.detach().float().cpu() if isinstance(weight, Tensor) and weight.ndim == 2 else None,
        locate=locator(module, head, name),
    )


@contextmanager
def _input_of(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer is called with, while the context lasts."""
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        yield seen
    finally:
        handle.remove()
