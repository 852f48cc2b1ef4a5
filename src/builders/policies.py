"""awacs documents, trusts and statements that layers share: plain functions that return what they make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from awacs import sts
from awacs.aws import Action, Allow, Bool, Condition, Deny, PolicyDocument, Principal, Statement, StringEquals
from troposphere import AccountId, Sub

from builders import naming

VERSION = "2012-10-17"
"""awacs leaves the version out, and IAM then reads the policy by the rules of 2008."""


def document(*statements: Statement) -> PolicyDocument:
    """A policy document of the current policy language."""
    return PolicyDocument(Version=VERSION, Statement=list(statements))


def allow(
    sid: str,
    actions: Sequence[Action],
    resources: Sequence[Any],
    *,
    principal: Principal | None = None,
    condition: Condition | None = None,
) -> Statement:
    """An Allow statement; `sid` says in PascalCase what it lets happen."""
    statement = Statement(Sid=sid, Effect=Allow, Action=list(actions), Resource=list(resources))
    if principal is not None:
        statement.Principal = principal
    if condition is not None:
        statement.Condition = condition
    return statement


def deny_without_tls(actions: Sequence[Action], resources: Sequence[Any]) -> Statement:
    """Refuses everybody who does not speak TLS, whatever else allows him."""
    return Statement(
        Sid="DenyWithoutTls",
        Effect=Deny,
        Principal=Principal("*"),
        Action=list(actions),
        Resource=list(resources),
        Condition=Condition(Bool({"aws:SecureTransport": "false"})),
    )


def from_this_account() -> Condition:
    """A service acts for a resource of this account, and not as somebody else's deputy."""
    return Condition(StringEquals({"aws:SourceAccount": AccountId}))


def trust(sid: str, principal: Principal, condition: Condition | None = None, *more: Statement) -> PolicyDocument:
    """The trust policy of a role; `more` are its further statements."""
    statement = Statement(Sid=sid, Effect=Allow, Action=[sts.AssumeRole], Principal=principal)
    if condition is not None:
        statement.Condition = condition
    return document(statement, *more)


def may_say_who(principal: Principal, account: Any) -> Statement:
    """Lets callers of an account say who they are, for CloudTrail: of no use without AssumeRole.

    The external id is a key of AssumeRole alone (Service Authorization Reference, "Actions, resources, and condition
    keys for AWS Security Token Service").
    """
    named = Condition(StringEquals({"aws:PrincipalAccount": account}))
    actions = [sts.SetSourceIdentity]
    return Statement(Sid="SayWho", Effect=Allow, Action=actions, Principal=principal, Condition=named)


def migration_external_id() -> Sub:
    """The external ID with which a caller from another account assumes a role of this phase, and of no other."""
    return Sub(naming.external_id(f"${{{naming.MIGRATION_PHASE}}}"))


def service(name: str) -> Principal:
    """A service's principal, such as "monitoring.rds.amazonaws.com"."""
    return Principal("Service", [name])


def regional_service(name: str) -> Principal:
    """A service's regional principal, such as dms.eu-central-1.amazonaws.com for "dms"."""
    return Principal("Service", [Sub(f"{name}.${{AWS::Region}}.amazonaws.com")])


def account() -> Principal:
    """Return this account as principal: whoever IAM lets do it there."""
    return Principal("AWS", [account_root()])


def account_root() -> Sub:
    """The ARN that means the whole account in a resource policy."""
    return Sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root")


def arn(service_name: str, resource: str) -> Sub:
    """An ARN in this partition, region and account; `resource` may hold ${...} of its own."""
    return Sub(f"arn:${{AWS::Partition}}:{service_name}:${{AWS::Region}}:${{AWS::AccountId}}:{resource}")


def in_every_region(service_name: str, *resources: str) -> list[Sub]:
    """ARNs in this account and in all regions, for what a global service or a role of several regions works on."""
    return [Sub(f"arn:${{AWS::Partition}}:{service_name}:*:${{AWS::AccountId}}:{each}") for each in resources]


def managed_policy(name: str) -> Sub:
    """The ARN of a policy that AWS maintains, such as "service-role/AmazonRDSEnhancedMonitoringRole"."""
    return Sub(f"arn:${{AWS::Partition}}:iam::aws:policy/{name}")


def own_policy(name: str) -> Sub:
    """The ARN of a customer managed policy of this account; `name` may hold ${...} of its own."""
    return Sub(f"arn:${{AWS::Partition}}:iam::${{AWS::AccountId}}:policy/{name}")
