"""To whom a phase goes: its accounts, their waves, and the preferences and permissions of StackSets' operations.

Which layers a phase carries, and which of them wait for which.

Makes the desired state of one phase.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.environments import ParameterFile
from builders.errors import RolloutFileError, UsageError
from builders.naming import ARTIFACTS_BUCKET, MIGRATION_PHASE, SUFFIX
from builders.rollout.config import checks, sources
from builders.rollout.config.document import all_at_once, dotted, line_of
from builders.rollout.config.loading import check_accounts
from builders.rollout.config.parameters import (
    Variant,
    complete,
    differing_values,
    failed_rules,
    missing_values,
    parted,
    unknown_parameters,
    variants,
    wrong_values,
)
from builders.rollout.config.schema import OperationConfig, PhaseConfig, RolloutFile
from builders.rollout.config.sources import CONNECTIVITY, TRANSIT_GATEWAY, PhaseSources, SharedOutputs, environment_file
from builders.rollout.config.templates import Template
from builders.rollout.model import (
    ConcurrencyMode,
    DesiredState,
    Permissions,
    PlainStackSpec,
    Preferences,
    StackSetSpec,
    Target,
    Wave,
)
from builders.scopes import Scope
from builders.text import unknown_name


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


def phase_waves(plan: PhaseConfig, found: Sequence[str]) -> tuple[Wave, ...]:
    """The waves of a phase with their accounts."""
    return checks.waves_of(plan.waves, found)


def preferences_of(operations: OperationConfig) -> Preferences:
    """How operations go through accounts and regions."""
    return Preferences(
        max_concurrent=operations.max_concurrent,
        failure_tolerance=operations.failure_tolerance,
        mode=ConcurrencyMode[operations.mode],
        parallel_regions=operations.regions == "PARALLEL",
    )


def permissions_of(rollout: RolloutFile, phase: str, suffix: str, shared: SharedOutputs) -> Permissions:
    """Who acts in the target accounts: roles that bootstrap makes, or those of AWS Organizations.

    Without an administration role of ours StackSets takes the roles that it knows by name.
    """
    model = rollout.stacksets
    if model.permission_model == "SERVICE_MANAGED":
        units = rollout.phases[phase].targets.organizational_units
        return Permissions(service_managed=True, call_as=model.call_as, units=units)
    arn = shared.administration.get("AdministrationRoleArn", "")
    name = naming.with_suffix(naming.EXECUTION_ROLE, suffix) if arn else ""
    return Permissions(call_as=model.call_as, administration_role_arn=arn, execution_role_name=name)


@dataclass(frozen=True)
class PhaseLayers:
    """The layers of a phase: `sets` by StackSets, `plain` in the network account at the places of `joined`.

    `known` has those that are left out too.
    """

    sets: tuple[Template, ...]
    plain: tuple[Template, ...]
    known: tuple[Template, ...]
    joined: tuple[Variant, ...]
    needs: Mapping[str, frozenset[str]]
    problems: tuple[str, ...]

    def outputs_before(self, template: Template) -> frozenset[str]:
        """What the layers that one follows put out: parameters of these names get their values while rolling out."""
        before = [other for other in (*self.sets, *self.plain) if other.layer in template.needs]
        return frozenset(name for other in before for name in other.outputs)


def phase_layers(
    rollout: RolloutFile, phase: str, templates: Mapping[str, Template], found: Sequence[Variant]
) -> PhaseLayers:
    """Choose the layers: all of the phase's scopes but those that it leaves out.

    Routes of the phase are made where its network hangs on the transit gateway of our network account.
    """
    left_out = set(rollout.phases[phase].leave_out)
    known = [
        templates[name] for name in sorted(templates) if templates[name].scope in (Scope.PHASE, Scope.NETWORK_PER_PHASE)
    ]
    chosen = [template for template in known if template.layer not in left_out]
    sets = tuple(template for template in chosen if template.scope is Scope.PHASE)
    joined = tuple(variant for variant in found if rollout.network and _is_joined(variant))
    plain = tuple(template for template in chosen if template.scope is Scope.NETWORK_PER_PHASE) if joined else ()
    names = {template.layer for template in (*sets, *plain)}
    needs = {template.layer: template.needs & names for template in (*sets, *plain)}
    problems = tuple(_layer_problems(rollout, phase, known, [*sets, *plain]))
    return PhaseLayers(sets, plain, tuple(known), joined, needs, problems)


def _is_joined(variant: Variant) -> bool:
    return variant.own.get(CONNECTIVITY, variant.wide.get(CONNECTIVITY)) == TRANSIT_GATEWAY


def _layer_problems(
    rollout: RolloutFile, phase: str, known: Sequence[Template], chosen: Sequence[Template]
) -> list[str]:
    problems = []
    names = [template.layer for template in known]
    for number, layer in enumerate(rollout.phases[phase].leave_out):
        path = ("phases", phase, "leave_out", number)
        where = f"{rollout.path}, line {line_of(path, rollout.lines)}, {dotted(path)}"
        waiting = sorted(template.layer for template in chosen if layer in template.needs)
        if layer not in names:
            problems.append(f"{where}: {unknown_name('layer', layer, names)}")
        elif waiting:
            problems.append(f"{where}: {', '.join(waiting)} needs {layer}; leave that out too, or keep {layer}")
    return problems


_SAME = {
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
    """What a phase shall be; its parameter file is read. `members` are the accounts of organizational units.

    Raises `UsageError` for a phase that rollout.yaml does not have, and `RolloutFileError` with everything that is
    wrong, one line each.
    """
    if phase not in rollout.phases:
        raise UsageError(unknown_name("phase", phase, rollout.phases))
    return resolved_state(rollout, phase, templates, shared, members or {}, environment_file(rollout, phase))


def resolved_state(
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]],
    file: ParameterFile,
) -> DesiredState:
    """`desired` with the parameter file at hand: pure."""
    plan = rollout.phases[phase]
    accounts = accounts_of(rollout, phase, members)
    given = sources.of_phase(rollout, phase, file, shared)
    targets = [Target(account, region) for account in accounts for region in plan.regions]
    found = variants(given, targets)
    layers = phase_layers(rollout, phase, templates, found)
    problems = [*layers.problems, *_problems(rollout, phase, given, found, layers, templates)]
    problems = problems or [line for template in layers.sets for line in failed_rules(template, found)]
    if problems:
        raise all_at_once(problems)
    wide = found[0].wide
    sets = {template.layer: _set(template, wide[SUFFIX], found) for template in layers.sets}
    return DesiredState(
        phase=phase,
        suffix=wide[SUFFIX],
        sets=sets,
        plain={template.layer: _plain(rollout, template, layers) for template in layers.plain},
        needs=layers.needs,
        waves=phase_waves(plan, accounts),
        regions=plan.regions,
        preferences=preferences_of(plan.concurrency),
        permissions=permissions_of(rollout, phase, wide[SUFFIX], shared),
        tags=naming.tags(wide),
        packages=tuple(sorted(set(_packages(sets.values())))),
    )


def _problems(
    rollout: RolloutFile,
    phase: str,
    given: PhaseSources,
    found: Sequence[Variant],
    layers: PhaseLayers,
    templates: Mapping[str, Template],
) -> Iterator[str]:
    written = [source for source in (given.phase, *given.own()) if source.given]
    of_account = [template for template in templates.values() if template.scope is Scope.ACCOUNT]
    deployed = [*layers.sets, *layers.plain]
    yield from unknown_parameters([given.environment], templates.values())
    yield from unknown_parameters(written, [*layers.known, *of_account])
    yield from wrong_values([*given.wide, *given.own()], [*deployed, *of_account])
    yield from differing_values(given.own(), _SAME)
    where = f"give it in {given.environment.name}, or in {rollout.path} under phases.{phase}"
    yield from missing_values(found, layers.sets, where)
    for template in layers.plain:
        yield from missing_values(layers.joined, [template], where, layers.outputs_before(template))
    named = found[0].wide.get(MIGRATION_PHASE)
    if named not in (None, phase):
        source = sources.origin(given.wide, MIGRATION_PHASE)
        yield (
            f"{source.where(MIGRATION_PHASE) if source else phase}: is {named!r}, but the phase is called {phase!r} "
            f"in {rollout.path}; the roles of the phase are known by that name, so make both the same"
        )
    yield from _without_bucket(rollout.phases[phase], given, found, layers.sets)


def _without_bucket(
    plan: PhaseConfig, given: PhaseSources, found: Sequence[Variant], templates: Sequence[Template]
) -> Iterator[str]:
    """Lambda takes packages from its own region only, so the environment's one bucket is wrong in all others."""
    if not any(ARTIFACTS_BUCKET in template.parameters for template in templates):
        return
    for region in plan.regions:
        variant = next(variant for variant in found if variant.targets[0].region == region)
        if sources.origin(variant.chain, ARTIFACTS_BUCKET) in (None, given.environment):
            yield f"{region}: the tooling account has no bucket for packages there; run `rollout-stacksets bootstrap`"


def _set(template: Template, ending: str, found: Sequence[Variant]) -> StackSetSpec:
    own, overrides = parted(template, found)
    return StackSetSpec(template.layer, naming.stack_set(template.layer, ending), template.body, own, overrides)


def _plain(rollout: RolloutFile, template: Template, layers: PhaseLayers) -> PlainStackSpec:
    account = rollout.network.account if rollout.network else ""
    later = layers.outputs_before(template)
    parameters = {
        target: values
        for variant in layers.joined
        for values in [complete(template, variant, later)]
        for target in variant.targets
    }
    return PlainStackSpec(template.layer, account, template.body, parameters)


def _packages(sets: Collection[StackSetSpec]) -> Iterator[str]:
    for each in sets:
        for values in [each.parameters, *each.overrides.values()]:
            yield from (value for key, value in values.items() if key.endswith("PackageKey") and value)
