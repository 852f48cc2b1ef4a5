"""The application of the sample database: it writes payments without a pause, and remembers what was acknowledged.

with Writer(source_url, target_url) as writer:
    ...
    writer.stop()
    writer.expected       # what the database holds of the payments that the writer touched
    writer.reconnections  # when it had to go to the other database, and how long it could not write

It goes to the other database whenever one refuses its writes, as an application does whose connections are switched.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import psycopg
from psycopg import errors
from psycopg.types.json import Jsonb

from builders.errors import DeployError

PAUSE_SECONDS = 0.02
"""From one transaction to the next: what is shown needs dozens of them a second, and all are carried and compared."""
REFUSED_SECONDS = 60.0
"""An application that nobody has taken writes from for so long has failed."""
LONG_NOTE = 40_000
"""Characters of a note that is too long to travel within its row."""

_INSERT = """
INSERT INTO payments.payments (customer_id, reference, amount, fee_rate, status, note, details)
VALUES (%s, %s, %s, %s, 'received', %s, %s) RETURNING id
"""
_CUSTOMER = "INSERT INTO payments.customers (name, email, profile) VALUES (%s, %s, %s) RETURNING id"
_RECEIPT = "INSERT INTO payments.receipts (payment_id, document, lines) VALUES (%s, %s, %s)"
_UPDATE = """
UPDATE payments.payments SET status = %s, revision = revision + 1, note = note || %s, booked_on = current_date,
    changed_at = now() AT TIME ZONE 'utc'
