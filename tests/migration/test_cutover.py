"""The cut-over and the fall-back, between two real servers, with a stand-in for DMS."""

from __future__ import annotations

import contextlib
import functools
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, get_args

import psycopg
import pytest
from sampling import Points

from builders.aws.errors import AccessDenied
from builders.cloud.rds.on_premises import REPLICATION_USER
from builders.errors import MigrationError
from builders.migration import journal, slots, status
from builders.migration.changes import SLOT, Changes
from builders.migration.databases import Database, Side
from builders.migration.journal import Journal
from builders.migration.phase import DATABASE_SECRET
from builders.migration.schema import moments
from builders.migration.switchover import fence, runs
from builders.migration.switchover.runs import Parties, SwitchoverOptions, SwitchoverOutcome
from builders.migration.task.values import LoadProgress, Task
from builders.migration.verify import command
from builders.migration.verify.running import VerifyOptions, verify
from builders.migration.verify.state import replace_report

from .conftest import Pair
from .remote import FALLBACK, SCHEMAS, parties as parties_of
from .scenes import ORDERS, PARTS, Scene, mark, scene
from .test_fence import CATALOGS

TWO_TABLES = (
    ORDERS,
    "CREATE TABLE payments.lines (id int PRIMARY KEY, amount numeric(12, 2))",
    "INSERT INTO payments.lines SELECT n, n FROM generate_series(1, 100) n",
)


@pytest.fixture
def ready(pair: Callable[..., Pair]) -> Iterator[Scene]:
    with scene(pair, *TWO_TABLES) as made:
        yield made


cut_over, fall_back, end = (
    functools.partial(runs.run, "cutover"),
    functools.partial(runs.run, "fallback"),
    functools.partial(runs.run, "finish"),
)


def yes(_question: str) -> bool:
    return True


def run(ready: Scene, kind: Callable[..., SwitchoverOutcome] = cut_over, **options: Any) -> SwitchoverOutcome:
    with ready.parties() as parties:
        return kind(parties, SwitchoverOptions(**options), yes)


def write(ready: Scene, side: Side, token: str = "a token") -> int:
    with psycopg.connect(**ready.login(side).parameters(), autocommit=True) as session:
        return int(session.execute(
            "INSERT INTO payments.orders (token, note) VALUES (%s, 'a note') RETURNING id", (token,)
        ).fetchall()[0][0])  # fmt: skip


def refuses(ready: Scene, side: Side) -> bool:
    with contextlib.suppress(psycopg.Error):
        write(ready, side, "never")
        return False
    return True


def tokens(ready: Scene, side: Side) -> list[str]:
    with ready.pair.application(side, ready.writer) as session:
        return [token for (token,) in session.execute("SELECT token FROM payments.orders ORDER BY id")]


def catalogs(ready: Scene, side: Side = "source") -> list[list[tuple[Any, ...]]]:
    server = ready.pair.server(side)
    with psycopg.connect(
        host=str(server.directory), port=server.port, user="rdsadmin", dbname=ready.pair.name
    ) as asked:
        return [asked.execute(query.encode()).fetchall() for query in CATALOGS]


def prepared(ready: Scene) -> None:
    """Have the rights that a cut-over gives before it closes anything."""
    ready.pair.administer("source", "GRANT USAGE ON SCHEMA stackferry TO ferry_fallback",
                          "GRANT SELECT, INSERT, UPDATE, DELETE ON stackferry.marker TO ferry_fallback")  # fmt: skip


def test_a_cutover_closes_the_source_and_opens_the_target_with_all_its_rows(ready: Scene) -> None:
    write(ready, "source", "one")
    assert refuses(ready, "target")
    outcome = run(ready)
    assert (outcome.run, outcome.open_side, outcome.is_undone) == ("cutover-1", "target", False)
    assert outcome.outage_seconds is not None
    assert refuses(ready, "source")
    assert write(ready, "target", "two") > 1_000
    assert tokens(ready, "target") == ["one", "two"]


