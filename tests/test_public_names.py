import ast
from pathlib import Path

import wordsight

SOURCE = Path(wordsight.__file__).parent
#: A stage imports only from those before it, and from itself.
STAGES = ["images", "features", "words", "translator", "sentences", "audit", "mitigation", "report"]
#: Modules that any stage may use, and those above all stages.
COMMON = {"errors", "tensors", "machine", "fetch", "files", "version"}
ABOVE = {"__main__", "explain", "starter", "train", "transfer", "heads", "audits", "class_maps", "locating", "mending", "cli"}


def test_all_is_sorted_and_complete():
    assert sorted(wordsight.__all__) == wordsight.__all__
    imported = {
        alias.asname or alias.name
        for node in ast.parse((SOURCE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(wordsight.__all__)


def test_stages_import_only_from_the_stages_before():
    for stage in STAGES:
        allowed = COMMON | set(STAGES[: STAGES.index(stage) + 1])
        for file in (SOURCE / stage).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wordsight."):
                    assert node.module.split(".")[1] in allowed, f"{file.name} ({stage}) imports {node.module}"


def test_every_module_has_a_place():
    assert {p.stem for p in SOURCE.glob("*.py")} - {"__init__"} == COMMON | ABOVE
    assert {p.parent.name for p in SOURCE.glob("*/__init__.py")} == {*STAGES, "commands"}


def test_the_library_does_not_print():
    for file in SOURCE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], file
