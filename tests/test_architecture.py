"""The house is what its documents say: who imports whom, which modules there are, and the pictures made from them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter import cli

from tools import architecture, written_files

LAMBDA = Path("lambda")
IN_THE_RUNTIME = {"boto3", "botocore"}
"""Packages that Lambda's Python runtime has."""

FUNCTIONS = sorted(path.name for path in LAMBDA.iterdir() if path.is_dir() and path.name != "shared")


def test_each_room_imports_from_those_below_it_only(capsys: pytest.CaptureFixture[str]) -> None:
    broken = cli.lint_imports(no_cache=True, no_logo=True)
    assert not broken, capsys.readouterr().out


def test_the_pictures_of_the_house_are_those_of_its_imports() -> None:
    assert written_files.check("tools.architecture", architecture.desired_files()) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_imports_its_own_and_shared_modules_and_its_requirements_only(function: str) -> None:
    own = {path.stem for folder in (function, "shared") for path in (LAMBDA / folder).iterdir()}
    file = LAMBDA / function / "requirements.txt"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    required = {line.partition("==")[0] for line in lines}
    imported = {name for path in (LAMBDA / function).rglob("*.py") for name in imports(path)}
    assert imported - own - required - IN_THE_RUNTIME - sys.stdlib_module_names == set()


def test_nothing_else_imports_the_modules_of_functions() -> None:
    modules = {path.stem for path in LAMBDA.rglob("*.py")} - {"__init__"}
    found = {(str(path), name) for path in Path("src").rglob("*.py") for name in imports(path) if name in modules}
    assert found == set()


def imports(path: Path) -> Iterator[str]:
    """The top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
