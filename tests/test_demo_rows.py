"""The rows of the demo: definitions by a master user that is no superuser, an application that writes, and a comparison
that finds what differs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from builders.cloud.rds.on_premises import APPLICATION, FALLBACK_USER, REPLICATION_USER, OnPremises, on_premises
from builders.errors import DeployError
from builders.migration import schema
from builders.migration.databases import Database, Login
from builders.migration.schema_plan import Users
from builders.rehearsal import comparison, source
from builders.rehearsal.comparison import Comparison
from builders.rehearsal.writer import Writer

TABLES = ["audit", "customers", "payments", "receipts"]


@dataclass(frozen=True)
class Sides:
    """The sample in the source, its definitions in the target, whose role `app` is no superuser."""

    source: OnPremises
    target: OnPremises

    def copy(self) -> None:
        """Bring the target's rows to those of the source, as a migration does."""
        with psycopg.connect(self.source.application_url) as one, psycopg.connect(self.target.application_url) as other:
            other.execute("TRUNCATE payments.audit, payments.customers, payments.payments, payments.receipts")
            for name in TABLES:
                table = f"payments.{name}"
                with (
                    one.cursor().copy(f"COPY {table} TO STDOUT".encode()) as rows,
                    other.cursor().copy(f"COPY {table} FROM STDIN".encode()) as into,
                ):
                    for row in rows:
                        into.write(row)


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp("cloud")
    with on_premises(folder, "source.corp.internal") as one, on_premises(folder, "target.corp.internal") as other:
        schemas = source.fill(one, source.SAMPLE, 0, print)
        ours = Users(frozenset({REPLICATION_USER, FALLBACK_USER}))
        logins = (_login(one, REPLICATION_USER, one.password), _login(other, APPLICATION, other.application_password))
        with Database("source", lambda: logins[0]) as origin, Database("target", lambda: logins[1]) as target:
            assert schema.carry(origin, target, schemas, ours, print, str).is_whole
        yield Sides(one, other)


def _login(side: OnPremises, username: str, password: str) -> Login:
    return Login("localhost", side.server.port, side.database_name, username, password, "require")


@pytest.fixture
def both(sides: Sides) -> Iterator[Comparison]:
    """Both sides, with the same rows."""
    sides.copy()
    with comparison.comparison(sides.source.application_url, sides.target.application_url, ["payments"]) as found:
        yield found


def in_target(sides: Sides, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(sides.target.application_url) as session:
        done = session.execute(statement.encode())
        return done.fetchall() if done.description else []


def test_equal_sides_have_equal_digests(both: Comparison) -> None:
    found = both.until_equal(0)
    assert [(each.table.name, each.agrees) for each in found] == [(name, True) for name in TABLES]
    assert [each.source[0] > 100 for each in found] == [True] * 4


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE payments.payments SET fee_rate = fee_rate + 0.00000000000000001 WHERE id = 77",
        "UPDATE payments.payments SET note = note || ' ' WHERE id = 77",
        "UPDATE payments.payments SET details = NULL WHERE id = 77",
        "DELETE FROM payments.payments WHERE id = 77",
        "UPDATE payments.payments SET id = -77 WHERE id = 77",
    ],
)
def test_one_row_that_is_not_the_same_is_found_by_both_comparisons(sides: Sides, both: Comparison, change: str) -> None:
    in_target(sides, change)
    assert [each.table.name for each in both.until_equal(0) if not each.agrees] == ["payments"]
    differing = {each.table.name: [*each.differing] for each in both.row_by_row(0.3)}
    assert "(77)" in differing.pop("payments")
    assert differing == {"audit": [], "customers": [], "receipts": []}


def test_rows_that_are_only_late_agree_when_they_have_come(sides: Sides, both: Comparison) -> None:
    in_target(sides, "UPDATE payments.payments SET revision = 9 WHERE id < 10")
    with Writer(sides.source.application_url) as writer:
        while writer.acknowledged < 5:
            time.sleep(0.01)
        writer.stop()
    late = both.row_by_row(0.3)
    assert any(each.differing for each in late)
    sides.copy()
    assert [each.differing for each in both.row_by_row(5)] == [[]] * 4


def test_an_acknowledged_write_that_is_not_in_the_target_is_found(sides: Sides) -> None:
    with Writer(sides.source.application_url) as writer:
        while writer.acknowledged < 60:
            time.sleep(0.01)
        writer.stop()
    expected = writer.expected
    sides.copy()
    assert comparison.lost(sides.target.application_url, expected) == []
    payment = next(payment for payment, state in expected.items() if state)
    in_target(sides, f"UPDATE payments.payments SET revision = revision - 1 WHERE id = {payment}")
    deleted = next(payment for payment, state in expected.items() if state is None)
    in_target(
        sides,
        f"INSERT INTO payments.payments (id, customer_id, reference, amount, status) "
        f"VALUES ({deleted}, 1, gen_random_uuid(), 1, 'booked')",
    )
    assert comparison.lost(sides.target.application_url, expected) == [
        each for each in expected if each in (payment, deleted)
    ]


def test_an_application_that_the_source_refuses_is_told_of(sides: Sides) -> None:
    nowhere = sides.source.application_url.replace("app:", "nobody:")
    with Writer(nowhere) as writer, pytest.raises(DeployError, match=r"the source refused the application: .*nobody"):
        writer.stop()
