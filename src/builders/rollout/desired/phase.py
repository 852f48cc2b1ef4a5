"""Makes the desired state of one phase."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from builders.environments import ParameterFile
from builders.errors import UsageError
from builders.rollout import names
from builders.rollout.desired import judging, layering, rules, sources, targets
from builders.rollout.desired.layering import Variant
from builders.rollout.desired.layers import Carried, carried
from builders.rollout.desired.parameter_files import SUFFIX, environment
from builders.rollout.desired.shared import Shared
from builders.rollout.desired.sources import PhaseSources
from builders.rollout.desired.templates import ACCOUNT, Template
from builders.rollout.file import PhasePlan, RolloutFile
from builders.rollout.file.mistakes import all_at_once
from builders.rollout.model import Desired, DesiredSet, Place, PlainStacks
from builders.spelling import unknown

MIGRATION_PHASE = "MigrationPhase"
BUCKET = "ArtifactsBucket"
_SAME = {
    SUFFIX: "since stack sets and exports are named by it",
    MIGRATION_PHASE: "since the external id of the phase's roles is made of it",
}
_TAGS = {
    "Environment": SUFFIX,
    MIGRATION_PHASE: MIGRATION_PHASE,
    "CostCenter": "CostCenter",
    "ComplianceScope": "ComplianceScope",
}


def desired(
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    shared: Shared,
    members: Mapping[str, Collection[str]] | None = None,
) -> Desired:
    """What a phase shall be; its parameter file is read. `members` are the accounts of organizational units.

    Raises `UsageError` for a phase that rollout.yaml does not have, and `RolloutFileError` with everything that is
    wrong, one line each.
    """
    if phase not in rollout.phases:
        raise UsageError(unknown("phase", phase, rollout.phases))
    return resolved(rollout, phase, templates, shared, members or {}, environment(rollout, phase))


def resolved(
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    shared: Shared,
    members: Mapping[str, Collection[str]],
    file: ParameterFile,
) -> Desired:
    """`desired` with the parameter file at hand: pure."""
    plan = rollout.phases[phase]
    accounts = targets.accounts(rollout, phase, members)
    given = sources.of_phase(rollout, phase, file, shared)
    places = [Place(account, region) for account in accounts for region in plan.regions]
    found = layering.variants(given, places)
    layers = carried(rollout, phase, templates, found)
    problems = [*layers.problems, *_problems(rollout, phase, given, found, layers, templates)]
    problems = problems or [line for template in layers.sets for line in rules.refused(template, found)]
    if problems:
        raise all_at_once(problems)
    wide = found[0].wide
    sets = {template.layer: _set(template, wide[SUFFIX], found) for template in layers.sets}
    return Desired(
        phase=phase,
        suffix=wide[SUFFIX],
        sets=sets,
        plain={template.layer: _plain(rollout, template, layers) for template in layers.plain},
        needs=layers.needs,
        waves=targets.waves(plan, accounts),
        regions=plan.regions,
        preferences=targets.preferences(plan.concurrency),
        permissions=targets.permissions(rollout, phase, wide[SUFFIX], shared),
        tags={tag: wide[key] for tag, key in _TAGS.items() if key in wide},
        packages=tuple(sorted(set(_packages(sets.values())))),
    )


def _problems(
    rollout: RolloutFile,
    phase: str,
    given: PhaseSources,
    found: Sequence[Variant],
    layers: Carried,
    templates: Mapping[str, Template],
) -> Iterator[str]:
    written = [source for source in (given.phase, *given.own()) if source.given]
    of_account = [template for template in templates.values() if template.scope == ACCOUNT]
    deployed = [*layers.sets, *layers.plain]
    yield from judging.unknown([given.environment], templates.values())
    yield from judging.unknown(written, [*layers.known, *of_account])
    yield from judging.wrong([*given.wide, *given.own()], [*deployed, *of_account])
    yield from judging.the_same_everywhere(given.own(), _SAME)
    where = f"give it in {given.environment.name}, or in {rollout.path} under phases.{phase}"
    yield from judging.missing(found, layers.sets, where)
    for template in layers.plain:
        yield from judging.missing(layers.joined, [template], where, layers.outputs_before(template))
    named = found[0].wide.get(MIGRATION_PHASE)
    if named not in (None, phase):
        source = sources.origin(given.wide, MIGRATION_PHASE)
        yield (
            f"{source.where(MIGRATION_PHASE) if source else phase}: is {named!r}, but the phase is called {phase!r} "
            f"in {rollout.path}; the roles of the phase are known by that name, so make both the same"
        )
    yield from _without_bucket(rollout.phases[phase], given, found, layers.sets)


def _without_bucket(
    plan: PhasePlan, given: PhaseSources, found: Sequence[Variant], templates: Sequence[Template]
) -> Iterator[str]:
    """Lambda takes packages from its own region only, so the environment's one bucket is wrong in all others."""
    if not any(BUCKET in template.parameters for template in templates):
        return
    for region in plan.regions:
        variant = next(variant for variant in found if variant.places[0].region == region)
        if sources.origin(variant.chain, BUCKET) in (None, given.environment):
            yield f"{region}: the tooling account has no bucket for packages there; run `rollout-stacksets bootstrap`"


def _set(template: Template, ending: str, found: Sequence[Variant]) -> DesiredSet:
    own, overrides = layering.parted(template, found)
    return DesiredSet(template.layer, names.stack_set(template.layer, ending), template.body, own, overrides)


def _plain(rollout: RolloutFile, template: Template, layers: Carried) -> PlainStacks:
    account = rollout.network.account if rollout.network else ""
    later = layers.outputs_before(template)
    parameters = {
        place: values
        for variant in layers.joined
        for values in [layering.complete(template, variant, later)]
        for place in variant.places
    }
    return PlainStacks(template.layer, account, template.body, parameters)


def _packages(sets: Collection[DesiredSet]) -> Iterator[str]:
    for each in sets:
        for values in [each.parameters, *each.overrides.values()]:
            yield from (value for key, value in values.items() if key.endswith("PackageKey") and value)
