"""Parameter values of a phase's targets: merged from their sources, checked, and divided into set values and overrides.

Sources go from the widest to the most specific: parameter files, shared stacks, rollout.yaml. Targets with the same
sources are one group, and equal overrides are one object: thousands of accounts that differ in nothing cost as much as
one.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from builders import environments
from builders.environments import ParameterFile
from builders.errors import EvaluationError, ParameterFileError, RolloutFileError
from builders.evaluate import evaluate, known_by_name, named_outputs
from builders.layer_templates import Template
from builders.naming import CONNECTIVITY, SUFFIX, TRANSIT_GATEWAY
from builders.outputs import as_parameters
from builders.parameter_validation import (
    assignment,
    declarations,
    judged_parameters,
    missing_value,
    refused_properties,
    rule_parameters,
    unknown_parameter,
    wrong_value,
)
from builders.rollout.config.document import all_at_once, location
from builders.rollout.config.schema import KeyPath, RolloutFile
from builders.rollout.model import Target, Values, grouped, shared_target
from builders.template_bodies import parse_template
from builders.text import name_list


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

    @property
    def advice(self) -> str:
        """The advice about a value that is missing."""
        phases, phase, _ = self.phase.path
        return f"give it in {self.environment.name}, or in {self.phase.name} under {phases}.{phase}"

    def specific(self) -> Iterator[Source]:
        """The sources of some targets only."""
        connected = {"": _CONNECTED} if self.network else {}
        for sources in (self.tooling, connected, self.network, self.regions, self.accounts, self.targets):
            yield from sources.values()

    def chain(self, target: Target) -> tuple[Source, ...]:
        """The sources of a target; of two that give a value the later one holds.

        Where nobody says how a target is connected, it is by the transit gateway of its region, if there is one.
        Outputs of the network account are for targets that it connects to on-premises: elsewhere the template refuses
        the ids of its gateways.
        """
        network = self.network.get(target.region)
        found = (
            _CONNECTED if network else None,
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
    return {key: value for source in chain for key, value in source.values.items()}


def origin(chain: tuple[Source, ...], key: str) -> Source | None:
    """The source whose value holds; None where it is the template's default."""
    return next((source for source in reversed(chain) if key in source.values), None)


def file_source(file: ParameterFile) -> Source:
    """A parameter file as a source."""
    return Source(
        str(file.path), file.values, lines={(key,): entry.line for key, entry in file.entries.items() if entry.line}
    )


def rollout_source(rollout: RolloutFile, values: Values, *path: str) -> Source:
    """The parameters at a path of rollout.yaml as a source."""
    return Source(str(rollout.path), values, path, rollout.lines)


def phase_sources(rollout: RolloutFile, phase: str, shared: SharedOutputs) -> PhaseSources:
    """The sources of a phase of rollout.yaml. Raises `RolloutFileError` as `environment_file` does."""
    config, network = rollout.phases[phase], shared.network if rollout.network else {}

    def tables(name: str, values_by: Mapping[str, Values]) -> dict[str, Source]:
        return {key: rollout_source(rollout, own, "phases", phase, name, key) for key, own in values_by.items() if own}

    def outputs(layer: str, region: str, values: Values) -> Source:
        return Source(f"outputs of {layer} in {region}", values, written=False)

    return PhaseSources(
        environment=file_source(environment_file(rollout, phase)),
        facts=shared_facts(rollout, shared),
        phase=rollout_source(rollout, config.parameters, "phases", phase, "parameters"),
        tooling={region: outputs("artifacts", region, values) for region, values in shared.tooling.items()},
        network={region: outputs("shared_network", region, as_parameters(each)) for region, each in network.items()},
        regions=tables("region_parameters", config.region_parameters),
        accounts=tables("account_parameters", config.account_parameters),
        targets=tables("place_parameters", config.place_parameters),
    )


_CONNECTED = Source("the network account of the rollout file", {CONNECTIVITY: TRANSIT_GATEWAY}, written=False)


