"""DMS's own premigration assessment of a task: started where the account is set up for it, and read.

It needs a bucket for the results and a role that DMS assumes to write there (DMS user guide, "Specifying, starting, and
viewing premigration assessment runs"). The outputs of the phase name them, or options do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from builders.aws.calls import Session
from builders.errors import RolloutError
from builders.migration.check.hazards import Hazard, HazardFinding, Severity, finding

ROLE, BUCKET = "assessmentRoleArn", "assessmentBucket"
_RUNNING = ("starting", "provisioning", "running")
_OVER_AND_BAD = ("failed", "error")

FAILED = Hazard(
    "assessment", Severity.BLOCKS, "An assessment of DMS failed",
    "DMS's premigration assessment {object} is {status}", "the result is in the bucket {bucket}: read what it names",
    'DMS user guide, "PostgreSQL assessments"',
)  # fmt: skip
HAZARDS = (FAILED,)


@dataclass(frozen=True)
class Assessment:
    """Result of DMS's assessment; `summary` is one line, also where nothing was started."""

    summary: str
    findings: tuple[HazardFinding, ...] = ()


def run(
    session: Session,
    task_arn: str,
    bucket: str,
    role_arn: str,
    *,
    timeout_seconds: float = 900.0,
    poll_seconds: float = 5.0,
    sleep: Callable[[float], None] = time.sleep,
) -> Assessment:
    """Start an assessment of all that DMS knows for the task, wait for it, and read it."""
    if not bucket or not role_arn:
        return Assessment(
            "DMS's own assessment was not started: it needs a bucket and a role (--assessment-bucket, "
            "--assessment-role)"
        )
    try:
        return _run(session, task_arn, bucket, role_arn, timeout_seconds, poll_seconds, sleep)
    except RolloutError as error:
        return Assessment(f"DMS's own assessment was not started, or not read: {error}")


def _run(
    session: Session,
    task_arn: str,
    bucket: str,
    role_arn: str,
    timeout_seconds: float,
    poll_seconds: float,
    sleep: Callable[[float], None],
) -> Assessment:
    name = f"migrate-database-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    started = session.ask(
        "dms",
        "StartReplicationTaskAssessmentRun",
        ReplicationTaskArn=task_arn,
        ServiceAccessRoleArn=role_arn,
        ResultLocationBucket=bucket,
        ResultEncryptionMode="SSE_S3",
        AssessmentRunName=name,
    )["ReplicationTaskAssessmentRun"]
    arn, deadline = started["ReplicationTaskAssessmentRunArn"], time.monotonic() + timeout_seconds
    while started["Status"] in _RUNNING and time.monotonic() < deadline:
        sleep(poll_seconds)
        # A run that was just started may not be listed yet.
        started = next(iter(_described(session, "ReplicationTaskAssessmentRuns", arn)), started)
    status = started["Status"]
    each = _described(session, "ReplicationTaskIndividualAssessments", arn)
    bad = [
        finding(FAILED, {"object": one["IndividualAssessmentName"], "status": one["Status"], "bucket": bucket})
        for one in each
        if one["Status"] in _OVER_AND_BAD
    ]
    if status in _RUNNING:
        return Assessment(
            f"DMS's own assessment {name} still runs: its results come to the bucket {bucket}", tuple(bad)
        )
    counts = {state: sum(one["Status"] == state for one in each) for state in sorted({one["Status"] for one in each})}
    said = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no single assessment"
    reason = f": {started['LastFailureMessage']}" if started.get("LastFailureMessage") else ""
    return Assessment(f"DMS's own assessment {name}: {status} ({said}){reason}", tuple(bad))


def _described(session: Session, kind: str, run_arn: str) -> list[dict[str, Any]]:
    """All of a kind that belong to a run. botocore has no paginator for these lists."""
    filters = [{"Name": "replication-task-assessment-run-arn", "Values": [run_arn]}]
    found: list[dict[str, Any]] = []
    marker: dict[str, str] = {}
    while True:
        page = session.ask("dms", f"Describe{kind}", Filters=filters, **marker)
        found += page.get(kind, [])
        if not page.get("Marker"):
            return found
        marker = {"Marker": page["Marker"]}
