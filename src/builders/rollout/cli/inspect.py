"""The commands `status`, `outputs`, `drift` and `doctor`: they change nothing, and `outputs` writes files."""

from __future__ import annotations

from pathlib import Path

import click

from builders import progress
from builders.command_line import show
from builders.rollout.checks.doctor import run_doctor
from builders.rollout.checks.drift import DriftOptions, run_drift
from builders.rollout.checks.findings import CheckedPhase
from builders.rollout.checks.outputs import run_outputs
from builders.rollout.checks.status import known_stack_sets, run_status
from builders.rollout.cli.options import PATH, Options, json_option, phase_command, poll_option
from builders.rollout.executor.context import PollInterval
from builders.rollout.phase import readable_outputs
from builders.rollout.render import results
from builders.rollout.render.status import add_status, status_data
from builders.rollout.state.journal import RunStatus


@phase_command(json_option)
def status(options: Options) -> int:
    """Show every instance of a phase, what runs, and the last releases."""
    phase = options.open_phase()
    ours = known_stack_sets(phase.rollout, phase.layers)
    view, code = run_status(phase.client, phase.desired, phase.store, phase.layers, ours)
    show(lambda: status_data(view), lambda page: add_status(page, view), as_json=options.as_json)
    return code


@phase_command(
    click.option("--outputs-dir", type=PATH, default=Path("outputs"), show_default=True),
    json_option,
    interrupted="files that were written stay; outputs again writes all",
)
def outputs(options: Options, outputs_dir: Path) -> int:
    """Write the outputs of every instance's stack to outputs/<phase>/<account>/<region>/, with one index."""
    phase = options.open_phase()
    release = phase.store.last_good() or ""
    view, code = run_outputs(phase.client, phase.desired, phase.shared, phase.layers, release, outputs_dir)
    show(lambda: results.outputs_data(view), lambda page: results.add_outputs(page, view), as_json=options.as_json)
    return code


@phase_command(
    click.option("--layer", "layers", multiple=True, help="Look at this layer only; may be given several times."),
    click.option(
        "--deep", is_flag=True, help="Also compare each stack with its set: StackSets does not call that drift."
    ),
    poll_option,
    json_option,
    interrupted="detections that StackSets has begun go on, and change nothing",
)
def drift(options: Options, layers: tuple[str, ...], deep: bool) -> int:
    """Detect drift in every instance and show what drifted. Exit code 1 when something did."""
    phase = options.open_phase()
    how = DriftOptions(layers=layers, deep=deep, poll_interval=PollInterval(options.poll_seconds), say=progress.say)
    known = phase.store.overrides()
    view, code = run_drift(phase.client, phase.desired, phase.layers, known, how)
    run = phase.store.journal.run()
    if run is None or run.status is not RunStatus.RUNNING:  # else its process saves them
        phase.store.save_overrides(known)
    show(lambda: results.drift_data(view), lambda page: results.add_drift(page, view), as_json=options.as_json)
    return code


@phase_command(json_option)
def doctor(options: Options) -> int:
    """Check roles, trust, regions, quotas, accounts and templates; each finding comes with its fix."""
    connection = options.connect()
    shared, problem = readable_outputs(connection.client, connection.rollout, connection.phase)
    store = connection.stored_in(shared) if connection.rollout.home in shared.tooling else None
    found, code = run_doctor(CheckedPhase.of(connection, shared, store, problem))
    show(lambda: results.doctor_data(found), lambda page: results.add_diagnosis(page, found), as_json=options.as_json)
    return code