def shared_facts(rollout: RolloutFile, shared: SharedOutputs) -> Source:
    """Values for every target from rollout.yaml and the administration role."""
    is_ours = rollout.stacksets.permission_model == "SELF_MANAGED" and bool(shared.administration)
    values = {
        **shared.administration,
        "ToolingAccountId": rollout.tooling.account,
        "CreateExecutionRole": "true" if is_ours else "false",
    }
    return Source("the tooling account and its outputs", values, written=False)


def read_parameters(rollout: RolloutFile, name: str) -> ParameterFile:
    """A parameter file that rollout.yaml names. Raises `RolloutFileError` with the mistakes in its form."""
    try:
        file = environments.read(rollout.beside(name), within=rollout.path.parent)
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
        path = rollout.beside(rollout.phases[other].environment)
        with contextlib.suppress(ParameterFileError):  # the other phase's own matter
            if suffix == _suffix(rollout, other, environments.read(path, within=rollout.path.parent)):
                raise RolloutFileError(
                    f"{rollout.path}: phases {phase} and {other} both have {SUFFIX} {suffix!r}, so that their stack "
                    "sets would be the same; give each a suffix of its own"
                )
    return file


def suffix_of(rollout: RolloutFile, phase: str) -> str:
    """The suffix of a phase, empty where nobody gives one. Raises `RolloutFileError` as `environment_file` does."""
    return _suffix(rollout, phase, environment_file(rollout, phase)) or ""


def _suffix(rollout: RolloutFile, phase: str, file: ParameterFile) -> str | None:
    return rollout.phases[phase].parameters.get(SUFFIX, file.values.get(SUFFIX))


_TARGETS_SHOWN = 3
_RULE_SECTIONS = ("Parameters", "Mappings", "Conditions", "Rules")
"""Enough to evaluate rules: they refer to parameters only (CloudFormation user guide, "Rules section")."""


@dataclass(frozen=True)
class TargetGroup:
    """Targets whose values are the same: those of `chain`, of which the later sources hold."""

    targets: tuple[Target, ...]
    chain: tuple[Source, ...]

    def given(self, key: str) -> str | None:
        """The value that a source gives a parameter; None where none does."""
        source = origin(self.chain, key)
        return source.values[key] if source else None

    @property
    def connected(self) -> bool:
        """True where the transit gateway of the network account joins the targets to on-premises."""
        return self.given(CONNECTIVITY) == TRANSIT_GATEWAY

    def value(self, key: str, template: Template) -> str | None:
        """The value that a layer is deployed with: its default where no source gives one."""
        value = self.given(key)
        return template.default(key) if value is None else value


def target_groups(sources: PhaseSources, accounts: Iterable[str], regions: Sequence[str]) -> tuple[TargetGroup, ...]:
    """Group the targets of a phase: the accounts in their order, each in all regions."""
    targets = (shared_target(account, region) for account in accounts for region in regions)
    groups = grouped((sources.chain(target), target) for target in targets)
    return tuple(TargetGroup(tuple(group), chain) for chain, group in groups.items())


def _differing(groups: Iterable[TargetGroup]) -> set[str]:
    """The keys that may differ between groups: those of sources that not all of them have."""
    chains = [frozenset(group.chain) for group in groups]
    sources = frozenset[Source]().union(*chains) - chains[0].intersection(*chains)
    return {key for source in sources for key in source.values}


def set_values(
    template: Template, groups: Sequence[TargetGroup], of_phase: Values
) -> tuple[dict[str, str], dict[Target, Values]]:
    """The values of a layer's stack set, and what differs from them by target. Every parameter has a value.

    The set has the phase's value where some target has it, or else the most common one; the first of equals.
    """
    differing = _differing(groups)
    own: dict[str, str] = {}
    for key in template.parameters:
        counts: Counter[str] = Counter()
        for group in groups if key in differing else groups[:1]:
            counts[group.value(key, template) or ""] += len(group.targets)
        own[key] = of_phase[key] if of_phase.get(key) in counts else counts.most_common(1)[0][0]
    keys = [key for key in template.parameters if key in differing]
    distinct: dict[tuple[tuple[str, str], ...], Values] = {}
    overrides: dict[Target, Values] = {}
    for group in groups:
        values = [(key, group.value(key, template) or "") for key in keys]
        differs = tuple((key, value) for key, value in values if value != own[key])
        overrides.update(dict.fromkeys(group.targets, distinct.setdefault(differs, dict(differs))))
    return own, overrides


