"""Alarms of the phase, and the roles that may work on it."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture(scope="module")
def alarms(client: Any) -> list[dict[str, Any]]:
    pages = client("cloudwatch").get_paginator("describe_alarms").paginate()
    return [alarm for page in pages for alarm in page["MetricAlarms"]]


def test_the_lag_alarm_counts_silence_as_lag(alarms: list[dict[str, Any]], outputs: dict[str, str]) -> None:
    (lag,) = [alarm for alarm in alarms if alarm["AlarmArn"] == outputs["replicationLagAlarmArn"]]
    facts = (lag["Namespace"], lag["Threshold"], lag["ComparisonOperator"], lag["TreatMissingData"])
    assert facts == ("AWS/DMS", 60.0, "GreaterThanThreshold", "breaching")


def test_alarms_speak_to_the_encrypted_topic(alarms: list[dict[str, Any]], outputs: dict[str, str]) -> None:
    ours = [alarm for alarm in alarms if outputs["notificationTopicArn"] in alarm["AlarmActions"]]
    assert outputs["replicationLagAlarmArn"] in {alarm["AlarmArn"] for alarm in ours}


def test_the_master_password_rotates_by_our_function_every_thirty_days(client: Any, outputs: dict[str, str]) -> None:
    secret = client("secretsmanager").describe_secret(SecretId=outputs["secretsManagerArn"])
    assert secret["RotationEnabled"] is True
    assert secret["RotationLambdaARN"] == outputs["rotationFunctionArn"]
    assert secret["RotationRules"]["ScheduleExpression"] == "rate(30 days)"


def test_functions_live_in_the_private_subnets(client: Any, outputs: dict[str, str]) -> None:
    described = client("lambda").get_function_configuration(FunctionName=outputs["rotationFunctionArn"])
    assert set(described["VpcConfig"]["SubnetIds"]) == set(outputs["privateSubnetIds"].split(","))


def test_the_operator_may_not_read_secrets(client: Any, outputs: dict[str, str]) -> None:
    iam = client("iam")
    role = outputs["operatorRoleArn"].rsplit("/", 1)[1]
    attached = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
    documents = [_document(iam, policy["PolicyArn"]) for policy in attached]
    assert attached
    assert "secretsmanager:GetSecretValue" not in json.dumps(documents)


def test_the_operator_needs_the_phases_external_id(client: Any, outputs: dict[str, str]) -> None:
    role = client("iam").get_role(RoleName=outputs["operatorRoleArn"].rsplit("/", 1)[1])["Role"]
    phase = {tag["Key"]: tag["Value"] for tag in role["Tags"]}["MigrationPhase"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"]["sts:ExternalId"] == f"migration-{phase}"


def test_the_roles_that_dms_demands_are_there(client: Any) -> None:
    names = {page["RoleName"] for page in client("iam").list_roles()["Roles"]}
    assert {"dms-vpc-role", "dms-cloudwatch-logs-role"} <= names


def test_the_phase_is_attached_to_direct_connect(outputs: dict[str, str]) -> None:
    assert outputs.get("directConnectAttachmentId", "tgw-attach-").startswith(("tgw-attach-", "vgw-"))
    assert outputs.get("directConnectVirtualInterfaceId", "dxvif-").startswith("dxvif-")


def _document(iam: Any, arn: str) -> Any:
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
