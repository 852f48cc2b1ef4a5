"""Sources of parameter values, from the widest to the most specific: parameter files, shared stacks, rollout.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from builders import environments
from builders.environments import ParameterFile
from builders.errors import ParameterFileError, RolloutFileError
from builders.naming import SUFFIX
from builders.rollout.config.document import all_at_once, location
from builders.rollout.config.schema import KeyPath, RolloutFile
from builders.rollout.model import Target, Values

CONNECTIVITY, TRANSIT_GATEWAY = "Connectivity", "TransitGateway"


@dataclass(frozen=True)
class SharedOutputs:
    """Outputs by name: of `artifacts` in each region, of `administration`, of `shared_network` in each region.

    Stacks that do not exist yet are left out.
    """

    tooling: Mapping[str, Values] = field(default_factory=dict)
    administration: Values = field(default_factory=dict)
    network: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Source:
    """Values with one origin. `path` leads to them in the file called `name`, `lines` are those of that file.

    `written` tells that a person wrote them as parameters: other sources have values that no template declares.
    """

    name: str
    values: Values
    path: KeyPath = ()
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    written: bool = True

    def where(self, key: str) -> str:
        """The location of a value: the file, the line if there is one, the key."""
        path = (*self.path, key)
        return location(self.name, self.lines.get(path), path)


@dataclass(frozen=True)
class PhaseSources:
    """The sources of one phase; those by region, account and target only where there are values of their own."""

    environment: Source
    facts: Source
    phase: Source
    tooling: Mapping[str, Source]
    network: Mapping[str, Source]
    regions: Mapping[str, Source]
    accounts: Mapping[str, Source]
    targets: Mapping[str, Source]

    @property
    def common(self) -> tuple[Source, ...]:
        """The sources of every target."""
        return (self.environment, self.facts, self.phase)

    def specific(self) -> Iterator[Source]:
        """The sources of some targets only."""
        for sources in (self.tooling, self.network, self.regions, self.accounts, self.targets):
            yield from sources.values()

    def chain(self, target: Target) -> tuple[Source, ...]:
        """The sources of a target; of two that give a value the later one holds.

        Outputs of the network account are for targets that it connects to on-premises: elsewhere the template refuses
        the ids of its gateways.
        """
        network = self.network.get(target.region)
        found = (
            self.environment,
            self.facts,
            self.tooling.get(target.region),
            network,
            self.phase,
            self.regions.get(target.region),
            self.accounts.get(target.account),
            self.targets.get(str(target)),
        )
        chain = tuple(source for source in found if source is not None)
        given = origin(chain, CONNECTIVITY)
        if given is not None and given.values[CONNECTIVITY] == TRANSIT_GATEWAY:
            return chain
        return tuple(source for source in chain if source is not network)


def merged_values(chain: Iterable[Source]) -> dict[str, str]:
    """The values of several sources; the later ones replace the earlier ones."""
    values: dict[str, str] = {}
    for source in chain:
        values.update(source.values)
    return values


def origin(chain: tuple[Source, ...], key: str) -> Source | None:
    """The source whose value holds; None where it is the template's default."""
    return next((source for source in reversed(chain) if key in source.values), None)


def file_source(file: ParameterFile) -> Source:
    """A parameter file as a source."""
    return Source(str(file.path), file.values, lines={(key,): entry.line for key, entry in file.entries.items()})


def rollout_source(rollout: RolloutFile, values: Values, *path: str) -> Source:
    """The parameters at a path of rollout.yaml as a source."""
    return Source(str(rollout.path), values, path, rollout.lines)


def phase_sources(rollout: RolloutFile, phase: str, environment: ParameterFile, shared: SharedOutputs) -> PhaseSources:
    """The sources of a phase of rollout.yaml."""
    config = rollout.phases[phase]

    def tables(name: str, values_by: Mapping[str, Values]) -> dict[str, Source]:
        return {key: rollout_source(rollout, own, "phases", phase, name, key) for key, own in values_by.items() if own}

    return PhaseSources(
        environment=file_source(environment),
        facts=shared_facts(rollout, shared),
        phase=rollout_source(rollout, config.parameters, "phases", phase, "parameters"),
        tooling={
            region: Source(f"outputs of artifacts in {region}", values, written=False)
            for region, values in shared.tooling.items()
        },
        network={
            region: _network_source(region, values)
            for region, values in (shared.network if rollout.network else {}).items()
        },
        regions=tables("region_parameters", config.region_parameters),
        accounts=tables("account_parameters", config.account_parameters),
        targets=tables("place_parameters", config.place_parameters),
    )


def shared_facts(rollout: RolloutFile, shared: SharedOutputs) -> Source:
    """Values for every target from rollout.yaml and the administration role."""
    is_ours = rollout.stacksets.permission_model == "SELF_MANAGED" and bool(shared.administration)
    values = {
        **shared.administration,
        "ToolingAccountId": rollout.tooling.account,
        "CreateExecutionRole": "true" if is_ours else "false",
    }
    return Source("the tooling account and its outputs", values, written=False)


def _network_source(region: str, outputs: Values) -> Source:
    values = {**outputs, CONNECTIVITY: TRANSIT_GATEWAY}
    if "TransitVirtualInterfaceId" in outputs:
        # The one output that a parameter of another name takes: two layers output the interface, each under its own.
        values["DirectConnectVirtualInterfaceId"] = outputs["TransitVirtualInterfaceId"]
    return Source(f"outputs of shared_network in {region}", values, written=False)


def read_parameters(rollout: RolloutFile, name: str) -> ParameterFile:
    """A parameter file that rollout.yaml names. Raises `RolloutFileError` with the mistakes in its form."""
    try:
        file = environments.read(rollout.beside(name))
    except ParameterFileError as error:
        raise RolloutFileError(str(error)) from error
    if file.findings:
        raise all_at_once(f"{found.file}, line {found.line}: {found.message}" for found in file.findings)
    return file


def environment_file(rollout: RolloutFile, phase: str) -> ParameterFile:
    """The parameter file of a phase. Raises `RolloutFileError` where it cannot be read, or its suffix is another's."""
    file = read_parameters(rollout, rollout.phases[phase].environment)
    suffix = _suffix(rollout, phase, file)
    for other in [name for name in rollout.phases if name != phase]:
        try:
            theirs = _suffix(rollout, other, environments.read(rollout.beside(rollout.phases[other].environment)))
        except ParameterFileError:  # the other phase's own matter
            continue
        if suffix == theirs:
            raise RolloutFileError(
                f"{rollout.path}: phases {phase} and {other} both have {SUFFIX} {suffix!r}, so that their stack sets "
                "would be the same; give each a suffix of its own"
            )
    return file


def suffix_of(rollout: RolloutFile, phase: str) -> str:
    """The suffix of a phase, empty where nobody gives one. Raises `RolloutFileError` as `environment_file` does."""
    return _suffix(rollout, phase, environment_file(rollout, phase)) or ""


def _suffix(rollout: RolloutFile, phase: str, file: ParameterFile) -> str | None:
    return rollout.phases[phase].parameters.get(SUFFIX, file.values.get(SUFFIX))
