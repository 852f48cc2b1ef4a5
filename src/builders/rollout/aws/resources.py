"""Single resources of an account, and roles: what is read before a rollout, and deleted when all of a phase goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.rollout.aws.access import Session
from builders.rollout.aws.calls import ApiCalls
from builders.rollout.aws.errors import Refused

GONE = ("NoSuchEntity", "ResourceNotFoundException", "DBSnapshotNotFound", "NotFoundException", "NoSuchBucket", "404")
"""How services say that a thing is not there."""


STANDING = (
    *("CREATE_IN_PROGRESS", "CREATE_FAILED", "CREATE_COMPLETE"),
    *("ROLLBACK_IN_PROGRESS", "ROLLBACK_FAILED", "ROLLBACK_COMPLETE"),
    *("DELETE_IN_PROGRESS", "DELETE_FAILED"),
    *("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE", "UPDATE_FAILED"),
    *("UPDATE_ROLLBACK_IN_PROGRESS", "UPDATE_ROLLBACK_FAILED", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"),
    "UPDATE_ROLLBACK_COMPLETE",
)
"""Statuses of stacks that are there; deleted ones are listed for 90 days (API reference, ListStacks)."""


@dataclass(frozen=True)
class StackResource:
    """A resource of a stack (ListStackResources)."""

    logical_id: str
    type: str
    physical_id: str
    status: str


@dataclass(frozen=True)
class IamRole:
    """A role: its ARN, and its trust policy as it is stored."""

    arn: str
    trust: Mapping[str, Any]


def of_stack(calls: ApiCalls, where: Session, stack: str) -> tuple[StackResource, ...]:
    """Every resource of a stack that has been made, whatever its status."""
    found = calls.pages(where, "cloudformation", "ListStackResources", "StackResourceSummaries", StackName=stack)
    return tuple(
        StackResource(each["LogicalResourceId"], each["ResourceType"], each["PhysicalResourceId"], status)
        for each in found
        if each.get("PhysicalResourceId") and (status := each["ResourceStatus"]) != "DELETE_COMPLETE"
    )


def stacks_named(calls: ApiCalls, where: Session, prefix: str) -> dict[str, str]:
    """The stacks of an account and region whose names begin so, with their statuses: as few calls as pages."""
    found = calls.pages(where, "cloudformation", "ListStacks", "StackSummaries", StackStatusFilter=list(STANDING))
    return {each["StackName"]: each["StackStatus"] for each in found if each["StackName"].startswith(prefix)}


def role(calls: ApiCalls, where: Session, name: str) -> IamRole | None:
    """A role by its name; None when the account has none."""
    try:
        found = calls.ask(where, "iam", "GetRole", RoleName=name)["Role"]
    except Refused as refused:
        if refused.code in GONE:
            return None
        raise
    trust = found.get("AssumeRolePolicyDocument") or {}
    return IamRole(found["Arn"], json.loads(trust) if isinstance(trust, str) else trust)


def may_assume(calls: ApiCalls, where: Session, role_arn: str, other_arn: str) -> bool:
    """Whether the policies of a role let it assume another one, which must trust it besides."""
    request = {"PolicySourceArn": role_arn, "ActionNames": ["sts:AssumeRole"], "ResourceArns": [other_arn]}
    results = calls.ask(where, "iam", "SimulatePrincipalPolicy", **request)["EvaluationResults"]
    return all(each["EvalDecision"] == "allowed" for each in results)


def database(calls: ApiCalls, where: Session, instance: str) -> str:
    """The DbiResourceId of a database instance: the next one of the same name has another."""
    (found,) = calls.ask(where, "rds", "DescribeDBInstances", DBInstanceIdentifier=instance)["DBInstances"]
    return str(found["DbiResourceId"])


def snapshots(calls: ApiCalls, where: Session, instance: str, resource_id: str) -> tuple[str, ...]:
    """The manual snapshots of a database instance, oldest first; the one that CloudFormation takes is among them."""
    found: list[Any] = []
    request: dict[str, Any] = {"DBInstanceIdentifier": instance, "SnapshotType": "manual"}
    while True:
        answer = calls.ask(where, "rds", "DescribeDBSnapshots", **request)
        found += [each for each in answer["DBSnapshots"] if each.get("DbiResourceId", resource_id) == resource_id]
        if not answer.get("Marker"):
            break
        request["Marker"] = answer["Marker"]
    # One that is being taken has no time yet (RDS API reference, DBSnapshot).
    found.sort(key=lambda each: (each.get("SnapshotCreateTime") is None, each.get("SnapshotCreateTime")))
    return tuple(each["DBSnapshotIdentifier"] for each in found)


def delete_secret(calls: ApiCalls, where: Session, arn: str, days: int) -> None:
    """Delete a secret; it can be brought back for so many days (7 to 30). One that is on its way out is let be."""
    if "DeletedDate" not in calls.ask(where, "secretsmanager", "DescribeSecret", SecretId=arn):
        calls.ask(where, "secretsmanager", "DeleteSecret", SecretId=arn, RecoveryWindowInDays=days)


def schedule_key_deletion(calls: ApiCalls, where: Session, key: str, days: int) -> None:
    """Let KMS delete a key after so many days (7 to 30), until when it can be taken back."""
    if calls.ask(where, "kms", "DescribeKey", KeyId=key)["KeyMetadata"]["KeyState"] != "PendingDeletion":
        calls.ask(where, "kms", "ScheduleKeyDeletion", KeyId=key, PendingWindowInDays=days)


def delete_log_group(calls: ApiCalls, where: Session, name: str) -> None:
    """Delete a log group with its logs."""
    calls.ask(where, "logs", "DeleteLogGroup", logGroupName=name)


def delete_snapshot(calls: ApiCalls, where: Session, identifier: str) -> None:
    """Delete a snapshot of a database."""
    calls.ask(where, "rds", "DeleteDBSnapshot", DBSnapshotIdentifier=identifier)


def delete_role(calls: ApiCalls, where: Session, name: str) -> None:
    """Detach the role's policies, and delete it."""
    attached = calls.ask(where, "iam", "ListAttachedRolePolicies", RoleName=name)["AttachedPolicies"]
    for policy in attached:
        calls.ask(where, "iam", "DetachRolePolicy", RoleName=name, PolicyArn=policy["PolicyArn"])
    for inline in calls.ask(where, "iam", "ListRolePolicies", RoleName=name)["PolicyNames"]:
        calls.ask(where, "iam", "DeleteRolePolicy", RoleName=name, PolicyName=inline)
    calls.ask(where, "iam", "DeleteRole", RoleName=name)
