"""Desired state of one phase, and the plain stacks of bootstrap: layers, accounts and parameter values."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.environments import ParameterFile
from builders.errors import RolloutFileError, UsageError
from builders.naming import ARTIFACTS_BUCKET, MIGRATION_PHASE, SUFFIX
from builders.rollout.config import parameters
from builders.rollout.config.document import all_at_once, line_of, location
from builders.rollout.config.loading import check_accounts
from builders.rollout.config.parameters import PhaseSources, SharedOutputs, Source, TargetGroup
from builders.rollout.config.schema import RolloutFile, SharedAccount, WaveConfig, seconds
from builders.rollout.config.templates import Template
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
    file: ParameterFile | None = None,
) -> DesiredState:
    """The desired state of a phase, whose parameter file is read where it is not given.

    `members` are the accounts of organizational units. Raises `UsageError` for a phase that rollout.yaml does not have,
    and `RolloutFileError` with a line for each mistake.
    """
    if phase not in rollout.phases:
        raise UsageError(unknown_name("phase", phase, rollout.phases))
    config = rollout.phases[phase]
    sources = parameters.phase_sources(rollout, phase, file or parameters.environment_file(rollout, phase), shared)
    accounts = accounts_of(rollout, phase, members or {})
    groups = parameters.target_groups(sources, accounts, config.regions)
    layers = _phase_layers(rollout, phase, templates, groups)
    mistakes = list(_mistakes(rollout, phase, sources, groups, layers, templates))
    mistakes = mistakes or [line for template in layers.sets for line in parameters.failed_rules(template, groups)]
    mistakes = mistakes or [
        line
        for template in layers.plain
        for line in parameters.failed_rules(template, layers.connected, layers.outputs_before(template))
    ]
    if mistakes:
        raise all_at_once(mistakes)
    common = groups[0].common
    suffix = common[SUFFIX]
    sets: dict[str, StackSetSpec] = {}
    packages: set[str] = set()
    for template in layers.sets:
        name, (own, overrides) = naming.stack_set(template.layer, suffix), parameters.set_values(template, groups)
        sets[template.layer] = StackSetSpec(template.layer, name, template.body, own, overrides)
        packages.update(*map(package_keys, (own, *overrides.values())))
    return DesiredState(
        phase=phase,
        suffix=suffix,
        sets=sets,
        plain={template.layer: _plain_spec(rollout, template, layers) for template in layers.plain},
        needs=layers.needs,
        waves=waves_of(config.waves, accounts),
        regions=config.regions,
        preferences=Preferences(
            max_concurrent=config.concurrency.max_concurrent,
            failure_tolerance=config.concurrency.failure_tolerance,
            mode=ConcurrencyMode[config.concurrency.mode],
            parallel_regions=config.concurrency.regions == "PARALLEL",
        ),
        permissions=permissions_of(rollout, phase, suffix, shared),
        tags=naming.tags(common),
        packages=tuple(sorted(packages)),
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


def waves_of(phase: Sequence[WaveConfig], accounts: Sequence[str]) -> tuple[Wave, ...]:
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
    """The layers of a phase: `sets` by StackSets, `plain` in the network account for the targets of `connected`.

    `known` has those that the phase leaves out too.
    """

    known: tuple[Template, ...]
    sets: tuple[Template, ...]
    plain: tuple[Template, ...]
    connected: tuple[TargetGroup, ...]

    @property
    def deployed(self) -> tuple[Template, ...]:
        return (*self.sets, *self.plain)

    @property
    def needs(self) -> dict[str, frozenset[str]]:
        """The layers of the phase that each of them follows."""
        layers = {template.layer for template in self.deployed}
        return {template.layer: template.needs & layers for template in self.deployed}

    def outputs_before(self, template: Template) -> frozenset[str]:
        """The outputs of the layers that one follows: parameters of these names get their values while rolling out."""
        return frozenset(name for other in self.deployed if other.layer in template.needs for name in other.outputs)


def _phase_layers(
    rollout: RolloutFile, phase: str, templates: Mapping[str, Template], groups: Sequence[TargetGroup]
) -> _PhaseLayers:
    """Choose the layers: all of the phase's scopes but those that it leaves out.

    Those in the network account are for targets that its transit gateway connects.
    """
    left_out = rollout.phases[phase].leave_out
    scopes = (Scope.PHASE, Scope.NETWORK_PER_PHASE)
    known = tuple(templates[layer] for layer in sorted(templates) if templates[layer].scope in scopes)
    chosen = [template for template in known if template.layer not in left_out]
    connected = tuple(group for group in groups if rollout.network and group.connected)
    sets = tuple(template for template in chosen if template.scope is Scope.PHASE)
    plain = tuple(template for template in chosen if template.scope is not Scope.PHASE) if connected else ()
    return _PhaseLayers(known, sets, plain, connected)


def _mistakes(
    rollout: RolloutFile,
    phase: str,
    sources: PhaseSources,
    groups: Sequence[TargetGroup],
    layers: _PhaseLayers,
    templates: Mapping[str, Template],
) -> Iterator[str]:
    yield from _leave_out_mistakes(rollout, phase, layers)
    written = [source for source in (sources.phase, *sources.specific()) if source.written]
    of_account = [each for each in templates.values() if each.scope in (Scope.ACCOUNT, Scope.TOOLING_PER_PHASE)]
    yield from parameters.unknown_parameters([sources.environment], templates.values())
    yield from parameters.unknown_parameters(written, [*layers.known, *of_account])
    yield from parameters.wrong_values([*sources.common, *sources.specific()], [*layers.deployed, *of_account])
    for source in sources.specific():
        for key in source.values:
            if key in _PHASE_WIDE:
                yield f"{source.where(key)}: must be the same in the whole phase, {_PHASE_WIDE[key]}; remove it here"
    yield from parameters.missing_values(groups, layers.sets, sources.advice)
    for template in layers.plain:
        yield from parameters.missing_values(
            layers.connected, [template], sources.advice, layers.outputs_before(template)
        )
    named = groups[0].common.get(MIGRATION_PHASE)
    if named not in (None, phase):
        given = parameters.origin(sources.common, MIGRATION_PHASE)
        yield (
            f"{given.where(MIGRATION_PHASE) if given else phase}: is {named!r}, but the phase is called {phase!r} "
            f"in {rollout.path}; the roles of the phase are named by it, so make both the same"
        )
    yield from _missing_buckets(rollout.phases[phase].regions, sources, groups, layers.sets)


def _leave_out_mistakes(rollout: RolloutFile, phase: str, layers: _PhaseLayers) -> Iterator[str]:
    known = [template.layer for template in layers.known]
    for number, layer in enumerate(rollout.phases[phase].leave_out):
        path = ("phases", phase, "leave_out", number)
        where = location(str(rollout.path), line_of(path, rollout.lines), path)
        needing = ", ".join(sorted(template.layer for template in layers.deployed if layer in template.needs))
        if layer not in known:
            yield f"{where}: {unknown_name('layer', layer, known)}"
        elif needing:
            yield f"{where}: {needing} needs {layer}; leave that out too, or keep {layer}"


def _missing_buckets(
    regions: Sequence[str], sources: PhaseSources, groups: Sequence[TargetGroup], templates: Sequence[Template]
) -> Iterator[str]:
    """Lambda takes packages from its own region only, so the environment's one bucket is wrong in all others."""
    if not any(ARTIFACTS_BUCKET in template.parameters for template in templates):
        return
    for region in regions:
        group = next(group for group in groups if group.targets[0].region == region)
        if parameters.origin(group.chain, ARTIFACTS_BUCKET) in (None, sources.environment):
            yield f"{region}: the tooling account has no bucket for packages there; run `rollout-stacksets bootstrap`"


