"""Accounts: the target accounts as the plan role sees them, their organization, and single resources of any account."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.aws.calls import Session, concurrently
from builders.aws.errors import AccessDenied, NotFound
from builders.errors import RolloutError
from builders.rollout.aws import stacks
from builders.rollout.aws.stacks import ResourceChange
from builders.rollout.model import DeployedStack, LayerTarget, Target, Values

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


class MemberAccounts:
    """All target accounts; each call names the target that it asks."""

    def __init__(self, session: Callable[[Target], Session]) -> None:
        self._session = session

    def deployed(self, target: Target, stack_id: str) -> DeployedStack | None:
        """A stack with its template as it was given; None when it is gone."""
        return stacks.deployed(self._session(target), stack_id)

    def deployed_many(
        self, ids: Mapping[LayerTarget, str]
    ) -> Iterator[tuple[LayerTarget, DeployedStack | RolloutError | None]]:
        """Read many stacks at once, as they come; an account that cannot be read gives its error."""

        def read(key: LayerTarget) -> DeployedStack | RolloutError | None:
            try:
                return self.deployed(key[1], ids[key])
            except RolloutError as error:
                return error

        return concurrently(read, ids)

    def outputs(self, target: Target, stack_id: str) -> dict[str, str]:
        """A stack's outputs; none when it is gone."""
        return stacks.outputs(stacks.describe(self._session(target), stack_id) or {})

    def first_failure(self, target: Target, stack_id: str) -> str:
        """The first resource that failed in the stack's last operation, and why; empty when none did."""
        found = stacks.failures(self._session(target), stack_id)
        return found[0] if found else ""

    def alarms(self, target: Target, prefixes: Iterable[str]) -> list[Alarm]:
        """Alarms whose names begin so, metric and composite ones, sorted by name."""
        found: dict[str, Alarm] = {}
        for prefix in prefixes:
            for kind in ("MetricAlarm", "CompositeAlarm"):
                request = {"AlarmNamePrefix": prefix, "AlarmTypes": [kind], "MaxRecords": 100}
                for each in self._session(target).pages("cloudwatch", "DescribeAlarms", **request):
                    alarm = Alarm(each["AlarmName"], each["StateValue"], each.get("ActionsEnabled", True))
                    found[alarm.name] = alarm
        return [found[name] for name in sorted(found)]

    def running_task(self, target: Target, stack_id: str) -> bool:
        """True when a replication task of the stack runs, so that DMS refuses to modify it."""
        session = self._session(target)
        arns = [each.physical_id for each in stacks.resources(session, stack_id) if each.type == TASK]
        if not arns:
            return False
        filters = [{"Name": "replication-task-arn", "Values": arns}]
        try:
            tasks = list(session.pages("dms", "DescribeReplicationTasks", Filters=filters, WithoutSettings=True))
        except NotFound:
            return False
        return any(each["Status"] in UNMODIFIABLE for each in tasks)

    def preview(self, target: Target, stack_id: str, template: str, values: Values) -> list[ResourceChange]:
        """The changes that AWS foretells for an update, by a change set that is deleted in any case."""
        with stacks.change_set(self._session(target), stack_id, "UPDATE", template, values) as found:
            return found.changes() if found else []

    def can_read(self, target: Target, bucket: str, key: str) -> bool:
        """True when the account may read an object, through its plan role."""
        try:
            self._session(target).ask("s3", "HeadObject", Bucket=bucket, Key=key)
        except (AccessDenied, NotFound) as refused:
            if isinstance(refused, AccessDenied) and "AssumeRole" in refused.reason:
                raise
            return False
        return True


def enabled_regions(session: Session) -> frozenset[str]:
    """The regions that an account has switched on; one page holds them all (Account Management API reference)."""
    enabled = ["ENABLED", "ENABLED_BY_DEFAULT"]
    found = session.pages("account", "ListRegions", RegionOptStatusContains=enabled, MaxResults=50)
    return frozenset(each["RegionName"] for each in found)


# By their names: the codes have changed before, and differ between partitions.
STACK_SETS = "Stack sets per administrator account"
INSTANCES = "Stack instances per stack set"
STACKS = "Stack count"

DEFAULTS = {STACK_SETS: 1_000, INSTANCES: 100_000, STACKS: 2_000}
"""AWS General Reference, "AWS CloudFormation endpoints and quotas"."""


