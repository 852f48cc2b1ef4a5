"""Findings as values, and how they are written for people, for programs and for code scanners."""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from builders.text import printable

RULES: Mapping[str, str] = MappingProxyType(
    {
        "layer": "A layer breaks the contract of builders.stack, or its builder fails.",
        "execution-actions": "The execution role of StackSets lacks actions that the resources of a layer need.",
        "template-too-large": "A template is too large to be deployed without a bucket.",
        "stale-template": "A template file does not say what its layer makes.",
        "parameter-file": "A parameter file, or an item of it, does not have the form that the AWS CLI takes.",
        "duplicate-parameter": "A parameter file gives a parameter twice.",
        "unknown-parameter": "A parameter file gives a parameter that no layer has.",
        "missing-parameter": "A parameter file lacks a parameter without which the phase cannot be deployed.",
        "parameter-value": "A value is not allowed by the parameter's declaration.",
        "template-rule": "The Rules of a template refuse the parameters of a phase.",
        "template-refuses": "A function of a template cannot be computed with the parameters of a phase.",
        "unreachable": "The network of a phase does not let through what it needs, or lets through what nobody may.",
        "beyond-boundary": "A role is given actions that the permissions boundary of the phase does not allow.",
        "missing-package": "A layer takes a package that no function makes.",
        "stale-package": "A parameter file names the package of an older version of a function.",
        "overlapping-ranges": "Address ranges that meet over Direct Connect overlap.",
    }
)
"""The rules of `build-templates` itself; every other id is one of cfn-lint or of `builders.rules`."""


class Severity(enum.Enum):
    """Severity of a finding, in the words of SARIF 2.1.0 (section 3.27.10, "level property")."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(NamedTuple):
    """One mistake: the id of the rule that found it, a one-line message, and its location.

    `line` and `column` count from 1 and are None where the file as a whole is meant, or where there is no file yet.
    """

    rule: str
    message: str
    file: str
    line: int | None = None
    column: int | None = None
    severity: Severity = Severity.ERROR

    @property
    def location(self) -> str:
        """The file with its line and column, as editors and terminals link it: file:line:column."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


def in_reading_order(findings: list[Finding]) -> list[Finding]:
    """Return findings by file, then line and column, then rule; each once."""
    return sorted(
        set(findings),
        key=lambda finding: (finding.file, finding.line or 0, finding.column or 0, finding.rule, finding.message),
    )


SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_text(findings: Sequence[Finding]) -> str:
    """One finding a line, its location first, in the form that compilers use and editors understand."""
    lines = (f"{found.location}: {found.severity.value} {found.rule}: {found.message}" for found in findings)
    return "".join(f"{printable(line)}\n" for line in lines)


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


def _sarif_rule(rule: str) -> dict[str, Any]:
    return {"id": rule, "shortDescription": {"text": RULES[rule]}} if rule in RULES else {"id": rule}


def _sarif_result(finding: Finding, rule_index: int) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(Path(finding.file))}}
    if finding.line is not None:
        location["region"] = {"startLine": finding.line}
        if finding.column is not None:
            location["region"]["startColumn"] = finding.column
    return {
        "ruleId": finding.rule,
        "ruleIndex": rule_index,
        "level": finding.severity.value,
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": location}],
    }


def _uri(path: Path) -> str:
    """A URI as section 3.4.3 asks for: escaped, and relative to the root of the project where the path is."""
    return path.as_uri() if path.is_absolute() else quote(os.fsencode(path.as_posix()))


def _dump(content: Any) -> str:
    return json.dumps(content, indent=1) + "\n"
