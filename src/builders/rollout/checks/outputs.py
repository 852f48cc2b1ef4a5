"""The outputs of every stack of a phase as files: a folder for each account and region, and one index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders import naming, outputs
from builders.aws.calls import attempted
from builders.aws.stacks import outputs as read_outputs, standing
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.model import DesiredState, LayerTarget, Target, Values
from builders.rollout.phase import ADMINISTRATION, ARTIFACTS, SHARED_NETWORK


@dataclass(frozen=True)
class Written:
    """The files of one target. `known` are the outputs there that the outside relies on, by flat name."""

    target: Target
    files: tuple[Path, ...]
    known: tuple[str, ...]


@dataclass(frozen=True)
class OutputsView:
    """The files that were written, and the targets that could not be read, whose files stay as they were."""

    phase: str
    release: str
    index: Path
    written: tuple[Written, ...]
    unread: Mapping[Target, str]


def run_outputs(
    client: Client, desired: DesiredState, shared: SharedOutputs, layers: Collection[str], release: str, folder: Path
) -> tuple[OutputsView, int]:
    """Read every stack of a phase and write the files of each target. The index names the `release`.

    A target of which one stack cannot be read is not written at all. The outputs of the shared stacks of a region
    go with each of its targets. The exit code is 1 when a target could not be read, or there is none.
    """
    read: dict[Target, dict[str, Values]] = defaultdict(dict)
    unread: dict[Target, str] = {}
    for (layer, target), answer in sorted(_read(client, desired, layers), key=lambda each: each[0]):
        if isinstance(answer, RolloutError):
            unread[target] = f"{layer}: {answer}"
        elif answer is not None:
            read[target][layer] = answer
    found = {target: _of_region(shared, target.region) | read[target] for target in sorted(read.keys() - unread.keys())}
    outputs.keep_only(desired.phase, found.keys() | unread.keys(), folder)
    files = outputs.write_targets(desired.phase, found, folder, unread.keys())
    written = []
    for target, stacks in found.items():
        flat = outputs.flatten(stacks)
        known = tuple(name for name in outputs.RELIED_ON if name in flat)
        written.append(Written(target, tuple(files[target]), known))
    view = OutputsView(desired.phase, release, folder / desired.phase / "index.json", tuple(written), unread)
    outputs.write_document(view.index, index_data(view))
    return view, int(bool(unread) or not written)


def index_data(view: OutputsView) -> dict[str, object]:
    """The index: every target with its files, relative to the index, and the outputs that exist or are missing."""
    folder = view.index.parent
    return {
        "phase": view.phase,
        "release": view.release,
        "places": [
            {
                **each.target._asdict(),
                "files": [str(path.relative_to(folder)) for path in each.files],
                "outputs": list(each.known),
                "missing": [name for name in outputs.RELIED_ON if name not in each.known],
            }
            for each in view.written
        ],
        "unread": [{**target._asdict(), "reason": reason} for target, reason in sorted(view.unread.items())],
    }


def _read(
    client: Client, desired: DesiredState, layers: Collection[str]
) -> Iterator[tuple[LayerTarget, Values | RolloutError | None]]:
    """The outputs of the instances' stacks, and of the plain stacks that stand in the network account for them."""
    ids: dict[LayerTarget, str] = {}
    for layer, name in client.sets.existing(layers, desired.suffix).items():
        ids |= {(layer, target): each.stack_id for target, each in client.sets.instances_left(name).items()}
    targets = {target for _, target in ids}

    def read(stack: LayerTarget) -> Values | None:
        layer, target = stack
        if layer not in desired.plain:
            return read_outputs(client.reading(target), ids[stack])
        session = client.reading_shared(Target(desired.plain[layer].account, target.region))
        found = standing(session, naming.network_stack(layer, desired.suffix, target.account))
        return found.outputs if found else None

    plain = [(layer, target) for layer, each in desired.plain.items() for target in targets & each.parameters.keys()]
    return attempted(read, [*(stack for stack, stack_id in ids.items() if stack_id), *plain])


def _of_region(shared: SharedOutputs, region: str) -> dict[str, Values]:
    """The outputs of the shared stacks of a region, those that exist."""
    by_layer = {
        ADMINISTRATION: shared.administration,
        ARTIFACTS: shared.tooling.get(region, {}),
        SHARED_NETWORK: shared.network.get(region, {}),
    }
    return {layer: found for layer, found in by_layer.items() if found}
