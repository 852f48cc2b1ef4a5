"""Checks of a phase before a rollout: a flat list, each run for itself, so that one that fails hides no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from builders import naming
from builders.aws import networks, stacks
from builders.aws.accounts import DEFAULTS, INSTANCES, STACK_SETS, enabled_regions, quotas as read_quotas
from builders.aws.errors import NotFound, Refused, Unreachable
from builders.aws.objects import Objects
from builders.errors import RolloutError
from builders.rollout.checks import permissions
from builders.rollout.checks.findings import CheckedPhase, CheckResult, Diagnosis, Problem, Severity, unknown_finding
from builders.rollout.checks.permissions import BOOTSTRAP
from builders.rollout.checks.values import address_mistakes, unconnected
from builders.rollout.model import Instance, Permissions, Status, Target, Values
from builders.rollout.state.journal import RunStatus
from builders.scopes import Scope
from builders.stack_diff.hazards import ROTATION_SCHEDULE
from builders.stack_diff.limits import limit_hazards
from builders.template_bodies import has_transform
from builders.text import name_list

LOG_GROUP = '"AWS::Logs::LogGroup"'
UNREAD = (Refused, Unreachable)
"""Problems that say nothing of whether a shared stack stands."""
SEE_STACKS = "see the shared stacks above"


def credentials(phase: CheckedPhase) -> Iterator[Problem]:
    """The credentials are those of the tooling account, where stack sets, journals and packages are."""
    account, tooling = phase.client.calls.account(), phase.rollout.tooling.account
    if account != tooling:
        what = f"the credentials are of account {account}, and the tooling account is {tooling}"
        yield Problem(Severity.ERROR, what, "name a profile of the tooling account with --profile or AWS_PROFILE")


def shared_stacks(phase: CheckedPhase) -> Iterator[Problem]:
    """The stacks of the tooling and network accounts stand, and can be read; bootstrap makes them, and the role."""
    problem = phase.shared_problem
    if isinstance(problem, UNREAD):
        yield replace(unknown_finding(problem), severity=Severity.ERROR)
    elif problem:
        what, _, remedy = str(problem).rpartition("; ")
        yield Problem(Severity.ERROR, what, remedy)


def regions(phase: CheckedPhase) -> Iterator[Problem]:
    """Every account has enabled every region of the phase."""

    def look(target: Target) -> Iterator[Problem]:
        enabled = enabled_regions(phase.client.reading(target))
        if off := [region for region in phase.regions if region not in enabled]:
            remedy = f"`aws account enable-region --region-name {off[0]}` in the account, and wait until it is ENABLED"
            yield Problem(Severity.ERROR, f"{', '.join(off)} is not enabled", remedy)

    yield from phase.in_each_account(look)


def quotas(phase: CheckedPhase) -> Iterator[Problem]:
    """The phase's sets and their instances fit; where the quotas cannot be read, into the defaults."""
    try:
        allowed = read_quotas(phase.client.calls.session(phase.rollout.home))
    except RolloutError as error:
        allowed = DEFAULTS
        what = f"the quotas of CloudFormation; the defaults are taken: {error}"
        yield Problem(Severity.UNKNOWN, what, "allow servicequotas:ListServiceQuotas to whoever runs doctor")
    sets = {*phase.client.sets.names(), *(naming.stack_set(layer, phase.suffix) for layer in phase.carried)}
    needed = {STACK_SETS: len(sets), INSTANCES: len(phase.accounts) * len(phase.regions)}
    for name, count in needed.items():
        if count > allowed[name]:
            what = f"{name}: {count:,} are needed, and {allowed[name]:,} allowed"
            yield Problem(Severity.ERROR, what, "request an increase in Service Quotas, in the tooling account")


def templates(phase: CheckedPhase) -> Iterator[Problem]:
    """Every template fits what CloudFormation takes with a request, and holds nothing that StackSets refuse; every
    stack set of the phase has one."""
    for layer, template in sorted(phase.carried.items()):
        yield from template_findings(layer, template.body, phase.permissions)
    known = {naming.stack_set(layer, phase.suffix) for layer in phase.templates}
    for name in sorted(phase.client.sets.names()):
        if name.startswith(naming.PREFIX) and name.endswith(f"-{phase.suffix}") and name not in known:
            gone = f"the layer of the stack set {name} has no template here"
            what = f"{gone}, so that no plan updates or removes its stacks"
            remedy = "bring the layer back; to remove its stacks name it in `leave_out` and apply, before it goes"
            yield Problem(Severity.WARNING, what, remedy)


