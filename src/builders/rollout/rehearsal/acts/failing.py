"""An account that StackSets may not enter any more fails in the middle of an apply."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from builders.rollout.client import Call, Moment
from builders.rollout.desired.targets import EXECUTION_ROLE
from builders.rollout.rehearsal.snapshot import Snapshot
from builders.rollout.rehearsal.troupe import QUICK, Troupe, expect_each_once
from builders.rollout.showing.words import many

AFTER = 3
"""So many operations are begun before the account fails."""


def failed(troupe: Troupe, phase: str) -> Snapshot:
    """Apply while the first account stops trusting us. Return the phase as it is left, with the account mended."""
    account = troupe.world.places(phase)[0].account
    role = f"{EXECUTION_ROLE}-{troupe.suffix(phase)}"
    with troupe.stage.act(
        f"{phase}: account {account} shuts StackSets out in the middle of apply",
        f"exit code 1, the reason names {role}, and what was reached stays",
    ) as act:
        before = troupe.snapshot(phase)
        with _shut_out(troupe, account, role) as shut:
            said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check", "--json", observe=shut)
        act.expect(said.code == 1, f"exit code {said.code}: {said.why}")
        reasons = sorted({each["reason"] for each in said.data["missed"] if not each["held"]})
        act.expect(any(role in reason for reason in reasons), f"the reasons are {reasons or 'not given'}")
        left = troupe.snapshot(phase)
        act.expect(bool(left.stacks), "nothing was reached before it failed")
        expect_each_once(troupe, act, phase, before)
        act.came = f"exit code 1 with {many(len(left.stacks), 'stack')} standing: {reasons[0]}"
        return left


def mended(troupe: Troupe, phase: str, left: Snapshot, stacks: int) -> None:
    """Expect, behind whatever went on with the phase, that what had been reached was not touched again."""
    with troupe.stage.act(
        f"{phase}: the account lets StackSets in again, and was applied again", "only what was missing was done"
    ) as act:
        now = troupe.snapshot(phase)
        touched = [f"{name} at {place}" for name, place in now.changed(left) if (name, place) in left.stacks]
        act.expect(not touched, f"touched again: {', '.join(touched)}")
        act.expect(len(now.stacks) == stacks, f"{many(len(now.stacks), 'stack')}, and the plan said {stacks:,}")
        act.came = f"{many(len(left.stacks), 'stack')} left alone, {len(now.stacks) - len(left.stacks)} made"


@contextlib.contextmanager
def _shut_out(troupe: Troupe, account: str, role: str) -> Iterator[_Door]:
    """Something that takes the trust away once enough operations were begun; it is given back at the end."""
    door = _Door(troupe, account, role)
    try:
        yield door
    finally:
        door.open()


class _Door:
    """Watches the calls of an apply, and shuts the account behind the last that is let through."""

    def __init__(self, troupe: Troupe, account: str, role: str) -> None:
        self._iam = troupe.world.accounts.api("iam", account)
        self._role = role
        self._begun = 0
        self._trust = troupe.world.accounts.trust(account, role)

    def __call__(self, moment: Moment, call: Call) -> None:
        if moment is Moment.BEFORE and call.operation == "CreateStackInstances":
            self._begun += 1
            if self._begun == AFTER:
                self._write(self._trust.replace('"Allow"', '"Deny"'))

    def open(self) -> None:
        """Trust again."""
        self._write(self._trust)

    def _write(self, trust: str) -> None:
        self._iam.update_assume_role_policy(RoleName=self._role, PolicyDocument=trust)
