"""What IAM has to know of a request to DMS: its action, the resource that it names, the tags of that resource.

Source: Service Authorization Reference, "AWS Database Migration Service": resource types and condition keys.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.core import iam_actions

from builders.cloud import records
from builders.cloud.corrections.replacing import replace
from builders.cloud.dms.connections import ENDPOINT
from builders.cloud.dms.tasks import TYPE
from builders.cloud.schemas import Json

_NAMED_BY = {"ReplicationTaskArn": (TYPE, "task"), "EndpointArn": (ENDPOINT, "es")}
"""The member of a request that names its resource: {member: (type, what the condition key calls it)}."""


def install() -> None:
    """Let ministack's evaluator know DMS; it plays a part under AUTH=true alone."""
    iam_actions.SERVICE_TO_IAM_NAMESPACE["dms"] = "dms"
    arn_before = iam_actions.extract_resource_arn
    tags_before = iam_actions.request_tag_context

    def resource_arn(service: str, method: str, path: str, headers: Json, body: bytes, *more: Any) -> str:
        if service != "dms":
            return str(arn_before(service, method, path, headers, body, *more))
        return _named(body)[1]

    def tag_context(service: str, action: str, body: bytes, parameters: Json) -> dict[str, Json]:
        known: dict[str, Json] = tags_before(service, action, body, parameters)
        return known | _tags(body) if service == "dms" else known

    replace(iam_actions, "extract_resource_arn", resource_arn)
    replace(iam_actions, "request_tag_context", tag_context)


def _named(body: bytes) -> tuple[str, str]:
    """The member that names the request's resource, and the resource: "*" where it names none."""
    request = json.loads(body or b"{}")
    return next(((member, str(request[member])) for member in _NAMED_BY if member in request), ("", "*"))


def _tags(body: bytes) -> dict[str, Json]:
    """The tags of the resource, under the key of DMS and under the one of all services."""
    member, arn = _named(body)
    if not member:
        return {}
    kind, word = _NAMED_BY[member]
    tags = records.find(kind).get(arn, {}).get("Properties", {}).get("Tags") or []
    prefixes = (f"dms:{word}-tag", "aws:ResourceTag")
    return {f"{prefix}/{tag['Key']}".lower(): tag["Value"] for prefix in prefixes for tag in tags}