def template_findings(layer: str, body: str, permissions: Permissions) -> Iterator[Problem]:
    """The limits that one template breaks, and a transform wherever it is: no plan can tell what it changes."""
    for hazard in limit_hazards(layer, body, service_managed=permissions.service_managed):
        yield Problem(Severity.ERROR, hazard.message, hazard.remedy, (layer,))
    if not permissions.service_managed and has_transform(json.loads(body)):
        # Self-managed sets would need CAPABILITY_AUTO_EXPAND.
        yield Problem(Severity.ERROR, "the template has a transform or macro", "write out what it makes", (layer,))


def addresses(phase: CheckedPhase) -> Iterator[Problem]:
    """Ranges of all phases lie apart and are announced, and what is shared is shared with every account."""
    if phase.values is None:
        return
    for each in address_mistakes(phase.values):
        yield Problem(Severity.ERROR, each.what, each.remedy, (each.where,))
    for each in unconnected(phase.values):
        yield Problem(Severity.WARNING, each.what, each.remedy, (each.where,))


def zones(phase: CheckedPhase) -> Iterator[Problem]:
    """The zones have an endpoint of every service that the layers call, and the class of their database."""
    needs: dict[Target, networks.ZoneNeeds] = {}
    for group, targets in phase.alike:
        found = networks.ZoneNeeds()
        for template in phase.carried.values():
            found.add(phase.resources(template, group, targets[0]))
        needs |= dict.fromkeys(targets, found)

    def look(target: Target) -> Iterator[Problem]:
        if problem := networks.zone_problem(phase.client.reading(target), needs[target]):
            yield Problem(Severity.ERROR, *problem)

    yield from phase.at_each(needs, look)


def default_groups(phase: CheckedPhase) -> Iterator[Problem]:
    """Nothing uses the default security group of the phase's VPC, which CloudFormation cannot empty."""

    def look(target: Target) -> Iterator[Problem]:
        if using := networks.users_of_default_groups(phase.client.reading(target), phase.suffix):
            what = f"the default security group of the VPC in {target.region} is used by {name_list(using)}"
            remedy = "give them a group of their own, and empty that one (docs/compliance.md)"
            yield Problem(Severity.ERROR, what, remedy)

    yield from phase.at_each([Target(account, region) for account in phase.accounts for region in phase.regions], look)


def on_premises(phase: CheckedPhase) -> Iterator[Problem]:
    """The Direct Connect gateway is attached to the transit gateway, its attachment uses the table of on-premises, and
    the phase's tables learn what is behind it."""
    connected = [target for group in phase.groups if group.connected for target in group.targets]
    for network in [Target(owner.account, each) for each in phase.regions] if (owner := phase.rollout.network) else ():
        targets = [target for target in connected if target.region == network.region]
        if targets and network.region not in phase.network:
            what = "the way to on-premises: the stack was not read"
            yield Problem(Severity.UNKNOWN, what, SEE_STACKS, (str(network),))
        elif targets:
            yield from _way(phase, network, phase.network[network.region], targets)


def _way(phase: CheckedPhase, network: Target, outputs: Values, targets: list[Target]) -> Iterator[Problem]:
    session, where = phase.client.reading_shared(network), (str(network),)
    gateway, own = outputs["TransitGatewayId"], outputs.get("SharedDirectConnectGatewayId", "")
    attachments = networks.direct_connect_attachments(session, gateway, own)
    known = outputs.get(naming.DIRECT_CONNECT_ATTACHMENT)
    found = next((each for each in attachments if known in (None, each.id)), None)
    if found is None:
        what = f"no Direct Connect gateway is attached to {gateway}, so that on-premises is not reached"
        remedy = BOOTSTRAP if own else f"associate your Direct Connect gateway with {gateway}, then {BOOTSTRAP}"
        yield Problem(Severity.ERROR if own else Severity.WARNING, what, remedy, where)
        return
    named = f"{found.id}, the attachment of the Direct Connect gateway,"
    if found.state != networks.AVAILABLE:
        remedy = f"wait until it is available, then {BOOTSTRAP}"
        yield Problem(Severity.WARNING, f"{named} is {found.state}", remedy, where)
    if found.table != outputs.get("OnPremisesRouteTableId"):
        what = f"{named} is associated with {found.table or 'no table'}, so that on-premises finds no phase"
        yield Problem(Severity.ERROR, what, BOOTSTRAP, where)
    learning = networks.propagated_tables(session, found.id)

    def look(target: Target) -> Iterator[Problem]:
        for layer in [name for name, each in phase.templates.items() if each.scope is Scope.NETWORK_PER_PHASE]:
            name = naming.network_stack(layer, phase.suffix, target.account)
            stack = stacks.standing(session, name)
            table = stack.outputs.get("PhaseRouteTableId") if stack else None
            if table and table not in learning:
                what = f"{named} is not propagated to the phase's table, so that the phase finds no on-premises"
                yield Problem(Severity.ERROR, what, BOOTSTRAP)
                return

    yield from phase.at_each(targets, look)


