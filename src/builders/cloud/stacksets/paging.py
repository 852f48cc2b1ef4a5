"""Pages of lists: sizes of 1 to 100, and tokens that hold where the next page begins.

A token names the key of the last item that was shown, and belongs to one list of one set: what comes or goes between
two pages shifts nothing, and another list's token is refused.
"""

from __future__ import annotations

import base64
import binascii
import heapq
import json
from collections.abc import Callable, Iterable
from typing import TypeVar

from builders.cloud.schemas import Json
from builders.cloud.stacksets.refusals import invalid
from builders.cloud.stacksets.wire import Answer, Request

LARGEST = 100
Item = TypeVar("Item")


def page(
    request: Request,
    which: str,
    items: Iterable[Item],
    key: Callable[[Item], Json],
    show: Callable[[Item], Answer],
) -> Answer:
    """Return one page, `Summaries` and perhaps `NextToken`, of items in the order of their keys.

    `which` names the list (its operation and what it is of); `key` gives an item's place, a JSON value that sorts.
    """
    after = _after(request.get("NextToken"), which)
    rest = ((key(item), item) for item in items)
    size = request.get("MaxResults", LARGEST)
    found = heapq.nsmallest(
        size + 1, (pair for pair in rest if after is None or pair[0] > after), key=lambda pair: pair[0]
    )
    shown = found[:size]
    answer: Answer = {"Summaries": [show(item) for _, item in shown]}
    if len(found) > size:
        answer["NextToken"] = base64.urlsafe_b64encode(json.dumps([which, shown[-1][0]]).encode()).decode()
    return answer


def _after(token: str | None, which: str) -> Json:
    if token is None:
        return None
    try:
        owner, place = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError):
        owner, place = None, None
    if owner != which:
        raise invalid("Invalid NextToken")
    return place
