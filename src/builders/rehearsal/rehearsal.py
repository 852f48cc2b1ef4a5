"""A rehearsal under way: its steps, each with the result that it expects, and the phases as the services list them."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from rich.console import Console

from builders import terminal
from builders.aws.calls import CallObserver
from builders.errors import StackferryError
from builders.naming import ARTIFACTS_BUCKET
from builders.rehearsal import snapshot
from builders.rehearsal.cloud import RehearsalCloud
from builders.rehearsal.commands import CommandResult, RolloutRunner
from builders.rehearsal.snapshot import Snapshot
from builders.rollout.config import parameters
from builders.rollout.model import Target
from builders.rollout.phase import shared_outputs
from builders.rollout.plan.calls import Action
from builders.rollout.state.journal import Journal, Run
from builders.rollout.state.store import Store
from builders.text import counted_noun, printable


class Unexpected(Exception):
    """A result other than the one that a step expects. It is a finding of the rehearsal, not an error of ours."""


@dataclass
class ExpectedStep:
    """One step: what is done, what is expected, and the result.

    `commands` are what a person would have typed; `seconds` is the wall time of the whole step.
    """

    title: str
    expected: str
    commands: list[str] = field(default_factory=list)
    result: str = "not finished"
    as_expected: bool = False
    seconds: float = 0.0

    def expect(self, condition: bool, otherwise: str) -> None:
        """Raise `Unexpected` with the result that came instead, unless the condition holds."""
        if not condition:
            raise Unexpected(otherwise)


class Expectations:
    """The steps so far. Prints each as it runs: plain lines in a pipe, with a spinner on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.steps: list[ExpectedStep] = []
        self._console = console or terminal.console(sys.stderr, soft_wrap=True)

    @contextlib.contextmanager
    def step(self, title: str, expected: str) -> Iterator[ExpectedStep]:
        """Run one step. Raises `Unexpected` where its result is not as expected; the rehearsal ends there."""
        step = ExpectedStep(title, expected)
        self.steps.append(step)
        began = time.monotonic()
        try:
            with self._spinner(f"{len(self.steps):2}  {title}"):
                yield step
            step.as_expected = True
        except (Unexpected, StackferryError) as reason:
            step.result = str(reason)
            raise Unexpected(step.result) from reason
        except (LookupError, TypeError, ValueError) as error:
            step.result = f"an answer of another form: {error!r}"
            raise Unexpected(step.result) from error
        finally:
            step.seconds = time.monotonic() - began
            self._print_result(step)

    def say(self, line: str) -> None:
        """Print one line to the person who watches."""
        self._console.print(printable(line))

    @contextlib.contextmanager
    def _spinner(self, line: str) -> Iterator[None]:
        self.say(line)
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("", spinner="dots"):
            yield

    def _print_result(self, step: ExpectedStep) -> None:
        word, style = ("ok", "green") if step.as_expected else ("FAILED", "bold red")
        self._console.print(f"    {step.seconds:5.1f} s  ", end="")
        self._console.print(word, style=style, end=": ")
        self._console.print(printable(step.result))


APPLY_OPTIONS = ("--yes", "--poll", "0.1")
"""Options of commands that change something: nobody confirms, and the cloud is quick."""

WITHOUT_OPERATION = (Action.CREATE_SET, Action.DELETE_SET)
"""Calls of the journal that start no operation."""


