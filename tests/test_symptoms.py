"""The page docs/symptoms.md: a message on it is one of the sources, and a message that sends on is on it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path("docs/symptoms.md")
SOURCES = Path("src/builders")
OTHER_PAGES = ("advice.py", "cloud", "demo.py", "layers", "migration/check", "rehearsal", "rules")
"""Rooms that say nothing by themselves, speak of the embedded cloud or of templates, or have pages of their own."""
COMMANDS = "build-templates|rollout-stacksets|migrate-database|write-outputs"
SENDS_ON = re.compile(
    rf"docs/[\w-]+\.md|`(?:aws|make|{COMMANDS}|resume|adopt|status|verify|lambda)\b[^`]*`"
    rf"|\b(?:run|by|or|with|then|and) (?:{COMMANDS}|bootstrap|doctor|aws|resume|pip)\b|pip install|; see \w+"
)


@functools.cache
def messages() -> list[tuple[str, str]]:
    """Every text of the sources that a person may read, and where it stands; values that are put in are three dots."""
    return [
        (f"{path}:{line}", text)
        for path in sorted(SOURCES.rglob("*.py"))
        if not path.relative_to(SOURCES).as_posix().startswith(OTHER_PAGES)
        for line, text in texts(ast.parse(path.read_text(encoding="utf-8")))
    ]


def texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The literals below a node, but for docstrings and for the texts of options, which --help shows."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Constant):
            if isinstance(child.value, str) and not isinstance(node, ast.Expr):
                yield child.lineno, child.value
        elif isinstance(child, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "..." for part in child.values)
            yield child.lineno, "".join(parts)
        elif not (isinstance(child, ast.keyword) and child.arg == "help"):
            yield from texts(child)


def entries() -> list[str]:
    """The messages of the page, which stand in the first cell of a row."""
    rows = re.findall(r"^\| (``.+?``|`[^`]+`) \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [row.strip("`").strip().replace("\\|", "|") for row in rows]


def is_of(entry: str, text: str) -> bool:
    """Say whether an entry is of a message: its parts stand there in their order."""
    position = 0
    for part in entry.split("..."):
        found = text.find(part, position)
        if found < 0:
            return False
        position = found + len(part)
    return True


def test_every_message_of_the_page_is_one_of_the_sources() -> None:
    assert [entry for entry in entries() if not any(is_of(entry, text) for _, text in messages())] == []


def test_every_message_that_sends_its_reader_on_is_on_the_page() -> None:
    known = entries()
    missing = [
        f"{place}: {text}"
        for place, text in messages()
        if SENDS_ON.search(text) and not any(is_of(entry, text) for entry in known)
    ]
    assert missing == []
