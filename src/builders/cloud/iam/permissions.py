"""Permissions of a role, as the services that assume it check them: Lambda before it makes a function or event source.

Source: Lambda developer guide, "Giving Lambda functions access to resources in an Amazon VPC" and "Using Lambda with
Amazon SQS". Conditions do not count, and a role with a policy of AWS whose text is not known may do everything: what
cannot be judged is not refused.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping

from ministack.core.responses import get_account_id

from builders.cloud.internals import iam
from builders.resource_types import Json


def role_allows(role: Mapping[str, Json], action: str, resource: str = "*") -> bool:
    """Return whether the policies of a role of this account allow an action, on a resource or on any."""
    unknown = [
        arn
        for arn in role.get("AttachedPolicies") or ()
        if ":iam::aws:policy/" in str(arn) and arn not in iam.aws_managed_policies
    ]
    if unknown:
        return True
    found = [each for policy in iam.policies_of_role(role["RoleName"], get_account_id()) for each in policy]
    matching = [each for each in found if _covers(each.actions, each.not_actions, action)]
    if resource != "*":
        matching = [each for each in matching if _covers(each.resources, each.not_resources, resource, upper=True)]
    # Asked about any resource, only what is denied on all of them is denied.
    denied = any(
        each.effect == "Deny" and not each.conditions and (resource != "*" or "*" in each.resources)
        for each in matching
    )
    return not denied and any(each.effect == "Allow" for each in matching)


def _covers(patterns: list[str], excluded: list[str], value: str, *, upper: bool = False) -> bool:
    def matches(pattern: str) -> bool:
        if upper:
            return fnmatch.fnmatchcase(value, pattern)
        return fnmatch.fnmatchcase(value.lower(), pattern.lower())

    if excluded:
        return not any(matches(each) for each in excluded)
    return any(matches(each) for each in patterns)
