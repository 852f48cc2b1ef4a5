"""Checks of the roles that a rollout needs, and of the organization that it deploys to."""

from __future__ import annotations

from collections.abc import Iterator

from builders import naming
from builders.aws.accounts import STACKSETS
from builders.aws.calls import Session
from builders.aws.errors import AccessDenied, Refused, RoleNotAssumed
from builders.aws.resources import IamRole, denied_actions, iam_role
from builders.evaluate import partition_of
from builders.policy_documents import statements, trusts_role, trusts_service, wants_external_id
from builders.rollout.checks.findings import CheckedPhase, Problem, Severity
from builders.rollout.client import MAKE_DEPLOY_ROLE
from builders.rollout.config.parameters import TargetGroup
from builders.rollout.model import Target
from builders.text import name_list

BOOTSTRAP = "run `rollout-stacksets bootstrap`"
_DEPLOY_ROLE = "docs/bootstrap.md, The deploy role"
_EXTERNAL_ID = ("it requires an external id", "let it be assumed without an external id: rollout-stacksets sends none")
_LIST_DELEGATED = "organizations:ListDelegatedAdministrators"


def administration_role(phase: CheckedPhase) -> Iterator[Problem]:
    """The administration role of self-managed sets exists, trusts CloudFormation, and may assume execution roles."""
    if phase.permissions.service_managed:
        return
    session = phase.client.calls.session(phase.rollout.home)
    name = _administration_arn(phase).rsplit("/", 1)[-1]
    role = iam_role(session, name)
    if role is None:
        yield Problem(Severity.ERROR, f"there is no administration role {name} in the tooling account", BOOTSTRAP)
        return
    otherwise = f"where bootstrap made the role, {BOOTSTRAP}"
    if not trusts_service(role.trust, "cloudformation.amazonaws.com"):
        what = f"the administration role {name} does not trust cloudformation.amazonaws.com"
        yield Problem(Severity.ERROR, what, f"let it, in its trust policy; {otherwise}")
    # Policies name the roles of all accounts by a pattern, so that one account tells for all.
    execution_arn = _arn(phase, phase.accounts[0], _execution_name(phase))
    if denied_actions(session, role.arn, ["sts:AssumeRole"], execution_arn):
        what = f"the administration role {name} may not assume {execution_arn}"
        yield Problem(Severity.ERROR, what, f"allow it sts:AssumeRole on the execution roles; {otherwise}")


def execution_roles(phase: CheckedPhase) -> Iterator[Problem]:
    """The execution role exists in every account, the administration role may assume it, and it may make the layers."""
    if phase.permissions.service_managed:
        # CloudFormation user guide, "Configure a custom execution role template for StackSets".
        what = "StackSets acts in every account by a role of its own, stacksets-exec-*, with AdministratorAccess"
        remedy = "use self-managed permissions to confine it to the grants of `account` (docs/bootstrap.md)"
        yield Problem(Severity.WARNING, what, remedy)
        return
    name, administrator = _execution_name(phase), _administration_arn(phase)
    groups = {target.account: group for group in phase.groups for target in group.targets}

    def look(target: Target) -> Iterator[Problem]:
        session = phase.client.reading(target)
        role = iam_role(session, name)
        if role is None:
            yield Problem(Severity.ERROR, f"there is no execution role {name}", BOOTSTRAP)
        elif not trusts_role(role.trust, administrator):
            what = f"the execution role {name} does not trust {administrator}, or requires an external id"
            yield Problem(Severity.ERROR, what, f"let it be assumed by that role without an external id; {BOOTSTRAP}")
        elif denied := [
            action
            for resource, actions in _own_actions(phase, groups.get(target.account), target)
            for action in denied_actions(session, role.arn, actions, resource)
        ]:
            what = f"the execution role {name} may not {name_list(denied)}, which layers of your own need"
            yield Problem(Severity.ERROR, what, BOOTSTRAP)

    yield from phase.in_each_account(look)


def _own_actions(phase: CheckedPhase, group: TargetGroup | None, target: Target) -> Iterator[tuple[str, list[str]]]:
    """The actions that `account` grants for layers of a project's own, each list with a resource that it is granted on;
    without those on conditions, since nobody knows the requests that CloudFormation will make."""
    account = phase.templates.get("account")
    if account and group and naming.OWN_POLICY in account.body:
        for title, resource in phase.resources(account, group, target).items():
            if title.startswith(naming.OWN_POLICY):
                for statement in statements(resource["Properties"]["PolicyDocument"]):
                    if "Condition" not in statement:
                        yield statement["Resource"][0], statement["Action"]


