"""The regions that an account has enabled, and its quotas: Account Management and Service Quotas.

Regions introduced after March 2019 are disabled until the account opts in. Sources: Account Management API reference,
ListRegions, GetRegionOptStatus, EnableRegion, DisableRegion; EC2 API reference, DescribeRegions; CloudFormation user
guide, "Prepare to perform StackSet operations in AWS Regions that are disabled by default". Other than on AWS, enabling
takes no time, and calls to a disabled region are answered.

The quotas are those of CloudFormation that concern stacks and StackSets, with AWS's codes. The quotas of sets and
instances are enforced (stacksets/model.py lets a test lower them); those of stacks and of instance operations at one
time are only listed. Sources: CloudFormation user guide, "Understand CloudFormation quotas"; Service Quotas API
reference; codes as public lists of `list-service-quotas` show them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from builders.cloud.internals import account_management, ec2
from builders.cloud.organizations import membership
from builders.cloud.patches import patch, patch_value
from builders.cloud.server import pages, state
from builders.cloud.stacksets.model import settings
from builders.resource_types import Json

Request = Mapping[str, Json]

_REGIONS_ON_A_PAGE = 50
_QUOTAS_ON_A_PAGE = 100
_SERVICE = "cloudformation"
_OPT_STATUS = {"ENABLED_BY_DEFAULT": "opt-in-not-required", "ENABLED": "opted-in", "DISABLED": "not-opted-in"}
"""The status of a region, and EC2's name for it."""
_NO_OPT_IN = "every account has every region, and cannot enable or disable one"

_chosen: dict[str, dict[str, str]] = {}
"""{account: {region: ENABLED or DISABLED}}"""


class _Refused(Exception):
    """An error of the API: its name and its sentence."""


def install() -> None:
    """Offer Service Quotas, which ministack does not have, and keep the regions that accounts have chosen."""
    router.SERVICE_PATTERNS["servicequotas"] = {
        "target_prefixes": ["ServiceQuotasV20190624"],
        "credential_scope": "servicequotas",
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE["servicequotas"] = "servicequotas"
    app.SERVICE_HANDLERS["servicequotas"] = _handle_quotas
    state.keep("regions", {"chosen": _chosen})


@patch_value(
    "ministack.core.iam_actions._BOTOCORE_SERVICE_MAP[account]",
    why="the action of a request to Account Management is unknown, so that it is allowed whatever a policy says",
)
def _model(_original: Any) -> list[str]:
    return ["account"]


def enabled(account: str, region: str) -> bool:
    """Return whether an account may use a region."""
    return _status(account, region) != "DISABLED"


def _status(account: str, region: str) -> str:
    if region not in account_management.opt_in_regions:
        return "ENABLED_BY_DEFAULT"
    return _chosen.get(account, {}).get(region, "DISABLED")


@patch("ministack.services.account._DISPATCH[/listRegions]", why=_NO_OPT_IN)
def _list_regions(_original: Any, request: Request) -> Json:
    return _answer(_page_of_regions, request)


@patch("ministack.services.account._DISPATCH[/getRegionOptStatus]", why=_NO_OPT_IN)
def _get_status(_original: Any, request: Request) -> Json:
    return _answer(
        lambda _: {"RegionName": request["RegionName"], "RegionOptStatus": _requested_status(request)}, request
    )


@patch("ministack.services.account._DISPATCH[/enableRegion]", why=_NO_OPT_IN)
def _enable(_original: Any, request: Request) -> Json:
    return _answer(lambda _: _choose(request, "ENABLED"), request)


@patch("ministack.services.account._DISPATCH[/disableRegion]", why=_NO_OPT_IN)
def _disable(_original: Any, request: Request) -> Json:
    return _answer(lambda _: _choose(request, "DISABLED"), request)


def _answer(action: Callable[[Request], Json], request: Request) -> Json:
    try:
        return json_response(action(request))
    except _Refused as refused:
        name, sentence = refused.args
        return error_response_json(name, sentence, 403 if name == "AccessDeniedException" else 400)


def _page_of_regions(request: Request) -> Json:
    account, statuses = _account(request), request.get("RegionOptStatusContains")
    every = [{"RegionName": each, "RegionOptStatus": _status(account, each)} for each in account_management.regions]
    found = [each for each in every if not statuses or each["RegionOptStatus"] in statuses]
    refusal = _Refused("ValidationException", "Invalid NextToken")
    size = request.get("MaxResults", _REGIONS_ON_A_PAGE)
    shown, token = pages.cut("ListRegions", found, request.get("NextToken"), size, refusal)
    return {"Regions": shown, **({"NextToken": token} if token else {})}


def _requested_status(request: Request) -> str:
    region = request["RegionName"]
    if region not in account_management.regions:
        raise _Refused("ValidationException", f"The region {region} does not exist.")
    return _status(_account(request), region)


def _choose(request: Request, status: str) -> Json:
    if _requested_status(request) == "ENABLED_BY_DEFAULT":
        raise _Refused("ValidationException", f"The region {request['RegionName']} is enabled by default.")
    _chosen.setdefault(_account(request), {})[request["RegionName"]] = status
    return {}


def _account(request: Request) -> str:
    """Return the account of the request: the caller's, or a member's that the management account names."""
    caller = str(get_account_id())
    account = str(request.get("AccountId", caller))
    if account != caller and membership.management_of(account) != caller:
        raise _Refused("AccessDeniedException", f"You do not have permission to access account {account}.")
    return account


@patch("ministack.services.ec2._ACTION_MAP[DescribeRegions]", why="every region is opted in, and filters are ignored")
def _describe_regions(_original: Any, parameters: Request) -> Json:
    names = ec2.members(parameters, "RegionName")
    all_regions = ec2.parameter(parameters, "AllRegions", "").lower() == "true"
    filters = ec2.filters(parameters)
    items = []
    for name in account_management.regions:
        status = _OPT_STATUS[_status(str(get_account_id()), name)]
        region = {"region-name": name, "endpoint": f"ec2.{name}.amazonaws.com", "opt-in-status": status}
        chosen = name in names if names else all_regions or status != "not-opted-in"
        if chosen and all(region.get(key) in values for key, values in filters.items()):
            items.append(
                f"<item><regionName>{name}</regionName><regionEndpoint>{region['endpoint']}</regionEndpoint>"
                f"<optInStatus>{status}</optInStatus></item>"
            )
    return ec2.xml(200, "DescribeRegionsResponse", f"<regionInfo>{''.join(items)}</regionInfo>")


async def _handle_quotas(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Json) -> Json:
    operation = headers.get("x-amz-target", "").partition(".")[2]
    return _answer(lambda request: _answer_quotas(operation, request), json.loads(body or b"{}"))


def _answer_quotas(operation: str, request: Request) -> Json:
    quotas = _quotas(default="AWSDefault" in operation) if request.get("ServiceCode") == _SERVICE else []
    if operation in ("ListServiceQuotas", "ListAWSDefaultServiceQuotas") and quotas:
        refusal = _Refused("InvalidPaginationTokenException", "Invalid NextToken was provided.")
        size = request.get("MaxResults", _QUOTAS_ON_A_PAGE)
        shown, token = pages.cut(operation, quotas, request.get("NextToken"), size, refusal)
        return {"Quotas": shown, **({"NextToken": token} if token else {})}
    if operation in ("GetServiceQuota", "GetAWSDefaultServiceQuota"):
        for quota in quotas:
            if quota["QuotaCode"] == request["QuotaCode"]:
                return {"Quota": quota}
    raise _Refused(
        "NoSuchResourceException", "The request failed because the specified service or quota does not exist."
    )


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
