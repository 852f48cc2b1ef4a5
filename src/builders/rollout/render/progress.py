"""The progress of a run while it goes: a table on a terminal, a line an event in a pipe.

`RunProgress` gathers the events. It is safe for threads: the executor reports, and another thread draws.
"""

from __future__ import annotations

import contextlib
import datetime
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from builders import terminal
from builders.page import Page, elapsed_time, target_list
from builders.progress import stderr_draws
from builders.rollout.checks.status import InstanceStatus, InstanceView, instance_status
from builders.rollout.executor.context import Clock, Observer
from builders.rollout.model import Operation, Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan
from builders.rollout.render import status
from builders.terminal import BAD, FAINT, STRONG
from builders.text import counted_noun, name_list, printable

_AT_FIRST = {ChangeKind.NOTHING: InstanceStatus.CURRENT, ChangeKind.INOPERABLE: InstanceStatus.INOPERABLE}
_MESSAGES_KEPT = 5


class RunProgress(Observer):
    """The state of every instance, the wave, the operations that run, and the last messages.

    The plan gives the state at first; without one, instances appear with the events that name them.
    """

    def __init__(self, clock: Clock, plan: Plan | None = None) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = clock.now()
        self.layers: tuple[str, ...] = ()
        self.regions: tuple[str, ...] = ()
        self.instances: dict[str, dict[Target, InstanceView]] = {}
        self.wave_name = ""
        self.wave_targets = 0
        self.running: dict[str, tuple[Call, float]] = {}
        """Calls by the id of the operation, with the clock's seconds when it began."""
        self.ended = 0
        self.failed = 0
        self.messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._statuses: dict[str, str] = {}
        if plan is not None:
            self.layers = plan.layers
            self.regions = tuple(dict.fromkeys(region for each in plan.operations for region in each.regions))
            for group in plan.groups:
                state = InstanceView(_AT_FIRST.get(group.kind, InstanceStatus.PENDING))
                self.instances.setdefault(group.layer, {}).update(dict.fromkeys(group.targets, state))

    def happened(self, line: str) -> None:
        """Take the line of an event, which came into the state just now."""

    def wave(self, name: str, targets: int) -> None:
        """A wave begins."""
        with self._lock:
            self.wave_name, self.wave_targets = name, targets
        self.happened(f"wave {name}: {counted_noun(targets, 'target')}")

    def submitted(self, call: Call, operation_id: str) -> None:
        """A call was made."""
        if self._changes(call, Operation(operation_id, call.action.value, "RUNNING")):
            where = f" at {target_list(call.targets)}" if call.targets else ""
            self.happened(f"{call.layer}: {call.action.value}{where}, operation {operation_id}")

    def operation(self, call: Call, operation: Operation) -> None:
        """An operation was looked at."""
        if self._changes(call, operation):
            reason = f": {operation.reason}" if operation.reason else ""
            failed = f", {counted_noun(operation.failed, 'instance')} failed" if operation.failed else ""
            self.happened(f"{call.layer}: operation {operation.id} {operation.status}{failed}{reason}")

    def targets(self, layer: str, states: Mapping[Target, str]) -> None:
        """Instances were looked at; no operation reports those that are skipped."""
        with self._lock:
            found = {target: InstanceView(instance_status(word)) for target, word in states.items()}
            self.instances.setdefault(layer, {}).update(found)
        if skipped := [target for target, word in states.items() if word == "skipped"]:
            self.happened(f"{layer}: skipped at {target_list(skipped)}")

    def say(self, line: str) -> None:
        """Show a line that a person should read."""
        with self._lock:
            self.messages.append(line)
        self.happened(line)

    def _changes(self, call: Call, operation: Operation) -> bool:
        """Take an operation in; return whether its status is another one than before."""
        with self._lock:
            if self._statuses.get(operation.id) == operation.status:
                return False
            self._statuses[operation.id] = operation.status
            instances = self.instances.setdefault(call.layer, {})
            if operation.active:
                self.running.setdefault(operation.id, (call, self._clock.now()))
                # Until its instances are looked at, those that had not begun are on their way.
                for target in call.targets:
                    if target not in instances or instances[target].status is InstanceStatus.PENDING:
                        instances[target] = InstanceView(InstanceStatus.RUNNING)
                return True
            self.running.pop(operation.id, None)
            self.ended += 1
            # StackSets calls an operation SUCCEEDED that failed within its tolerance.
            if operation.status != "SUCCEEDED" or operation.failed:
                self.failed += 1
            elif call.action is Action.DELETE:
                for target in call.targets:
                    instances.pop(target, None)
            else:
                instances.update(dict.fromkeys(call.targets, InstanceView(InstanceStatus.CURRENT)))
            return True


