"""The commands `status`, `outputs`, `drift`, `doctor` and `bootstrap`.

They change nothing in the phase's stack sets; `outputs` writes files, and `bootstrap` deploys plain stacks.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from builders import naming, progress
from builders.errors import RolloutError
from builders.rollout.checks.doctor import run_doctor
from builders.rollout.checks.drift import DriftOptions, run_drift
from builders.rollout.checks.findings import CheckedPhase
from builders.rollout.checks.outputs import run_outputs
from builders.rollout.checks.status import known_stack_sets, run_status
from builders.rollout.cli import DONE, FAILED
from builders.rollout.cli.options import PATH, GlobalOptions, json_option, phase_option, poll_option
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.executor.context import PollInterval
from builders.rollout.lifecycle.bootstrap import StackOutcome, deploy_stacks
from builders.rollout.phase import shared_outputs
from builders.rollout.render import results
from builders.rollout.render.page import print_result
from builders.rollout.render.status import status_data, status_text
from builders.rollout.state.journal import RunStatus
from builders.rollout.state.store import Store


@click.command()
@phase_option
@json_option
@click.pass_obj
def status(options: GlobalOptions, phase_name: str, as_json: bool) -> int:
    """Show every instance of a phase, what runs, and the last releases."""
    phase = options.open_phase(phase_name)
    ours = known_stack_sets(phase.rollout, phase.layers)
    view, code = run_status(phase.client, phase.desired, phase.store, phase.layers, ours)
    print_result(lambda: status_data(view), lambda width: status_text(view, width), as_json)
    return code


@click.command()
@phase_option
@click.option("--outputs-dir", type=PATH, default=Path("outputs"), show_default=True)
@json_option
@click.pass_obj
def outputs(options: GlobalOptions, phase_name: str, outputs_dir: Path, as_json: bool) -> int:
    """Write the outputs of every instance's stack to outputs/<phase>/<account>/<region>/, with one index."""
    phase = options.open_phase(phase_name)
    release = phase.store.last_good() or ""
    view, code = run_outputs(phase.client, phase.desired, phase.shared, phase.layers, release, outputs_dir)
    print_result(lambda: results.outputs_data(view), lambda width: results.outputs_text(view, width), as_json)
    return code


@click.command()
@phase_option
@click.option("--layer", "layers", multiple=True, help="Look at this layer only; may be given several times.")
@click.option("--deep", is_flag=True, help="Also compare each stack with its set: StackSets does not call that drift.")
@poll_option
@json_option
@click.pass_obj
def drift(
    options: GlobalOptions, phase_name: str, layers: tuple[str, ...], deep: bool, poll_seconds: float, as_json: bool
) -> int:
    """Detect drift in every instance and show what drifted. Exit code 1 when something did."""
    phase = options.open_phase(phase_name)
    how = DriftOptions(layers=layers, deep=deep, poll_interval=PollInterval(poll_seconds), say=progress.say)
    known = phase.store.overrides()
    view, code = run_drift(phase.client, phase.desired, phase.layers, known, how)
    run = phase.store.journal.run()
    if run is None or run.status is not RunStatus.RUNNING:  # else its process saves them
        phase.store.save_overrides(known)
    print_result(lambda: results.drift_data(view), lambda width: results.drift_text(view, width), as_json)
    return code


@click.command()
@phase_option
@json_option
@click.pass_obj
def doctor(options: GlobalOptions, phase_name: str, as_json: bool) -> int:
    """Check roles, trust, regions, quotas, accounts and templates; each finding comes with its fix."""
    connection = options.connect_to(phase_name)
    shared, store = SharedOutputs(), None
    try:
        shared = shared_outputs(connection.client, connection.rollout, connection.phase)
        home = connection.rollout.home
        bucket = shared.tooling[home][naming.ARTIFACTS_BUCKET]
        store = Store(connection.client.objects(home), bucket, connection.suffix)
    except RolloutError as error:
        progress.say(str(error))
    diagnosis, code = run_doctor(CheckedPhase.of(connection, shared, store))
    print_result(lambda: results.doctor_data(diagnosis), lambda width: results.doctor_text(diagnosis, width), as_json)
    return code


@click.command()
@phase_option
@json_option
@click.pass_obj
def bootstrap(options: GlobalOptions, phase_name: str, as_json: bool) -> int:
    """Deploy what StackSets cannot carry: the shared accounts' stacks, each account's roles, the phase's routes."""
    connection = options.connect_to(phase_name)

    def report(outcome: StackOutcome) -> None:
        if not as_json:
            click.echo(outcome)

    outcomes = deploy_stacks(connection, report)
    if as_json:
        click.echo(json.dumps(results.bootstrap_data(outcomes), indent=1, sort_keys=True))
    failed = [each for each in outcomes if not each.succeeded]
    if failed:
        missing = f"{len(failed)} of {len(outcomes)} stacks are not deployed"
        progress.say(f"{missing}; fix the causes shown above and run it again")
    return FAILED if failed else DONE
