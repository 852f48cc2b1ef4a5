"""The status of a phase: every instance, what runs, the last release. Two calls a stack set, and its pages."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from builders import naming
from builders.aws import stacks
from builders.aws.calls import concurrently
from builders.aws.errors import StackSetNotFound
from builders.errors import RolloutError, RolloutFileError
from builders.rollout.client import Client
from builders.rollout.config import parameters
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import DesiredState, Instance, Operation, Status, Target, grouped
from builders.rollout.plan.changes import differs, keeps_overrides
from builders.rollout.state.journal import Command, EndedRun, EntryState, Hold, Run, RunStatus
from builders.rollout.state.store import Store
from builders.scopes import in_order

Found = TypeVar("Found")

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
    """The set was changed, and the instance was not; or a run ended before it changed the set."""
    RUNNING = "running"
    PENDING = "pending"
    MISSING = "missing"
    """Desired, and does not exist."""
    LEAVING = "leaving"
    """Exists, and is no longer desired."""
    CURRENT = "current"


_STATUSES = {
    **InstanceStatus.__members__,  # most have the word of StackSets
    "SUCCEEDED": InstanceStatus.CURRENT,
    "CANCELLED": InstanceStatus.SKIPPED,
    "SKIPPED_SUSPENDED_ACCOUNT": InstanceStatus.SKIPPED,
    "FAILED_IMPORT": InstanceStatus.FAILED,
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
        """View an instance of a stack set, if there is one; `desired` tells whether the phase has its target."""
        if instance is None:
            return cls(InstanceStatus.MISSING)
        outdated = instance.status is Status.OUTDATED
        status = instance_status(instance.detailed if outdated else instance.status.value)
        if status is InstanceStatus.CURRENT and outdated:
            status = InstanceStatus.OUTDATED
        elif status is InstanceStatus.CURRENT and not desired:
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


Views = dict[str, dict[Target, InstanceView]]
"""The instances of each layer."""


class AccountRelease(NamedTuple):
    """The release that an account has, empty where it has none; not `whole` where the next one reached it in part."""

    release: str
    whole: bool


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
    """The run that holds the lock, or failed."""
    hold: Hold | None = None
    """The lock of a command that plans and waits for an answer."""
    releases: Mapping[str, AccountRelease] = field(default_factory=dict)
    """Releases by account."""
    removal: EndedRun | None = None
    """The removal of the whole phase, where nothing was rolled out completely since."""
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

    The exit code is 0 when everything could be read, every instance is CURRENT, none is known to have drifted, and no
    run is unfinished.
    """
    present = client.sets.names()
    sets = naming.existing_stack_sets(layers, desired.suffix, present)
    found = dict(concurrently(lambda layer: _set(client, sets[layer]), sets))
    views: Views = {}
    for layer in sorted(found.keys() | desired.sets.keys()):
        instances = found[layer][0] if layer in found else {}
        targets = desired.sets[layer].overrides if layer in desired.sets else {}
        views[layer] = _views(instances, targets.keys(), InstanceView.of)
    _explain_validations(client, views)
    run, ended, hold = store.journal.look(datetime.now(UTC).isoformat(timespec="seconds"))
    if run is not None and run.status is RunStatus.FAILED and run.command in (Command.APPLY, Command.ROLLBACK):
        _mark_untouched(client, desired, store, run, views)
    unread = _add_plain_stacks(client, desired, views)
    last = last_whole(ended)
    removed = last is not None and last.command is Command.REMOVE
    release, released = (last.release, last.began) if last and not removed else ("", "")
    occupied = {target.region for by_target in views.values() for target in by_target}
    order = in_order({layer: sorted(desired.needs.get(layer, set()) & views.keys()) for layer in sorted(views)})
    view = StatusView(
        phase=desired.phase,
        layers=tuple(order),
        regions=(*desired.regions, *sorted(occupied - set(desired.regions))),
        instances={layer: views[layer] for layer in order},
        running=tuple((layer, operation) for layer, (_, active) in sorted(found.items()) for operation in active),
        release=release,
        released=released,
        unfinished=None if run is None or run.status is RunStatus.DONE else run,
        hold=hold,
        releases=account_releases(views, run, release),
        removal=last if removed else None,
        notes=(*unread, *_notes([name for name in present if name not in ours], ended)),
    )
    return view, 0 if view.good and not unread else 1


def account_releases(views: Views, run: Run | None, whole: str) -> dict[str, AccountRelease]:
    """The release of each account, by its instances and the last run; `whole` is the one before it that ended well."""
    by_account = grouped((target.account, each) for by_target in views.values() for target, each in by_target.items())
    entries = run.entries if run and run.release and not run.good else ()
    over = [each.call.targets.difference(each.failures) for each in entries if each.state is EntryState.OVER]
    reached = {target.account for targets in over for target in targets}
    found = {}
    for account, own in sorted(by_account.items()):
        instances = [each for each in own if each.status is not InstanceStatus.MISSING]
        current = bool(instances) and all(each.status is InstanceStatus.CURRENT for each in instances)
        if run is not None and account in reached:
            found[account] = AccountRelease(run.release, current)
        else:
            found[account] = AccountRelease(whole if instances else "", True)
    return found


