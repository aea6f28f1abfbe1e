"""Captions that people wrote: reading their files, tidying them, finding the images they belong to."""

import csv
import io
import json
import logging
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wordsight.errors import CaptionError

_logger = logging.getLogger(__name__)

#: Space that tokenising put in: before punctuation (not before ".22"), before n't, before an apostrophe that ends a word or
#: begins a clitic ("dog 's", "players ' shirts"; not before an opening quote: "a sign 'stop'").
_SPACE_BEFORE = re.compile(r"\s+(?=[,!?;:]|\.(?!\d)|n['\u2019]t\b|['\u2019](?:(?:s|t|d|m|re|ll|ve)\b|\W|$))", re.IGNORECASE)
_CLOSING = "\"'\u2019\u201d)]\u00bb"
_FINAL = ".!?\u2026\u3002\uff01\uff1f"  # with the ellipsis and the Chinese full stop, exclamation and question mark

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Matched:
    """Images and their captions, and what has no counterpart.

    ``captions[i]`` are those of ``images[i]``, at least one each; ``without_image`` are names from the caption file and
    ``without_caption`` names of image files.
    """

    images: list[Path]
    captions: list[list[str]]
    without_image: list[str]
    without_caption: list[str]


def read_captions(path: str | Path) -> dict[str, list[str]]:
    """Image file name -> its captions, tidied, both in file order; images without a caption are left out.

    The suffix says the format. ``.csv`` and ``.tsv``: a header with the columns image and caption, other columns ignored, a
    row a caption. ``.json``: COCO's ``captions_*.json``. Anything else: Flickr's token files, ``name.jpg#0<TAB>caption``.
    Empty captions are dropped and their number is logged as a warning.

    Raises CaptionError if the file is missing, not UTF-8, not in its format, or has no captions.
    """
    name = repr(str(path))
    text = _read_text(path, name)
    match Path(path).suffix.lower():
        case ".csv":
            pairs = _from_table(text, name, ",")
        case ".tsv":
            pairs = _from_table(text, name, "\t")
        case ".json":
            pairs = _from_coco(text, name)
        case _:
            pairs = _from_flickr(text, name)
    captions: dict[str, list[str]] = {}
    total = empty = 0
    for image, raw in pairs:
        total += 1
        if caption := tidy_caption(raw):
            captions.setdefault(image, []).append(caption)
        else:
            empty += 1
    if empty:
        _logger.warning("%d of %d captions in %s are empty and were dropped", empty, total, name)
    if not captions:
        had = f"has {total} captions, all of them empty" if total else "has no captions"
        raise CaptionError(f"{name} {had}. At least one caption was wanted: check that it is the right file.")
    return captions


def tidy_caption(text: str) -> str:
    """One caption as a sentence: single spaces, none before punctuation, a full stop at the end; "" if it has no word."""
    if not any(letter.isalnum() for letter in text):
        return ""
    text = _SPACE_BEFORE.sub("", " ".join(text.split()))
    if text.rstrip(_CLOSING).endswith(tuple(_FINAL)):
        return text
    return text.rstrip(",;: ") + "."


def match_captions(captions: dict[str, list[str]], images: Sequence[Path]) -> Matched:
    """The images that have captions, in the order of ``images``, with their captions.

    Names match by file name; a name with folders in it ("cats/1.jpg") must be the end of the image's absolute path.

    Raises CaptionError if nothing matches, or if a name fits images in several folders: one of them would get foreign
    captions.
    """
    by_name: dict[str, list[int]] = {}
    paths = [_parts(os.path.abspath(image)) for image in images]  # noqa: PTH100 - a link is named as its caption names it
    for index, parts in enumerate(paths):
        by_name.setdefault(parts[-1] if parts else "", []).append(index)
    matched: dict[int, list[str]] = {}
    without_image: list[str] = []
    for name, sentences in captions.items():
        wanted = _parts(name)
        fitting = [i for i in by_name.get(wanted[-1] if wanted else "", ()) if paths[i][-len(wanted) :] == wanted]
        if len({paths[i] for i in fitting}) > 1:
            first, second = (str(images[i]) for i in fitting[:2])
            raise CaptionError(
                f"The caption name {name!r} fits {len(fitting)} images, such as {first!r} and {second!r}. One was wanted: "
                "write the folder into the caption file ('cats/1.jpg'), or name the images of one folder only."
            )
        if not fitting:
            without_image.append(name)
        for index in fitting:
            matched.setdefault(index, []).extend(sentences)
    if not matched:
        raise CaptionError(
            f"None of {len(captions)} caption names fits any of {len(images)} images: the captions have "
            f"{_example(captions)}, the images {_example([str(image) for image in images])}. The same file names were wanted: "
            "check that captions and images belong together, and that the names in the caption file carry their extension."
        )
    found = sorted(matched)
    return Matched(
        images=[images[i] for i in found],
        captions=[matched[i] for i in found],
        without_image=without_image,
        without_caption=[image.name for i, image in enumerate(images) if i not in matched],
    )


def _parts(path: str) -> tuple[str, ...]:
    """Of one Unicode form, since macOS writes "é" in file names as two characters."""
    return PurePosixPath(unicodedata.normalize("NFC", path.replace("\\", "/"))).parts


def _example(names: Iterable[str]) -> str:
    name = next(iter(names), None)
    return "nothing" if name is None else repr(name)


