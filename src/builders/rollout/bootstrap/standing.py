"""What the shared stacks have put out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from builders.deploy import stack_name
from builders.errors import RolloutError
from builders.rollout.client import Client, together
from builders.rollout.desired import Shared
from builders.rollout.desired.parameter_files import SUFFIX, read
from builders.rollout.file import RolloutFile, SharedAccount
from builders.rollout.model import Place, Values

ADMINISTRATION, ARTIFACTS, SHARED_NETWORK = "administration", "artifacts", "shared_network"
"""Layers, one of each scope that all phases share."""

Stack = tuple[str, Place]
"""A layer and its place."""


def shared(client: Client, rollout: RolloutFile, phase: str | None = None) -> Shared:
    """Read the stacks that a phase stands on, or all phases. Raises `RolloutError` where one is not there."""
    expected = dict(_stacks(rollout, phase))

    def look(stack: Stack) -> Values | None:
        place = stack[1]
        found = client.plain.read(place.account, place.region, expected[stack])
        return None if found is None else found.outputs

    looked = dict(together(look, expected))
    missing = [f"{expected[stack]} in {stack[1]}" for stack in expected if looked[stack] is None]
    if missing:
        raise RolloutError(
            f"there is no stack {', '.join(missing)}; run `rollout-stacksets bootstrap --phase "
            f"{phase or next(iter(rollout.phases))}` first"
        )
    return joined({stack: outputs for stack, outputs in looked.items() if outputs is not None})


def joined(outputs: Mapping[Stack, Values]) -> Shared:
    """Arrange what stacks have put out as the desired state takes it."""
    administration = [found for (layer, _), found in outputs.items() if layer == ADMINISTRATION]
    return Shared(
        tooling={place.region: found for (layer, place), found in outputs.items() if layer == ARTIFACTS},
        administration=administration[0] if administration else {},
        network={place.region: found for (layer, place), found in outputs.items() if layer == SHARED_NETWORK},
    )


def _stacks(rollout: RolloutFile, phase: str | None) -> Iterator[tuple[Stack, str]]:
    """The stacks with their names: `administration` in the home region."""
    plans = [rollout.phases[phase]] if phase else rollout.phases.values()
    regions = list(dict.fromkeys(region for plan in plans for region in plan.regions))
    if rollout.stacksets.permission_model == "SELF_MANAGED":
        yield _stack(rollout, ADMINISTRATION, rollout.tooling, rollout.home)
    for region in dict.fromkeys([rollout.home, *regions]):
        yield _stack(rollout, ARTIFACTS, rollout.tooling, region)
    if rollout.network:
        for region in regions:
            yield _stack(rollout, SHARED_NETWORK, rollout.network, region)


def _stack(rollout: RolloutFile, layer: str, owner: SharedAccount, region: str) -> tuple[Stack, str]:
    given = {**read(rollout, owner.parameters).values, **owner.region_parameters.get(region, {})}
    return (layer, Place(owner.account, region)), stack_name(layer, given.get(SUFFIX, ""))
