"""Sequences go on on the other side where no value comes twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from builders.errors import MigrationError
from builders.migration.databases import Database
from builders.migration.switchover import sequences
from builders.migration.switchover.sequences import Definition, Position, headroom, moved_on

from .conftest import Pair

SEQUENCES = (
    "CREATE SCHEMA payments",
    "CREATE TABLE payments.ledger (id bigserial PRIMARY KEY, number int)",
    "CREATE SEQUENCE payments.unowned INCREMENT 10",
    "ALTER TABLE payments.ledger ALTER number SET DEFAULT nextval('payments.unowned')",
    "CREATE TABLE payments.tickets (id int GENERATED ALWAYS AS IDENTITY (START 500 INCREMENT -1 MINVALUE -100000 "
    "MAXVALUE 1000) PRIMARY KEY)",
    "CREATE SEQUENCE payments.round MINVALUE 1 MAXVALUE 9 CYCLE",
    "CREATE SEQUENCE payments.fresh",
    'CREATE SEQUENCE payments."It\'s"',
    "CREATE DOMAIN payments.number AS bigint CHECK (VALUE > 0)",
    "CREATE SEQUENCE payments.numbers",
    "CREATE TABLE payments.orders (id payments.number PRIMARY KEY DEFAULT nextval('payments.numbers'))",
)


@pytest.fixture(scope="module")
def both(pair: Callable[..., Pair]) -> Pair:
    made = pair(*SEQUENCES)
    with made.database("target") as target:
        for statement in SEQUENCES:
            target.run(statement)
    return made


@pytest.fixture
def sides(both: Pair) -> Iterator[tuple[Database, Database]]:
    with both.database("source") as source, both.database("target") as target:
        yield source, target


def test_every_sequence_goes_on_past_what_the_source_gave_out(both: Pair, sides: tuple[Database, Database]) -> None:
    source, target = sides
    with both.application() as session:
        session.execute("INSERT INTO payments.ledger (number) SELECT nextval('payments.unowned') FROM "
                        "generate_series(1, 7)")  # fmt: skip
        session.execute("INSERT INTO payments.tickets SELECT FROM generate_series(1, 3)")
        session.execute("SELECT nextval('payments.round') FROM generate_series(1, 12)")
    assert sequences.carry(source, target, ["payments"], {}) == []
    given = {name: target.value("SELECT nextval(%s)", (f"payments.{name}",))
             for name in ("ledger_id_seq", "unowned", "tickets_id_seq", "round", "fresh", '"It\'s"')}  # fmt: skip
    assert given == {
        "ledger_id_seq": 7 + 1000 + 1,
        "unowned": 61 + 1000 * 10 + 10,
        "tickets_id_seq": 498 - 1000 - 1,
        "round": 3 + 3 + 1,
        "fresh": 1 + 1000,
        '"It\'s"': 1001,
    }


def test_values_that_were_written_without_the_sequence_are_passed(both: Pair, sides: tuple[Database, Database]) -> None:
    source, target = sides
    with both.application() as session:
        session.execute("INSERT INTO payments.ledger (id, number) VALUES (50000, 777777)")
        session.execute("INSERT INTO payments.tickets OVERRIDING SYSTEM VALUE VALUES (-5000)")
        session.execute("INSERT INTO payments.orders VALUES (6000)")
    found = sequences.definitions(source, ["payments"])
    known = sequences.held(source, found, indexed=False)
    assert known == {"payments.unowned": 777777}
    sequences.carry(source, target, ["payments"], known, margin=0)
    assert target.value("SELECT nextval('payments.ledger_id_seq')") == 50001
    assert target.value("SELECT nextval('payments.unowned')") > 777777
    assert target.value("SELECT nextval('payments.tickets_id_seq')") == -5001
    assert target.value("SELECT nextval('payments.numbers')") == 6001


def test_setting_them_twice_is_the_same_as_once(sides: tuple[Database, Database]) -> None:
    source, target = sides
    found = sequences.definitions(source, ["payments"])
    sequences.carry(source, target, ["payments"], {})
    once = sequences.positions(target, found)
    sequences.carry(source, target, ["payments"], {})
    assert sequences.positions(target, found) == once


def test_a_sequence_that_the_target_lacks_is_named(both: Pair, sides: tuple[Database, Database]) -> None:
    source, target = sides
    with both.application() as session:
        session.execute("CREATE SEQUENCE payments.late")
    with pytest.raises(MigrationError, match=r"the target lacks the sequences payments\.late"):
        sequences.carry(source, target, ["payments"], {})
    with both.application() as session:
        session.execute("DROP SEQUENCE payments.late")


UP = Definition("s", "up", 1, 1, 100, cycles=False, used_by=())
DOWN = Definition("s", "down", -5, -100, -1, cycles=False, used_by=())


@pytest.mark.parametrize(
    ("sequence", "position", "last_held", "expected"),
    [
        (UP, Position(10, called=True), None, Position(20, called=True)),
        (UP, Position(1, called=False), None, Position(11, called=False)),
        (UP, Position(10, called=True), 15, Position(25, called=True)),
        (UP, Position(1, called=False), 1, Position(11, called=True)),
        (UP, Position(90, called=True), None, Position(95, called=True)),
        (UP, Position(100, called=True), None, Position(100, called=True)),
        (UP, Position(10, called=True), 5000, Position(20, called=True)),
        (DOWN, Position(-1, called=True), None, Position(-46, called=True)),
        (DOWN, Position(-1, called=True), -12, Position(-56, called=True)),
    ],
)
def test_a_margin_lies_in_the_sequences_own_direction_and_within_its_bounds(
    sequence: Definition, position: Position, last_held: int | None, expected: Position
) -> None:
    assert moved_on(sequence, position, last_held, margin=10) == expected


def test_values_left_are_counted_in_the_sequences_own_direction() -> None:
    assert headroom(UP, Position(98, called=True)) == 2
    assert headroom(DOWN, Position(-91, called=False)) == 2
    wide = Definition("s", "wide", 1, 1, 10_000, cycles=False, used_by=())
    (line,) = sequences.scarce([wide, UP], {"s.wide": Position(9_000, called=True), "s.up": Position(99, called=True)})
    assert "sequence s.wide has 1,000 values left" in line