def _plain_spec(rollout: RolloutFile, template: Template, layers: _PhaseLayers) -> PlainStackSpec:
    account = rollout.network.account if rollout.network else ""
    later = layers.outputs_before(template)
    values: dict[Target, Values] = {}
    for group in layers.connected:
        values.update(dict.fromkeys(group.targets, parameters.stack_values(template, group, later)))
    return PlainStackSpec(template.layer, account, template.body, values)


@dataclass(frozen=True)
class _Owner:
    """A shared account, or a phase with its accounts: where its stacks are, and the sources that people wrote."""

    groups: Sequence[TargetGroup]
    written: Sequence[Source]
    advice: str


def bootstrap_stacks(
    rollout: RolloutFile,
    scope: Scope,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> tuple[PlainStack, ...]:
    """The stacks of one scope with complete parameters, in the order in which they are deployed.

    TOOLING_PER_PHASE: the tooling account, for every phase, in its home region. TOOLING and NETWORK: their account,
    every region of any phase; nothing without a network account. ACCOUNT: every account of every phase, in the phase's
    first region, and the network account, to which it brings the phase's plan role alone.
    `shared` has the outputs of the scopes before this one, `members` the accounts of the organizational units that
    phases name. Raises `RolloutFileError` with a line for each mistake.
    """
    of_scope = {layer: template for layer, template in templates.items() if template.scope is scope}
    order = in_order({layer: template.needs & of_scope.keys() for layer, template in of_scope.items()})
    chosen = [of_scope[layer] for layer in order]
    owners = list(_owners(rollout, scope, shared, members or {}))
    mistakes: list[str] = []
    for owner in owners:
        # Its files may have parameters of layers of other scopes too.
        mistakes += parameters.unknown_parameters(owner.written, templates.values())
        mistakes += parameters.wrong_values(owner.written, chosen)
        mistakes += parameters.missing_values(owner.groups, chosen, owner.advice)
    mistakes = mistakes or [
        line for owner in owners for template in chosen for line in parameters.failed_rules(template, owner.groups)
    ]
    if mistakes:
        raise all_at_once(mistakes)
    stacks: list[PlainStack] = []
    for template, owner in itertools.product(chosen, owners):
        for group in owner.groups:
            values = parameters.stack_values(template, group)
            name, tags = naming.plain_stack(template.layer, values[SUFFIX]), naming.tags(values)
            stacks += [
                PlainStack(template.layer, target, name, template.body, values, tags) for target in group.targets
            ]
    return tuple(stacks)


def _owners(
    rollout: RolloutFile, scope: Scope, shared: SharedOutputs, members: Mapping[str, Collection[str]]
) -> Iterator[_Owner]:
    regions = list(dict.fromkeys(region for config in rollout.phases.values() for region in config.regions))
    if scope is Scope.TOOLING:
        everywhere = list(dict.fromkeys([rollout.home, *regions]))
        yield _shared_account(rollout, "tooling", rollout.tooling, everywhere, shared)
    elif scope is Scope.NETWORK and rollout.network:
        yield _shared_account(rollout, "network", rollout.network, regions, shared)
    elif scope in (Scope.TOOLING_PER_PHASE, Scope.ACCOUNT):
        for phase in rollout.phases:
            sources = parameters.phase_sources(rollout, phase, parameters.environment_file(rollout, phase), shared)
            if scope is Scope.ACCOUNT:
                groups = _in_accounts(rollout, phase, sources, members)
                written = [source for source in sources.specific() if source.written]
            else:  # its own file has what is the same for all phases; the phase's values replace them
                file = parameters.file_source(parameters.read_parameters(rollout, rollout.tooling.parameters))
                groups = [_group(Target(rollout.tooling.account, rollout.home), (file, *sources.common))]
                written = [file]
            yield _Owner(groups, [sources.environment, sources.phase, *written], sources.advice)


def _in_accounts(
    rollout: RolloutFile, phase: str, sources: PhaseSources, members: Mapping[str, Collection[str]]
) -> list[TargetGroup]:
    """The accounts of the phase, and the network account where it is none of them; tooling reads itself without it."""
    accounts, region = accounts_of(rollout, phase, members), rollout.phases[phase].regions[0]
    groups = list(parameters.target_groups(sources, accounts, [region]))
    network = rollout.network.account if rollout.network else rollout.tooling.account
    if network not in (*accounts, rollout.tooling.account):
        facts = Source("the network account", _PLAN_ROLE_ALONE, written=False)
        groups.append(_group(Target(network, region), (*sources.common, facts)))
    return groups


_PLAN_ROLE_ALONE = {"CreateDmsVpcRole": "false", "CreateDmsLogsRole": "false", "CreateExecutionRole": "false"}
"""Nothing replicates in the network account, and no stack set goes there."""


def _group(target: Target, chain: tuple[Source, ...]) -> TargetGroup:
    return TargetGroup((target,), chain, parameters.merged_values(chain), {})


def _shared_account(
    rollout: RolloutFile, name: str, account: SharedAccount, regions: Sequence[str], shared: SharedOutputs
) -> _Owner:
    """The tooling or the network account: its parameter file, and the parameters of each region."""
    file = parameters.file_source(parameters.read_parameters(rollout, account.parameters))
    own = {
        region: parameters.rollout_source(rollout, values, name, "region_parameters", region)
        for region, values in account.region_parameters.items()
    }
    groups = []
    for region in regions:
        chain = (parameters.shared_facts(rollout, shared), file, *([own[region]] if region in own else []))
        groups.append(_group(Target(account.account, region), chain))
    advice = f"give it in {file.name}, or in {rollout.path} under {name}.region_parameters"
    return _Owner(groups, [file, *own.values()], advice)
