"""Checks of a phase's network: its zones have what stands in them, and on-premises is reached."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from builders import naming
from builders.aws import networks
from builders.errors import EvaluationError
from builders.rollout.checks.findings import CheckedPhase, Finding, Severity
from builders.rollout.checks.permissions import BOOTSTRAP
from builders.rollout.config.parameters import CONNECTIVITY, TRANSIT_GATEWAY, TargetGroup, stack_values
from builders.rollout.model import Target, Values
from builders.scopes import Scope
from builders.template_bodies import evaluate_template


def zones(phase: CheckedPhase) -> Iterator[Finding]:
    """The zones have an endpoint of every service that the layers call, and the class of their database."""
    for region in phase.regions:
        needs: dict[str, networks.ZoneNeeds] = {}
        for group in phase.groups:
            inside = [target for target in group.targets if target.region == region]
            if inside:
                needs |= dict.fromkeys((target.account for target in inside), _needs(phase, group, inside[0]))

        def look(target: Target, needs: Mapping[str, networks.ZoneNeeds] = needs) -> Finding | None:
            found = networks.zone_problem(phase.client.reading(target), needs[target.account])
            return Finding(Severity.ERROR, *found) if found else None

        if needs:
            yield from phase.in_each_account(look, sorted(needs), region)


def _needs(phase: CheckedPhase, group: TargetGroup, target: Target) -> networks.ZoneNeeds:
    """Return what the templates need of zones with a target's values; apply reports a template that lacks values."""
    found = networks.ZoneNeeds()
    for template in phase.carried.values():
        with contextlib.suppress(EvaluationError):
            found.add(evaluate_template(template.body, stack_values(template, group), *target)[0].resources)
    return found


def on_premises(phase: CheckedPhase) -> Iterator[Finding]:
    """The Direct Connect gateway is attached to the transit gateway, its attachment uses the table of on-premises, and
    the phase's tables learn what is behind it."""
    connected = [group for group in phase.groups if group.given(CONNECTIVITY) == TRANSIT_GATEWAY]
    for region, outputs in sorted(phase.network.items()):
        targets = [target for group in connected for target in group.targets if target.region == region]
        if targets and phase.rollout.network:
            yield from _way(phase, Target(phase.rollout.network.account, region), outputs, targets)


def _way(phase: CheckedPhase, network: Target, outputs: Values, targets: list[Target]) -> Iterator[Finding]:
    session, where = phase.client.deploying(network), (str(network),)
    gateway, own = outputs["TransitGatewayId"], outputs.get("SharedDirectConnectGatewayId", "")
    attachments = networks.direct_connect_attachments(session, gateway, own)
    known = outputs.get(naming.DIRECT_CONNECT_ATTACHMENT)
    found = next((each for each in attachments if known in (None, each.id)), None)
    if found is None:
        what = f"no Direct Connect gateway is attached to {gateway}, so that on-premises is not reached"
        remedy = BOOTSTRAP if own else f"associate your Direct Connect gateway with {gateway}, then {BOOTSTRAP}"
        yield Finding(Severity.ERROR if own else Severity.WARNING, what, remedy, where)
        return
    if found.state != networks.AVAILABLE:
        what = f"{_named(found)} is {found.state}"
        yield Finding(Severity.WARNING, what, f"wait until it is available, then {BOOTSTRAP}", where)
    if found.table != outputs.get("OnPremisesRouteTableId"):
        what = (
            f"{found.id}, the attachment of the Direct Connect gateway, is associated with {found.table or 'no table'}"
        )
        yield Finding(Severity.ERROR, f"{what}, so that on-premises finds no phase", BOOTSTRAP, where)
    learning = networks.propagated_tables(session, found.id)

    def look(target: Target) -> Finding | None:
        for layer in [name for name, each in phase.templates.items() if each.scope is Scope.NETWORK_PER_PHASE]:
            stack = phase.client.plain.read(network, naming.network_stack(layer, phase.suffix, target.account))
            table = stack.outputs.get("PhaseRouteTableId") if stack else None
            if table and table not in learning:
                what = (
                    f"{found.id}, the attachment of the Direct Connect gateway, is not propagated to the phase's table"
                )
                return Finding(Severity.ERROR, f"{what}, so that the phase finds no on-premises", BOOTSTRAP)
        return None

    yield from phase.in_each_account(look, sorted({target.account for target in targets}), network.region)


def _named(attachment: networks.Attachment) -> str:
    return f"{attachment.id}, the attachment of the Direct Connect gateway,"