def plan_roles(phase: CheckedPhase) -> Iterator[Problem]:
    """The plan role, by which everything reads, can be assumed in every account and the network account."""

    def look(target: Target) -> Iterator[Problem]:
        if not phase.client.reading(target).answers():
            what = f"the plan role {phase.client.plan_role} cannot be assumed"
            yield Problem(Severity.ERROR, what, f"{BOOTSTRAP}, which deploys the layer account there")

    yield from phase.at_each(_with_network(phase), look)


def deploy_roles(phase: CheckedPhase) -> Iterator[Problem]:
    """The deploy role of every account and the network account can be assumed from the tooling account, and may deploy.

    The plan role tells, so that whoever runs this need not be able to deploy. Before the first bootstrap there is none,
    and the deploy role itself is tried.
    """

    def look(target: Target) -> Iterator[Problem]:
        session, name = phase.client.reading(target), phase.client.deploy_role(target.account)
        try:
            refusal = _untrusting(phase, iam_role(session, name.rpartition("/")[2]))
        except RoleNotAssumed:
            session = phase.client.deploying(target)
            refusal = None if session.answers() else _refusal(phase, target)
        if refusal:
            reason, remedy = refusal
            yield Problem(Severity.ERROR, f"the deploy role {name} cannot be assumed: {reason}", remedy)
        else:
            yield from _missing_actions(phase, session, target)

    yield from phase.at_each(_with_network(phase), look)


def _with_network(phase: CheckedPhase) -> list[Target]:
    """The phase's accounts and the network account; the tooling account is the caller's own."""
    network = {phase.rollout.network.account} if phase.rollout.network else set()
    accounts = {*phase.accounts, *(network - {phase.rollout.tooling.account})}
    return [Target(account, phase.regions[0]) for account in accounts]


def _untrusting(phase: CheckedPhase, role: IamRole | None) -> tuple[str, str] | None:
    """The reason why nobody of the tooling account can assume a deploy role, by its trust policy, and the remedy."""
    tooling = phase.rollout.tooling.account
    anybody = f"arn:{partition_of(phase.rollout.home)}:iam::{tooling}:root"
    if role is None:
        return "there is none", MAKE_DEPLOY_ROLE
    if wants_external_id(role.trust, anybody):
        return _EXTERNAL_ID
    if not trusts_role(role.trust, anybody):
        remedy = f"let its trust policy name that account; {_DEPLOY_ROLE}"
        return f"it does not trust the tooling account {tooling}", remedy
    return None


def _refusal(phase: CheckedPhase, target: Target) -> tuple[str, str]:
    """The same of a deploy role that nobody may look at. AWS gives one answer for all reasons."""
    if phase.client.deploying(target, with_external_id=True).answers():
        return _EXTERNAL_ID
    tooling = phase.rollout.tooling.account
    reason = f"it is not there, does not trust {tooling}, requires an external id, or these credentials may not"
    return reason, f"see which in the account itself; {MAKE_DEPLOY_ROLE}"


def _missing_actions(phase: CheckedPhase, session: Session, target: Target) -> Iterator[Problem]:
    """The actions that bootstrap begins with, on what they are for, as IAM simulates them."""
    account, name = target.account, phase.client.deploy_role(target.account)
    stack = f"stack/{naming.plain_stack('account', phase.suffix)}/*"
    wanted = {
        f"arn:{partition_of(target.region)}:cloudformation:{target.region}:{account}:{stack}": (
            *("cloudformation:CreateChangeSet", "cloudformation:DescribeStacks"),
            *("cloudformation:ExecuteChangeSet", "cloudformation:GetTemplate"),
        ),
        _arn(phase, account, naming.with_suffix(naming.PLAN_ROLE, phase.suffix)): (
            *("iam:CreateRole", "iam:GetRole", "iam:TagRole", "iam:UpdateAssumeRolePolicy"),
        ),
    }
    own = _arn(phase, account, name)
    try:
        missing = [each for arn, actions in wanted.items() for each in denied_actions(session, own, actions, arn)]
    except AccessDenied:
        asking = session.role.name if session.role else "the caller"
        what = f"whether the deploy role {name} may deploy: {asking} may not iam:SimulatePrincipalPolicy on it"
        yield Problem(Severity.UNKNOWN, what, "allow that, or see what bootstrap says")
        return
    if missing:
        what = f"the deploy role {name} lacks {', '.join(missing)}"
        yield Problem(Severity.ERROR, what, f"give it the rights of the template deploy_role; {_DEPLOY_ROLE}")


