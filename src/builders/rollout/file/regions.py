"""The regions that AWS has, from the list that botocore carries."""

from __future__ import annotations

import functools
import json
import re
from importlib import resources

_NAME = re.compile(r"[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}")


@functools.cache
def known_regions() -> frozenset[str]:
    """The regions of all partitions. The file is read by itself: botocore's loader would start all of botocore."""
    text = (resources.files("botocore") / "data" / "partitions.json").read_text(encoding="utf-8")
    return frozenset(
        region
        for partition in json.loads(text)["partitions"]
        for region in partition["regions"]
        if _NAME.fullmatch(region)
    )
