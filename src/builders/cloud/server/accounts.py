"""Which regions an account has enabled: those introduced after March 2019 are disabled until it opts in.

Sources: Account Management API reference, ListRegions, GetRegionOptStatus, EnableRegion, DisableRegion; EC2 API
reference, DescribeRegions; CloudFormation user guide, "Prepare to perform StackSet operations in AWS Regions that are
disabled by default". Other than on AWS, enabling takes no time, and calls to a disabled region are answered.

Service Quotas of CloudFormation, as far as StackSets and stacks have them, with the codes that AWS gives them.

The quotas of sets and instances are those that the server keeps (stacksets/model.py lets a test lower them); that of
stacks and of instance operations at one time are told only. Sources: CloudFormation user guide, "Understand
CloudFormation quotas"; Service Quotas API reference; codes as public lists of `list-service-quotas` show them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from ministack import app
from ministack.core import router
from ministack.core.responses import error_response_json, get_account_id, get_region, json_response
from ministack.services import account as account_service, ec2

from builders.cloud.organizations import membership
from builders.cloud.server import pages, state
from builders.cloud.stacksets.model import settings
from builders.resource_types import Json

_LARGEST_PAGE = 50
_OPT_STATUS = {"ENABLED_BY_DEFAULT": "opt-in-not-required", "ENABLED": "opted-in", "DISABLED": "not-opted-in"}
"""The status of a region, and what EC2 calls it."""

_chosen: dict[str, dict[str, str]] = {}
"""{account: {region: ENABLED or DISABLED}}"""


def install_account_regions() -> None:
    """Put these in the place of ministack's, where every account has every region."""
    answers: dict[str, Callable[[Mapping[str, Json]], Json]] = {
        "/listRegions": _list,
        "/getRegionOptStatus": lambda asked: {"RegionName": asked["RegionName"], "RegionOptStatus": _asked(asked)},
        "/enableRegion": lambda asked: _choose(asked, "ENABLED"),
        "/disableRegion": lambda asked: _choose(asked, "DISABLED"),
    }
    for path, answer in answers.items():
        account_service._DISPATCH[path] = _action(answer)
    ec2._ACTION_MAP["DescribeRegions"] = _describe
    state.keep("regions", {"chosen": _chosen})


def enabled(account: str, region: str) -> bool:
    """Tell whether an account may use a region."""
    return _status(account, region) != "DISABLED"


def _status(account: str, region: str) -> str:
    if region not in account_service._OPT_IN_REQUIRED:
        return "ENABLED_BY_DEFAULT"
    return _chosen.get(account, {}).get(region, "DISABLED")


class _Refused(Exception):
    """An error of the API: its name and its sentence."""


def _action(answer: Callable[[Mapping[str, Json]], Json]) -> Callable[[Mapping[str, Json]], Json]:
    def act(asked: Mapping[str, Json]) -> Json:
        try:
            return json_response(answer(asked))
        except _Refused as refused:
            name, sentence = refused.args
            return error_response_json(name, sentence, 403 if name == "AccessDeniedException" else 400)

    return act


def _account(asked: Mapping[str, Json]) -> str:
    """Return whose regions are meant: the caller's, or a member's where the management account asks."""
    caller = str(get_account_id())
    wanted = str(asked.get("AccountId", caller))
    if wanted != caller and membership.management_of(wanted) != caller:
        raise _Refused("AccessDeniedException", f"You do not have permission to access account {wanted}.")
    return wanted


def _asked(asked: Mapping[str, Json]) -> str:
    region = asked["RegionName"]
    if region not in account_service._REGIONS_LIST:
        raise _Refused("ValidationException", f"The region {region} does not exist.")
    return _status(_account(asked), region)


def _choose(asked: Mapping[str, Json], status: str) -> Json:
    if _asked(asked) == "ENABLED_BY_DEFAULT":
        raise _Refused("ValidationException", f"The region {asked['RegionName']} is enabled by default.")
    _chosen.setdefault(_account(asked), {})[asked["RegionName"]] = status
    return {}


def _list(asked: Mapping[str, Json]) -> Json:
    account, wanted = _account(asked), asked.get("RegionOptStatusContains")
    every = [{"RegionName": each, "RegionOptStatus": _status(account, each)} for each in account_service._REGIONS_LIST]
    found = [each for each in every if not wanted or each["RegionOptStatus"] in wanted]
    try:
        shown, token = pages.cut("ListRegions", found, asked.get("NextToken"), asked.get("MaxResults", _LARGEST_PAGE))
    except pages.InvalidToken as error:
        raise _Refused("ValidationException", "Invalid NextToken") from error
    return {"Regions": shown, **({"NextToken": token} if token else {})}


def _describe(parameters: Mapping[str, Json]) -> Json:
    """DescribeRegions: without AllRegions those that are enabled; filters by name, endpoint and status."""
    names = ec2._parse_member_list(parameters, "RegionName")
    everywhere = ec2._p(parameters, "AllRegions", "").lower() == "true"
    filters = ec2._parse_filters(parameters)
    items = []
    for name in account_service._REGIONS_LIST:
        status = _OPT_STATUS[_status(str(get_account_id()), name)]
        told = {"region-name": name, "endpoint": f"ec2.{name}.amazonaws.com", "opt-in-status": status}
        meant = name in names if names else everywhere or status != "not-opted-in"
        if meant and all(told.get(key) in values for key, values in filters.items()):
            items.append(
                f"<item><regionName>{name}</regionName><regionEndpoint>{told['endpoint']}</regionEndpoint>"
                f"<optInStatus>{status}</optInStatus></item>"
            )
    return ec2._xml(200, "DescribeRegionsResponse", f"<regionInfo>{''.join(items)}</regionInfo>")


_SERVICE = "cloudformation"
_LARGEST_QUOTA_PAGE = 100


def install_quotas() -> None:
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
                operation, quotas, request.get("NextToken"), request.get("MaxResults", _LARGEST_QUOTA_PAGE)
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
