"""The life of a replication task, and what a test decides about it: its progress, its tables, its failures.

A task goes on by itself: starting becomes running, and stopping stopped, after `step_seconds`. Each arrival sends the
event that DMS sends (DMS user guide, "AWS DMS event categories and event messages").
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, request_scope

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.dms import capture, connections, endpoints, mappings, settings
from builders.cloud.dms.faults import Fault, not_found, wrong_state
from builders.cloud.dms.replication import Order, Replication
from builders.cloud.internals import entries, eventbridge
from builders.cloud.server import state
from builders.resource_types import Json

TYPE = "AWS::DMS::ReplicationTask"
ENDPOINTS = ("SourceEndpointArn", "TargetEndpointArn")
STEP_SECONDS = 0.3
STOP_SECONDS = 2.0
SETTINGS_SECONDS = 0.1
"""The time after which a change of StepSeconds reaches a task that starts or stops."""

logger = logging.getLogger("dms")

_EVENTS = {"running": "DMS-EVENT-0069", "failed": "DMS-EVENT-0078", "stopped": "DMS-EVENT-0079"}
_BUSY = ("starting", "running", "stopping")
# "Replication Task cannot be modified while it is running state" (terraform-provider-aws #2236)
_CANNOT_BE = "Replication Task cannot be {done} while it is {status} state"


@dataclass
class Task:
    """The state of a task since CloudFormation made it."""

    status: str = "ready"
    has_run: bool = False
    stop_reason: str = ""
    failure: str = ""
    kind: str = "start-replication"
    """The kind of start that is under way; resume-processing once the task has run."""
    real: bool = False
    """There are databases behind the endpoints, and rows are moved."""
    slot: str = ""
    """The replication slot that the task has made on its source."""
    step_seconds: float = STEP_SECONDS
    fails_next: tuple[str, str] | None = None
    """Stop reason and message of the failure that waits for the next start."""
    statistics: dict[str, Json] = field(default_factory=dict)
    tables: list[dict[str, Json]] = field(default_factory=list)


_tasks: Any = AccountRegionScopedDict()
_lock = threading.Lock()
runs: dict[str, Replication] = {}
"""The tasks whose rows move at the moment, by ARN."""


def find(arn: str) -> Task:
    """The task by its ARN. Raises the fault ResourceNotFoundFault."""
    if arn not in records.find(TYPE):
        raise not_found("Tasks")
    with _lock:
        if arn not in _tasks:
            _tasks[arn] = Task()
        task: Task = _tasks[arn]
        return task


def start(arn: str, kind: str) -> None:
    """Start or resume. Raises a fault where the task cannot, as StartReplicationTask does."""
    task = find(arn)
    if task.status in _BUSY:
        raise wrong_state("Replication Task cannot be started, invalid state")
    if (kind == "start-replication") == task.has_run and not _begins_at_a_position(arn, kind):
        word = kind.upper().replace("-", "_")
        when = "valid only" if kind == "start-replication" else "not valid"
        raise Fault(
            "InvalidParameterCombinationException",
            f"Start Type : {word}, {when} for tasks running for the first time",
        )
    task.status, task.has_run, task.stop_reason, task.failure = "starting", True, "", ""
    task.kind, task.statistics = kind, _fresh_statistics(task, kind)
    task.real = any(endpoints.is_real(properties(arn)[side]) for side in ENDPOINTS)
    _go_on(arn, task)


def _begins_at_a_position(arn: str, kind: str) -> bool:
    """Return whether a task of changes alone starts from a position, which it may do again and again.

    "For a cdc only task, to start from a specific position, you must use start-replication" (DMS API reference,
    "StartReplicationTask").
    """
    given = properties(arn)
    return kind == "start-replication" and given.get("MigrationType") == "cdc" and bool(given.get("CdcStartPosition"))


def _fresh_statistics(task: Task, kind: str) -> dict[str, Json]:
    """The statistics at a start: those of before, unless everything is loaded anew."""
    started = {"StartDate": time.time()}
    if kind == "resume-processing":
        return task.statistics | started
    task.tables = task.tables if kind == "start-replication" else []
    kept = task.statistics if kind == "start-replication" else {}
    return kept | started | {"FreshStartDate": time.time()}


def _go_on(arn: str, task: Task, again: bool = False) -> None:
    """Let a task that starts run: its rows move, or, where there is no database behind it, nothing does."""
    if not task.real:
        _later(arn, task, "starting")
        return

    def running() -> None:
        task.kind = "resume-processing"
        if task.fails_next:
            reason, task.fails_next = task.fails_next, None
            runs[arn].leave()
            _arrive(arn, task, "failed", *reason)
        elif task.status != "stopping":
            _arrive(arn, task, "running", "", "")

    def keep_slot(name: str) -> None:
        task.slot = name
        state.touched.set()

    def over(status: str, stop_reason: str, failure: str) -> None:
        runs.pop(arn, None)
        _arrive(arn, task, status, stop_reason, failure)

    order = Order(
        arn, str(get_account_id()), str(get_region()), _instance_name(arn), properties(arn), task.kind, task.slot,
        again, task.tables, task.statistics, running, keep_slot, over,
    )  # fmt: skip
    runs[arn] = Replication(order)
    runs[arn].start()


def properties(arn: str) -> dict[str, Json]:
    """The properties of a task, as its template or ModifyReplicationTask gave them."""
    found: dict[str, Json] = records.find(TYPE)[arn]["Properties"]
    return found


def _instance_name(arn: str) -> str:
    instance = records.find(connections.INSTANCE).get(properties(arn)["ReplicationInstanceArn"], {})
    name = instance.get("Properties", {}).get("ReplicationInstanceIdentifier")
    return str(name or properties(arn)["ReplicationInstanceArn"].rpartition(":")[2]).lower()


def stop(arn: str) -> None:
    """Stop. Raises a fault where the task does not run."""
    task = find(arn)
    if task.status != "running":
        raise wrong_state("Replication Task cannot be stopped, invalid state")
    task.status = "stopping"
    if arn in runs:
        runs[arn].stop()
    else:
        _later(arn, task, "stopping")


def fail(arn: str, stop_reason: str, message: str) -> None:
    """Let the task fail: at once when it runs, else as soon as it is started."""
    task = find(arn)
    if task.status == "running":
        if arn in runs:
            runs.pop(arn).leave()
        _arrive(arn, task, "failed", stop_reason, message)
    else:
        task.fails_next = (stop_reason, message)


def require_at_rest(arn: str, done: str) -> None:
    """Raise the fault that refuses to have something `done` to a task that runs."""
    status = find(arn).status
    if status in _BUSY:
        raise wrong_state(_CANNOT_BE.format(done=done, status=status))


def handlers() -> dict[str, Handlers]:
    """CloudFormation's handlers of tasks: neither an update nor a deletion stops a task that runs."""
    inner = records.handlers(TYPE)

    def create(logical_id: str, given: Mapping[str, Json], stack: str) -> Made:
        check(given)
        made: Made = inner["create"](logical_id, given, stack)
        return made

    def update(physical_id: str, old: Mapping[str, Json], new: Mapping[str, Json], stack: str, logical_id: str) -> Made:
        if {key: value for key, value in old.items() if key != "Tags"} != {k: v for k, v in new.items() if k != "Tags"}:
            _as_cloudformation(physical_id, "modified")
        check(new)
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        return made

    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        if physical_id in records.find(TYPE):
            _as_cloudformation(physical_id, "deleted")
            drop_slot(physical_id)
        _tasks.pop(physical_id, None)
        inner["delete"](physical_id, properties)

    return {TYPE: {**inner, "create": create, "update": update, "delete": delete}}


