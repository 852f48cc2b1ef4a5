"""Packages of functions: a bucket in each region, readable from every account.

Whose credentials these are.

What a template may hold, and what StackSets take. Pure.

How many stack sets and instances AWS allows, beside how many there will be.

Regions that an account must switch on before anything can be deployed there.

What earlier operations left: INOPERABLE instances, a run that did not end.

The list of checks, and how they are run: each for itself, so that one that cannot be asked hides no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

from builders import naming
from builders.errors import RolloutError
from builders.naming import SECTION_LIMITS, TEMPLATE_LIMIT_BYTES
from builders.rollout.aws.access import Session
from builders.rollout.aws.accounts import DEFAULTS, INSTANCES, STACK_SETS, enabled_regions, quotas as asked
from builders.rollout.aws.calls import concurrently
from builders.rollout.aws.errors import NotFound, StackSetNotFound
from builders.rollout.checks import findings, organization, roles
from builders.rollout.checks.findings import CheckedPhase, CheckResult, Diagnosis, Finding, Severity, unknown_finding
from builders.rollout.checks.roles import BOOTSTRAP
from builders.rollout.config.templates import Template
from builders.rollout.model import Status, Target
from builders.rollout.state.journal import RunStatus

READERS = "name the accounts in ReaderAccountIds, or their organization in OrganizationId, of the tooling parameters"


def bucket_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Every region of the phase has a bucket of artifacts in the tooling account."""
    for region in patient.regions:
        bucket = patient.buckets.get(region)
        if bucket is None:
            yield Finding(Severity.ERROR, "no bucket for packages", BOOTSTRAP, (region,))
            continue
        try:
            patient.client.calls.ask(Session(region), "s3", "HeadBucket", Bucket=bucket)
        except NotFound:
            what = f"artifacts has put out the bucket {bucket}, which is not there"
            yield Finding(Severity.ERROR, what, f"delete the stack of artifacts there, then {BOOTSTRAP}", (region,))


def reader_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Every account can read a package of every region; where none is there yet, apply finds out."""
    for region in patient.regions:
        bucket = patient.buckets.get(region)
        if bucket is None or not patient.packages:
            continue
        there = [key for key in patient.packages if patient.client.objects(region).exists(bucket, key)]
        if there:
            yield from findings.merged_findings(_readers(patient, region, bucket, there[0]))
        else:
            what = "whether accounts can read packages: the bucket holds none yet"
            yield Finding(Severity.UNKNOWN, what, "`rollout-stacksets apply` puts them there, and looks", (region,))


def _readers(patient: CheckedPhase, region: str, bucket: str, key: str) -> Iterator[tuple[str, Finding | None]]:
    def look(account: str) -> Finding | None:
        try:
            can = patient.client.members.can_read(Target(account, region), bucket, key)
        except RolloutError as error:
            return unknown_finding(error)
        return None if can else Finding(Severity.ERROR, f"cannot read s3://{bucket}/{key}", f"{READERS}; {BOOTSTRAP}")

    yield from concurrently(look, patient.accounts)


def credential_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """The credentials are those of the tooling account, where stack sets, journals and packages are."""
    account, tooling = patient.client.account(), patient.rollout.tooling.account
    if account != tooling:
        yield Finding(
            Severity.ERROR,
            f"the credentials are of account {account}, and the tooling account is {tooling}",
            "name a profile of the tooling account with --profile or AWS_PROFILE",
        )


SPLIT = "split the layer in two"


def template_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Every template fits what CloudFormation takes with a request, and holds nothing that StackSets refuse."""
    for layer, template in sorted(patient.carried.items()):
        yield from template_limit_findings(layer, template, patient.permissions.service_managed)


def template_limit_findings(layer: str, template: Template, service_managed: bool) -> Iterator[Finding]:
    """What is wrong with one template."""
    size = len(template.body.encode())
    if size > TEMPLATE_LIMIT_BYTES:
        yield Finding(Severity.ERROR, f"{size:,} bytes, and {TEMPLATE_LIMIT_BYTES:,} are taken", SPLIT, (layer,))
    content = json.loads(template.body)
    for section, most in SECTION_LIMITS.items():
        count = len(content.get(section, {}))
        if count > most:
            yield Finding(Severity.ERROR, f"{count} {section}, and {most} are taken", SPLIT, (layer,))
    if "Transform" in content or '"Fn::Transform"' in template.body:
        # Service-managed sets refuse them (CloudFormation user guide, "Considerations for service-managed
        # permissions"). Others would want CAPABILITY_AUTO_EXPAND, and no plan could tell what changes.
        yield Finding(Severity.ERROR, "a transform or macro", "write out what it makes", (layer,))
    nested = [
        name for name, each in content.get("Resources", {}).items() if each["Type"] == "AWS::CloudFormation::Stack"
    ]
    if nested and service_managed:
        what = f"nested stacks ({', '.join(nested)}), which service-managed sets refuse"
        yield Finding(Severity.ERROR, what, "make each a layer of its own", (layer,))


