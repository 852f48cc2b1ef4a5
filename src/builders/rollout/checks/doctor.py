"""Checks of a phase before a rollout: a flat list, each run for itself, so that one that fails hides no other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from builders import naming
from builders.aws.errors import NotFound
from builders.errors import EvaluationError, RolloutError
from builders.rollout.aws import stacks
from builders.rollout.aws.accounts import DEFAULTS, INSTANCES, STACK_SETS, enabled_regions, quotas as read_quotas
from builders.rollout.checks import networks, permissions
from builders.rollout.checks.findings import CheckedPhase, CheckResult, Diagnosis, Finding, Severity, unknown_finding
from builders.rollout.checks.permissions import BOOTSTRAP
from builders.rollout.checks.status import instances_of
from builders.rollout.config.parameters import TargetGroup, stack_values
from builders.rollout.config.templates import Template
from builders.rollout.diff.hazards import ROTATION_SCHEDULE
from builders.rollout.diff.set_hazards import has_transform, limit_hazards
from builders.rollout.model import Permissions, Status, Target
from builders.rollout.state.journal import RunStatus
from builders.template_bodies import evaluate_template


def credentials(phase: CheckedPhase) -> Iterator[Finding]:
    """The credentials are those of the tooling account, where stack sets, journals and packages are."""
    account, tooling = phase.client.calls.account(), phase.rollout.tooling.account
    if account != tooling:
        what = f"the credentials are of account {account}, and the tooling account is {tooling}"
        yield Finding(Severity.ERROR, what, "name a profile of the tooling account with --profile or AWS_PROFILE")


def regions(phase: CheckedPhase) -> Iterator[Finding]:
    """Every account has enabled every region of the phase."""

    def look(target: Target) -> Finding | None:
        enabled = enabled_regions(phase.client.deploying(target))
        off = [region for region in phase.regions if region not in enabled]
        if not off:
            return None
        remedy = f"`aws account enable-region --region-name {off[0]}` in the account, and wait until it is ENABLED"
        return Finding(Severity.ERROR, f"{', '.join(off)} is not enabled", remedy)

    yield from phase.in_each_account(look)


def quotas(phase: CheckedPhase) -> Iterator[Finding]:
    """The phase's sets and their instances fit; where the quotas cannot be read, into the defaults."""
    try:
        allowed = read_quotas(phase.client.calls.session(phase.rollout.home))
    except RolloutError as error:
        allowed = DEFAULTS
        what = f"the quotas of CloudFormation; the defaults are taken: {error}"
        yield Finding(Severity.UNKNOWN, what, "allow servicequotas:ListServiceQuotas to whoever runs doctor")
    sets = {*phase.client.sets.names(), *(naming.stack_set(layer, phase.suffix) for layer in phase.carried)}
    needed = {STACK_SETS: len(sets), INSTANCES: len(phase.accounts) * len(phase.regions)}
    for name, count in needed.items():
        if count > allowed[name]:
            what = f"{name}: {count:,} are needed, and {allowed[name]:,} allowed"
            yield Finding(Severity.ERROR, what, "ask for more in the Service Quotas console of the tooling account")


def templates(phase: CheckedPhase) -> Iterator[Finding]:
    """Every template fits what CloudFormation takes with a request, and holds nothing that StackSets refuse."""
    for layer, template in sorted(phase.carried.items()):
        yield from template_findings(layer, template.body, phase.permissions)


def template_findings(layer: str, body: str, permissions: Permissions) -> Iterator[Finding]:
    """The limits that one template breaks, and a transform wherever it is: no plan can tell what it changes."""
    for hazard in limit_hazards(layer, body, permissions):
        yield Finding(Severity.ERROR, hazard.message, hazard.remedy, (layer,))
    if not permissions.service_managed and has_transform(json.loads(body)):
        # Self-managed sets would need CAPABILITY_AUTO_EXPAND.
        yield Finding(Severity.ERROR, "the template has a transform or macro", "write out what it makes", (layer,))


