"""One session to one side of a migration: how it logs in, how it runs a statement, and how PostgreSQL's errors read.

Every statement passes an observer before and after, by which a test ends the process at each of them.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, TypeVar

import psycopg
from psycopg import sql

from builders import progress
from builders.errors import MigrationError, StackferryError

Found = TypeVar("Found")
Side = Literal["source", "target"]
Statement = str | sql.Composable
Parameters = Sequence[Any] | Mapping[str, Any]
StatementObserver = Callable[[Literal["before", "after"], str], None]
"""Sees each statement before it is sent and after it was answered; what it raises goes through (crash tests)."""

APPLICATION_NAME = "stackferry"
CONNECT_SECONDS = 10
LOCK_SECONDS = 5

LOCK_WAITS = (0.2, 0.4, 0.8, *(1.6,) * 7)
"""Seconds that each attempt of `Database.patiently` waits for a lock, and pauses then: DMS's transactions are short.

Who else needs the lock queues up behind us for so long. A wait of more than deadlock_timeout (1 s) makes an autovacuum
worker give way.
"""

# Both servers write values as text in one way, whatever a role or a database has set; a lock is not waited for long,
# since others queue up behind us. An idle connection is noticed when its network has gone. Compiling (jit) costs more
# than any statement of ours takes, and an application that is kept out waits for some.
_SESSION = (
    f"-c lock_timeout={LOCK_SECONDS}s -c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=iso_8601 "
    "-c extra_float_digits=1 -c bytea_output=hex -c lc_monetary=C -c array_nulls=on -c quote_all_identifiers=off "
    "-c standard_conforming_strings=on -c jit=off -c default_transaction_read_only=off "
    "-c search_path=pg_catalog,pg_temp"
)
# What is carried, built, compared and awaited takes as long as it takes, whatever a role, a database or the server has
# set, which `schema` carries, too. Two of these came with PostgreSQL 14 and 17. A RESET brings the server's own back.
# And what a crash of the server takes away again, such as a fence or a step of the journal, was never done.
_SETTLED = """
SELECT current_setting('search_path'), (SELECT count(set_config(name, wanted, false)) FROM pg_settings JOIN (VALUES
  ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'),
  ('transaction_timeout', '0'), ('synchronous_commit', 'local')) AS s (name, wanted) USING (name)
  WHERE setting <> wanted AND (name <> 'synchronous_commit' OR setting = 'off'))
