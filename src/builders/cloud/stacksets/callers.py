"""The owner of the sets that a request means (CallAs), the set that it names, and what IAM asks about it with `--auth`.

Sources: CloudFormation API reference, ListStackSets (CallAs); user guide, "Register a delegated administrator" and
"Control CloudFormation access with AWS Identity and Access Management" (targets and types of stack set operations).
"""

from __future__ import annotations

from collections.abc import Iterator

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import AccountRegionScopedDict, get_account_id, get_region

from builders import naming
from builders.cloud.cloudformation.wire import Action, Answer, Refused, Request, denied, invalid, no_set
from builders.cloud.internals import entries
from builders.cloud.organizations import membership
from builders.cloud.stacksets import permissions, templates
from builders.cloud.stacksets.model import StackSet

SERVICE = "member.org.stacksets.cloudformation.amazonaws.com"
"""The name that Organizations knows StackSets by."""

LIST_DELEGATED = "organizations:ListDelegatedAdministrators"

_sets: AccountRegionScopedDict = AccountRegionScopedDict()
"""StackSetId to StackSet, by the account and region that it was made in. Deleted sets stay, by their id."""


def administrator(request: Request) -> str:
    """Return the account whose sets the request means: the caller's, or the management account's.

    A delegated administrator who forgets CallAs looks into his own account, and does not find the set. StackSets ask
    with the caller's permissions whether he is one, so that without ListDelegatedAdministrators he is none (user guide,
    "Register a delegated administrator").
    """
    caller = str(get_account_id())
    if request.get("CallAs", "SELF") == "SELF":
        return caller
    if not (membership.delegated(caller, SERVICE) and permissions.caller_may(LIST_DELEGATED)):
        raise invalid("Account used is not a delegated administrator")
    return str(membership.management_of(caller))


def require_organization(request: Request) -> None:
    """Refuse service-managed sets to others than the organization's administrators, and without trusted access.

    Sentences: aws-security-reference-architecture-examples #164, and guides that quote the second.
    """
    account = administrator(request)
    if membership.management_of(account) != account:
        raise invalid(
            "You must be the management account or delegated admin account of an organization before operating a "
            "SERVICE_MANAGED stack set"
        )
    if not trusted(account):
        raise invalid("You must enable organizations access to operate a service managed stack set")


def add(stack_set: StackSet) -> None:
    """Keep a new set."""
    _sets.set_scoped(stack_set.account, stack_set.region, stack_set.id, stack_set)


def every() -> list[StackSet]:
    """Return all sets of all accounts."""
    return list(entries(_sets).values())


def visible(request: Request) -> Iterator[StackSet]:
    """Yield the sets that the request may see; a delegated administrator sees the service-managed ones."""
    delegated = request.get("CallAs", "SELF") != "SELF"
    for each in owned(administrator(request), get_region()):
        if each.service_managed or not delegated:
            yield each


def owned(account: str, region: str | None = None) -> Iterator[StackSet]:
    """Yield an account's sets, deleted ones too; without a region those of all regions."""
    for (owner, made_in, _), stack_set in list(entries(_sets).items()):
        if owner == account and made_in == (region or made_in):
            yield stack_set


def find(request: Request, deleted: bool = False) -> StackSet:
    """Return the set that a request names by name, id or ARN; a deleted one only by its id, and only if asked."""
    name = request["StackSetName"]
    identifier = name.rpartition("stackset/")[2]
    for each in visible(request):
        if (each.status == "ACTIVE" and identifier == each.name) or (
            identifier == each.id and (deleted or each.status == "ACTIVE")
        ):
            if each.service_managed:
                require_organization(request)
            return each
    raise no_set(name)


def trusted(management: str) -> bool:
    """Return whether StackSets may act in an organization."""
    return membership.trusts(management, SERVICE)


_WRITE_SETS = ("CreateStackSet", "UpdateStackSet")
_TARGETED = ("CreateStackInstances", "UpdateStackInstances", "DeleteStackInstances", "UpdateStackSet")
_TYPED = (*_WRITE_SETS, "CreateStackInstances", "UpdateStackInstances")


def authorized(operation: str, action: Action) -> Action:
    """Put in front of an operation what IAM asks the caller beyond the operation on the set itself."""

    def handle(request: Request) -> Answer:
        for needed, resource in _needed(operation, request) if app.AUTH else ():
            keys = {"iam:passedtoservice": "cloudformation.amazonaws.com"} if needed == _PASS else {}
            if not permissions.caller_may(needed, resource, keys):
                raise denied(iam_evaluator.caller_arn(), needed, resource)
        return action(request)

    return handle if operation in (*_TARGETED, *_TYPED) else action


_PASS = "iam:PassRole"  # noqa: S105  an action


def _needed(operation: str, request: Request) -> Iterator[tuple[str, str]]:
    """Yield actions and resources; nothing for a set that is not there, which the operation itself refuses."""
    account, region, own = administrator(request), get_region(), f"cloudformation:{operation}"
    try:
        stack_set = None if operation == "CreateStackSet" else find(request)
    except Refused:
        return
    sets = f"arn:aws:cloudformation:{region}:{account}:stackset"
    if operation in _WRITE_SETS:
        arn = stack_set.arn if stack_set else f"{sets}/{request['StackSetName']}:*"
        yield from _to_write(request, stack_set, arn, account)
    if stack_set and operation in _TARGETED:
        for target in _targets(request):
            yield own, f"{sets}-target/{stack_set.id}/{target}"
    if operation in _TYPED:
        given = templates.read(request)
        template = given[1] if given else stack_set.template if stack_set else {}
        for name in sorted({str(each.get("Type")) for each in (template.get("Resources") or {}).values()}):
            if name.startswith("AWS::"):
                yield own, f"arn:aws:cloudformation:{region}::type/resource/{name.replace('::', '-')}"


def _to_write(request: Request, stack_set: StackSet | None, arn: str, account: str) -> Iterator[tuple[str, str]]:
    """Yield what the role and the tags of a set need.

    An update that names no role passes the one that StackSets know by name (aws-cloudformation-templates #188).
    """
    model = request.get("PermissionModel") or (stack_set.permission_model if stack_set else "SELF_MANAGED")
    if model != "SERVICE_MANAGED":
        default = permissions.Role(account, naming.DEFAULT_ADMINISTRATION_ROLE).arn
        yield _PASS, request.get("AdministrationRoleARN", default)
    before = {each["Key"]: each["Value"] for each in (stack_set.tags if stack_set else ())}
    after = {each["Key"]: each["Value"] for each in request.get("Tags", ())} if "Tags" in request else before
    if not after.items() <= before.items():
        yield "cloudformation:TagResource", arn
    if before.keys() - after.keys():
        yield "cloudformation:UntagResource", arn


def _targets(request: Request) -> list[str]:
    """Return the accounts and organizational units that an operation names; those that it leaves out are none."""
    given = request.get("DeploymentTargets") or {}
    accounts = [] if given.get("AccountFilterType") == "DIFFERENCE" else given.get("Accounts") or []
    return [*(request.get("Accounts") or []), *accounts, *(given.get("OrganizationalUnitIds") or [])]
