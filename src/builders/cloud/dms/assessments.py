"""Premigration assessments of a task: started with a role and a bucket, run over both databases, and described.

Of DMS's assessments those are run that need nothing but definitions and that this DMS itself acts upon; each finds what
a run of the task would lose or stop at (DMS user guide, "Assessments for all endpoint types", "PostgreSQL
assessments"). The role must trust DMS and may write into the bucket, which is looked at; no result is written there.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, request_scope

from builders.cloud.dms import endpoints, mappings, settings, tables, tasks
from builders.cloud.dms.endpoints import Endpoint
from builders.cloud.dms.faults import Fault, invalid, not_found, wrong_state
from builders.cloud.dms.tables import LIKE_TEXT, Table
from builders.cloud.internals import entries, iam, s3
from builders.cloud.server import state
from builders.policy_documents import trusts_service
from builders.resource_types import Json

STEP_SECONDS = 0.3
PRINCIPAL = "dms.amazonaws.com"
FILTERS = {
    "replication-task-assessment-run-arn": "ReplicationTaskAssessmentRunArn",
    "replication-task-arn": "ReplicationTaskArn",
    "status": "Status",
}
"""{filter of both Describe operations: the member that it looks at}"""

_NOT_NULL = """SELECT n.nspname, c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE a.attnotnull AND a.attnum > 0"""


@dataclass
class AssessmentRun:
    """A run, and what became of each assessment by its name."""

    request: dict[str, Json]
    assessments: dict[str, str]
    status: str = "starting"
    failure: str = ""
    created: float = field(default_factory=time.time)


_runs: Any = AccountRegionScopedDict()
"""{ARN: AssessmentRun}"""


@dataclass(frozen=True)
class _Ends:
    """Both ends of a task as an assessment looks at them."""

    tables: Collection[Table]
    not_null: Collection[tuple[str, str, str]]
    """Columns of the target that take no NULL: schema, table, column."""


def _unsupported(ends: _Ends) -> Iterator[str]:
    for table in ends.tables:
        yield from (warning for warning in table.warnings if "does not migrate" in warning)


def _not_nullable(ends: _Ends) -> Iterator[str]:
    for table in ends.tables:
        for column in table.lobs if table.full_lob else ():
            if (*table.target, column.target) in ends.not_null:
                yield f"column {column.target} of {'.'.join(table.target)} takes no NULL"


def _lob_without_key(ends: _Ends) -> Iterator[str]:
    for table in ends.tables:
        yield from (warning for warning in table.warnings if "a large value in a table without" in warning)


def _without_key(ends: _Ends) -> Iterator[str]:
    return (f"{table} has no primary key" for table in ends.tables if not table.key)


def _lob_in_key(ends: _Ends) -> Iterator[str]:
    for table in ends.tables:
        for column in table.key:
            if column.type in (*LIKE_TEXT, "character varying") or column.type.endswith("[]"):
                yield f"column {column.name} in the key of {table} is {column.type}"


ASSESSMENTS: Mapping[str, Callable[[_Ends], Iterator[str]]] = {
    "unsupported-data-types-in-source": _unsupported,
    "full-lob-not-nullable-at-target": _not_nullable,
    "table-with-lob-but-without-primary-key-or-unique-constraint": _lob_without_key,
    "table-with-no-primary-key-or-unique-constraint": _without_key,
    "postgres-check-pk-lob": _lob_in_key,
}
"""{the API's name: what it finds}"""


def start(request: Mapping[str, Json]) -> dict[str, Json]:
    """Begin a run. Raises the faults of StartReplicationTaskAssessmentRun."""
    arn, name = str(request["ReplicationTaskArn"]), str(request["AssessmentRunName"])
    if tasks.find(arn).status in ("starting", "running", "stopping"):
        raise wrong_state(f"Replication task {arn} is running; an assessment needs one that is not (embedded cloud)")
    every = _runs.values()
    if any((each.request["ReplicationTaskArn"], each.request["AssessmentRunName"]) == (arn, name) for each in every):
        raise Fault("ResourceAlreadyExistsFault", f"Assessment run {name} already exists")
    _check_writer(str(request["ServiceAccessRoleArn"]), str(request["ResultLocationBucket"]))
    run = AssessmentRun(dict(request), dict.fromkeys(_chosen(request), "pending"))
    run_arn = f"arn:aws:dms:{get_region()}:{get_account_id()}:assessment-run:{uuid.uuid4().hex[:26].upper()}"
    _runs[run_arn] = run
    _later(run)
    return {"ReplicationTaskAssessmentRun": _described(run_arn, run)}


def _chosen(request: Mapping[str, Json]) -> list[str]:
    only, left_out = request.get("IncludeOnly") or [], request.get("Exclude") or []
    if only and left_out:
        raise Fault("InvalidParameterCombinationException", "IncludeOnly and Exclude cannot be given together")
    if unknown := [name for name in (*only, *left_out) if name not in ASSESSMENTS]:
        raise invalid(f"{', '.join(unknown)}: no assessment that the embedded cloud runs")
    return [name for name in ASSESSMENTS if (name in only if only else name not in left_out)]


def _check_writer(role_arn: str, bucket: str) -> None:
    name, account = role_arn.rpartition("/")[2], str(get_account_id())
    role = iam.roles.get(name)
    if role is None or not trusts_service(role["AssumeRolePolicyDocument"], PRINCIPAL):
        raise Fault("AccessDeniedFault", f"The role {role_arn} does not exist, or does not trust {PRINCIPAL}")
    if bucket not in s3.buckets:
        raise Fault("S3ResourceNotFoundFault", f"The bucket {bucket} does not exist")
    try:
        endpoints.check_role(name, account, "s3:PutObject", f"arn:aws:s3:::{bucket}/any", {})
    except endpoints.Unusable as refused:
        raise Fault("S3AccessDeniedFault", str(refused)) from refused


def _later(run: AssessmentRun) -> None:
    account, region = get_account_id(), get_region()

    def work() -> None:
        with request_scope(account, region):
            run.status = "running"
            _assess(run)
            state.touched.set()

    timer = threading.Timer(STEP_SECONDS, work)
    timer.daemon = True
    timer.start()


def _assess(run: AssessmentRun) -> None:
    """Run all assessments of a run."""
    try:
        ends = _read(tasks.properties(str(run.request["ReplicationTaskArn"])))
    except (psycopg.Error, endpoints.Unusable, Fault) as error:
        run.assessments = dict.fromkeys(run.assessments, "error")
        run.status, run.failure = "error-executing", " ".join(str(error).split())
        return
    for name in run.assessments:
        found = list(ASSESSMENTS[name](ends))
        run.assessments[name] = "failed" if found else "passed"
        run.failure = f"{name}: {found[0]}" if found else run.failure
    run.status = "failed" if "failed" in run.assessments.values() else "passed"


def _read(properties: Mapping[str, Json]) -> _Ends:
    source, target = (endpoints.find(str(properties[f"{side}EndpointArn"])) for side in ("Source", "Target"))
    chosen = settings.read(properties.get("ReplicationTaskSettings"))
    with source.connect() as session:
        found = tables.read(session, mappings.read(properties["TableMappings"]), chosen, source, target)
    return _Ends(found.values(), _not_null(target))


def _not_null(target: Endpoint) -> set[tuple[str, str, str]]:
    with target.connect() as session:
        return {(row[0], row[1], row[2]) for row in session.execute(_NOT_NULL)}


def runs() -> list[dict[str, Json]]:
    """All runs, as DescribeReplicationTaskAssessmentRuns shows them."""
    return [_described(arn, run) for arn, run in _runs.items()]


def _described(arn: str, run: AssessmentRun) -> dict[str, Json]:
    shown = ("ReplicationTaskArn", "ServiceAccessRoleArn", "ResultLocationBucket", "ResultLocationFolder",
             "ResultEncryptionMode", "ResultKmsKeyArn", "AssessmentRunName")  # fmt: skip
    done = sum(status not in ("pending", "running") for status in run.assessments.values())
    count = {word: list(run.assessments.values()).count(word) for word in ("passed", "failed", "error")}
    task = run.request["ReplicationTaskArn"]
    latest = max(each.created for each in _runs.values() if each.request["ReplicationTaskArn"] == task)
    return {
        **{name: run.request[name] for name in shown if name in run.request},
        "ReplicationTaskAssessmentRunArn": arn,
        "Status": run.status,
        "ReplicationTaskAssessmentRunCreationDate": run.created,
        "AssessmentProgress": {
            "IndividualAssessmentCount": len(run.assessments), "IndividualAssessmentCompletedCount": done,
        },
        "IsLatestTaskAssessmentRun": run.created == latest,
        "ResultStatistic": {word.capitalize(): number for word, number in count.items()},
        **({"LastFailureMessage": run.failure} if run.failure else {}),
    }  # fmt: skip


def individual() -> list[dict[str, Json]]:
    """All assessments of all runs, as DescribeReplicationTaskIndividualAssessments shows them."""
    return [
        {
            "ReplicationTaskIndividualAssessmentArn": f"{arn.replace(':assessment-run:', ':individual-assessment:')}"
            f"{number:02}",
            "ReplicationTaskAssessmentRunArn": arn,
            "ReplicationTaskArn": run.request["ReplicationTaskArn"],
            "IndividualAssessmentName": name,
            "Status": status,
            "ReplicationTaskIndividualAssessmentStartDate": run.created,
        }
        for arn, run in _runs.items()
        for number, (name, status) in enumerate(run.assessments.items(), 1)
    ]


def applicable(request: Mapping[str, Json]) -> dict[str, Json]:
    """The assessments that can be run for a task. Raises ResourceNotFoundFault."""
    if "ReplicationTaskArn" in request:
        tasks.find(str(request["ReplicationTaskArn"]))
    return {"IndividualAssessmentNames": list(ASSESSMENTS)}


def delete(request: Mapping[str, Json]) -> dict[str, Json]:
    """Forget a run that is over. Raises ResourceNotFoundFault, InvalidResourceStateFault."""
    arn = str(request["ReplicationTaskAssessmentRunArn"])
    if arn not in _runs:
        raise not_found("Assessment runs")
    if _runs[arn].status in ("starting", "running"):
        raise wrong_state(f"Assessment run {arn} is running; cancel it, or wait for its end")
    described = _described(arn, _runs[arn])
    del _runs[arn]
    return {"ReplicationTaskAssessmentRun": described | {"Status": "deleting"}}


def take_up() -> None:
    """Go on with the runs that were under way when the last server ended."""
    for (account, region, _), run in list(entries(_runs).items()):
        if run.status in ("starting", "running"):
            with request_scope(account, region):
                _later(run)


def stores() -> dict[str, Json]:
    """Return what is remembered here, by name, to be kept over a restart."""
    return {"assessments": _runs}
