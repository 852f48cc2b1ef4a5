"""Rows that verify named are written right by their key, and the command shows what it did."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import pytest

from builders import command_line
from builders.errors import MigrationError, UsageError
from builders.migration import cli
from builders.migration.changes import Changes
from builders.migration.databases import Database, Side
from builders.migration.journal import Journal, locked
from builders.migration.verify import command, repair as repairing, verified
from builders.migration.verify.command import VerifyRequest
from builders.migration.verify.running import VerifyOptions, verify
from builders.migration.verify.showing import differences

from .conftest import MASTER, Pair

OWNER = "repair_app"
TABLES = (
    "CREATE SCHEMA payments",
    """CREATE TABLE payments.ledger (id bigint GENERATED ALWAYS AS IDENTITY, part char(3), note text, amount numeric,
       doc jsonb, raw bytea, at timestamptz, twice bigint GENERATED ALWAYS AS (id * 2) STORED,
       PRIMARY KEY (part, id))""",
    "CREATE TABLE payments.heap (note text)",
    "CREATE TABLE payments.only (id int PRIMARY KEY)",
)
ROWS = """INSERT INTO payments.ledger (id, part, note, amount, doc, raw, at) OVERRIDING SYSTEM VALUE
          SELECT n, chr(97 + n % 3), E'it''s\\t\\\\n' || n, n / 3.0, '{"a": [null, 1.50]}', '\\x00ff', 'infinity'
          FROM generate_series(1, 500) n"""
NOW = VerifyOptions(patience=0)


@dataclass(frozen=True)
class Sides:
    source: Database
    target: Database
    pair: Pair

    def run(self, asked: VerifyRequest = VerifyRequest(), options: VerifyOptions = NOW) -> bool:  # noqa: B008  frozen
        """Run the command; return whether both sides are the same."""
        return command.run(self.source, self.target, ["payments"], [], options, asked)

    def spoil(self) -> None:
        """Make the target differ in 3 rows that are there, 2 that are not, and 1 too many."""
        self.target.run("UPDATE payments.ledger SET note = NULL, amount = 1 WHERE id IN (1, 250, 500)")
        self.target.run("DELETE FROM payments.ledger WHERE id IN (2, 3)")
        self.target.run("INSERT INTO payments.ledger (id, part) OVERRIDING SYSTEM VALUE VALUES (9999, 'zzz')")


@pytest.fixture(scope="module")
def tables(pair: Callable[..., Pair]) -> Pair:
    both = pair()
    for side in ("source", "target"):
        both.administer(side, f"CREATE ROLE {OWNER}", f"ALTER DATABASE {both.name} OWNER TO {OWNER}",
                        f"SET ROLE {OWNER}", *TABLES)  # fmt: skip
    both.administer("source", ROWS, "INSERT INTO payments.only SELECT generate_series(1, 20)",
                    "GRANT USAGE ON SCHEMA payments TO ferry_source",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source")  # fmt: skip
    both.administer("target", f"GRANT {OWNER} TO ferry_owner")
    return both


@pytest.fixture
def sides(tables: Pair) -> Iterator[Sides]:
    with tables.database("source") as source, tables.database("target") as target:
        target.run("TRUNCATE payments.ledger, payments.heap, payments.only")
        target.run(ROWS)
        target.run("INSERT INTO payments.only SELECT generate_series(1, 20)")
        yield Sides(source, target, tables)
        Changes(source, target, ["payments"]).drop()


def test_a_row_that_dms_has_locked_is_waited_for_and_then_written(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.spoil()
    with sides.pair.application("target", MASTER) as dms:
        dms.execute("BEGIN")
        dms.execute("SELECT FROM payments.ledger WHERE id = 250 FOR UPDATE")
        seen: list[str] = []

        def observe(moment: str, statement: str) -> None:
            if moment == "before" and "FOR UPDATE" in statement:
                seen.append(statement)
                if len(seen) == 2:
                    dms.execute("ROLLBACK")

        with sides.pair.database("target", observe=observe) as target:
            command.run(sides.source, target, ["payments"], [], NOW, VerifyRequest(repair=True, yes=True))
    said = capsys.readouterr().err
    assert "trying again (1 of 9)" in said
    assert "written to the target: 2 inserted, 3 updated, 1 deleted" in said
    assert sides.run()


def test_a_row_that_the_target_refuses_is_not_shown(sides: Sides) -> None:
    sides.pair.administer(
        "target", "ALTER TABLE payments.ledger ADD CONSTRAINT noted CHECK (length(note) < 7) NOT VALID"
    )
    sides.spoil()
    try:
        with pytest.raises(MigrationError, match='violates check constraint "noted"') as refused:
            sides.run(VerifyRequest(repair=True, yes=True))
    finally:
        sides.pair.administer("target", "ALTER TABLE payments.ledger DROP CONSTRAINT noted")
    assert "it's" not in str(refused.value)


def test_rows_are_updated_inserted_and_deleted_until_both_sides_are_the_same(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.spoil()
    sides.target.run("DELETE FROM payments.only WHERE id > 10")
    assert sides.run(VerifyRequest(repair=True, yes=True))
    said = capsys.readouterr().err
    assert "written to the target: 12 inserted, 3 updated, 1 deleted" in said
    assert sides.run()
    last = verified(sides.target)
    assert last is not None
    assert last.clean


def test_a_repair_of_all_tables_makes_the_last_comparison_clean(sides: Sides) -> None:
    sides.spoil()
    assert not sides.run()
    assert verified(sides.target).clean is False  # type: ignore[union-attr]
    assert sides.run(VerifyRequest(repair=True, yes=True))
    assert verified(sides.target).clean  # type: ignore[union-attr]


def test_a_row_that_came_right_by_itself_is_not_written(sides: Sides) -> None:
    sides.spoil()
    report = verify(sides.source, sides.target, ["payments"], options=NOW)
    sides.target.run("UPDATE payments.ledger AS t SET note = E'it''s\\t\\\\n' || id, amount = id / 3.0 WHERE id = 250")
    done = repairing.repair(sides.source, sides.target, report.rows, differences(report), lambda _line: None)
    assert (done.inserted, done.updated, done.deleted, done.left) == (2, 2, 1, ())


def test_a_row_is_written_as_the_source_has_it_now(sides: Sides) -> None:
    sides.spoil()
    report = verify(sides.source, sides.target, ["payments"], options=NOW)
    sides.pair.administer("source", "UPDATE payments.ledger SET note = 'newer' WHERE id = 1",
                          "DELETE FROM payments.ledger WHERE id = 2")  # fmt: skip
    try:
        done = repairing.repair(sides.source, sides.target, report.rows, differences(report), lambda _line: None)
    finally:
        sides.pair.administer("source", ROWS.replace("generate_series(1, 500)", "generate_series(2, 2)"),
                              "UPDATE payments.ledger SET note = E'it''s\\t\\\\n1' WHERE id = 1")  # fmt: skip
    assert (done.inserted, done.updated, done.deleted, done.left) == (1, 3, 1, ())
    assert sides.target.run("SELECT note FROM payments.ledger WHERE id = 1") == [("newer",)]
    assert sides.target.run("SELECT note FROM payments.ledger WHERE id = 2") == []


def test_a_repair_that_is_ended_in_a_transaction_changes_whole_transactions_only(
    sides: Sides, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def observe(moment: str, statement: str) -> None:
        if moment == "before" and statement.startswith("DROP FUNCTION"):
            raise Killed

    monkeypatch.setattr(repairing, "ROWS_A_TRANSACTION", 2)
    sides.spoil()
    report = verify(sides.source, sides.target, ["payments"], options=NOW)
    with sides.pair.database("target", observe=observe) as watched, pytest.raises(Killed):
        repairing.repair(sides.source, watched, report.rows, differences(report), lambda _line: None)
    again = verify(sides.source, sides.target, ["payments"], options=NOW)
    assert differences(again) == differences(report)


def test_a_table_without_a_key_is_not_repaired_and_still_differs(
    sides: Sides, capsys: pytest.CaptureFixture[str]
) -> None:
    sides.target.run("INSERT INTO payments.heap VALUES ('x')")
    assert not sides.run(VerifyRequest(repair=True, yes=True))
    assert "payments.heap differs" in capsys.readouterr().out


def test_a_repair_asks_first(sides: Sides) -> None:
    sides.spoil()
    with pytest.raises(UsageError, match=r"--yes answers yes to: Write 6 rows of payments.ledger in the target"):
        sides.run(VerifyRequest(repair=True))
    assert sides.target.run("SELECT count(*) FROM payments.ledger") == [(499,)]


def test_the_result_names_rows_and_columns_and_no_other_value(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.spoil()
    assert not sides.run()
    printed = capsys.readouterr()
    assert "payments.ledger (b  , 1) differs in note, amount" in printed.out
    assert "payments.ledger (zzz, 9999) is in the target alone" in printed.out
    assert "not the same: 6 rows and 0 definitions differ of 3 tables, 520 rows" in printed.out
    assert "payments.ledger: 500 rows in" in printed.err
    assert "it's" not in printed.out + printed.err


def test_keys_are_hidden_on_request(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.spoil()
    sides.run(VerifyRequest(hide_keys=True))
    sides.run(VerifyRequest(hide_keys=True, as_json=True))
    printed = capsys.readouterr().out
    assert "9999" not in printed
    assert "payments.ledger (…) differs in note, amount" in printed
    assert '"differing": 6' in printed


def test_json_has_counts_digests_and_all_differences(sides: Sides, capsys: pytest.CaptureFixture[str]) -> None:
    sides.spoil()
    sides.run(VerifyRequest(as_json=True), VerifyOptions(patience=0, tables=("payments.ledger",)))
    found = json.loads(capsys.readouterr().out)
    (ledger,) = found["tables"]
    assert (found["clean"], found["whole"], found["hash"]) == (False, False, "hashtextextended")
    assert ledger["rows"] == {"source": 500, "target": 499}
    assert ledger["digest"]["source"] != ledger["digest"]["target"]
    assert {"kind": "missing", "key": ["c  ", "2"], "columns": []} in ledger["differing"]


def test_after_the_cut_over_nothing_is_repaired_and_the_sides_are_only_compared(sides: Sides) -> None:
    sides.spoil()
    assert not sides.run()
    before = verified(sides.target)
    written = Journal(sides.target, "arn:aws:iam::123456789012:user/operator")
    written.prepare()
    for step in ("open", "cutover"):
        written.write("cutover-1", step, "begins")
        written.write("cutover-1", step, "done")
    try:
        with pytest.raises(MigrationError, match="nothing to repair from the source"):
            sides.run(VerifyRequest(repair=True, yes=True))
        Changes(sides.source, sides.target, ["payments"]).drop()
        assert not sides.run()
        assert Changes(sides.source, sides.target, ["payments"]).held() is None
        assert verified(sides.target) == before
    finally:
        sides.target.run("DELETE FROM stackferry_state.journal")


def test_a_second_run_of_the_phase_is_refused_while_one_compares(sides: Sides) -> None:
    refused = r"another run of this phase is under way: pid [0-9]+ of ferry_owner"
    with sides.pair.database("target") as other, locked(other), pytest.raises(MigrationError, match=refused):
        sides.run()


def test_yes_without_repair_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["verify", "--phase", "dev", "--yes"]) == command_line.WRONG_USE
    assert "--repair is not given" in capsys.readouterr().err


@pytest.mark.parametrize(("kind", "here", "there"), [
    ("public.citext", "'Ann'", "'ANN'"), ("float8", "'-0'", "0"), ("numeric", "1.50", "1.5"),
])  # fmt: skip
def test_a_key_that_is_equal_and_written_otherwise_is_written_right(
    pair: Callable[..., Pair], capsys: pytest.CaptureFixture[str], kind: str, here: str, there: str
) -> None:
    both = pair()
    for side, value, user in zip(get_args(Side), (here, there), ("ferry_source", MASTER), strict=True):
        both.administer(side, "CREATE EXTENSION citext SCHEMA public", f"CREATE SCHEMA payments AUTHORIZATION {user}",
                        f"SET ROLE {user}", f"CREATE TABLE payments.names (name {kind} PRIMARY KEY, note text)",
                        f"INSERT INTO payments.names VALUES ({value}, 'x')")  # fmt: skip
    with both.database("source") as source, both.database("target") as target:
        options = VerifyOptions(patience=0, tables=("payments.names",))
        command.run(source, target, ["payments"], [], options, VerifyRequest(repair=True, yes=True))
        assert target.run("SELECT name::text FROM payments.names") == [(here.strip("'"),)]
    assert "not the same: 0 rows and 1 definition" in capsys.readouterr().out  # the owner, who is another role
