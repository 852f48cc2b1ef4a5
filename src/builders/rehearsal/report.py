"""What a rehearsal came to, for a person and for a machine."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders.rehearsal.rehearsal import ExpectedStep
from builders.text import counted_noun

NOT_AWS = (
    "What this does not show: AWS itself. Packets do not pass through the security groups and network ACLs "
    "(build-templates --check follows them on paper), nothing is really encrypted by KMS, and the database's address "
    "and port are this machine's (on RDS: <identifier>.<id>.<region>.rds.amazonaws.com and the port that you chose). "
    "The whole list stands in docs/embedded-cloud.md."
)
"""What nothing on the embedded cloud shows."""

NOT_PROVEN = (
    NOT_AWS,
    "Nor how long a rollout takes (a database is made in minutes on AWS, and in seconds here), quotas and service "
    "control policies of your organization, or what is in your accounts already: ask `rollout-stacksets doctor` and "
    "`plan --change-sets` there.",
)


@dataclass(frozen=True)
class Report:
    """A rehearsal. `calls` are those to AWS by operation, `operations` those of StackSets by phase and action."""

    acts: Sequence[ExpectedStep]
    calls: Counter[str]
    operations: Mapping[str, Counter[str]]
    remarks: Sequence[str]
    """What was not rehearsed as the file says it, and why."""
    seconds: float

    @property
    def good(self) -> bool:
        """Whether every act came as expected."""
        return all(act.as_expected for act in self.acts)


def report_text(report: Report) -> str:
    """The report as lines for a person."""
    return "\n".join(_lines(report))


def report_data(report: Report) -> str:
    """The report for a machine. Seconds are wall time."""
    found = {
        "as_expected": report.good,
        "seconds": round(report.seconds, 1),
        "acts": [
            {
                "title": act.title,
                "commands": act.commands,
                "expected": act.expected,
                "came": act.came,
                "as_expected": act.as_expected,
                "seconds": round(act.seconds, 1),
            }
            for act in report.acts
        ],
        "calls": dict(sorted(report.calls.items())),
        "operations": {phase: dict(sorted(found.items())) for phase, found in report.operations.items()},
        "remarks": list(report.remarks),
        "not_proven": list(NOT_PROVEN),
    }
    return json.dumps(found, indent=1)


def _lines(report: Report) -> Iterator[str]:
    yield "The rehearsal, act by act"
    for number, act in enumerate(report.acts, 1):
        yield ""
        yield f"{number:2}  {act.title}  ({act.seconds:.1f} s)"
        for command in act.commands:
            yield f"    $ {command}"
        yield f"    expected: {act.expected}"
        yield f"    {'came' if act.as_expected else 'CAME OTHERWISE'}: {act.came}"
    yield ""
    yield "StackSets operations, as the service lists them"
    for phase, found in report.operations.items():
        yield f"  {phase}: " + (", ".join(f"{count} {action}" for action, count in sorted(found.items())) or "none")
    yield ""
    yield f"Calls to AWS: {sum(report.calls.values()):,}, those of killed processes left out"
    for operation, count in sorted(report.calls.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {count:6,} {operation}"
    yield ""
    yield from (*report.remarks, *NOT_PROVEN)
    yield ""
    came = sum(act.as_expected for act in report.acts)
    if report.good:
        yield f"All {came} acts came as expected, in {report.seconds:.0f} s."
    else:
        yield f"{counted_noun(came, 'act')} came as expected, and then one did not: {report.acts[-1].title}."
