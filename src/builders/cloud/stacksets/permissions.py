"""The two roles of self-managed sets: they must be there, trust each other, and may do what the stacks need.

The sentences are those of the CloudFormation user guide, "Troubleshooting StackSets", of Ansible's documentation of
its module for stack sets, and of cdklabs/cdk-stacksets #61.

The execution role is checked by ministack's evaluator once for each stack action, and once for each resource: the one
action by which it is created, updated or deleted (see `needed`). ministack's handlers call no API, so further calls
(tags, reads, keys) are not checked, and an Allow counts for any resource ARN. For callers (`--auth`), `install` adds
the ARN of the set that a request names (Service Authorization Reference, "Resource types defined by AWS
CloudFormation").
"""

from __future__ import annotations

import contextvars
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from ministack import app
from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from builders import resource_types
from builders.cloud import stamps
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.iam import conditions
from builders.cloud.internals import iam
from builders.cloud.organizations import membership
from builders.cloud.patches import patch
from builders.cloud.stacksets.model import StackSet
from builders.policy_documents import statements, trusts_service
from builders.resource_types import Json

_SERVICE = "cloudformation.amazonaws.com"
_VERBS = {
    "create": ("create", "put", "run", "allocate", "request", "register", "authorize", "attach", "associate", "add"),
    "update": ("update", "modify", "set", "put", "change", "replace", "create"),
    "delete": (
        "delete",
        "remove",
        "terminate",
        "release",
        "deregister",
        "revoke",
        "detach",
        "disassociate",
        "schedule",
    ),
}


@dataclass(frozen=True)
class Role:
    """A role that StackSets act with."""

    account: str
    name: str

    @property
    def arn(self) -> str:
        """The role's ARN."""
        return f"arn:aws:iam::{self.account}:role/{self.name}"

    @functools.cached_property
    def session(self) -> str:
        """The ARN under which it acts once it is assumed."""
        return f"arn:aws:sts::{self.account}:assumed-role/{self.name}/{stamps.new_id()}"

    @property
    def trust(self) -> Json:
        """Its trust policy; None when there is no such role."""
        document = self.trust_document
        return _parsed(document) if isinstance(document, str) else document

    @property
    def trust_document(self) -> Json:
        """Its trust policy as it was given: a text, mostly."""
        return (iam.roles.get_scoped(self.account, None, self.name) or {}).get("AssumeRolePolicyDocument")

    def refusal(
        self, action: str, resource: str, any_resource: bool = False, keys: Mapping[str, Json] | None = None
    ) -> str | None:
        """Return IAM's sentence when the role may not do that; `keys` are condition keys of the request."""
        policies = iam.policies_of_role(self.name, self.account)
        limits = iam.permissions_boundary(iam.roles, self.name, self.account)
        if any_resource:
            policies = [[_for_any_resource(statement) for statement in statements] for statements in policies]
        context = iam_evaluator.EvalContext(
            principal_arn=self.session,
            principal_type="AssumedRole",
            principal_account=self.account,
            action=action,
            resource_arn=resource,
            region=get_region(),
            service_context=dict(keys or {}),
        )
        if iam_evaluator.evaluate(context, policies, *limits).decision == "Allow":
            return None
        return f"User: {self.session} is not authorized to perform: {action} on resource: {resource}"


@functools.lru_cache(maxsize=1024)
def _parsed(document: str) -> Json:
    """A policy document, which nobody changes: thousands of instances ask for those of two roles."""
    return json.loads(document)


def _for_any_resource(statement: Any) -> Any:
    """An Allow counts for whatever ARN the resource will have, which is not known before it is made."""
    if statement.effect != "Allow":
        return statement
    return dataclasses.replace(statement, resources=["*"], not_resources=[])


def execution_role(stack_set: StackSet, account: str) -> Role:
    """Return the role by which the set acts in a member account."""
    return Role(account, stack_set.execution_role_name)


def refusal(stack_set: StackSet, account: str) -> str:
    """Return why a self-managed set cannot act in an account; empty when it can."""
    arn = stack_set.administration_role_arn
    administration = _role(arn)
    execution = execution_role(stack_set, account)
    if not _trusts(administration.trust_document, stack_set):
        return (
            f"Account {administration.account} should have '{administration.name}' role with trust relationship to "
            "CloudFormation service."
        )
    if execution.trust is None or not iam_evaluator.evaluate_trust_policy(execution.trust, administration.session):
        return (
            f"Account {account} should have '{execution.name}' role with trust relationship to Role "
            f"'{administration.name}'."
        )
    return administration.refusal("sts:AssumeRole", execution.arn) or ""


@functools.lru_cache(maxsize=256)
def _role(arn: str) -> Role:
    return Role(arn.split(":")[4], arn.rpartition("/")[2])


def _trusts(document: Json, stack_set: StackSet) -> bool:
    """Return whether a trust policy lets CloudFormation in for a stack set."""
    if isinstance(document, str) and "Condition" not in document:
        return _trusts_any(document, stack_set.region)
    trust = _parsed(document) if isinstance(document, str) else document
    return trusts_service(trust, _SERVICE) and _lets_in(trust, stack_set.region, stack_set.account, stack_set.arn)


