"""The store of features: one row an image, keyed by the image's content."""

import hashlib
import logging
import sqlite3
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

logger = logging.getLogger(__name__)

_CREATE = "CREATE TABLE IF NOT EXISTS features (digest TEXT PRIMARY KEY, views INTEGER NOT NULL, data BLOB NOT NULL)"
#: Rows that one query asks for.
_ROWS = 500
#: Seconds that a read or write waits for another process.
_PATIENCE = 60
#: How long and how often to wait for another process that makes the same store.
_LOCKED_SECONDS, _LOCKED_TIMES = 0.05, 200


class FeatureStore:
    """Features of one classifier in a SQLite file of the folder; ``key`` stands for everything but the image's content.

    Every write is one transaction: a process that is killed leaves whole rows, and several processes may share the file. A damaged
    file is made anew. A folder that cannot be written to costs time, not the result: a warning says so, once.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._file = folder / f"{key}.sqlite"
        self._connection: sqlite3.Connection | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.OperationalError) as error:
            self._give_up(error)
        except sqlite3.DatabaseError as error:
            logger.warning("%s is damaged (%s) and is made anew", self._file, error)
            self._make_anew()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, timeout=_PATIENCE)
        try:
            _use_wal(connection)
            connection.execute(_CREATE)
            connection.commit()
        except sqlite3.DatabaseError:
            connection.close()
            raise
        return connection

    def _make_anew(self) -> None:
        self._connection = None
        try:
            for ending in ("", "-wal", "-shm"):  # what is left of the log would be applied to the new file
                self._file.with_name(self._file.name + ending).unlink(missing_ok=True)
            self._connection = self._open()
        except (OSError, sqlite3.DatabaseError) as error:  # a folder that may not be written to
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("features cannot be written to %s (%s): they will be extracted again", self._file, error)
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._connection is not None:
            self._connection.close()

    def read(self, digests: Collection[str]) -> dict[str, Float[Tensor, "views features"]]:
        """Features of the images that are there, by digest."""
        found: dict[str, Tensor] = {}
        if self._connection is None:
            return found
        wanted = sorted(digests)
        try:
            for start in range(0, len(wanted), _ROWS):
                batch = wanted[start : start + _ROWS]
                marks = ",".join("?" * len(batch))
                query = f"SELECT digest, views, data FROM features WHERE digest IN ({marks})"
                for digest, views, data in self._connection.execute(query, batch):
                    found[digest] = torch.from_numpy(np.frombuffer(data, dtype=np.float32).reshape(views, -1).copy())
        except sqlite3.OperationalError as error:  # locked, or no access any more: what others stored stays
            self._give_up(error)
        except (sqlite3.DatabaseError, ValueError) as error:
            logger.warning("%s is damaged (%s): what it holds is extracted again", self._file, error)
            self._connection.close()
            self._make_anew()
        return found

    def write(self, rows: Mapping[str, Float[Tensor, "views features"]]) -> None:
        """Add features by digest; rows that are there already are replaced."""
        if self._connection is None or not rows:
            return
        entries = [(digest, len(views), views.contiguous().numpy().tobytes()) for digest, views in rows.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?)", entries)
        except sqlite3.DatabaseError as error:  # a full disk, a lock that nobody gives back
            self._give_up(error)


def _use_wal(connection: sqlite3.Connection) -> None:
    """Turn on the write-ahead log; while another process does the same, SQLite refuses at once instead of waiting."""
    for wait in (*[_LOCKED_SECONDS] * _LOCKED_TIMES, None):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if wait is None or "locked" not in str(error):
                raise
            time.sleep(wait)


def content_digests(paths: Sequence[Path]) -> list[str | None]:
    """SHA-256 of each file's bytes; None for one that cannot be read."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(_digest, paths))


def _digest(path: Path) -> str | None:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):  # ValueError: a name with a null byte
        return None
