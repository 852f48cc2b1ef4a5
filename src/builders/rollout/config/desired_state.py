"""Desired state of one phase, and the plain stacks of bootstrap: layers, accounts and parameter values."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.errors import RolloutFileError, UsageError
from builders.layer_templates import Template
from builders.naming import ARTIFACTS_BUCKET, MIGRATION_PHASE, SUFFIX
from builders.rollout.config import parameters
from builders.rollout.config.document import all_at_once, line_of, location
from builders.rollout.config.loading import check_accounts
from builders.rollout.config.parameters import PhaseSources, SharedOutputs, Source, TargetGroup
from builders.rollout.config.schema import RolloutFile, SharedAccount, WaveConfig, seconds
from builders.rollout.model import (
    ConcurrencyMode,
    DesiredState,
    Permissions,
    PlainStackSpec,
    Preferences,
    StackSetSpec,
    Target,
    Values,
    Wave,
)
from builders.scopes import Scope, in_order
from builders.template_bodies import PlainStack
from builders.text import unknown_name

_OF_PHASE = (Scope.PHASE, Scope.NETWORK_PER_PHASE)
_PHASE_WIDE = {
    SUFFIX: "since stack sets and exports are named by it",
    MIGRATION_PHASE: "since the external id of the phase's roles is made of it",
}


def desired_state(
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> DesiredState:
    """The desired state of a phase.

    `members` are the accounts of organizational units. Raises `UsageError` for a phase that rollout.yaml does not have,
    and `RolloutFileError` with a line for each mistake.
    """
    if phase not in rollout.phases:
        raise UsageError(unknown_name("phase", phase, rollout.phases))
    sources = parameters.phase_sources(rollout, phase, shared)
    accounts, config = accounts_of(rollout, phase, members or {}), rollout.phases[phase]
    groups = parameters.target_groups(sources, accounts, config.regions)
    layers = _PhaseLayers(rollout, phase, templates, groups)
    mistakes = list(_mistakes(layers, sources))
    mistakes = mistakes or [line for template in layers.sets for line in parameters.failed_rules(template, groups)]
    mistakes = mistakes or [
        line
        for template in layers.plain
        for line in parameters.failed_rules(template, layers.connected, layers.outputs_before(template))
    ]
    if mistakes:
        raise all_at_once(mistakes)
    common = parameters.merged_values(sources.common)
    suffix = common[SUFFIX]
    sets = {
        each.layer: StackSetSpec(
            each.layer, naming.stack_set(each.layer, suffix), each.body, *parameters.set_values(each, groups, common)
        )
        for each in layers.sets
    }
    packages = (
        package_keys(values) for spec in sets.values() for values in (spec.parameters, *spec.overrides.values())
    )
    return DesiredState(
        phase=phase,
        suffix=suffix,
        sets=sets,
        plain={template.layer: layers.plain_spec(template) for template in layers.plain},
        needs=layers.needs,
        waves=configured_waves(config.waves, accounts),
        regions=config.regions,
        preferences=Preferences(
            max_concurrent=config.concurrency.max_concurrent,
            failure_tolerance=config.concurrency.failure_tolerance,
            mode=ConcurrencyMode[config.concurrency.mode],
            parallel_regions=config.concurrency.regions == "PARALLEL",
        ),
        permissions=permissions_of(rollout, phase, suffix, shared),
        tags=naming.tags(common),
        packages=tuple(sorted(set[str]().union(*packages))),
    )


def accounts_of(rollout: RolloutFile, phase: str, members: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """The accounts of a phase in the order of rollout.yaml; those of an organizational unit in theirs.

    Raises `RolloutFileError` for a unit without accounts, and where the phase names accounts that are in none.
    """
    units = rollout.phases[phase].targets.organizational_units
    if not units:
        return rollout.accounts(phase)
    found = tuple(dict.fromkeys(account for unit in units for account in sorted(members.get(unit, ()))))
    if not found:
        message = f"no active account in {', '.join(units)}; move accounts there, or name other units"
        raise RolloutFileError(f"{rollout.path}, phases.{phase}.targets.organizational_units: {message}")
    check_accounts(rollout, phase, found)
    return found


def package_keys(values: Values) -> set[str]:
    """The keys of the functions' packages in the bucket of artifacts, which parameters give."""
    return {value for key, value in values.items() if key.endswith("PackageKey") and value}


