"""The status of a phase: every instance, what runs, the last release. Two calls a stack set, and its pages."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.aws.calls import concurrently
from builders.aws.errors import StackSetNotFound
from builders.errors import RolloutError, RolloutFileError
from builders.rollout.aws import stacks
from builders.rollout.aws.client import Client
from builders.rollout.config import parameters
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import DesiredState, Instance, Operation, PlainStackSpec, Status, Target
from builders.rollout.state.journal import Command, EndedRun, Run, RunStatus
from builders.rollout.state.store import Store
from builders.scopes import in_order

RUNS_LISTED = 5
"""The last runs that the notes name."""


class InstanceStatus(enum.Enum):
    """The status of one instance, from what a person must see first to what is well."""

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
    """Desired, and does not exist."""
    LEAVING = "leaving"
    """Exists, and is no longer desired."""
    CURRENT = "current"


_STATUSES = {
    "CURRENT": InstanceStatus.CURRENT,
    "SUCCEEDED": InstanceStatus.CURRENT,
    "OUTDATED": InstanceStatus.OUTDATED,
    "CANCELLED": InstanceStatus.SKIPPED,
    "SKIPPED_SUSPENDED_ACCOUNT": InstanceStatus.SKIPPED,
    "FAILED_IMPORT": InstanceStatus.FAILED,
    "FAILED": InstanceStatus.FAILED,
    "INOPERABLE": InstanceStatus.INOPERABLE,
    "PENDING": InstanceStatus.PENDING,
    "skipped": InstanceStatus.SKIPPED,
    "absent": InstanceStatus.PENDING,
}


def instance_status(word: str) -> InstanceStatus:
    """The status for a word of StackSets or of the executor on an instance; an unknown word counts as running."""
    return _STATUSES.get(word, InstanceStatus.RUNNING)


@dataclass(frozen=True)
class InstanceView:
    """One instance. `drift` is StackInstance.DriftStatus; a plain stack's is NOT_CHECKED."""

    status: InstanceStatus
    reason: str = ""
    drift: str = "NOT_CHECKED"
    stack_id: str = ""

    @classmethod
    def of(cls, instance: Instance | None, desired: bool = True) -> InstanceView:
        """View an instance of a stack set, None where there is none; `desired` tells whether the phase has its
        target."""
        if instance is None:
            return cls(InstanceStatus.MISSING)
        status = instance_status(instance.detailed if instance.status is Status.OUTDATED else instance.status.value)
        if instance.status is Status.OUTDATED and status is InstanceStatus.CURRENT:
            status = InstanceStatus.OUTDATED
        if status is InstanceStatus.CURRENT and not desired:
            status = InstanceStatus.LEAVING
        return cls(status, instance.reason, instance.drift, instance.stack_id)

    @classmethod
    def of_plain(cls, stack_status: str | None, desired: bool = True) -> InstanceView:
        """View a stack of the network account by its status, None where there is none."""
        if stack_status is None:
            return cls(InstanceStatus.MISSING)
        if stack_status.endswith("_IN_PROGRESS"):
            return cls(InstanceStatus.RUNNING, stack_status)
        if not stack_status.endswith("_COMPLETE") or "ROLLBACK" in stack_status:
            return cls(InstanceStatus.FAILED, stack_status)
        return cls(InstanceStatus.CURRENT if desired else InstanceStatus.LEAVING)


@dataclass(frozen=True)
class StatusView:
    """The status of a phase.

    `layers` and `regions` are in the order of deployment, regions where something still is that is no longer desired
    last; `instances` has every target of every layer that is desired or exists. `release` is the last one that was
    rolled out whole, at `released` (an ISO time); both are empty before the first.
    """

    phase: str
    layers: tuple[str, ...]
    regions: tuple[str, ...]
    instances: Mapping[str, Mapping[Target, InstanceView]]
    running: tuple[tuple[str, Operation], ...] = ()
    """The operations that are not over, with the layers of their stack sets."""
    release: str = ""
    released: str = ""
    unfinished: Run | None = None
    """It holds the lock, or failed."""
    notes: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """Return whether every instance is current, none has drifted, and no run is unfinished."""
        return not self.unfinished and all(
            each.status is InstanceStatus.CURRENT and each.drift != "DRIFTED"
            for by_target in self.instances.values()
            for each in by_target.values()
        )


