"""Images in whatever form people have them: paths, patterns, arrays, tensors, datasets, tables."""

import glob
import hashlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from PIL import Image

from wordsight.errors import ImageError, LabelError
from wordsight.images.files import decode_image, find_images, to_rgb
from wordsight.images.sets import LabelledImages
from wordsight.storage import cache_folder, cache_needed, replacing

if TYPE_CHECKING:
    import pandas as pd

# os.path answers where pathlib raises: names that are too long.
# ruff: noqa: PTH112

ImageLike = str | Path | Image.Image
"""An image: a path, or one in memory."""

Images = ImageLike | np.ndarray | Sequence[Any] | Any
"""What ``image_list`` reads."""


class LazyImages(Sequence[ImageLike]):
    """Images of a dataset, read one by one when they are asked for."""

    def __init__(self, length: int, read: Callable[[int], ImageLike]) -> None:
        self._length, self._read = length, read

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            rows = range(self._length)[index]
            return LazyImages(len(rows), lambda i: self._read(rows[i]))
        if not -self._length <= index < self._length:
            raise IndexError(index)
        return self._read(index % self._length)


def is_table(data: Any) -> "TypeGuard[pd.DataFrame]":
    """Whether something is a pandas table. pandas is not imported to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, pandas.DataFrame)


def image_list(images: Images) -> Sequence[ImageLike]:
    """The images in what users have.

    - A path, or a folder or glob pattern (all of its images, see ``find_images``).
    - A PIL image; an array or tensor (height, width, 3), (3, height, width) or (height, width): integers 0 to 255 or floats 0
      to 1, not normalised; a batch of them.
    - A sequence of these.
    - A pandas table with the column image; a PyTorch dataset or data loader (images, or (image, label)); a Hugging Face dataset
      with one column of images. Datasets are read one image at a time.

    Raises ImageError for anything else, and if there is no image.
    """
    if isinstance(images, str | Path):
        return find_images([images]) if os.path.isdir(images) or glob.has_magic(str(images)) else [images]
    if isinstance(images, Image.Image):
        return [images]
    if is_table(images):
        if "image" not in images.columns:
            raise ImageError(f"The table has the columns {', '.join(map(str, images.columns))}. Wanted a column image.")
        return image_list(list(images["image"]))
    if _is_array(images):
        return _from_batch(images)
    if is_dataset(images) or type(images).__module__.partition(".")[0] == "datasets":
        return _from_dataset(images)
    if isinstance(images, Sequence):
        found = [image for item in images for image in _item(item)]
        if not found:
            raise ImageError("No images came: the sequence is empty. Wanted paths, PIL images, arrays or tensors.")
        return found
    raise ImageError(
        f"A {type(images).__name__} came, wanted images: a path, folder or pattern, a PIL image, an array or tensor, a sequence of "
        "these, a table, a dataset or a data loader."
    )


def to_image(value: Any) -> ImageLike:
    """One image: a path or PIL image as it is; an array, a tensor, or a file's bytes as a PIL image. Raises ImageError."""
    if isinstance(value, ImageLike):
        return value
    if isinstance(value, dict) and {"bytes", "path"} & value.keys():  # as Hugging Face has images in tables
        return to_image(value.get("bytes") or value.get("path"))
    if isinstance(value, bytes):
        return decode_image(io.BytesIO(value), "An image in memory")
    if not _is_array(value):
        raise ImageError(f"A {type(value).__name__} came, wanted an image: a path, a PIL image, an array or a tensor.")
    kept: Any = value
    array = np.asarray(kept.detach().cpu() if hasattr(kept, "detach") else kept)
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or 0 in array.shape:
        raise ImageError(
            f"An array of shape {array.shape} came, wanted (height, width, 3), (3, height, width) or (height, width)."
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * 255
    if array.dtype.kind == "f":
        array = _from_floats(array)
    elif array.dtype.kind not in "iu" or array.min() < 0 or array.max() > 255:
        raise ImageError(
            f"An array of {array.dtype} with values {array.min()} to {array.max()} came, wanted integers 0 to 255."
        )
    return Image.fromarray(np.ascontiguousarray(array.astype(np.uint8)))


def _from_floats(array: np.ndarray) -> np.ndarray:
    if not np.isfinite(array).all() or array.min() < -1e-3 or array.max() > 1 + 1e-3:
        raise ImageError(
            f"An image of floats with values {np.nanmin(array):.3g} to {np.nanmax(array):.3g} came, wanted 0 to 1. Give images "
            "before normalisation: the classifier's own transform is applied to them."
        )
    return np.rint(array.clip(0, 1) * 255)


def is_dataset(source: object) -> bool:
    """Whether this is a PyTorch dataset (map-style) or data loader."""
    loader = hasattr(source, "dataset") and hasattr(source, "batch_size")
    base = any(kind.__module__.startswith("torch.utils.data") for kind in type(source).__mro__)
    return loader or (base and hasattr(source, "__getitem__"))


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "ndim"))


