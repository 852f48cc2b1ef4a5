"""Checks of the organization: StackSets may act in it, for whoever calls, and in accounts that still exist."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.aws.errors import AccessDenied, Refused
from builders.rollout.aws.organizations import STACKSETS
from builders.rollout.checks.findings import CheckedPhase, Finding, Severity

NO_ORGANIZATION = "AWSOrganizationsNotInUseException"
LIST_DELEGATED = "organizations:ListDelegatedAdministrators"


def trusted_access(phase: CheckedPhase) -> Iterator[Finding]:
    """Service-managed sets need trusted access between StackSets and the organization."""
    if not phase.permissions.service_managed:
        return
    status = phase.client.organizations.trusted_access(phase.permissions.call_as)
    if status != "ENABLED":
        what = f"trusted access of StackSets to the organization is {status}"
        remedy = "`aws cloudformation activate-organizations-access` in the management account"
        yield Finding(Severity.ERROR, what, remedy)


def delegated_administrator(phase: CheckedPhase) -> Iterator[Finding]:
    """An account that calls as SELF is the management account, one that calls as DELEGATED_ADMIN is registered."""
    if not phase.permissions.service_managed:
        return
    organization, own = phase.client.organizations, phase.rollout.tooling.account
    is_management = organization.management() == own
    if phase.permissions.call_as == "SELF":
        if not is_management:
            what = f"call_as is SELF, and {own} is not the management account"
            yield Finding(Severity.ERROR, what, "set stacksets.call_as to DELEGATED_ADMIN in rollout.yaml")
        return
    if is_management:
        what = f"call_as is DELEGATED_ADMIN, and {own} is the management account"
        yield Finding(Severity.ERROR, what, "set stacksets.call_as to SELF in rollout.yaml")
        return
    try:
        administrators = organization.delegated_administrators()
    except AccessDenied:
        what = f"these credentials may not {LIST_DELEGATED}, which says nothing on whether {own} is registered"
        remedy = f"allow {LIST_DELEGATED}, also in the organization's delegation policy"
        yield Finding(Severity.UNKNOWN, what, remedy)
        return
    if own not in administrators:
        remedy = (
            "in the management account: `aws organizations register-delegated-administrator --account-id "
            f"{own} --service-principal {STACKSETS}`"
        )
        yield Finding(Severity.ERROR, f"{own} is no delegated administrator of StackSets", remedy)


def accounts(phase: CheckedPhase) -> Iterator[Finding]:
    """The phase's accounts are in the organization, and active. Without an organization there is nothing to ask."""
    service_managed = phase.permissions.service_managed
    try:
        states = phase.client.organizations.states()
    except Refused as refused:
        if refused.code != NO_ORGANIZATION:
            raise
        if service_managed:
            remedy = "set stacksets.permission_model to SELF_MANAGED in rollout.yaml, or run this from an organization"
            yield Finding(Severity.ERROR, "the tooling account is in no organization", remedy)
        return
    remedy = (
        f"take it out of phases.{phase.name}.targets, then `rollout-stacksets remove --phase {phase.name} "
        "--account ...` detaches its instances"
    )
    gone = tuple(account for account in phase.accounts if account not in states)
    if gone:
        # Self-managed sets reach accounts of anybody.
        severity = Severity.ERROR if service_managed else Severity.WARNING
        yield Finding(severity, "not in the organization, or not any more", remedy, gone)
    for state in sorted({*states.values()} - {"ACTIVE"}):
        closed = tuple(account for account in phase.accounts if states.get(account) == state)
        if closed:
            yield Finding(Severity.ERROR, f"the account is {state}: operations skip it or fail", remedy, closed)
    if service_managed and (management := phase.client.organizations.management()) in phase.accounts:
        what = "service-managed sets never deploy to the management account"
        yield Finding(Severity.ERROR, what, f"take it out of phases.{phase.name}.targets", (management,))