def _read_text(path: str | Path, name: str) -> str:
    try:
        data = Path(path).read_bytes().removeprefix(_BOM)
    except (OSError, ValueError) as cause:  # ValueError: a path with a NUL in it
        reason = getattr(cause, "strerror", None) or cause
        raise CaptionError(
            f"{name} cannot be read ({reason}). A caption file was wanted (.csv, .tsv, COCO's .json or Flickr's token file): "
            "check the path."
        ) from cause
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as cause:
        line = data.count(b"\n", 0, cause.start) + 1
        raise CaptionError(
            f"{name} is not UTF-8: line {line} has the byte 0x{data[cause.start]:02x}. Convert the file to UTF-8, if it is "
            "Latin-1 with: iconv -f LATIN1 -t UTF-8 old > new"
        ) from cause


def _from_table(text: str, name: str, delimiter: str) -> Iterator[tuple[str, str]]:
    # strict: a quote that is never closed would otherwise swallow the rest of the file into one caption
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [column.strip().lower() for column in next(rows, [])]
        if "image" not in header or "caption" not in header:
            raise CaptionError(
                f"{name} has the columns {', '.join(map(repr, header)) or 'of an empty file'}. The columns 'image' and "
                f"'caption' were wanted, separated by {delimiter!r}: name them so in the first line."
            )
        image, caption = header.index("image"), header.index("caption")
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise CaptionError(
                    f"Line {rows.line_num} of {name} has {len(row)} cells. As many as columns were wanted, {len(header)}: put "
                    f'captions that contain {delimiter!r} in double quotes, "like this".'
                )
            if not row[image].strip():
                raise CaptionError(
                    f"Line {rows.line_num} of {name} names no image. Fill in the column 'image' or remove the line."
                )
            yield row[image].strip(), row[caption]
    except csv.Error as cause:
        raise CaptionError(
            f"Line {rows.line_num} of {name} cannot be read ({cause}). Captions without double quotes, or in a closed pair of "
            "them, were wanted: write a double quote inside such a pair as two."
        ) from cause


def _from_coco(text: str, name: str) -> Iterator[tuple[str, str]]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise CaptionError(
            f"{name} is not valid JSON ({cause}). COCO's captions_*.json was wanted: download it again, it may be cut off."
        ) from cause
    images, annotations = (content.get(key) if isinstance(content, dict) else None for key in ("images", "annotations"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        came = f"the keys {', '.join(map(repr, content)) or 'none'}" if isinstance(content, dict) else type(content).__name__
        raise CaptionError(
            f"{name} holds {came}. COCO's lists 'images' and 'annotations' were wanted: name a captions_*.json, or make a CSV "
            "with the columns image and caption."
        )
    names: dict[int | str, str] = {}
    for index, entry in enumerate(images):
        image_id, file_name = _fields(entry, f"images[{index}] of {name}", "id", "file_name")
        names[image_id] = file_name
    for index, entry in enumerate(annotations):
        image_id, caption = _fields(entry, f"annotations[{index}] of {name}", "image_id", "caption")
        if image_id not in names:
            raise CaptionError(
                f"annotations[{index}] of {name} is about image {image_id!r}, which is not in 'images' ({len(names)} entries, "
                f"such as {next(iter(names), None)!r}). Add it there or remove the annotation."
            )
        yield names[image_id], caption


def _fields(entry: object, where: str, key: str, text: str) -> tuple[int | str, str]:
    """An entry's identifier and its text."""
    found = (entry.get(key), entry.get(text)) if isinstance(entry, dict) else (None, None)
    if not isinstance(found[0], int | str) or not isinstance(found[1], str):
        came = ", ".join(map(repr, entry)) if isinstance(entry, dict) else repr(entry)
        raise CaptionError(
            f"{where} has {came or 'nothing'}. A {key!r} (number or text) and a {text!r} (text) were wanted: name COCO's "
            "captions_*.json, not its instances or keypoints."
        )
    return found[0], found[1]


def _from_flickr(text: str, name: str) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: captions may contain U+2028 and the like
        if not line.strip():
            continue
        key, tab, caption = line.partition("\t")
        image, _, count = key.strip().rpartition("#")
        if not tab or not image or not count.isdigit():
            raise CaptionError(
                f"Line {number} of {name} is {line[:60].rstrip()!r}. Flickr's 'name.jpg#0<TAB>caption' was wanted: write it so "
                "or, if it is a table with the columns image and caption, name the file .csv or .tsv."
            )
        yield image, caption


def read_text(path: str | Path) -> list[list[str]]:
    """Captions without images from a UTF-8 text file, one a line: those between two blank lines are of one image.

    Without a blank line each caption is one of its own. Raises CaptionError if the file cannot be read or holds no caption.
    """
    path = Path(path)
    try:
        paragraphs = re.split(r"\n\s*\n", path.read_text(encoding="utf-8-sig").strip())
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a NUL in it
        raise CaptionError(
            f"Cannot read the captions {path}: {error}. Give --text a UTF-8 text file, one caption a line."
        ) from error
    groups = [[line.strip() for line in paragraph.splitlines() if line.strip()] for paragraph in paragraphs]
    if groups == [[]]:
        raise CaptionError(f"{path} holds no caption, wanted a text file with one a line.")
    return groups if len(groups) > 1 else [[caption] for caption in groups[0]]
