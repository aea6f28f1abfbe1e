import ast
from pathlib import Path

import wordsight

SOURCE = Path(wordsight.__file__).parent
#: A stage imports only from those before it, and from itself.
STAGES = [
    "images", "classifiers", "features", "language", "translator", "models", "sentences", "words", "explain", "audits",
    "mitigation", "report", "commands",
]  # fmt: skip
#: Modules that any stage may use, and those above all stages.
COMMON = {"errors", "tensors", "runtime", "fetch", "storage", "version"}
ABOVE = {"__main__", "cli"}


def test_all_is_sorted_and_complete():
    assert sorted(wordsight.__all__) == wordsight.__all__
    imported = {
        alias.asname or alias.name
        for node in ast.parse((SOURCE / "__init__.py").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == set(wordsight.__all__)


def _files(stage: str) -> list[Path]:
    return sorted((SOURCE / stage).rglob("*.py")) or [SOURCE / f"{stage}.py"]


def test_stages_import_only_from_the_stages_before():
    for stage in STAGES:
        allowed = COMMON | set(STAGES[: STAGES.index(stage) + 1])
        for file in _files(stage):
            tree = ast.parse(file.read_text())
            inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wordsight."):
                    module = node.module.split(".")[1]
                    # Results show themselves: a method may reach for the report when it is asked to draw.
                    drawing = module == "report" and id(node) in inside
                    assert module in allowed or drawing, f"{file.name} ({stage}) imports {node.module}"


def test_every_module_has_a_stage():
    modules = {p.stem for p in SOURCE.glob("*.py")} | {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    assert modules - {"__init__"} == COMMON | ABOVE | set(STAGES)


def test_the_library_does_not_print():
    for file in SOURCE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], file