@dataclass
class Rehearsal:
    """The prepared cloud, the commands that are called there, and the steps."""

    prepared: RehearsalCloud
    command: RolloutRunner
    expectations: Expectations
    _journals: dict[str, Journal] = field(default_factory=dict)
    _digests: snapshot.Digests = field(default_factory=dict)

    def step(self, title: str, expected: str) -> AbstractContextManager[ExpectedStep]:
        """Run one step, as `Expectations.step` does."""
        return self.expectations.step(title, expected)

    def call(self, step: ExpectedStep, *arguments: str, observe: CallObserver | None = None) -> CommandResult:
        """Run one command, and record it in the step."""
        step.commands.append(" ".join(("rollout-stacksets", *arguments)))
        return self.command.call(*arguments, observe=observe)

    def succeed(self, step: ExpectedStep, *arguments: str) -> CommandResult:
        """Run one command, and expect that it succeeds."""
        called = self.call(step, *arguments)
        step.expect(called.code == 0, called.reason)
        return called

    def check(self, step: ExpectedStep) -> CommandResult:
        """Check the templates, as apply does first of all."""
        step.commands.append(f"build-templates --check --templates-dir {self.command.templates}")
        return self.command.check()

    def suffix(self, phase: str) -> str:
        """The suffix that ends the names of a phase."""
        return parameters.suffix_of(self.prepared.rollout, phase)

    def snapshot(self, phase: str) -> Snapshot:
        """The phase as the services describe it."""
        rollout = self.prepared.rollout
        return snapshot.take_snapshot(
            self.prepared.accounts,
            Target(rollout.tooling.account, rollout.home),
            self.suffix(phase),
            rollout.network.account if rollout.network else None,
            rollout.stacksets.call_as,
            self._digests,
        )

    def snapshots(self) -> dict[str, Snapshot]:
        """All phases, as the services describe them."""
        return {phase: self.snapshot(phase) for phase in self.prepared.rollout.phases}

    def journal(self, phase: str) -> Run | None:
        """The current or last run of a phase, from its journal."""
        if phase not in self._journals:
            suffix, home = self.suffix(phase), self.prepared.rollout.home
            client = self.command.phase_client(phase, suffix)
            bucket = shared_outputs(client, self.prepared.rollout, phase).tooling[home][ARTIFACTS_BUCKET]
            self._journals[phase] = Store(client.objects(home), bucket, suffix).journal
        return self._journals[phase].run()

    def operations(self) -> Mapping[str, Counter[str]]:
        """The operations of StackSets by phase and action, as the service lists them."""
        rollout = self.prepared.rollout
        api = self.prepared.accounts.api("cloudformation", rollout.tooling.account, rollout.home)
        call_as = rollout.stacksets.call_as
        found = {}
        for phase in rollout.phases:
            found[phase] = Counter[str]()
            for name in snapshot.stack_sets(api, self.suffix(phase), call_as):
                pages = api.get_paginator("list_stack_set_operations").paginate(StackSetName=name, CallAs=call_as)
                found[phase].update(each["Action"] for page in pages for each in page["Summaries"])
        return found

    def expect_stacks(self, step: ExpectedStep, phase: str, planned: int) -> None:
        """Expect as many stacks in the accounts as the plan has."""
        found = len(self.snapshot(phase).stacks)
        step.expect(found == planned, f"{counted_noun(found, 'stack')}, and the plan has {planned:,}")

    def expect_each_operation_once(self, step: ExpectedStep, phase: str, before: Snapshot) -> int:
        """Expect the operations of the journal and no others in what AWS lists, each once. Return how many."""
        run = self.journal(phase)
        step.expect(run is not None, "the journal is empty")
        assert run is not None
        written = [entry for entry in run.entries if entry.call.action not in WITHOUT_OPERATION]
        ids = sorted(entry.operation_id for entry in written)
        listed = sorted(each for new in self.snapshot(phase).new_operations(before).values() for each in new)
        step.expect(
            ids == listed,
            f"the journal has {len(ids)} operations and AWS lists {len(listed)}; "
            f"only in one of them: {', '.join(sorted(set(ids) ^ set(listed)))}",
        )
        times = Counter((each.call.action, each.call.layer, target) for each in written for target in each.call.targets)
        twice = [f"{action.value} of {layer} in {target}" for (action, layer, target), n in times.items() if n > 1]
        step.expect(not twice, f"done twice: {', '.join(twice)}")
        return len(ids)
