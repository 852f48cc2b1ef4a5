"""The log that the source keeps for slots, and the time until one is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from builders.errors import MigrationError
from builders.migration import slots, status
from builders.migration.slots import Slot, Slots
from builders.migration.task.values import LoadProgress, Task

from .conftest import Pair

MIB = 1024 * 1024
TASK = Task("arn", "instance", ("source", "target"), "running", "", "", "", "monday", LoadProgress(100, 1, 0, 0, 0))


def slot(status_of_wal: str = "reserved", name: str = "dms_1", safe: int | None = None) -> Slot:
    return Slot(name, "test_decoding", is_active=False, status=status_of_wal, retained=5 * MIB, behind=MIB, safe=safe)


@pytest.fixture
def limited(pair: Callable[..., Pair]) -> Iterator[Pair]:
    """A source that keeps 64 MB for a slot that nobody reads."""
    both = pair("CREATE TABLE public.written (id int)")
    make = "SELECT pg_create_logical_replication_slot('unread_' || current_database(), 'test_decoding')"
    both.administer("source", "ALTER SYSTEM SET max_slot_wal_keep_size = '64MB'", "SELECT pg_reload_conf()", make)
    yield both
    both.administer("source", "ALTER SYSTEM RESET max_slot_wal_keep_size", "SELECT pg_reload_conf()",
                    "SELECT pg_drop_replication_slot('unread_' || current_database())")  # fmt: skip


def test_retained_log_limit_and_rate_are_read_of_the_server(limited: Pair) -> None:
    with limited.database("source") as source:
        before = slots.read(source, measure=False)
        with limited.application() as session:
            session.execute("INSERT INTO public.written SELECT generate_series(1, 20000)")
        after = slots.read(source)
    (one,), (other,) = before.slots, after.slots
    assert (other.name, other.is_active, other.status) == (f"unread_{limited.name}", False, "reserved")
    assert before.limit == 64 * MIB
    assert one.retained is not None
    assert other.retained is not None
    assert other.retained - one.retained > MIB
    assert other.safe is not None
    assert other.safe <= 65 * MIB
    assert after.bytes_per_second > 0


def test_a_slot_of_another_database_is_not_the_phase_s(limited: Pair, pair: Callable[..., Pair]) -> None:
    with pair().database("source") as source:
        assert slots.read(source, measure=False).slots == ()


def test_days_are_left_by_the_rate_where_there_is_a_limit() -> None:
    assert slot(safe=864_000).days_left(1.0) == 10
    assert slot(safe=-5).days_left(1.0) == 0
    assert slot().days_left(1.0) is None
    assert slot(safe=5).days_left(0.0) is None


@pytest.mark.parametrize(
    "found", [[slot(slots.LOST)], [slot(slots.LOST), slot(slots.LOST, "dms_2")], [slot(slots.LOST), slot("reserved",
    "stackferry_changes")]],
)  # fmt: skip
def test_a_task_whose_slot_is_lost_is_not_resumed(found: list[Slot]) -> None:
    with pytest.raises(MigrationError, match=r"has lost the slot dms_1: .*load again with `migrate-database reload`"):
        slots.must_not_be_lost(found)


@pytest.mark.parametrize("found", [[], [slot()], [slot(slots.LOST), slot("reserved", "dms_2")]])
def test_a_task_with_a_slot_that_can_be_read_is_resumed(found: list[Slot]) -> None:
    slots.must_not_be_lost(found)


def test_the_page_names_the_disk_of_the_side_that_keeps_the_log() -> None:
    page = status.Overview(TASK, [], slots=Slots((slot(), slot(slots.LOST)), None, 10.0, "target"))
    lines = [text for title, text in page.lines() if title == "slot"]
    assert "no limit but the target's disk" in lines[0]
    assert lines[1].endswith("no fall-back")


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (slot(safe=864_000 * 10), "lost in 10.0 days at 10 B/s if nobody reads it"),
        (slot(safe=36_000 * 10), "lost in 10.0 hours at 10 B/s if nobody reads it (soon: let the task run)"),
        (slot(), "no limit but the source's disk, which fills at 10 B/s"),
        (slot(slots.LOST), "load again with `migrate-database reload`"),
    ],
)
def test_the_page_says_how_long_a_slot_can_wait(one: Slot, said: str) -> None:
    page = status.Overview(TASK, [], slots=Slots((one,), None, 10.0))
    (line,) = [text for title, text in page.lines() if title == "slot"]
    assert line.startswith("dms_1: nobody reads it, ")
    assert line.endswith(said)