def buckets(phase: CheckedPhase) -> Iterator[Finding]:
    """Every region of the phase has a bucket of artifacts in the tooling account."""
    for region in phase.regions:
        bucket = phase.buckets.get(region)
        if bucket is None:
            yield Finding(Severity.ERROR, "no bucket for packages", BOOTSTRAP, (region,))
            continue
        try:
            phase.client.calls.session(region).ask("s3", "HeadBucket", Bucket=bucket)
        except NotFound:
            what = f"the stack of artifacts names the bucket {bucket}, which does not exist"
            yield Finding(Severity.ERROR, what, f"delete that stack there, then {BOOTSTRAP}", (region,))


READERS = "name the accounts in ReaderAccountIds, or their organization in OrganizationId, of the tooling parameters"


def readers(phase: CheckedPhase) -> Iterator[Finding]:
    """Every account can read a package of every region; where there is none yet, apply finds out."""
    for region in phase.regions:
        bucket = phase.buckets.get(region)
        if bucket is None or not phase.packages:
            continue
        key = next((key for key in phase.packages if phase.client.objects(region).exists(bucket, key)), None)
        if key is None:
            what = "whether accounts can read packages: the bucket holds none yet"
            yield Finding(Severity.UNKNOWN, what, "`rollout-stacksets apply` puts them there, and looks", (region,))
        else:
            yield from _readers(phase, region, bucket, key)


def _readers(phase: CheckedPhase, region: str, bucket: str, key: str) -> Iterator[Finding]:
    def look(target: Target) -> Finding | None:
        if phase.client.members.can_read(target, bucket, key):
            return None
        return Finding(Severity.ERROR, f"cannot read s3://{bucket}/{key}", f"{READERS}; {BOOTSTRAP}")

    return phase.in_each_account(look, region=region)


def instances(phase: CheckedPhase) -> Iterator[Finding]:
    """No instance is INOPERABLE, since StackSets leave such out of every update."""
    sets = naming.existing_stack_sets(phase.carried, phase.suffix, phase.client.sets.names())
    for layer, name in sets.items():
        found = instances_of(phase.client, name)
        broken = tuple(str(target) for target, each in sorted(found.items()) if each.status is Status.INOPERABLE)
        if broken:
            remedy = (
                f"`rollout-stacksets remove --phase {phase.name} --account ...` detaches it; delete the stack there by "
                "hand, then apply"
            )
            yield Finding(Severity.ERROR, f"INOPERABLE instances of {layer}", remedy, broken)


def log_groups(phase: CheckedPhase) -> Iterator[Finding]:
    """No log group has the name of one that a stack will make: services make theirs themselves where there is none, and
    once more when they write after their stack is gone."""
    sets = naming.existing_stack_sets(phase.carried, phase.suffix, phase.client.sets.names())
    for layer, template in sorted(phase.carried.items()):
        if LOG_GROUP not in template.body:
            continue
        deployed = instances_of(phase.client, sets[layer]) if layer in sets else {}
        for region in phase.regions:
            names: dict[str, list[str]] = {}
            for group in phase.groups:
                waiting = [each for each in group.targets if each.region == region and each not in deployed]
                if waiting:
                    names |= dict.fromkeys((each.account for each in waiting), _log_groups(template, group, waiting[0]))

            def look(target: Target, names: Mapping[str, list[str]] = names, layer: str = layer) -> Finding | None:
                session = phase.client.deploying(target)
                for name in names[target.account]:
                    found = session.pages("logs", "DescribeLogGroups", logGroupNamePrefix=name)
                    if name in [each["logGroupName"] for each in found]:
                        remedy = (
                            f"`aws logs delete-log-group --log-group-name {name}` there, or import it into the stack"
                        )
                        return Finding(Severity.ERROR, f"{name} exists already, and {layer} will make it", remedy)
                return None

            if any(names.values()):
                yield from phase.in_each_account(look, sorted(names), region)


LOG_GROUP = '"AWS::Logs::LogGroup"'