def permissions_of(rollout: RolloutFile, phase: str, suffix: str, shared: SharedOutputs) -> Permissions:
    """The roles of stack set operations: those that bootstrap makes, or those of AWS Organizations.

    Without an administration role of ours StackSets takes the roles that it knows by name.
    """
    model = rollout.stacksets
    if model.permission_model == "SERVICE_MANAGED":
        units = rollout.phases[phase].targets.organizational_units
        return Permissions(service_managed=True, call_as=model.call_as, units=units)
    arn = shared.administration.get("AdministrationRoleArn", "")
    name = naming.with_suffix(naming.EXECUTION_ROLE, suffix) if arn else ""
    return Permissions(call_as=model.call_as, administration_role_arn=arn, execution_role_name=name)


def configured_waves(phase: Sequence[WaveConfig], accounts: Sequence[str]) -> tuple[Wave, ...]:
    """The accounts of each wave, in the order of the phase; every account is in exactly one.

    A wave by percent or count does not take accounts that a later wave names. A wave that gets no accounts is left
    out. The waves have no mistakes, and `accounts` has those that they name.
    """
    waves = []
    named = {account for wave in phase for account in wave.accounts}
    remaining = [account for account in accounts if account not in named]
    for wave in phase:
        if wave.accounts:
            taken = [account for account in accounts if account in wave.accounts]
        else:
            size = len(remaining) if wave.count is None else wave.count
            if wave.percent is not None:  # a part of an account counts as a whole one
                size = -(-len(remaining) * wave.percent // 100)
            taken, remaining = remaining[:size], remaining[size:]
        if taken:
            waves.append(Wave(wave.name, tuple(taken), seconds(wave.bake), wave.quiet_alarms))
    return tuple(waves)


@dataclass(frozen=True)
class _PhaseLayers:
    """The layers that a phase deploys to its targets: `sets` by StackSets, `plain` in the network account."""

    rollout: RolloutFile
    phase: str
    templates: Mapping[str, Template]
    groups: Sequence[TargetGroup]

    def of(self, *scopes: Scope) -> list[Template]:
        """The layers of some scopes, those too that the phase leaves out."""
        return [template for _, template in sorted(self.templates.items()) if template.scope in scopes]

    def _chosen(self, scope: Scope) -> list[Template]:
        left_out = self.rollout.phases[self.phase].leave_out
        return [template for template in self.of(scope) if template.layer not in left_out]

    @functools.cached_property
    def connected(self) -> list[TargetGroup]:
        """The targets that the transit gateway of the network account connects."""
        return [group for group in self.groups if self.rollout.network and group.connected]

    @functools.cached_property
    def sets(self) -> list[Template]:
        return self._chosen(Scope.PHASE)

    @functools.cached_property
    def plain(self) -> list[Template]:
        return self._chosen(Scope.NETWORK_PER_PHASE) if self.connected else []

    @property
    def needs(self) -> dict[str, frozenset[str]]:
        """The layers of the phase that each of them follows."""
        needs = {template.layer: template.needs for template in (*self.sets, *self.plain)}
        return {layer: needed & needs.keys() for layer, needed in needs.items()}

    def outputs_before(self, template: Template) -> frozenset[str]:
        """The outputs of the layers that one follows: parameters of these names get their values while rolling out."""
        before = [other for other in (*self.sets, *self.plain) if other.layer in template.needs]
        return frozenset(name for other in before for name in other.outputs)

    def plain_spec(self, template: Template) -> PlainStackSpec:
        """The stacks of a layer in the network account."""
        account = self.rollout.network.account if self.rollout.network else ""
        later = self.outputs_before(template)
        values: dict[Target, Values] = {}
        for group in self.connected:
            values.update(dict.fromkeys(group.targets, parameters.stack_values(template, group, later)))
        return PlainStackSpec(template.layer, account, template.body, values)


def _mistakes(layers: _PhaseLayers, sources: PhaseSources) -> Iterator[str]:
    phase, specific = layers.phase, list(sources.specific())
    yield from _leave_out_mistakes(layers)
    known, of_account = layers.of(*_OF_PHASE), layers.of(Scope.ACCOUNT, Scope.TOOLING_PER_PHASE)
    yield from parameters.unknown_parameters([sources.environment], layers.templates.values())
    written = [source for source in (sources.phase, *specific) if source.written]
    yield from parameters.unknown_parameters(written, [*known, *of_account])
    yield from parameters.wrong_values([*sources.common, *specific], [*layers.sets, *layers.plain, *of_account])
    for source in specific:
        for key in source.values:
            if key in _PHASE_WIDE:
                yield f"{source.where(key)}: must be the same in the whole phase, {_PHASE_WIDE[key]}; remove it here"
    yield from parameters.missing_values(layers.groups, layers.sets, sources.advice)
    for each in layers.plain:
        yield from parameters.missing_values(layers.connected, [each], sources.advice, layers.outputs_before(each))
    given = parameters.origin(sources.common, MIGRATION_PHASE)
    if given and given.values[MIGRATION_PHASE] != phase:
        yield (
            f"{given.where(MIGRATION_PHASE)}: is {given.values[MIGRATION_PHASE]!r}, but the phase is called {phase!r} "
            f"in {layers.rollout.path}; the roles of the phase are named by it, so make both the same"
        )
    yield from _missing_buckets(layers, sources)


def _leave_out_mistakes(layers: _PhaseLayers) -> Iterator[str]:
    known = [template.layer for template in layers.of(*_OF_PHASE)]
    for number, layer in enumerate(layers.rollout.phases[layers.phase].leave_out):
        path = ("phases", layers.phase, "leave_out", number)
        where = location(str(layers.rollout.path), line_of(path, layers.rollout.lines), path)
        needing = sorted(template.layer for template in (*layers.sets, *layers.plain) if layer in template.needs)
        if layer not in known:
            yield f"{where}: {unknown_name('layer', layer, known)}"
        elif needing:
            yield f"{where}: {', '.join(needing)} needs {layer}; leave that out too, or keep {layer}"


def _missing_buckets(layers: _PhaseLayers, sources: PhaseSources) -> Iterator[str]:
    """Lambda takes packages from its own region only, so the environment's one bucket is wrong in all others."""
    if not any(ARTIFACTS_BUCKET in template.parameters for template in layers.sets):
        return
    for region in layers.rollout.phases[layers.phase].regions:
        group = next(group for group in layers.groups if group.targets[0].region == region)
        if parameters.origin(group.chain, ARTIFACTS_BUCKET) in (None, sources.environment):
            yield f"{region}: the tooling account has no bucket for packages there; run `rollout-stacksets bootstrap`"


def bootstrap_stacks(
    rollout: RolloutFile,
    phase: str,
    scope: Scope,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> list[PlainStack]:
    """The stacks of one scope that a phase needs, with complete parameters, in the order in which they are deployed.

    TOOLING_PER_PHASE: the tooling account, in its home region; none for service-managed stack sets, which bring roles
    of their own. TOOLING and NETWORK: their account, every region of any phase. ACCOUNT: every account of the phase, in
    its first region, and the network account, to which it brings the phase's plan role alone.
    `shared` has the outputs of the scopes before this one, `members` the accounts of the phase's organizational units.
    Raises `RolloutFileError` with a line for each mistake.
    """
    of_scope = {layer: template for layer, template in templates.items() if template.scope is scope}
    order = in_order({layer: template.needs & of_scope.keys() for layer, template in of_scope.items()})
    chosen = [of_scope[layer] for layer in order]
    regions = dict.fromkeys(region for config in rollout.phases.values() for region in config.regions)
    if scope is Scope.TOOLING:
        found = account_values(rollout, "tooling", rollout.tooling, {rollout.home: None, **regions}, shared)
    elif scope is Scope.NETWORK and rollout.network:
        found = account_values(rollout, "network", rollout.network, regions, shared)
    elif scope is Scope.ACCOUNT or (
        scope is Scope.TOOLING_PER_PHASE and rollout.stacksets.permission_model == "SELF_MANAGED"
    ):
        found = _phase_values(rollout, phase, scope, shared, members or {})
    else:
        return []
    groups, written, advice = found
    # The files may have parameters of layers of other scopes too.
    mistakes = [
        *parameters.unknown_parameters(written, templates.values()),
        *parameters.wrong_values(written, chosen),
        *parameters.missing_values(groups, chosen, advice),
    ]
    mistakes = mistakes or [line for template in chosen for line in parameters.failed_rules(template, groups)]
    if mistakes:
        raise all_at_once(mistakes)
    stacks: list[PlainStack] = []
    for template, group in itertools.product(chosen, groups):
        values = parameters.stack_values(template, group)
        name, tags = naming.plain_stack(template.layer, values[SUFFIX]), naming.tags(values)
        stacks += [PlainStack(template.layer, target, name, template.body, values, tags) for target in group.targets]
    return stacks


_OwnValues = tuple[list[TargetGroup], list[Source], str]
"""The targets of stacks with their values, the sources that people wrote, and the advice about a missing value."""


def account_values(
    rollout: RolloutFile, name: str, account: SharedAccount, regions: Iterable[str], shared: SharedOutputs
) -> _OwnValues:
    """The tooling or the network account: its parameter file, and the parameters of each region."""
    file = parameters.file_source(parameters.read_parameters(rollout, account.parameters))
    own = {
        region: parameters.rollout_source(rollout, values, name, "region_parameters", region)
        for region, values in account.region_parameters.items()
    }
    common = (parameters.shared_facts(rollout, shared), file)
    groups = [
        TargetGroup((Target(account.account, region),), (*common, *([own[region]] if region in own else [])))
        for region in regions
    ]
    return groups, [file, *own.values()], f"give it in {file.name}, or in {rollout.path} under {name}.region_parameters"


def _phase_values(
    rollout: RolloutFile, phase: str, scope: Scope, shared: SharedOutputs, members: Mapping[str, Collection[str]]
) -> _OwnValues:
    """The part of a phase in the tooling account, or else its accounts and the network account.

    The latter is left out where it is one of them, and where it is the tooling account, which reads itself.
    """
    tooling, sources = rollout.tooling, parameters.phase_sources(rollout, phase, shared)
    if scope is Scope.TOOLING_PER_PHASE:
        # Its own file has what is the same for all phases; the phase's values replace them.
        file = parameters.file_source(parameters.read_parameters(rollout, tooling.parameters))
        groups, written = [TargetGroup((Target(tooling.account, rollout.home),), (file, *sources.common))], [file]
    else:
        accounts, region = accounts_of(rollout, phase, members), rollout.phases[phase].regions[0]
        groups = list(parameters.target_groups(sources, accounts, [region]))
        written = [source for source in sources.specific() if source.written]
        if rollout.network and rollout.network.account not in (*accounts, tooling.account):
            target = Target(rollout.network.account, region)
            groups.append(TargetGroup((target,), (*sources.common, _PLAN_ROLE_ALONE)))
    return groups, [sources.environment, sources.phase, *written], sources.advice


_PLAN_ROLE_ALONE = Source(
    "the network account",
    {"CreateDmsVpcRole": "false", "CreateDmsLogsRole": "false", "CreateExecutionRole": "false"},
    written=False,
)
"""Nothing replicates in the network account, and no stack set goes there."""
