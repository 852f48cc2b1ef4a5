"""Tests of the connection from a replication instance to an endpoint.

DMS starts a task only where the last test of both its endpoints was successful (public threads: cockroach #82182), and
neither CloudFormation nor the creation of an endpoint tests.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import psycopg
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region, request_scope

from builders.cloud.cloudformation import records
from builders.cloud.dms import endpoints
from builders.cloud.dms.faults import not_found, wrong_state
from builders.cloud.internals import entries
from builders.cloud.server import state
from builders.resource_types import Json

ENDPOINT, INSTANCE = "AWS::DMS::Endpoint", "AWS::DMS::ReplicationInstance"
TEST_SECONDS = 0.3


@dataclass
class Connection:
    """The last test from an instance to an endpoint."""

    status: str = "testing"
    failure: str = ""


_connections: Any = AccountRegionScopedDict()
"""{(instance ARN, endpoint ARN): Connection}"""
_refusals: Any = AccountRegionScopedDict()
"""{endpoint ARN: why every test of it fails}"""


def test(instance: str, endpoint: str) -> dict[str, Json]:
    """Begin a test. Raises ResourceNotFoundFault."""
    if instance not in records.find(INSTANCE) or endpoint not in records.find(ENDPOINT):
        raise not_found("Replication instance or endpoint")
    connection = _connections[instance, endpoint] = Connection()
    _finish_later(connection, endpoint)
    return describe(instance, endpoint, connection)


def _finish_later(connection: Connection, endpoint: str) -> None:
    account, region = get_account_id(), get_region()

    def finish() -> None:
        with request_scope(account, region):
            refusal = _refusals.get(endpoint, "") or _try(endpoint)
        connection.failure = refusal
        connection.status = "failed" if refusal else "successful"  # last: who sees it sees the reason, too
        state.touched.set()

    timer = threading.Timer(TEST_SECONDS, finish)
    timer.daemon = True
    timer.start()


def _try(endpoint: str) -> str:
    """Connect to the database behind an endpoint, where there is one; return why that fails."""
    if not endpoints.is_real(endpoint):
        return ""
    try:
        endpoints.find(endpoint).connect().close()
    except (psycopg.Error, endpoints.Unusable) as error:
        return (
            "Test Endpoint failed: Application-Status: 1020912, Application-Message: Failed to connect, "
            f"Application-Detailed-Message: {' '.join(str(error).split())}"
        )
    return ""


def stores() -> dict[str, Json]:
    """Return what is remembered here, by name, to be kept over a restart."""
    return {"connections": _connections, "refusals": _refusals}


def take_up() -> None:
    """Finish the tests that were under way when the last server ended."""
    for (account, region, (_, endpoint)), connection in list(entries(_connections).items()):
        if connection.status == "testing":
            with request_scope(account, region):
                _finish_later(connection, endpoint)


def refuse(endpoint: str, message: str) -> None:
    """Let every further test of an endpoint fail with `message`; with none, succeed again."""
    _refusals[endpoint] = message


def require_success(task: dict[str, Json]) -> None:
    """Raise InvalidResourceStateFault unless both endpoints of a task's properties were tested with success."""
    instance = task["ReplicationInstanceArn"]
    for side in ("SourceEndpointArn", "TargetEndpointArn"):
        connection = _connections.get((instance, task[side]))
        if connection is None or connection.status != "successful":
            raise wrong_state(
                "Test connection for replication instance and endpoint should be successful for starting the "
                "replication task"
            )


def every() -> list[dict[str, Json]]:
    """All connections that were tested."""
    return [describe(instance, endpoint, connection) for (instance, endpoint), connection in _connections.items()]


def describe(instance: str, endpoint: str, connection: Connection) -> dict[str, Json]:
    """A connection as DMS describes it."""
    return {
        "ReplicationInstanceArn": instance,
        "EndpointArn": endpoint,
        "Status": connection.status,
        "LastFailureMessage": connection.failure,
        "EndpointIdentifier": endpoint.rsplit(":", 1)[-1].lower(),
        "ReplicationInstanceIdentifier": records.find(INSTANCE)
        .get(instance, {})
        .get("Properties", {})
        .get("ReplicationInstanceIdentifier", ""),
    }
