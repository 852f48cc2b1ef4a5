"""What ministack's IAM evaluator does not know of requests to StackSets (`--auth`): the ARN of the set they name.

Source: Service Authorization Reference, "Resource types defined by AWS CloudFormation" (stackset).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions

from builders.cloud.corrections.replacing import replace
from builders.cloud.organizations import membership
from builders.cloud.schemas import Json


def install() -> None:
    """Put this in front of the evaluator's own reading of requests."""
    before = iam_actions.extract_resource_arn

    def resource_arn(service: str, *request: Any) -> str:
        *_, query, region, account = request
        name = _first(query, "StackSetName") if service == "cloudformation" else ""
        if not name:
            return str(before(service, *request))
        if name.startswith("arn:"):
            return name
        owner = membership.management_of(account) if _first(query, "CallAs") == "DELEGATED_ADMIN" else account
        return f"arn:aws:cloudformation:{region}:{owner}:stackset/{name if ':' in name else f'{name}:*'}"

    replace(iam_actions, "extract_resource_arn", resource_arn)


def _first(query: Mapping[str, Json], name: str) -> str:
    value = query.get(name) or ""
    return str(value[0] if isinstance(value, list) else value)
