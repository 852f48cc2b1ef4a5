"""The beginning of every command: a phase and its desired state, from rollout.yaml, templates and shared stacks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from builders import naming
from builders.aws import stacks
from builders.aws.calls import ApiCalls, attempted
from builders.aws.errors import RoleNotAssumed
from builders.errors import RolloutError, RolloutFileError, UsageError
from builders.layer_templates import Template, read_templates
from builders.rollout.client import Client
from builders.rollout.config import desired_state, loading, parameters, schema
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.executor.current_state import read_current_state
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, LayerTarget, Permissions, Target, Values
from builders.rollout.state.store import Store
from builders.scopes import Scope
from builders.text import unknown_name


@dataclass(frozen=True)
class PhaseConnection:
    """The accounts of a phase, of which nothing need be deployed yet."""

    rollout: schema.RolloutFile
    templates: Mapping[str, Template]
    phase: str
    suffix: str
    client: Client

    @property
    def members(self) -> dict[str, tuple[str, ...]]:
        """The active accounts of the organizational units that the phase names."""
        units = self.rollout.phases[self.phase].targets.organizational_units
        return {unit: self.client.organizations.accounts(unit) for unit in units}

    def stored_in(self, shared: SharedOutputs) -> Store:
        """The stored state of the phase: in the bucket of artifacts of the home region, which is among the outputs."""
        home = self.rollout.home
        return Store(self.client.objects(home), shared.tooling[home][naming.ARTIFACTS_BUCKET], self.suffix, self.phase)


@dataclass(frozen=True)
class Phase(PhaseConnection):
    """A phase that a command works on."""

    shared: SharedOutputs
    desired: DesiredState
    store: Store

    @property
    def layers(self) -> frozenset[str]:
        """The layers that a stack set of this phase may carry."""
        return frozenset(name for name, each in self.templates.items() if each.scope is Scope.PHASE)

    def current(self) -> CurrentState:
        """Read the phase as it is."""
        return read_current_state(self.client, self.store.overrides(), self.desired, self.layers)


def connect(
    file: Path, templates_folder: Path, name: str, open_api: Callable[[str], ApiCalls], region: str | None = None
) -> PhaseConnection:
    """Read rollout.yaml and the templates, and connect to the accounts of a phase.

    `region` replaces that of the stack sets in the rollout file. Raises `RolloutError` for credentials of another
    account.
    """
    rollout = loading.load_rollout_file(file)
    if region:
        tooling = rollout.tooling.model_copy(update={"region": region})
        rollout = rollout.model_copy(update={"tooling": tooling})
    found = read_templates(templates_folder)
    if name not in rollout.phases:
        raise UsageError(unknown_name("phase", name, rollout.phases))
    suffix = _suffix(rollout, name)
    client = phase_client(open_api(rollout.home), rollout, name, suffix)
    account = client.calls.account()  # before anything else is asked with these credentials
    if account != rollout.tooling.account:
        raise RolloutError(
            f"the credentials are of account {account}, and the tooling account of {rollout.path} is "
            f"{rollout.tooling.account}; choose its profile by --profile or AWS_PROFILE"
        )
    return PhaseConnection(rollout, found, name, suffix, client)


def _suffix(rollout: schema.RolloutFile, phase: str) -> str:
    """The suffix of a phase, before stacks are looked for by names that end in it."""
    suffix = parameters.suffix_of(rollout, phase)
    given = f"is {suffix!r}" if suffix else "is missing"
    where = f"{rollout.beside(rollout.phases[phase].environment)}: {naming.SUFFIX} {given}"
    if len(suffix) > naming.SUFFIX_MAX_LENGTH or not re.fullmatch(naming.SUFFIX_PATTERN, suffix):
        raise RolloutFileError(
            f"{where}; use up to {naming.SUFFIX_MAX_LENGTH} lower-case letters and digits, the first of them a letter"
        )
    if suffix in naming.RESERVED_SUFFIXES:
        raise RolloutFileError(f"{where}, {naming.IS_RESERVED}")
    return suffix


def phase_client(calls: ApiCalls, rollout: schema.RolloutFile, name: str, suffix: str) -> Client:
    """Make the client of a phase."""
    model = rollout.stacksets
    permissions = Permissions(service_managed=model.permission_model == "SERVICE_MANAGED", call_as=model.call_as)
    return Client(calls, permissions, name, suffix, rollout.deploy_role_in)


def open_phase(connection: PhaseConnection) -> Phase:
    """Open a phase. Raises `RolloutError` where the shared stacks do not exist yet."""
    rollout, phase = connection.rollout, connection.phase
    shared = shared_outputs(connection.client, rollout, phase)
    desired = desired_state.desired_state(rollout, phase, connection.templates, shared, connection.members)
    return Phase(**vars(connection), shared=shared, desired=desired, store=connection.stored_in(shared))


ADMINISTRATION, ARTIFACTS, SHARED_NETWORK = "administration", "artifacts", "shared_network"
"""Layers, one of each scope that all phases share."""


def shared_outputs(client: Client, rollout: schema.RolloutFile, phase: str) -> SharedOutputs:
    """Read the outputs of the shared stacks of a phase. Raises `RolloutError` where one, or the role that reads it,
    does not exist."""
    found, problem = readable_outputs(client, rollout, phase)
    if problem:
        raise problem
    return found


def readable_outputs(
    client: Client, rollout: schema.RolloutFile, phase: str
) -> tuple[SharedOutputs, RolloutError | None]:
    """Read the outputs of those shared stacks of a phase that can be read, and why others cannot."""
    names = dict(_stacks(rollout, phase))
    bootstrap = f"run `rollout-stacksets bootstrap --phase {phase}` first"
    read = dict(attempted(lambda stack: stacks.standing(client.reading_shared(stack[1]), names[stack]), names))
    errors = [answer for answer in read.values() if isinstance(answer, RolloutError)]
    problem = next((error for error in errors if not isinstance(error, RoleNotAssumed)), None)
    if problem is None:
        if missing := [f"{name} in {target}" for (layer, target), name in names.items() if read[layer, target] is None]:
            problem = RolloutError(f"there is no stack {', '.join(missing)}; {bootstrap}")
        elif errors:  # bootstrap makes the role, too
            problem = RolloutError(f"{errors[0]}; where bootstrap has not made the role, {bootstrap}")
    return joined_outputs({key: each.outputs for key, each in read.items() if isinstance(each, DeployedStack)}), problem


def joined_outputs(outputs: Mapping[LayerTarget, Values]) -> SharedOutputs:
    """Arrange the outputs of stacks as the desired state takes them."""
    administration = [found for (layer, _), found in outputs.items() if layer == ADMINISTRATION]
    return SharedOutputs(
        tooling={target.region: found for (layer, target), found in outputs.items() if layer == ARTIFACTS},
        administration=administration[0] if administration else {},
        network={target.region: found for (layer, target), found in outputs.items() if layer == SHARED_NETWORK},
    )


def _stacks(rollout: schema.RolloutFile, phase: str) -> Iterator[tuple[LayerTarget, str]]:
    """The stacks with their names: `administration`, which is the phase's own, in the home region."""
    regions, tooling = rollout.phases[phase].regions, rollout.tooling
    if rollout.stacksets.permission_model == "SELF_MANAGED":
        suffix = parameters.suffix_of(rollout, phase)
        yield (ADMINISTRATION, Target(tooling.account, rollout.home)), naming.plain_stack(ADMINISTRATION, suffix)
    found: list[tuple[str, schema.SharedAccount, str]] = [
        (ARTIFACTS, tooling, region) for region in dict.fromkeys([rollout.home, *regions])
    ]
    if rollout.network:
        found += [(SHARED_NETWORK, rollout.network, region) for region in regions]
    for layer, owner, region in found:
        given = parameters.read_parameters(rollout, owner.parameters).values | owner.region_parameters.get(region, {})
        yield (layer, Target(owner.account, region)), naming.plain_stack(layer, given.get(naming.SUFFIX, ""))
