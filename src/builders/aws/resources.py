"""Single resources, as the services that they belong to describe and delete them: alarms, roles, snapshots, keys ..."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders.aws import stacks
from builders.aws.calls import Session
from builders.aws.errors import NotFound

TASK = "AWS::DMS::ReplicationTask"
UNMODIFIABLE = ("creating", "deleting", "modifying", "moving", "running", "starting", "stopping", "testing")
"""Statuses of a task in which DMS does not modify it (DMS user guide, "Modifying a task"; API reference,
ReplicationTask)."""


@dataclass(frozen=True)
class Alarm:
    """A CloudWatch alarm. `state` is OK, ALARM or INSUFFICIENT_DATA."""

    name: str
    state: str
    actions_enabled: bool


def alarms(session: Session, prefixes: Iterable[str]) -> list[Alarm]:
    """Alarms whose names begin so, metric and composite ones, sorted by name."""
    found: dict[str, Alarm] = {}
    for prefix in prefixes:
        for kind in ("MetricAlarm", "CompositeAlarm"):
            request = {"AlarmNamePrefix": prefix, "AlarmTypes": [kind], "MaxRecords": 100}
            for each in session.pages("cloudwatch", "DescribeAlarms", **request):
                alarm = Alarm(each["AlarmName"], each["StateValue"], each.get("ActionsEnabled", True))
                found[alarm.name] = alarm
    return [found[name] for name in sorted(found)]


def has_running_task(session: Session, stack: str) -> bool:
    """True when a replication task of the stack runs, so that DMS refuses to modify it."""
    arns = [each.physical_id for each in stacks.resources(session, stack) if each.type == TASK]
    if not arns:
        return False
    filters = [{"Name": "replication-task-arn", "Values": arns}]
    try:
        tasks = list(session.pages("dms", "DescribeReplicationTasks", Filters=filters, WithoutSettings=True))
    except NotFound:
        return False
    return any(each["Status"] in UNMODIFIABLE for each in tasks)


@dataclass(frozen=True)
class FunctionCode:
    """A Lambda function, and the SHA-256 of its code in hexadecimal."""

    name: str
    sha256: str


def functions(session: Session, stack: str) -> dict[str, FunctionCode]:
    """The code of a stack's functions, by their logical ids."""
    found: dict[str, FunctionCode] = {}
    for each in stacks.resources(session, stack):
        if each.type == "AWS::Lambda::Function":
            answer = session.ask("lambda", "GetFunctionConfiguration", FunctionName=each.physical_id)
            digest = base64.b64decode(answer["CodeSha256"]).hex()
            found[each.logical_id] = FunctionCode(each.physical_id, digest)
    return found


@dataclass(frozen=True)
class IamRole:
    """A role: its ARN, and its trust policy as it is stored."""

    arn: str
    trust: Mapping[str, Any]


def iam_role(session: Session, name: str) -> IamRole | None:
    """A role by its name; None when the account has none."""
    try:
        found = session.ask("iam", "GetRole", RoleName=name)["Role"]
    except NotFound:
        return None
    trust = found.get("AssumeRolePolicyDocument") or {}
    return IamRole(found["Arn"], json.loads(trust) if isinstance(trust, str) else trust)


def delete_role(session: Session, name: str) -> None:
    """Delete a role with its inline policies; managed ones are detached. Raises `NotFound`."""
    for policy in list(session.pages("iam", "ListAttachedRolePolicies", RoleName=name)):
        session.ask("iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for inline in list(session.pages("iam", "ListRolePolicies", RoleName=name)):
        session.ask("iam", "DeleteRolePolicy", RoleName=name, PolicyName=inline)
    session.ask("iam", "DeleteRole", RoleName=name)


def denied_actions(session: Session, role_arn: str, actions: Iterable[str], resource: str) -> list[str]:
    """Return the actions that a role's policies do not allow on a resource, as IAM simulates them."""
    request = {"PolicySourceArn": role_arn, "ActionNames": list(actions), "ResourceArns": [resource]}
    results = session.ask("iam", "SimulatePrincipalPolicy", **request)["EvaluationResults"]
    return [each["EvalActionName"] for each in results if each["EvalDecision"] != "allowed"]


def database_resource_id(session: Session, instance: str) -> str:
    """The DbiResourceId of a database instance: the next one of the same name has another."""
    (found,) = session.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=instance)["DBInstances"]
    return str(found["DbiResourceId"])


def manual_snapshots(session: Session, instance: str, resource_id: str) -> dict[str, int]:
    """The manual snapshots of a database instance with their GiB, oldest first; the one that CloudFormation takes is
    among them."""
    request = {"DBInstanceIdentifier": instance, "SnapshotType": "manual"}
    listed = session.pages("rds", "DescribeDBSnapshots", **request)
    found = [each for each in listed if each.get("DbiResourceId", resource_id) == resource_id]
    # One that is being taken has no time yet (RDS API reference, DBSnapshot).
    found.sort(key=lambda each: (each.get("SnapshotCreateTime") is None, each.get("SnapshotCreateTime")))
    return {each["DBSnapshotIdentifier"]: each.get("AllocatedStorage", 0) for each in found}


def schedule_secret_deletion(session: Session, name: str, days: int) -> None:
    """Delete a secret, which can be restored for so many days; one that is scheduled already stays so. Raises
    `NotFound`."""
    if "DeletedDate" not in session.ask("secretsmanager", "DescribeSecret", SecretId=name):
        session.ask("secretsmanager", "DeleteSecret", SecretId=name, RecoveryWindowInDays=days)


def schedule_key_deletion(session: Session, name: str, days: int) -> None:
    """Delete a key after so many days; one that is scheduled already stays so. Raises `NotFound`."""
    if session.ask("kms", "DescribeKey", KeyId=name)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        session.ask("kms", "ScheduleKeyDeletion", KeyId=name, PendingWindowInDays=days)
