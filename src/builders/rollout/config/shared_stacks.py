"""The values of what StackSets cannot carry: the stacks of the tooling, network and target accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders.naming import SUFFIX
from builders.rollout.config import desired_state
from builders.rollout.config.document import all_at_once
from builders.rollout.config.parameters import (
    Variant,
    complete,
    failed_rules,
    missing_values,
    unknown_parameters,
    variants,
    wrong_values,
)
from builders.rollout.config.schema import RolloutFile, SharedAccount
from builders.rollout.config.sources import (
    SharedOutputs,
    Source,
    environment_file,
    merged_values,
    of_file,
    of_phase,
    read_parameters,
    shared_facts,
)
from builders.rollout.config.templates import Template
from builders.rollout.model import Target, Values
from builders.scopes import Scope, in_order


@dataclass(frozen=True)
class BootstrapStack:
    """One plain stack: what is deployed where, with complete parameters. `phase` is empty where all phases share it."""

    layer: str
    target: Target
    suffix: str
    template: str
    parameters: Values
    phase: str = ""


@dataclass(frozen=True)
class _Group:
    """Places that the same templates go to, with the sources that people wrote for them."""

    variants: Sequence[Variant]
    written: Sequence[Source]
    advice: str
    phase: str = ""


def bootstrap_stacks(
    rollout: RolloutFile,
    scope: Scope,
    templates: Mapping[str, Template],
    shared: SharedOutputs,
    members: Mapping[str, Collection[str]] | None = None,
) -> tuple[BootstrapStack, ...]:
    """The stacks of one scope, in the order in which they are deployed.

    TOOLING_ONCE: the tooling account, once, in its home region. TOOLING and NETWORK: their account,
    every region of any phase; nothing without a network account. ACCOUNT: every account of every phase, in the phase's
    first region. A scope is asked for when `shared` holds what the scopes before it have put out. `members` are the
    accounts of the organizational units that phases name. Raises `RolloutFileError` with everything that is wrong.
    """
    chosen = _in_order([template for template in templates.values() if template.scope is scope])
    groups = list(_groups(rollout, scope, shared, members or {}))
    problems = [line for group in groups for line in _problems(group, chosen, templates)]
    problems = problems or [
        line for group in groups for template in chosen for line in failed_rules(template, group.variants)
    ]
    if problems:
        raise all_at_once(problems)
    return tuple(
        _stack(template, variant, target, group.phase)
        for template in chosen
        for group in groups
        for variant in group.variants
        for target in variant.targets
    )


def _stack(template: Template, variant: Variant, target: Target, phase: str) -> BootstrapStack:
    parameters = complete(template, variant)
    return BootstrapStack(template.layer, target, parameters[SUFFIX], template.body, parameters, phase)


def _in_order(chosen: Collection[Template]) -> list[Template]:
    by_layer = {template.layer: template for template in sorted(chosen, key=lambda template: template.layer)}
    graph = {layer: sorted(template.needs & by_layer.keys()) for layer, template in by_layer.items()}
    return [by_layer[layer] for layer in in_order(graph)]


def _groups(
    rollout: RolloutFile, scope: Scope, shared: SharedOutputs, members: Mapping[str, Collection[str]]
) -> Iterator[_Group]:
    regions = list(dict.fromkeys(region for plan in rollout.phases.values() for region in plan.regions))
    if scope is Scope.TOOLING_ONCE:
        yield _of_shared(rollout, "tooling", rollout.tooling, [rollout.home], shared)
    elif scope is Scope.TOOLING:
        yield _of_shared(rollout, "tooling", rollout.tooling, list(dict.fromkeys([rollout.home, *regions])), shared)
    elif scope is Scope.NETWORK and rollout.network:
        yield _of_shared(rollout, "network", rollout.network, regions, shared)
    elif scope is Scope.ACCOUNT:
        for phase, plan in rollout.phases.items():
            given = of_phase(rollout, phase, environment_file(rollout, phase), shared)
            targets = [
                Target(account, plan.regions[0]) for account in desired_state.accounts_of(rollout, phase, members)
            ]
            written = [given.environment, given.phase, *(source for source in given.own() if source.given)]
            advice = f"give it in {given.environment.name}, or in {rollout.path} under phases.{phase}"
            yield _Group(variants(given, targets), written, advice, phase)


def _of_shared(
    rollout: RolloutFile, name: str, account: SharedAccount, regions: Sequence[str], shared: SharedOutputs
) -> _Group:
    """The tooling or the network account: its parameter file, and what a region has of its own."""
    file = of_file(read_parameters(rollout, account.parameters))
    own = {
        region: Source(str(rollout.path), values, (name, "region_parameters", region), rollout.lines)
        for region, values in account.region_parameters.items()
    }
    variants = []
    for region in regions:
        chain = (shared_facts(rollout, shared), file, *([own[region]] if region in own else []))
        variants.append(Variant((Target(account.account, region),), chain, merged_values(chain), {}))
    advice = f"give it in {file.name}, or in {rollout.path} under {name}.region_parameters"
    return _Group(variants, [file, *own.values()], advice)


def _problems(group: _Group, chosen: Sequence[Template], templates: Mapping[str, Template]) -> Iterator[str]:
    """What is wrong with a group; keys of other layers may stand in its files too."""
    yield from unknown_parameters(group.written, templates.values())
    yield from wrong_values(group.written, chosen)
    yield from missing_values(group.variants, chosen, group.advice)
