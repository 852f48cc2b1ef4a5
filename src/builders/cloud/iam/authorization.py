"""Authorization (`--auth`): the parts of a request that ministack's IAM evaluator does not know, and what a caller of
CloudFormation must be allowed to do.

The keys of secrets are in kms.py, DMS in dms/api.py, StackSets in stacksets/permissions.py.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import s3 as s3_policies

from builders.cloud.iam import conditions
from builders.cloud.internals import cloudformation, iam, s3
from builders.cloud.patches import patch, patch_value
from builders.cloud.stacksets import permissions
from builders.resource_types import Json


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


@patch_value(
    "ministack.core.iam_evaluator.parse_policy_document",
    why="each of thousands of questions about a role parses the text of all its policies anew",
)
def _parse_once(original: Callable[[Json], list[Any]]) -> Callable[[Json], list[Any]]:
    parsed = functools.lru_cache(maxsize=1024)(original)

    def parse(document: Json) -> list[Any]:
        return list(parsed(document)) if isinstance(document, str) else original(document)

    return parse


@patch(
    "ministack.core.iam_actions.extract_resource_arn",
    why="the stack of a change set that is named by its own ARN is unknown, and so is a snapshot of RDS: IAM asks "
    'about both (Service Authorization Reference, "Actions defined by AWS CloudFormation", '
    '"Actions defined by Amazon RDS")',
)
def _resource_arn(
    original: Any, service: str, method: str, path: str, headers: Any, body: bytes, query: Any, *scope: str
) -> str:
    arn = str(original(service, method, path, headers, body, query, *scope))
    if service == "rds" and arn == "*" and (snapshot := iam.query_parameter(query, "DBSnapshotIdentifier")):
        region, account = scope
        return f"arn:aws:rds:{region}:{account}:snapshot:{snapshot}"
    name = iam.query_parameter(query, "ChangeSetName")
    if service != "cloudformation" or arn != "*" or not name:
        return arn
    _, change_set = cloudformation.find_change_set(name)
    return str(change_set["StackId"]) if change_set else "*"


@patch(
    "ministack.app.SERVICE_HANDLERS[s3]",
    why="whoever may not list a bucket is told that an object is not there (Amazon S3 API reference, GetObject); a "
    "bucket's policy denies its account's root user nothing, and nobody anything where IAM is not asked",
)
async def _objects(
    original: Any, method: str, path: str, headers: Any, body: bytes, query: dict[str, Json], **more: Any
) -> Any:
    denied = _denied_by_the_bucket(method, path, headers, body, query)
    if denied:
        return denied
    answer = await original(method, path, headers, body, query, **more)
    bucket, _, key = path.lstrip("/").partition("/")
    # A caller of another account needs the bucket's policy as well, of which this knows nothing.
    asks = app.AUTH and answer[0] == 404 and key and method in ("GET", "HEAD") and bucket in s3.buckets
    if not asks or permissions.caller_may(_LIST, f"arn:aws:s3:::{bucket}"):
        return answer
    principal = permissions.caller()[0]
    sentence = iam_actions.identity_denial_message(_LIST, principal, f"arn:aws:s3:::{bucket}", False)
    return iam_actions.access_denied_response("s3", _LIST, principal, "", message=sentence, headers=headers)


_LIST = "s3:ListBucket"
_OF_POLICIES = ("s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy")
"""Actions of the root user of a bucket's account that no policy denies, so that nobody locks himself out (S3 API
reference, PutBucketPolicy)."""


def _denied_by_the_bucket(method: str, path: str, headers: Any, body: bytes, query: dict[str, Json]) -> Any:
    """Return S3's refusal where the policy of the bucket denies the request: of others than a root user it has been
    evaluated with their own policies, where IAM is asked."""
    principal = iam_evaluator.request_caller_arn(headers, query)
    account, root = principal.split(":")[4], principal.endswith(":root")
    if app.AUTH and not root:
        return None
    request = (method, path, headers, body, query)
    action = iam_actions.extract_iam_action("s3", *request)
    resource = iam_actions.extract_resource_arn("s3", *request, get_region(), get_account_id())
    for asked, arn in ((action, resource), *iam_actions.s3_additional_checks(method, path, headers, body, query)):
        policy, owner = s3_policies.bucket_policy_for_arn(arn) or (None, None)
        if not policy or (root and owner == account and asked in _OF_POLICIES):
            continue
        context = iam_evaluator.EvalContext(
            principal, "Root" if root else "AssumedRole", account, asked, arn, get_region(),
            service_context=iam_actions.s3_service_context(asked, query, path, headers),
        )  # fmt: skip
        if iam_evaluator.evaluate_resource_policy(policy, context).decision == "Deny":
            return iam_actions.access_denied_response(
                "s3", asked, principal, "", headers=headers, explicit_deny=True, resource_policy_arn=arn
            )
    return None


def check_deployment(name: str, operation: str, resource: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what the caller may not do: CloudFormation acts with the caller's permissions, not with its own.

    `operation` is create, update or delete, and `arguments` are those of the handler. The actions that plainly do it
    must be allowed; which resources and conditions an Allow names does not count, those of a Deny and of a boundary
    do. Raises ValueError with IAM's sentence.
    """
    if not app.AUTH:
        return
    principal, account, granted = permissions.caller()
    actions = permissions.actions_needed(name, operation, arguments)
    # In another account than the caller's a stack set acts, with a role of its own (stacksets/permissions.py).
    if principal.endswith(":root") or account != get_account_id() or not actions:
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
