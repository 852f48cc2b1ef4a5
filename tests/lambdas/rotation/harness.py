"""Cuts and interleaves invocations at every unit they send, and checks what must hold afterwards.

Nothing here knows what the function sends: a trial run counts the units of a step, and every one is then a point at
which to cut or to switch.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field

from sampling import Points, every

from .function import Invocation
from .rig import STEPS, Rig, Trial, until_converged
from .wire import Link

# A held packet blocks others until its session's own time limit ends it; so these invocations get little time.
HELD_SECONDS = 1.8
_ATTEMPTS = 12
_PAUSE_SECONDS = 0.3


@dataclass
class Findings:
    """Counts of what was tried, and what was found wrong."""

    tried: int = 0
    recovered: int = 0
    violations: list[str] = field(default_factory=list)

    def check(self, trial: Trial, where: str) -> None:
        """Count a trial: some label logs in now; a clean run then ends with AWSCURRENT logging in."""
        self.tried += 1
        self.check_now(trial, where)

    def check_now(self, trial: Trial, where: str) -> None:
        self.check_login(trial, where)
        if not until_converged(trial, _ATTEMPTS, between=lambda: time.sleep(_PAUSE_SECONDS)):
            self.violations.append(f"{where}: rotations do not converge")

    def check_login(self, trial: Trial, where: str) -> None:
        if not trial.labels_that_log_in():
            self.violations.append(f"{where}: no label of the secret logs in")


def prepared(rig: Rig, step: str) -> tuple[Trial, str]:
    """A trial whose rotation has come to just before this step, with a past rotation behind it."""
    trial = rig.trial()
    token = trial.begin()
    for earlier in STEPS[: STEPS.index(step)]:
        outcome = trial.step(earlier, token)
        assert outcome.error is None, outcome
    return trial, token


def units_of(rig: Rig, step: str) -> int:
    """The number of units that a clean run of the step sends."""
    trial, token = prepared(rig, step)
    invocation = trial.start(step, token)
    units = rig.wire.run(invocation)
    assert invocation.outcome().error is None
    return units


def crash(rig: Rig, step: str, moment: str, points: Points = every) -> Findings:
    """Kill a step at its units.

    Moments: "before" the unit leaves; "after" it took effect but was not answered; "held" in the network, to arrive
    when the rotation has been repeated with success.
    """
    findings = Findings()
    for point in points(units_of(rig, step)):
        where = f"{step} killed {moment} unit {point}"
        trial, token = prepared(rig, step)
        _crash(trial, step, token, point, moment, findings, where)
    return findings


def _crash(trial: Trial, step: str, token: str, point: int, moment: str, findings: Findings, where: str) -> None:
    wire = trial.rig.wire
    invocation = trial.start(step, token, HELD_SECONDS if moment == "held" else 30.0)
    link = advance(trial.rig, invocation, point)
    if link is None:
        findings.violations.append(f"{where}: the step sent fewer units than before")
        wire.cut(invocation)
    elif moment == "before":
        wire.cut(invocation)
    elif moment == "after":
        wire.cut_after(invocation, link)
    else:
        connection, unit = wire.cut_holding(invocation, link)
        for _ in range(3):  # The rotation itself, and two more, so that no label knows the late password any more.
            findings.check_now(trial, where)
        with connection, suppress(OSError):
            connection.sendall(unit)
            connection.settimeout(0.2)
            while connection.recv(65536):
                pass
    findings.check(trial, where)


def advance(rig: Rig, invocation: Invocation, units: int) -> Link | None:
    """Pass on this many units, and let the invocation run on to the next one; None when it ended before."""
    for _ in range(units):
        link = rig.wire.next_unit(invocation)
        if link is None:
            return None
        rig.wire.pass_on(link)
    return rig.wire.next_unit(invocation)


def interleave(rig: Rig, first: str, second: str, points: Points = every) -> Findings:
    """Two invocations with the same token: the second runs while the first is paused, at its units."""
    findings = Findings()
    for before in points(units_of(rig, first)):
        point = before + 1
        where = f"{first} paused at unit {point} for {second}"
        trial, token = prepared(rig, min(first, second, key=STEPS.index))
        paused = trial.start(first, token)
        advance(rig, paused, point)
        rig.wire.pause(paused)
        trial.step(second, token)
        findings.check_login(trial, where)
        rig.wire.run(paused)
        paused.outcome()
        findings.check(trial, where)
    return findings


def overtake(rig: Rig, step: str, points: Points = every) -> Findings:
    """An invocation is paused; an operator abandons its rotation; another rotation runs; then the first goes on.

    Where the operator comes between the change of the password and its promotion, no label logs in any more: then
    `recover` has to help.
    """
    findings = Findings()
    for point in points(units_of(rig, step) + 1):
        where = f"{step} overtaken at unit {point}"
        trial, token = prepared(rig, step)
        late = trial.start(step, token)
        advance(rig, late, point)
        rig.wire.pause(late)
        if "AWSPENDING" in rig.secrets_manager.labels(trial.arn):
            rig.secrets_manager.take_label(trial.arn, "AWSPENDING")
        overtook = trial.rotate(trial.begin())[-1].error is None
        rig.wire.run(late)
        late.outcome()
        if not trial.labels_that_log_in():
            findings.recovered += 1
            if overtook:
                findings.violations.append(f"{where}: it changed the password of a finished rotation")
            elif error := trial.by_hand("recover").error:
                findings.violations.append(f"{where}: recover failed with {error}")
        findings.check(trial, where)
    return findings
