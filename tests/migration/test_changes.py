"""The rows that changed since `verify` are known by their keys, whatever happens in between, and compared exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from builders.errors import MigrationError
from builders.migration import changes
from builders.migration.changes import WHOLE_TABLE, Changes, compare, settle
from builders.migration.databases import Database
from builders.migration.mappings import Mappings
from builders.migration.rows import Difference

from .conftest import Pair

TABLES = (
    "CREATE SCHEMA payments",
    "CREATE TABLE payments.ledger (id int PRIMARY KEY, note text)",
    'CREATE TABLE payments."Order" (made date, "kind of" varchar(9), amount numeric, PRIMARY KEY ("kind of", made))',
    "CREATE TABLE payments.heap (note text)",
    "CREATE TABLE payments.loud (code varchar(40) PRIMARY KEY, note text)",
    "ALTER TABLE payments.loud REPLICA IDENTITY FULL",
    "CREATE TABLE payments.odd (id int PRIMARY KEY, other int NOT NULL UNIQUE)",
    "ALTER TABLE payments.odd REPLICA IDENTITY USING INDEX odd_other_key",
)


@dataclass(frozen=True)
class Sides:
    """The same empty tables on both sides, the application's session in the source, and the changes."""

    source: Database
    target: Database
    application: psycopg.Connection[tuple[object, ...]]
    changes: Changes

    def write(self, *statements: str) -> None:
        """Write in the source."""
        for statement in statements:
            self.application.execute(statement.encode())

    def both(self, *statements: str) -> None:
        """Write on both sides, as DMS would carry it."""
        self.write(*statements)
        for statement in statements:
            self.target.run(statement)

    def compared(self) -> list[str]:
        """Differences among what changed."""
        found = compare(self.source, self.target, ["payments"], self.changes.read())
        return [each.shown() for each in found]


@pytest.fixture(scope="module")
def tables(pair: Callable[..., Pair]) -> Pair:
    both = pair(*TABLES)
    both.administer("source", "GRANT USAGE ON SCHEMA payments TO ferry_source",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source")  # fmt: skip
    with both.database("target") as target:
        for statement in TABLES:
            target.run(statement)
    return both


@pytest.fixture
def sides(tables: Pair) -> Iterator[Sides]:
    with (
        tables.database("source") as source,
        tables.database("target") as target,
        tables.application() as application,
    ):
        made = Sides(source, target, application, Changes(source, target, ["payments"]))
        made.both('TRUNCATE payments.ledger, payments."Order", payments.heap, payments.loud, payments.odd')
        made.changes.begin()
        yield made
        made.changes.drop()


def test_the_keys_of_every_kind_of_change_are_known(sides: Sides) -> None:
    sides.write(
        "INSERT INTO payments.ledger VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "UPDATE payments.ledger SET id = 20 WHERE id = 2",
        "DELETE FROM payments.ledger WHERE id = 3",
        """INSERT INTO payments."Order" VALUES ('2026-02-28', 'it''s "x"', 1)""",
        "INSERT INTO payments.loud VALUES ('a b', NULL)",
        "UPDATE payments.loud SET code = 'c'",
    )
    assert sides.changes.read() == {
        ("payments", "ledger"): {("1",), ("2",), ("3",), ("20",)},
        ("payments", "Order"): {('it\'s "x"', "2026-02-28")},
        ("payments", "loud"): {("a b",), ("c",)},
    }


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        ("heap", "INSERT INTO payments.heap VALUES ('x')"),
        ("ledger", "TRUNCATE payments.ledger"),
        ("odd", "INSERT INTO payments.odd VALUES (1, 1); UPDATE payments.odd SET id = 2"),
    ],
    ids=["no key", "truncated", "the key is no replica identity"],
)
def test_a_table_whose_changed_keys_are_not_known_is_compared_as_a_whole(
    sides: Sides, table: str, statement: str
) -> None:
    sides.write(*statement.split("; "))
    assert sides.changes.read() == {("payments", table): WHOLE_TABLE}
    assert [each.split()[0] for each in sides.compared()] == ([] if table == "ledger" else [f"payments.{table}"])


