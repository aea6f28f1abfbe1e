"""The feature store when its file is damaged."""

from pathlib import Path

import torch

from wordsight.features.store import FeatureStore


def test_a_damaged_store_that_cannot_be_made_anew_costs_no_features(tmp_path, monkeypatch, caplog):
    (tmp_path / "key.sqlite").write_bytes(b"no database" * 1000)

    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError("Read-only file system")

    monkeypatch.setattr(Path, "unlink", refuse)
    with FeatureStore(tmp_path, "key") as store:
        assert store.read(["a"]) == {}
        store.write({"a": torch.ones(1, 3)})
    assert "features cannot be written to" in caplog.text
    assert "Read-only file system" in caplog.text
