"""Checks of the roles that a rollout needs: they exist, trust the right principals, and can be assumed."""

from __future__ import annotations

from collections.abc import Iterator

from builders import naming
from builders.evaluate import partition_of
from builders.policy_documents import trusts_role, trusts_service
from builders.rollout.aws import resources
from builders.rollout.aws.calls import Session
from builders.rollout.aws.errors import AccessDenied
from builders.rollout.checks.findings import CheckedPhase, Finding, Severity
from builders.rollout.model import Target

BOOTSTRAP = "run `rollout-stacksets bootstrap`"


def administration_role(phase: CheckedPhase) -> Iterator[Finding]:
    """The administration role of self-managed sets exists, trusts CloudFormation, and may assume execution roles."""
    if phase.permissions.service_managed:
        return
    session = phase.client.calls.session(phase.rollout.home)
    name = _administration_arn(phase).rsplit("/", 1)[-1]
    role = resources.role(session, name)
    if role is None:
        yield Finding(Severity.ERROR, f"there is no administration role {name} in the tooling account", BOOTSTRAP)
        return
    otherwise = f"where bootstrap made the role, {BOOTSTRAP}"
    if not trusts_service(role.trust, "cloudformation.amazonaws.com"):
        what = f"the administration role {name} does not trust cloudformation.amazonaws.com"
        yield Finding(Severity.ERROR, what, f"let it, in its trust policy; {otherwise}")
    # Policies name the roles of all accounts by a pattern, so that one account tells for all.
    execution_arn = _arn(phase, phase.accounts[0], _execution_name(phase))
    if not resources.may_assume(session, role.arn, execution_arn):
        what = f"the administration role {name} may not assume {execution_arn}"
        yield Finding(Severity.ERROR, what, f"allow it sts:AssumeRole on the execution roles; {otherwise}")


def execution_roles(phase: CheckedPhase) -> Iterator[Finding]:
    """The execution role exists in every account, and the administration role may assume it."""
    if phase.permissions.service_managed:
        return
    name, administrator = _execution_name(phase), _administration_arn(phase)

    def look(target: Target) -> Finding | None:
        role = resources.role(phase.client.roles.deploying(target), name)
        if role is None:
            return Finding(Severity.ERROR, f"there is no execution role {name}", BOOTSTRAP)
        if trusts_role(role.trust, administrator):
            return None
        what = f"the execution role {name} does not trust {administrator}, or wants an external id"
        return Finding(Severity.ERROR, what, f"let it be assumed by that role without an external id; {BOOTSTRAP}")

    yield from phase.in_each_account(look)


def plan_roles(phase: CheckedPhase) -> Iterator[Finding]:
    """The plan role, by which status, plans and outputs read, can be assumed in every account."""
    roles = phase.client.roles
    what = f"the plan role {roles.plan_role} cannot be assumed"
    remedy = f"{BOOTSTRAP}, which deploys the layer account there"
    yield from phase.in_each_account(lambda target: _assumed(phase, roles.reading(target), what, remedy))


def deploy_roles(phase: CheckedPhase) -> Iterator[Finding]:
    """The deploy role, by which bootstrap and purge work, can be assumed in every account and the network account."""
    rollout, roles = phase.rollout, phase.client.roles
    what = f"the deploy role {rollout.deploy_role} cannot be assumed"
    remedy = (
        f"make {rollout.deploy_role} there with a trust in {rollout.tooling.account}, or name another as deploy_role"
    )
    network = [rollout.network.account] if rollout.network else []
    yield from phase.in_each_account(
        lambda target: _assumed(phase, roles.deploying(target), what, remedy), [*phase.accounts, *network]
    )


def _assumed(phase: CheckedPhase, session: Session, what: str, remedy: str) -> Finding | None:
    if session.role is None:
        return None
    try:
        session.ask("sts", "GetCallerIdentity")
    except AccessDenied:
        return Finding(Severity.ERROR, what, remedy)
    return None


def dms_roles(phase: CheckedPhase) -> Iterator[Finding]:
    """The roles that DMS looks for exist in every account, where a layer replicates."""
    if not any("AWS::DMS::" in each.body for each in phase.carried.values()):
        return

    def look(target: Target) -> Finding | None:
        session = phase.client.roles.deploying(target)
        names = (naming.DMS_VPC_ROLE, naming.DMS_LOGS_ROLE)
        missing = [name for name in names if resources.role(session, name) is None]
        if not missing:
            return None
        remedy = f"set CreateDmsVpcRole and CreateDmsLogsRole to true for the account, and {BOOTSTRAP}"
        return Finding(Severity.ERROR, f"DMS lacks {', '.join(missing)}", remedy)

    yield from phase.in_each_account(look)


def _administration_arn(phase: CheckedPhase) -> str:
    named = phase.permissions.administration_role_arn
    return named or _arn(phase, phase.rollout.tooling.account, naming.DEFAULT_ADMINISTRATION_ROLE)


def _execution_name(phase: CheckedPhase) -> str:
    return phase.permissions.execution_role_name or naming.DEFAULT_EXECUTION_ROLE


def _arn(phase: CheckedPhase, account: str, name: str) -> str:
    return f"arn:{partition_of(phase.rollout.home)}:iam::{account}:role/{name}"
