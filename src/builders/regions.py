"""The regions of AWS, and how the ids of their zones begin."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Collection, Mapping

REGION = "^[a-z]{2,4}(-[a-z]+){1,2}-[0-9]{1,2}$"
"""A pattern of regions' codes."""

_DIRECTIONS = {"northeast": "ne", "southeast": "se", "northwest": "nw", "southwest": "sw"}


@functools.cache
def partitions() -> Mapping[str, str]:
    """The partition of each region. The file is read by itself: botocore's loader would start all of botocore."""
    from importlib import resources  # noqa: PLC0415  takes longer to load than a layer to build

    text = (resources.files("botocore") / "data" / "partitions.json").read_text(encoding="utf-8")
    return {
        region: partition["id"]
        for partition in json.loads(text)["partitions"]
        for region in partition["regions"]
        if re.fullmatch(REGION, region)
    }


def known_regions() -> Collection[str]:
    """The regions of all partitions."""
    return partitions().keys()


def zone_id_prefix(region: str) -> str:
    """The text before the hyphen of a region's zone ids: use1 of us-east-1, apne2 of ap-northeast-2 (AWS regions and
    Availability Zones, "Availability Zone IDs")."""
    first, *middle, number = region.split("-")
    return first + "".join(_DIRECTIONS.get(each, each[0]) for each in middle) + number
