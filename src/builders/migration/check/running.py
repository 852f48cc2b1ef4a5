"""A run of `migrate-database check`: what the phase knows goes in, the report comes out, acceptances are kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.aws.errors import AccessDenied
from builders.errors import MigrationError, RolloutError, UsageError
from builders.migration.check import accepted, assessment, showing
from builders.migration.check.hazards import HazardFinding
from builders.migration.check.report import CheckOptions, CheckReport, check
from builders.migration.check.sizes import Instance
from builders.migration.check.table_rules import excluded
from builders.migration.check.undeployed import Undeployed, rules_of
from builders.migration.databases import Database
from builders.migration.phase import INSTANCE, Phase
from builders.text import suggestion


@dataclass(frozen=True)
class Wishes:
    """The options of the command line."""

    accept: Sequence[str] = ()
    accepted_file: Path | None = None
    measure: bool = False
    line_mbit: float = 1000.0
    watch_seconds: float = 1.0
    target_major: int = 17
    without_target: bool = False
    assessment_bucket: str = ""
    assessment_role: str = ""
    without_assessment: bool = False
    schemas: Sequence[str] = ()
    """Schemas of a phase that is not deployed yet; the next three are of such a phase, too."""
    database: str = ""
    source_certificate: Path | None = None
    table_rules: str = ""


def run(phase: Phase, wishes: Wishes, *, as_json: bool) -> int:
    """Check a phase, print the report, and return the exit code: 1 where a finding is open."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(phase.source())
        target, why = _target(phase, wishes)
        if target:
            stack.enter_context(target)
        found = check(source, target, options_of(phase, wishes), why)
        if not wishes.without_assessment:
            found = found.with_assessment(_assess(phase, wishes))
        found = _accept(found, target, wishes, phase)
    showing.result(phase.name, found, as_json=as_json)
    return 1 if found.open else 0


def run_undeployed(phase: Undeployed, wishes: Wishes, *, as_json: bool) -> int:
    """Check the source of a phase before its deployment, likewise."""
    options = CheckOptions(
        schemas=phase.schemas,
        excluded=excluded(rules_of(wishes.table_rules)) if wishes.table_rules else excluded(()),
        target_major=wishes.target_major,
        line_mbit=wishes.line_mbit,
        watch_seconds=wishes.watch_seconds,
        measure=wishes.measure,
    )
    with phase.source() as source:
        found = check(source, None, options, "the phase is not deployed yet")
    found = _accept(found, None, wishes, phase)
    showing.result(phase.name, found, as_json=as_json)
    return 1 if found.open else 0


def _target(phase: Phase, wishes: Wishes) -> tuple[Database | None, str]:
    """A session to the target, or the reason why there is none."""
    if wishes.without_target:
        return None, "it was left out (--without-target)"
    try:
        return phase.target(), ""
    except (MigrationError, RolloutError) as error:
        return None, str(error)


def options_of(phase: Phase, wishes: Wishes) -> CheckOptions:
    """Return a check's options, with what a phase says of the task, its tables and its instances."""
    task = phase.task.task()
    return CheckOptions(
        schemas=phase.schemas,
        excluded=excluded(phase.task.table_mappings()),
        target_major=wishes.target_major,
        task_has_slot=task.has_run,
        instance=_instance(phase, task.instance_arn),
        plugin=phase.plugin,
        dms_user=_readable(lambda: phase.source_user),
        fallback_user=_readable(lambda: phase.fallback_user),
        line_mbit=wishes.line_mbit,
        watch_seconds=wishes.watch_seconds,
        measure=wishes.measure,
    )


def _readable(user: Callable[[], str]) -> str:
    """The name in a secret, or nothing where this role may not read it: then its rights are not judged."""
    try:
        return user()
    except AccessDenied:
        return ""


def _instance(phase: Phase, arn: str) -> Instance:
    """Return what AWS says of both instances; nothing of one that this role may not describe."""
    dms: Mapping[str, Any] = {}
    rds: Mapping[str, Any] = {}
    with contextlib.suppress(RolloutError, StopIteration):
        filters = [{"Name": "replication-instance-arn", "Values": [arn]}]
        dms = next(iter(phase.session.pages("dms", "DescribeReplicationInstances", Filters=filters)))
    identifier = phase.outputs.get(INSTANCE)
    if identifier:
        with contextlib.suppress(RolloutError, StopIteration):
            rds = next(iter(phase.session.pages("rds", "DescribeDBInstances", DBInstanceIdentifier=identifier)))
    return Instance(
        dms_version=str(dms.get("EngineVersion", "")),
        dms_class=str(dms.get("ReplicationInstanceClass", "")),
        dms_storage_gib=int(dms.get("AllocatedStorage", 0)),
        target_storage_gib=max(int(rds.get("AllocatedStorage", 0)), int(rds.get("MaxAllocatedStorage") or 0)),
    )


def _assess(phase: Phase, wishes: Wishes) -> assessment.Assessment:
    bucket = wishes.assessment_bucket or phase.outputs.get(assessment.BUCKET, "")
    role = wishes.assessment_role or phase.outputs.get(assessment.ROLE, "")
    return assessment.run(phase.session, phase.task.arn, bucket, role)


def _accept(found: CheckReport, target: Database | None, wishes: Wishes, phase: Phase | Undeployed) -> CheckReport:
    """Keep what is accepted now, and mark what was accepted before."""
    names = list(dict.fromkeys(wishes.accept))
    must_be_acceptable(found, names)
    if names and wishes.accepted_file:
        accepted.accept_in_file(wishes.accepted_file, names, phase.caller)
    elif names and target:
        target.run("SET default_transaction_read_only = off")
        accepted.accept_in_target(target, names, phase.caller)
    elif names:
        raise UsageError("the target, which keeps what is accepted, was not read; --accepted FILE keeps it beside")
    return found.accepting(standing(target, wishes.accepted_file))


def standing(target: Database | None, accepted_file: Path | None = None) -> set[str]:
    """The names of all findings that were accepted."""
    kept = [
        *(accepted.in_target(target) if target else ()),
        *(accepted.in_file(accepted_file) if accepted_file else ()),
    ]
    return {each.finding for each in kept}


def must_be_acceptable(found: CheckReport, names: Sequence[str]) -> None:
    """Raise `UsageError` for a name of no finding that can be accepted."""
    known = {each.name: each for each in found.findings if each.severity.is_open}
    for name in names:
        if name not in known:
            near = suggestion(name, known)
            raise UsageError(
                f"there is no finding {name!r} to accept{f'; did you mean {near!r}?' if near else ''}: a name "
                f"is ID:OBJECT "
                "as the report has it"
            )


def open_findings(source: Database, target: Database, options: CheckOptions) -> list[HazardFinding]:
    """The findings that stand in the way of a cut-over."""
    return check(source, target, options).accepting(standing(target)).open
