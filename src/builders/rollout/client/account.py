"""What an account says of itself: the regions that it may use."""

from __future__ import annotations

from builders.rollout.client.calls import Calls
from builders.rollout.client.sessions import Where

ENABLED = ("ENABLED", "ENABLED_BY_DEFAULT")


def enabled_regions(calls: Calls, where: Where) -> frozenset[str]:
    """The regions that an account has switched on; one page holds them all (Account Management API reference)."""
    found = calls.pages(
        where, "account", "ListRegions", "Regions", RegionOptStatusContains=list(ENABLED), MaxResults=50
    )
    return frozenset(each["RegionName"] for each in found)
