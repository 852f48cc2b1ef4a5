"""A finding as a value: what is wrong, where, how bad. Everything that `build-templates` reports is a list of them."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

RULES: Mapping[str, str] = MappingProxyType(
    {
        "layer": "A layer breaks the contract of builders.stack, or its builder fails.",
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
        "missing-package": "A layer takes a package that no function under lambda/ makes.",
        "stale-package": "A parameter file names the package of an older version of a function.",
        "overlapping-ranges": "Address ranges that meet over Direct Connect overlap.",
    }
)
"""The rules of `build-templates` itself; every other id is one of cfn-lint or of `builders.rules`."""


class Severity(enum.Enum):
    """How bad a finding is, in the words of SARIF 2.1.0 (section 3.27.10, "level property")."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class Finding:
    """One mistake: the id of the rule that found it, a one-line message, and its place.

    `line` and `column` count from 1 and are None where the file as a whole is meant, or where there is no file yet.
    """

    rule: str
    message: str
    file: str
    line: int | None = None
    column: int | None = None
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> str:
        """The file with the line and column that are known, as editors and terminals link it: file:line:column."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


def in_reading_order(findings: list[Finding]) -> list[Finding]:
    """By file, then line and column, then rule; each once."""
    return sorted(
        set(findings),
        key=lambda finding: (finding.file, finding.line or 0, finding.column or 0, finding.rule, finding.message),
    )