def run_status(
    client: Client, desired: DesiredState, store: Store, layers: Collection[str], ours: Collection[str]
) -> tuple[StatusView, int]:
    """Read the status of a phase. `layers` are those that a stack set may carry, `ours` the `known_stack_sets`.

    The exit code is 0 when every instance is CURRENT, none is known to have drifted, and no run is unfinished.
    """
    present = client.sets.names()
    sets = naming.existing_stack_sets(layers, desired.suffix, present)
    found = dict(concurrently(lambda layer: _set(client, sets[layer]), sets))
    views = {layer: _views(desired, layer, instances) for layer, (instances, _) in found.items()}
    views |= {layer: _views(desired, layer, {}) for layer in desired.sets.keys() - found.keys()}
    _explain_validations(client, views)
    unread = _add_plain_stacks(client, desired, views)
    run, ended = store.journal.run(), store.journal.history()
    release, released = _last_whole(ended)
    occupied = {target.region for by_target in views.values() for target in by_target}
    needs = {layer: sorted(desired.needs.get(layer, set()) & views.keys()) for layer in sorted(views)}
    view = StatusView(
        phase=desired.phase,
        layers=tuple(in_order(needs)),
        regions=(*desired.regions, *sorted(occupied - set(desired.regions))),
        instances=views,
        running=tuple((layer, operation) for layer, (_, active) in sorted(found.items()) for operation in active),
        release=release,
        released=released,
        unfinished=None if run is None or run.status is RunStatus.DONE else run,
        notes=(*unread, *_notes([name for name in present if name not in ours], ended)),
    )
    return view, 0 if view.good else 1


def _explain_validations(client: Client, views: Mapping[str, dict[Target, InstanceView]]) -> None:
    """Add what a validation before the deployment found, of which StackSets say no more than that it failed.

    It is asked for at one instance of a layer, since the others have the same template; as it is where that instance's
    account cannot be read.
    """
    for by_target in views.values():
        failed = [target for target, each in by_target.items() if stacks.VALIDATED in each.reason and each.stack_id]
        for target in sorted(failed)[:1]:
            with contextlib.suppress(RolloutError):
                view = by_target[target]
                if told := client.members.first_failure(target, view.stack_id):
                    by_target[target] = dataclasses.replace(view, reason=f"{view.reason} {told}")


def known_stack_sets(rollout: RolloutFile, layers: Iterable[str]) -> frozenset[str]:
    """The stack sets that the phases of a rollout file may have; a phase whose file cannot be read has none."""
    found = set()
    listed = list(layers)
    for phase in rollout.phases:
        try:
            suffix = parameters.suffix_of(rollout, phase)
        except RolloutFileError:  # that phase's own matter
            continue
        found |= {naming.stack_set(layer, suffix) for layer in listed}
    return frozenset(found)


def instances_of(client: Client, name: str) -> Mapping[Target, Instance]:
    """The instances of a stack set; none where it was deleted meanwhile."""
    try:
        return client.sets.instances(name)
    except StackSetNotFound:
        return {}


def _set(client: Client, name: str) -> tuple[Mapping[Target, Instance], tuple[Operation, ...]]:
    try:
        return client.sets.instances(name), client.sets.active(name)
    except StackSetNotFound:  # it was deleted meanwhile
        return {}, ()


def _views(desired: DesiredState, layer: str, instances: Mapping[Target, Instance]) -> dict[Target, InstanceView]:
    targets = desired.sets[layer].overrides.keys() if layer in desired.sets else frozenset[Target]()
    return {
        target: InstanceView.of(instances.get(target), desired=target in targets)
        for target in sorted(instances.keys() | targets)
    }


def _add_plain_stacks(client: Client, desired: DesiredState, views: dict[str, dict[Target, InstanceView]]) -> list[str]:
    """Add the stacks of the network account, a list a region; return why some could not be listed."""
    notes = []
    for layer, spec in desired.plain.items():
        views[layer] = {}
        for region in desired.regions:
            try:
                views[layer] |= _plain_stacks(client, desired, spec, region)
            except RolloutError as error:
                notes.append(f"{layer} in {region} is not shown: {error}")
    return notes


def _plain_stacks(
    client: Client, desired: DesiredState, spec: PlainStackSpec, region: str
) -> dict[Target, InstanceView]:
    session = client.deploying(Target(spec.account, region))
    marker = "0" * 12
    prefix = naming.network_stack(spec.layer, desired.suffix, marker).removesuffix(marker)
    found = stacks.statuses(session, prefix)
    statuses = {Target(name.removeprefix(prefix), region): status for name, status in found.items()}
    targets = {target for target in spec.parameters if target.region == region}
    return {
        target: InstanceView.of_plain(statuses.get(target), desired=target in targets)
        for target in sorted(statuses.keys() | targets)
    }


def _notes(unknown_sets: Iterable[str], ended: Sequence[EndedRun]) -> Iterator[str]:
    for name in unknown_sets:
        if name.startswith(naming.PREFIX):
            yield (
                f"{name} is a stack set of no phase and layer that this rollout file and these templates have; a phase "
                "that was renamed or taken out leaves such sets"
            )
    for each in ended[-RUNS_LISTED:]:
        yield f"{each.began}: {each.command.value} {each.release} {'ended well' if each.good else each.status.value}"


def _last_whole(ended: Sequence[EndedRun]) -> tuple[str, str]:
    """The release that was rolled out whole, and when; none once the phase was removed."""
    for each in reversed(ended):
        if each.good and each.command is Command.REMOVE:
            break
        if each.good and each.release:  # a run that detaches accounts has none
            return each.release, each.began
    return "", ""
