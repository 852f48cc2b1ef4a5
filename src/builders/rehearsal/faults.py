"""An account that StackSets may not enter any more fails in the middle of an apply.

The process of an apply is killed, and another one goes on.

AWS throttles while a command works.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from builders import naming
from builders.rehearsal.rehearsal import QUICK, ExpectedStep, Rehearsal, expect_each_once
from builders.rehearsal.snapshot import Snapshot
from builders.rehearsal.steps import expect_stacks
from builders.rollout.aws.calls import ApiCall, Moment
from builders.rollout.state.journal import Entry, State
from builders.text import counted_noun

AFTER = 3
"""So many operations are begun before the account fails."""


def fail_one_account(troupe: Rehearsal, phase: str) -> Snapshot:
    """Apply while the first account stops trusting us. Return the phase as it is left, with the account mended."""
    account = troupe.current.members[phase][0]
    door = _AccountRole(troupe, phase, account)
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
        act.came = f"exit code 1 with {counted_noun(len(left.stacks), 'stack')} standing: {reasons[0]}"
        return left


def mend_account(troupe: Rehearsal, phase: str, left: Snapshot, stacks: int) -> None:
    """Expect, behind whatever went on with the phase, that what had been reached was not touched again."""
    with troupe.stage.act(
        f"{phase}: the account lets StackSets in again, and was applied again", "only what was missing was done"
    ) as act:
        now = troupe.snapshot(phase)
        touched = [f"{name} at {target}" for name, target in now.changed(left) if (name, target) in left.stacks]
        act.expect(not touched, f"touched again: {', '.join(touched)}")
        act.expect(len(now.stacks) == stacks, f"{counted_noun(len(now.stacks), 'stack')}, and the plan said {stacks:,}")
        act.came = f"{counted_noun(len(left.stacks), 'stack')} left alone, {len(now.stacks) - len(left.stacks)} made"


class _AccountRole:
    """Watches the calls of an apply, and shuts the account behind the last that is let through.

    Where the sets are self-managed its execution role trusts nobody any more. Nobody can take away the roles of
    service-managed ones, so that StackSets itself is told to fail there. `reason` is part of what it says.
    """

    def __init__(self, troupe: Rehearsal, phase: str, account: str) -> None:
        self._troupe = troupe
        self._account = account
        self._begun = 0
        self._managed = troupe.current.rollout.stacksets.permission_model == "SERVICE_MANAGED"
        self.reason = "Rate exceeded" if self._managed else f"{naming.EXECUTION_ROLE}-{troupe.suffix(phase)}"
        self._trust = "" if self._managed else troupe.current.accounts.trust(account, self.reason)

    def __call__(self, moment: Moment, call: ApiCall) -> None:
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
        current = self._troupe.current
        if self._managed:
            current.drive(Accounts={self._account: {"Failure": self.reason}} if shut else {})
            return
        trust = self._trust.replace('"Allow"', '"Deny"') if shut else self._trust
        current.accounts.api("iam", self._account).update_assume_role_policy(RoleName=self.reason, PolicyDocument=trust)


WRITTEN = 5
"""How many operations are written down, the last of them not over, when the process is killed."""

PATIENCE_SECONDS = 120.0


def kill_and_resume(troupe: Rehearsal, phase: str, stacks: int) -> None:
    """Kill an apply and resume it."""
    before = troupe.snapshot(phase)
    with troupe.stage.act(
        f"{phase}: apply in a process of its own, which is killed (SIGKILL)",
        f"{WRITTEN} operations or more written down, the last one not over",
    ) as act:
        arguments = ("apply", "--phase", phase, *QUICK, "--no-check")
        act.commands.append(" ".join(("rollout-stacksets", *arguments)))
        with troupe.caller.apart(*arguments) as child:
            entries = _until_written(troupe, act, phase, child)
        last = entries[-1]
        act.came = f"{len(entries)} written down, {last.step.action.value} of {last.step.layer} not over"
    with troupe.stage.act(f"{phase}: apply again instead of resume", "refused, since the run is not over") as act:
        said = troupe.call(act, "apply", "--phase", phase, *QUICK, "--no-check")
        act.expect(said.code == 1 and "not over" in said.stderr, f"exit code {said.code}: {said.why}")
        act.came = said.why
    with troupe.stage.act(
        f"{phase}: resume in another process", f"{counted_noun(stacks, 'stack')}, and no operation twice"
    ) as act:
        said = troupe.call(act, "resume", "--phase", phase, "--poll", "0.1")
        act.expect(said.code == 0, said.why)
        expect_stacks(troupe, act, phase, stacks)
        done = expect_each_once(troupe, act, phase, before)
        act.came = f"they stand; the journal and AWS list the same {counted_noun(done, 'operation')}, each once"


def _until_written(troupe: Rehearsal, act: ExpectedStep, phase: str, child: subprocess.Popen[str]) -> tuple[Entry, ...]:
    """Wait until enough is written down, kill the process, and return what it left written down."""
    earlier = troupe.journal(phase)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        run = troupe.journal(phase)
        new = run is not None and (earlier is None or run.id != earlier.id)
        if run and new and len(run.entries) >= WRITTEN and run.entries[-1].state is State.SUBMITTING:
            child.kill()
            child.wait()
            left = troupe.journal(phase)
            assert left is not None
            open_ones = [entry for entry in left.entries if entry.state is State.SUBMITTING]
            if open_ones:
                over = [entry for entry in left.entries if entry.state is not State.SUBMITTING]
                return (*over, *open_ones)
            break
        time.sleep(0.02)
    said = child.stderr.read().strip() if child.poll() is not None and child.stderr else ""
    act.expect(False, f"the process was not killed in the middle: {said or 'it wrote nothing down in time'}")
    return ()


_STRIKES = {"DescribeStackSetOperation": 2, "ListStackInstances": 1, "UpdateStackSet": 2, "DescribeStacks": 1}
"""How often each operation is refused before it is let through: few, since every strike is waited out."""


@contextlib.contextmanager
def throttle_calls(troupe: Rehearsal) -> Iterator[list[int]]:
    """Refuse some calls of the tooling account meanwhile. Yields a list that tells at the end how often that struck."""
    account = troupe.current.rollout.tooling.account
    cloud = troupe.current.cloud
    struck: list[int] = []
    faults: list[dict[str, str | float]] = [
        {"kind": "throttle", "service": "cloudformation", "operation": name, "account": account, "count": count}
        for name, count in _STRIKES.items()
    ]
    cloud.set_faults(*faults)
    try:
        yield struck
    finally:
        struck += [int(fault["struck"]) for fault in cloud.set_faults()]
