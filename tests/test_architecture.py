"""The house is what its documents say: who imports whom, which modules there are, and the pictures made from them."""

from __future__ import annotations

import ast
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tools import architecture, written_files

LAMBDA = Path("lambda")
IN_THE_RUNTIME = {"boto3", "botocore"}
"""Packages that Lambda's Python runtime has."""

FUNCTIONS = sorted(path.name for path in LAMBDA.iterdir() if path.is_dir() and path.name != "shared")

ROOMS = sorted(path.parent.name for path in Path("src/builders").glob("*/__init__.py"))


def test_each_room_imports_from_those_below_it_only() -> None:
    """In a process of its own, since import-linter switches all loggers off that are there."""
    program = "from importlinter import cli; raise SystemExit(cli.lint_imports(no_cache=True, no_logo=True))"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


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


def _classes(paths: Iterable[Path]) -> list[str]:
    return [
        node.name
        for path in paths
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]


@pytest.mark.parametrize("room", [".", *ROOMS])
def test_a_name_stands_for_one_class_in_a_room(room: str) -> None:
    folder = Path("src/builders", room)
    classes = _classes(folder.glob("*.py") if room == "." else folder.rglob("*.py"))
    assert {name: count for name, count in Counter(classes).items() if count > 1} == {}


def test_a_finding_is_that_of_builders_findings_in_every_room() -> None:
    """Other rooms name theirs after what they find."""
    assert Counter(_classes(Path("src/builders").rglob("*.py")))["Finding"] == 1


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


PACKAGES = [
    file.parent
    for folder in ("src/builders", "tools")
    for file in sorted(Path(folder).rglob("__init__.py"))
    if not {"layers", "rules"} & set(file.parts)
]
"""The packages with a map of their modules; layers and rules are found by walking their folders."""

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
FOLDERS = "src|tests|tools|benchmarks|lambda|environments|docs"


def test_pages_name_files_modules_and_commands_that_exist() -> None:
    missing = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        files = re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)(?![\w<*])", text)
        modules = re.findall(r"`(builders(?:\.\w+)+)`", text) + re.findall(
            r"python -m ((?:builders|tools)[\w.]*)", text
        )
        missing += [(str(page), file) for file in files if not Path(file).exists()]
        missing += [(str(page), name) for name in modules if not exists(name)]
    assert missing == []


def test_links_lead_to_pages_and_titles() -> None:
    broken = []
    for page in PAGES:
        for file, title in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            target = page.parent / file if file else page
            if not target.exists() or (title and title not in titles(target)):
                broken.append((str(page), file, title))
    assert broken == []


def exists(name: str) -> bool:
    """Return True for a module, or a name in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def titles(page: Path) -> set[str]:
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_the_map_of_a_package_lists_its_modules(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    listed = re.findall(r"^\s*(\w+(?:\.py|/)) +\S", docstring, flags=re.MULTILINE)
    files = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    folders = [f"{path.name}/" for path in package.iterdir() if any(path.glob("*.py"))]
    assert sorted(listed) == sorted([*files, *folders])


QUESTIONS = re.compile(r"(What|Whether|How|Who|Whose|Which|Where|When|Why|Of|By|Those|Something|It)\b")


@pytest.mark.parametrize("folder", ["src", "lambda", "tools"])
def test_docstrings_begin_with_a_verb_or_a_noun(folder: str) -> None:
    found = [
        f"{path}:{node.lineno}"
        for path in sorted(Path(folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if QUESTIONS.match(node.value.value.lstrip())
    ]
    assert found == []
