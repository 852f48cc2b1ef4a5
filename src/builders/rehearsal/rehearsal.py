"""Where the acts of a rehearsal are played: what each expects is said before it, and what came behind it.

What every act of a rehearsal plays with: the world, the commands, the phases from outside, the stage.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from rich.console import Console

from builders import naming
from builders.errors import StackferryError
from builders.rehearsal import snapshot
from builders.rehearsal.cloud import RehearsalCloud
from builders.rehearsal.commands import CommandResult, Observer, RolloutCommand
from builders.rehearsal.snapshot import Snapshot
from builders.rollout.config import sources
from builders.rollout.lifecycle import bootstrap
from builders.rollout.model import Target
from builders.rollout.plan.calls import Action
from builders.rollout.state.journal import Journal, Run
from builders.rollout.state.store import Store


class Unexpected(Exception):
    """Something else came than an act expects; the message says what. No error of ours: a rehearsal looks for it."""


@dataclass
class ExpectedStep:
    """One act. `commands` are what a person would have typed; `seconds` is how long all of it took."""

    title: str
    expected: str
    commands: list[str] = field(default_factory=list)
    came: str = "not played to its end"
    as_expected: bool = False
    seconds: float = 0.0

    def expect(self, condition: bool, otherwise: str) -> None:
        """Go on when it holds; else raise `Unexpected` with what came instead."""
        if not condition:
            raise Unexpected(otherwise)


class Expectations:
    """Keeps the acts, and tells a person of each: plain lines in a pipe, a line that lives on a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.acts: list[ExpectedStep] = []
        self._console = console or Console(file=sys.stderr, highlight=False, emoji=False, soft_wrap=True)

    @contextlib.contextmanager
    def act(self, title: str, expected: str) -> Iterator[ExpectedStep]:
        """Play one act. Raises `Unexpected` where it did not come as expected; then the rehearsal is over."""
        act = ExpectedStep(title, expected)
        self.acts.append(act)
        began = time.monotonic()
        try:
            with self._living(f"{len(self.acts):2}  {title}"):
                yield act
            act.as_expected = True
        except (Unexpected, StackferryError) as what:
            act.came = str(what)
            raise Unexpected(act.came) from what
        except (LookupError, TypeError, ValueError) as error:
            act.came = f"an answer of another form: {error!r}"
            raise Unexpected(act.came) from error
        finally:
            act.seconds = time.monotonic() - began
            self._tell(act)

    @contextlib.contextmanager
    def _living(self, line: str) -> Iterator[None]:
        self.say(line)
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("", spinner="dots"):
            yield

    def _tell(self, act: ExpectedStep) -> None:
        word, style = ("came", "green") if act.as_expected else ("FAILED", "bold red")
        self._console.print(f"    {act.seconds:5.1f} s  ", end="")
        self._console.print(word, style=style, end=": ")
        self._console.print(act.came, markup=False)

    def say(self, line: str) -> None:
        """One line to the person who looks on."""
        self._console.print(line, markup=False)


Say = Callable[[str], None]


QUICK = ("--yes", "--poll", "0.1")
"""How commands that change something are called: the cloud is quick, and nobody is asked."""

WITHOUT_ID = (Action.CREATE_SET, Action.DELETE_SET)
"""Calls of the journal that make no operation."""


@dataclass
class Rehearsal:
    """A rehearsal under way."""

    current: RehearsalCloud
    caller: RolloutCommand
    stage: Expectations
    _journals: dict[str, Journal] = field(default_factory=dict)

    def call(self, act: ExpectedStep, *arguments: str, observe: Observer | None = None) -> CommandResult:
        """Run one command, and note it in the act."""
        act.commands.append(" ".join(("rollout-stacksets", *arguments)))
        return self.caller.call(*arguments, observe=observe)

    def check(self, act: ExpectedStep) -> CommandResult:
        """Check the templates, as apply does before anything else."""
        act.commands.append(f"build-templates --check --templates-dir {self.caller.templates}")
        return self.caller.check()

    def suffix(self, phase: str) -> str:
        """What ends the names of a phase."""
        rollout = self.current.rollout
        return sources.suffix_of(rollout, phase, sources.environment_file(rollout, phase)) or ""

    def snapshot(self, phase: str) -> Snapshot:
        """The phase as the services describe it."""
        rollout = self.current.rollout
        return snapshot.take_snapshot(
            self.current.accounts,
            Target(rollout.tooling.account, rollout.home),
            self.suffix(phase),
            rollout.network.account if rollout.network else None,
            rollout.stacksets.call_as,
        )

    def snapshots(self) -> dict[str, Snapshot]:
        """All phases."""
        return {phase: self.snapshot(phase) for phase in self.current.rollout.phases}

    def journal(self, phase: str) -> Run | None:
        """The run that is under way or was the last, as its journal has it."""
        if phase not in self._journals:
            suffix, home = self.suffix(phase), self.current.rollout.home
            client = self.caller.of_phase(phase, suffix)
            outputs = bootstrap.shared_outputs(client, self.current.rollout, phase).tooling[home]
            bucket = outputs[naming.ARTIFACTS_BUCKET]
            self._journals[phase] = Store(client.objects(home), bucket, suffix).journal
        return self._journals[phase].run()

    def operations(self) -> Mapping[str, Counter[str]]:
        """What StackSets did, by phase and action, as the service lists it."""
        rollout = self.current.rollout
        api = self.current.accounts.api("cloudformation", rollout.tooling.account, rollout.home)
        call_as = rollout.stacksets.call_as
        found = {}
        for phase in rollout.phases:
            found[phase] = Counter[str]()
            for name in snapshot.sets(api, self.suffix(phase), call_as):
                pages = api.get_paginator("list_stack_set_operations").paginate(StackSetName=name, CallAs=call_as)
                found[phase].update(each["Action"] for page in pages for each in page["Summaries"])
        return found


def expect_each_once(troupe: Rehearsal, act: ExpectedStep, phase: str, before: Snapshot) -> int:
    """Hold what the service lists against the journal: each operation once, and none beside. Return how many."""
    run = troupe.journal(phase)
    act.expect(run is not None, "the journal is empty")
    assert run is not None
    written = [entry for entry in run.entries if entry.step.action not in WITHOUT_ID]
    ids = sorted(entry.operation_id for entry in written)
    listed = sorted(each for found in troupe.snapshot(phase).new_operations(before).values() for each in found)
    act.expect(
        ids == listed,
        f"the journal has {len(ids)} operations and AWS lists {len(listed)}; "
        f"only in one of them: {', '.join(sorted(set(ids) ^ set(listed)))}",
    )
    twice = Counter((entry.step.action, entry.step.layer, target) for entry in written for target in entry.step.targets)
    doubled = [
        f"{action.value} of {layer} at {target}" for (action, layer, target), count in twice.items() if count > 1
    ]
    act.expect(not doubled, f"done twice: {', '.join(doubled)}")
    return len(ids)