def stack_values(template: Template, group: TargetGroup, given_later: Collection[str] = ()) -> dict[str, str]:
    """The values of a layer's stacks, without those that are given while rolling out."""
    values = {key: group.value(key, template) for key in template.parameters if key not in given_later}
    return {key: value for key, value in values.items() if value is not None}


def unknown_parameters(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Parameters that no template declares."""
    declared = {key for template in templates for key in template.parameters}
    for source in sources:
        for key in source.values:
            if unknown := unknown_parameter(key, declared):
                yield f"{source.where(key)}: {unknown}"


def wrong_values(sources: Iterable[Source], templates: Iterable[Template]) -> Iterator[str]:
    """Values that a template's declaration does not allow: each mistake once, with the layers that make it one."""
    declared = declarations({template.layer: template.parameters for template in templates})
    for source in sources:
        for key, value in source.values.items():
            if named_outputs(value):  # nobody has written it
                continue
            for mistake in wrong_value(key, value, declared.get(key, {})):
                yield f"{source.where(key)}: {mistake}"


def missing_values(
    groups: Sequence[TargetGroup], templates: Iterable[Template], advice: str, given_later: Collection[str] = ()
) -> Iterator[str]:
    """Parameters that need a value and have none, with the targets that lack it. `advice` says where to give it."""
    declared = declarations({template.layer: template.parameters for template in templates})
    for key, by_layer in declared.items():
        missing = missing_value(key, by_layer, advice)
        if missing and key not in given_later:
            lacking = [target for group in groups if group.given(key) is None for target in group.targets]
            if lacking:
                yield f"{name_list(sorted(lacking), _TARGETS_SHOWN)}: {missing}"


def failed_rules(template: Template, groups: Sequence[TargetGroup], given_later: Collection[str] = ()) -> Iterator[str]:
    """The sentences of rules that do not hold and of services that refuse, each with its targets and the values'
    sources.

    Every parameter has a value; those that are given while rolling out are known by their names. All is evaluated once
    for all targets that agree in what it refers to.
    """
    later = {key: known_by_name(template.layer, key) for key in given_later if key in template.parameters}
    whole = parse_template(template.body)
    body = {name: part for name, part in whole.items() if name in _RULE_SECTIONS}
    referred = {*rule_parameters(body), *judged_parameters(whole)}
    differing = referred & _differing(groups)
    alike: dict[tuple[str | None, ...], list[TargetGroup]] = {}
    for group in groups if referred else ():
        alike.setdefault(tuple(group.value(key, template) for key in differing), []).append(group)
    for first, *others in alike.values():
        values = later | stack_values(template, first, later)
        try:
            failed = evaluate(body, values).failed_rules
            found = [(sentence, rule_parameters(body, sentence)) for sentence in failed]
            found += refused_properties(whole, values)
        except EvaluationError as error:
            found = [(str(error), [])]
        where = name_list(sorted(t for group in (first, *others) for t in group.targets), _TARGETS_SHOWN)
        for sentence, keys in found:
            yield f"{where}, {template.layer}: {sentence}{_given(template, first, keys)}"


def _given(template: Template, group: TargetGroup, keys: Sequence[str]) -> str:
    """The values that a rule refers to, and their sources; a default has none."""
    texts = [
        f"{assignment(key, source.values[key], template.parameters[key])} from {source.where(key)}"
        for key in keys
        if (source := origin(group.chain, key))
    ]
    return f" (given: {'; '.join(texts)})" if texts else ""
