"""The fence of a database: from the moment on that it stands, no write of the application can commit.

1. CONNECT is taken from everybody but the users of DMS and of this command, so that no session begins;
2. their sessions are ended, again and again, until none is left;
3. a trigger on every table refuses INSERT, UPDATE, DELETE and TRUNCATE, also to superusers and to sessions with
   session_replication_role = replica. CREATE TRIGGER takes SHARE ROW EXCLUSIVE: it waits for writers in flight, and
   readers go on. All triggers are made in one transaction, so that there is a moment at which no write was under way.

With `keep_reads` 1 is left out, and of 2 only sessions that hold a lock of a writer are ended.

What was there before is read by `survey`, for the journal, before anything is changed; `lift` gives it back in one
transaction without waiting for any reader; `remove` then takes the triggers away.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import sql

from builders import naming
from builders.errors import MigrationError
from builders.migration import definitions
from builders.migration.databases import LOCK_WAITS, Database, is_passing
from builders.text import counted_noun

TRIGGER = "stackferry_fence"
FUNCTION = f"{naming.MARKER_SCHEMA}.fence"

FENCE_SECONDS = 20.0
"""Seconds in which writers, and what else holds a lock, are waited for and ended; then the fence is given up."""

_PUBLIC = "public"

# Errors read as those of a server that has become read-only, which drivers and pools know (25006). Nobody's
# search_path changes what this calls.
_CLOSED = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $fence$
BEGIN
  -- {nonce}
  IF session_user = ANY (ARRAY[{allowed}]::name[]) THEN RETURN NULL; END IF;
  RAISE EXCEPTION USING ERRCODE = 'read_only_sql_transaction',
    MESSAGE = format('writes to %I.%I are closed while its database is being moved', TG_TABLE_SCHEMA, TG_TABLE_NAME),
    HINT = 'Connect to the database that has taken over.';
END $fence$
"""
_LIFTED = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $fence$
BEGIN RETURN NULL; END $fence$
"""

# CONNECT as it was granted, by the owner or by somebody who got it WITH GRANT OPTION.
_CONNECT = """
SELECT coalesce(g.rolname, %s), a.is_grantable, a.grantor = d.datdba, r.rolname
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a
LEFT JOIN pg_roles g ON g.oid = a.grantee LEFT JOIN pg_roles r ON r.oid = a.grantor
WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' AND (a.grantee = 0 OR g.oid IS NOT NULL)
ORDER BY 1
"""
_MAY_CONNECT = """
SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND rolname <> ALL (%s)
  AND has_database_privilege(oid, current_database(), 'CONNECT') ORDER BY 1
"""
_MEMBERS = """
SELECT m.rolname, u.rolname FROM pg_roles m JOIN pg_roles u ON u.rolname = ANY (%s)
WHERE m.rolcanlogin AND NOT m.rolsuper AND m.rolname <> ALL (%s) AND pg_has_role(m.oid, u.oid, 'USAGE') ORDER BY 1, 2
"""
_OTHERS = f"""
SELECT format('%%I.%%I', n.nspname, c.relname), quote_ident(pg_get_userbyid(c.relowner))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE 'awsdms\\_%%'
  AND NOT pg_has_role(c.relowner, 'USAGE') AND {definitions.not_of_an_extension("pg_class", "c.oid")} ORDER BY 1
"""
# Of other roles' sessions only these columns are seen without pg_monitor. Walsenders read; a superuser's session can
# be ended by a superuser alone, and the trigger holds it.
_SESSIONS = """
SELECT a.pid, a.usename, a.application_name, r.rolsuper
FROM pg_stat_activity a JOIN pg_roles r ON r.rolname = a.usename
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.usename <> ALL (%s)
  AND NOT EXISTS (SELECT 1 FROM pg_stat_replication w WHERE w.pid = a.pid)