def check(given: Mapping[str, Json]) -> None:
    """Refuse table mappings and settings that DMS does not take. Raises ValueError, as the reason of a stack event."""
    try:
        mappings.check(given["TableMappings"])
        settings.read(given.get("ReplicationTaskSettings"))
    except Fault as fault:
        raise ValueError(f"{fault} (Service: DatabaseMigration, Status Code: 400, Error Code: {fault.code})") from fault


def drop_slot(arn: str) -> None:
    """Drop the slot that a task has made, as DMS does when the task is deleted; a source that is gone keeps its own."""
    task = find(arn)
    if not task.slot:
        return
    try:
        with endpoints.find(properties(arn)["SourceEndpointArn"]).connect() as session:
            capture.drop_slot(session, task.slot)
    except (psycopg.Error, endpoints.Unusable) as error:
        logger.warning("the slot %s of %s stays: %s", task.slot, arn, error)


def close() -> None:
    """End all runs without a word: the server ends, and the next one goes on."""
    for each in list(runs.values()):
        each.leave()
    for each in list(runs.values()):
        each.join(STOP_SECONDS)


def _as_cloudformation(arn: str, done: str) -> None:
    """Say the fault as the reason of a stack event."""
    try:
        require_at_rest(arn, done)
    except Fault as fault:
        raise ValueError(f"{fault} (Service: DatabaseMigration, Status Code: 400, Error Code: {fault.code})") from fault


