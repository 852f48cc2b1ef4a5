"""Which calls each command makes. A test runs the commands and finds every call of theirs here."""

from __future__ import annotations

from collections.abc import Mapping

from builders.rollout.permissions import calls, examining, shared_stacks
from builders.rollout.permissions.grants import Grant

_OPEN = (
    calls.IDENTITY,
    calls.OWN_STACKS,
    calls.ENTER_DEPLOY,
    calls.OTHERS_STACKS,
    calls.UNITS,
    calls.ORGANIZATION,
)
"""What every command begins with: the shared stacks, and the accounts of the phase."""

_BOOKS = (calls.READ_BOOKS, calls.SEE_MISSING)
_LOOK = (calls.LIST_SETS, calls.READ_INSTANCES)
_COMPARE = (
    calls.READ_SETS,
    calls.ENTER_PLAN,
    calls.MEMBER_STACKS,
    calls.MEMBER_TEMPLATES,
    calls.MEMBER_RESOURCES,
    calls.MEMBER_TASKS,
)
_PLAN = (*_OPEN, *_BOOKS, *_LOOK, *_COMPARE)
_CHANGE = (
    *_PLAN,
    calls.CHANGE_SETS_OF_PHASE,
    calls.PASS,
    calls.FOLLOW,
    calls.WRITE_BOOKS,
    calls.ALARMS,
    calls.REASONS,
    calls.DEPLOY_OTHERS,
)

COMMANDS: Mapping[str, tuple[Grant, ...]] = {
    "bootstrap": (
        *_OPEN,
        *_LOOK,
        calls.DEPLOY_OWN,
        *shared_stacks.RESOURCES,
        calls.DEPLOY_OTHERS,
        calls.ENTER_PLAN,
        calls.MEMBER_STACKS,
    ),
    "plan": (*_PLAN, calls.PREVIEWS),
    "apply": (*_CHANGE, calls.PACKAGES, calls.READ_PACKAGES),
    "resume": _CHANGE,
    "rollback": (*_CHANGE, calls.SEE_PACKAGES),
    "remove": (*_CHANGE, calls.SEE_PACKAGES, *examining.PURGE),
    "status": (*_OPEN, *_BOOKS, *_LOOK, calls.ROUTES_LISTED),
    "outputs": (*_OPEN, *_BOOKS, *_LOOK, calls.ENTER_PLAN, calls.MEMBER_STACKS),
    "drift": (*_OPEN, *_BOOKS, *_LOOK, calls.FOLLOW, calls.DETECT, calls.KEEP_KNOWN, *_COMPARE),
    "doctor": (*_OPEN, *_BOOKS, *_LOOK, calls.ENTER_PLAN, calls.READ_PACKAGES, *examining.DOCTOR),
}
"""In the order in which a phase meets them."""
