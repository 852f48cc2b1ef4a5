"""Plain stacks, in accounts that StackSets does not carry: deployed by change sets, as `aws cloudformation deploy`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders import naming
from builders.aws.calls import Session, concurrently
from builders.aws.errors import AccessDenied
from builders.errors import RolloutError
from builders.rollout.aws import stacks
from builders.rollout.model import DeployedStack, DesiredState, Target, Values, digest
from builders.template_bodies import parse_template

FEW = 10
"""So many stacks are read by their names, since the account may have thousands of others."""

EMPTY = ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS")
"""Statuses that failed attempts leave: stacks without resources. The first must be deleted, the second takes a change
set."""


@dataclass(frozen=True)
class PlainStack:
    """One plain stack: its account and region, its name, and what it is deployed with."""

    layer: str
    target: Target
    name: str
    template: str
    values: Values
    tags: Values

    @property
    def declared(self) -> Mapping[str, Any]:
        """The parameters of the template."""
        found: Mapping[str, Any] = parse_template(self.template).get("Parameters", {})
        return found

    @property
    def missing(self) -> list[str]:
        """The parameters that have neither a value nor a default."""
        return [name for name, each in self.declared.items() if name not in self.values and "Default" not in each]

    def __str__(self) -> str:
        """Return the form that reports use."""
        return f"{self.name} in {self.target}"


def network_stack(desired: DesiredState, layer: str, target: Target, outputs: Iterable[Values]) -> PlainStack:
    """The stack in the network account for one target; `outputs` of the layers before fill what the phase leaves open.

    It may still be missing values, where those layers have not been deployed.
    """
    spec = desired.plain[layer]
    declared = parse_template(spec.template).get("Parameters", {})
    values = dict(spec.parameters[target])
    for each in outputs:
        values |= {name: value for name, value in each.items() if name in declared and name not in values}
    name = naming.network_stack(layer, desired.suffix, target.account)
    tags = {**desired.tags, stacks.TEMPLATE_TAG: digest(spec.template)}
    return PlainStack(layer, Target(spec.account, target.region), name, spec.template, values, tags)


class PlainStacks:
    """Stacks of the tooling, network and target accounts, through the deploy role; in our own account without it."""

    def __init__(self, session: Callable[[Target], Session]) -> None:
        self._session = session

    def read(self, target: Target, name: str, expected: str = "") -> DeployedStack | None:
        """A stack as it is; None when it is not there, or is an empty one that a failed attempt left.

        GetTemplate is not called where a tag says that its template is the `expected` one.
        """
        found = stacks.deployed(self._session(target), name, expected)
        return None if found is None or found.status in EMPTY else found

    def read_many(self, target: Target, templates: Values) -> dict[str, DeployedStack]:
        """The stacks of an account and region that are there, by name; `templates` are those that they should have.

        Many are read page by page, and templates only of those that may have another one.
        """
        session = self._session(target)

        def read(name: str) -> DeployedStack | None:
            found = listed.get(name) if listed is not None else stacks.describe(session, name)
            return None if found is None else stacks.with_template(session, found, templates[name])

        listed: dict[str, stacks.Answer] | None = None
        if len(templates) > FEW:
            with contextlib.suppress(AccessDenied):  # the role may be allowed to describe stacks by their names alone
                listed = {each["StackName"]: each for each in stacks.all_stacks(session)}
        found = {name: stack for name, stack in concurrently(read, templates) if stack}
        return {name: stack for name, stack in found.items() if stack.status not in EMPTY}

    def deploy(self, stack: PlainStack) -> DeployedStack:
        """Create or update a stack and wait for it; nothing happens where nothing changes.

        Raises `RolloutError` with the reasons of its failed events.
        """
        session, name = self._session(stack.target), stack.name
        kind = self._prepare(session, name)
        try:
            with stacks.change_set(session, name, kind, stack.template, stack.values, stack.tags) as change_set:
                if change_set:
                    change_set.execute()
                    self._wait(session, name, name, ("CREATE_COMPLETE", "UPDATE_COMPLETE"))
        finally:
            # A change set of type CREATE that is not executed leaves an empty stack.
            left = stacks.describe(session, name) if kind == "CREATE" else None
            if left and left["StackStatus"] == "REVIEW_IN_PROGRESS":
                self._delete(session, name)
        found = stacks.deployed(session, name, stack.template)
        if found is None:
            raise RolloutError(f"stack {name} in {session} was deleted by somebody else while it was deployed")
        return found

    def delete(self, target: Target, name: str) -> None:
        """Delete a stack and wait until it is gone; nothing happens when it is not there."""
        self._delete(self._session(target), name)

    def _delete(self, session: Session, name: str) -> None:
        found = stacks.describe(session, name)
        if found is None:
            return
        session.ask("cloudformation", "DeleteStack", StackName=found["StackId"])
        self._wait(session, name, found["StackId"], ("DELETE_COMPLETE",))

    def _prepare(self, session: Session, name: str) -> str:
        """Wait for what is under way, delete what a failed creation left; return the kind of change set to make."""
        found = stacks.describe(session, name)
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return "CREATE"
        status = stacks.settled(session, found["StackId"])
        if status == "ROLLBACK_COMPLETE":
            self._delete(session, name)
            return "CREATE"
        if status.endswith("_FAILED"):
            remedy = "continue its rollback" if status == "UPDATE_ROLLBACK_FAILED" else "delete it"
            raise RolloutError(f"stack {name} in {session} is {status}; {remedy} in the CloudFormation console first")
        return "CREATE" if status == "DELETE_COMPLETE" else "UPDATE"

    def _wait(self, session: Session, name: str, stack_id: str, good: tuple[str, ...]) -> None:
        """Wait for the end of an operation. Raises `RolloutError` with the reasons where it is none of `good`."""
        status = stacks.settled(session, stack_id)
        if status not in good:
            reasons = stacks.failures(session, stack_id)
            raise RolloutError("; ".join([f"stack {name} in {session} is {status}", *reasons]))
