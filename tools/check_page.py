"""Writes docs/migration-check.md: every finding of `migrate-database check`, from the hazards themselves."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from builders.migration import rights
from builders.migration.check import columns, measured, objects, server, sizes, tables
from builders.migration.check.assessment import HAZARDS as OF_ASSESSMENT
from builders.migration.check.extensions import HAZARDS as OF_EXTENSIONS
from builders.migration.check.hazards import Hazard, Severity
from builders.migration.check.report import NOT_READ, RIGHT
from tools import written_files

PAGE = Path("docs/migration-check.md")
INTRODUCTION = Path(__file__).with_name("check_page.md")

_PARTS: Sequence[tuple[str, Sequence[Hazard]]] = (
    ("Servers and users", (*server.HAZARDS, RIGHT, NOT_READ)),
    ("Extensions", OF_EXTENSIONS),
    ("Tables", tables.HAZARDS),
    ("Columns", (*columns.HAZARDS, *measured.HAZARDS)),
    ("Everything else", objects.HAZARDS),
    ("Sizes, and DMS's own assessment", (*sizes.HAZARDS, *OF_ASSESSMENT)),
)


def desired_files() -> dict[Path, str]:
    """The page."""
    return {PAGE: "\n".join(_lines()) + "\n"}


def _lines() -> Iterator[str]:
    yield INTRODUCTION.read_text(encoding="utf-8").rstrip()
    for title, hazards in _PARTS:
        yield f"\n## {title}"
        for hazard in sorted(hazards, key=lambda each: (list(Severity).index(each.severity), each.id)):
            yield from _hazard(hazard)
    yield "\n## Rights"
    yield (
        "\nThe statements are for a DBA of the source, once. Where a right is missing, the report has the statement "
        "with its names.\n"
    )
    for title, of_user in (
        ("The user of DMS's source endpoint, who is that of `migrate-database`, too", rights.SOURCE_READER),
        ("The user of the way back, in the source (`FallbackSecretArn`)", rights.SOURCE_WRITER),
        ("The master user in RDS, who has these from the start", rights.TARGET_MASTER),
    ):
        yield f"\n### {title}\n\n| step | right | to | statement |\n|---|---|---|---|"
        for right in of_user:
            optional = " (optional)" if right.is_optional else ""
            yield f"| {right.step} | `{right.id}`{optional} | {right.purpose} | `{right.grant}` |"


def _hazard(hazard: Hazard) -> Iterator[str]:
    yield f"\n### {hazard.id}\n\n*{hazard.severity.value}.* {hazard.title}."
    for text in (hazard.happens, hazard.remedy):
        shown = _shown(text if isinstance(text, str) else text(_Names()))
        if shown:
            yield f"\n{shown}"
    if hazard.source:
        yield f"\nSource: {hazard.source}."


class _Names(dict[str, str]):
    """A row whose every column is its own name: what a text looks like before it is filled."""

    def __missing__(self, key: str) -> str:
        """Return a name that the tables of types know, or the column's own in capitals."""
        return {"base_name": "inet", "base_kind": "b", "index": ""}.get(key, key.upper())


def _shown(text: str) -> str:
    """A text as the page has it; one that a row alone fills is left out."""
    if re.fullmatch(r"\{\w+\}", text):
        return ""
    named = re.sub(r"\{(\w+)\}", lambda match: match[1].upper(), text)
    code, _, comment = named.partition("; -- ")
    if re.match(r"[A-Z\\]{2,}", named) and comment:
        return f"`{code};` {comment}"
    if re.match(r"(ALTER|GRANT|DROP|CREATE|SELECT|REINDEX|COMMIT|VACUUM|UPDATE|SHOW|SECURITY|TableRules)\b", named):
        return f"`{named}`"
    begins = named.split(" ", 1)[0]
    return named if "_" in begins or "`" in begins else named[:1].upper() + named[1:]


if __name__ == "__main__":
    sys.exit(written_files.main("tools.check_page", desired_files()))