def dms_roles(phase: CheckedPhase) -> Iterator[Problem]:
    """The roles that DMS looks for exist in every account, where a layer replicates."""
    if not any("AWS::DMS::" in each.body for each in phase.carried.values()):
        return

    def look(target: Target) -> Iterator[Problem]:
        session = phase.client.reading(target)
        names = (naming.DMS_VPC_ROLE, naming.DMS_LOGS_ROLE)
        if missing := [name for name in names if iam_role(session, name) is None]:
            remedy = f"set CreateDmsVpcRole and CreateDmsLogsRole to true for the account, and {BOOTSTRAP}"
            yield Problem(Severity.ERROR, f"DMS lacks {', '.join(missing)}", remedy)

    yield from phase.in_each_account(look)


def _administration_arn(phase: CheckedPhase) -> str:
    """The role that the shared stacks name; before bootstrap the one that it makes, else that of StackSets itself."""
    named, own = phase.permissions.administration_role_arn, naming.with_suffix(naming.ADMINISTRATION_ROLE, phase.suffix)
    name = own if phase.shared_problem else naming.DEFAULT_ADMINISTRATION_ROLE
    return named or _arn(phase, phase.rollout.tooling.account, name)


def _execution_name(phase: CheckedPhase) -> str:
    own = naming.with_suffix(naming.EXECUTION_ROLE, phase.suffix)
    return phase.permissions.execution_role_name or (own if phase.shared_problem else naming.DEFAULT_EXECUTION_ROLE)


def _arn(phase: CheckedPhase, account: str, name: str) -> str:
    return f"arn:{partition_of(phase.rollout.home)}:iam::{account}:role/{name}"


def trusted_access(phase: CheckedPhase) -> Iterator[Problem]:
    """Service-managed sets need trusted access between StackSets and the organization."""
    if not phase.permissions.service_managed:
        return
    if (status := phase.client.organizations.trusted_access(phase.permissions.call_as)) != "ENABLED":
        what = f"trusted access of StackSets to the organization is {status}"
        remedy = "`aws cloudformation activate-organizations-access` in the management account"
        yield Problem(Severity.ERROR, what, remedy)


def delegated_administrator(phase: CheckedPhase) -> Iterator[Problem]:
    """An account that calls as SELF is the management account, one that calls as DELEGATED_ADMIN is registered."""
    if not phase.permissions.service_managed:
        return
    organization, own, call_as = phase.client.organizations, phase.rollout.tooling.account, phase.permissions.call_as
    right, is_it = ("SELF", "is") if organization.management() == own else ("DELEGATED_ADMIN", "is not")
    if call_as != right:
        what = f"call_as is {call_as}, and {own} {is_it} the management account"
        yield Problem(Severity.ERROR, what, f"set stacksets.call_as to {right} in rollout.yaml")
        return
    if call_as == "SELF":
        return
    try:
        administrators = organization.delegated_administrators()
    except AccessDenied:
        # StackSets ask with the caller's permissions (CloudFormation user guide, "Register a delegated administrator").
        what = f"these credentials may not {_LIST_DELEGATED}: StackSets does not accept {own} as a delegated "
        remedy = f"allow {_LIST_DELEGATED}, also in the organization's delegation policy"
        yield Problem(Severity.ERROR, what + "administrator, registered or not", remedy)
        return
    if own not in administrators:
        command = f"register-delegated-administrator --account-id {own} --service-principal {STACKSETS}"
        remedy = f"in the management account: `aws organizations {command}`"
        yield Problem(Severity.ERROR, f"{own} is not a delegated administrator of StackSets", remedy)


def accounts(phase: CheckedPhase) -> Iterator[Problem]:
    """The phase's accounts are in the organization, and active. Without an organization there is nothing to ask."""
    service_managed = phase.permissions.service_managed
    try:
        states = phase.client.organizations.states()
    except Refused as refused:
        if refused.code != "AWSOrganizationsNotInUseException":
            raise
        if service_managed:
            remedy = "set stacksets.permission_model to SELF_MANAGED in rollout.yaml, or run this from an organization"
            yield Problem(Severity.ERROR, "the tooling account is in no organization", remedy)
        return
    out = f"take it out of phases.{phase.phase}.targets"
    remedy = f"{out}, then `rollout-stacksets remove --phase {phase.phase} --account ...` detaches its instances"
    if gone := tuple(account for account in phase.accounts if account not in states):
        # Self-managed sets reach accounts of anybody.
        severity = Severity.ERROR if service_managed else Severity.WARNING
        yield Problem(severity, "not in the organization, or not any more", remedy, gone)
    for state in sorted({*states.values()} - {"ACTIVE"}):
        if closed := tuple(account for account in phase.accounts if states.get(account) == state):
            yield Problem(Severity.ERROR, f"the account is {state}: operations skip it or fail", remedy, closed)
    if service_managed and (management := phase.client.organizations.management()) in phase.accounts:
        what = "service-managed sets never deploy to the management account"
        yield Problem(Severity.ERROR, what, out, (management,))
