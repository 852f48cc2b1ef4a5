"""Reads the current state of a phase: its stack sets with the overrides of every instance, and its plain stacks.

A plan reads the stack of every instance that may change besides, since a set has what should be there and not what is.
"""

from __future__ import annotations

import dataclasses
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping

from builders import naming
from builders.aws import resources, stacks
from builders.aws.calls import attempted, concurrently
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.executor.context import Report
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, LayerTarget, StackSet, Status, Target
from builders.rollout.plan.schedule import stacks_to_read
from builders.rollout.stack_sets import StackSets
from builders.rollout.state.store import OverrideCache


def read_current_state(
    client: Client, cache: OverrideCache, desired: DesiredState, layers: Collection[str]
) -> CurrentState:
    """Read those layers of a phase that have a set, and the plain stacks of every target of the phase."""
    sets = client.sets
    names = sets.existing(layers, desired.suffix)
    read = concurrently(lambda layer: sets.read(layer, names[layer]), names)
    found = {layer: with_overrides(sets, cache, state) for layer, state in read if state}
    targets = {target for state in found.values() for target in state.instances}
    keys: dict[tuple[Target, str], LayerTarget] = {}
    templates: dict[Target, dict[str, str]] = defaultdict(dict)
    for each in desired.plain.values():
        for target in targets | each.parameters.keys():
            where = Target(each.account, target.region)
            name = naming.network_stack(each.layer, desired.suffix, target.account)
            keys[where, name] = each.layer, target
            templates[where][name] = each.template
    standing = concurrently(lambda at: stacks.standing_of(client.reading_shared(at), templates[at]), sorted(templates))
    plain = {keys[where, name]: stack for where, present in standing for name, stack in present.items()}
    return CurrentState(dict(sorted(found.items())), plain={key: plain[key] for key in sorted(plain)})


def read_set(sets: StackSets, cache: OverrideCache, layer: str, name: str) -> StackSet | None:
    """A set as `with_overrides` has it; None when there is none."""
    state = sets.read(layer, name)
    return state and with_overrides(sets, cache, state)


def with_overrides(sets: StackSets, cache: OverrideCache, state: StackSet) -> StackSet:
    """A set whose instances have their overrides: those that our own operations gave, else asked for one by one."""
    layer, instances = state.layer, state.instances.values()
    known = {each.target: cache.overrides(layer, each) for each in instances}
    unknown = [each for each in instances if known[each.target] is None and each.status is not Status.INOPERABLE]
    for instance, overrides in concurrently(lambda instance: sets.overrides(state.name, instance.target), unknown):
        cache.learn(layer, instance, overrides)
        known[instance.target] = overrides
    found = {
        target: dataclasses.replace(each, overrides=known[target], behind=cache.behind(layer, target))
        for target, each in state.instances.items()
    }
    return dataclasses.replace(state, instances=found)


def read_stacks(
    client: Client, ids: Mapping[LayerTarget, str]
) -> Iterator[tuple[LayerTarget, DeployedStack | RolloutError | None]]:
    """Read stacks of instances by their ids, as they come: None for one that is gone, or why it cannot be read."""
    return attempted(lambda key: stacks.deployed(client.reading(key[1]), ids[key]), ids)


def read_changing_stacks(
    client: Client, desired: DesiredState, current: CurrentState, say: Callable[[str], None]
) -> CurrentState:
    """Add the stacks that a plan compares, and the targets whose replication task runs.

    A stack that cannot be read is left out and said: what an update does to it is not known, and so blocks.
    """
    ids = {(layer, target): stack_id for layer, target, stack_id in stacks_to_read(desired, current)}
    deployed: dict[LayerTarget, DeployedStack] = {}
    unread: dict[LayerTarget, str] = {}
    for (layer, target), answer in read_stacks(client, ids):
        if isinstance(answer, RolloutError):
            say(f"{layer} at {target} is not looked at: {answer}")
            unread[layer, target] = str(answer)
        elif answer is not None:
            # Each answer brings its own copy of what is mostly the same text, of up to 50 KB.
            deployed[layer, target] = dataclasses.replace(answer, template=sys.intern(answer.template))
    # An update or a deletion would meet the task, and DMS refuses to change one that runs.
    with_task = [key for key, stack in deployed.items() if resources.TASK in stack.template]
    tasks = concurrently(lambda key: resources.has_running_task(client.reading(key[1]), ids[key]), with_task)
    running = frozenset(target for (_, target), runs in tasks if runs)
    return dataclasses.replace(current, deployed=deployed, running_tasks=running, unread=unread)


def failure_causes(client: Client, report: Report) -> dict[str, str]:
    """The first failed event of one stack for each reason, since those of one reason failed alike."""
    found: dict[str, str] = {}
    for reason, failures in report.causes().items():
        example = next((each for each in failures if each.stack_id), None)
        if example is None:
            continue
        try:
            event = stacks.first_failure(client.reading(example.target), example.stack_id)
        except RolloutError as error:
            event = f"its events cannot be read: {error}"
        if event and event not in reason:
            found[reason] = f"{example.layer} at {example.target}: {event}"
    return found
