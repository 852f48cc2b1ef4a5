"""Ids and timestamps are those that Python's own modules would give."""

from __future__ import annotations

import os
import re
import threading
import uuid
from datetime import UTC, datetime

from builders.cloud.stamps import new_id, now_iso


def test_ids_are_random_uuids_of_version_4_and_all_different() -> None:
    ids = [new_id() for _ in range(2000)]
    parsed = [uuid.UUID(each) for each in ids]
    assert [str(each) for each in parsed] == ids
    assert {(each.version, each.variant) for each in parsed} == {(4, uuid.RFC_4122)}
    assert len(set(ids)) == len(ids)
    assert {each[19] for each in ids} == set("89ab")


def test_threads_get_different_ids() -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend([new_id() for _ in range(1000)])) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(set(found)) == 4000


def test_a_forked_process_does_not_give_the_ids_of_its_parent() -> None:
    new_id()
    reading, writing = os.pipe()
    if not os.fork():
        os.write(writing, new_id().encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as text:
        theirs = text.read()
    os.wait()
    assert theirs not in {new_id() for _ in range(300)}


def test_the_time_is_told_to_the_millisecond_in_utc() -> None:
    for _ in range(1000):
        before, told, after = datetime.now(UTC), now_iso(), datetime.now(UTC)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told)
        assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= datetime.fromisoformat(told) <= after
