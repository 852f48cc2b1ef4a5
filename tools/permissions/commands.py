"""The grants of each command, and its policies. A test runs the commands and finds every call of theirs here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from tools.permissions import grants
from tools.permissions.grants import Grant, Identity, Names

_STATUS = (*grants.SHARED, *grants.READ_STATE, *grants.LIST_INSTANCES)
_PLAN = (*_STATUS, *grants.COMPARE)
_CHANGE = (
    *_PLAN,
    grants.WRITE_SETS,
    grants.PASS_ROLE,
    grants.FOLLOW_OPERATION,
    grants.WRITE_STATE,
    grants.READ_ALARMS,
    grants.READ_REASONS,
    *grants.DEPLOY_MEMBER_STACKS,
    *grants.INTERFACES,
)

COMMANDS: Mapping[str, tuple[Grant, ...]] = {
    "bootstrap": (
        *grants.SHARED,
        *grants.LIST_INSTANCES,
        grants.READ_SETS,
        grants.DEPLOY_OWN_STACKS,
        *grants.SHARED_RESOURCES,
        *grants.DEPLOY_MEMBER_STACKS,
        grants.FIND_DIRECT_CONNECT,
        grants.READ_OUTPUTS,
        *grants.LOOK_AT_BOOTSTRAP,
        *grants.READ_STATE,
        grants.WRITE_STATE,
    ),
    "adopt": (
        *_STATUS,
        *grants.COMPARE_TEMPLATES,
        grants.IMPORT_STACKS,
        grants.PASS_ROLE,
        grants.FOLLOW_OPERATION,
        grants.WRITE_STATE,
    ),
    "plan": (*_PLAN, grants.PREVIEW, grants.FIND_PACKAGES),
    "publish": (*grants.SHARED, *grants.READ_STATE, grants.FIND_PACKAGES, grants.PUBLISH_PACKAGES),
    "apply": (*_CHANGE, grants.FIND_PACKAGES, grants.PUBLISH_PACKAGES, grants.READ_PACKAGES, grants.READ_CODE),
    "resume": (*_CHANGE, grants.IMPORT_STACKS, grants.FIND_PACKAGES, grants.READ_CODE),
    "rollback": (*_CHANGE, grants.FIND_PACKAGES, grants.READ_CODE),
    "remove": (*_CHANGE, grants.FIND_PACKAGES, *grants.PURGE),
    "status": (*_STATUS, grants.READ_SETS, grants.LIST_ROUTES, grants.READ_REASONS),
    "outputs": (*_STATUS, grants.READ_OUTPUTS),
    "drift": (*_PLAN, grants.FOLLOW_OPERATION, grants.DETECT_DRIFT, grants.WRITE_OVERRIDES),
    "doctor": (*_STATUS, *grants.DOCTOR),
}
"""Commands in the order in which a phase meets them."""

POLICY_LIMIT = 6144
"""Characters of a managed policy, white space not counted (IAM user guide, "IAM and AWS STS quotas")."""


def command_grants(command: str, identity: Identity) -> list[Grant]:
    """The grants of a command to one identity, each once."""
    return [grant for grant in dict.fromkeys(COMMANDS[command]) if grant.identity is identity]


def calls(command: str, identity: Identity) -> frozenset[str]:
    """The calls of a command, as the client counts them."""
    return frozenset(call for grant in command_grants(command, identity) for call in grant.calls)


def actions(command: str, identity: Identity = Identity.CALLER) -> tuple[str, ...]:
    """The IAM actions of a command, sorted."""
    return tuple(sorted({action for grant in command_grants(command, identity) for action in grant.actions}))


def policy(
    command: str, identity: Identity = Identity.CALLER, names: Names | None = None, without: Iterable[str] = ()
) -> dict[str, Any]:
    """The policy for a command, except the actions in `without`, with one statement for each set of resources."""
    left_out = frozenset(without)
    by_resources: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for grant in command_grants(command, identity):
        resources = tuple((names or Names()).fill(each) for each in grant.resources)
        by_resources[resources].update(action for action in grant.actions if action not in left_out)
    statements = [
        {"Effect": "Allow", "Action": sorted(allowed), "Resource": list(resources)}
        for resources, allowed in by_resources.items()
        if allowed
    ]
    return {"Version": "2012-10-17", "Statement": statements}
