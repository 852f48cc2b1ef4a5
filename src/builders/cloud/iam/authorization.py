"""Authorization (`--auth`): the parts of a request that ministack's IAM evaluator does not know, and what a caller of
CloudFormation must be allowed to do.

The keys of secrets are in kms.py, DMS in dms/api.py, StackSets in stacksets/permissions.py.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id

from builders.cloud.iam import conditions
from builders.cloud.internals import cloudformation, iam
from builders.cloud.patches import patch, patch_value
from builders.cloud.stacksets import permissions


@patch_value(
    "ministack.core.iam_evaluator._request_origin",
    why="a request's origin is the address that it comes from and plain HTTP; the endpoint stands for one with TLS",
)
class _Origin:
    """The origin of every request: this machine, and over TLS."""

    def __init__(self, _original: Any) -> None:
        pass

    def get(self) -> tuple[str, bool]:
        """Return (address, whether the transport is secure)."""
        return "127.0.0.1", True

    def set(self, _origin: tuple[str, bool]) -> None:
        """Forget what the request says."""


@patch(
    "ministack.core.iam_actions.extract_resource_arn",
    why="the stack of a change set that is named by its own ARN is unknown; IAM asks about the stack (Service "
    'Authorization Reference, "Actions defined by AWS CloudFormation")',
)
def _resource_arn(
    original: Any, service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *scope: str
) -> str:
    arn = str(original(service, method, path, headers, body, query, *scope))
    name = iam.query_parameter(query, "ChangeSetName")
    if service != "cloudformation" or arn != "*" or not name:
        return arn
    _, change_set = cloudformation.find_change_set(name)
    return str(change_set["StackId"]) if change_set else "*"


def check_deployment(name: str, operation: str, resource: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what the caller may not do: CloudFormation acts with the caller's permissions, not with its own.

    `operation` is create, update or delete, and `arguments` are those of the handler. The actions that plainly do it
    must be allowed; which resources and conditions an Allow names does not count, those of a Deny and of a boundary
    do. Raises ValueError with IAM's sentence.
    """
    principal, account, granted = permissions.caller()
    actions = permissions.actions_needed(name, operation, arguments)
    # In another account than the caller's a stack set acts, with a role of its own (stacksets/permissions.py).
    if not app.AUTH or principal.endswith(":root") or account != get_account_id() or not actions:
        return
    if permissions.acting.get() is not None:  # a role of the stack, whose permissions count instead
        return
    policies = [[_anywhere(statement) for statement in policy] for policy in granted]
    limits = [[[_anywhere(each) for each in policy] for policy in limit] for limit in conditions.limits(principal)]
    keys = conditions.of_resource(name, operation, arguments)
    for action in actions:
        context = iam_evaluator.EvalContext(
            principal, "AssumedRole", account, action, "*", "", service_context=dict(keys)
        )
        decision = iam_evaluator.evaluate(context, policies, *limits).decision
        if decision != "Allow":
            sentence = iam_actions.identity_denial_message(action, principal, resource, decision == "Deny")
            raise ValueError(f"{sentence} (Service: {name.split('::')[1]}, Status Code: 403)")


def _anywhere(statement: Any) -> Any:
    """Return an Allow without its resources and conditions, and a Deny as it is."""
    if statement.effect != "Allow":
        return statement
    return dataclasses.replace(statement, resources=["*"], not_resources=[], conditions={})