ORDER BY a.pid
"""
# What conflicts with SHARE ROW EXCLUSIVE (PostgreSQL, "Explicit Locking"). A prepared transaction has no pid.
_WRITERS = """
SELECT DISTINCT l.pid, a.usename, a.application_name, coalesce(r.rolsuper, true)
FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) LEFT JOIN pg_roles r ON r.rolname = a.usename
WHERE l.locktype = 'relation' AND l.granted AND l.relation = ANY (%s::oid[]) AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
"""
_PREPARED = "SELECT gid, owner FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared"

Session = tuple[int, str, str, bool]


@dataclass(frozen=True)
class Record:
    """A fence as the journal keeps it: what lifts it again. `connect` has (role, with grant option) of before."""

    side: str
    nonce: str
    keep_reads: bool
    connect: tuple[tuple[str, bool], ...]

    def details(self) -> dict[str, Any]:
        """The form of the journal."""
        return asdict(self)

    @staticmethod
    def of(details: Mapping[str, Any]) -> Record:
        """Read one from the journal."""
        connect = tuple((role, grantable) for role, grantable in details["connect"])
        return Record(details["side"], details["nonce"], details["keep_reads"], connect)


class Fence:
    """The fence of one side. `users` are those of DMS and of this command, who stay; ours is one of them anyway."""

    def __init__(self, database: Database, schemas: Sequence[str], users: Sequence[str] = ()) -> None:
        self._database = database
        self._schemas = schemas
        self._users = users

    def survey(self, *, keep_reads: bool) -> Record:
        """Return the present state, with a mark by which this fence is known."""
        connect = tuple((role, grantable) for role, grantable, by_owner, _ in self._connect() if by_owner)
        return Record(self._database.side, secrets.token_hex(8), keep_reads, connect)

    def obstacles(self, *, keep_reads: bool) -> list[str]:
        """Return what would prevent the fence, each with the next step."""
        found = [_prepared(row) for row in self._database.run(_PREPARED)]
        found += [
            f"the subscription {name} writes into the {self._database.side}: ALTER SUBSCRIPTION {name} DISABLE"
            for (name,) in self._database.run(
                "SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid "
                "WHERE s.subenabled AND d.datname = current_database()"
            )
        ]
        found += [
            f"{table} belongs to {owner}, and only its owner makes triggers: GRANT {owner} TO "
            f"{self._database.login.username}, or give the table another owner"
            for table, owner in self._database.run(_OTHERS, (list(self._schemas),))
        ]
        if keep_reads:
            return found
        found += [
            f"{role} is a member of {user} and stays connected with it: REVOKE {user} FROM {role}; or keep the readers "
            "with --keep-reads"
            for role, user in self._database.run(_MEMBERS, (self._stay(), self._stay()))
        ]
        return found + [
            f"CONNECT of {role} was granted by {grantor}, who does not own the database: as {grantor}, REVOKE CONNECT "
            f"ON DATABASE {self._database.login.database} FROM {role}; or keep the readers with --keep-reads"
            for role, _, by_owner, grantor in self._connect()
            if not by_owner
        ]

    def close(self, record: Record) -> list[str]:
        """Put up the fence, and return what a person should know of it. Raises `MigrationError` where it cannot stand.

        It may be called again after it was broken off at any point. After it returns, no write commits.
        """
        deadline = time.monotonic() + FENCE_SECONDS
        if not record.keep_reads:
            self._close_logins()
        self._close_tables(record, deadline)
        return [] if record.keep_reads else self.end_sessions(deadline)

    def stands(self, record: Record) -> bool:
        """Return whether this very fence stands, on every table that there is now."""
        found = self._database.value(
            """SELECT p.prosrc LIKE '%%' || %s || '%%' AND NOT EXISTS (
              SELECT 1 FROM unnest(%s::oid[]) AS t (oid) WHERE NOT EXISTS (
                SELECT 1 FROM pg_trigger g WHERE (g.tgrelid, g.tgname, g.tgfoid) = (t.oid, %s, p.oid)
                  AND g.tgenabled = 'A'))
            FROM pg_proc p WHERE p.oid = to_regproc(%s)""",
            (record.nonce, [table.oid for table in self._tables()], TRIGGER, FUNCTION),
        )
        return bool(found) and (record.keep_reads or not self._may_connect())

    def lift(self, record: Record) -> None:
        """Let writes and logins in again, at once: run this in a transaction. Readers are not waited for."""
        database = self._database
        if database.value("SELECT to_regproc(%s) IS NOT NULL", (FUNCTION,)):
            database.run(sql.SQL(_LIFTED).format(function=_name(FUNCTION)))
        now = {(role, grantable) for role, grantable, by_owner, _ in self._connect() if by_owner}
        before = set(record.connect)
        if record.keep_reads or now == before:
            return
        for role, _ in now - before:
            database.run(self._granting("REVOKE CONNECT ON DATABASE {} FROM {}", role))
        for role, grantable in sorted(before):
            option = " WITH GRANT OPTION" if grantable and role != self._owner() else ""
            database.run(self._granting("GRANT CONNECT ON DATABASE {} TO {}" + option, role))

    def remove(self) -> None:
        """Take the triggers of a lifted fence away. DROP TRIGGER waits for readers: a little, and then again."""
        database = self._database
        for table in self._with_trigger():
            statement = sql.SQL("DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(TRIGGER), table)
            database.patiently(database.run, statement)
        database.run(sql.SQL("DROP FUNCTION IF EXISTS {}()").format(_name(FUNCTION)))

    def _close_logins(self) -> None:
        database = self._database
        known = {name for (name,) in database.run("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s)",
                                                  (self._stay(),))}  # fmt: skip
        granted = {role for role, _, by_owner, _ in self._connect() if by_owner}
        with database.transaction():
            for role in sorted(known - granted):
                database.run(self._granting("GRANT CONNECT ON DATABASE {} TO {}", role))
            for role in sorted(granted - known):
                database.run(self._granting("REVOKE CONNECT ON DATABASE {} FROM {}", role))
        if left := self._may_connect():
            raise MigrationError(
                f"{', '.join(left)} may still connect to the {database.side}: as member of a user of DMS, or because "
                "CONNECT was granted by another role than the owner; revoke that, or use --keep-reads, then run this "
                "again"
            )

    def _close_tables(self, record: Record, deadline: float) -> None:
        attempt = 0
        while True:
            if not record.keep_reads:
                self._end(self._sessions())
            try:
                self._make_triggers(record, LOCK_WAITS[min(attempt, len(LOCK_WAITS) - 1)])
            except MigrationError as error:
                if not is_passing(error):
                    raise
                self._end_writers(error, is_last=time.monotonic() >= deadline)
                attempt += 1
            else:
                return

    def _make_triggers(self, record: Record, lock_seconds: float) -> None:
        """Make all triggers in one transaction: ENABLE takes the lock of CREATE TRIGGER where there is one already."""
        database = self._database
        made = {table.as_string() for table in self._with_trigger()}
        allowed = sql.SQL(", ").join(map(sql.Literal, self._stay()))
        closed = sql.SQL(_CLOSED).format(function=_name(FUNCTION), allowed=allowed, nonce=sql.SQL(record.nonce))
        parts = [sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(f"{int(lock_seconds * 1000)}ms")), closed]
        for table in self._tables():
            names = {"table": table.sql, "trigger": sql.Identifier(TRIGGER), "function": _name(FUNCTION)}
            if table.sql.as_string() not in made:
                parts.append(sql.SQL(
                    "CREATE TRIGGER {trigger} BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
                    "FOR EACH STATEMENT EXECUTE PROCEDURE {function}()"
                ).format(**names))  # fmt: skip
            parts.append(sql.SQL("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}").format(**names))
        schema = sql.Identifier(naming.MARKER_SCHEMA)
        with database.transaction():
            if database.value("SELECT to_regnamespace(%s) IS NULL", (schema.as_string(),)):  # an earlier end took it
                database.run(sql.SQL("CREATE SCHEMA {}").format(schema))
            database.run(sql.SQL(";\n").join(parts))

    def _end_writers(self, error: MigrationError, *, is_last: bool) -> None:
        """End the sessions that keep the triggers from being made; some can only be named."""
        database = self._database
        if prepared := database.run(_PREPARED):
            raise MigrationError(f"{_prepared(prepared[0])}; then run this again") from error
        writers = database.run(_WRITERS, ([table.oid for table in self._tables()],))
        ended = self._end([writer for writer in writers if writer[1] not in self._stay()])
        held = [writer for writer in writers if writer not in ended]
        if is_last:
            raise MigrationError(
                f"the fence of the {database.side} does not stand after {FENCE_SECONDS:g} seconds: "
                f"{_named(held or writers)} hold locks on its tables; end them, then run this again"
            ) from error

    def end_sessions(self, deadline: float) -> list[str]:
        """End what is left, until nothing is; return what a person should know."""
        while True:
            sessions = self._sessions()
            superusers = [session for session in sessions if session[3]]
            if len(sessions) == len(superusers):
                break
            if time.monotonic() >= deadline:
                raise MigrationError(
                    f"sessions of the {self._database.side} do not end: {_named(sessions)}; end them, then run this "
                    "again"
                )
            self._end(sessions)
            time.sleep(0.01)
        if not superusers:
            return []
        return [f"{counted_noun(len(superusers), 'session')} of superusers stay and cannot write: {_named(superusers)}"]

    def _end(self, sessions: Sequence[Session]) -> list[Session]:
        """End sessions, and return those that were asked to end. Superusers' are left."""
        ours = [session for session in sessions if not session[3]]
        if ours:
            self._database.run("SELECT pg_terminate_backend(pid) FROM unnest(%s::int[]) AS s (pid)",
                               ([pid for pid, *_ in ours],))  # fmt: skip
        return ours

    def _sessions(self) -> list[Session]:
        return [(pid, user, name, is_super) for pid, user, name, is_super in
                self._database.run(_SESSIONS, (self._stay(),))]  # fmt: skip

    def _stay(self) -> list[str]:
        return sorted({*self._users, self._database.login.username})

    def _connect(self) -> list[tuple[str, bool, bool, str]]:
        return [(role, grantable, by_owner, grantor) for role, grantable, by_owner, grantor in
                self._database.run(_CONNECT, (_PUBLIC,))]  # fmt: skip

    def _owner(self) -> str:
        return str(self._database.value(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ))  # fmt: skip

    def _may_connect(self) -> list[str]:
        return [name for (name,) in self._database.run(_MAY_CONNECT, (self._stay(),))]

    def _tables(self) -> list[definitions.Table]:
        return definitions.tables(self._database, self._schemas)

    def _with_trigger(self) -> list[sql.Identifier]:
        rows = self._database.run(
            "SELECT n.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE t.tgname = %s ORDER BY 1, 2",
            (TRIGGER,),
        )
        return [sql.Identifier(schema, name) for schema, name in rows]

    def _granting(self, statement: str, role: str) -> sql.Composed:
        named = sql.SQL("PUBLIC") if role == _PUBLIC else sql.Identifier(role)
        return sql.SQL(statement).format(sql.Identifier(self._database.login.database), named)


def _name(qualified: str) -> sql.Identifier:
    return sql.Identifier(*qualified.split("."))


def _prepared(row: tuple[Any, ...]) -> str:
    gid, owner = row
    return (
        f"the prepared transaction {gid!r} of {owner} may be committed at any time: COMMIT PREPARED or ROLLBACK "
        f"PREPARED {gid!r}, and see why its coordinator did not"
    )


def _named(sessions: Sequence[Session]) -> str:
    return ", ".join(f"pid {pid} of {user or 'the server'} ({name or 'no name'})" for pid, user, name, _ in sessions)
