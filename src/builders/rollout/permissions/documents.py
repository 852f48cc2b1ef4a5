"""The table as IAM policies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from builders.rollout.permissions.grants import Grant, Scope, Who
from builders.rollout.permissions.table import COMMANDS

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
