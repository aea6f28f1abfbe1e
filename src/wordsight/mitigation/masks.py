"""Hide a part of an image."""

import numpy as np
from jaxtyping import Float
from PIL import Image

#: What is hidden: where the heat map reaches this share of its largest value.
LEVEL = 0.5


def hide(image: Image.Image, heat: Float[np.ndarray, "rows columns"], *, level: float = LEVEL) -> Image.Image:
    """The RGB image with its own mean colour where ``heat`` (over the whole image, largest value 1) is at least ``level``.

    The edge is soft, so that the classifier does not learn the mask's outline. An empty map hides nothing.
    """
    if not heat.any():
        return image.copy()
    soft = np.clip((heat - (level - 0.1)) / 0.2, 0, 1)
    mask = Image.fromarray((255 * soft).round().astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
    mean = np.asarray(image.convert("RGB"), dtype=np.float64).mean((0, 1))
    plain = Image.new("RGB", image.size, tuple(round(value) for value in mean))
    return Image.composite(plain, image.convert("RGB"), mask)