def _log_groups(template: Template, group: TargetGroup, target: Target) -> list[str]:
    """The names that a template gives its log groups at a target; apply says so where it lacks values."""
    try:
        resources = evaluate_template(template.body, stack_values(template, group), *target)[0].resources.values()
    except EvaluationError:
        return []
    names = [each.get("Properties", {}).get("LogGroupName") for each in resources if f'"{each["Type"]}"' == LOG_GROUP]
    return sorted(name for name in names if isinstance(name, str) and "${" not in name)


def rotations(phase: CheckedPhase) -> Iterator[Finding]:
    """Every secret with a rotation schedule is rotated: a schedule that was renamed takes its secret's rotation away
    and stands all the same, which no drift detection shows (cloudformation-coverage-roadmap#1813)."""
    sets = naming.existing_stack_sets(phase.carried, phase.suffix, phase.client.sets.names())
    for layer, name in sets.items():
        if f'"{ROTATION_SCHEDULE}"' not in phase.carried[layer].body:
            continue
        deployed = instances_of(phase.client, name)
        for region in phase.regions:
            stack_ids = {each.account: found.stack_id for each, found in deployed.items() if each.region == region}

            def look(target: Target, ids: Mapping[str, str] = stack_ids, layer: str = layer) -> Finding | None:
                for each in stacks.resources(phase.client.reading(target), ids[target.account]):
                    if each.type == ROTATION_SCHEDULE and not _is_rotated(phase, target, each.physical_id):
                        what = f"{layer}/{each.logical_id} stands in {target.region}, and its secret is not rotated"
                        remedy = f"remove {each.logical_id} in a release of its own, and put it back in the next one"
                        return Finding(Severity.ERROR, what, remedy)
                return None

            if stack_ids:
                yield from phase.in_each_account(look, sorted(stack_ids), region)


def _is_rotated(phase: CheckedPhase, target: Target, secret: str) -> bool:
    """Tell whether Secrets Manager rotates a secret; the Ref of a schedule is its secret's ARN."""
    found = phase.client.deploying(target).ask("secretsmanager", "DescribeSecret", SecretId=secret)
    return bool(found.get("RotationEnabled"))


def run(phase: CheckedPhase) -> Iterator[Finding]:
    """No run is under way, and the last one reached every instance."""
    last = phase.store.journal.run() if phase.store else None
    if last is None or last.status is RunStatus.DONE:
        return
    described = f"{last.command.value} of {last.release or 'nothing'}, begun {last.began}"
    if last.status is RunStatus.RUNNING:
        remedy = f"`rollout-stacksets resume --phase {phase.name}`, unless somebody carries it out right now"
        yield Finding(Severity.WARNING, f"a run is under way: {described}", remedy)
    else:
        remedy = f"see why by `rollout-stacksets status --phase {phase.name}`, then apply again or roll back"
        yield Finding(Severity.WARNING, f"the last run did not reach every instance: {described}", remedy)


Check = Callable[[CheckedPhase], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "credentials": credentials,
    "administration role": permissions.administration_role,
    "execution roles": permissions.execution_roles,
    "plan roles": permissions.plan_roles,
    "deploy roles": permissions.deploy_roles,
    "DMS roles": permissions.dms_roles,
    "trusted access": permissions.trusted_access,
    "delegated administrator": permissions.delegated_administrator,
    "accounts": permissions.accounts,
    "regions": regions,
    "quotas": quotas,
    "templates": templates,
    "zones": networks.zones,
    "way to on-premises": networks.on_premises,
    "buckets": buckets,
    "readers of packages": readers,
    "instances": instances,
    "log groups": log_groups,
    "rotations": rotations,
    "run": run,
}
"""In the order in which they are shown."""


def run_doctor(phase: CheckedPhase) -> tuple[Diagnosis, int]:
    """Run all checks of a phase. The exit code is 1 for any error."""
    results = tuple(CheckResult(name, tuple(_findings(check, phase))) for name, check in CHECKS.items())
    diagnosis = Diagnosis(phase.name, results)
    return diagnosis, 0 if diagnosis.good else 1


def _findings(check: Check, phase: CheckedPhase) -> Iterator[Finding]:
    try:
        yield from check(phase)
    except RolloutError as error:
        yield unknown_finding(error)
