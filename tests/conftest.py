"""Shape checks for the whole package while the tests run; a cache of their own for tests that must not touch the user's."""

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the hub's library is imported: no test may ask a hub
import huggingface_hub.constants  # noqa: F401 (reads it now)

os.environ.pop("HF_HUB_OFFLINE")  # which would keep wordsight from fetching the starter's weights, too

install_import_hook("wordsight", "checking.check")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder instead of the user's."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("WORDSIGHT_CACHE", str(folder))
    return folder
