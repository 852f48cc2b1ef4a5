"""`migrate-database rotate`: a new password for DMS's user in the target, which DMS reads only while its task rests.

The task is stopped, the secret is rotated by its function, and the task goes on where it stopped. What a run has begun
is in the journal, so that a killed one is taken up by the same command, whatever it had done by then.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.aws.calls import Session
from builders.aws.errors import Refused, Unreachable
from builders.errors import MigrationError, UsageError
from builders.migration import journal, slots
from builders.migration.databases import Database
from builders.migration.journal import Journal
from builders.migration.phase import Phase
from builders.migration.task import running
from builders.migration.task.running import Watch
from builders.migration.task.values import Task

KIND = "rotate"
SECRET, FUNCTION = "dmsSecretArn", "dmsRotationFunctionArn"
PATIENCE_SECONDS = 300.0
"""So long a rotation may take: four calls of a function of a minute each, one of which may be repeated."""
RARELY_DAYS = 1000
"""The longest interval that Secrets Manager takes: rotation is on only until this command turns it off again."""

_NOT_COMPLETE = "previous rotation isn't complete"


@dataclass(frozen=True)
class _Begun:
    """A rotation of the journal: its name, the version before it, its token, and whether the task is to go on."""

    name: str
    before: str
    token: str
    resumes: bool


def run(phase: Phase, watch: Watch) -> Task:
    """Rotate, and return the task as it is then: as before, running or at rest. Raises `StackferryError`."""
    missing = [name for name in (SECRET, FUNCTION) if name not in phase.outputs]
    if missing:
        raise UsageError(
            f"the outputs of {phase.name} lack {' and '.join(missing)}; deploy the layers secrets and rotation, and "
            "write the outputs again"
        )
    with phase.target() as target, journal.locked(target):
        log = Journal(target, phase.caller)
        log.prepare()
        begun = _take_up(log, watch) or _begin(log, target, phase)
        task = running.stop(phase.task, watch)
        try:
            _rotate(phase.session, phase.outputs, begun, watch)
        except (Refused, Unreachable) as error:
            raise MigrationError(f"{error}. The task stays stopped until you run this again") from error
        if begun.resumes:
            slots.check(phase, watch.say)
            task = running.resume(phase.task, watch, until_loaded=False)
        log.write(begun.name, KIND, "done")
    return task


def _take_up(log: Journal, watch: Watch) -> _Begun | None:
    """The rotation that was begun last, where it is not over."""
    runs = [each for each in log.runs() if each.kind == KIND]
    if not runs or runs[-1].is_over:
        return None
    watch.say(f"{runs[-1].name} was broken off, and goes on where it was")
    return _Begun(runs[-1].name, **runs[-1].entries[0].details)


def _begin(log: Journal, target: Database, phase: Phase) -> _Begun:
    task = phase.task.task()
    # A cut-over goes on only while its run is the last of the journal.
    require = journal.must_be_over if task.is_at_rest else journal.must_serve_source
    require(target)
    begun = _Begun(
        f"{KIND}-{1 + sum(each.kind == KIND for each in log.runs())}",
        before=_current(phase.session, phase.outputs[SECRET]),
        token=str(uuid.uuid4()),
        resumes=not task.is_at_rest,
    )
    details = {"before": begun.before, "token": begun.token, "resumes": begun.resumes}
    log.write(begun.name, KIND, "begins", details)
    return begun


def _rotate(session: Session, outputs: Mapping[str, str], begun: _Begun, watch: Watch) -> None:
    """Rotate the secret unless that is done, and turn rotation off: nobody rotates it while the task runs."""
    secret = outputs[SECRET]
    if _current(session, secret) == begun.before:
        watch.say("rotating the password of DMS's user")
        _ask_for_rotation(session, outputs, begun.token, watch)
        deadline = time.monotonic() + watch.left(PATIENCE_SECONDS)
        while _current(session, secret) == begun.before:
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"the rotation has not ended in time; the log of {outputs[FUNCTION].rpartition(':')[2]} says why. "
                    "The task stays stopped, since the password may have changed already: run this again"
                )
            time.sleep(watch.poll_seconds)
    session.ask("secretsmanager", "CancelRotateSecret", SecretId=secret)


def _ask_for_rotation(session: Session, outputs: Mapping[str, str], token: str, watch: Watch) -> None:
    """Ask for a rotation by the function: the secret has no schedule, and so none that Secrets Manager knows of.

    Source: Secrets Manager API reference, "RotateSecret", RotationLambdaARN.
    """
    try:
        session.ask(
            "secretsmanager",
            "RotateSecret",
            SecretId=outputs[SECRET],
            ClientRequestToken=token,
            RotationLambdaARN=outputs[FUNCTION],
            RotationRules={"AutomaticallyAfterDays": RARELY_DAYS},
        )
    except Refused as refused:
        if _NOT_COMPLETE not in str(refused):
            raise
        watch.say("an earlier rotation had not ended, and Secrets Manager tries it again")


def _current(session: Session, secret: str) -> str:
    """The id of the version that is AWSCURRENT."""
    described: Mapping[str, Any] = session.ask("secretsmanager", "DescribeSecret", SecretId=secret)
    stages: Mapping[str, list[str]] = described.get("VersionIdsToStages", {})
    return next((version for version, labels in stages.items() if "AWSCURRENT" in labels), "")
