"""Pages of the List operations: at most 20 items each, as the Organizations API reference says."""

from __future__ import annotations

from builders.cloud import pages
from builders.cloud.organizations.membership import Denied
from builders.cloud.schemas import Json

LARGEST = 20


def page(operation: str, answer: dict[str, Json], payload: dict[str, Json]) -> dict[str, Json]:
    """Cut the one list of an answer to a page, and add the token of the next. What has no list stays as it is."""
    lists = [name for name, value in answer.items() if isinstance(value, list)]
    if not operation.startswith("List") or len(lists) != 1:
        return answer
    size = min(int(payload.get("MaxResults") or LARGEST), LARGEST)
    try:
        items, token = pages.cut(operation, answer[lists[0]], payload.get("NextToken"), size)
    except pages.InvalidToken as error:
        raise Denied("InvalidInputException", "You specified an invalid value for nextToken.") from error
    return {**answer, lists[0]: items, **({"NextToken": token} if token else {})}
