"""Writes findings for people, for programs and for code scanners."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from builders.building.findings import RULES, Finding

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_text(findings: Sequence[Finding]) -> str:
    """One finding a line, its place first, in the form that compilers use and editors understand."""
    lines = (f"{found.place}: {found.severity.value} {found.rule}: {found.message}" for found in findings)
    return "".join(f"{_printable(line)}\n" for line in lines)


def as_json(findings: Sequence[Finding]) -> str:
    """A JSON list of objects; `line` and `column` are null where there is none."""
    return _dump(
        [
            {
                "rule": found.rule,
                "severity": found.severity.value,
                "message": found.message,
                "file": found.file,
                "line": found.line,
                "column": found.column,
            }
            for found in findings
        ]
    )


def as_sarif(findings: Sequence[Finding]) -> str:
    """A SARIF 2.1.0 log with one run, as code scanning services take it."""
    from importlib import metadata  # noqa: PLC0415  takes as long to load as a layer to build; only SARIF needs it

    rules = sorted({found.rule for found in findings})
    driver = {
        "name": "build-templates",
        "semanticVersion": metadata.version("stackferry"),
        "rules": [_sarif_rule(rule) for rule in rules],
    }
    results = [_sarif_result(found, rules.index(found.rule)) for found in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return _dump({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


WRITERS: Mapping[str, Callable[[Sequence[Finding]], str]] = MappingProxyType(
    {"text": as_text, "json": as_json, "sarif": as_sarif}
)


def _printable(line: str) -> str:
    """The line without what would break it or steer a terminal: a message may repeat what stands in a file."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def _sarif_rule(rule: str) -> dict[str, Any]:
    return {"id": rule, "shortDescription": {"text": RULES[rule]}} if rule in RULES else {"id": rule}


def _sarif_result(finding: Finding, rule_index: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(Path(finding.file))}}
    if finding.line is not None:
        place["region"] = {"startLine": finding.line}
        if finding.column is not None:
            place["region"]["startColumn"] = finding.column
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": finding.severity.value,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: Path) -> str:
    """A URI as section 3.4.3 asks for: escaped, and relative to the root of the project where the path is."""
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


def _dump(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