def _mark_untouched(client: Client, desired: DesiredState, store: Store, run: Run, views: Views) -> None:
    """Count an instance as outdated to whose set, or own values, the failed run has not come, as its report does.

    For StackSets it is CURRENT, with a template or parameters that are not those of the run's release. Overrides that
    nobody here knows are not asked for.
    """
    with contextlib.suppress(RolloutError):  # without the release all is as StackSets says
        release = store.releases.load(run.release).desired_state(desired)
        cache = store.overrides()
        for layer, spec in release.sets.items():
            state = client.sets.read(layer, spec.name)
            if state is None:
                continue
            behind = differs(release, spec, state)
            for target, view in views[layer].items():
                if target not in spec.overrides or view.status is not InstanceStatus.CURRENT:
                    continue
                instance = state.instances.get(target)
                known = instance and dataclasses.replace(instance, overrides=cache.overrides(layer, instance))
                own = known and known.overrides is not None and not keeps_overrides(spec, known)
                if behind or own:
                    reason = f"{run} has not come to {'its stack set' if behind else 'its own values'}"
                    views[layer][target] = dataclasses.replace(view, status=InstanceStatus.OUTDATED, reason=reason)


def _explain_validations(client: Client, views: Views) -> None:
    """Add what a validation before the deployment found, of which StackSets say no more than that it failed.

    It is asked for at one instance of a layer, since the others have the same template; as it is where that instance's
    account cannot be read.
    """
    for by_target in views.values():
        failed = [target for target, each in by_target.items() if stacks.VALIDATED in each.reason and each.stack_id]
        for target in sorted(failed)[:1]:
            with contextlib.suppress(RolloutError):
                view = by_target[target]
                if told := stacks.first_failure(client.reading(target), view.stack_id):
                    by_target[target] = dataclasses.replace(view, reason=f"{view.reason} {told}")


def known_stack_sets(rollout: RolloutFile, layers: Iterable[str]) -> frozenset[str]:
    """The stack sets that the phases of a rollout file may have; a phase whose file cannot be read has none."""
    suffixes = []
    for phase in rollout.phases:
        with contextlib.suppress(RolloutFileError):  # that phase's own matter
            suffixes.append(parameters.suffix_of(rollout, phase))
    return frozenset(naming.stack_set(layer, suffix) for layer in layers for suffix in suffixes)


def _set(client: Client, name: str) -> tuple[Mapping[Target, Instance], tuple[Operation, ...]]:
    try:
        return client.sets.instances(name), client.sets.active(name)
    except StackSetNotFound:  # it was deleted meanwhile
        return {}, ()


def _views(
    found: Mapping[Target, Found], desired: Set[Target], view: Callable[[Found | None, bool], InstanceView]
) -> dict[Target, InstanceView]:
    return {target: view(found.get(target), target in desired) for target in sorted(found.keys() | desired)}


def _add_plain_stacks(client: Client, desired: DesiredState, views: Views) -> list[str]:
    """Add the stacks of the network account, a list a region; return why some could not be listed."""
    notes = []
    for layer, spec in desired.plain.items():
        views[layer], prefix = {}, naming.network_stack(layer, desired.suffix, account="")
        for region in desired.regions:
            try:
                found = stacks.statuses(client.reading_shared(Target(spec.account, region)), prefix)
            except RolloutError as error:
                notes.append(f"{layer} in {region} is not shown: {error}")
                continue
            there = {Target(name.removeprefix(prefix), region): status for name, status in found.items()}
            targets = {target for target in spec.parameters if target.region == region}
            views[layer] |= _views(there, targets, InstanceView.of_plain)
    return notes


def _notes(unknown_sets: Iterable[str], ended: Sequence[EndedRun]) -> Iterator[str]:
    for name in unknown_sets:
        if name.startswith(naming.PREFIX):
            unknown = f"{name} is a stack set of no phase and layer that this rollout file and these templates have"
            yield f"{unknown}; a phase that was renamed or taken out leaves such sets"
    for each in ended[-RUNS_LISTED:]:
        yield f"{each.began}: {each.command.value} {each.release} {'ended well' if each.good else each.status.value}"


def last_whole(ended: Sequence[EndedRun]) -> EndedRun | None:
    """The last run that rolled a release out whole, or removed the phase; one that detaches accounts does neither."""
    whole = (each for each in reversed(ended) if each.good and (each.release or each.command is Command.REMOVE))
    return next(whole, None)