def take_up() -> None:
    """Go on with the tasks that were on their way when the last server ended."""
    for (account, region, arn), task in list(entries(_tasks).items()):
        with request_scope(account, region):
            if task.real and task.status in ("starting", "running"):
                _go_on(arn, task, again=True)
            elif task.status in ("starting", "stopping"):
                _later(arn, task, task.status)


def _later(arn: str, task: Task, status: str) -> None:
    """Go on from `status` after a step, in the account and region that asked."""
    account, region = get_account_id(), get_region()
    began = time.monotonic()

    def go_on_in_time() -> None:
        left = began + task.step_seconds - time.monotonic()
        timer = threading.Timer(min(left, SETTINGS_SECONDS), go_on_in_time if left > 0 else go_on)
        timer.daemon = True
        timer.start()

    def go_on() -> None:
        with request_scope(account, region):
            if task.status != status or arn not in records.find(TYPE):
                return
            if status == "stopping":
                _arrive(arn, task, "stopped", "Stop Reason NORMAL", "")
            elif task.fails_next:
                reason, task.fails_next = task.fails_next, None
                _arrive(arn, task, "failed", *reason)
            else:
                _arrive(arn, task, "running", "", "")

    go_on_in_time()


def _arrive(arn: str, task: Task, status: str, stop_reason: str, failure: str) -> None:
    again = status == task.status
    if status != "running":
        task.statistics |= {"StopDate": time.time()}
    elif not task.real:
        task.statistics.setdefault("FullLoadProgressPercent", 100)
    task.stop_reason, task.failure = stop_reason, failure
    task.status = status  # last: who sees it sees what belongs to it, too
    state.touched.set()
    if again:  # taken up after the server was killed
        return
    detail = {
        "eventId": _EVENTS[status],
        "eventType": f"REPLICATION_TASK_{'STARTED' if status == 'running' else status.upper()}",
        "type": "REPLICATION_TASK",
        "category": "Failure" if status == "failed" else "StateChange",
        "detailMessage": f"Replication task has {'started' if status == 'running' else status}. {stop_reason}".strip(),
        "resourceLink": "",
    }
    entry = {
        "Source": "aws.dms",
        "DetailType": "DMS Replication Task State Change",
        "Resources": [arn],
        "Detail": json.dumps(detail),
    }
    eventbridge.put_events({"Entries": [entry]}, allow_aws_source=True)


TARGET = "StackferryDms"
"""Tests change a task by one operation beside the API, at the same address; account and region are those of the ARN:

    POST /  X-Amz-Target: StackferryDms.Drive
    {"ReplicationTaskArn": "arn:aws:dms:...:task:...",
     "ReplicationTaskStats": {"FullLoadProgressPercent": 40, "TablesLoaded": 2, ...},
     "TableStatistics": [{"SchemaName": "payments", "TableName": "orders", "FullLoadRows": 7}, ...],
     "Failure": {"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "..."},
     "StepSeconds": 0.3}
    {"EndpointArn": "arn:aws:dms:...:endpoint:...", "ConnectionFailure": "..."}

All but the ARN may be left out. Statistics are merged into those that are there, and tables replace them; a task whose
progress nobody decides has nothing to load, and is done with it at once. A failure comes at once to a task that runs,
and to any other when it is started next. StepSeconds is how long starting and stopping last; a change of it also
reaches a task that starts or stops. ConnectionFailure lets every further test of the endpoint's connection fail; empty,
succeed again.
"""


def drive(request: dict[str, Json]) -> dict[str, Json]:
    """Do what the request says. Raises the fault ResourceNotFoundFault for a task that is not there."""
    arn = str(request.get("ReplicationTaskArn") or request["EndpointArn"])
    _, _, _, region, account, *_ = arn.split(":")
    with request_scope(account, region):
        if "ConnectionFailure" in request:
            connections.refuse(str(request["EndpointArn"]), str(request["ConnectionFailure"]))
            return {}
        task = find(arn)
        task.step_seconds = float(request.get("StepSeconds", task.step_seconds))
        task.statistics |= request.get("ReplicationTaskStats", {})
        task.tables = request.get("TableStatistics", task.tables)
        if "Failure" in request:
            fail(arn, request["Failure"]["StopReason"], request["Failure"]["LastFailureMessage"])
    return {}
