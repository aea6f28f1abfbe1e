import ast
from pathlib import Path

import pytest

import wordsight

SOURCE = Path(wordsight.__file__).parent
#: A stage imports only from those before it, and from itself.
STAGES = [
    "images", "classifiers", "features", "language", "translator", "models", "sentences", "words", "explain", "audits",
    "mitigation", "report", "commands",
]  # fmt: skip
#: Modules that any stage may use, and those above all stages.
COMMON = {"engines", "errors", "interruption", "tensors", "runtime", "fetch", "storage", "version"}
ABOVE = {"__main__", "cli"}


def test_all_is_sorted_and_every_name_is_there_and_documented():
    assert sorted(wordsight.__all__) == wordsight.__all__
    for name in wordsight.__all__:
        value = getattr(wordsight, name)
        assert getattr(value, "__module__", "wordsight").startswith("wordsight"), name
        assert name == "__version__" or (value.__doc__ and not value.__doc__.startswith(f"{name}(")), f"{name} has no docstring"
    assert dir(wordsight) == wordsight.__all__


def test_type_checkers_see_the_same_names():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    imported = {
        (alias.asname or alias.name): (node.module or "").removeprefix("wordsight.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module not in ("importlib", "typing")
        for alias in node.names
    }
    assert set(imported) == set(wordsight.__all__)
    assert imported == {**wordsight._HOME_OF, "__version__": "version"}


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'wordsight' has no attribute 'explian'; it has: Audit, ClassWords"):
        wordsight.explian  # noqa: B018


def _files(stage: str) -> list[Path]:
    return sorted((SOURCE / stage).rglob("*.py")) or [SOURCE / f"{stage}.py"]


def test_stages_import_only_from_the_stages_before():
    for stage in STAGES:
        allowed = COMMON | set(STAGES[: STAGES.index(stage) + 1])
        for file in _files(stage):
            tree = ast.parse(file.read_text())
            inside = {id(n) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for n in ast.walk(f)}
            for_types = {
                id(n)
                for node in tree.body
                if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
                for n in ast.walk(node)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wordsight."):
                    module = node.module.split(".")[1]
                    # Results show themselves: a method may reach for the report when it is asked to draw.
                    drawing = module == "report" and id(node) in inside
                    assert module in allowed or drawing or id(node) in for_types, f"{file.name} ({stage}) imports {node.module}"


def test_every_module_has_a_stage():
    modules = {p.stem for p in SOURCE.glob("*.py")} | {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    assert modules - {"__init__"} == COMMON | ABOVE | set(STAGES)


def test_the_library_does_not_print():
    for file in SOURCE.rglob("*.py"):
        calls = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call)]
        assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], file