def test_changes_of_other_schemas_are_none_of_ours(sides: Sides) -> None:
    sides.write("CREATE TABLE IF NOT EXISTS public.other (id int PRIMARY KEY)", "INSERT INTO public.other VALUES (1)",
                "DROP TABLE public.other")  # fmt: skip
    assert sides.changes.read() == {}


def test_rows_that_were_carried_are_the_same_and_others_are_named_by_their_keys(sides: Sides) -> None:
    sides.both("INSERT INTO payments.ledger SELECT n, 'note ' || n FROM generate_series(1, 100) n")
    assert sides.compared() == []
    sides.target.run("UPDATE payments.ledger SET note = note || ' ' WHERE id = 7")
    sides.target.run("DELETE FROM payments.ledger WHERE id = 100")
    sides.write("DELETE FROM payments.ledger WHERE id = 1")
    assert sides.compared() == [
        "payments.ledger (1) is in the target alone",
        "payments.ledger (100) is missing in the target",
        "payments.ledger (7) differs",
    ]


def test_what_was_read_is_kept_and_read_again_by_the_next_process(sides: Sides) -> None:
    sides.write("INSERT INTO payments.ledger VALUES (1, 'a')")
    assert sides.changes.collect() == 1
    assert sides.changes.collect() == 0
    with sides.source.another() as source, sides.target.another() as target:
        assert Changes(source, target, ["payments"]).read() == {("payments", "ledger"): {("1",)}}


