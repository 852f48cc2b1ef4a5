"""The operations of the API of DMS, what IAM has to know of a request, and the way that requests take to them.

Source for IAM: Service Authorization Reference, "AWS Database Migration Service": resource types and condition keys.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.responses import error_response_json, json_response

from builders.cloud.cloudformation import records
from builders.cloud.dms import assessments, connections, describing, mappings, settings, tasks
from builders.cloud.dms.connections import ENDPOINT
from builders.cloud.dms.faults import Fault
from builders.cloud.dms.tasks import TYPE
from builders.cloud.patches import patch
from builders.cloud.server import state
from builders.resource_types import Json

_NAMED_BY = {"ReplicationTaskArn": (TYPE, "task"), "EndpointArn": (ENDPOINT, "es")}
"""The member of a request that names its resource: {member: (type, what the condition key calls it)}."""


@patch("ministack.core.iam_actions.extract_resource_arn", why="the resource of a request to DMS is unknown")
def _resource_arn(original: Any, service: str, method: str, path: str, headers: Json, body: bytes, *more: Any) -> str:
    return _named(body)[1] if service == "dms" else str(original(service, method, path, headers, body, *more))


@patch("ministack.core.iam_actions.request_tag_context", why="the tags of DMS's resources are unknown")
def _tag_context(original: Any, service: str, action: str, body: bytes, parameters: Json) -> dict[str, Json]:
    tags: dict[str, Json] = original(service, action, body, parameters)
    return tags | _resource_tags(body) if service == "dms" else tags


def _named(body: bytes) -> tuple[str, str]:
    """The member that names the request's resource, and the resource: "*" where it names none."""
    request = json.loads(body or b"{}")
    return next(((member, str(request[member])) for member in _NAMED_BY if member in request), ("", "*"))


def _resource_tags(body: bytes) -> dict[str, Json]:
    """The tags of the resource, under the key of DMS and under the one of all services."""
    member, arn = _named(body)
    if not member:
        return {}
    kind, word = _NAMED_BY[member]
    tags = records.find(kind).get(arn, {}).get("Properties", {}).get("Tags") or []
    prefixes = (f"dms:{word}-tag", "aws:ResourceTag")
    return {f"{prefix}/{tag['Key']}".lower(): tag["Value"] for prefix in prefixes for tag in tags}


Request = Mapping[str, Json]
Answer = dict[str, Json]

_MODIFIABLE = ("TableMappings", "ReplicationTaskSettings", "CdcStartPosition", "CdcStopPosition", "TaskData")
_START_POSITIONS = ("CdcStartPosition", "CdcStopPosition")
_TABLE_FILTERS = {"schema-name": "SchemaName", "table-name": "TableName", "table-state": "TableState"}


def install() -> None:
    """Let ministack route requests to DMS here."""
    router.SERVICE_PATTERNS["dms"] = {"target_prefixes": ["AmazonDMSv20160101", tasks.TARGET]}
    app.SERVICE_HANDLERS["dms"] = _handle
    iam_actions.SERVICE_TO_IAM_NAMESPACE["dms"] = "dms"
    state.keep(
        "dms",
        {"tasks": tasks._tasks, **connections.stores(), **assessments.stores()},
        *(tasks.Task, connections.Connection, assessments.AssessmentRun),
        take_up=_take_up,
    )


def _take_up() -> None:
    tasks.take_up()
    connections.take_up()
    assessments.take_up()


async def _handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    target, _, operation = headers.get("x-amz-target", "").partition(".")
    action = tasks.drive if target == tasks.TARGET else _ACTIONS.get(operation)
    if action is None:
        return error_response_json("UnknownOperationException", f"{operation} is not offered by the embedded cloud")
    try:
        return json_response(action(_parsed(body)), content_type="application/x-amz-json-1.1")
    except Fault as fault:
        return error_response_json(fault.code, str(fault))


def _parsed(body: bytes) -> dict[str, Json]:
    parsed: dict[str, Json] = json.loads(body or b"{}")
    return parsed


def _start(request: Request) -> Answer:
    arn = request["ReplicationTaskArn"]
    tasks.find(arn)
    connections.require_success(_properties(arn))
    _properties(arn).update({name: request[name] for name in _START_POSITIONS if name in request})
    tasks.start(arn, request["StartReplicationTaskType"])
    return _task(arn)


def _stop(request: Request) -> Answer:
    tasks.stop(request["ReplicationTaskArn"])
    return _task(request["ReplicationTaskArn"])


def _modify(request: Request) -> Answer:
    arn = request["ReplicationTaskArn"]
    tasks.require_at_rest(arn, "modified")
    changed = {name: request[name] for name in _MODIFIABLE if name in request}
    mappings.read(changed.get("TableMappings") or _properties(arn)["TableMappings"])
    settings.read(changed.get("ReplicationTaskSettings"))
    _properties(arn).update(changed)
    return _task(arn)


def _test(request: Request) -> Answer:
    return {"Connection": connections.test(request["ReplicationInstanceArn"], request["EndpointArn"])}


def _table_statistics(request: Request) -> Answer:
    arn = request["ReplicationTaskArn"]
    found = describing.filtered(tasks.find(arn).tables, request.get("Filters") or [], _TABLE_FILTERS)
    answer = describing.page("TableStatistics", found, request, describing.LARGEST_PAGE_OF_TABLES)
    return {"ReplicationTaskArn": arn, **answer}


def _tags(request: Request) -> Answer:
    arns = [request["ResourceArn"]] if "ResourceArn" in request else request["ResourceArnList"]
    return {"TagList": [{**tag, "ResourceArn": arn} for arn in arns for tag in describing.tags(arn)]}


def _properties(arn: str) -> dict[str, Json]:
    return tasks.properties(arn)


def _task(arn: str) -> Answer:
    return {"ReplicationTask": describing.task(arn, records.find(tasks.TYPE)[arn])}


_ACTIONS: dict[str, Callable[[Request], Answer]] = {
    "StartReplicationTask": _start,
    "StopReplicationTask": _stop,
    "ModifyReplicationTask": _modify,
    "TestConnection": _test,
    "DescribeTableStatistics": _table_statistics,
    "ListTagsForResource": _tags,
    "StartReplicationTaskAssessmentRun": assessments.start,
    "DeleteReplicationTaskAssessmentRun": assessments.delete,
    "DescribeApplicableIndividualAssessments": assessments.applicable,
    **{name: functools.partial(describing.answer, each) for name, each in describing.LISTINGS.items()},
}
