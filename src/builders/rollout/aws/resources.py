"""Single resources of an account: what is read before a rollout, and deleted when all of a phase goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.rollout.aws.calls import Session
from builders.rollout.aws.errors import NotFound


@dataclass(frozen=True)
class IamRole:
    """A role: its ARN, and its trust policy as it is stored."""

    arn: str
    trust: Mapping[str, Any]


def role(session: Session, name: str) -> IamRole | None:
    """A role by its name; None when the account has none."""
    try:
        found = session.ask("iam", "GetRole", RoleName=name)["Role"]
    except NotFound:
        return None
    trust = found.get("AssumeRolePolicyDocument") or {}
    return IamRole(found["Arn"], json.loads(trust) if isinstance(trust, str) else trust)


def may_assume(session: Session, role_arn: str, other_arn: str) -> bool:
    """True when the policies of a role let it assume another one, which must trust it besides."""
    request = {"PolicySourceArn": role_arn, "ActionNames": ["sts:AssumeRole"], "ResourceArns": [other_arn]}
    results = session.ask("iam", "SimulatePrincipalPolicy", **request)["EvaluationResults"]
    return all(each["EvalDecision"] == "allowed" for each in results)


def database(session: Session, instance: str) -> str:
    """The DbiResourceId of a database instance: the next one of the same name has another."""
    (found,) = session.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=instance)["DBInstances"]
    return str(found["DbiResourceId"])


def snapshots(session: Session, instance: str, resource_id: str) -> tuple[str, ...]:
    """The manual snapshots of a database instance, oldest first; the one that CloudFormation takes is among them."""
    request = {"DBInstanceIdentifier": instance, "SnapshotType": "manual"}
    listed = session.pages("rds", "DescribeDBSnapshots", **request)
    found = [each for each in listed if each.get("DbiResourceId", resource_id) == resource_id]
    # One that is being taken has no time yet (RDS API reference, DBSnapshot).
    found.sort(key=lambda each: (each.get("SnapshotCreateTime") is None, each.get("SnapshotCreateTime")))
    return tuple(each["DBSnapshotIdentifier"] for each in found)


def delete_secret(session: Session, arn: str, days: int) -> None:
    """Delete a secret, which can be restored for so many days (7 to 30); one that is scheduled already stays so."""
    if "DeletedDate" not in session.ask("secretsmanager", "DescribeSecret", SecretId=arn):
        session.ask("secretsmanager", "DeleteSecret", SecretId=arn, RecoveryWindowInDays=days)


def schedule_key_deletion(session: Session, key: str, days: int) -> None:
    """Let KMS delete a key after so many days (7 to 30); until then the deletion can be cancelled."""
    if session.ask("kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        session.ask("kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=days)


def delete_role(session: Session, name: str) -> None:
    """Detach the role's policies, and delete it."""
    for policy in list(session.pages("iam", "ListAttachedRolePolicies", RoleName=name)):
        session.ask("iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for inline in list(session.pages("iam", "ListRolePolicies", RoleName=name)):
        session.ask("iam", "DeleteRolePolicy", RoleName=name, PolicyName=inline)
    session.ask("iam", "DeleteRole", RoleName=name)
