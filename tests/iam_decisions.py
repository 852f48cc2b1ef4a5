"""Decisions of IAM on calls by identity policies alone, as the embedded cloud's evaluator makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ministack.core import iam_evaluator


def allows(documents: Iterable[Any], action: str, resource: str, principal: str, context: Mapping[str, Any]) -> bool:
    """Return whether policies let the session of a role, whose ARN is `principal`, make a call in eu-central-1."""
    request = iam_evaluator.EvalContext(
        principal_arn=principal,
        principal_type="AssumedRole",
        principal_account=principal.split(":")[4],
        action=action,
        resource_arn=resource,
        region="eu-central-1",
        service_context=dict(context),
    )
    parsed = [iam_evaluator.parse_policy_document(document) for document in documents]
    return bool(iam_evaluator.evaluate(request, parsed).decision == "Allow")
