"""What checks say."""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


class Severity(enum.Enum):
    """How bad it is; an error stops a rollout."""

    ERROR = "error"
    WARNING = "warning"
    UNASKED = "could not ask"


@dataclass(frozen=True)
class Finding:
    """What is wrong, with the fix in one line. `where` are accounts, regions or layers; empty when it is everywhere."""

    severity: Severity
    what: str
    fix: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """One check with what it found; nothing found is well."""

    name: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Diagnosis:
    """All checks of a phase, in their order."""

    phase: str
    checks: tuple[Checked, ...]

    @property
    def good(self) -> bool:
        """Whether no check found an error."""
        return not any(each.severity is Severity.ERROR for check in self.checks for each in check.findings)


def data(diagnosis: Diagnosis) -> dict[str, object]:
    """A diagnosis as a dictionary that `json` can write."""
    return {
        "phase": diagnosis.phase,
        "good": diagnosis.good,
        "checks": [
            {
                "name": check.name,
                "findings": [
                    {"severity": each.severity.value, "what": each.what, "fix": each.fix, "where": list(each.where)}
                    for each in check.findings
                ],
            }
            for check in diagnosis.checks
        ],
    }


def together(found: Iterable[tuple[str, Finding | None]]) -> Iterator[Finding]:
    """Findings of single accounts as one for all that have the same: a thousand accounts lack a role for one reason."""
    alike: dict[tuple[Severity, str, str], list[str]] = defaultdict(list)
    for where, finding in found:
        if finding is not None:
            alike[finding.severity, finding.what, finding.fix].append(where)
    for (severity, what, fix), places in alike.items():
        yield Finding(severity, what, fix, tuple(sorted(places)))
