"""The journal is one run's alone: whoever wrote last may write, everybody else stops; nothing written is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from builders.aws.errors import Unreachable
from builders.aws.objects import Objects
from builders.errors import RolloutError
from builders.rollout.model import Target
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import MOST_ENTRIES, Command, Entry, EntryState, Hold, Run, RunStatus
from builders.rollout.state.store import Store

from .conftest import Administrator

EAST = "us-east-1"


def run(name: str = "first", **more: object) -> Run:
    plain = Run(name, Command.APPLY, "0123456789ab", f"owner of {name}", "2026-11-23T12:00:00+00:00", ("network/Vpc",))
    return dataclasses.replace(plain, **more)  # type: ignore[arg-type]


def entry(number: int, state: EntryState = EntryState.SUBMITTING, **more: object) -> Entry:
    step = Call(Action.UPDATE, "network", "stackferry-network-dev", ("111111111111",), (EAST,), {"Size": "2"})
    return dataclasses.replace(Entry(f"operation-{number}", step, state), **more)  # type: ignore[arg-type]


@pytest.fixture
def bucket(administrator: Administrator) -> str:
    return administrator.bucket()


@pytest.fixture
def reopened(administrator: Administrator, bucket: str) -> Callable[[], Store]:
    """Opens the same store, as another process would."""
    return lambda: Store(administrator.client().objects(EAST), bucket, "dev")


@pytest.fixture
def store(reopened: Callable[[], Store]) -> Store:
    return reopened()


def test_before_the_first_run_there_is_none(store: Store) -> None:
    assert store.journal.run() is None
    assert list(store.journal.history()) == []


def test_a_run_is_read_by_another_process_as_it_was_written(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.begin(run())
    store.journal.record(entry(1))
    store.journal.record(entry(2))
    failures = (Target("111111111111", EAST),)
    store.journal.record(entry(1, EntryState.OVER, failures=failures))
    assert reopened().journal.run() == run(
        entries=(entry(1, EntryState.OVER, failures=failures), entry(2)),
    )


def test_while_a_run_is_under_way_no_other_begins(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.begin(run())
    with pytest.raises(
        RolloutError,
        match=r"^a rollout of dev is not over: apply of release 0123456789ab, begun 2026-11-23T12:00:00\+00:00; "
        r"if nobody runs it any more, resume it first: `rollout-stacksets resume` goes on ",
    ):
        reopened().journal.begin(run("second"))
    assert reopened().journal.run() == run()


def test_messages_name_the_phase_and_who_runs_it_as_every_command_does(
    administrator: Administrator, bucket: str
) -> None:
    def opened() -> Store:
        return Store(administrator.client().objects(EAST), bucket, "pay1", "payments")

    with pytest.raises(RolloutError, match=r"^no rollout of payments is under way"):
        opened().journal.take_over("another")
    with pytest.raises(RolloutError, match=r"^there is no release 0123456789ab of payments"):
        opened().releases.load("0123456789ab")
    opened().journal.begin(run(by="arn:aws:sts::111111111111:assumed-role/operators/ann"))
    begun = r"begun 2026-11-23T12:00:00\+00:00 by arn:aws:sts::111111111111:assumed-role/operators/ann"
    with pytest.raises(RolloutError, match=rf"^a rollout of payments is not over: .*, {begun}; "):
        opened().journal.hold(hold())


def test_after_the_end_of_a_run_another_begins(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.begin(run())
    store.journal.close(good=True)
    reopened().journal.begin(run("second"))
    assert reopened().journal.run() == run("second")


def test_of_two_that_begin_at_once_one_stops(administrator: Administrator, bucket: str) -> None:
    objects = administrator.client().objects(EAST)

    class Meanwhile(Objects):
        """Objects between whose reading and writing another run begins."""

        def put(self, *request: Any) -> str:
            Store(objects, bucket, "dev").journal.begin(run("faster"))
            return objects.put(*request)

    with pytest.raises(RolloutError, match=r"another rollout of dev has taken over .*; this one stops"):
        Store(Meanwhile(administrator.client().calls.session(EAST)), bucket, "dev").journal.begin(run("slower"))
    found = Store(objects, bucket, "dev").journal.run()
    assert found == run("faster")


def hold(name: str = "ann", began: int = 0, until: int = 15) -> Hold:
    """The lock that somebody takes to plan, at a minute past noon."""
    times = (f"2026-11-23T12:{minute:02}:00+00:00" for minute in (began, until))
    return Hold(f"token of {name}", Command.APPLY, f"arn:aws:iam::111111111111:user/{name}", *times)


def test_while_somebody_plans_nobody_else_plans_or_begins(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.hold(hold())
    refused = (
        r"^arn:aws:iam::111111111111:user/ann has held dev since 2026-11-23T12:00:00\+00:00, to plan and agree to apply"
        r": wait until that is over; if nobody is there any more, it ends at 2026-11-23T12:15:00\+00:00$"
    )
    with pytest.raises(RolloutError, match=refused):
        reopened().journal.hold(hold("ben", began=1))
    with pytest.raises(RolloutError, match=refused):
        reopened().journal.begin(run("second"))
    store.journal.begin(run())
    assert reopened().journal.run() == run()
    store.journal.give_back()  # which is no lock to plan any more
    assert reopened().journal.run() == run()


def test_a_lock_that_is_given_back_leaves_the_last_run_as_it_was(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.begin(run())
    store.journal.record(entry(1, EntryState.OVER))
    store.journal.close(good=False)
    before = reopened().journal.run(), list(reopened().journal.history())
    store.journal.hold(hold())
    assert (reopened().journal.run(), list(reopened().journal.history())) == before
    store.journal.give_back()
    assert (reopened().journal.run(), list(reopened().journal.history())) == before
    reopened().journal.hold(hold("ben", began=1))


def test_a_lock_that_nobody_renewed_is_taken_and_a_late_yes_is_refused(
    store: Store, reopened: Callable[[], Store]
) -> None:
    store.journal.hold(hold(until=15))
    store.journal.renew("2026-11-23T12:20:00+00:00")
    other = reopened().journal
    with pytest.raises(RolloutError, match="has held dev"):
        other.hold(hold("ben", began=19, until=34))
    other.hold(hold("ben", began=20, until=35))
    begun = r"apply, begun 2026-11-23T12:20:00\+00:00 by arn:aws:iam::111111111111:user/ben"
    taken = rf"^another rollout of dev has taken over \({begun}\); this one stops$"
    with pytest.raises(RolloutError, match=taken):
        store.journal.renew("2026-11-23T12:40:00+00:00")
    with pytest.raises(RolloutError, match=taken):
        store.journal.begin(run())
    other.begin(run("second"))
    assert reopened().journal.run() == run("second")


def test_a_write_that_meets_another_under_way_is_made_again(faulty: Administrator) -> None:
    """S3 says by 409 that it may not have happened, and by 412 that somebody else wrote."""
    bucket = faulty.bucket()
    objects = faulty.client().objects(EAST)
    store = Store(objects, bucket, "dev")
    for write in (
        lambda: store.journal.hold(hold()),
        lambda: store.journal.begin(run()),
        lambda: store.journal.record(entry(1)),
        lambda: objects.create(bucket, "content", b"{}"),
    ):
        faulty.cloud.set_faults({"kind": "conflict", "operation": "PutObject", "count": 1})
        write()
        assert [fault["struck"] for fault in faulty.cloud.set_faults()] == [1]
    assert store.journal.run() == run(entries=(entry(1),))
    assert objects.exists(bucket, "content")


def test_a_lock_whose_answers_were_lost_is_known_as_our_own(faulty: Administrator) -> None:
    store = Store(faulty.client().objects(EAST), faulty.bucket(), "dev")
    writes: tuple[Callable[[], None], ...] = (
        lambda: store.journal.hold(hold()),
        lambda: store.journal.renew("2026-11-23T12:20:00+00:00"),
        lambda: store.journal.begin(run()),
    )
    for write in writes:
        faulty.cloud.set_faults({"kind": "lost", "operation": "PutObject", "count": 1})
        write()
        assert [fault["struck"] for fault in faulty.cloud.set_faults()] == [1]
    assert store.journal.run() == run()


def test_whoever_was_taken_over_writes_no_more(store: Store, reopened: Callable[[], Store]) -> None:
    store.journal.begin(run())
    store.journal.record(entry(1))
    other = reopened()
    assert other.journal.take_over("another") == run(owner="another", entries=(entry(1),))
    with pytest.raises(RolloutError, match=r"^another rollout of dev has taken over .*; this one stops$"):
        store.journal.record(entry(2))
    with pytest.raises(RolloutError, match="has taken over"):
        store.journal.close(good=True)
    other.journal.record(entry(3))
    found = reopened().journal.run()
    assert found == run(owner="another", entries=(entry(1), entry(3)))


@pytest.mark.parametrize("closed", [True, False])
def test_without_a_run_under_way_there_is_nothing_to_take_over(store: Store, closed: bool) -> None:
    if closed:
        store.journal.begin(run())
        store.journal.close(good=False)
    with pytest.raises(RolloutError, match="no rollout of dev is under way; there is nothing to resume"):
        store.journal.take_over("another")


def test_many_operations_are_all_kept_though_the_journal_stays_small(
    store: Store, reopened: Callable[[], Store], administrator: Administrator, bucket: str
) -> None:
    store.journal.begin(run())
    store.journal.record(entry(0))
    count = MOST_ENTRIES + 50
    store.journal.record(*(entry(number, EntryState.OVER) for number in range(1, count)))
    store.journal.record(*(entry(number, EntryState.OVER) for number in range(count, 2 * count)))
    store.journal.record(entry(0, EntryState.OVER))
    found = reopened().journal.run()
    assert found is not None
    assert {each.operation_id: each for each in found.entries} == {
        **{f"operation-{number}": entry(number, EntryState.OVER) for number in range(1, 2 * count)},
        "operation-0": entry(0, EntryState.OVER),
    }
    body = administrator.api("s3").get_object(Bucket=bucket, Key="rollout/dev/run.json")["Body"].read()
    assert body.count(b"operation_id") == 1
    assert reopened().journal.take_over("another").entries == found.entries


def test_history_has_all_runs_that_ended(store: Store, reopened: Callable[[], Store]) -> None:
    for name, good in (("first", True), ("second", False), ("third", True)):
        journal = reopened().journal
        journal.begin(run(name, release=f"release of {name}"))
        journal.close(good=good)
    store.journal.begin(run("fourth"))
    assert [(each.run, each.release, each.status, each.good) for each in store.journal.history()] == [
        ("first", "release of first", RunStatus.DONE, True),
        ("second", "release of second", RunStatus.FAILED, False),
        ("third", "release of third", RunStatus.DONE, True),
    ]


def test_suffixes_do_not_block_each_other(store: Store, administrator: Administrator, bucket: str) -> None:
    store.journal.begin(run())
    other = Store(administrator.client().objects(EAST), bucket, "staging")
    other.journal.begin(run("second"))
    assert store.journal.run() == run()


def test_a_journal_of_another_form_is_refused(store: Store, administrator: Administrator, bucket: str) -> None:
    administrator.api("s3").put_object(Bucket=bucket, Key="rollout/dev/run.json", Body=b'{"run": {"id": 7}}')
    with pytest.raises(
        RolloutError, match=rf"^s3://{bucket}/rollout/dev/run.json is not what this version .* \(at run.id: "
    ):
        store.journal.run()


@pytest.fixture
def breaking(faulty: Administrator) -> tuple[Administrator, Store]:
    """A store on a server whose faults are taken away at the end, with a run that has begun."""
    store = Store(faulty.client().objects(EAST), faulty.bucket(), "dev")
    store.journal.begin(run())
    return faulty, store


def test_a_write_whose_answer_was_lost_is_known_as_our_own(breaking: tuple[Administrator, Store]) -> None:
    faulty, store = breaking
    for number in (1, 2):
        faulty.cloud.set_faults({"kind": "lost", "operation": "PutObject", "count": 1})
        store.journal.record(entry(number))
        assert [fault["struck"] for fault in faulty.cloud.set_faults()] == [1]
    assert store.journal.run() == run(entries=(entry(1), entry(2)))


def test_the_first_write_of_a_run_may_lose_its_answer_too(faulty: Administrator) -> None:
    store = Store(faulty.client().objects(EAST), faulty.bucket(), "dev")
    faulty.cloud.set_faults({"kind": "lost", "operation": "PutObject", "count": 1})
    store.journal.begin(run())
    store.journal.record(entry(1))
    assert store.journal.run() == run(entries=(entry(1),))


def test_after_a_write_of_which_nobody_knows_the_next_one_goes_on(faulty: Administrator) -> None:
    bucket = faulty.bucket()
    store = Store(faulty.client(attempts=1).objects(EAST), bucket, "dev")
    store.journal.begin(run())
    faulty.cloud.set_faults({"kind": "lost", "operation": "PutObject", "count": 1})
    with pytest.raises(Unreachable):
        store.journal.record(entry(1))
    store.journal.record(entry(2))
    found = store.journal.run()
    assert found == run(entries=(entry(2),))
