"""status, outputs, drift and doctor, as they are called: they only look, but for the files of `outputs`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builders import progress
from builders.errors import RolloutError
from builders.rollout import bootstrap, opening
from builders.rollout.client.reach import Reach
from builders.rollout.commands import calling
from builders.rollout.commands.calling import Called
from builders.rollout.desired import Shared
from builders.rollout.opening import Door, Opened
from builders.rollout.pace import Patience
from builders.rollout.reading.doctor import findings
from builders.rollout.reading.doctor.patient import BUCKET, Patient
from builders.rollout.reading.doctor.running import run_doctor
from builders.rollout.reading.drift import Look, run_drift
from builders.rollout.reading.outputs import run_outputs
from builders.rollout.reading.status import known_names, run_status
from builders.rollout.showing import (
    doctor as showing_doctor,
    drift as showing_drift,
    outputs as showing_outputs,
    status as showing_status,
)
from builders.rollout.store import RunStatus, Store


def status(called: Called, *, phase: str, as_json: bool) -> int:
    """Show a phase as it stands."""
    opened = calling.phase(called, phase)
    ours = known_names(opened.rollout, opened.layers)
    view, code = run_status(opened.client, opened.wanted, opened.store, _reach(opened), opened.layers, ours)
    calling.answer(lambda: showing_status.data(view), lambda width: showing_status.text(view, width), as_json)
    return code


def outputs(called: Called, *, phase: str, outputs_dir: Path, as_json: bool) -> int:
    """Write what every stack put out."""
    opened = calling.phase(called, phase)
    release = opened.store.last_good() or ""
    view, code = run_outputs(opened.client, opened.wanted, opened.shared, opened.layers, release, outputs_dir)
    calling.answer(lambda: showing_outputs.data(view), lambda width: showing_outputs.text(view, width), as_json)
    return code


def drift(called: Called, *, phase: str, layers: Sequence[str], deep: bool, poll_seconds: float, as_json: bool) -> int:
    """Detect drift, wait, and show what drifted."""
    opened = calling.phase(called, phase)
    how = Look(layers=layers, deep=deep, patience=Patience(poll_seconds), say=progress.say)
    known = opened.store.known()
    view, code = run_drift(opened.client, opened.wanted, opened.layers, known, how)
    run = opened.store.journal.run()
    if run is None or run.status is not RunStatus.RUNNING:  # whose process writes down what it knows itself
        opened.store.keep(known)
    calling.answer(lambda: showing_drift.data(view), lambda width: showing_drift.text(view, width), as_json)
    return code


def doctor(called: Called, *, phase: str, as_json: bool) -> int:
    """Run all checks, whether or not anything stands yet."""
    door = opening.door(calling.options(called), phase)
    shared, store = _as_far_as_it_stands(door)
    patient = Patient.of(door.client, door.rollout, phase, door.templates, shared, door.members, store)
    diagnosis, code = run_doctor(patient)
    calling.answer(lambda: findings.data(diagnosis), lambda width: showing_doctor.text(diagnosis, width), as_json)
    return code


def _as_far_as_it_stands(door: Door) -> tuple[Shared, Store | None]:
    try:
        shared = bootstrap.shared(door.client, door.rollout, door.phase)
    except RolloutError as error:
        progress.say(str(error))
        return Shared(), None
    home = door.rollout.home
    return shared, Store(door.client.objects(home), shared.tooling[home][BUCKET], door.suffix)


def _reach(opened: Opened) -> Reach:
    return Reach.of(opened.client, opened.wanted.phase, opened.wanted.suffix, opened.rollout.deploy_role)
