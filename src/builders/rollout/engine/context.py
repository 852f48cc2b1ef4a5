"""What all parts of one run share."""

from __future__ import annotations

from dataclasses import dataclass

from builders.rollout.client.members import Members
from builders.rollout.client.plain import Plain
from builders.rollout.client.stack_sets import StackSets
from builders.rollout.engine.watch import Watch
from builders.rollout.model import Desired
from builders.rollout.pace import Clock, Patience
from builders.rollout.store import Journal, Known


@dataclass(frozen=True)
class Context:
    """The phase as it shall be, whom to ask, where to write, and who looks on."""

    wanted: Desired
    release: str
    sets: StackSets
    members: Members
    plain: Plain
    journal: Journal
    known: Known
    clock: Clock
    patience: Patience
    watch: Watch
    back: bool = False
    """Whether layers go in reverse: a rollback, or a removal."""
