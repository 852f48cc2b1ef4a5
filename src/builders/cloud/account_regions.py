"""Which regions an account has enabled: those introduced after March 2019 are disabled until it opts in.

Sources: Account Management API reference, ListRegions, GetRegionOptStatus, EnableRegion, DisableRegion; EC2 API
reference, DescribeRegions; CloudFormation user guide, "Prepare to perform StackSet operations in AWS Regions that are
disabled by default". Other than on AWS, enabling takes no time, and calls to a disabled region are answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ministack.core.responses import error_response_json, get_account_id, json_response
from ministack.services import account as account_service, ec2

from builders.cloud import keeping, pages
from builders.cloud.organizations import membership
from builders.cloud.schemas import Json

_LARGEST_PAGE = 50
_OPT_STATUS = {"ENABLED_BY_DEFAULT": "opt-in-not-required", "ENABLED": "opted-in", "DISABLED": "not-opted-in"}
"""The status of a region, and what EC2 calls it."""

_chosen: dict[str, dict[str, str]] = {}
"""{account: {region: ENABLED or DISABLED}}"""


def install() -> None:
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
    keeping.keep("regions", {"chosen": _chosen})


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
