"""An image of any Pillow mode as 8-bit RGB."""

import contextlib
import threading
import warnings
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageOps

from wordsight.errors import ImageError

_16_TO_8_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)


def rgb_of(image: Image.Image) -> Image.Image:
    """See ``files.to_rgb``; raises whatever Pillow raises."""
    if 0 in image.size:
        raise ImageError(f"An image of {image.width} x {image.height} pixels came. At least 1 x 1 was wanted: leave it out.")
    image.load()  # before the EXIF is read: TIFF files are turned upright, and their EXIF changed, while they load
    image = _upright(image)
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        rgb = _grey_to_8_bits(image).convert("RGB")
    elif _is_transparent(image):
        rgb = _over_white(image)
    else:
        rgb = image.convert("RGB")
    rgb.info = {}  # EXIF left behind would turn the image a second time
    return rgb


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken EXIF says nothing about the pixels: the image is taken as it is
        return image


def _is_transparent(image: Image.Image) -> bool:
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or (image.palette is not None and image.palette.mode.endswith("A")):
        return True
    return image.mode in ("1", "L", "P", "RGB") and image.info.get("transparency") is not None


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")  # Pillow has no direct way from La to RGBA
    key = image.info.get("transparency")
    if image.mode == "RGB" and isinstance(key, tuple) and max(key) > 255:
        image = image.copy()  # from a 16-bit PNG, of which Pillow keeps the pixels' high bytes but the whole colour key
        image.info["transparency"] = tuple(value >> 8 for value in key)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")


def _grey_to_8_bits(image: Image.Image) -> Image.Image:
    """Mode L of a 16-bit, 32-bit integer or float image; Pillow's own conversion would clip at 255."""
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = _16_TO_8_BITS[values]
    else:
        finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
        low, high = _range(image, float(finite.min()), float(finite.max()))
        grey = np.rint((finite - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):
        grey[values == key] = 255
    return Image.fromarray(grey)


def _range(image: Image.Image, low: float, high: float) -> tuple[float, float]:
    """The values that become black and white, never the same."""
    if image.mode == "I" and image.format in ("PPM", "PNG"):  # these are 16-bit files, however dark the image
        return 0.0, 65535.0
    if low < 0 or high > 65535:
        return low, high if high > low else low + 1
    if image.mode == "F" and high <= 1:
        return 0.0, 1.0
    return 0.0, 255.0 if high <= 255 else 65535.0


_lock = threading.Lock()
_readers = 0
_filters = warnings.catch_warnings()


@contextlib.contextmanager
def quiet_pillow() -> Iterator[None]:
    """No warnings from Pillow: whatever is wrong with a file ends in an image or in an ImageError.

    The filters belong to the whole process, hence the count: several threads, each saving and restoring them on its own,
    would leave behind what another had saved.
    """
    global _readers, _filters
    with _lock:
        if _readers == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _filters.__exit__(None, None, None)