"""
OLDEST_MAJOR = 11
"""The first major version with all that the statements of this room use: covering indexes, hashes of 64 bits, slots
that are advanced by a call, and procedures (release notes of 11)."""
# What was sent and is not acknowledged is no idle connection: TCP alone would try for a quarter of an hour.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000,
}  # fmt: skip

_WRONG_PASSWORD = "28P01"  # noqa: S105 an SQLSTATE
_LOCKED, _DEADLOCK, _NOT_SERIALIZED, _NOT_REFERRED = "55P03", "40P01", "40001", "23503"
_PASSING = frozenset({_LOCKED, _DEADLOCK, _NOT_SERIALIZED})
"""Errors that leave no trace of the transaction, and that the same transaction may not meet a moment later."""

_VALUE = re.compile(r"\s?:\s.*", re.DOTALL)
"""The end of a message that has a value in it, in whatever language and quotation marks the server writes it."""

_ADVICE = {
    _WRONG_PASSWORD: "the secret's password is not the role's: let its rotation finish, then run this again",
    "28000": "pg_hba.conf, NOLOGIN or a missing CONNECT refuses this user",
    "3D000": "the database is not there: compare the name with the endpoint's",
    _NOT_SERIALIZED: "another transaction changed the same rows: run this again",
    _DEADLOCK: "two sessions waited for each other, and PostgreSQL ended ours: run this again",
    "42501": "a right is missing: `migrate-database check` names it, with the GRANT",
    "53100": "the server's disk is full: make room, then run this again",
    "53200": "the server is out of memory: run this again when it has less to do",
    "53300": "no connection is free: raise max_connections or end some sessions, then run this again",
    _LOCKED: "another session holds a lock: let it end, or end it, then run this again",
    "57014": "the statement was canceled: run this again",
    "57P01": "an administrator ended our session: run this again",
    "57P03": "the server is starting or stopping: run this again",
}
"""{SQLSTATE: the next step} (PostgreSQL, appendix "PostgreSQL Error Codes")."""

# PgBouncer refuses `options`, or drops them where ignore_startup_parameters names them (PgBouncer, "Config").
_POOLED = (
    "a pooler such as PgBouncer is in between, which shares sessions: put host and port of the server itself into the "
    "secret, or give --source-address or --target-address"
)
_HIDDEN = (
    "its policies hide rows from this user: make him a member of the table's owner, with NO FORCE ROW LEVEL SECURITY, "
    "or give him BYPASSRLS, which RDS gives nobody; then run this again"
)

# Since when a transaction is open is shown of other roles' sessions to members of pg_read_all_stats only; their locks
# are shown to everybody.
_BLOCKERS = """
SELECT a.pid, coalesce(a.usename, 'the server'),
  coalesce(nullif(a.application_name, ''), a.state, left(a.query, 80), 'no name'),
  coalesce(', for ' || date_trunc('second', now() - a.xact_start)::text, '')
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND coalesce(a.application_name, '') <> %s AND EXISTS (
    SELECT 1 FROM pg_catalog.pg_locks l
    WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation' AND l.relation::int8 >= 16384)
ORDER BY a.xact_start NULLS LAST LIMIT 3
"""


# What a role needs to run statements of ours, each as the statements that give and take it where it is missing. To be
# allowed SET is an option of a membership since 16, which another GRANT does not change by itself.
_LENT = """
SELECT give, take FROM (VALUES
  (has_database_privilege(%(role)s, current_database(), 'TEMPORARY'),
   format('GRANT TEMPORARY ON DATABASE %%I TO %%I', current_database(), %(role)s),
   format('REVOKE TEMPORARY ON DATABASE %%I FROM %%I', current_database(), %(role)s)),
  (has_schema_privilege(%(role)s, %(schema)s, 'USAGE'),
   format('GRANT USAGE ON SCHEMA %%I TO %%I', %(schema)s, %(role)s),
   format('REVOKE USAGE ON SCHEMA %%I FROM %%I', %(schema)s, %(role)s)),
  (pg_has_role(%(role)s, {may}), format('GRANT %%I TO CURRENT_USER{option}', %(role)s),
   format('REVOKE %%s%%I FROM CURRENT_USER', CASE WHEN {granted} THEN 'SET OPTION FOR ' END, %(role)s))
) AS needed (has, give, take) WHERE NOT has
"""
_GRANTED = """
EXISTS (SELECT FROM pg_auth_members WHERE roleid = to_regrole(quote_ident(%(role)s))
  AND member = to_regrole(quote_ident(CURRENT_USER)) AND grantor = member)
"""
_RUN = """
CREATE FUNCTION pg_temp.stackferry_run(statements text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $run$
DECLARE each text;
BEGIN
  FOREACH each IN ARRAY statements LOOP EXECUTE each; END LOOP;
  SET CONSTRAINTS ALL IMMEDIATE;
END $run$
"""


@dataclass(frozen=True)
class Login:
    """Address and user of a session. `address` (host and port) replaces the name's own, for a tunnel."""

    host: str
    port: int
    database: str
    username: str
    password: str = field(repr=False)
    ssl_mode: str = "verify-full"
    root_certificate: str = ""
    """Path of the PEM that the server's certificate is verified against; empty where it is not."""
    address: tuple[str, int] | None = None

    def __str__(self) -> str:
        """Return the form of messages."""
        return f"{self.username} at {self.host}:{self.port}/{self.database}"

    def parameters(self) -> dict[str, Any]:
        """The connection parameters of libpq; the certificate is verified against `host`, whatever the address."""
        host, port = self.address or (self.host, self.port)
        address: dict[str, Any] = {"hostaddr": host} if self.address and _is_address(host) else {}
        trusted = {"sslrootcert": self.root_certificate} if self.root_certificate else {}
        return {
            "host": self.host if address or not self.address else host,
            "port": port,
            "dbname": self.database,
            "user": self.username,
            "password": self.password,
            "sslmode": self.ssl_mode,
            **address,
            **trusted,
        }


def _is_address(host: str) -> bool:
    return host.replace(".", "").isdigit() or ":" in host


class Database:
    """A session to one side. `login` is asked again where a password was rotated since."""

    def __init__(self, side: Side, login: Callable[[], Login], observe: StatementObserver | None = None) -> None:
        self.side: Side = side
        self._login = login
        self._observe = observe or (lambda _moment, _statement: None)
        self.login, self.connection = self._connect()
        self.version = self.connection.info.server_version
        if self.version < OLDEST_MAJOR * 10000:
            name = self.connection.info.parameter_status("server_version")
            self.close()
            raise MigrationError(
                f"the {side} is PostgreSQL {name}, and a migration needs what came with PostgreSQL {OLDEST_MAJOR}: "
                "upgrade it first, for example with pg_upgrade"
            )

    def __enter__(self) -> Database:
        """Close the session at the end of the block."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Close."""
        self.close()

    def another(self) -> Database:
        """Open one more session with the same login; close it, or use it as a context manager."""
        return Database(self.side, self._login, self._observe)

    def close(self) -> None:
        """End the session."""
        self.connection.close()

    def run(self, statement: Statement, parameters: Parameters | None = None) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows, or none. Raises `MigrationError`."""
        text = statement if isinstance(statement, str) else statement.as_string(self.connection)
        self._observe("before", text)
        with self.translated():
            # A statement of ours is no input: LiteralString is asked for, which a built one cannot be.
            cursor = self.connection.execute(statement, parameters)  # type: ignore[arg-type]
            rows = cursor.fetchall() if cursor.description else []
        self._observe("after", text)
        return rows

    def value(self, statement: Statement, parameters: Parameters | None = None) -> Any:
        """Run one statement and return the first column of its first row; None where there is no row."""
        rows = self.run(statement, parameters)
        return rows[0][0] if rows else None

    def run_as(self, role: str, schema: str, statements: Sequence[Statement]) -> None:
        """Run statements of a transaction with the rights of a role alone, which owns what they change in a schema.

        The application's code that they call, such as CHECKs and triggers, would get ours: RESET ROLE ends a SET ROLE,
        except within a SECURITY DEFINER function (PostgreSQL manual, "SET ROLE"). What that code leaves behind in the
        session, such as a setting, is not undone: end the session after the transaction. Raises `MigrationError`.
        """
        since_16 = {"may": "'SET'", "option": " WITH SET TRUE", "granted": _GRANTED}
        before = {"may": "'MEMBER'", "option": "", "granted": "false"}
        lending = _LENT.format(**since_16 if self.version >= 160000 else before)
        lent = self.run(lending, {"role": role, "schema": schema})
        texts = [each if isinstance(each, str) else each.as_string(self.connection) for each in statements]
        for give, _ in lent:
            self.run(give)
        self.run(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        self.run(_RUN)
        self.run("SET LOCAL ROLE NONE")
        self.run("SELECT pg_temp.stackferry_run(%s)", (texts,))
        self.run("DROP FUNCTION pg_temp.stackferry_run")
        for _, take in lent:
            self.run(take)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block's statements in one transaction."""
        with self.translated():
            transaction = self.connection.transaction()
            transaction.__enter__()
        try:
            yield
            self._observe("before", "COMMIT")
        except BaseException as error:
            with contextlib.suppress(psycopg.Error):  # a broken connection has no transaction any more
                transaction.__exit__(type(error), error, error.__traceback__)
            raise
        with self.translated():
            transaction.__exit__(None, None, None)
        self._observe("after", "COMMIT")

    def patiently(self, work: Callable[..., Found], *parameters: Any, waits: Sequence[float] = ()) -> Found:
        """Do what is a statement or a transaction as a whole, and do it again where others held a lock that it needs.

        Each attempt waits a little for a lock, by default `LOCK_WAITS`, and then lets go of all that it held. Within a
        transaction it is done once: who began the transaction repeats it. Raises `MigrationError`.
        """
        if self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            return work(*parameters)
        *first, last = waits or LOCK_WAITS
        for number, seconds in enumerate(first, start=1):
            try:
                with self._waiting_for_locks(seconds):
                    return work(*parameters)
            except MigrationError as error:
                if not is_passing(error):
                    raise
                progress.say(f"{error}; trying again ({number} of {len(first)})")
            time.sleep(min(seconds, LOCK_WAITS[-1]))
        with self._waiting_for_locks(last):
            return work(*parameters)

    @contextlib.contextmanager
    def _waiting_for_locks(self, seconds: float) -> Iterator[None]:
        if seconds == LOCK_SECONDS:  # as the session does anyway
            yield
            return
        with self.translated():
            self.connection.execute(f"SET lock_timeout = {seconds * 1000:.0f}".encode())
        try:
            yield
        finally:
            with contextlib.suppress(psycopg.Error):  # the connection may have broken
                self.connection.execute("RESET lock_timeout")

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Turn what psycopg raises within into `MigrationError`, with the next step."""
        try:
            yield
        except psycopg.Error as error:
            self._raise(error)

    def environment(self) -> dict[str, str]:
        """The variables by which pg_dump and pg_restore log in: a command line is read by everybody."""
        names = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE",
                 "password": "PGPASSWORD", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}  # fmt: skip
        return {names[name]: str(value) for name, value in self._login().parameters().items()}

    def _connect(self) -> tuple[Login, psycopg.Connection[Any]]:
        login = self._login()
        try:
            return login, _session(login)
        except psycopg.OperationalError as error:
            again = self._login()
            # psycopg shows no SQLSTATE of a failed login; a rotated secret says enough.
            if again.password == login.password:
                raise MigrationError(
                    f"the {self.side} refuses {login}: {_line(error)}; {_login_advice(error)}"
                ) from None
            try:
                return again, _session(again)
            except psycopg.OperationalError as second:
                raise MigrationError(
                    f"the {self.side} refuses {again}: {_line(second)}; {_login_advice(second)}"
                ) from None

    def _raise(self, error: psycopg.Error) -> NoReturn:
        state = error.sqlstate or ""
        if not state and self.connection.closed:
            raise MigrationError(
                f"the connection to the {self.side} broke: {_line(error)}; run this again when the server answers"
            ) from error
        said = f"the {self.side} refused with SQLSTATE {state}: {_line(error)}" if state else _line(error)
        step = _HIDDEN if "row-level security" in said else _ADVICE.get(state, "")
        if state in (_LOCKED, _DEADLOCK) and (holders := self.holders()):
            step = f"these sessions have transactions open: {holders}; let them end, or end them, then run this again"
        raise MigrationError(f"{said}; {step}" if step else said) from error

    def holders(self) -> str:
        """Name the sessions whose transactions are open the longest: one of them holds the lock."""
        try:
            with self._connect()[1] as other:
                found = other.execute(_BLOCKERS, (APPLICATION_NAME,)).fetchall()
        except (psycopg.Error, StackferryError):
            return ""
        return ", ".join(f"pid {pid} of {user} ({name}{age})" for pid, user, name, age in found)


def sqlstate(error: MigrationError) -> str:
    """Return PostgreSQL's code of a statement's error; empty for what is none."""
    cause = error.__cause__
    return cause.sqlstate or "" if isinstance(cause, psycopg.Error) else ""


def is_passing(error: MigrationError) -> bool:
    """Return whether a lock was not got, in time or without a deadlock, or a transaction came across another."""
    return sqlstate(error) in _PASSING


def _session(login: Login) -> psycopg.Connection[Any]:
    session = psycopg.connect(
        **login.parameters(),
        **_KEEPALIVE,
        application_name=APPLICATION_NAME,
        autocommit=True,
        client_encoding="UTF8",
        connect_timeout=CONNECT_SECONDS,
        options=_SESSION,
    )
    settings = session.execute(_SETTLED).fetchone()
    if settings is None or settings[0] != "pg_catalog,pg_temp":
        session.close()
        raise MigrationError(f"{login} has a session without the settings that it asked for; {_POOLED}")
    return session


def _line(error: psycopg.Error) -> str:
    """The error in one line: PostgreSQL's message and detail, which may have several, and not the statement.

    Values of rows are left out: the details of a constraint that was violated show the row, or what is not unique in
    it, and a value that cannot be read stands in the message (PostgreSQL, "PostgreSQL Error Codes", classes 22 and 23).
    The key that a foreign key does not find is told, as `verify` tells keys.
    """
    primary, detail = error.diag.message_primary, " ".join((error.diag.message_detail or "").split())
    state = error.sqlstate or ""
    if state[:2] in ("22", "23") and state != _NOT_REFERRED:
        primary, detail = _VALUE.sub("", primary or ""), ""
    if primary:
        return f"{primary} ({detail})" if detail else primary
    return " ".join(str(error).split())


def _login_advice(error: psycopg.Error) -> str:
    said = str(error)
    for words, advice in (
        ("password authentication failed", _ADVICE[_WRONG_PASSWORD]),
        ("certificate", "the server's certificate does not verify: check the root certificate and the secret's host"),
        ("resolve", "the host's name has no address here: run this where it has, or give --source-address or "
         "--target-address"),
        ("permission denied for database", "CONNECT is missing, or a cut-over has closed this database"),
        ("startup parameter", _POOLED),
        ("timeout", "nothing answers there: this host needs a way to the database (layer clients)"),
        ("refused", "nothing listens there: check host, port and the way to the database (layer clients)"),
    ):  # fmt: skip
        if words in said:
            return advice
    return "check the secret and the way to the database"
