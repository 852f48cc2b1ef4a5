"""The cut-over and the fall-back, between two real servers, with a stand-in for DMS."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from builders.migration.runs import Options, cut_over, fall_back

from .conftest import Pair
from .scenes import Scene, scene


@pytest.fixture
def ready(pair: Callable[..., Pair]) -> Iterator[Scene]:
    with scene(pair) as made:
        yield made


def yes(_question: str) -> bool:
    return True


def write(ready: Scene, side: Any, token: str) -> int:
    with psycopg.connect(**ready.login(side).parameters(), autocommit=True) as session:
        return int(session.execute(
            "INSERT INTO payments.orders (token, note) VALUES (%s, 'a note') RETURNING id", (token,)
        ).fetchall()[0][0])  # fmt: skip


def refuses(ready: Scene, side: Any) -> bool:
    with contextlib.suppress(psycopg.Error):
        write(ready, side, "never")
        return False
    return True


def test_a_cutover_closes_the_source_and_opens_the_target_with_all_its_rows(ready: Scene) -> None:
    write(ready, "source", "one")
    assert refuses(ready, "target")
    with ready.parties() as parties:
        outcome = cut_over(parties, Options(), yes)
    print("\n".join(ready.said))
    print(outcome)
    assert outcome.open_side == "target"
    assert refuses(ready, "source")
    assert write(ready, "target", "two") > 1000
    with ready.parties() as parties:
        outcome = fall_back(parties, Options(), yes)
    print(outcome)
    assert refuses(ready, "target")
    assert write(ready, "source", "three") > 2000
    ready.go_forward_again()
    with ready.parties() as parties:
        outcome = cut_over(parties, Options(keep_reads=True), yes)
    with ready.pair.application("target", ready.writer) as session:
        assert session.execute("SELECT token FROM payments.orders ORDER BY id").fetchall() == [
            ("one",),
            ("two",),
            ("three",),
        ]