@functools.lru_cache(maxsize=256)
def _trusts_any(document: str, region: str) -> bool:
    """Return whether a trust policy without conditions lets CloudFormation in: it is the same for all stack sets."""
    trust = _parsed(document)
    return trusts_service(trust, _SERVICE) and _lets_in(trust, region, "", "")


def _lets_in(trust: Any, region: str, account: str, arn: str) -> bool:
    """Return whether the conditions of a trust policy hold for the stack set of an account (CloudFormation user guide,
    "Set up global keys to mitigate confused deputy problems")."""
    # A trust policy has no resource: it is about the role that carries it.
    about_itself = {"Statement": [{**each, "Resource": "*"} for each in statements(trust)]}
    context = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="AssumedRole",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn="*",
        region=region,
        service_context={"aws:sourceaccount": account, "aws:sourcearn": arn},
    )
    decision = iam_evaluator.evaluate_resource_policy(about_itself, context, service=_SERVICE).decision
    return bool(decision == "Allow")


def caller() -> tuple[str, str, list[list[Any]]]:
    """Return the ARN, the account and the policies of whoever sent the request."""
    principal = iam_evaluator.caller_arn()
    account = principal.split(":")[4]
    user = principal.split("/")[1] if ":assumed-role/" in principal else principal.rsplit("/", 1)[-1]
    gather = iam.policies_of_user if ":user/" in principal else iam.policies_of_role
    return principal, account, gather(user, account)


def caller_may(action: str, resource: str = "*", keys: Mapping[str, Json] | None = None) -> bool:
    """Return whether the caller may do something with a resource, `keys` being condition keys of the request; everybody
    may where IAM is not asked."""
    if not app.AUTH or iam_evaluator.caller_arn().endswith(":root"):
        return True
    principal, account, policies = caller()
    context = iam_evaluator.EvalContext(
        principal, "AssumedRole", account, action, resource, get_region(), service_context=dict(keys or {})
    )
    return bool(iam_evaluator.evaluate(context, policies, *conditions.limits(principal)).decision == "Allow")


acting: contextvars.ContextVar[Role | None] = contextvars.ContextVar("acting", default=None)
"""The role that the stack operation of this task runs under. Tasks of stacks copy the context they are made in."""


def guard(table: MutableMapping[str, Handlers]) -> None:
    """Put the question for the acting role in front of every resource handler."""
    for name, inner in list(table.items()):
        table[name] = {
            **inner,
            **{verb: _guarded(name, verb, inner[verb]) for verb in _VERBS if verb in inner},
        }


def _guarded(name: str, verb: str, inner: Callable[..., Any]) -> Callable[..., Any]:
    def handle(*arguments: Any, **more: Any) -> Any:
        role = acting.get()
        if role is not None and role.account == get_account_id():
            keys = conditions.of_resource(name, verb, arguments)
            for action in actions_needed(name, verb, arguments):
                if refused := role.refusal(action, "*", any_resource=True, keys=keys):
                    raise ValueError(refused)
        return inner(*arguments, **more)

    return handle


def actions_needed(name: str, verb: str, arguments: tuple[Any, ...]) -> list[str]:
    """Return the actions that a handler's call needs: the plain one, and those of the properties that it changes."""
    plain = needed(name, verb)
    return [*([plain] if plain else []), *conditions.needed_by_properties(name, verb, arguments)]


@functools.cache
def needed(name: str, verb: str) -> str | None:
    """Return the action by which the schema says that a type is created, updated or deleted, where that is plain.

    Schemas list all actions that may be used. Plain is the one named after verb and type (CreateQueue of
    AWS::SQS::Queue); else the only one that begins with such a verb. Where several do, none is asked for.
    """
    kind = resource_types.load(name)
    permissions = ((kind.schema.get("handlers") or {}).get(verb) or {}).get("permissions") or [] if kind else []
    by_name = {each.partition(":")[2].lower(): each for each in permissions}
    own = name.rpartition("::")[2].lower()
    exact = [by_name[f"{word}{own}"] for word in _VERBS[verb] if f"{word}{own}" in by_name]
    close = [each for lower, each in by_name.items() if lower.startswith(_VERBS[verb]) and "tag" not in lower]
    return exact[0] if exact else close[0] if len(close) == 1 else None


@patch("ministack.core.iam_actions.extract_resource_arn", why="the stack set that a request names is unknown")
def _resource_arn(original: Any, service: str, *request: Any) -> str:
    *_, query, region, account = request
    name = _first_value(query, "StackSetName") if service == "cloudformation" else ""
    if not name:
        return str(original(service, *request))
    if name.startswith("arn:"):
        return name
    owner = membership.management_of(account) if _first_value(query, "CallAs") == "DELEGATED_ADMIN" else account
    return f"arn:aws:cloudformation:{region}:{owner}:stackset/{name if ':' in name else f'{name}:*'}"


def _first_value(query: Mapping[str, Json], name: str) -> str:
    value = query.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)
