"""Pages of the List operations: at most 20 items each, as the Organizations API reference says."""

from __future__ import annotations

import base64
import binascii

from builders.cloud.organizations.membership import Denied
from builders.cloud.schemas import Json

LARGEST = 20


def page(operation: str, answer: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    """Cut the one list of an answer to a page, and add the token of the next. What has no list stays as it is."""
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    if not operation.startswith("List") or len(lists) != 1:
        return answer
    begin = _offset(operation, payload.get("NextToken"))
    end = begin + min(int(payload.get("MaxResults") or LARGEST), LARGEST)
    items = answer[lists[0]]
    result: dict[str, Json] = {**answer, lists[0]: items[begin:end]}
    if end < len(items):
        result["NextToken"] = base64.urlsafe_b64encode(f"{operation} {end}".encode()).decode()
    return result


def _offset(operation: str, token: str | None) -> int:
    if not token:
        return 0
    try:
        owner, _, offset = base64.urlsafe_b64decode(token).decode().partition(" ")
    except (binascii.Error, UnicodeDecodeError):
        owner, offset = "", ""
    if owner != operation or not offset.isdigit():
        raise Denied("InvalidInputException", "You specified an invalid value for nextToken.")
    return int(offset)
