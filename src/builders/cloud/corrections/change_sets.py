"""What DescribeChangeSet shows."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping

from ministack.services.cloudformation import changesets, handlers
from ministack.services.cloudformation.helpers import _error, _p

from builders.cloud import pages
from builders.cloud.schemas import Json

PAGE = 100
"""Changes on one page; the API reference names a NextToken and no size."""

_shown: contextvars.ContextVar[dict[str, Json] | None] = contextvars.ContextVar("shown", default=None)


def change_sets_in_pages() -> None:
    """ministack shows all changes at once, and the values of NoEcho parameters, which AWS shows as asterisks; and it
    finds no change set by its name beside the ARN of its stack."""
    find, describe = changesets._find_change_set, changesets._describe_change_set

    def find_shown(name: str, stack: str = "") -> Json:
        found, change_set = find(name, stack.split("/")[1] if stack.startswith("arn:") else stack)
        return found, _shown.get() or change_set

    def describe_page(parameters: Mapping[str, Json]) -> Json:
        _, change_set = find_shown(_p(parameters, "ChangeSetName"), _p(parameters, "StackName"))
        if not change_set:
            return describe(parameters)
        which, changes = change_set["ChangeSetId"], change_set.get("Changes") or []
        try:
            shown, token = pages.cut(which, changes, _p(parameters, "NextToken"), PAGE)
        except pages.InvalidToken:
            return _error("ValidationError", "NextToken is invalid")
        hidden = {name for name, each in change_set["_resolved_params"].items() if each["NoEcho"]}
        parameters_shown = [
            each | {"ParameterValue": "****"} if each["ParameterKey"] in hidden else each
            for each in change_set.get("Parameters") or []
        ]
        page = {**change_set, "Changes": shown, "Parameters": parameters_shown}
        context = _shown.set(page)
        try:
            status, headers, body = describe(parameters)
        finally:
            _shown.reset(context)
        if token:
            end = b"</DescribeChangeSetResult>"
            body = body.replace(end, f"<NextToken>{token}</NextToken>".encode() + end)
        return status, headers, body

    changesets._find_change_set = find_shown
    handlers._ACTION_HANDLERS["DescribeChangeSet"] = describe_page