def buckets(phase: CheckedPhase) -> Iterator[Problem]:
    """Every region of the phase has a bucket of artifacts in the tooling account."""
    for region in phase.regions:
        bucket = phase.buckets.get(region)
        if bucket is None:
            if isinstance(phase.shared_problem, UNREAD):
                yield Problem(Severity.UNKNOWN, "whether there is a bucket for packages", SEE_STACKS, (region,))
            else:
                yield Problem(Severity.ERROR, "no bucket for packages", BOOTSTRAP, (region,))
            continue
        try:
            owner = phase.rollout.tooling.account
            phase.client.calls.session(region).ask("s3", "HeadBucket", Bucket=bucket, ExpectedBucketOwner=owner)
        except NotFound:
            what = f"the stack of artifacts names the bucket {bucket}, which does not exist"
            yield Problem(Severity.ERROR, what, f"delete that stack there, then {BOOTSTRAP}", (region,))


def readers(phase: CheckedPhase) -> Iterator[Problem]:
    """Every account can read a package of every region; where there is none yet, apply finds out."""
    fix = "name the accounts in ReaderAccountIds, or their organization in OrganizationId, of the tooling parameters"
    for region in phase.regions:
        bucket = phase.buckets.get(region)
        if bucket is None or not phase.packages:
            continue
        key = next((key for key in phase.packages if phase.client.objects(region).exists(bucket, key)), None)
        if key is None:
            what = "whether accounts can read packages: the bucket holds none yet"
            yield Problem(Severity.UNKNOWN, what, "`rollout-stacksets apply` puts them there, and looks", (region,))
            continue

        def look(target: Target, bucket: str = bucket, key: str = key) -> Iterator[Problem]:
            if not Objects(phase.client.reading(target), phase.rollout.tooling.account).readable(bucket, key):
                yield Problem(Severity.ERROR, f"cannot read s3://{bucket}/{key}", f"{fix}; {BOOTSTRAP}")

        yield from phase.at_each([Target(account, region) for account in phase.accounts], look)


def instances(phase: CheckedPhase) -> Iterator[Problem]:
    """No instance is INOPERABLE, since StackSets leave such out of every update."""
    for layer, name in phase.client.sets.existing(phase.carried, phase.suffix).items():
        found = sorted(phase.client.sets.instances_left(name).items())
        if broken := tuple(str(target) for target, each in found if each.status is Status.INOPERABLE):
            remedy = (
                f"`rollout-stacksets remove --phase {phase.phase} --account ...` detaches it; delete the stack there "
                "by hand, then apply"
            )
            yield Problem(Severity.ERROR, f"INOPERABLE instances of {layer}", remedy, broken)


def log_groups(phase: CheckedPhase) -> Iterator[Problem]:
    """No log group has the name of one that a stack will make: services make theirs themselves where there is none, and
    once more when they write after their stack is gone."""
    sets = phase.client.sets.existing(phase.carried, phase.suffix)
    for layer, template in [(layer, each) for layer, each in sorted(phase.carried.items()) if LOG_GROUP in each.body]:
        deployed = phase.client.sets.instances_left(sets[layer]) if layer in sets else {}
        names: dict[Target, list[str]] = {}
        for group, targets in phase.alike:
            if waiting := [target for target in targets if target not in deployed]:
                names |= dict.fromkeys(waiting, _log_groups(phase.resources(template, group, waiting[0])))

        def look(target: Target, names: Mapping[Target, list[str]] = names, layer: str = layer) -> Iterator[Problem]:
            session = phase.client.reading(target)
            for name in names[target]:
                found = session.pages("logs", "DescribeLogGroups", logGroupNamePrefix=name)
                if name in [each["logGroupName"] for each in found]:
                    remedy = f"`aws logs delete-log-group --log-group-name {name}` there, or import it into the stack"
                    yield Problem(Severity.ERROR, f"{name} exists already, and {layer} will make it", remedy)
                    return

        yield from phase.at_each(names, look)


def _log_groups(resources: Mapping[str, Any]) -> list[str]:
    """The names that a template gives its log groups."""
    groups = [each for each in resources.values() if f'"{each["Type"]}"' == LOG_GROUP]
    names = [each.get("Properties", {}).get("LogGroupName") for each in groups]
    return sorted(name for name in names if isinstance(name, str) and "${" not in name)


