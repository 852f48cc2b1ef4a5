"""What `status` and `drift` found, as values: whoever reads the world fills them, text and JSON are made of them.

A phase as it stands: every instance, what runs, what was rolled out last. Two calls a stack set, and its pages.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.errors import RolloutError, RolloutFileError
from builders.rollout.aws import resources
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import StackSetNotFound
from builders.rollout.config import sources
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import DeployedStack, DesiredState, Instance, Operation, PlainStackSpec, Status, Target
from builders.rollout.state.journal import Command, EndedRun, Run, RunStatus
from builders.rollout.state.store import Store
from builders.scopes import in_order


class InstanceStatus(enum.Enum):
    """How one instance stands; the members go from what a person must see first to what is well."""

    INOPERABLE = "inoperable"
    FAILED = "failed"
    """An operation or the plain stack failed there."""
    SKIPPED = "skipped"
    """Not tried, since another failed before it."""
    OUTDATED = "outdated"
    """The set was changed, and the instance was not."""
    RUNNING = "running"
    PENDING = "pending"
    MISSING = "missing"
    """It shall be there, and is not."""
    LEAVING = "leaving"
    """It is there, and shall not be."""
    CURRENT = "current"


@dataclass(frozen=True)
class InstanceView:
    """One instance as it stands. `drift` is StackInstance.DriftStatus; a plain stack's is NOT_CHECKED."""

    status: InstanceStatus
    reason: str = ""
    drift: str = "NOT_CHECKED"
    stack_id: str = ""

    @classmethod
    def of(cls, instance: Instance | None, desired: bool = True) -> InstanceView:
        """An instance of a stack set; None is one that is not there. `wanted`: the phase names its place."""
        if instance is None:
            return cls(InstanceStatus.MISSING)
        status = instance_status(instance.detailed if instance.status is Status.OUTDATED else instance.status.value)
        if instance.status is Status.OUTDATED and status is InstanceStatus.CURRENT:
            status = InstanceStatus.OUTDATED
        if status is InstanceStatus.CURRENT and not desired:
            status = InstanceStatus.LEAVING
        return cls(status, instance.reason, instance.drift, instance.stack_id)

    @classmethod
    def of_plain(cls, stack: DeployedStack | None, desired: bool = True) -> InstanceView:
        """A stack of the network account; None is one that is not there."""
        if stack is None:
            return cls(InstanceStatus.MISSING)
        if stack.status.endswith("_IN_PROGRESS"):
            return cls(InstanceStatus.RUNNING, stack.status)
        if not stack.status.endswith("_COMPLETE") or "ROLLBACK" in stack.status:
            return cls(InstanceStatus.FAILED, stack.status)
        return cls(InstanceStatus.CURRENT if desired else InstanceStatus.LEAVING)


_MARKS = {
    "CURRENT": InstanceStatus.CURRENT,
    "SUCCEEDED": InstanceStatus.CURRENT,
    "OUTDATED": InstanceStatus.OUTDATED,
    "CANCELLED": InstanceStatus.SKIPPED,
    "SKIPPED_SUSPENDED_ACCOUNT": InstanceStatus.SKIPPED,
    "FAILED_IMPORT": InstanceStatus.FAILED,
    "FAILED": InstanceStatus.FAILED,
    "INOPERABLE": InstanceStatus.INOPERABLE,
    "RUNNING": InstanceStatus.RUNNING,
    "PENDING": InstanceStatus.PENDING,
    "skipped": InstanceStatus.SKIPPED,
    "absent": InstanceStatus.PENDING,
}


def instance_status(word: str) -> InstanceStatus:
    """The mark of a word that StackSets or the rollout's loop says of an instance; one never heard of is running."""
    return _MARKS.get(word, InstanceStatus.RUNNING)


@dataclass(frozen=True)
class RunningOperation:
    """An operation that is not over, on the stack set of a layer."""

    layer: str
    operation: Operation


@dataclass(frozen=True)
class UnfinishedRun:
    """A run that holds the lock or failed. `command` is what it is for; `began` is an ISO time."""

    id: str
    command: str
    release: str
    owner: str
    began: str
    status: str