WHERE id = %s RETURNING revision
"""
_DELETE = "DELETE FROM payments.payments WHERE id = %s"

State = tuple[str, int]
"""Status and revision of a payment."""


@dataclass(frozen=True)
class Reconnection:
    """A change of the application to another database: which one of its URLs, and how long it could not write."""

    side: int
    seconds: float


class Writer:
    """Writes in a thread until it is stopped. `acknowledged` counts its transactions that committed a change."""

    def __init__(self, *urls: str) -> None:
        self._urls = urls
        self._random = random.Random(15)  # noqa: S311 payments and no secrets
        self._over = threading.Event()
        self._failure: psycopg.Error | None = None
        self._thread = threading.Thread(target=self._run, name="payments-writer", daemon=True)
        self._last = time.monotonic()
        self._side = 0
        self.acknowledged = 0
        self.reconnections: list[Reconnection] = []
        self._expected: dict[int, State | None] = {}
        self._doubtful: set[int] = set()

    def __enter__(self) -> Writer:
        """Begin to write."""
        self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        """End; an error of the block is more than one of ours."""
        self._over.set()
        self._thread.join()

    def stop(self) -> None:
        """End after the transaction that is under way. Raises `DeployError` where the writing failed."""
        self._over.set()
        self._thread.join()
        self.check()

    def check(self) -> None:
        """Raise `DeployError` where the writing has failed."""
        if self._failure is not None:
            raise DeployError(f"the application's writes are refused: {str(self._failure).strip()}") from self._failure

    @property
    def expected(self) -> Mapping[int, State | None]:
        """{payment: status and revision, or None where it was deleted}, by the acknowledged transactions.

        Payments of a transaction whose connection broke before the answer are left out: nobody knows.
        """
        return {payment: state for payment, state in self._expected.items() if payment not in self._doubtful}

    def _run(self) -> None:
        side = 0
        while not self._over.is_set():
            try:
                with psycopg.connect(
                    self._urls[side], application_name="payments", autocommit=True, connect_timeout=5
                ) as session:
                    self._write(session, side)
            # The last is a fence that refuses writes; without CONNECT or LOGIN a connection fails.
            except (psycopg.OperationalError, errors.ReadOnlySqlTransaction) as error:
                if len(self._urls) == 1 or time.monotonic() - self._last > REFUSED_SECONDS:
                    self._failure = error
                    return
                side = (side + 1) % len(self._urls)
                self._over.wait(PAUSE_SECONDS)
            except psycopg.Error as error:
                self._failure = error
                return

    def _write(self, session: psycopg.Connection[Any], side: int) -> None:
        kinds: list[tuple[Callable[[psycopg.Connection[Any]], dict[int, State | None]], int]] = [
            (self._insert, 5), (self._update, 4), (self._delete, 1),
        ]  # fmt: skip
        chosen = [kind for kind, weight in kinds for _ in range(weight)]
        while not self._over.is_set():
            changed: dict[int, State | None] = {}
            try:
                with session.transaction():
                    changed = self._random.choice(chosen)(session)
            except psycopg.OperationalError:
                self._doubtful |= changed.keys()
                raise
            self._expected |= changed
            self.acknowledged += bool(changed)
            now = time.monotonic()
            if side != self._side:
                self.reconnections.append(Reconnection(side, now - self._last))
            self._side, self._last = side, now
            self._over.wait(PAUSE_SECONDS)

    def _insert(self, session: psycopg.Connection[Any]) -> dict[int, State | None]:
        """Receive one to three payments, some of a new customer, some with a receipt."""
        customer = self._random.randint(1, 2000)
        if self._random.random() < 0.2:
            name = f"Neue Kundin {self._random.randint(1, 999)} 🚢"
            row = session.execute(_CUSTOMER, (name, f"{uuid.uuid4()}@example.com", Jsonb({"since": name}))).fetchone()
            customer = row[0] if row else customer
        changed: dict[int, State | None] = {}
        for _ in range(self._random.randint(1, 3)):
            note = "x" * LONG_NOTE if self._random.random() < 0.02 else f"Überweisung {self._random.random()}"
            details = Jsonb({"channel": "api", "attempts": self._random.randint(0, 3), "path": "C:\\temp\n"})
            amount, rate = self._random.randint(1, 10**7) / 100, self._random.random()
            row = session.execute(_INSERT, (customer, uuid.uuid4(), amount, rate, note, details)).fetchone()
            assert row is not None
            if self._random.random() < 0.1:
                session.execute(_RECEIPT, (row[0], self._random.randbytes(200), ["a", None, 'b "c"']))
            changed[row[0]] = ("received", 1)
        return changed

    def _update(self, session: psycopg.Connection[Any]) -> dict[int, State | None]:
        """Book or settle a payment: an old one, or one of our own."""
        payment = self._some_payment()
        status = self._random.choice(["booked", "settled", "refused"])
        row = session.execute(_UPDATE, (status, f" {status}", payment)).fetchone()
        return {payment: (status, row[0])} if row else {}

    def _delete(self, session: psycopg.Connection[Any]) -> dict[int, State | None]:
        payment = self._some_payment()
        return {payment: None} if session.execute(_DELETE, (payment,)).rowcount else {}

    def _some_payment(self) -> int:
        ours = [payment for payment, state in self._expected.items() if state is not None]
        if ours and self._random.random() < 0.5:
            return self._random.choice(ours)
        return self._random.randint(1, 6000)


class Reader:
    """Reads payments of one database in a thread, over one connection, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="payments-reader", daemon=True)
        self.answers = 0
        self.failure = ""

    def __enter__(self) -> Reader:
        """Begin to read."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with psycopg.connect(self._url, application_name="payments-reader", autocommit=True) as session:
                while not self._over.is_set():
                    session.execute("SELECT count(*), sum(amount) FROM payments.payments WHERE id > 5900").fetchall()
                    self.answers += 1
                    self._over.wait(PAUSE_SECONDS)
        except psycopg.Error as error:
            self.failure = str(error).strip()


def lost(url: str, expected: Mapping[int, State | None]) -> list[int]:
    """Return the payments that a database does not hold as the application was told."""
    query = "SELECT id, status, revision FROM payments.payments WHERE id = ANY(%s)"
    with psycopg.connect(url) as session:
        found = {row[0]: (row[1], row[2]) for row in session.execute(query, (list(expected),))}
    return [payment for payment, state in expected.items() if found.get(payment) != state]
