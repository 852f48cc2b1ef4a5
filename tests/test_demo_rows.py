"""The application of the demo: it writes without a pause, goes to the database that takes its writes, and is believed
only in what was acknowledged."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.errors import DeployError
from builders.rehearsal import source
from builders.rehearsal.writer import Reader, Writer, lost


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnPremises]:
    with on_premises(tmp_path_factory.mktemp("cloud"), "source.corp.internal") as running:
        source.fill(running, source.SAMPLE, 0, print)
        running.server.administer("CREATE DATABASE other TEMPLATE payments")
        yield running


@pytest.fixture
def urls(database: OnPremises) -> tuple[str, str]:
    url = database.application_url
    return url, url.replace(f"/{database.database_name}", "/other")


def until(reached: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_acknowledged_write_that_the_database_does_not_have_is_found(urls: tuple[str, str]) -> None:
    with Writer(urls[0]) as writer:
        until(lambda: writer.acknowledged >= 60)
        writer.stop()
    expected = writer.expected
    assert lost(urls[0], expected) == []
    payment = next(payment for payment, state in expected.items() if state)
    deleted = next(payment for payment, state in expected.items() if state is None)
    with psycopg.connect(urls[0], autocommit=True) as session:
        session.execute("UPDATE payments.payments SET revision = revision - 1 WHERE id = %s", (payment,))
        session.execute(
            "INSERT INTO payments.payments (id, customer_id, reference, amount, status, note, details) "
            "VALUES (%s, 1, gen_random_uuid(), 1, 'booked', '', '{}')",
            (deleted,),
        )
    assert lost(urls[0], expected) == [each for each in expected if each in (payment, deleted)]


def test_an_application_that_is_fenced_goes_to_the_other_database_and_says_for_how_long_it_could_not_write(
    database: OnPremises, urls: tuple[str, str]
) -> None:
    fence = """
      CREATE FUNCTION public.fence() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction'; END $$;
      CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON payments.payments EXECUTE FUNCTION public.fence()
    """
    with Writer(*urls) as writer:
        until(lambda: writer.acknowledged >= 5)
        database.server.administer(fence, database=database.database_name)
        until(lambda: len(writer.reconnections) == 1)
        writer.stop()
    database.server.administer("DROP FUNCTION public.fence() CASCADE", database=database.database_name)
    (move,) = writer.reconnections
    assert (move.side, 0 < move.seconds < 20) == (1, True)


def test_a_reader_whose_session_is_ended_says_so(database: OnPremises, urls: tuple[str, str]) -> None:
    with Reader(urls[0]) as reader:
        until(lambda: reader.answers >= 3)
        database.server.administer(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'payments-reader'"
        )
        until(lambda: bool(reader.failure))
    assert "terminating connection" in reader.failure


def test_an_application_that_nobody_lets_write_has_failed(urls: tuple[str, str]) -> None:
    nowhere = urls[0].replace("app:", "nobody:")
    with Writer(nowhere) as writer, pytest.raises(DeployError, match=r"the application's writes are refused: .*nobody"):
        writer.stop()
