"""Commands that a reader can run next, with the models and data as the user named them."""

import shlex
from collections.abc import Mapping
from pathlib import PurePath

from wordsight.audits.findings import ClassWord


def mitigate_command(about: ClassWord, settings: Mapping[str, object]) -> str:
    """The command that mitigates a finding."""
    finding = f"--finding {shlex.quote(about.word)} --label {shlex.quote(about.label)}"
    return f"wordsight mitigate {_named(settings)} {finding} --out better.safetensors"


def audit_command(settings: Mapping[str, object]) -> str:
    """The command that audits again."""
    return f"wordsight audit {_named(settings)} --out audit/"


def classifier_name(settings: Mapping[str, object]) -> str:
    """The classifier as a reader knows it: a head by its file's name, any other as the user named it."""
    named = str(settings.get("spec") or settings.get("classifier") or "a classifier")
    return PurePath(named.removeprefix("head:")).name if named.startswith("head:") else named


def _named(settings: Mapping[str, object]) -> str:
    data, spec = (settings.get(key) for key in ("data", "spec"))
    named = [
        ("classifier", spec or "CLASSIFIER"),
        ("translator", settings.get("translator_file")),
        ("lm", settings.get("lm_name")),
    ]
    models = "".join(f" --{option} {shlex.quote(str(value))}" for option, value in named if value)
    return f"{shlex.quote(str(data or 'DATA'))}{models}"
