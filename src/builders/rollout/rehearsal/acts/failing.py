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
    account = troupe.world.members[phase][0]
    door = _Door(troupe, phase, account)
    with troupe.stage.act(
        f"{phase}: account {account} shuts StackSets out in the middle of apply",
        f"exit code 1, the reason names {door.reason}, and what was reached stays",
    ) as act:
        before = troupe.snapshot(phase)
        with door.watched():
            said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check", "--json", observe=door)
        act.expect(said.code == 1, f"exit code {said.code}: {said.why}")
        reasons = sorted({each["reason"] for each in said.data["missed"] if not each["held"]})
        act.expect(any(door.reason in reason for reason in reasons), f"the reasons are {reasons or 'not given'}")
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


class _Door:
    """Watches the calls of an apply, and shuts the account behind the last that is let through.

    Where the sets are self-managed its execution role trusts nobody any more. Nobody can take away the roles of
    service-managed ones, so that StackSets itself is told to fail there. `reason` is part of what it says.
    """

    def __init__(self, troupe: Troupe, phase: str, account: str) -> None:
        self._troupe = troupe
        self._account = account
        self._begun = 0
        self._managed = troupe.world.rollout.stacksets.permission_model == "SERVICE_MANAGED"
        self.reason = "Rate exceeded" if self._managed else f"{EXECUTION_ROLE}-{troupe.suffix(phase)}"
        self._trust = "" if self._managed else troupe.world.accounts.trust(account, self.reason)

    def __call__(self, moment: Moment, call: Call) -> None:
        if moment is Moment.BEFORE and call.operation == "CreateStackInstances":
            self._begun += 1
            if self._begun == AFTER:
                self._shut(True)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Open it at the end, whatever comes."""
        try:
            yield
        finally:
            self._shut(False)

    def _shut(self, shut: bool) -> None:
        world = self._troupe.world
        if self._managed:
            world.drive(Accounts={self._account: {"Failure": self.reason}} if shut else {})
            return
        trust = self._trust.replace('"Allow"', '"Deny"') if shut else self._trust
        world.accounts.api("iam", self._account).update_assume_role_policy(RoleName=self.reason, PolicyDocument=trust)
