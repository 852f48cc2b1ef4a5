"""A phase as it stands: every instance, what runs, what was rolled out last. Two calls a stack set, and its pages."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from builders.errors import RolloutError, RolloutFileError
from builders.graphs import in_order
from builders.rollout import desired as desires, names
from builders.rollout.client import Client, resources
from builders.rollout.client.abreast import together
from builders.rollout.client.reach import Reach
from builders.rollout.client.refusals import SetNotFound
from builders.rollout.file import RolloutFile
from builders.rollout.model import Deployed, Desired, Instance, Operation, Place, PlainStacks
from builders.rollout.showing.views import RunningOperation, Standing, StatusView, UnfinishedRun
from builders.rollout.store import Command, Ended, Run, RunStatus, Store

RUNS_TOLD = 5
"""How many of the last runs are told."""

Standings = dict[str, dict[Place, Standing]]
_Found = tuple[Mapping[Place, Instance], tuple[Operation, ...]]


def run_status(
    client: Client, wanted: Desired, store: Store, reach: Reach, layers: Collection[str], ours: Collection[str]
) -> tuple[StatusView, int]:
    """Read a phase. `layers` are those that a stack set may carry, `ours` what `known_names` tells.

    The exit code is 0 when every instance is CURRENT, none is known to have drifted, and no run is unfinished.
    """
    present = client.sets.names()
    carried = [layer for layer in sorted(layers) if names.stack_set(layer, wanted.suffix) in present]
    found = dict(together(lambda layer: _set(client, names.stack_set(layer, wanted.suffix)), carried))
    standings = {layer: _standings(wanted, layer, instances) for layer, (instances, _) in found.items()}
    for layer in wanted.sets.keys() - found.keys():
        standings[layer] = _standings(wanted, layer, {})
    notes = [*_add_plain(client, wanted, reach, standings), *_strangers(present, ours)]
    run, ended = store.journal.run(), store.journal.history()
    release, released = _last_whole(ended)
    view = StatusView(
        phase=wanted.phase,
        layers=_in_order(standings, wanted.needs),
        regions=_regions(wanted, standings),
        standings=standings,
        running=tuple(
            RunningOperation(layer, operation) for layer, (_, active) in sorted(found.items()) for operation in active
        ),
        release=release,
        released=released,
        unfinished=_unfinished(run),
        notes=(*notes, *_last_runs(ended)),
    )
    return view, 0 if view.good else 1


def known_names(rollout: RolloutFile, layers: Iterable[str]) -> frozenset[str]:
    """The stack sets that the phases of a rollout file may have; a phase whose file cannot be read has none."""
    found = set()
    listed = list(layers)
    for phase in rollout.phases:
        try:
            suffix = desires.suffix(rollout, phase, desires.environment(rollout, phase))
        except RolloutFileError:  # that phase's own matter
            continue
        found |= {names.stack_set(layer, suffix or "") for layer in listed}
    return frozenset(found)


def _set(client: Client, name: str) -> _Found:
    try:
        return client.sets.instances(name), client.sets.active(name)
    except SetNotFound:  # it went while we looked
        return {}, ()


def _standings(wanted: Desired, layer: str, instances: Mapping[Place, Instance]) -> dict[Place, Standing]:
    shall = wanted.sets[layer].overrides.keys() if layer in wanted.sets else frozenset[Place]()
    return {
        place: Standing.of(instances.get(place), wanted=place in shall) for place in sorted(instances.keys() | shall)
    }


def _add_plain(client: Client, wanted: Desired, reach: Reach, standings: Standings) -> list[str]:
    """Add the stacks of the network account, a list a region; return why some could not be listed."""
    notes = []
    for layer, stacks in wanted.plain.items():
        standings[layer] = {}
        for region in wanted.regions:
            try:
                standings[layer] |= _listed(client, wanted, reach, stacks, region)
            except RolloutError as error:
                notes.append(f"{layer} in {region} is not shown: {error}")
    return notes


def _listed(client: Client, wanted: Desired, reach: Reach, stacks: PlainStacks, region: str) -> dict[Place, Standing]:
    where = reach.deploying(Place(stacks.account, region))
    marker = "0" * 12
    prefix = names.plain_stack(stacks.layer, wanted.suffix, Place(marker, region)).removesuffix(marker)
    statuses = resources.stacks_named(client.calls, where, prefix)
    there = {Place(name.removeprefix(prefix), region): status for name, status in statuses.items()}
    shall = {place for place in stacks.parameters if place.region == region}
    return {
        place: Standing.of_plain(
            Deployed("", {}, there[place]) if place in there else None,
            wanted=place in shall,
        )
        for place in sorted(there.keys() | shall)
    }


def _strangers(present: Sequence[str], ours: Collection[str]) -> list[str]:
    strange = [name for name in present if name.startswith(names.PREFIX) and name not in ours]
    return [
        f"{name} is a stack set of no phase and layer that this rollout file and these templates have; a phase that "
        "was renamed or taken out leaves such sets"
        for name in strange
    ]


def _unfinished(run: Run | None) -> UnfinishedRun | None:
    if run is None or run.status is RunStatus.DONE:
        return None
    return UnfinishedRun(run.id, run.command.value, run.release, run.owner[:8], run.began, run.status.value)


def _last_whole(ended: Sequence[Ended]) -> tuple[str, str]:
    """The release that was rolled out whole, and when; none once the phase was removed."""
    for each in reversed(ended):
        if each.good and each.command is Command.REMOVE:
            break
        if each.good and each.release:  # a run that lets accounts go has none
            return each.release, each.began
    return "", ""


def _last_runs(ended: Sequence[Ended]) -> list[str]:
    return [
        f"{each.began}: {each.command.value} {each.release} {'ended well' if each.good else each.status.value}"
        for each in list(ended)[-RUNS_TOLD:]
    ]


def _in_order(standings: Standings, needs: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    graph = {layer: sorted(needs.get(layer, frozenset()) & standings.keys()) for layer in sorted(standings)}
    return tuple(in_order(graph))


def _regions(wanted: Desired, standings: Standings) -> tuple[str, ...]:
    """Those of the phase in its order, and behind them those where something still stands."""
    standing = {place.region for by_place in standings.values() for place in by_place}
    return (*wanted.regions, *sorted(standing - set(wanted.regions)))
