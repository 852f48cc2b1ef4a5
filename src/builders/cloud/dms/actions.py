"""The operations of the API, and the way that requests take to them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, json_response

from builders.cloud import keeping, records
from builders.cloud.dms import authorization, connections, describing, driving, listing, tasks
from builders.cloud.dms.faults import Fault
from builders.cloud.schemas import Json

Request = Mapping[str, Json]
Answer = dict[str, Json]

_MODIFIABLE = ("TableMappings", "ReplicationTaskSettings", "CdcStartPosition", "CdcStopPosition", "TaskData")
_TABLE_FILTERS = {"schema-name": "SchemaName", "table-name": "TableName", "table-state": "TableState"}


def install() -> None:
    """Let ministack route requests to DMS here."""
    router.SERVICE_PATTERNS["dms"] = {"target_prefixes": ["AmazonDMSv20160101", driving.TARGET]}
    app.SERVICE_HANDLERS["dms"] = _handle
    authorization.install()
    keeping.keep(
        "dms", {"tasks": tasks._tasks, **connections.stores()}, tasks.Task, connections.Connection, take_up=_take_up
    )


def _take_up() -> None:
    tasks.take_up()
    connections.take_up()


async def _handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    target, _, operation = headers.get("x-amz-target", "").partition(".")
    action = driving.drive if target == driving.TARGET else _ACTIONS.get(operation)
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
    tasks.start(arn, request["StartReplicationTaskType"])
    return _task(arn)


def _stop(request: Request) -> Answer:
    tasks.stop(request["ReplicationTaskArn"])
    return _task(request["ReplicationTaskArn"])


def _modify(request: Request) -> Answer:
    arn = request["ReplicationTaskArn"]
    tasks.require_at_rest(arn, "modified")
    _properties(arn).update({name: request[name] for name in _MODIFIABLE if name in request})
    return _task(arn)


def _test(request: Request) -> Answer:
    return {"Connection": connections.test(request["ReplicationInstanceArn"], request["EndpointArn"])}


def _table_statistics(request: Request) -> Answer:
    arn = request["ReplicationTaskArn"]
    found = listing.filtered(tasks.find(arn).tables, request.get("Filters") or [], _TABLE_FILTERS)
    answer = listing.page("TableStatistics", found, request, listing.LARGEST_PAGE_OF_TABLES)
    return {"ReplicationTaskArn": arn, **answer}


def _tags(request: Request) -> Answer:
    wanted = [request["ResourceArn"]] if "ResourceArn" in request else request["ResourceArnList"]
    return {"TagList": [{**tag, "ResourceArn": arn} for arn in wanted for tag in describing.tags(arn)]}


def _properties(arn: str) -> dict[str, Json]:
    properties: dict[str, Json] = records.find(tasks.TYPE)[arn]["Properties"]
    return properties


def _task(arn: str) -> Answer:
    return {"ReplicationTask": describing.task(arn, records.find(tasks.TYPE)[arn])}


_ACTIONS: dict[str, Callable[[Request], Answer]] = {
    "StartReplicationTask": _start,
    "StopReplicationTask": _stop,
    "ModifyReplicationTask": _modify,
    "TestConnection": _test,
    "DescribeTableStatistics": _table_statistics,
    "ListTagsForResource": _tags,
    **{name: functools.partial(listing.answer, each) for name, each in describing.LISTINGS.items()},
}
