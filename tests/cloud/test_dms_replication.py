"""A task carries rows from on-premises into the database of RDS: the load, the changes, and where it goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from builders.cloud.process import Cloud

from .conftest import Account, empty
from .dms_rig import Pair, Site, site, wait_for

ORDERS = """CREATE TABLE payments.orders (id bigint PRIMARY KEY, note text, details jsonb, paid boolean,
            amount numeric(12, 2), tags text[], raw bytea, at timestamptz)"""


@pytest.fixture(scope="module")
def ground(cloud: Cloud) -> Iterator[Site]:
    account = Account(cloud, "510000000001")
    with site(cloud, account) as made:
        yield made
        empty(account)


@pytest.fixture
def pair(ground: Site) -> Iterator[Pair]:
    with ground.pair() as made:
        yield made


def insert(first: int, last: int) -> str:
    return f"""INSERT INTO payments.orders SELECT n, 'note ' || n, jsonb_build_object('n', n), n % 2 = 0, n / 7.0,
               ARRAY['a', 'b,c', NULL, 'it''s "' || n], '\\xdeadbeef', '2026-01-31 10:00+00' FROM
               generate_series({first}, {last}) n"""


def test_rows_are_loaded_and_changes_follow(pair: Pair) -> None:
    pair.both(ORDERS)
    pair.source(insert(1, 1000))
    task = pair.task().load()
    assert pair.same("payments.orders")
    pair.source(
        insert(1001, 1010),
        "UPDATE payments.orders SET note = E'it''s\\n''new''', details = NULL WHERE id <= 5",
        "DELETE FROM payments.orders WHERE id = 7",
    )
    wait_for(lambda: pair.same("payments.orders"))
    told = task.table("orders")
    assert (told["FullLoadRows"], told["Inserts"], told["Updates"], told["Deletes"]) == (1000, 10, 5, 1)
    assert told["TableState"] == "Table completed"


def test_what_is_written_while_a_task_is_stopped_comes_when_it_goes_on_and_nothing_twice(pair: Pair) -> None:
    pair.both(ORDERS)
    pair.source(insert(1, 10))
    task = pair.task().load()
    task.stop()
    assert [active for _, active in task.slots()] == [False]
    pair.source(insert(11, 20), "DELETE FROM payments.orders WHERE id = 1")
    task.start("resume-processing")
    wait_for(lambda: pair.same("payments.orders"))
    assert task.table("orders")["FullLoadRows"] == 10
    task.delete()
    assert task.slots() == []
