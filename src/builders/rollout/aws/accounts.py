"""The target accounts as the plan role sees them: stacks, events, alarms, tasks, and change sets that nobody runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from builders.errors import RolloutError
from builders.rollout.aws import stacks
from builders.rollout.aws.access import PhaseRoles
from builders.rollout.aws.calls import Session, concurrently
from builders.rollout.aws.errors import AccessDenied, NotFound
from builders.rollout.aws.stacks import ResourceChange
from builders.rollout.model import DeployedStack, Target, Values

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


@dataclass(frozen=True)
class StackRef:
    """One stack to read. `key`, layer and target, comes back with the answer."""

    key: tuple[str, Target]
    stack_id: str


class MemberAccounts:
    """All target accounts; each call names the target that it asks."""

    def __init__(self, roles: PhaseRoles) -> None:
        self._session = roles.reading

    def deployed(self, target: Target, stack_id: str) -> DeployedStack | None:
        """A stack with its template as it was given; None when it is gone."""
        return stacks.deployed(self._session(target), stack_id)

    def deployed_many(self, refs: Iterable[StackRef]) -> Iterator[tuple[StackRef, DeployedStack | RolloutError | None]]:
        """Read many stacks at once, as they come; an account that cannot be read gives its error."""

        def read(ref: StackRef) -> DeployedStack | RolloutError | None:
            try:
                return self.deployed(ref.key[1], ref.stack_id)
            except RolloutError as error:
                return error

        return concurrently(read, refs)

    def outputs(self, target: Target, stack_id: str) -> dict[str, str]:
        """A stack's outputs; none when it is gone."""
        return stacks.outputs(stacks.describe(self._session(target), stack_id) or {})

    def first_failure(self, target: Target, stack_id: str, after: datetime | None = None) -> str:
        """The first resource that failed in the stack's last operation, and why; empty when none did.

        Events before `after` (with a time zone) do not count.
        """
        found = stacks.failures(self._session(target), stack_id, after)
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


ENABLED = ["ENABLED", "ENABLED_BY_DEFAULT"]


def enabled_regions(session: Session) -> frozenset[str]:
    """The regions that an account has switched on; one page holds them all (Account Management API reference)."""
    found = session.pages("account", "ListRegions", RegionOptStatusContains=ENABLED, MaxResults=50)
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
