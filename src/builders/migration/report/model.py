"""The report of a migration as values, read from the schema of the target in which a migration keeps its state."""

from __future__ import annotations

import datetime
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from builders.migration import journal
from builders.migration.databases import Database
from builders.migration.journal import Entry, Kind, Run
from builders.migration.phase import Phase
from builders.migration.switchover.runs import SwitchoverOptions, outage_seconds, steps_of

FORMAT = 1
"""Version of the JSON: a field may be added; a change of one that is there raises the number."""

_VERIFICATIONS = """
SELECT began, finished, clean, report FROM stackferry_state.verification
WHERE whole AND finished IS NOT NULL ORDER BY finished
"""
_ACCEPTED = "SELECT finding, at, caller FROM stackferry_state.accepted ORDER BY finding"
_SERVER = "SELECT current_database(), current_setting('server_version')"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class Server(_Value):
    """A side: its address, its database, and PostgreSQL's version."""

    address: str
    database: str
    postgresql: str


class StepTime(_Value):
    """A step of a run: when it began first and when it ended, and how."""

    name: str
    words: str
    began: datetime.datetime
    ended: datetime.datetime | None
    seconds: float | None
    state: Literal["done", "undone", "broken off"]


class RunTimes(_Value):
    """A cut-over, a fall-back or a finish, with every step, and who ran it."""

    name: str
    kind: str
    began: datetime.datetime
    ended: datetime.datetime | None
    state: Literal["done", "undone", "not over"]
    callers: tuple[str, ...]
    write_outage_seconds: float | None
    lag_seconds: float | None
    """Seconds that the last write took to the other side: those that the marker was waited for."""
    steps: tuple[StepTime, ...]


class TableDigests(_Value):
    """A table as each server counted and hashed its own rows."""

    table: str
    source_rows: int
    target_rows: int
    source_digest: str
    target_digest: str
    differing: int
    in_motion: int


class Verification(_Value):
    """A comparison of all tables. Where writers went on, both digests are of different moments."""

    began: datetime.datetime
    finished: datetime.datetime
    same: bool
    definitions_differing: int
    tables: tuple[TableDigests, ...]


class AcceptedFinding(_Value):
    """A finding of the check that somebody accepted by name."""

    finding: str
    at: datetime.datetime
    caller: str


class Report(_Value):
    """All that a migration did in one phase."""

    format: int = FORMAT
    phase: str
    made_at: datetime.datetime
    caller: str
    stackferry: str
    dms: str
    """Version of the replication engine."""
    source: Server
    target: Server
    application_writes_to: str
    runs: tuple[RunTimes, ...]
    verifications: tuple[Verification, ...]
    accepted: tuple[AcceptedFinding, ...]


def of_phase(phase: Phase) -> Report:
    """Read the report of a phase. Raises `MigrationError`."""
    filters = [{"Name": "replication-instance-arn", "Values": [phase.task.task().instance_arn]}]
    instances = phase.session.pages("dms", "DescribeReplicationInstances", Filters=filters)
    engine = next((str(each.get("EngineVersion", "")) for each in instances), "")
    with phase.source() as source, phase.target() as target:
        return gather(phase.name, phase.caller, engine, source, target)


def gather(phase: str, caller: str, dms: str, source: Database, target: Database) -> Report:
    """Read the report from what the target keeps. Raises `MigrationError`."""
    runs = journal.Journal(target).runs()
    return Report(
        phase=phase,
        made_at=target.value("SELECT clock_timestamp()"),
        caller=caller,
        stackferry=importlib.metadata.version("stackferry"),
        dms=dms,
        source=_server(source),
        target=_server(target),
        application_writes_to=journal.open_side(runs),
        runs=tuple(map(_times, runs)),
        verifications=tuple(_verification(*row) for row in _rows(target, "verification", _VERIFICATIONS)),
        accepted=tuple(
            AcceptedFinding(finding=finding, at=at, caller=by)
            for finding, at, by in _rows(target, "accepted", _ACCEPTED)
        ),
    )


def _rows(target: Database, table: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a table of state, which a command makes when it first needs it."""
    is_there = target.value("SELECT to_regclass(%s) IS NOT NULL", (f"{journal.SCHEMA}.{table}",))
    return target.run(query) if is_there else []


def _server(database: Database) -> Server:
    ((name, version),) = database.run(_SERVER)
    return Server(address=f"{database.login.host}:{database.login.port}", database=name, postgresql=version)


def _times(run: Run) -> RunTimes:
    own = [entry for entry in run.entries if entry.step != run.kind]
    begun = run.first(run.kind, "begins")
    known = {kind: steps_of(kind, _options(begun)) for kind in get_args(Kind)}
    words = {step.name: step.words for step in known.get(run.kind, ())}
    last = run.last(run.kind)
    steps = tuple(_step(name, words.get(name, ""), own) for name in dict.fromkeys(entry.step for entry in own))
    return RunTimes(
        name=run.name,
        kind=run.kind,
        began=run.entries[0].at,
        ended=run.entries[-1].at if run.is_over else None,
        state="undone" if last == "undone" else "done" if run.is_over else "not over",
        callers=tuple(dict.fromkeys(entry.caller for entry in run.entries if entry.caller)),
        write_outage_seconds=outage_seconds(run),
        lag_seconds=next((step.seconds for step in steps if step.name == "marker" and step.state == "done"), None),
        steps=steps,
    )


def _options(begun: Entry | None) -> SwitchoverOptions:
    """The options that a run began with, which are among its steps' words."""
    details = begun.details if begun else {}
    return SwitchoverOptions(keep_reads=bool(details.get("keep_reads")), way_back=bool(details.get("way_back", True)))


def _step(name: str, words: str, entries: Sequence[Entry]) -> StepTime:
    own = [entry for entry in entries if entry.step == name]
    ended = own[-1].at if own[-1].state != "begins" else None
    return StepTime(
        name=name,
        words=words,
        began=own[0].at,
        ended=ended,
        seconds=round((ended - own[0].at).total_seconds(), 3) if ended else None,
        state="broken off" if own[-1].state == "begins" else own[-1].state,
    )


def _verification(
    began: datetime.datetime, finished: datetime.datetime, clean: bool, found: Mapping[str, Any]
) -> Verification:
    return Verification(
        began=began,
        finished=finished,
        same=clean,
        definitions_differing=sum(each["state"] == "differs" for each in found["definitions"]),
        tables=tuple(
            TableDigests(
                table=each["table"],
                source_rows=each["rows"]["source"],
                target_rows=each["rows"]["target"],
                source_digest=each["digest"]["source"],
                target_digest=each["digest"]["target"],
                # The state may keep the rows themselves by their keys, which no report has.
                differing=each["differing"] if isinstance(each["differing"], int) else len(each["differing"]),
                in_motion=each["inMotion"],
            )
            for each in found["tables"]
        ),
    )
