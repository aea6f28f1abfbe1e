"""Writing files so that a reader never meets half of one."""

import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

logger = logging.getLogger(__name__)

Kept = TypeVar("Kept")


def read_kept(file: Path, read: Callable[[Path], Kept]) -> Kept | None:
    """What ``read`` finds in a file of a store; None, to be made anew, if the file is not there or is damaged."""
    if not file.exists():
        return None
    try:
        return read(file)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s) and is made anew", file, error)
        return None


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A new file beside ``path`` to write to; it takes the place of ``path`` when the context ends without an error.

    Missing folders are made. The name is new each time, so that several processes may write the same file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        yield partial
        partial.chmod(0o644)  # safetensors writes files that only their owner may read
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
