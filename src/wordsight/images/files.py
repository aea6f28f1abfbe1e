"""Image files: finding them, and reading each as 8-bit RGB whatever its kind."""

import contextlib
import difflib
import glob
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from wordsight.errors import ImageError

# os.path answers where pathlib raises (names too long, folders without permission), and its abspath keeps links apart.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH207


#: A file whose header claims more pixels than this is refused before anything is decoded.
MAX_PIXELS = 100_000_000

#: What counts as an image in a folder, or in a glob pattern that does not end with an extension of its own.
EXTENSIONS = frozenset([".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".avif"])

#: Folders that programs leave behind.
_JUNK = frozenset(["__macosx", "__pycache__", "$recycle.bin", "system volume information", "@eadir", "lost+found"])

_16_TO_8_BITS = ((np.arange(1 << 16) + 128) // 257).astype(np.uint8)


def find_images(sources: Sequence[str | Path]) -> list[Path]:
    """The image files in ``sources``, in the order of the sources, each once.

    A source is an image file (taken whatever its extension), a folder (its image files by extension, those in its folders
    too, sorted, hidden ones ignored), or a glob pattern, in which ``**`` stands for any folders (its files by extension, all
    of them if the pattern ends with an extension, like ``scans/*.jp2``).

    Raises ImageError for a source that matches nothing.
    """
    if isinstance(sources, str | Path):  # a str is a sequence of str, too: taken as such it would be a source for each letter
        sources = [sources]
    found: dict[str, Path] = {}
    for path in (path for source in sources for path in _in_source(str(source))):
        found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def is_ignored(name: str) -> bool:
    """Whether a folder of this name is looked into by nobody: hidden, or left behind by a program."""
    return name.startswith(".") or name.lower() in _JUNK


def read_image(path: str | Path) -> Image.Image:
    """The image in a file as 8-bit RGB, upright, on white where it is transparent; of an animation the first frame.

    See ``to_rgb`` for the conversion. Raises ImageError, which names the file, if it is missing, a folder, empty, not an
    image, damaged, or has more than ``MAX_PIXELS`` pixels.
    """
    name = repr(str(path))
    file = path if isinstance(path, Path) else Path(path)
    if not hasattr(file, "place"):  # remote.StoredImage: no file of this machine
        _check_file(path, name)
    try:
        with _quiet_pillow(), file.open("rb") as stream, Image.open(stream) as image:
            _check_header(image, name)
            image.load()
            _check_header(image, name)  # some icons are larger than their header says
            return _rgb(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as cause:
        raise ImageError(_too_large(name, f"more pixels than Pillow opens ({cause})")) from cause
    except Image.UnidentifiedImageError as cause:
        raise ImageError(
            f"{name} is not an image that Pillow can read: it begins with {_first_bytes(file)!r}. "
            "Convert it to JPEG or PNG, or leave it out."
        ) from cause
    except Exception as cause:  # Pillow's decoders raise nearly everything on damaged files, KeyError and zlib.error included
        raise ImageError(
            f"{name} cannot be decoded ({_reason(cause)}). An intact image was wanted: the file is damaged, cut off or of an "
            "unsupported kind. Copy or download it again, convert it to JPEG or PNG, or leave it out."
        ) from cause


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any Pillow mode as 8-bit RGB, a new image without EXIF; ``image`` keeps its mode and size.

    EXIF rotation is applied; transparency, of whatever kind, is composed over white. 16-bit grey is scaled to 8 bits. For
    32-bit integers and floats the range is taken from the values: 0 to 1 (floats only), 0 to 255 or 0 to 65535, else from the
    smallest value (black) to the largest (white); values that are not finite become black.

    Raises ImageError if the image has no pixels or cannot be converted.
    """
    try:
        with _quiet_pillow():
            return _rgb(image)
    except ImageError:
        raise
    except Exception as cause:  # the image may be a file's, not decoded yet: see read_image
        raise ImageError(
            f"An image in memory (mode {image.mode}, {image.width} x {image.height} pixels) cannot be converted to RGB "
            f"({_reason(cause)}). An intact image was wanted: check it with image.load(), or leave it out."
        ) from cause


def _in_source(source: str) -> list[Path]:
    if os.path.isfile(source):
        return [Path(source)]
    if os.path.isdir(source):
        if found := images_in(source):
            return found
        raise ImageError(
            f"The folder {source!r} has no images. Files ending in {' '.join(sorted(EXTENSIONS))} were wanted, hidden ones "
            "not counted: name another folder, or name the files themselves if they end otherwise."
        )
    searched = f"(it is searched from {str(Path.cwd())!r})"
    if not glob.has_magic(source):
        raise ImageError(
            f"{source!r} does not exist. An image file, a folder or a glob pattern was wanted: check the spelling {searched}."
            + _suggestion(source)
        )
    if found := _in_pattern(source):
        return found
    raise ImageError(
        f"The pattern {source!r} matches no images. An image file, a folder or a glob pattern of files was wanted: check the "
        f"spelling {searched}; 'folder/**/*.jpg' reaches folders in folders."
    )


def images_in(folder: str) -> list[Path]:
    """The image files in a folder and in its folders, by extension, sorted; hidden ones ignored. Raises ImageError."""
    found: list[Path] = []
    seen: set[str] = set()  # linked folders are followed, and a link may lead back up

    def refuse(error: OSError) -> None:
        raise error

    try:
        for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
            real = os.path.realpath(root)
            folders[:] = [] if real in seen else sorted(name for name in folders if not is_ignored(name))
            if real not in seen:
                found += (Path(root, name) for name in names if not name.startswith(".") and _is_image_name(name))
            seen.add(real)
    except OSError as cause:
        raise ImageError(
            f"The folder {folder!r} cannot be read ({_reason(cause)}). A readable folder was wanted: change its permissions, "
            "or name the readable folders in it."
        ) from cause
    return sorted(found)


def _in_pattern(pattern: str) -> list[Path]:
    last = Path(pattern).suffix
    all_wanted = last != "" and not glob.has_magic(last)
    matched = sorted(Path(match) for match in glob.iglob(pattern, recursive=True))
    return [path for path in matched if (all_wanted or _is_image_name(path.name)) and path.is_file()]


def _is_image_name(name: str) -> bool:
    return Path(name).suffix.lower() in EXTENSIONS


def _suggestion(source: str) -> str:
    try:
        near = difflib.get_close_matches(Path(source).name, [path.name for path in Path(source).parent.iterdir()], n=1)
    except (OSError, ValueError):
        return ""
    return f" Did you mean {str(Path(source).with_name(near[0]))!r}?" if near else ""


def _check_file(path: str | Path, name: str) -> None:
    if os.path.isdir(path):
        raise ImageError(f"{name} is a folder. An image file was wanted: find_images lists the images in a folder.")
    if not os.path.exists(path):
        where = "" if Path(path).is_absolute() else f" (it is searched from {str(Path.cwd())!r})"
        raise ImageError(f"{name} does not exist{where}. An image file was wanted: check the spelling.{_suggestion(str(path))}")
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        raise ImageError(f"{name} is a pipe or device. An image file was wanted: save the image to a file first.")
    if Path(path).stat().st_size == 0:
        raise ImageError(f"{name} is empty (0 bytes). An image was wanted: copy or download it again, or leave it out.")


def _check_header(image: Image.Image, name: str) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageError(_too_large(name, f"{image.width} x {image.height} pixels"))
    if image.format == "EPS":  # decoding it would run Ghostscript, that is, a program that came in the file
        raise ImageError(f"{name} is an EPS drawing. An image made of pixels was wanted: convert it to PNG.")


def _too_large(name: str, size: str) -> str:
    return (
        f"{name} claims to have {size}. At most {MAX_PIXELS:,} were wanted, because such a file can fill the memory: scale the "
        "image down, or leave it out."
    )


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(16)


def _reason(cause: Exception) -> str:
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__


def _rgb(image: Image.Image) -> Image.Image:
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
def _quiet_pillow() -> Iterator[None]:
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