def test_a_fallback_brings_what_was_written_since_and_the_phase_goes_forward_again(ready: Scene) -> None:
    run(ready)
    assert "taken off the source for the changes of DMS: NOT NULL payments.orders.note" in ready.said
    write(ready, "target", "in the cloud")
    assert run(ready, fall_back).open_side == "source"
    assert refuses(ready, "target")
    assert write(ready, "source", "back home") > 2_000
    ready.go_forward_again()
    write(ready, "source", "once more")
    assert run(ready).run == "cutover-2"
    write(ready, "target", "for good")
    assert tokens(ready, "target") == ["in the cloud", "back home", "once more", "for good"]


def test_the_tables_of_an_extension_are_none_of_the_application_and_stand_in_nobodys_way(ready: Scene) -> None:
    """Such as spatial_ref_sys of PostGIS: a superuser owns it, whom RDS lets nobody be."""
    for side in get_args(Side):
        ready.pair.administer(side, "CREATE EXTENSION citext SCHEMA public",
                              "CREATE TABLE payments.places (srid serial PRIMARY KEY, name text)",
                              "ALTER EXTENSION citext ADD TABLE payments.places",
                              "ALTER EXTENSION citext ADD SEQUENCE payments.places_srid_seq")  # fmt: skip
    with ready.pair.database("source") as source, ready.pair.database("target") as target:
        found = verify(source, target, SCHEMAS, options=VerifyOptions(keeps_changes=False, patience=0.0))
        assert not [each for each in found.definitions if "places" in each.name]
        assert "payments.places" not in {table.name for table in found.tables}
    write(ready, "source", "one")
    run(ready)
    write(ready, "target", "two")
    run(ready, fall_back)
    assert tokens(ready, "source") == ["one", "two"]
    ready.go_forward_again()


class DeployedPhase:
    """As much of a phase as `status` asks of one whose metrics nobody may read."""

    name, suffix, schemas, users, source_user = "dev", "dev", SCHEMAS, frozenset[str](), REPLICATION_USER
    outputs: ClassVar = {DATABASE_SECRET: "arn"}

    def __init__(self, ready: Scene) -> None:
        self.session = self
        self.source, self.target = (functools.partial(ready.pair.database, side) for side in get_args(Side))

    def ask(self, *_call: str, **_request: Any) -> None:
        raise AccessDenied("not allowed")


def overview(ready: Scene) -> status.Overview:
    phase: Any = DeployedPhase(ready)
    task = Task("arn", "instance", ("from", "to"), "stopped", "", "", "", "monday", LoadProgress(100, 1, 0, 0, 0))
    return status.of_phase(phase, task, [])


