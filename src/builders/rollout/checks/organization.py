"""Whether StackSets may act in the organization, for whom, and in accounts that are still there."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rollout.aws import organizations
from builders.rollout.aws.errors import AccessDenied, Refused
from builders.rollout.checks.findings import CheckedPhase, Finding, Severity

NONE = "AWSOrganizationsNotInUseException"
ASK = "organizations:ListDelegatedAdministrators"


def trusted_access_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Service-managed sets need trusted access between StackSets and the organization."""
    if not patient.permissions.service_managed:
        return
    status = organizations.trusted_access(patient.client.calls, patient.permissions.call_as)
    if status != "ENABLED":
        yield Finding(
            Severity.ERROR,
            f"trusted access of StackSets to the organization is {status}",
            "`aws cloudformation activate-organizations-access` in the management account",
        )


def delegated_administrator_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """Who calls as SELF is the management account, who calls as DELEGATED_ADMIN is registered as one."""
    if not patient.permissions.service_managed:
        return
    calls, own = patient.client.calls, patient.rollout.tooling.account
    is_management = organizations.management(calls) == own
    if patient.permissions.call_as == "SELF":
        if not is_management:
            what = f"call_as is SELF, and {own} is not the management account"
            yield Finding(Severity.ERROR, what, "set stacksets.call_as to DELEGATED_ADMIN in rollout.yaml")
        return
    if is_management:
        what = f"call_as is DELEGATED_ADMIN, and {own} is the management account"
        yield Finding(Severity.ERROR, what, "set stacksets.call_as to SELF in rollout.yaml")
        return
    try:
        administrators = organizations.delegated(calls)
    except AccessDenied:
        what = f"these credentials may not {ASK}, which says nothing on whether {own} is a delegated administrator"
        yield Finding(Severity.UNKNOWN, what, f"allow {ASK}, also in the organization's delegation policy")
        return
    if own not in administrators:
        yield Finding(
            Severity.ERROR,
            f"{own} is no delegated administrator of StackSets",
            "in the management account: `aws organizations register-delegated-administrator --account-id "
            f"{own} --service-principal {organizations.STACKSETS}`",
        )


def account_findings(patient: CheckedPhase) -> Iterator[Finding]:
    """The phase's accounts are in the organization, and active. Without an organization there is nothing to ask."""
    try:
        states = organizations.states(patient.client.calls)
    except Refused as refused:
        if refused.code != NONE:
            raise
        if patient.permissions.service_managed:
            fix = "set stacksets.permission_model to SELF_MANAGED in rollout.yaml, or run this from an organization"
            yield Finding(Severity.ERROR, "the tooling account is in no organization", fix)
        return
    gone = tuple(account for account in patient.accounts if account not in states)
    if gone:
        # Self-managed sets reach accounts of anybody.
        severity = Severity.ERROR if patient.permissions.service_managed else Severity.WARNING
        yield Finding(severity, "not in the organization, or not any more", _fix(patient), gone)
    for state in sorted({*states.values()} - {"ACTIVE"}):
        closed = tuple(account for account in patient.accounts if states.get(account) == state)
        if closed:
            yield Finding(Severity.ERROR, f"the account is {state}: operations skip it or fail", _fix(patient), closed)
    if patient.permissions.service_managed:
        yield from _management(patient)


def _management(patient: CheckedPhase) -> Iterator[Finding]:
    management = organizations.management(patient.client.calls)
    if management in patient.accounts:
        what = "service-managed sets never deploy to the management account"
        yield Finding(Severity.ERROR, what, f"take it out of phases.{patient.phase}.targets", (management,))


def _fix(patient: CheckedPhase) -> str:
    return (
        f"take it out of phases.{patient.phase}.targets, then `rollout-stacksets remove --phase {patient.phase} "
        "--account ...` lets its instances go"
    )
