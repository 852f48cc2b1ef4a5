"""Single resources of an account: what is read before a rollout, and deleted when all of a phase goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.rollout.aws.access import Session
from builders.rollout.aws.calls import ApiCalls
from builders.rollout.aws.errors import NotFound


@dataclass(frozen=True)
class IamRole:
    """A role: its ARN, and its trust policy as it is stored."""

    arn: str
    trust: Mapping[str, Any]


def role(calls: ApiCalls, session: Session, name: str) -> IamRole | None:
    """A role by its name; None when the account has none."""
    try:
        found = calls.ask(session, "iam", "GetRole", RoleName=name)["Role"]
    except NotFound:
        return None
    trust = found.get("AssumeRolePolicyDocument") or {}
    return IamRole(found["Arn"], json.loads(trust) if isinstance(trust, str) else trust)


def may_assume(calls: ApiCalls, session: Session, role_arn: str, other_arn: str) -> bool:
    """True when the policies of a role let it assume another one, which must trust it besides."""
    request = {"PolicySourceArn": role_arn, "ActionNames": ["sts:AssumeRole"], "ResourceArns": [other_arn]}
    results = calls.ask(session, "iam", "SimulatePrincipalPolicy", **request)["EvaluationResults"]
    return all(each["EvalDecision"] == "allowed" for each in results)


def database(calls: ApiCalls, session: Session, instance: str) -> str:
    """The DbiResourceId of a database instance: the next one of the same name has another."""
    (found,) = calls.ask(session, "rds", "DescribeDBInstances", DBInstanceIdentifier=instance)["DBInstances"]
    return str(found["DbiResourceId"])


def snapshots(calls: ApiCalls, session: Session, instance: str, resource_id: str) -> tuple[str, ...]:
    """The manual snapshots of a database instance, oldest first; the one that CloudFormation takes is among them."""
    request = {"DBInstanceIdentifier": instance, "SnapshotType": "manual"}
    listed = calls.pages(session, "rds", "DescribeDBSnapshots", **request)
    found = [each for each in listed if each.get("DbiResourceId", resource_id) == resource_id]
    # One that is being taken has no time yet (RDS API reference, DBSnapshot).
    found.sort(key=lambda each: (each.get("SnapshotCreateTime") is None, each.get("SnapshotCreateTime")))
    return tuple(each["DBSnapshotIdentifier"] for each in found)


def delete_secret(calls: ApiCalls, session: Session, arn: str, days: int) -> None:
    """Delete a secret, which can be restored for so many days (7 to 30); one that is scheduled already stays so."""
    if "DeletedDate" not in calls.ask(session, "secretsmanager", "DescribeSecret", SecretId=arn):
        calls.ask(session, "secretsmanager", "DeleteSecret", SecretId=arn, RecoveryWindowInDays=days)


def schedule_key_deletion(calls: ApiCalls, session: Session, key: str, days: int) -> None:
    """Let KMS delete a key after so many days (7 to 30); until then the deletion can be cancelled."""
    if calls.ask(session, "kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        calls.ask(session, "kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=days)


def delete_log_group(calls: ApiCalls, session: Session, name: str) -> None:
    """Delete a log group with its logs."""
    calls.ask(session, "logs", "DeleteLogGroup", logGroupName=name)


def delete_snapshot(calls: ApiCalls, session: Session, identifier: str) -> None:
    """Delete a snapshot of a database."""
    calls.ask(session, "rds", "DeleteDBSnapshot", DBSnapshotIdentifier=identifier)


def delete_role(calls: ApiCalls, session: Session, name: str) -> None:
    """Detach the role's policies, and delete it."""
    for policy in list(calls.pages(session, "iam", "ListAttachedRolePolicies", RoleName=name)):
        calls.ask(session, "iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for inline in list(calls.pages(session, "iam", "ListRolePolicies", RoleName=name)):
        calls.ask(session, "iam", "DeleteRolePolicy", RoleName=name, PolicyName=inline)
    calls.ask(session, "iam", "DeleteRole", RoleName=name)
