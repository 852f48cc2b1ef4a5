"""What every stack of a phase put out, as files: a folder a place, and one index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders import naming, outputs
from builders.errors import RolloutError
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.client import Client
from builders.rollout.aws.errors import StackSetNotFound
from builders.rollout.config.sources import SharedOutputs
from builders.rollout.model import DesiredState, Target, Values

INDEX = "index.json"


@dataclass(frozen=True)
class Written:
    """What was written for one place. `known` are the outputs there that the world outside reads, by flat name."""

    target: Target
    files: tuple[Path, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class OutputsView:
    """What was written, and why nothing was for some places: their files stay as they were."""

    phase: str
    release: str
    index: Path
    written: tuple[Written, ...]
    unread: Mapping[Target, str]


@dataclass(frozen=True)
class _Stack:
    layer: str
    target: Target
    stack: str
    """The stack's ARN, or its name in the network account."""
    account: str = ""
    """The network account, for a plain stack."""


def run_outputs(
    client: Client,
    desired: DesiredState,
    shared: SharedOutputs,
    layers: Collection[str],
    release: str,
    outputs_dir: Path,
) -> tuple[OutputsView, int]:
    """Read every stack of a phase and write the files of each place as a whole. `release` is told in the index.

    A place of which one stack cannot be read is not written at all. What the shared stacks put out for a region stands
    in each of its places. The exit code is 1 when a place could not be read.
    """
    read, unread = _read(client, list(_stacks(client, desired, layers)))
    found = {target: _of_region(shared, target.region) | read[target] for target in sorted(read.keys() - unread.keys())}
    written = [_write(outputs_dir, desired.phase, target, stacks) for target, stacks in found.items()]
    if len(found) == 1 and not unread:
        outputs.write(desired.phase, next(iter(found.values())), outputs_dir)
    elif len(found) + len(unread) > 1:
        (outputs_dir / desired.phase / outputs.FLAT).unlink(missing_ok=True)  # of a time when there was one place
    view = OutputsView(desired.phase, release, outputs_dir / desired.phase / INDEX, tuple(written), unread)
    outputs.write_document(view.index, outputs_data(view))
    return view, int(bool(unread))


def outputs_data(view: OutputsView) -> dict[str, object]:
    """The index: every place with its files, relative to the index, and the outputs that are there and are not."""
    folder = view.index.parent
    return {
        "phase": view.phase,
        "release": view.release,
        "places": [
            {
                "account": each.target.account,
                "region": each.target.region,
                "files": [str(path.relative_to(folder)) for path in each.files],
                "outputs": list(each.known),
                "missing": [name for name in outputs.RELIED_ON if name not in each.known],
            }
            for each in view.written
        ],
        "unread": [
            {"account": target.account, "region": target.region, "reason": reason}
            for target, reason in sorted(view.unread.items())
        ],
    }


def _stacks(client: Client, desired: DesiredState, layers: Collection[str]) -> Iterator[_Stack]:
    present = client.sets.names()
    carried = [layer for layer in sorted(layers) if naming.stack_set(layer, desired.suffix) in present]
    there: set[Target] = set()
    for layer in carried:
        try:
            instances = client.sets.instances(naming.stack_set(layer, desired.suffix))
        except StackSetNotFound:  # it went while we looked
            continue
        there |= instances.keys()
        yield from (_Stack(layer, target, each.stack_id) for target, each in instances.items() if each.stack_id)
    for layer, stacks in desired.plain.items():
        for target in sorted(there & stacks.parameters.keys()):
            yield _Stack(layer, target, naming.network_stack(layer, desired.suffix, target.account), stacks.account)


def _read(client: Client, stacks: list[_Stack]) -> tuple[dict[Target, dict[str, Values]], dict[Target, str]]:
    """Outputs by place and layer, and why places could not be read."""

    def look(each: _Stack) -> Values | RolloutError | None:
        try:
            if not each.account:
                return client.members.outputs(each.target, each.stack)
            found = client.plain.read(each.account, each.target.region, each.stack)
            return found.outputs if found else None
        except RolloutError as error:
            return error

    found: dict[Target, dict[str, Values]] = defaultdict(dict)
    unread: dict[Target, str] = {}
    for each, answer in concurrently(look, stacks):
        if isinstance(answer, RolloutError):
            unread[each.target] = f"{each.layer}: {answer}"
        elif answer is not None:
            found[each.target][each.layer] = answer
    return {target: dict(sorted(by_layer.items())) for target, by_layer in found.items()}, unread


def _of_region(shared: SharedOutputs, region: str) -> dict[str, Values]:
    """What the stacks that all phases share put out for a region; none where they do not stand."""
    by_layer = {
        "administration": shared.administration,
        "artifacts": shared.tooling.get(region, {}),
        "shared_network": shared.network.get(region, {}),
    }
    return {layer: found for layer, found in by_layer.items() if found}


def _write(outputs_dir: Path, phase: str, target: Target, stacks: Mapping[str, Values]) -> Written:
    written = outputs.write_place(outputs_dir / phase / target.account / target.region, stacks)
    flat = outputs.flatten(stacks)
    return Written(target, tuple(written), tuple(name for name in outputs.RELIED_ON if name in flat))
