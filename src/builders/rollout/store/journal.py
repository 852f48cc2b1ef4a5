"""The journal of a run, which is its lock too: written on condition that nobody else wrote since."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from builders.rollout.model import Place
from builders.rollout.steps import Step


class Command(enum.Enum):
    """What a run is for."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    REMOVE = "remove"


class RunStatus(enum.Enum):
    """RUNNING holds the lock, whether its process lives or not."""

    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"


class State(enum.Enum):
    """SUBMITTING is written before the call: AWS may or may not know the operation."""

    SUBMITTING = "SUBMITTING"
    OVER = "OVER"


@dataclass(frozen=True)
class Entry:
    """One operation. `outcome` is its last status; `missed` are the places where it did not succeed."""

    operation_id: str
    step: Step
    state: State
    outcome: str = ""
    missed: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Run:
    """A run. `began` is an ISO time that the caller gives; `owner` names who may write."""

    id: str
    command: Command
    release: str
    owner: str
    began: str
    acknowledged: tuple[str, ...] = ()
    status: RunStatus = RunStatus.RUNNING
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class Ended:
    """A run that ended. `good`: every instance was CURRENT."""

    run: str
    command: Command
    release: str
    began: str
    status: RunStatus
    good: bool


class Journal:
    """The runs of one suffix. Safe for threads; every write raises `RolloutError` once another run has taken over."""

    def run(self) -> Run | None:
        """The run that is under way or was the last, with all its entries, as the bucket has it now."""
        raise NotImplementedError

    def begin(self, run: Run) -> None:
        """Take the lock for a new run. Raises `RolloutError` while another is RUNNING."""
        raise NotImplementedError

    def take_over(self, owner: str) -> Run:
        """Go on with the run that is RUNNING, as its new owner; its former one cannot write any more."""
        raise NotImplementedError

    def record(self, *entries: Entry) -> None:
        """Write down operations, before their calls and after their end; an entry replaces the one of its id."""
        raise NotImplementedError

    def close(self, status: RunStatus, *, good: bool) -> None:
        """End the run and give the lock back."""
        raise NotImplementedError

    def history(self) -> Sequence[Ended]:
        """The runs that ended, oldest first."""
        raise NotImplementedError
