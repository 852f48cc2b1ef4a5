"""The application of the sample database: it writes payments without a pause, and remembers what was acknowledged.

with Writer(source.application_url) as writer:
    ...
    writer.stop()
    writer.expected      # what the database holds of the payments that the writer touched
"""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from builders.errors import DeployError

PAUSE_SECONDS = 0.01
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


class Writer:
    """Writes in a thread until it is stopped. `acknowledged` counts its transactions that committed a change."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._random = random.Random(15)  # noqa: S311 payments and no secrets
        self._over = threading.Event()
        self._failure: psycopg.Error | None = None
        self._thread = threading.Thread(target=self._run, name="payments-writer", daemon=True)
        self.acknowledged = 0
        self._expected: dict[int, State | None] = {}

    def __enter__(self) -> Writer:
        """Begin to write."""
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
            raise DeployError(f"the source refused the application: {str(self._failure).strip()}") from self._failure

    @property
    def expected(self) -> Mapping[int, State | None]:
        """{payment: status and revision, or None where it was deleted}, by the acknowledged transactions."""
        return dict(self._expected)

    def _run(self) -> None:
        kinds: list[tuple[Callable[[psycopg.Connection[Any]], dict[int, State | None]], int]] = [
            (self._insert, 5), (self._update, 4), (self._delete, 1),
        ]  # fmt: skip
        chosen = [kind for kind, weight in kinds for _ in range(weight)]
        try:
            with psycopg.connect(self._url, application_name="payments", autocommit=True) as session:
                while not self._over.is_set():
                    with session.transaction():
                        changed = self._random.choice(chosen)(session)
                    self._expected |= changed
                    self.acknowledged += bool(changed)
                    self._over.wait(PAUSE_SECONDS)
        except psycopg.Error as error:
            self._failure = error

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