_SUMMARY_SECONDS = 30.0
_LAYERS_NAMED = 6


def _utc() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%H:%M:%SZ")


class ProgressLines(RunProgress):
    """Writes a line for each event, and now and then a summary: at most every 30 seconds, and only with an event.

    `stamp` gives the time of a line.
    """

    def __init__(self, clock: Clock, stream: TextIO | None = None, stamp: Callable[[], str] = _utc) -> None:
        super().__init__(clock)
        self._stream = stream or sys.stderr
        self._stamp = stamp
        self._writing = threading.Lock()
        self._summarized = self._begun

    def happened(self, line: str) -> None:
        """Write the line of an event."""
        # The reader of the pipe may be gone, as `head` is: the rollout goes on without one.
        with self._writing, contextlib.suppress(OSError, ValueError):
            self._stream.write(f"{self._stamp()} {printable(line)}\n")
            self._stream.flush()

    def operation(self, call: Call, operation: Operation) -> None:
        """An operation was looked at."""
        super().operation(call, operation)
        now = self._clock.now()
        with self._lock:
            if now - self._summarized < _SUMMARY_SECONDS:
                return
            self._summarized = now
            busy = sorted({call.layer for call, _ in self.running.values()})
        layers = f"{counted_noun(len(busy), 'layer')} under way ({name_list(busy, _LAYERS_NAMED)})"
        failed = f", {self.failed:,} not successful" if self.failed else ""
        self.happened(
            f"wave {self.wave_name}, {elapsed_time(now - self._begun)}: {layers if busy else 'nothing under way'}, "
            f"{counted_noun(self.ended, 'operation')} ended{failed}"
        )


_DRAWN_PER_SECOND = 4
"""More is no use to an eye, and slows the rollout."""
_OPERATIONS_SHOWN = 6
_SMALLEST_HEIGHT = 12


class ProgressTable(RunProgress):
    """Accounts by regions by layers, with the wave, the operations that run and the last messages."""

    detailed = True

    def __init__(self, title: str, clock: Clock, plan: Plan | None = None) -> None:
        super().__init__(clock, plan)
        self.title = title

    def draw(self, width: int, height: int) -> Text:
        """The table as it is now, in at most so many columns and lines."""
        top, bottom = Page(width), Page(width)
        most = max(height, _SMALLEST_HEIGHT) - 1
        with self._lock:
            now = self._clock.now()
            wave = f"; wave {self.wave_name}: {counted_noun(self.wave_targets, 'target')}" if self.wave_name else ""
            top.line((self.title, STRONG), f", {elapsed_time(now - self._begun)}{wave}")
            failed = f", {self.failed:,} not successful" if self.failed else ""
            running = counted_noun(len(self.running), "operation")
            top.line(f"{running} under way, {self.ended:,} ended", (failed, BAD))
            operations = sorted(self.running.items(), key=lambda each: each[1][1])
            for operation_id, (call, since) in bottom.first(operations, _OPERATIONS_SHOWN, "operation", indent=0):
                where = f" in {counted_noun(len(call.accounts), 'account')}" if call.accounts else ""
                what = f"{call.layer}: {call.action.value}{where}, {elapsed_time(now - since)}  "
                bottom.line(what, (operation_id, FAINT))
            for message in self.messages:
                bottom.line((message, FAINT))
            layers = dict.fromkeys([*self.layers, *self.instances])
            status.grid(top, list(layers), self.regions, self.instances, max(1, most - len(bottom.lines) - 2))
        # Where they do not fit, the table gives way to what runs and to the messages.
        top.lines[max(3, most - len(bottom.lines)) :] = bottom.lines
        del top.lines[most:]
        return top.text()


def drawing(table: ProgressTable, console: Console) -> Live:
    """A context manager that draws a table while it changes, and leaves its last state to be read."""

    def drawn() -> Text:
        try:
            return table.draw(console.width, console.height)
        except Exception as error:  # it would end the thread that draws
            return Text(f"{table.title}: the table cannot be drawn ({error!r}); the rollout goes on")

    # stdout may be a file or a pipe: what is printed there is not for the terminal.
    return Live(console=console, get_renderable=drawn, refresh_per_second=_DRAWN_PER_SECOND, redirect_stdout=False)


@contextlib.contextmanager
def observing(
    title: str = "rollout", plan: Plan | None = None, clock: Clock | None = None
) -> Iterator[ProgressTable | ProgressLines]:
    """The observer that suits stderr: a table where it draws, else lines."""
    clock = clock or Clock()
    if not stderr_draws():
        yield ProgressLines(clock)
        return
    table = ProgressTable(title, clock, plan)
    with drawing(table, terminal.console(sys.stderr)) as live:
        live.refresh()
        yield table
