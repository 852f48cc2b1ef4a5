"""The steps of a rehearsal with a fault: an account that denies access, a killed process, and throttled calls."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from builders.aws.calls import ApiCall, Moment
from builders.naming import EXECUTION_ROLE
from builders.rehearsal.rehearsal import APPLY_OPTIONS, ExpectedStep, Rehearsal
from builders.rehearsal.snapshot import Snapshot
from builders.rollout.state.journal import Entry, EntryState
from builders.text import counted_noun

OPERATIONS_BEFORE_FAILURE = 3
"""Operations that begin before the account fails, the last of them included."""


def fail_one_account(rehearsal: Rehearsal, phase: str) -> Snapshot:
    """Apply while the first account stops trusting StackSets. Return the phase as it is then; access is restored."""
    account = rehearsal.prepared.members[phase][0]
    access = _AccountAccess(rehearsal, phase, account)
    with rehearsal.step(
        f"{phase}: account {account} denies StackSets access in the middle of apply",
        f"exit code 1, the reason names {access.reason}, and finished stacks stay",
    ) as step:
        before = rehearsal.snapshot(phase)
        with access.restored_at_the_end():
            called = rehearsal.call(
                step, "apply", "--phase", phase, *APPLY_OPTIONS, "--no-check", "--json", observe=access
            )
        step.expect(called.code == 1, f"exit code {called.code}: {called.reason}")
        reasons = sorted({each["reason"] for each in called.data["missed"] if not each["held"]})
        step.expect(any(access.reason in reason for reason in reasons), f"the reasons are {reasons or 'not given'}")
        partial = rehearsal.snapshot(phase)
        step.expect(bool(partial.stacks), "no stack was finished before the account failed")
        rehearsal.expect_each_operation_once(step, phase, before)
        step.result = f"exit code 1 with {counted_noun(len(partial.stacks), 'stack')} finished: {reasons[0]}"
        return partial


def expect_only_missing_done(rehearsal: Rehearsal, phase: str, partial: Snapshot, stacks: int) -> None:
    """Expect that the next apply completed the phase and did not touch the stacks that were finished before."""
    with rehearsal.step(f"{phase}: the apply after access was restored", "only what was missing was done") as step:
        now = rehearsal.snapshot(phase)
        touched = [f"{name} in {target}" for name, target in now.changed(partial) if (name, target) in partial.stacks]
        step.expect(not touched, f"touched again: {', '.join(touched)}")
        rehearsal.expect_stacks(step, phase, stacks)
        created = len(now.stacks) - len(partial.stacks)
        step.result = f"{counted_noun(len(partial.stacks), 'stack')} untouched, {created} created"


class _AccountAccess:
    """Watches the calls of an apply, and denies StackSets access to the account at the last operation that may begin.

    Where permissions are self-managed, the execution role stops trusting the administration role. The roles of
    service-managed ones cannot be changed, so there the embedded cloud makes StackSets fail in the account. `reason` is
    a part of the message of StackSets.
    """

    def __init__(self, rehearsal: Rehearsal, phase: str, account: str) -> None:
        self._prepared = rehearsal.prepared
        self._account = account
        self._begun = 0
        self._managed = self._prepared.rollout.stacksets.permission_model == "SERVICE_MANAGED"
        self.reason = "Rate exceeded" if self._managed else f"{EXECUTION_ROLE}-{rehearsal.suffix(phase)}"
        self._trust = "" if self._managed else self._prepared.accounts.trust_policy(account, self.reason)

    def __call__(self, moment: Moment, call: ApiCall) -> None:
        if moment is Moment.BEFORE and call.operation == "CreateStackInstances":
            self._begun += 1
            if self._begun == OPERATIONS_BEFORE_FAILURE:
                self._deny(True)

    @contextlib.contextmanager
    def restored_at_the_end(self) -> Iterator[None]:
        """Grant access again at the end of the block, also after an error."""
        try:
            yield
        finally:
            self._deny(False)

    def _deny(self, deny: bool) -> None:
        if self._managed:
            self._prepared.drive(Accounts={self._account: {"Failure": self.reason}} if deny else {})
            return
        trust = self._trust.replace('"Allow"', '"Deny"') if deny else self._trust
        iam = self._prepared.accounts.api("iam", self._account)
        iam.update_assume_role_policy(RoleName=self.reason, PolicyDocument=trust)


ENTRIES_BEFORE_KILL = 5
"""Operations in the journal, the last of them unfinished, when the process is killed."""

KILL_TIMEOUT_SECONDS = 120.0

JOURNAL_POLL_SECONDS = 0.05
"""From one look at the journal to the next: a fraction of what an operation takes."""


def kill_and_resume(rehearsal: Rehearsal, phase: str, stacks: int) -> None:
    """Kill the process of an apply, and resume in another one."""
    before = rehearsal.snapshot(phase)
    arguments = ("apply", "--phase", phase, *APPLY_OPTIONS, "--no-check")
    with rehearsal.step(
        f"{phase}: apply in a process of its own, which is killed (SIGKILL)",
        f"{ENTRIES_BEFORE_KILL} operations or more in the journal, the last one not over",
    ) as step:
        step.commands.append(" ".join(("rollout-stacksets", *arguments)))
        with rehearsal.command.process(*arguments) as child:
            entries = _kill_in_the_middle(rehearsal, step, phase, child)
        last = entries[-1]
        step.result = f"{len(entries)} in the journal, {last.call.action.value} of {last.call.layer} not over"
    with rehearsal.step(f"{phase}: apply again instead of resume", "refused, since the run is not over") as step:
        called = rehearsal.call(step, *arguments)
        step.expect(called.code == 1 and "not over" in called.stderr, f"exit code {called.code}: {called.reason}")
        step.result = called.reason
    with rehearsal.step(
        f"{phase}: resume in another process", f"{counted_noun(stacks, 'stack')}, and no operation twice"
    ) as step:
        rehearsal.succeed(step, "resume", "--phase", phase, "--poll", "0.1")
        rehearsal.expect_stacks(step, phase, stacks)
        operations = rehearsal.expect_each_operation_once(step, phase, before)
        step.result = (
            f"{counted_noun(stacks, 'stack')}; the journal and AWS list the same "
            f"{counted_noun(operations, 'operation')}, each once"
        )


def _kill_in_the_middle(
    rehearsal: Rehearsal, step: ExpectedStep, phase: str, child: subprocess.Popen[str]
) -> tuple[Entry, ...]:
    """Kill the process in the middle of an operation, and return the journal's entries with unfinished ones last."""
    earlier = rehearsal.journal(phase)
    deadline = time.monotonic() + KILL_TIMEOUT_SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        run = rehearsal.journal(phase)
        new = run is not None and (earlier is None or run.id != earlier.id)
        if run and new and len(run.entries) >= ENTRIES_BEFORE_KILL and run.entries[-1].state is EntryState.SUBMITTING:
            child.kill()
            child.wait()
            left = rehearsal.journal(phase)
            assert left is not None
            # Another entry may have been written between the look and the kill.
            if any(entry.state is EntryState.SUBMITTING for entry in left.entries):
                return tuple(sorted(left.entries, key=lambda entry: entry.state is EntryState.SUBMITTING))
            break
        time.sleep(JOURNAL_POLL_SECONDS)
    error = child.stderr.read().strip() if child.poll() is not None and child.stderr else ""
    step.expect(False, f"the process was not killed in the middle: {error or 'its journal did not grow in time'}")
    return ()


_THROTTLED = {"DescribeStackSetOperation": 2, "ListStackInstances": 1, "UpdateStackSet": 2, "DescribeStacks": 1}
"""Refusals of each operation before it succeeds: few, since every retry takes time."""


@contextlib.contextmanager
def throttled_calls(rehearsal: Rehearsal) -> Iterator[list[int]]:
    """Throttle some calls of the tooling account. The list that it yields has at the end how often each was."""
    account = rehearsal.prepared.rollout.tooling.account
    cloud = rehearsal.prepared.cloud
    throttled: list[int] = []
    faults: list[dict[str, str | float]] = [
        {"kind": "throttle", "service": "cloudformation", "operation": name, "account": account, "count": count}
        for name, count in _THROTTLED.items()
    ]
    cloud.set_faults(*faults)
    try:
        yield throttled
    finally:
        throttled += [int(fault["struck"]) for fault in cloud.set_faults()]
