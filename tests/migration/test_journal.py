"""The journal of cut-overs on the target, and the lock that keeps a second run away."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import os
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from builders.errors import MigrationError
from builders.migration import journal
from builders.migration.databases import Database
from builders.migration.journal import Entry, Journal, Run, locked, new_name, open_side, runs_of
from builders.migration.switchover.runs import outage_seconds

from .conftest import Pair


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Pair:
    return pair()


@pytest.fixture
def target(both: Pair) -> Iterator[Database]:
    with both.database("target") as database:
        yield database


def run_of(*moments: tuple[str, str], name: str = "cutover-1") -> Run:
    now = datetime.datetime.now(datetime.UTC)
    entries = [Entry(number, now, name, step, moment, {}, "me") for number, (step, moment) in enumerate(moments)]  # type: ignore[arg-type]
    return Run(name, tuple(entries))


def test_there_is_no_journal_before_the_first_run(target: Database) -> None:
    assert Journal(target).runs() == []


def test_what_was_written_is_read_again_with_who_wrote_it(target: Database) -> None:
    written = Journal(target, "arn:aws:iam::123456789012:role/ferry")
    written.prepare()
    written.prepare()
    written.write("cutover-1", "fence", "begins", {"connect": [["app", False]]})
    written.write("cutover-1", "fence", "done")
    (run,) = Journal(target).runs()
    begins = run.first("fence", "begins")
    assert begins is not None
    assert (begins.details, begins.caller) == ({"connect": [["app", False]]}, "arn:aws:iam::123456789012:role/ferry")
    assert run.last("fence") == "done"
    assert run.last("marker") is None


def test_a_row_stands_when_the_transaction_does(target: Database) -> None:
    written = Journal(target)
    written.prepare()
    before = len(written.entries())

    def broken_off() -> None:
        with target.transaction():
            written.write("cutover-2", "open", "begins")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert len(written.entries()) == before


def test_a_run_goes_only_forward_once_it_has_begun_to_open() -> None:
    assert not run_of(("cutover", "begins"), ("fence", "begins")).has_opened
    assert run_of(("cutover", "begins"), ("fence", "begins"), ("open", "begins")).has_opened


def test_the_open_side_follows_from_the_last_opening() -> None:
    forth = run_of(("open", "begins"), ("open", "done"))
    back = run_of(("open", "begins"), ("open", "done"), name="fallback-1")
    undone = run_of(("fence", "begins"), ("fence", "undone"), ("cutover", "undone"), name="cutover-2")
    assert [open_side(runs) for runs in ([], [forth], [forth, back], [forth, back, undone])] == [
        "source", "target", "source", "source",
    ]  # fmt: skip
    assert new_name("cutover", [forth, back, undone]) == "cutover-3"
    assert [run.name for run in runs_of([*forth.entries, *back.entries])] == ["cutover-1", "fallback-1"]


def test_a_second_run_is_refused_with_who_holds_the_lock(
    both: Pair, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LOCK_SECONDS", 0.1)
    with both.database("source") as source, both.database("target") as second, locked(source, target):
        ours = f"pid {target.connection.info.backend_pid} of ferry_owner"
        with pytest.raises(MigrationError, match=ours), locked(second):
            pass
        with both.database("source") as other, pytest.raises(MigrationError, match="on the source"), locked(other):
            pass
    with both.database("target") as second, locked(second):
        pass


def test_one_phase_does_not_see_anothers_lock(pair: Callable[..., Pair], target: Database) -> None:
    with locked(target), pair().database("target") as neighbour, locked(neighbour):
        pass


def test_a_statement_that_outlives_its_process_keeps_the_next_run_waiting(
    both: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "LOCK_SECONDS", 60)
    with contextlib.ExitStack() as stack:
        dead, second, other = (stack.enter_context(both.database("target")) for _ in range(3))
        stack.enter_context(locked(dead))
        other.run("SELECT pg_advisory_lock(7)")
        dead.connection.pgconn.send_query(b"SELECT pg_advisory_lock(7)")
        with socket.socket(fileno=os.dup(dead.connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)  # as when the process is killed: the server goes on with the statement

        def has_the_lock() -> bool:
            with locked(second):
                return bool(other.value("SELECT NOT EXISTS (SELECT FROM pg_locks WHERE objid = 7)"))

        with ThreadPoolExecutor(1) as pool:
            next_run = pool.submit(has_the_lock)
            with pytest.raises(TimeoutError):
                next_run.result(0.4)
            other.run("SELECT pg_advisory_unlock(7)")
            assert next_run.result(60), "not before the statement has ended"
        dead.connection.close()


def test_the_outage_is_measured_by_the_targets_clock_from_the_first_closed_login_to_the_opening() -> None:
    run = run_of(("fence", "begins"), ("fence", "done"), ("open", "begins"), ("open", "done"))
    entries = tuple(
        dataclasses.replace(entry, at=entry.at + datetime.timedelta(seconds=number))
        for number, entry in enumerate(run.entries)
    )
    assert outage_seconds(Run(run.name, entries)) == 3.0
    assert outage_seconds(run_of(("fence", "begins"))) is None


def test_a_session_that_has_ended_holds_no_lock(both: Pair) -> None:
    with both.database("target") as dead, locked(dead):
        dead.connection.close()
        with both.database("target") as second, locked(second):
            pass
