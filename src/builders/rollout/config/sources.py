"""What the stacks that all phases share have put out, as the desired state takes it.

Where the values of a phase come from, from the widest to the most specific source.

Reads the parameter files that rollout.yaml names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from builders import environments
from builders.environments import ParameterFile
from builders.errors import ParameterFileError, RolloutFileError
from builders.naming import SUFFIX
from builders.rollout.config.document import all_at_once, dotted
from builders.rollout.config.schema import KeyPath, RolloutFile
from builders.rollout.model import Target, Values


@dataclass(frozen=True)
class SharedOutputs:
    """Outputs by name: of `artifacts` in each region, of `administration`, of `shared_network` in each region.

    What does not stand yet is left out.
    """

    tooling: Mapping[str, Values] = field(default_factory=dict)
    administration: Values = field(default_factory=dict)
    network: Mapping[str, Values] = field(default_factory=dict)


CONNECTIVITY = "Connectivity"
TRANSIT_GATEWAY = "TransitGateway"
_PUT_OUT_AS = {"TransitVirtualInterfaceId": "DirectConnectVirtualInterfaceId"}
"""The one output that another parameter takes: two layers put out the interface, and so under two names."""


@dataclass(frozen=True, eq=False)
class Source:
    """Values from one place. `path` leads to them in the file called `name`, `lines` are those of that file.

    `given` says that a person wrote them as parameters: other sources hold more than what templates declare.
    """

    name: str
    values: Values
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    given: bool = True

    def where(self, key: str) -> str:
        """Where a value stands: the file, the line where it is known, the key."""
        path = (*self.path, key)
        line = self.lines.get(path)
        return ", ".join([self.name, *([f"line {line}"] if line else []), dotted(path)])


@dataclass(frozen=True)
class PhaseSources:
    """The sources of one phase; those by region, account and place only where there is something of their own."""

    environment: Source
    facts: Source
    tooling: Mapping[str, Source]
    network: Mapping[str, Source]
    phase: Source
    regions: Mapping[str, Source]
    accounts: Mapping[str, Source]
    targets: Mapping[str, Source]

    @property
    def wide(self) -> tuple[Source, ...]:
        """What holds for every place of the phase unless something more specific is said."""
        return (self.environment, self.facts, self.phase)

    def own(self) -> Iterator[Source]:
        """What holds for some places only."""
        for group in (self.tooling, self.network, self.regions, self.accounts, self.targets):
            yield from group.values()

    def variant(self, target: Target) -> tuple[str, str, str]:
        """Equal for places that have the same sources, and so the same values."""
        account = target.account if target.account in self.accounts else ""
        return target.region, account, str(target) if str(target) in self.targets else ""

    def chain(self, target: Target) -> tuple[Source, ...]:
        """The sources of a place; of two that give a value the later one holds.

        What the network account has put out is for phases that it joins to on-premises: elsewhere the template refuses
        the ids of its gateways.
        """
        shared = [self.tooling.get(target.region), self.network.get(target.region)]
        specific = [self.regions.get(target.region), self.accounts.get(target.account), self.targets.get(str(target))]
        chain = [self.environment, self.facts, *shared, self.phase, *specific]
        found = tuple(source for source in chain if source is not None)
        if merged_values(found).get(CONNECTIVITY) == TRANSIT_GATEWAY:
            return found
        return tuple(source for source in found if source is not shared[1])


def merged_values(chain: tuple[Source, ...]) -> dict[str, str]:
    """The values of several sources, the later ones before the earlier ones."""
    values: dict[str, str] = {}
    for source in chain:
        values.update(source.values)
    return values


def origin(chain: tuple[Source, ...], key: str) -> Source | None:
    """The source whose value holds; None where it is the template's default."""
    return next((source for source in reversed(chain) if key in source.values), None)


def of_file(file: ParameterFile) -> Source:
    """A parameter file as a source."""
    lines: dict[KeyPath, int] = {(key,): entry.line for key, entry in file.entries.items()}
    return Source(str(file.path), file.values, lines=lines)


def of_phase(rollout: RolloutFile, phase: str, environment: ParameterFile, shared: SharedOutputs) -> PhaseSources:
    """The sources of a phase of rollout.yaml."""
    plan = rollout.phases[phase]

    def table(name: str, values: Mapping[str, Values]) -> dict[str, Source]:
        return {
            key: Source(str(rollout.path), own, ("phases", phase, name, key), rollout.lines)
            for key, own in values.items()
            if own
        }

    return PhaseSources(
        of_file(environment),
        shared_facts(rollout, shared),
        {
            region: Source(f"what artifacts has put out in {region}", values, given=False)
            for region, values in shared.tooling.items()
        },
        {region: _of_network(region, values) for region, values in shared.network.items()} if rollout.network else {},
        Source(str(rollout.path), plan.parameters, ("phases", phase, "parameters"), rollout.lines),
        table("region_parameters", plan.region_parameters),
        table("account_parameters", plan.account_parameters),
        table("place_parameters", plan.place_parameters),
    )


def shared_facts(rollout: RolloutFile, shared: SharedOutputs) -> Source:
    """What rollout.yaml and the administration role say for every place."""
    is_ours = rollout.stacksets.permission_model == "SELF_MANAGED" and bool(shared.administration)
    values = {
        **shared.administration,
        "ToolingAccountId": rollout.tooling.account,
        "CreateExecutionRole": "true" if is_ours else "false",
    }
    return Source("what the tooling account is and has put out", values, given=False)


def _of_network(region: str, outputs: Values) -> Source:
    renamed = {_PUT_OUT_AS[name]: value for name, value in outputs.items() if name in _PUT_OUT_AS}
    values = {**outputs, **renamed, CONNECTIVITY: TRANSIT_GATEWAY}
    return Source(f"what shared_network has put out in {region}", values, given=False)


def environment_file(rollout: RolloutFile, phase: str) -> ParameterFile:
    """The parameter file of a phase. Raises `RolloutFileError` where it cannot be read, or its suffix is another's."""
    file = read_parameters(rollout, rollout.phases[phase].environment)
    mine = suffix_of(rollout, phase, file)
    for other, plan in rollout.phases.items():
        if other == phase:
            continue
        try:
            theirs = suffix_of(rollout, other, environments.read(rollout.beside(plan.environment)))
        except ParameterFileError:  # the other phase's own matter
            continue
        if mine == theirs:
            raise RolloutFileError(
                f"{rollout.path}: phases {phase} and {other} both have {SUFFIX} {mine!r}, so that their stack sets "
                "would be the same; give each a suffix of its own"
            )
    return file


def read_parameters(rollout: RolloutFile, name: str) -> ParameterFile:
    """A parameter file that rollout.yaml names. Raises `RolloutFileError` with what is wrong with its form."""
    try:
        file = environments.read(rollout.beside(name))
    except ParameterFileError as error:
        raise RolloutFileError(str(error)) from error
    if file.findings:
        raise all_at_once(f"{found.file}, line {found.line}: {found.message}" for found in file.findings)
    return file


def suffix_of(rollout: RolloutFile, phase: str, file: ParameterFile) -> str | None:
    """What ends the names of a phase, as its parameter file or rollout.yaml says."""
    return rollout.phases[phase].parameters.get(SUFFIX, file.values.get(SUFFIX))
