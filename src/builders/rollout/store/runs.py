"""Runs and their operations, as values."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from builders.rollout.model import Place
from builders.rollout.steps import Step


class Command(enum.Enum):
    """What a run is for."""

    APPLY = "apply"
    ROLLBACK = "rollback"
    REMOVE = "remove"
    LET_GO = "remove --account"


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
    """A run. `began` is an ISO time that the caller gives; `owner` is a token of whoever may write.

    `good`, known at its end: every instance was CURRENT. `to` is the release that a rollback puts back: its own differs
    where accounts came or left since.
    """

    id: str
    command: Command
    release: str
    owner: str
    began: str
    acknowledged: tuple[str, ...] = ()
    status: RunStatus = RunStatus.RUNNING
    entries: tuple[Entry, ...] = ()
    good: bool = False
    to: str = ""


@dataclass(frozen=True)
class Ended:
    """A run that ended. `good`: every instance was CURRENT."""

    run: str
    command: Command
    release: str
    began: str
    status: RunStatus
    good: bool
    to: str = ""
