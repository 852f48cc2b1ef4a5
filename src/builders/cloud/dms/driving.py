"""What a test decides about a task: its progress, its tables, its failures.

One operation beside the API, at the same address; the account and region are those of the ARN:

    POST /  X-Amz-Target: StackferryDms.Drive
    {"ReplicationTaskArn": "arn:aws:dms:...:task:...",
     "ReplicationTaskStats": {"FullLoadProgressPercent": 40, "TablesLoaded": 2, ...},
     "TableStatistics": [{"SchemaName": "payments", "TableName": "orders", "FullLoadRows": 7}, ...],
     "Failure": {"StopReason": "Stop Reason FATAL_ERROR", "LastFailureMessage": "..."},
     "StepSeconds": 0.3}
    {"EndpointArn": "arn:aws:dms:...:endpoint:...", "ConnectionFailure": "..."}

All but the ARN may be left out. Statistics are merged into those that are there, and tables replace them; a task whose
progress nobody decides has nothing to load, and is done with it at once. A failure comes at once to a task that runs,
and to any other when it is started next. StepSeconds is how long starting and stopping last. ConnectionFailure lets
every further test of the endpoint's connection fail; empty, succeed again.
"""

from __future__ import annotations

from ministack.core.responses import request_scope

from builders.cloud.dms import connections, tasks
from builders.cloud.schemas import Json

TARGET = "StackferryDms"


def drive(request: dict[str, Json]) -> dict[str, Json]:
    """Do what the request says. Raises the fault ResourceNotFoundFault for a task that is not there."""
    arn = str(request.get("ReplicationTaskArn") or request["EndpointArn"])
    _, _, _, region, account, *_ = arn.split(":")
    with request_scope(account, region):
        if "ConnectionFailure" in request:
            connections.refuse(str(request["EndpointArn"]), str(request["ConnectionFailure"]))
            return {}
        task = tasks.find(arn)
        task.step_seconds = float(request.get("StepSeconds", task.step_seconds))
        task.statistics |= request.get("ReplicationTaskStats", {})
        task.tables = request.get("TableStatistics", task.tables)
        if "Failure" in request:
            tasks.fail(arn, request["Failure"]["StopReason"], request["Failure"]["LastFailureMessage"])
    return {}
