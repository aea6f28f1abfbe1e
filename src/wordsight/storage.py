"""Files that a reader never meets half of, and the cache folder."""

import functools
import logging
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, TypeVar, cast

import platformdirs
from safetensors import SafetensorError

from wordsight.engines import LOCAL, Engine
from wordsight.errors import WordsightError

logger = logging.getLogger(__name__)

Kept = TypeVar("Kept")

#: The names that ``replacing`` gives to what is not finished, and the seconds after which nobody goes on with it.
_UNFINISHED, _ABANDONED = re.compile(r"\..*\.[0-9a-f]{8}\.partial"), 3600
#: What writing to a full or read-only disk raises: safetensors has an error of its own.
CannotWrite = (OSError, SafetensorError)


def read_stored(file: Path, read: Callable[[Path], Kept]) -> Kept | None:
    """What ``read`` finds in a file of a store; None, to be made anew, if the file is not there or is damaged."""
    try:
        return read(file) if file.exists() else None
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s) and is made anew", file, error)
        return None


def store_each(
    files: Sequence[Path],
    read: Callable[[Path], Kept],
    make: Callable[[Any], Sequence[Kept]],
    write: Callable[[Path, Kept], object],
    *,
    at_once: int,
    part: Callable[[list[int]], Any] = lambda numbers: numbers,
    engine: Engine = LOCAL,
    on_done: Callable[[int, int], None] = lambda done, total: None,
) -> list[Kept]:
    """What ``read`` finds in each file of a store. What is not there or damaged is made, by number and ``at_once`` together,
    and written as it comes, so that an interrupted call goes on.

    ``make`` runs in the ``engine``, on what ``part`` says of these numbers (default: the numbers themselves).
    """
    found = [read_stored(file, read) for file in files]
    missing = [i for i, value in enumerate(found) if value is None]
    parts = [missing[start : start + at_once] for start in range(0, len(missing), at_once)]
    done, writable = len(files) - len(missing), True
    on_done(done, len(files))
    for number, made in engine.run(make, [part(numbers) for numbers in parts]):
        for i, value in zip(parts[number], made, strict=True):
            found[i] = value
            writable = writable and store_if_possible(files[i], write, value)
        done += len(parts[number])
        on_done(done, len(files))
    return cast("list[Kept]", found)


def store_if_possible(file: Path, write: Callable[[Path, Kept], object], value: Kept) -> bool:
    """Write a file of a store; a full or read-only one costs time, not the result: the log says so. Returns whether it worked."""
    try:
        with replacing(file) as partial:
            write(partial, value)
    except CannotWrite as error:
        logger.warning(
            "%s cannot be written (%s): what belongs there is made anew the next time. Make room, or name another folder for the "
            "cache in WORDSIGHT_CACHE",
            file,
            error,
        )
        return False
    return True


@contextmanager
def cache_needed() -> Iterator[None]:
    """What cannot go on without the cache: an OSError inside becomes a WordsightError that says how to change it."""
    try:
        yield
    except CannotWrite as error:
        raise WordsightError(
            f"The cache cannot be written ({error}). Make room there, or name another folder in the environment variable "
            "WORDSIGHT_CACHE."
        ) from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new file beside ``path`` to write to; it takes the place of ``path`` when the context ends without an error.

    Missing folders are made. The name is new each time, so that several processes may write the same file. What processes that
    were killed left unfinished in the folder is removed, once it is an hour old.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(path.parent.absolute())
    partial = path.with_name(f".{shortened(path.name)}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.chmod(0o644)  # safetensors writes files that only their owner may read
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@functools.cache
def _remove_unfinished(folder: Path) -> None:
    """Once a process: remove what ``replacing`` began in a folder and nobody has written to for an hour."""
    with suppress(OSError):  # not ours to remove, or another process was faster
        for partial in folder.glob(".*.partial"):
            if _UNFINISHED.fullmatch(partial.name) and time.time() - partial.stat().st_mtime > _ABANDONED:
                partial.unlink(missing_ok=True)


def shortened(name: str, *, limit: int = 200) -> str:
    """The beginning of a file's name, at most ``limit`` bytes, so that an ending fits into the 255 that file systems allow."""
    content = os.fsencode(name)
    return name if len(content) <= limit else content[:limit].decode(errors="ignore")


def cache_folder() -> Path:
    """Where fetched and converted files live: ``$WORDSIGHT_CACHE`` or the user's cache folder.

    Raises WordsightError if the user has no home folder.
    """
    if named := os.environ.get("WORDSIGHT_CACHE"):
        return Path(named).expanduser()
    folder = platformdirs.user_cache_path("wordsight")
    if not folder.is_absolute():  # "~" stays where nobody knows the user's home
        raise WordsightError(
            "There is no home folder for the cache: HOME is not set. Name a folder in the environment variable WORDSIGHT_CACHE."
        )
    return folder


def check_writable(out: Path) -> None:
    """Raise WordsightError now rather than after an hour of work if a file cannot be written there."""
    try:
        if out.is_dir():
            raise IsADirectoryError("it is a folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as error:
        raise WordsightError(f"Cannot write {out}: {error}. Give --out a file in a folder that you may write to.") from error