def _item(item: Any) -> Sequence[ImageLike]:
    if isinstance(item, str | Path) and (Path(item).is_dir() or glob.has_magic(str(item))):
        return find_images([item])
    return _from_batch(item) if _is_array(item) else [to_image(item)]


def _from_batch(array: Any) -> Sequence[ImageLike]:
    return [to_image(image) for image in array] if array.ndim == 4 else [to_image(array)]


def _from_dataset(source: Any) -> LazyImages:
    dataset = source.dataset if hasattr(source, "batch_size") else source
    if isinstance(dataset, dict):
        raise ImageError(f"A {type(source).__name__} with the splits {', '.join(dataset)} came, wanted one split of it.")
    if not hasattr(dataset, "__len__") or len(dataset) == 0:
        raise ImageError(f"A {type(dataset).__name__} without length or items came, wanted a dataset with images.")
    samples = getattr(dataset, "samples", None)
    if samples is not None:  # torchvision's folders: the files, not what its transform makes of them
        return LazyImages(len(samples), lambda i: Path(samples[i][0]))

    def read(i: int) -> ImageLike:
        item = dataset[i]
        if isinstance(item, dict):
            images = [value for value in item.values() if isinstance(value, Image.Image) or _is_array(value)]
            if len(images) != 1:
                raise ImageError(f"Item {i} of the dataset has {len(images)} images ({', '.join(item)}), wanted one.")
            item = images[0]
        return to_image(item[0] if isinstance(item, tuple | list) else item)

    return LazyImages(len(dataset), read)


def labelled_items(source: Any) -> LabelledImages:
    """The images and labels of a PyTorch dataset or data loader with items (image, label).

    Images in memory are written to the cache, once each. Labels that are numbers are named by ``dataset.classes`` if it is there.
    Raises LabelError for items that are no such pairs.
    """
    dataset = source.dataset if hasattr(source, "batch_size") else source
    classes = getattr(dataset, "classes", None)
    samples = getattr(dataset, "samples", None)
    paths: list[Path] = []
    labels: list[str] = []
    for i in range(len(dataset)):
        item = samples[i] if samples is not None else dataset[i]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise LabelError(
                f"Item {i} of the {type(dataset).__name__} is a {type(item).__name__}, wanted a pair (image, label)."
            )
        label = item[1].item() if hasattr(item[1], "item") else item[1]
        labels.append(str(classes[label]) if classes is not None and isinstance(label, int) else str(label))
        paths.append(stored_image(item[0], number=i))
    return LabelledImages(paths, labels)


def stored_image(value: Any, *, number: int) -> Path:
    """The path of an image: its own, or that of a PNG in the cache, named by its content, written if it is not there.

    What is no image gets an empty file, to be named later among those that cannot be read.
    """
    try:
        image = to_image(value)
        if not isinstance(image, Image.Image):
            return Path(image)
        image = to_rgb(image)
    except ImageError:
        image = None
    content = b"" if image is None else f"{image.size}".encode() + image.tobytes()
    name = f"{hashlib.sha256(content).hexdigest()[:32]}.png" if image is not None else f"item-{number}.no-image"
    file = cache_folder() / "images" / name
    if not file.is_file():
        with cache_needed(), replacing(file) as unfinished:
            if image is None:
                unfinished.write_bytes(b"")
            else:
                image.save(unfinished, format="PNG")
    return file
