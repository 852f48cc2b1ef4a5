"""How an operation goes about its instances: order of regions, accounts at a time, failures that it bears.

Source: CloudFormation API reference, StackSetOperationPreferences; user guide, "Choosing the Concurrency Mode".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders.cloud.stacksets.refusals import invalid

Preferences = Mapping[str, Any]


@dataclass(frozen=True)
class Pace:
    """What the preferences mean for the accounts of one region."""

    tolerance: int
    """Failures that the region bears; one more stops it."""
    width: int
    """Accounts at one time."""
    strict: bool

    def exceeded(self, failed: int) -> bool:
        """Tell whether so many failures stop the region."""
        return failed > self.tolerance

    def room(self, failed: int, running: int) -> bool:
        """Tell whether one more account may start.

        Strict: never more than tolerance + 1 can fail, even if all that run now do. Soft: always up to the width. One
        may always run, even where a percentage of the accounts is none.
        """
        width = min(self.width, self.tolerance + 1 - failed) if self.strict else self.width
        return running < max(width, 1)


def pace(preferences: Preferences, accounts: int) -> Pace:
    """Compute what the preferences mean for a region with so many accounts; percentages are rounded down."""
    tolerance = preferences.get("FailureToleranceCount", 0)
    if "FailureTolerancePercentage" in preferences:
        tolerance = accounts * preferences["FailureTolerancePercentage"] // 100
    width = preferences.get("MaxConcurrentCount", 1)
    if "MaxConcurrentPercentage" in preferences:
        width = accounts * preferences["MaxConcurrentPercentage"] // 100
    return Pace(tolerance, width, preferences.get("ConcurrencyMode") != "SOFT_FAILURE_TOLERANCE")


def region_order(preferences: Preferences, regions: Iterable[str]) -> list[str]:
    """Put regions into the order of RegionOrder; those that it does not name follow in theirs."""
    wanted = preferences.get("RegionOrder") or []
    present = list(dict.fromkeys(regions))
    return [each for each in wanted if each in present] + [each for each in present if each not in wanted]


def parallel(preferences: Preferences) -> bool:
    """Tell whether all regions go at once."""
    return preferences.get("RegionConcurrencyType") == "PARALLEL"


def check(preferences: Preferences) -> None:
    """Refuse a count beside a percentage."""
    for name in ("FailureTolerance", "MaxConcurrent"):
        if {f"{name}Count", f"{name}Percentage"} <= set(preferences):
            raise invalid(f"You can specify either {name}Count or {name}Percentage, but not both")
