"""Service Quotas of CloudFormation, as far as StackSets and stacks have them, with the codes that AWS gives them.

The quotas of sets and instances are those that the server keeps (stacksets/driving.py lets a test lower them); that of
stacks and of instance operations at one time are told only. Sources: CloudFormation user guide, "Understand
CloudFormation quotas"; Service Quotas API reference; codes as public lists of `list-service-quotas` show them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from builders.cloud import pages
from builders.cloud.schemas import Json
from builders.cloud.stacksets.driving import settings

_SERVICE = "cloudformation"
_LARGEST_PAGE = 100


def install() -> None:
    """Let ministack route requests here."""
    router.SERVICE_PATTERNS["servicequotas"] = {
        "target_prefixes": ["ServiceQuotasV20190624"],
        "credential_scope": "servicequotas",
    }
    app.SERVICE_HANDLERS["servicequotas"] = _handle


def _quotas(default: bool) -> list[dict[str, Json]]:
    own = settings("") if default else settings(str(get_account_id()))
    values = (
        ("L-0485CB21", "Stack count", 2000),
        ("L-EC62D81A", "Stack sets per administrator account", own.stack_sets),
        ("L-C8225BA5", "Stack instances per stack set", own.instances),
        ("L-6A4B2F69", "Stack instance operations per administrator account", 10_000),
    )
    return [
        {
            "ServiceCode": _SERVICE,
            "ServiceName": "AWS CloudFormation",
            "QuotaArn": f"arn:aws:servicequotas:{get_region()}:{get_account_id()}:{_SERVICE}/{code}",
            "QuotaCode": code,
            "QuotaName": name,
            "Value": float(value),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for code, name, value in values
    ]


async def _handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    operation, request = headers.get("x-amz-target", "").partition(".")[2], json.loads(body or b"{}")
    quotas = _quotas(default="AWSDefault" in operation) if request.get("ServiceCode") == _SERVICE else []
    if operation in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas") and quotas:
        try:
            shown, token = pages.cut(
                operation, quotas, request.get("NextToken"), request.get("MaxResults", _LARGEST_PAGE)
            )
        except pages.InvalidToken:
            return error_response_json("InvalidPaginationTokenException", "Invalid NextToken was provided.")
        return json_response({"Quotas": shown, **({"NextToken": token} if token else {})})
    if operation in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        for quota in quotas:
            if quota["QuotaCode"] == request["QuotaCode"]:
                return json_response({"Quota": quota})
    return error_response_json(
        "NoSuchResourceException", "The request failed because the specified service or quota does not exist."
    )
