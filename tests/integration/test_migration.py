"""The migration that was really made: DMS, its endpoints and its task."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def task(client: Any, outputs: dict[str, str]) -> dict[str, Any]:
    by_arn = [{"Name": "replication-task-arn", "Values": [outputs["replicationTaskArn"]]}]
    (found,) = client("dms").describe_replication_tasks(Filters=by_arn)["ReplicationTasks"]
    described: dict[str, Any] = found
    return described


@pytest.fixture(scope="module")
def instance(client: Any, outputs: dict[str, str]) -> dict[str, Any]:
    by_arn = [{"Name": "replication-instance-arn", "Values": [outputs["dmsReplicationInstanceArn"]]}]
    (found,) = client("dms").describe_replication_instances(Filters=by_arn)["ReplicationInstances"]
    described: dict[str, Any] = found
    return described


@pytest.fixture(scope="module", params=["sourceEndpointArn", "targetEndpointArn"])
def endpoint(client: Any, outputs: dict[str, str], request: pytest.FixtureRequest) -> dict[str, Any]:
    by_arn = [{"Name": "endpoint-arn", "Values": [outputs[request.param]]}]
    (found,) = client("dms").describe_endpoints(Filters=by_arn)["Endpoints"]
    described: dict[str, Any] = found
    return described


def test_the_replication_instance_is_private_and_encrypted_with_the_phases_key(
    instance: dict[str, Any], outputs: dict[str, str]
) -> None:
    assert instance["PubliclyAccessible"] is False
    assert instance["KmsKeyId"].endswith(outputs["kmsKeyId"])


def test_the_endpoints_read_secrets_and_carry_no_credentials(endpoint: dict[str, Any]) -> None:
    settings = endpoint["PostgreSQLSettings"]
    assert {"SecretsManagerSecretId", "SecretsManagerAccessRoleArn"} <= set(settings)
    assert not {"Username", "Password", "ServerName"} & set(settings)


def test_the_endpoints_are_reached_over_tls_and_the_target_is_verified_in_full(endpoint: dict[str, Any]) -> None:
    allowed = {"SOURCE": {"require", "verify-full"}, "TARGET": {"verify-full"}}
    assert endpoint["SslMode"].lower() in allowed[endpoint["EndpointType"].upper()]


def test_the_task_loads_and_follows_and_was_not_started_by_its_stack(task: dict[str, Any]) -> None:
    assert task["MigrationType"] == "full-load-and-cdc"
    assert task["Status"] in ("ready", "stopped", "running")
