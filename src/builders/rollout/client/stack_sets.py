"""StackSets as their administrator sees and drives them. Every request carries CallAs."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from builders.rollout.client import answers, requests
from builders.rollout.client.answers import ResourceDrift, Result
from builders.rollout.client.calls import Calls
from builders.rollout.client.refusals import NotThere, Refused, SetNotFound
from builders.rollout.client.sessions import Where
from builders.rollout.model import (
    DesiredSet,
    Instance,
    Operation,
    Permissions,
    Place,
    Preferences,
    StackSet,
    Values,
)
from builders.rollout.steps import Action, Step

PAGE = {"MaxResults": 100}
"""The most that the lists of StackSets take (CloudFormation API reference)."""


class StackSets:
    """The stack sets of the administrator's account and region."""

    def __init__(self, calls: Calls, permissions: Permissions) -> None:
        self._calls = calls
        self._where = Where(calls.access.region)
        # Only sets with service-managed permissions have delegated administrators; others refuse the word.
        self._call_as = {"CallAs": permissions.call_as if permissions.service_managed else "SELF"}

    def names(self) -> list[str]:
        """Names of all active sets, sorted."""
        return sorted(each["StackSetName"] for each in self._pages("ListStackSets", Status="ACTIVE"))

    def read(self, layer: str, name: str) -> StackSet | None:
        """A set with all its instances (overrides unknown) and its active operations; None when there is none."""
        try:
            found = self._ask("DescribeStackSet", StackSetName=name)["StackSet"]
            if found["Status"] != "ACTIVE":
                return None
            instances, active = self.instances(name), self.active(name)
        except SetNotFound:
            return None
        return StackSet(
            layer=layer,
            name=name,
            template=found["TemplateBody"],
            parameters={each["ParameterKey"]: each["ParameterValue"] for each in found.get("Parameters", [])},
            tags={each["Key"]: each["Value"] for each in found.get("Tags", [])},
            instances=instances,
            active=active,
            permissions=self._permissions(found),
        )

    def instances(self, name: str) -> dict[Place, Instance]:
        """All instances of a set, overrides unknown. Raises `SetNotFound`."""
        found = (answers.instance(each) for each in self._pages("ListStackInstances", StackSetName=name))
        return {each.place: each for each in found}

    def overrides(self, name: str, place: Place) -> dict[str, str]:
        """The parameters that an instance overrides: one call, the only one that tells. Empty where it is gone."""
        where = {"StackInstanceAccount": place.account, "StackInstanceRegion": place.region}
        try:
            found = self._ask("DescribeStackInstance", StackSetName=name, **where)["StackInstance"]
        except NotThere:
            return {}
        return {each["ParameterKey"]: each["ParameterValue"] for each in found.get("ParameterOverrides", [])}

    def submit(
        self,
        step: Step,
        desired: DesiredSet | None,
        operation_id: str,
        preferences: Preferences,
        permissions: Permissions,
        tags: Values,
    ) -> None:
        """Make the call of a step. Sending the same again with the same id does nothing twice.

        `desired` is needed to create and update a set; deleting one that is not there does nothing. Raises
        `OperationInProgress`, `OperationExists`, `StaleRequest`, `SetExists`, `SetNotFound`, `SetNotEmpty`.
        """
        ask, call_as = self._calls.ask, self._call_as
        if step.action is Action.DELETE_SET:
            with contextlib.suppress(SetNotFound):  # perhaps by an attempt of ours whose answer was lost
                ask(self._where, "cloudformation", step.action.value, StackSetName=step.set_name, **call_as)
            return
        if step.action in (Action.CREATE_SET, Action.UPDATE_SET):
            assert desired is not None, f"{step.action.value} needs the desired set"
            if step.action is Action.CREATE_SET:
                request: requests.Request = requests.create_set(desired, operation_id, permissions, call_as, tags)
            else:
                request = requests.update_set(step, desired, operation_id, preferences, permissions, call_as, tags)
        else:
            request = requests.instances(step, operation_id, preferences, permissions, call_as)
        ask(self._where, "cloudformation", step.action.value, **request)

    def operation(self, name: str, operation_id: str) -> Operation | None:
        """An operation as it is; None when the set has none of that id. Raises `SetNotFound`."""
        try:
            found = self._ask("DescribeStackSetOperation", StackSetName=name, OperationId=operation_id)
        except NotThere:
            return None
        return answers.operation(found["StackSetOperation"])

    def active(self, name: str) -> tuple[Operation, ...]:
        """The set's operations that are not over, oldest first. One call: its page begins with the newest."""
        found = self._ask("ListStackSetOperations", StackSetName=name, **PAGE)["Summaries"]
        return tuple(each for each in map(answers.operation, reversed(found)) if each.active)

    def results(self, name: str, operation_id: str) -> Mapping[Place, Result]:
        """What an operation came to at each of its places. AWS is a little behind with it."""
        found = self._pages("ListStackSetOperationResults", StackSetName=name, OperationId=operation_id)
        return {
            Place(each["Account"], each["Region"]): Result(each["Status"], each.get("StatusReason", ""))
            for each in found
        }

    def stop(self, name: str, operation_id: str) -> None:
        """Ask an operation to begin nothing more. Nothing happens when it is over."""
        try:
            self._ask("StopStackSetOperation", StackSetName=name, OperationId=operation_id)
        except Refused as refused:
            if refused.code != "InvalidOperationException":
                raise

    def detect_drift(self, name: str, operation_id: str, preferences: Preferences) -> None:
        """Begin to look for drift in all instances of a set. Raises `OperationInProgress`, `OperationExists`."""
        wanted = requests.operation_preferences(preferences)
        self._ask("DetectStackSetDrift", StackSetName=name, OperationId=operation_id, OperationPreferences=wanted)

    def resource_drifts(self, name: str, operation_id: str, place: Place) -> list[ResourceDrift]:
        """What a detection found at a place: the resources that were modified or deleted."""
        found = self._pages(
            "ListStackInstanceResourceDrifts",
            StackSetName=name,
            OperationId=operation_id,
            StackInstanceAccount=place.account,
            StackInstanceRegion=place.region,
            StackInstanceResourceDriftStatuses=["MODIFIED", "DELETED"],
        )
        return [answers.drift(each) for each in found]

    def _ask(self, operation: str, **request: Any) -> Any:
        return self._calls.ask(self._where, "cloudformation", operation, **request, **self._call_as)

    def _pages(self, operation: str, **request: Any) -> list[Any]:
        request.update(PAGE, **self._call_as)
        return list(self._calls.pages(self._where, "cloudformation", operation, "Summaries", **request))

    def _permissions(self, found: Mapping[str, Any]) -> Permissions:
        return Permissions(
            service_managed=found.get("PermissionModel") == "SERVICE_MANAGED",
            call_as=self._call_as["CallAs"],
            administration_role_arn=found.get("AdministrationRoleARN", ""),
            execution_role_name=found.get("ExecutionRoleName", ""),
            units=tuple(found.get("OrganizationalUnitIds", [])),
        )
