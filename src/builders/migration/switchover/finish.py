"""The end of a migration: what it made on both sides and nobody needs any more is taken away, the rest is named.

The side that was left stays closed for good: its application would write where nobody reads. Nothing can fall back
afterwards. The journal stays, for the report.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import sql

from builders import naming
from builders.errors import MigrationError
from builders.migration import journal
from builders.migration.changes import Changes
from builders.migration.databases import Database, Side
from builders.migration.journal import OPEN, Details, Run
from builders.migration.switchover import cutover
from builders.migration.switchover.fence import Record
from builders.migration.switchover.steps import Context, Step, outstanding
from builders.migration.task import running

CONTROL_SCHEMA = "awsdms_control"
"""DMS's own tables (ControlSchema of the task's settings)."""

# DMS user guide, "Using a PostgreSQL database as an AWS DMS source": the table of the heartbeat.
_HEARTBEATS = """
SELECT n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_has_role(c.relowner, 'USAGE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname = 'awsdms_heartbeat' AND c.relkind = 'r' ORDER BY 1
"""
_OWNER_OF_SCHEMA = """
SELECT pg_get_userbyid(nspowner), pg_has_role(nspowner, 'USAGE') FROM pg_namespace WHERE nspname = %s
"""

PARAMETERS = (
    "CreateFallback=false of the layer fallback: the task of the way back and its endpoints",
    "the layers migration, connectivity and database_users: no task is needed, nor its user; remove them",
    "rds.logical_replication=0 among RdsParameters of the layer database, with a restart; wal_level of the source",
)
"""Parts that a deployment still has, to be switched off by its layers."""


def steps() -> list[Step]:
    """The steps, in their order; none of them is undone."""
    return [
        Step("stop-tasks", "stop the tasks of both ways", _stop_tasks),
        Step("close-logins", "close the logins of the side that was left, for good", _close_logins, _survey_left),
        Step("slots", "drop the slots of both sides", _drop_slots),
        Step("unfence", "take the triggers of the fences off both sides", _remove_fences),
        Step("heartbeat", "drop DMS's heartbeat and control tables", _drop_tables_of_dms),
        Step("marker", "drop the schema of the marker on both sides", _drop_marker),
        Step("user", "drop the user of the way back in the target", _drop_reader),
    ]


def must_fit(runs: Sequence[Run]) -> None:
    """Refuse to end what has not begun. Raises `MigrationError`."""
    if not any(run.last(OPEN) == "done" for run in runs):
        raise MigrationError("nothing was cut over yet: there is nothing to finish; `cutover` comes first")


def kept(context: Context) -> list[str]:
    """Return what stays, each with the statement or parameter that removes it."""
    left = _left(context)
    database = sql.Identifier(left.login.database).as_string()
    record = outstanding(context.journal.entries(), left.side)
    roles = ", ".join(
        "PUBLIC" if role == "public" else sql.Identifier(role).as_string()
        for role, _ in (record.connect if record else ())
    )
    lines = [
        f"the {left.side} stays closed to the application; to let it in again: GRANT CONNECT ON DATABASE {database} "
        f"TO {roles or 'PUBLIC'}",
        f"the schema {journal.SCHEMA} of the target keeps the journal, for the report; DROP SCHEMA {journal.SCHEMA} "
        "CASCADE when the auditors have it",
    ]
    for user in sorted({*context.users["source"], context.source.login.username}):
        if context.source.value("SELECT true FROM pg_roles WHERE rolname = %s", (user,)):
            named = sql.Identifier(user).as_string()
            lines.append(f"the role {user} of the source; as superuser: DROP OWNED BY {named}; DROP ROLE {named}")
    for schema, user in _control_schemas(context.source):
        lines.append(
            f"the schema {schema} of the source, which {user} owns; as superuser: DROP SCHEMA {schema} CASCADE"
        )
    return [*lines, *PARAMETERS]


def _left(context: Context) -> Database:
    """The side that the application has left."""
    runs = [run for run in context.journal.runs() if run.kind != "finish"]
    return context.source if journal.open_side(runs) == "target" else context.target


def _stop_tasks(context: Context, _details: Details) -> None:
    for task in (context.forward, context.back):
        if task is not None:
            running.stop(task, context.watch)


def _survey_left(context: Context) -> Details:
    """The fence that stands there, with the logins closed too."""
    side = _left(context).side
    record = outstanding(context.journal.entries(), side)
    if record is None or record.keep_reads:
        record = context.fence(side).survey(keep_reads=False)
    return record.details()


def _close_logins(context: Context, details: Details) -> None:
    side: Side = details["side"]
    for note in context.fence(side).close(Record.of(details)):
        context.say(note)


def _drop_slots(context: Context, _details: Details) -> None:
    cutover.drop_slot(context.target, naming.FALLBACK_SLOT)
    for database in (context.source, context.target):
        Changes(database, context.target, context.schemas).drop()


def _remove_fences(context: Context, _details: Details) -> None:
    for database in (context.source, context.target):
        context.fence(database.side).remove()


def _drop_tables_of_dms(context: Context, _details: Details) -> None:
    """Drop what DMS made for itself; what another user owns is dropped as a member of that role, or named as kept."""
    for database in (context.source, context.target):
        for schema, name, owner, is_ours in database.run(_HEARTBEATS):
            if schema != naming.MARKER_SCHEMA and (is_ours or database.side == "target"):
                _as_owner(
                    database,
                    owner,
                    is_ours=is_ours,
                    statement=sql.SQL("DROP TABLE {}").format(sql.Identifier(schema, name)),
                )
        for owner, is_ours in database.run(_OWNER_OF_SCHEMA, (CONTROL_SCHEMA,)):
            if is_ours or database.side == "target":
                dropped = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(CONTROL_SCHEMA))
                _as_owner(database, owner, is_ours=is_ours, statement=dropped)


def _drop_marker(context: Context, _details: Details) -> None:
    for database in (context.source, context.target):
        dropped = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(naming.MARKER_SCHEMA))
        database.patiently(database.run, dropped)


def _drop_reader(context: Context, _details: Details) -> None:
    """Drop the user that this command made in the target for the way back."""
    target = context.target
    if context.reader is None:
        return
    name, _ = context.reader()
    if not target.value("SELECT true FROM pg_roles WHERE rolname = %s", (name,)):
        return
    role = sql.Identifier(name)
    _as_owner(target, name, is_ours=False, statement=sql.SQL("DROP OWNED BY {}").format(role))
    try:
        target.run(sql.SQL("DROP ROLE {}").format(role))
    except MigrationError as error:
        if not isinstance(error.__cause__, psycopg.errors.DependentObjectsStillExist):
            raise
        context.say(f"the role {name} of the target stays, since other databases of the instance know it")


def _as_owner(database: Database, owner: str, *, is_ours: bool, statement: sql.Composed) -> None:
    """Run a statement with the rights of an owner; the master of RDS makes himself a member for as long as that."""

    def run() -> None:
        with database.transaction():
            if not is_ours:
                database.run(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
            database.run(statement)
            if not is_ours:
                database.run(sql.SQL("REVOKE {} FROM CURRENT_USER").format(sql.Identifier(owner)))

    database.patiently(run)


def _control_schemas(database: Database) -> list[tuple[str, str]]:
    return [(CONTROL_SCHEMA, owner) for owner, _ in database.run(_OWNER_OF_SCHEMA, (CONTROL_SCHEMA,))]