def test_a_kill_at_any_statement_of_a_read_loses_no_change(sides: Sides, tables: Pair) -> None:
    class Killed(BaseException):
        pass

    def runs(most: int) -> bool:
        """Read with a process that is killed at the observation of a number; return whether it came to its end."""
        left = most

        def observe(_moment: str, _statement: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed

        with tables.database("source", observe=observe) as source, tables.database("target", observe=observe) as target:
            try:
                Changes(source, target, ["payments"]).collect()
            except Killed:
                return False
            return True

    points = 0
    while True:
        sides.write(f"INSERT INTO payments.ledger VALUES ({points}, 'x')")
        if runs(points):
            break
        points += 1
    assert points > 12
    assert sides.changes.read() == {("payments", "ledger"): {(str(number),) for number in range(points + 1)}}


def test_a_commit_that_is_not_on_disk_yet_is_read_all_the_same(sides: Sides) -> None:
    sides.write("SET synchronous_commit = off")
    for number in range(4):
        sides.write(f"INSERT INTO payments.ledger VALUES ({number}, 'x')")
        assert sides.changes.collect() == 1


def test_more_changes_than_one_read_takes_are_all_kept(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.migration.changes.CHANGES_A_READ", 7)
    for begin in range(0, 60, 5):
        sides.write(f"INSERT INTO payments.ledger SELECT n, 'x' FROM generate_series({begin}, {begin + 4}) n")
    assert sides.changes.read() == {("payments", "ledger"): {(str(number),) for number in range(60)}}


def test_what_settled_is_forgotten_until_it_changes_again(sides: Sides) -> None:
    sides.both("INSERT INTO payments.ledger VALUES (1, 'a'), (2, 'b')")
    sides.target.run("UPDATE payments.ledger SET note = 'stale' WHERE id = 2")
    found = settle(sides.changes, sides.source, sides.target, ["payments"], lambda: None)
    assert found == [Difference("payments.ledger", "differs", ("2",))]
    assert sides.changes.read() == {("payments", "ledger"): {("2",)}}
    sides.write("UPDATE payments.ledger SET note = 'new' WHERE id = 1")
    assert sides.compared() == ["payments.ledger (1) differs", "payments.ledger (2) differs"]


def test_a_slot_that_was_read_keeps_little_wal(sides: Sides, tables: Pair) -> None:
    sides.write("INSERT INTO payments.heap SELECT repeat(md5(n::text), 50) FROM generate_series(1, 5000) n")
    before = sides.changes.held()
    assert before is not None
    assert before.status == "reserved"
    assert before.bytes > 1_000_000
    for _ in range(2):
        tables.administer("source", "CHECKPOINT")  # PostgreSQL does it by itself, every few minutes
        sides.changes.collect()
    after = sides.changes.held()
    assert after is not None
    assert after.bytes < before.bytes / 2


@pytest.mark.parametrize("use", ["collect", "read"])
def test_without_its_slot_a_new_comparison_is_asked_for(sides: Sides, use: str) -> None:
    sides.changes.drop()
    assert sides.changes.held() is None
    with pytest.raises(
        MigrationError, match=r"the slot stackferry_changes_[0-9]+ of the source is missing.*verify` again"
    ):
        getattr(sides.changes, use)()


def test_a_slot_that_waits_too_long_names_the_open_transactions(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builders.migration.changes.SLOT_SECONDS", "0.3")
    with sides.application.transaction():
        sides.write("INSERT INTO payments.ledger VALUES (1, 'open')")
        with pytest.raises(MigrationError, match=f"pid {sides.application.info.backend_pid} of app"):
            sides.changes.begin()
    sides.changes.begin()


def test_a_table_that_only_one_side_has_is_named(sides: Sides, tables: Pair) -> None:
    sides.write("CREATE TABLE payments.newer (id int PRIMARY KEY)", "INSERT INTO payments.newer VALUES (1)")
    try:
        assert sides.compared() == ["payments.newer is missing in the target"]
    finally:
        sides.write("DROP TABLE payments.newer")


def test_changes_of_a_table_that_no_task_carries_are_no_difference(sides: Sides) -> None:
    """Its rows are in the source alone, and a cut-over need not wait for them."""
    sides.write("INSERT INTO payments.ledger VALUES (1, 'x')")
    locator = {"schema-name": "payments", "table-name": "ledger"}
    everything, without = ({"rule-type": "selection", "rule-action": action, "object-locator": where}
                           for action, where in (("include", {"schema-name": "payments", "table-name": "%"}),
                                                 ("exclude", locator)))  # fmt: skip
    changed = sides.changes.read()
    assert len(compare(sides.source, sides.target, ["payments"], changed)) == 1
    assert compare(sides.source, sides.target, ["payments"], changed, Mappings([everything, without])) == []


def test_a_row_that_differs_is_not_forgotten_where_the_name_of_its_schema_has_a_dot(pair: Callable[..., Pair]) -> None:
    both = pair()
    with both.database("source") as source, both.database("target") as target:
        both.administer("source", f"GRANT CREATE ON DATABASE {both.name} TO ferry_source")
        for side in (source, target):
            side.run('CREATE SCHEMA "pay.ments"')
            side.run('CREATE TABLE "pay.ments"."led.ger" (id int PRIMARY KEY)')
        changes = Changes(source, target, ["pay.ments"])
        changes.begin()
        try:
            source.run('INSERT INTO "pay.ments"."led.ger" VALUES (1)')
            settled = settle(changes, source, target, ["pay.ments"], lambda: None)
            found = compare(source, target, ["pay.ments"], changes.read())
        finally:
            changes.drop()
    assert [each.shown() for each in (*settled, *found)] == ['"pay.ments"."led.ger" (1) is missing in the target'] * 2


def test_a_prepared_transaction_that_the_slot_waits_for_is_named(sides: Sides, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SLOT_SECONDS", 1)
    sides.write("BEGIN", "INSERT INTO payments.ledger VALUES (1, 'x')", "PREPARE TRANSACTION 'payments-7'")
    try:
        with pytest.raises(MigrationError, match=r"the prepared transaction 'payments-7' of app"):
            sides.changes.begin()
    finally:
        sides.write("ROLLBACK PREPARED 'payments-7'")
