"""Roles that a rollout needs: they exist, trust the right principals, and can be assumed."""

from __future__ import annotations

from collections.abc import Iterator

from builders import naming
from builders.evaluate import partition_of
from builders.policy_documents import trusts_role, trusts_service
from builders.rollout.aws import resources
from builders.rollout.aws.access import Session
from builders.rollout.aws.errors import AccessDenied
from builders.rollout.checks.findings import CheckedPhase, Finding, Severity
from builders.rollout.model import Target

BOOTSTRAP = "run `rollout-stacksets bootstrap`"


def administration_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """The administration role of self-managed sets is there, trusts CloudFormation, and may assume what it needs."""
    if patient.permissions.service_managed:
        return
    where = Session(patient.rollout.home)
    name = _administration_arn(patient).rsplit("/", 1)[-1]
    role = resources.role(patient.client.calls, where, name)
    if role is None:
        yield Finding(Severity.ERROR, f"there is no administration role {name} in the tooling account", BOOTSTRAP)
        return
    remedy = f"where bootstrap made the role, {BOOTSTRAP}"
    if not trusts_service(role.trust, "cloudformation.amazonaws.com"):
        what = f"the administration role {name} does not trust cloudformation.amazonaws.com"
        yield Finding(Severity.ERROR, what, f"let it, in its trust policy; {remedy}")
    # Policies name the roles of all accounts by a pattern, so that one account tells for all.
    execution_arn = _arn(patient, patient.accounts[0], _execution_name(patient))
    if not resources.may_assume(patient.client.calls, where, role.arn, execution_arn):
        what = f"the administration role {name} may not assume {execution_arn}"
        yield Finding(Severity.ERROR, what, f"allow it sts:AssumeRole on the execution roles; {remedy}")


def execution_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """In every account the execution role is there, and the administration role may assume it."""
    if patient.permissions.service_managed:
        return
    name = _execution_name(patient)
    administrator = _administration_arn(patient)

    def look(target: Target) -> Finding | None:
        role = resources.role(patient.client.calls, patient.client.roles.deploying(target), name)
        if role is None:
            return Finding(Severity.ERROR, f"there is no execution role {name}", BOOTSTRAP)
        if not trusts_role(role.trust, administrator):
            what = f"the execution role {name} does not trust {administrator}, or wants an external id"
            return Finding(Severity.ERROR, what, f"let it be assumed by that role without an external id; {BOOTSTRAP}")
        return None

    yield from patient.in_each_account(look)


def plan_role_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """In every account the plan role can be assumed: status, plans and outputs read by it."""
    role = patient.client.roles.plan_role

    def look(target: Target) -> Finding | None:
        fix = f"{BOOTSTRAP}, which deploys the layer account there"
        return _assumed(patient, patient.client.roles.reading(target), f"the plan role {role} cannot be assumed", fix)

    yield from patient.in_each_account(look)


def deploy_role_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """In every account, and in the network account, the deploy role can be assumed: bootstrap and purge use it."""
    role = patient.rollout.deploy_role
    network = [patient.rollout.network.account] if patient.rollout.network else []

    def look(target: Target) -> Finding | None:
        fix = f"make {role} there with a trust in {patient.rollout.tooling.account}, or name another as deploy_role"
        return _assumed(
            patient, patient.client.roles.deploying(target), f"the deploy role {role} cannot be assumed", fix
        )

    yield from patient.in_each_account(look, [*patient.accounts, *network])


def dms_role_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """In every account are the roles that DMS looks for, where a layer replicates."""
    if not any("AWS::DMS::" in each.body for each in patient.carried.values()):
        return

    def look(target: Target) -> Finding | None:
        where = patient.client.roles.deploying(target)
        missing = [
            name
            for name in (naming.DMS_VPC_ROLE, naming.DMS_LOGS_ROLE)
            if resources.role(patient.client.calls, where, name) is None
        ]
        if not missing:
            return None
        fix = f"set CreateDmsVpcRole and CreateDmsLogsRole to true for the account, and {BOOTSTRAP}"
        return Finding(Severity.ERROR, f"DMS lacks {', '.join(missing)}", fix)

    yield from patient.in_each_account(look)


def _assumed(patient: CheckedPhase, where: Session, what: str, fix: str) -> Finding | None:
    if where.role is None:
        return None
    try:
        patient.client.calls.ask(where, "sts", "GetCallerIdentity")
    except AccessDenied:
        return Finding(Severity.ERROR, what, fix)
    return None


def _administration_arn(patient: CheckedPhase) -> str:
    named = patient.permissions.administration_role_arn
    return named or _arn(patient, patient.rollout.tooling.account, naming.DEFAULT_ADMINISTRATION_ROLE)


def _execution_name(patient: CheckedPhase) -> str:
    return patient.permissions.execution_role_name or naming.DEFAULT_EXECUTION_ROLE


def _arn(patient: CheckedPhase, account: str, name: str) -> str:
    return f"arn:{partition_of(patient.rollout.home)}:iam::{account}:role/{name}"