@dataclass(frozen=True)
class StatusView:
    """A phase as it stands.

    `layers` are in the order in which they go, `regions` likewise; `instances` has every place of every layer, those
    that shall be there and those that are. `release` is the last one that was rolled out whole, at `released` (an ISO
    time); both are empty before the first.
    """

    phase: str
    layers: tuple[str, ...]
    regions: tuple[str, ...]
    instances: Mapping[str, Mapping[Target, InstanceView]]
    running: tuple[RunningOperation, ...] = ()
    release: str = ""
    released: str = ""
    unfinished: UnfinishedRun | None = None
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every instance is current and none has drifted."""
        return not self.unfinished and all(
            each.status is InstanceStatus.CURRENT and each.drift != "DRIFTED"
            for by_place in self.instances.values()
            for each in by_place.values()
        )


RUNS_TOLD = 5
"""How many of the last runs are told."""

Instances = dict[str, dict[Target, InstanceView]]
_Found = tuple[Mapping[Target, Instance], tuple[Operation, ...]]


def run_status(
    client: Client,
    desired: DesiredState,
    store: Store,
    layers: Collection[str],
    ours: Collection[str],
) -> tuple[StatusView, int]:
    """Read a phase. `layers` are those that a stack set may carry, `ours` what `known_stack_sets` tells.

    The exit code is 0 when every instance is CURRENT, none is known to have drifted, and no run is unfinished.
    """
    present = client.sets.names()
    carried = [layer for layer in sorted(layers) if naming.stack_set(layer, desired.suffix) in present]
    found = dict(concurrently(lambda layer: _set(client, naming.stack_set(layer, desired.suffix)), carried))
    instances = {layer: _standings(desired, layer, instances) for layer, (instances, _) in found.items()}
    for layer in desired.sets.keys() - found.keys():
        instances[layer] = _standings(desired, layer, {})
    notes = [*_add_plain(client, desired, instances), *_strangers(present, ours)]
    run, ended = store.journal.run(), store.journal.history()
    release, released = _last_whole(ended)
    view = StatusView(
        phase=desired.phase,
        layers=_in_order(instances, desired.needs),
        regions=_regions(desired, instances),
        instances=instances,
        running=tuple(
            RunningOperation(layer, operation) for layer, (_, active) in sorted(found.items()) for operation in active
        ),
        release=release,
        released=released,
        unfinished=_unfinished(run),
        notes=(*notes, *_last_runs(ended)),
    )
    return view, 0 if view.good else 1


def known_stack_sets(rollout: RolloutFile, layers: Iterable[str]) -> frozenset[str]:
    """The stack sets that the phases of a rollout file may have; a phase whose file cannot be read has none."""
    found = set()
    listed = list(layers)
    for phase in rollout.phases:
        try:
            suffix = sources.suffix_of(rollout, phase, sources.environment_file(rollout, phase))
        except RolloutFileError:  # that phase's own matter
            continue
        found |= {naming.stack_set(layer, suffix or "") for layer in listed}
    return frozenset(found)


def _set(client: Client, name: str) -> _Found:
    try:
        return client.sets.instances(name), client.sets.active(name)
    except StackSetNotFound:  # it went while we looked
        return {}, ()


def _standings(desired: DesiredState, layer: str, instances: Mapping[Target, Instance]) -> dict[Target, InstanceView]:
    shall = desired.sets[layer].overrides.keys() if layer in desired.sets else frozenset[Target]()
    return {
        target: InstanceView.of(instances.get(target), desired=target in shall)
        for target in sorted(instances.keys() | shall)
    }


def _add_plain(client: Client, desired: DesiredState, instances: Instances) -> list[str]:
    """Add the stacks of the network account, a list a region; return why some could not be listed."""
    notes = []
    for layer, stacks in desired.plain.items():
        instances[layer] = {}
        for region in desired.regions:
            try:
                instances[layer] |= _listed(client, desired, stacks, region)
            except RolloutError as error:
                notes.append(f"{layer} in {region} is not shown: {error}")
    return notes


def _listed(client: Client, desired: DesiredState, stacks: PlainStackSpec, region: str) -> dict[Target, InstanceView]:
    where = client.roles.deploying(Target(stacks.account, region))
    marker = "0" * 12
    prefix = naming.network_stack(stacks.layer, desired.suffix, marker).removesuffix(marker)
    statuses = resources.stacks_named(client.calls, where, prefix)
    there = {Target(name.removeprefix(prefix), region): status for name, status in statuses.items()}
    shall = {target for target in stacks.parameters if target.region == region}
    return {
        target: InstanceView.of_plain(
            DeployedStack("", {}, there[target]) if target in there else None,
            desired=target in shall,
        )
        for target in sorted(there.keys() | shall)
    }


def _strangers(present: Sequence[str], ours: Collection[str]) -> list[str]:
    strange = [name for name in present if name.startswith(naming.PREFIX) and name not in ours]
    return [
        f"{name} is a stack set of no phase and layer that this rollout file and these templates have; a phase that "
        "was renamed or taken out leaves such sets"
        for name in strange
    ]


def _unfinished(run: Run | None) -> UnfinishedRun | None:
    if run is None or run.status is RunStatus.DONE:
        return None
    return UnfinishedRun(run.id, run.command.value, run.release, run.owner[:8], run.began, run.status.value)


def _last_whole(ended: Sequence[EndedRun]) -> tuple[str, str]:
    """The release that was rolled out whole, and when; none once the phase was removed."""
    for each in reversed(ended):
        if each.good and each.command is Command.REMOVE:
            break
        if each.good and each.release:  # a run that lets accounts go has none
            return each.release, each.began
    return "", ""


def _last_runs(ended: Sequence[EndedRun]) -> list[str]:
    return [
        f"{each.began}: {each.command.value} {each.release} {'ended well' if each.good else each.status.value}"
        for each in list(ended)[-RUNS_TOLD:]
    ]


def _in_order(instances: Instances, needs: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    graph = {layer: sorted(needs.get(layer, frozenset()) & instances.keys()) for layer in sorted(instances)}
    return tuple(in_order(graph))


def _regions(desired: DesiredState, instances: Instances) -> tuple[str, ...]:
    """Those of the phase in its order, and behind them those where something still stands."""
    standing = {target.region for by_place in instances.values() for target in by_place}
    return (*desired.regions, *sorted(standing - set(desired.regions)))
