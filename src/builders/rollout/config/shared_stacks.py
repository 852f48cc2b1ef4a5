"""Stacks that StackSets cannot carry, with their values: those of the tooling, network and target accounts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders.naming import SUFFIX
from builders.rollout.config.desired_state import accounts_of
from builders.rollout.config.document import all_at_once
from builders.rollout.config.parameters import (
    TargetGroup,
    failed_rules,
    missing_values,
    stack_values,
    target_groups,
    unknown_parameters,
    wrong_values,
)
from builders.rollout.config.schema import RolloutFile, SharedAccount
from builders.rollout.config.sources import (
    SharedOutputs,
    Source,
    environment_file,
    file_source,
    merged_values,
    phase_sources,
    read_parameters,
    rollout_source,
    shared_facts,
)
from builders.rollout.config.templates import Template
from builders.rollout.model import Target, Values
from builders.scopes import Scope, in_order


@dataclass(frozen=True)
class BootstrapStack:
    """One plain stack with complete parameters. `phase` is empty where all phases share it."""

    layer: str
    target: Target
    suffix: str
    template: str
    parameters: Values
    phase: str = ""


@dataclass(frozen=True)
class _Owner:
    """A shared account, or a phase with its accounts: where its stacks are, and the sources that people wrote."""

    groups: Sequence[TargetGroup]
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

    TOOLING_ONCE: the tooling account, once, in its home region. TOOLING and NETWORK: their account, every region of
    any phase; nothing without a network account. ACCOUNT: every account of every phase, in the phase's first region.
    `shared` has the outputs of the scopes before this one, `members` the accounts of the organizational units that
    phases name. Raises `RolloutFileError` with a line for each mistake.
    """
    chosen = _in_order([template for template in templates.values() if template.scope is scope])
    owners = list(_owners(rollout, scope, shared, members or {}))
    mistakes = [line for owner in owners for line in _mistakes(owner, chosen, templates)]
    mistakes = mistakes or [
        line for owner in owners for template in chosen for line in failed_rules(template, owner.groups)
    ]
    if mistakes:
        raise all_at_once(mistakes)
    return tuple(
        _stack(template, group, target, owner.phase)
        for template in chosen
        for owner in owners
        for group in owner.groups
        for target in group.targets
    )


def _stack(template: Template, group: TargetGroup, target: Target, phase: str) -> BootstrapStack:
    values = stack_values(template, group)
    return BootstrapStack(template.layer, target, values[SUFFIX], template.body, values, phase)


def _in_order(chosen: Collection[Template]) -> list[Template]:
    by_layer = {template.layer: template for template in chosen}
    return [by_layer[layer] for layer in in_order({each.layer: each.needs & by_layer.keys() for each in chosen})]


def _owners(
    rollout: RolloutFile, scope: Scope, shared: SharedOutputs, members: Mapping[str, Collection[str]]
) -> Iterator[_Owner]:
    regions = list(dict.fromkeys(region for config in rollout.phases.values() for region in config.regions))
    if scope is Scope.TOOLING_ONCE:
        yield _shared_account(rollout, "tooling", rollout.tooling, [rollout.home], shared)
    elif scope is Scope.TOOLING:
        everywhere = list(dict.fromkeys([rollout.home, *regions]))
        yield _shared_account(rollout, "tooling", rollout.tooling, everywhere, shared)
    elif scope is Scope.NETWORK and rollout.network:
        yield _shared_account(rollout, "network", rollout.network, regions, shared)
    elif scope is Scope.ACCOUNT:
        for phase, config in rollout.phases.items():
            sources = phase_sources(rollout, phase, environment_file(rollout, phase), shared)
            targets = [Target(account, config.regions[0]) for account in accounts_of(rollout, phase, members)]
            specific = [source for source in sources.specific() if source.written]
            advice = f"give it in {sources.environment.name}, or in {rollout.path} under phases.{phase}"
            written = [sources.environment, sources.phase, *specific]
            yield _Owner(target_groups(sources, targets), written, advice, phase)


def _shared_account(
    rollout: RolloutFile, name: str, account: SharedAccount, regions: Sequence[str], shared: SharedOutputs
) -> _Owner:
    """The tooling or the network account: its parameter file, and the parameters of each region."""
    file = file_source(read_parameters(rollout, account.parameters))
    own = {
        region: rollout_source(rollout, values, name, "region_parameters", region)
        for region, values in account.region_parameters.items()
    }
    groups = []
    for region in regions:
        chain = (shared_facts(rollout, shared), file, *([own[region]] if region in own else []))
        groups.append(TargetGroup((Target(account.account, region),), chain, merged_values(chain), {}))
    advice = f"give it in {file.name}, or in {rollout.path} under {name}.region_parameters"
    return _Owner(groups, [file, *own.values()], advice)


def _mistakes(owner: _Owner, chosen: Sequence[Template], templates: Mapping[str, Template]) -> Iterator[str]:
    """The mistakes of an owner's values; its files may have parameters of layers of other scopes too."""
    yield from unknown_parameters(owner.written, templates.values())
    yield from wrong_values(owner.written, chosen)
    yield from missing_values(owner.groups, chosen, owner.advice)
