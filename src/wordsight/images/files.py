"""Image files: finding them, and reading each as 8-bit RGB whatever its kind."""

import difflib
import glob
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from wordsight.errors import ImageError
from wordsight.images.conversion import quiet_pillow, rgb_of

# os.path answers where pathlib raises (names too long, folders without permission), and its abspath keeps links apart.
# ruff: noqa: PTH100, PTH110, PTH112, PTH113, PTH207


Stream: TypeAlias = io.BytesIO | io.BufferedReader
"""An image's file, open."""

#: A file whose header claims more pixels than this is refused before anything is decoded.
MAX_PIXELS = 100_000_000

#: What counts as an image in a folder, or in a glob pattern that does not end with an extension of its own.
EXTENSIONS = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".webp",
        ".bmp",
        ".gif",
        ".tif",
        ".tiff",
        ".ppm",
        ".avif",
        ".heic",
        ".heif",
        ".hif",
    ]
)

#: What HEIC images have behind "ftyp".
_HEIF = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

#: Folders that programs leave behind.
_JUNK = frozenset(["__macosx", "__pycache__", "$recycle.bin", "system volume information", "@eadir", "lost+found"])


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
    name = repr(getattr(path, "shown", str(path)))
    file = path if isinstance(path, Path) else Path(path)
    if not hasattr(file, "place"):  # stored.StoredImage: no file of this machine
        _check_file(path, name)
    try:
        stream = file.open("rb")
    except OSError as cause:
        raise ImageError(
            f"{name} cannot be opened ({_reason(cause)}). A file that can be reached and read was wanted: look at the address, or "
            "at the file's permissions, or copy it to this machine."
        ) from cause
    with stream:
        return decode_image(stream, name)


def decode_image(stream: Stream, name: str) -> Image.Image:
    """The image in an open file, as ``read_image`` gives it; ``name``: what errors call it."""
    try:
        with quiet_pillow(), _opened(stream, name) as image:
            _check_header(image, name)
            image.load()
            _check_header(image, name)  # some icons are larger than their header says
            return rgb_of(image)
    except ImageError:
        raise
    except Image.DecompressionBombError as cause:
        raise ImageError(_too_large(name, f"more pixels than Pillow opens ({cause})")) from cause
    except Image.UnidentifiedImageError as cause:
        raise ImageError(
            f"{name} is not an image that Pillow can read: it begins with {_first_bytes(stream)!r}. "
            "Convert it to JPEG or PNG, or leave it out."
        ) from cause
    except Exception as cause:  # Pillow's decoders raise nearly everything on damaged files, KeyError and zlib.error included
        raise ImageError(
            f"{name} cannot be decoded ({_reason(cause)}). An intact image was wanted: the file is damaged, cut off or of an "
            "unsupported kind. Copy or download it again, convert it to JPEG or PNG, or leave it out."
        ) from cause


def _opened(stream: Stream, name: str) -> Image.Image:
    """The image, not decoded yet. Pillow reads HEIC only with the package pillow-heif, which is imported for such files alone."""
    try:
        return Image.open(stream)
    except Image.UnidentifiedImageError:
        begin = _first_bytes(stream)
        if begin[4:8] != b"ftyp" or begin[8:12] not in _HEIF:
            raise
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError as cause:
        raise ImageError(
            f"{name} is a HEIC image, which needs the package pillow-heif ({cause}). Install it: pip install pillow-heif, or "
            "convert the image to JPEG."
        ) from cause
    pillow_heif.register_heif_opener()
    stream.seek(0)
    return Image.open(stream)


def to_rgb(image: Image.Image) -> Image.Image:
    """An image of any Pillow mode as 8-bit RGB, a new image without EXIF; ``image`` keeps its mode and size.

    EXIF rotation is applied; transparency, of whatever kind, is composed over white. 16-bit grey is scaled to 8 bits. For
    32-bit integers and floats the range is taken from the values: 0 to 1 (floats only), 0 to 255 or 0 to 65535, else from the
    smallest value (black) to the largest (white); values that are not finite become black.

    Raises ImageError if the image has no pixels or cannot be converted.
    """
    try:
        with quiet_pillow():
            return rgb_of(image)
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


def _first_bytes(stream: Stream) -> bytes:
    stream.seek(0)
    return stream.read(16)


def _reason(cause: Exception) -> str:
    return f"{type(cause).__name__}: {cause}" if str(cause) else type(cause).__name__
