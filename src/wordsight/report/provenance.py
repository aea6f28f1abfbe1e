"""The settings of an audit, versions, and the translator's figures, as rows of text."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from wordsight.audits.result import Audit
from wordsight.version import __version__

#: Packages whose versions can change what an audit finds.
PACKAGES = ("torch", "transformers", "timm", "numpy", "scipy", "pillow", "simplemma")
#: Names of a translator's and a head's figures, where a key alone would not do.
FIGURES = {
    "dev_loss_nats_a_token": "Loss on held-out captions (nats a token; lower is better)",
    "dev_images": "Images held out to measure it",
    "r2_held_out": "Share of the features' variance that the transfer predicts, on held-out images (R²)",
    "penalty": "Penalty of the transfer's ridge regression",
}


def figures(audit: Audit) -> list[tuple[str, str]]:
    """The translator's figures, by name."""
    found = audit.settings.get("translator_figures")
    return [(FIGURES.get(name, name), text) for name, text in _flat(found)] if isinstance(found, Mapping) else []


def settings(audit: Audit) -> list[tuple[str, str]]:
    """What the audit was made with, and by which versions."""
    rows = _flat({key: value for key, value in audit.settings.items() if key != "translator_figures"})
    versions = [("wordsight", __version__), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            versions.append((package, version(package)))
        except PackageNotFoundError:
            continue
    return rows + versions


def _flat(value: Mapping[object, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            rows += _flat(item, f"{name}.")
        elif isinstance(item, float):
            rows.append((name, f"{item:.4g}"))
        elif isinstance(item, list | tuple):
            rows.append((name, ", ".join(str(part) for part in item) or "none"))
        else:
            rows.append((name, "none" if item is None else str(item)))
    return rows