def quotas(session: Session) -> dict[str, int]:
    """CloudFormation's quotas of an account and region, by name; the defaults where AWS gives none."""
    found = session.pages("service-quotas", "ListServiceQuotas", ServiceCode="cloudformation", MaxResults=100)
    given = {each["QuotaName"]: int(each["Value"]) for each in found if "Value" in each}
    return {name: given.get(name, default) for name, default in DEFAULTS.items()}


STACKSETS = "member.org.stacksets.cloudformation.amazonaws.com"
"""The service principal of service-managed StackSets (CloudFormation user guide, "Register a delegated
administrator")."""

PAGE = {"MaxResults": 20}
"""The most that the lists of Organizations take (AWS Organizations API reference)."""


class Organizations:
    """The organization of the administrator, who is its management account or a delegated administrator."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def states(self) -> dict[str, str]:
        """Every account with its Account.State: ACTIVE, SUSPENDED, PENDING_CLOSURE ..."""
        return {each["Id"]: _state(each) for each in self._pages("ListAccounts", **PAGE)}

    def management(self) -> str:
        """The management account. Raises `Refused` with AWSOrganizationsNotInUseException outside of one."""
        answer = self._session.ask("organizations", "DescribeOrganization")
        return str(answer["Organization"]["MasterAccountId"])

    def delegated_administrators(self) -> frozenset[str]:
        """The delegated administrators of StackSets. Raises `AccessDenied` without the permission to ask."""
        found = self._pages("ListDelegatedAdministrators", ServicePrincipal=STACKSETS, **PAGE)
        return frozenset(each["Id"] for each in found)

    def trusted_access(self, call_as: str) -> str:
        """The access of StackSets to the organization: ENABLED, DISABLED or DISABLED_PERMANENTLY."""
        answer = self._session.ask("cloudformation", "DescribeOrganizationsAccess", CallAs=call_as)
        return str(answer["Status"])

    def accounts(self, unit: str) -> list[str]:
        """Active accounts of a unit (or root) and of all units below it, sorted, without the management account.

        Nothing can be deployed to a suspended account, and StackSets never deploys to the management account.
        """
        management = self.management()
        return sorted(set(self._below(unit)) - {management})

    def _below(self, unit: str) -> Iterator[str]:
        for each in self._pages("ListAccountsForParent", ParentId=unit):
            if _state(each) == "ACTIVE":
                yield each["Id"]
        for each in self._pages("ListOrganizationalUnitsForParent", ParentId=unit):
            yield from self._below(each["Id"])

    def _pages(self, operation: str, **request: Any) -> Iterator[Mapping[str, str]]:
        return self._session.pages("organizations", operation, **request)


def _state(account: Mapping[str, str]) -> str:
    """State has taken the place of Status, which AWS retired in 2026 (Organizations API reference, Account)."""
    return account["State"]


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


def denied_actions(session: Session, role_arn: str, actions: Iterable[str], resource: str) -> list[str]:
    """Those of some actions that the policies of a role do not let it do with a resource, as IAM simulates them."""
    request = {"PolicySourceArn": role_arn, "ActionNames": list(actions), "ResourceArns": [resource]}
    results = session.ask("iam", "SimulatePrincipalPolicy", **request)["EvaluationResults"]
    return [each["EvalActionName"] for each in results if each["EvalDecision"] != "allowed"]


def database_resource_id(session: Session, instance: str) -> str:
    """The DbiResourceId of a database instance: the next one of the same name has another."""
    (found,) = session.ask("rds", "DescribeDBInstances", DBInstanceIdentifier=instance)["DBInstances"]
    return str(found["DbiResourceId"])


def manual_snapshots(session: Session, instance: str, resource_id: str) -> tuple[str, ...]:
    """The manual snapshots of a database instance, oldest first; the one that CloudFormation takes is among them."""
    request = {"DBInstanceIdentifier": instance, "SnapshotType": "manual"}
    listed = session.pages("rds", "DescribeDBSnapshots", **request)
    found = [each for each in listed if each.get("DbiResourceId", resource_id) == resource_id]
    # One that is being taken has no time yet (RDS API reference, DBSnapshot).
    found.sort(key=lambda each: (each.get("SnapshotCreateTime") is None, each.get("SnapshotCreateTime")))
    return tuple(each["DBSnapshotIdentifier"] for each in found)