def rotations(phase: CheckedPhase) -> Iterator[Problem]:
    """Every secret with a rotation schedule is rotated: a schedule that was renamed takes its secret's rotation away
    and stands all the same, which no drift detection shows (cloudformation-coverage-roadmap#1813)."""
    rotating = [layer for layer, each in phase.carried.items() if f'"{ROTATION_SCHEDULE}"' in each.body]
    for layer, name in phase.client.sets.existing(rotating, phase.suffix).items():
        deployed = phase.client.sets.instances_left(name)

        def look(
            target: Target, deployed: Mapping[Target, Instance] = deployed, layer: str = layer
        ) -> Iterator[Problem]:
            session = phase.client.reading(target)
            made = stacks.resources(session, deployed[target].stack_id)
            for each in [one for one in made if one.type == ROTATION_SCHEDULE]:
                # The Ref of a schedule is its secret's ARN.
                secret = session.ask("secretsmanager", "DescribeSecret", SecretId=each.physical_id)
                if not secret.get("RotationEnabled"):
                    what = f"{layer}/{each.logical_id} stands in {target.region}, and its secret is not rotated"
                    remedy = f"remove {each.logical_id} in a release of its own, and put it back in the next one"
                    yield Problem(Severity.ERROR, what, remedy)
                    return

        yield from phase.at_each(deployed, look)


def secrets(phase: CheckedPhase) -> Iterator[Problem]:
    """Every secret that the phase's values name exists where it is read, and is not about to be deleted."""
    named = sorted({key for each in phase.carried.values() for key in each.parameters if key.endswith("SecretArn")})
    for key in named:
        arns = {target: arn for group in phase.groups for target in group.targets if (arn := group.given(key))}

        def look(target: Target, arns: Mapping[Target, str] = arns, key: str = key) -> Iterator[Problem]:
            arn = arns[target]
            try:
                found = phase.client.reading(target).ask("secretsmanager", "DescribeSecret", SecretId=arn)
            except NotFound:
                what = f"{key}: there is no secret {arn} in {target.region}"
                yield Problem(Severity.ERROR, what, "create it there, and write its whole ARN into the values")
                return
            if "DeletedDate" in found:
                remedy = f"`aws secretsmanager restore-secret --secret-id {arn}` there"
                yield Problem(Severity.ERROR, f"{key}: the secret {arn} is scheduled for deletion", remedy)

        yield from phase.at_each(arns, look)


def run(phase: CheckedPhase) -> Iterator[Problem]:
    """No run is under way, and the last one reached every instance."""
    last = phase.store.journal.run() if phase.store else None
    if last is None or last.status is RunStatus.DONE:
        return
    described = f"{last}, begun {last.began}{f' by {last.by}' if last.by else ''}"
    if last.status is RunStatus.RUNNING:
        remedy = f"`rollout-stacksets resume --phase {phase.phase}`, unless somebody carries it out right now"
        yield Problem(Severity.WARNING, f"a run is under way: {described}", remedy)
    else:
        remedy = f"see why by `rollout-stacksets status --phase {phase.phase}`, then apply again or roll back"
        yield Problem(Severity.WARNING, f"the last run did not reach every instance: {described}", remedy)


CHECKS: Mapping[str, Callable[[CheckedPhase], Iterator[Problem]]] = {
    "credentials": credentials,
    "shared stacks": shared_stacks,
    "plan roles": permissions.plan_roles,
    "deploy roles": permissions.deploy_roles,
    "administration role": permissions.administration_role,
    "execution roles": permissions.execution_roles,
    "DMS roles": permissions.dms_roles,
    "trusted access": permissions.trusted_access,
    "delegated administrator": permissions.delegated_administrator,
    "accounts": permissions.accounts,
    "regions": regions,
    "quotas": quotas,
    "templates": templates,
    "addresses": addresses,
    "zones": zones,
    "security groups": default_groups,
    "way to on-premises": on_premises,
    "buckets": buckets,
    "readers of packages": readers,
    "instances": instances,
    "log groups": log_groups,
    "secrets": secrets,
    "rotations": rotations,
    "run": run,
}
"""Checks in the order in which they are shown: what others fail by comes first."""


def run_doctor(phase: CheckedPhase) -> tuple[Diagnosis, int]:
    """Run all checks of a phase. The exit code is 1 for any error."""
    diagnosis = Diagnosis(phase.phase, tuple(run_check(name, phase) for name in CHECKS))
    return diagnosis, 0 if diagnosis.good else 1


def run_check(name: str, phase: CheckedPhase) -> CheckResult:
    """Run one check; a call that fails is a finding, too."""
    found: list[Problem] = []
    try:
        for finding in CHECKS[name](phase):
            found.append(finding)
    except RolloutError as error:
        found.append(unknown_finding(error))
    return CheckResult(name, tuple(dict.fromkeys(found)))  # the same may be unknown of several layers
