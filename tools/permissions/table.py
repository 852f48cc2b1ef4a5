"""Which calls each command makes. A test runs the commands and finds every call of theirs here.

The table as IAM policies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tools.permissions.calls import (
    ALARMS,
    CHANGE_SETS_OF_PHASE,
    DEPLOY_OTHERS,
    DEPLOY_OWN,
    DETECT,
    DOCTOR,
    ENTER_DEPLOY,
    ENTER_PLAN,
    FOLLOW,
    IDENTITY,
    KEEP_KNOWN,
    LIST_SETS,
    MEMBER_RESOURCES,
    MEMBER_STACKS,
    MEMBER_TASKS,
    MEMBER_TEMPLATES,
    ORGANIZATION,
    OTHERS_STACKS,
    OWN_STACKS,
    PACKAGES,
    PASS,
    PREVIEWS,
    PURGE,
    READ_BOOKS,
    READ_INSTANCES,
    READ_PACKAGES,
    READ_SETS,
    REASONS,
    RESOURCES,
    ROUTES_LISTED,
    SEE_MISSING,
    SEE_PACKAGES,
    UNITS,
    WRITE_BOOKS,
    Grant,
    Scope,
    Who,
)

_OPEN = (
    IDENTITY,
    OWN_STACKS,
    ENTER_DEPLOY,
    OTHERS_STACKS,
    UNITS,
    ORGANIZATION,
)
"""What every command begins with: the shared stacks, and the accounts of the phase."""

_BOOKS = (READ_BOOKS, SEE_MISSING)
_LOOK = (LIST_SETS, READ_INSTANCES)
_COMPARE = (
    READ_SETS,
    ENTER_PLAN,
    MEMBER_STACKS,
    MEMBER_TEMPLATES,
    MEMBER_RESOURCES,
    MEMBER_TASKS,
)
_PLAN = (*_OPEN, *_BOOKS, *_LOOK, *_COMPARE)
_CHANGE = (
    *_PLAN,
    CHANGE_SETS_OF_PHASE,
    PASS,
    FOLLOW,
    WRITE_BOOKS,
    ALARMS,
    REASONS,
    DEPLOY_OTHERS,
)

COMMANDS: Mapping[str, tuple[Grant, ...]] = {
    "bootstrap": (
        *_OPEN,
        *_LOOK,
        DEPLOY_OWN,
        *RESOURCES,
        DEPLOY_OTHERS,
        ENTER_PLAN,
        MEMBER_STACKS,
    ),
    "plan": (*_PLAN, PREVIEWS),
    "apply": (*_CHANGE, PACKAGES, READ_PACKAGES),
    "resume": _CHANGE,
    "rollback": (*_CHANGE, SEE_PACKAGES),
    "remove": (*_CHANGE, SEE_PACKAGES, *PURGE),
    "status": (*_OPEN, *_BOOKS, *_LOOK, ROUTES_LISTED),
    "outputs": (*_OPEN, *_BOOKS, *_LOOK, ENTER_PLAN, MEMBER_STACKS),
    "drift": (*_OPEN, *_BOOKS, *_LOOK, FOLLOW, DETECT, KEEP_KNOWN, *_COMPARE),
    "doctor": (*_OPEN, *_BOOKS, *_LOOK, ENTER_PLAN, READ_PACKAGES, *DOCTOR),
}
"""In the order in which a phase meets them."""


LARGEST = 6144
"""Characters of a managed policy, white space not counted (IAM user guide, "IAM and AWS STS quotas")."""


def grants(command: str, who: Who) -> list[Grant]:
    """What a command needs of one of its identities, each once."""
    return [grant for grant in dict.fromkeys(COMMANDS[command]) if grant.who is who]


def calls(command: str, who: Who) -> frozenset[str]:
    """What a command may call, as the client counts it."""
    return frozenset(call for grant in grants(command, who) for call in grant.calls)


def actions(command: str, who: Who = Who.CALLER) -> tuple[str, ...]:
    """The IAM actions of a command, sorted."""
    return tuple(sorted({action for grant in grants(command, who) for action in grant.actions}))


def policy(
    command: str, who: Who = Who.CALLER, scope: Scope | None = None, without: Iterable[str] = ()
) -> dict[str, Any]:
    """The policy with which a command does its work and nothing else; `without` are actions to leave out.

    One statement for all actions on the same resources.
    """
    left_out = frozenset(without)
    by_resources: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for grant in grants(command, who):
        resources = tuple((scope or Scope()).filled(each) for each in grant.resources)
        by_resources[resources].update(action for action in grant.actions if action not in left_out)
    statements = [
        {"Effect": "Allow", "Action": sorted(allowed), "Resource": list(resources)}
        for resources, allowed in by_resources.items()
        if allowed
    ]
    return {"Version": "2012-10-17", "Statement": statements}