def test_the_target_keeps_no_log_for_a_fallback_beyond_the_last_verify(
    ready: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    run(ready)
    write(ready, "target", "one")

    def unread() -> int:
        with ready.pair.database("target") as target:
            return next(each.behind or 0 for each in slots.read(target).slots if each.name.startswith(SLOT))

    kept = unread()
    page = [text for title, text in overview(ready).lines() if title == "slot"]
    assert any("stackferry_changes" in line and "`migrate-database verify` reads it" in line for line in page)
    with ready.pair.database("source") as source, ready.pair.database("target") as target:
        command.run(source, target, SCHEMAS, [], VerifyOptions(patience=5.0), command.VerifyRequest())
    assert unread() < kept
    assert "for a later step:\n  not null payments.orders.note is in the target alone" in capsys.readouterr().out
    write(ready, "target", "two")
    assert run(ready, fall_back).open_side == "source"
    assert tokens(ready, "source") == ["one", "two"]


def test_where_the_slot_of_changes_is_lost_after_a_cutover_verify_makes_it_anew_and_a_fallback_skips_no_row(
    ready: Scene,
) -> None:
    def compared() -> None:
        with ready.pair.database("source") as source, ready.pair.database("target") as target:
            options = VerifyOptions(patience=1.0)
            command.run(source, target, SCHEMAS, [], options, command.VerifyRequest())

    run(ready)
    with ready.pair.database("target") as target:
        Changes(target, target, SCHEMAS).drop()
    amount = ("ALTER TABLE payments.lines DISABLE TRIGGER stackferry_fence; UPDATE payments.lines SET amount = {} "
              "WHERE id = 7; ALTER TABLE payments.lines ENABLE ALWAYS TRIGGER stackferry_fence")  # fmt: skip
    ready.pair.administer("source", amount.format(8))
    with pytest.raises(MigrationError, match=r"slot .* of the target is missing.*run `migrate-database verify` again"):
        run(ready, fall_back)
    compared()
    write(ready, "target", "one")
    with pytest.raises(MigrationError, match=r"not the same on target and source: payments.lines differs.*ferry_f"):
        run(ready, fall_back)
    ready.pair.administer("source", amount.format(7))
    compared()
    write(ready, "target", "two")
    assert run(ready, fall_back).open_side == "source"
    assert tokens(ready, "source") == ["one", "two"]


def test_no_timeout_of_the_database_ends_what_the_way_back_reads(ready: Scene) -> None:
    ready.pair.administer("target", f"ALTER DATABASE {ready.pair.name} SET statement_timeout = '9s'")
    run(ready)
    with ready.pair.application("target", FALLBACK) as reader:
        assert reader.execute("SHOW statement_timeout").fetchall() == [("0",)]


def test_after_a_fallback_the_source_is_as_it_was_before_the_cutover(ready: Scene) -> None:
    prepared(ready)
    before = catalogs(ready)
    run(ready)
    assert catalogs(ready) != before
    run(ready, fall_back)
    assert catalogs(ready) == before


def test_with_reads_kept_a_reader_of_the_source_sees_no_error(ready: Scene) -> None:
    over, read, errors = threading.Event(), [0], []

    def reader() -> None:
        try:
            with ready.pair.application("source", ready.writer) as session:
                while not over.is_set():
                    session.execute("SELECT count(*) FROM payments.lines")
                    read[0] += 1
        except psycopg.Error as error:
            errors.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    while not read[0] and thread.is_alive():
        over.wait(0.01)
    before = read[0]
    outcome = run(ready, keep_reads=True)
    over.set()
    thread.join()
    assert errors == []
    assert read[0] > before
    assert outcome.open_side == "target"
    assert refuses(ready, "source")


def test_what_is_shown_is_what_is_done_and_asked_once(ready: Scene) -> None:
    questions: list[str] = []

    def answer(question: str) -> bool:
        questions.append(question)
        return True

    with ready.parties() as parties:
        cut_over(parties, SwitchoverOptions(), answer)
    assert questions == ["Close the source and open the target?"]
    shown = [line.partition(". ")[2] for line in ready.said if line.strip()[:1].isdigit() and ". " in line[:6]]
    done = [line.partition(" s  ")[2] for line in ready.said if " s  " in line[:14]]
    assert shown == done
    assert "open the target to the application" in done


def test_the_answer_no_changes_nothing(ready: Scene) -> None:
    before = catalogs(ready)
    with ready.parties() as parties, pytest.raises(MigrationError, match="nothing was changed"):
        cut_over(parties, SwitchoverOptions(), lambda _question: False)
    assert catalogs(ready) == before


def test_rows_that_differ_are_named_and_the_source_is_given_back(ready: Scene) -> None:
    prepared(ready)
    before = catalogs(ready)
    with ready.pair.application() as session:
        session.execute("UPDATE payments.lines SET amount = 5000 WHERE id = 5")
    with ready.pair.database("target") as target:
        await_row(target, "SELECT true FROM payments.lines WHERE amount = 5000")
        target.run("UPDATE payments.lines SET amount = 1 WHERE id = 5")
    with pytest.raises(MigrationError, match=r"not the same.*payments\.lines.*is as it was before, and takes writes"):
        run(ready)
    assert catalogs(ready) == before
    write(ready, "source")
    assert ready.exchange.tasks["forward"].status == "running"
    assert refuses(ready, "target")


def await_row(database: Any, query: str) -> None:
    for _ in range(3_000):
        if database.value(query):
            return
        threading.Event().wait(0.02)
    raise AssertionError(query)


def test_a_task_that_does_not_run_closes_nothing(ready: Scene) -> None:
    before = catalogs(ready)
    ready.exchange.ask("forward", "stop")
    with pytest.raises(MigrationError, match="2 preconditions of cutover not met, and nothing was changed"):
        run(ready, most_lag_seconds=0.2)
    assert any("start or resume it first" in line for line in ready.said)
    assert catalogs(ready) == before


def test_a_load_after_the_comparison_asks_for_another_one(ready: Scene) -> None:
    ask = functools.partial(ready.exchange.ask, "forward")
    ask("stop")
    while ask("describe")["status"] != "stopped":
        time.sleep(0.005)
    with ready.pair.database("target") as target:
        target.run("INSERT INTO stackferry_state.verification (what, whole) VALUES ('{}', true)")
        moments.truncate(target, SCHEMAS, ready.said.append)
        assert target.run("SELECT 1 FROM stackferry_state.verification WHERE finished IS NULL") == []
    ask("begin", "reload-target")
    while ask("describe")["status"] != "running":
        time.sleep(0.005)
    with pytest.raises(MigrationError, match="1 precondition of cutover not met, and nothing was changed"):
        run(ready)
    assert any("run `migrate-database verify` again" in line and "rows were loaded at" in line for line in ready.said)


def test_a_table_that_is_carried_now_and_was_not_when_both_sides_were_compared_asks_for_another_comparison(
    ready: Scene,
) -> None:
    with ready.pair.database("target") as target:
        replace_report(target, {"tables": [{"table": "payments.orders"}], "notCarried": ["payments.lines"]}, clean=True)
    with pytest.raises(MigrationError, match="1 precondition of cutover not met"):
        run(ready)
    assert "      carried, and not compared then: payments.lines: run `migrate-database verify` again" in ready.said
    write(ready, "source")


def test_a_task_that_lags_closes_nothing(ready: Scene) -> None:
    ready.exchange.tasks["forward"].delay = 1.0
    with pytest.raises(MigrationError, match="1 precondition of cutover not met"):
        run(ready, most_lag_seconds=0.2)
    assert any("the task lags or stands still" in line for line in ready.said)


def test_a_task_that_stops_by_itself_while_the_source_is_closed_gives_it_back(ready: Scene) -> None:
    stopped: list[str] = []

    def observe(moment: str, statement: str) -> None:
        if moment == "after" and "GRANT CONNECT" in statement and not stopped:
            ready.pair.administer("target", "ALTER TABLE payments.orders RENAME note TO other")
            with ready.pair.application() as session:
                session.execute("INSERT INTO payments.orders (token, note) VALUES ('x', 'y')")
            stopped.append("")

    with ready.parties(observe) as parties, pytest.raises(MigrationError) as failed:
        cut_over(parties, SwitchoverOptions(), yes)
    assert "the task is failed: " in str(failed.value)
    assert not refuses(ready, "source")


def test_a_second_run_at_once_is_refused(ready: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LOCK_SECONDS", 0.1)
    refused = pytest.raises(MigrationError, match="another run of this phase is under way: pid")
    with ready.pair.database("target") as first, journal.locked(first), refused:
        run(ready)


def test_what_does_not_fit_the_open_side_is_refused(ready: Scene) -> None:
    for kind, words in ((fall_back, "nothing was cut over yet"), (end, "nothing was cut over yet")):
        with pytest.raises(MigrationError, match=words):
            run(ready, kind)
    run(ready)
    with pytest.raises(MigrationError, match="the target is open already"):
        run(ready)
    run(ready, fall_back)
    with pytest.raises(MigrationError, match="the source is open again already"):
        run(ready, fall_back)


def test_without_a_way_back_nothing_of_one_is_made(ready: Scene) -> None:
    run(ready, way_back=False)
    assert ready.exchange.tasks["back"].status == "ready"
    with ready.pair.database("target") as target:
        assert target.run("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()") == []


def test_a_full_disk_of_the_journal_gives_the_source_back(ready: Scene) -> None:
    prepared(ready)
    before = catalogs(ready)
    with ready.pair.database("target") as target:
        Journal(target).prepare()
        target.run(
            "CREATE FUNCTION stackferry_state.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device'; "
            "END $$"
        )
        target.run(
            "CREATE TRIGGER is_full BEFORE INSERT ON stackferry_state.journal FOR EACH ROW "
            "WHEN (new.step = 'sequences' AND new.moment = 'done') EXECUTE FUNCTION stackferry_state.full()"
        )
    with pytest.raises(MigrationError, match=r"disk is full: make room.*the source is as it was before"):
        run(ready)
    assert catalogs(ready) == before
    assert not refuses(ready, "source")


def test_a_lock_that_a_definition_waits_for_names_who_holds_it_and_gives_the_source_back(
    ready: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fence, "FENCE_SECONDS", 0.3)
    server = ready.pair.server("target")
    with psycopg.connect(
        host=str(server.directory), port=server.port, user="rdsadmin", dbname=ready.pair.name
    ) as reader:
        reader.execute("LOCK TABLE payments.lines IN ROW EXCLUSIVE MODE")
        with pytest.raises(MigrationError, match=rf"pid {reader.info.backend_pid} of rdsadmin.*is as it was before"):
            run(ready)
    assert not refuses(ready, "source")


@pytest.mark.parametrize(
    ("side", "table", "sign", "runs"),
    [
        ("target", "payments.orders", "NOT VALID$", [cut_over]),
        ("source", "payments.orders", "DROP NOT NULL$", [cut_over]),
        ("source", "stackferry.marker", "DROP SCHEMA", [cut_over, end]),
    ],
)
def test_a_lock_that_passes_lets_a_run_go_on(
    ready: Scene, side: Side, table: str, sign: str, runs: list[Callable[..., SwitchoverOutcome]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    prepared(ready)
    server = ready.pair.server(side)
    own = {"host": str(server.directory), "port": server.port, "user": "rdsadmin", "dbname": ready.pair.name}
    with psycopg.connect(**own if side == "target" else ready.pair.login(side, "postgres").parameters()) as holder:
        seen, pid = [], holder.info.backend_pid

        def observe(moment: str, statement: str) -> None:
            if moment == "before" and re.search(sign, statement):
                seen.append(statement)
                if len(seen) == 1:
                    holder.execute(f"LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE".encode())
                else:
                    holder.rollback()

        with ready.parties(observe) as parties:
            for run_ in runs:
                run_(parties, SwitchoverOptions(), yes)
    assert f"pid {pid} of" in (said := capsys.readouterr().err)
    assert "SQLSTATE 55P03" in said
    assert seen[0] == seen[1]


def test_a_target_that_is_lost_on_the_way_lets_the_application_into_the_source_again(ready: Scene) -> None:
    prepared(ready)
    before = catalogs(ready)
    ended: list[str] = []

    def observe(moment: str, statement: str) -> None:
        if moment == "before" and "setval" in statement and not ended:
            ended.append(statement)
            ready.pair.administer("target", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                  "WHERE usename = 'ferry_owner' AND datname = current_database()")  # fmt: skip

    with ready.parties(observe) as parties, pytest.raises(MigrationError) as failed:
        cut_over(parties, SwitchoverOptions(), yes)
    assert "the source takes writes again; run `migrate-database cutover --abort`" in str(failed.value)
    assert not refuses(ready, "source")
    assert run(ready, abort=True).is_undone
    assert catalogs(ready) == before
    assert run(ready).open_side == "target"


def test_a_password_that_is_rotated_while_the_source_is_closed_breaks_nothing(ready: Scene) -> None:
    with rotating(ready, "target", "setval") as (parties, rotated):
        assert cut_over(parties, SwitchoverOptions(), yes).open_side == "target"
        assert rotated
        with parties.target.another() as later:
            assert later.value("SELECT current_user") == "ferry_owner"
    assert not refuses(ready, "target")


def test_a_source_whose_password_was_rotated_is_given_back_by_a_new_session(ready: Scene) -> None:
    """A target that is lost leaves a statement of the source broken off: another session gives it back."""
    ended: list[str] = []

    def lose(moment: str, statement: str) -> None:
        if moment == "before" and "setval" in statement and not ended:
            ended.append(statement)
            ready.pair.administer("target", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                                  "WHERE usename = 'ferry_owner' AND datname = current_database()")  # fmt: skip

    with (
        rotating(ready, "source", "setval", lose) as (parties, rotated),
        pytest.raises(MigrationError, match="the source takes writes again; run `migrate-database cutover --abort`"),
    ):
        cut_over(parties, SwitchoverOptions(), yes)
    assert rotated
    assert not refuses(ready, "source")
    assert run(ready, abort=True).is_undone


@contextlib.contextmanager
def rotating(
    ready: Scene, side: Side, before: str, then: Callable[[str, str], None] = lambda _moment, _statement: None
) -> Iterator[tuple[Parties, list[str]]]:
    """Bring a run whose secret of one side is rotated before a statement, and what the password was then."""
    secrets: dict[Side, str] = {each: ready.pair.login(each).password for each in get_args(Side)}
    old, rotated = secrets[side], list[str]()
    role = ready.pair.login(side).username

    def observe(moment: str, statement: str) -> None:
        if moment == "before" and before in statement and not rotated:
            rotated.append(old)
            secrets[side] = "rotated-meanwhile"
            ready.pair.administer(side, f"ALTER ROLE {role} PASSWORD 'rotated-meanwhile'")
        then(moment, statement)

    def database(each: Side) -> Database:
        return Database(each, lambda: replace(ready.pair.login(each), password=secrets[each]), observe)

    try:
        with database("source") as source, database("target") as target:
            yield parties_of(source, target, ready.exchange.ask, ready.said.append), rotated
    finally:
        ready.pair.administer(side, f"ALTER ROLE {role} PASSWORD '{old}'")


def test_a_fence_that_was_taken_away_by_hand_undoes_the_run(ready: Scene) -> None:
    stopped: list[str] = []

    class Ended(BaseException):
        pass

    def observe(moment: str, statement: str) -> None:
        if moment == "before" and ("setval" in statement or stopped):
            stopped.append(statement)
            raise Ended  # like a process that was killed: nothing is undone, since every statement fails

    with ready.parties(observe) as parties, pytest.raises(Ended):
        cut_over(parties, SwitchoverOptions(), yes)
    assert refuses(ready, "source")
    ready.pair.administer("source", "DROP TRIGGER stackferry_fence ON payments.lines")
    with pytest.raises(MigrationError, match="since then this does not hold any more: close the source"):
        run(ready)
    assert not refuses(ready, "source")


@pytest.mark.sampled(when=lambda params: params["part"] == 0)
@pytest.mark.parametrize("part", range(PARTS))
def test_interrupted_at_any_moment_one_side_takes_writes_after_at_most_one_more_run(
    pair: Callable[..., Pair],
    points: Points,
    whole: bool,
    part: int,
    record_property: Callable[[str, object], None],
) -> None:
    with scene(pair, *TWO_TABLES) as ready:
        prepared(ready)
        before, count = catalogs(ready), 250
        chosen = list(points(count))[part::PARTS] if whole else list(points(count))
        record_property("points", len(chosen))
        for point in chosen:
            seen = [0]

            def observe(moment: str, _statement: str, seen: list[int] = seen, point: int = point) -> None:
                seen[0] += moment == "before"
                if seen[0] == point + 1 and moment == "before":
                    raise KeyboardInterrupt

            with ready.parties(observe) as parties, contextlib.suppress(KeyboardInterrupt):
                cut_over(parties, SwitchoverOptions(), yes)
            if refuses(ready, "source"):
                run(ready)
                assert not refuses(ready, "target")
                assert refuses(ready, "source")
                run(ready, fall_back)
                ready.go_forward_again()
            assert catalogs(ready) == before
            assert not refuses(ready, "source")


def test_a_finished_migration_leaves_nothing_of_it_but_the_journal(ready: Scene) -> None:
    run(ready)
    write(ready, "target")
    outcome = run(ready, end)
    assert outcome.open_side == "target"
    assert not refuses(ready, "target")
    assert refuses(ready, "source")
    for side in ("source", "target"):
        with ready.pair.database(side) as database:
            assert database.run("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
                                " AND slot_name !~ '^dms_'") == []  # fmt: skip
            assert database.value("SELECT to_regnamespace('stackferry')") is None
            assert database.run("SELECT 1 FROM pg_trigger WHERE tgname = 'stackferry_fence'") == []
    assert ready.exchange.tasks["back"].status == "stopped"
    said = "\n".join(outcome.lines())
    assert f'GRANT CONNECT ON DATABASE "{ready.pair.name}" TO "app", PUBLIC' in said
    assert "CreateFallback=false" in said
    with pytest.raises(MigrationError, match="the migration was finished"):
        run(ready, fall_back)
    with (
        ready.pair.database("target") as target,
        pytest.raises(MigrationError, match="since the cut-over; finish has taken the way back away"),
    ):
        journal.must_serve_source(target)


@pytest.mark.parametrize("kinds", [(cut_over,), (cut_over, fall_back)], ids=["on_the_target", "on_the_source"])
def test_a_finished_migration_that_is_finished_again_is_told_again_and_nothing_is_done(
    ready: Scene, kinds: Sequence[Callable[..., SwitchoverOutcome]]
) -> None:
    """As where the first call was killed before it said what it keeps, or before it wrote the report."""

    def never(question: str) -> bool:
        raise AssertionError(question)

    for kind in kinds:
        run(ready, kind)
    outcome = run(ready, end)
    with ready.pair.database("target") as target:
        before = Journal(target).entries()
    with ready.parties() as parties:
        assert end(parties, SwitchoverOptions(), never) == outcome
    with ready.pair.database("target") as target:
        assert Journal(target).entries() == before


def test_a_migration_that_begins_again_after_its_end_has_a_way_back_again(ready: Scene) -> None:
    for kind in (cut_over, fall_back, end):
        run(ready, kind)
    assert overview(ready).step == "finished"
    mark(ready.pair)
    with ready.pair.database("target") as target:
        Journal(target).write("schema-2", "schema", "done")
    assert "start" in overview(ready).next
    ready.go_forward_again()
    run(ready, cut_over)
    write(ready, "target", "on the target")
    run(ready, fall_back)
    assert tokens(ready, "source") == ["on the target"]


def test_a_source_whose_reads_were_kept_is_closed_for_good_at_the_end(ready: Scene) -> None:
    run(ready, keep_reads=True)
    with ready.pair.application("source", ready.writer) as session:
        session.execute("SELECT count(*) FROM payments.lines")
    run(ready, end)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(**ready.login("source").parameters())
