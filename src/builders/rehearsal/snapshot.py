"""A phase as CloudFormation describes it, to compare: other rollouts must not change it, a rollback restores it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders.aws.stacks import read_parameters
from builders.naming import PREFIX
from builders.outputs import of_stack
from builders.rehearsal.accounts import Accounts
from builders.rollout.model import Target
from builders.template_bodies import digest


@dataclass(frozen=True)
class Stack:
    """A stack as its own account describes it. `template` is the digest of its text."""

    template: str
    parameters: Mapping[str, str]
    outputs: Mapping[str, str]
    updated: str
    """LastUpdatedTime, else CreationTime."""

    @property
    def content(self) -> tuple[Any, ...]:
        """The part that a rollback restores."""
        return self.template, self.parameters, self.outputs


@dataclass(frozen=True)
class Snapshot:
    """One phase: the operation ids of each stack set, oldest first, and stacks by set or stack name and target."""

    operations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    stacks: Mapping[tuple[str, Target], Stack] = field(default_factory=dict)

    def new_operations(self, before: Snapshot) -> dict[str, list[str]]:
        """The operations since an earlier snapshot, by stack set."""
        found = {
            name: [each for each in ids if each not in before.operations.get(name, ())]
            for name, ids in self.operations.items()
        }
        return {name: ids for name, ids in found.items() if ids}

    def changed(self, before: Snapshot) -> list[tuple[str, Target]]:
        """The stacks that were created, deleted or touched since."""
        every = {**before.stacks, **self.stacks}
        return sorted(key for key in every if before.stacks.get(key) != self.stacks.get(key))

    def differing(self, before: Snapshot) -> list[tuple[str, Target]]:
        """The stacks that were created or deleted since, or whose template, parameters or outputs changed."""
        every = {**before.stacks, **self.stacks}
        return sorted(key for key in every if _content(before, key) != _content(self, key))


def _content(snapshot: Snapshot, key: tuple[str, Target]) -> tuple[Any, ...] | None:
    found = snapshot.stacks.get(key)
    return found.content if found else None


Digests = dict[tuple[str, str, str], str]
"""The digest of a stack's template by its id, its status and the time of its last update: a template changes with
both."""


def take_snapshot(
    accounts: Accounts, administrator: Target, suffix: str, network: str | None, call_as: str, digests: Digests
) -> Snapshot:
    """Describe the stack sets of a suffix, their stacks, and the stacks of the phase in the network account.

    Templates with a digest in `digests` are not read again; those that are read are added.
    """
    api = accounts.api("cloudformation", administrator.account, administrator.region)
    operations: dict[str, tuple[str, ...]] = {}
    stacks: dict[tuple[str, Target], Stack] = {}
    present: dict[Target, dict[str, Any]] = {}
    for name in stack_sets(api, suffix, call_as):
        asked = {"StackSetName": name, "CallAs": call_as}
        found = api.get_paginator("list_stack_set_operations").paginate(**asked)
        ids = [each["OperationId"] for page in found for each in page["Summaries"]]
        operations[name] = tuple(reversed(ids))
        pages = api.get_paginator("list_stack_instances").paginate(**asked)
        for each in (summary for page in pages for summary in page["Summaries"]):
            target = Target(each["Account"], each["Region"])
            if target not in present:
                present[target] = {stack["StackId"]: stack for stack in _described(accounts, target)}
            if described := present[target].get(each.get("StackId", "")):
                stacks[name, target] = _stack(accounts, target, described, digests)
    for region in sorted({target.region for target in present}) if network else ():
        place = Target(str(network), region)
        ends = tuple(f"-{suffix}-{target.account}" for target in present if target.region == region)
        for described in _described(accounts, place):
            if described["StackName"].endswith(ends):
                stacks[described["StackName"], place] = _stack(accounts, place, described, digests)
    return Snapshot(operations, stacks)


def stack_sets(api: Any, suffix: str, call_as: str) -> Iterator[str]:
    """The names of the stack sets of a suffix."""
    for page in api.get_paginator("list_stack_sets").paginate(Status="ACTIVE", CallAs=call_as):
        for each in page["Summaries"]:
            if each["StackSetName"].startswith(PREFIX) and each["StackSetName"].endswith(f"-{suffix}"):
                yield each["StackSetName"]


def _described(accounts: Accounts, target: Target) -> Iterator[Any]:
    """The stacks of an account and region, as DescribeStacks has them, without those that were deleted."""
    api = accounts.api("cloudformation", target.account, target.region)
    return (each for page in api.get_paginator("describe_stacks").paginate() for each in page["Stacks"])


def _stack(accounts: Accounts, target: Target, described: Any, digests: Digests) -> Stack:
    name, updated = described["StackId"], str(described.get("LastUpdatedTime", described["CreationTime"]))
    key = name, described["StackStatus"], updated
    if key not in digests:
        api = accounts.api("cloudformation", target.account, target.region)
        body = api.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
        digests[key] = digest(body if isinstance(body, str) else json.dumps(body, sort_keys=True))
    return Stack(
        template=digests[key],
        parameters=read_parameters(described.get("Parameters", [])),
        outputs=of_stack(described),
        updated=updated,
    )