def quota_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """The phase's sets and their instances fit; where the quotas cannot be read, into the defaults."""
    try:
        allowed = asked(patient.client.calls, Session(patient.rollout.home))
    except RolloutError as error:
        allowed = DEFAULTS
        what = f"the quotas of CloudFormation; the defaults are taken: {error}"
        yield Finding(Severity.UNKNOWN, what, "allow servicequotas:ListServiceQuotas to whoever runs doctor")
    present = set(patient.client.sets.names())
    sets = len(present | {naming.stack_set(layer, patient.suffix) for layer in patient.carried})
    yield from _compared(STACK_SETS, sets, allowed[STACK_SETS])
    yield from _compared(INSTANCES, len(patient.accounts) * len(patient.regions), allowed[INSTANCES])


def _compared(name: str, needed: int, allowed: int) -> Iterator[Finding]:
    if needed > allowed:
        what = f"{name}: {needed:,} are needed, and {allowed:,} allowed"
        yield Finding(Severity.ERROR, what, "ask for more in the Service Quotas console of the tooling account")


def region_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Every account has switched on every region of the phase."""

    def look(target: Target) -> Finding | None:
        enabled = enabled_regions(patient.client.calls, patient.client.roles.deploying(target))
        off = [region for region in patient.regions if region not in enabled]
        if not off:
            return None
        fix = f"`aws account enable-region --region-name {off[0]}` in the account, and wait until it is ENABLED"
        return Finding(Severity.ERROR, f"{', '.join(off)} is not switched on", fix)

    yield from patient.in_each_account(look)


def instance_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """No instance is INOPERABLE, since StackSets leave such out of every update."""
    present = set(patient.client.sets.names())
    for layer in sorted(patient.carried):
        name = naming.stack_set(layer, patient.suffix)
        if name not in present:
            continue
        try:
            found = patient.client.sets.instances(name)
        except StackSetNotFound:  # it went while we looked
            continue
        broken = tuple(str(target) for target, each in sorted(found.items()) if each.status is Status.INOPERABLE)
        if broken:
            fix = (
                f"`rollout-stacksets remove --phase {patient.phase} --account ...` lets it go; delete the stack there "
                "by hand, then apply"
            )
            yield Finding(Severity.ERROR, f"INOPERABLE instances of {layer}", fix, broken)


def run_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """No run is under way, and the last one reached every instance."""
    last = patient.store.journal.run() if patient.store else None
    if last is None or last.status is RunStatus.DONE:
        return
    told = f"{last.command.value} of {last.release or 'nothing'}, begun {last.began}"
    if last.status is RunStatus.RUNNING:
        fix = f"`rollout-stacksets resume --phase {patient.phase}`, unless somebody carries it out right now"
        yield Finding(Severity.WARNING, f"a run is under way: {told}", fix)
    else:
        fix = f"see why by `rollout-stacksets status --phase {patient.phase}`, then apply again or roll back"
        yield Finding(Severity.WARNING, f"the last run did not reach every instance: {told}", fix)


Check = Callable[[CheckedPhase], Iterator[Finding]]

CHECKS: Mapping[str, Check] = {
    "credentials": credential_findings,
    "administration role": roles.administration_findings,
    "execution roles": roles.execution_findings,
    "plan roles": roles.plan_role_findings,
    "deploy roles": roles.deploy_role_findings,
    "DMS roles": roles.dms_role_findings,
    "trusted access": organization.trusted_access_findings,
    "delegated administrator": organization.delegated_administrator_findings,
    "accounts": organization.account_findings,
    "regions": region_findings,
    "quotas": quota_findings,
    "templates": template_findings,
    "buckets": bucket_findings,
    "readers of packages": reader_findings,
    "instances": instance_findings,
    "run": run_findings,
}
"""In the order in which they are told."""


def run_doctor(patient: CheckedPhase, say: Callable[[str], None] = lambda _line: None) -> tuple[Diagnosis, int]:
    """Run all checks of a phase; `say` is told the name of each that begins. The exit code is 1 for any error."""
    checked = []
    for name, check in CHECKS.items():
        say(name)
        checked.append(CheckResult(name, tuple(_findings(check, patient))))
    diagnosis = Diagnosis(patient.phase, tuple(checked))
    return diagnosis, 0 if diagnosis.good else 1


def _findings(check: Check, patient: CheckedPhase) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except RolloutError as error:
        yield unknown_finding(error)
