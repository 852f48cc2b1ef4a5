"""The result of a rehearsal, as text for a person and as JSON for a program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders import advice
from builders.rehearsal.rehearsal import ExpectedStep
from builders.text import counted_noun, printable

NOT_AWS = (
    "What this does not show: AWS itself. Packets do not pass through the security groups and network ACLs "
    "(build-templates --check follows them on paper), nothing is really encrypted by KMS, and the database's address "
    "and port are this machine's (on RDS: <identifier>.<id>.<region>.rds.amazonaws.com and the port that you chose). "
    "docs/embedded-cloud.md has the whole list."
)
"""Everything that the embedded cloud cannot show."""

NOT_PROVEN = (
    NOT_AWS,
    "Nor how long a rollout takes (AWS creates a database in minutes, the embedded cloud in seconds), quotas and "
    "service control policies of your organization, or what is in your accounts already: run `rollout-stacksets "
    "doctor` and `plan --change-sets` there.",
)


@dataclass(frozen=True)
class Report:
    """A rehearsal. `calls` are those to AWS by operation, `operations` those of StackSets by phase and action."""

    steps: Sequence[ExpectedStep]
    calls: Counter[str]
    operations: Mapping[str, Counter[str]]
    remarks: Sequence[str]
    """Differences between the rollout file and the rehearsal, with reasons."""
    seconds: float

    @property
    def good(self) -> bool:
        """True when every step ended as expected."""
        return all(step.as_expected for step in self.steps)


def report_text(report: Report) -> str:
    """The report as lines for a person."""
    return "\n".join(printable(advice.completed(line)) for line in _lines(report))


def report_data(report: Report) -> dict[str, Any]:
    """The report as a dictionary that `json` can write. Seconds are wall time; `came` is the result of a step."""
    return {
        "as_expected": report.good,
        "seconds": round(report.seconds, 1),
        "acts": [
            {
                "title": step.title,
                "commands": step.commands,
                "expected": step.expected,
                "came": step.result,
                "as_expected": step.as_expected,
                "seconds": round(step.seconds, 1),
            }
            for step in report.steps
        ],
        "calls": dict(sorted(report.calls.items())),
        "operations": {phase: dict(sorted(found.items())) for phase, found in report.operations.items()},
        "remarks": list(report.remarks),
        "not_proven": list(NOT_PROVEN),
    }


def _lines(report: Report) -> Iterator[str]:
    yield "The rehearsal, step by step"
    for number, step in enumerate(report.steps, 1):
        yield ""
        yield f"{number:2}  {step.title}  ({step.seconds:.1f} s)"
        for command in step.commands:
            yield f"    $ {command}"
        yield f"    expected: {step.expected}"
        yield f"    {'result' if step.as_expected else 'UNEXPECTED'}: {step.result}"
    yield ""
    yield "StackSets operations, as the service lists them"
    for phase, found in report.operations.items():
        yield f"  {phase}: " + (", ".join(f"{count} {action}" for action, count in sorted(found.items())) or "none")
    yield ""
    yield f"Calls to AWS, except those of killed processes: {sum(report.calls.values()):,}"
    for operation, count in sorted(report.calls.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {count:6,} {operation}"
    yield ""
    yield from (*report.remarks, *NOT_PROVEN)
    yield ""
    good = sum(step.as_expected for step in report.steps)
    if report.good:
        yield f"All {good} steps ended as expected, in {report.seconds:.0f} s."
    else:
        yield f"{counted_noun(good, 'step')} ended as expected, and then one did not: {report.steps[-1].title}."
