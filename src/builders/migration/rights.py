"""The rights that a migration needs, by user and step: the query that tells where one is missing, and the GRANT.

Nobody of ours is a superuser. A DBA of the source runs the statements once; in RDS the master user has what it needs
from the start, and gives the rest. `migrate-database check` names what is missing.

Sources: DMS user guide, "Using a PostgreSQL database as an AWS DMS source" and "... as a target"; PostgreSQL,
"Predefined Roles", "Privileges"; RDS user guide, "Understanding the rds_superuser role".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import sql

from builders.migration.definitions import not_of_an_extension

Step = Literal["check", "schema", "start", "cutover", "fallback"]
Run = Callable[[str, Mapping[str, Any]], Sequence[Sequence[Any]]]
"""Runs a statement with its parameters, and returns the rows; such as `Database.run`."""


@dataclass(frozen=True)
class Right:
    """A right of one user.

    `missing` selects, for the user and the schemas of its parameters, what the right is missing on, as SQL writes it,
    and details for a person. `grant` is the statement, with `{user}` and `{on}`.
    """

    id: str
    step: Step
    purpose: str
    grant: str
    missing: str
    is_optional: bool = False
    """Without it the migration goes on, by another way that `purpose` names."""


@dataclass(frozen=True)
class MissingRight:
    """A right that a user has not. `on` is what it is missing on, as SQL writes it; `statement` gives it."""

    right: Right
    user: str
    on: str
    detail: str
    statement: str


_MEMBERSHIP = """
SELECT r.rolname::text, '' FROM pg_roles r
WHERE r.rolname = '{role}' AND NOT pg_has_role(%(user)s, r.oid, 'USAGE')
"""
_DATABASE = """
SELECT quote_ident(current_database()), ''
WHERE NOT has_database_privilege(%(user)s, current_database(), '{privilege}')
"""
_SCHEMAS = """
SELECT quote_ident(n.nspname), '' FROM pg_namespace n
WHERE n.nspname = ANY (%(schemas)s) AND NOT has_schema_privilege(%(user)s, n.oid, 'USAGE')
"""
_OWN = not_of_an_extension("pg_class", "c.oid")
_TABLES = f"""
SELECT quote_ident(n.nspname), string_agg(quote_ident(c.relname), ', ' ORDER BY c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT ({{granted}})
  AND {_OWN}
GROUP BY n.nspname
"""
_SEQUENCES = f"""
SELECT quote_ident(n.nspname), string_agg(quote_ident(c.relname), ', ' ORDER BY c.relname)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relpersistence <> 't' AND {_OWN}
  AND CASE c.relkind WHEN 'S' THEN NOT has_sequence_privilege(%(user)s, c.oid, 'SELECT') END
GROUP BY n.nspname
"""
# Of a superuser nobody becomes a member: his tables get another owner first.
_OWNERS = f"""
SELECT quote_ident(r.rolname), 'owns ' || string_agg(DISTINCT o.what, ', ')
FROM (
  SELECT c.relowner AS owner, 'tables' AS what FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' AND {_OWN}
  UNION ALL SELECT t.typowner, 'domains' FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
  WHERE n.nspname = ANY (%(schemas)s) AND t.typtype = 'd' AND {not_of_an_extension("pg_type", "t.oid")}
  UNION ALL SELECT n.nspowner, 'schemas' FROM pg_namespace n
  WHERE n.nspname = ANY (%(schemas)s) AND n.nspname <> 'public'
  UNION ALL SELECT d.datdba, 'the database' FROM pg_database d WHERE d.datname = current_database()
) AS o JOIN pg_roles r ON r.oid = o.owner
WHERE {{missing}} AND NOT r.rolsuper AND r.rolname !~ '^pg_'
GROUP BY r.rolname
"""
_NOT_A_MEMBER = "NOT pg_has_role(%(user)s, r.oid, 'USAGE')"
# The option came with PostgreSQL 16, and older versions know no such privilege to ask for.
_NOT_SET = """CASE WHEN current_setting('server_version_num')::int8 >= 160000
  THEN pg_has_role(%(user)s, r.oid, 'USAGE') AND NOT pg_has_role(%(user)s, r.oid, 'SET') END"""

_CONNECT = Right(
    "connect", "check", "log in to the database", "GRANT CONNECT ON DATABASE {on} TO {user}",
    _DATABASE.format(privilege="CONNECT"),
)  # fmt: skip
_CREATE = "GRANT CREATE ON DATABASE {on} TO {user}"
_USAGE = Right("usage", "check", "look into the schema", "GRANT USAGE ON SCHEMA {on} TO {user}", _SCHEMAS)

SOURCE_READER: Sequence[Right] = (
    _CONNECT,
    Right(
        "replication", "check", "make replication slots, for DMS and to see what changed",
        "ALTER ROLE {on} REPLICATION",
        "SELECT quote_ident(rolname), '' FROM pg_roles WHERE rolname = %(user)s AND NOT (rolreplication OR rolsuper)",
    ),
    _USAGE,
    Right(
        "select-tables", "check", "read the rows, for the load and to compare them",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {on} TO {user}",
        _TABLES.format(granted="has_table_privilege(%(user)s, c.oid, 'SELECT')"),
    ),
    Right(
        "select-sequences", "check", "read the sequences, which DMS does not carry",
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA {on} TO {user}", _SEQUENCES,
    ),
    Right(
        "read-statistics", "check", "see how long the transactions of other roles run; else they are not judged",
        "GRANT pg_read_all_stats TO {user}", _MEMBERSHIP.format(role="pg_read_all_stats"), is_optional=True,
    ),
    Right(
        "create-schema", "schema", "make the schema of the marker table, stackferry", _CREATE,
        _DATABASE.format(privilege="CREATE"),
    ),
    Right(
        "read-verifiers", "schema", "carry the passwords' verifiers; else roles get new passwords",
        "GRANT SELECT ON pg_catalog.pg_authid TO {user}",
        "SELECT 'pg_authid', '' WHERE NOT has_table_privilege(%(user)s, 'pg_catalog.pg_authid', 'SELECT')",
        is_optional=True,
    ),
    Right(
        "heartbeat", "start", "keep the table of DMS's heartbeat", "GRANT CREATE, USAGE ON SCHEMA {on} TO {user}",
        "SELECT 'public', '' FROM pg_namespace n WHERE n.nspname = 'public' AND NOT ("
        "has_schema_privilege(%(user)s, n.oid, 'CREATE') AND has_schema_privilege(%(user)s, n.oid, 'USAGE'))",
    ),
    Right(
        "owners", "cutover", "fence the tables, alter domains and close the database, which their owners may do",
        "GRANT {on} TO {user}", _OWNERS.replace("{missing}", _NOT_A_MEMBER),
    ),
    Right(
        "set-owners", "cutover", "validate CHECKs, whose code runs as their owner",
        "GRANT {on} TO {user} WITH SET TRUE", _OWNERS.replace("{missing}", _NOT_SET),
    ),
    Right(
        "end-sessions", "cutover", "end the application's sessions", "GRANT pg_signal_backend TO {user}",
        _MEMBERSHIP.format(role="pg_signal_backend"),
    ),
)  # fmt: skip
"""Rights of the user of DMS's source endpoint, where `migrate-database` logs in as the same; both may log in."""

OF_DMS: Sequence[Right] = tuple(
    right for right in SOURCE_READER
    if right.id in ("connect", "replication", "usage", "select-tables", "heartbeat")
)  # fmt: skip
OF_MIGRATOR: Sequence[Right] = tuple(right for right in SOURCE_READER if right.id != "heartbeat")
"""Rights of the two where they are not the same (`--source-secret`)."""

SOURCE_WRITER: Sequence[Right] = (
    _CONNECT,
    _USAGE,
    Right("control-tables", "fallback", "keep DMS's own tables, in the schema awsdms_control", _CREATE,
          _DATABASE.format(privilege="CREATE")),
    Right(
        "write-tables", "fallback", "write what changed in RDS",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {on} TO {user}",
        _TABLES.format(granted=" AND ".join(
            f"has_table_privilege(%(user)s, c.oid, '{each}')" for each in ("SELECT", "INSERT", "UPDATE", "DELETE"))),
    ),
    Right(
        "bypass-row-security", "fallback", "write to tables with row-level security; a superuser sets it",
        "ALTER ROLE {on} BYPASSRLS",
        "SELECT quote_ident(rolname), '' FROM pg_roles WHERE rolname = %(user)s AND NOT (rolbypassrls OR rolsuper) "
        "AND EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = ANY (%(schemas)s) AND c.relrowsecurity)",
    ),
    Right(
        "replica", "fallback", "write past triggers, foreign keys and the fence; a superuser sets it",
        "ALTER ROLE {on} SET session_replication_role = replica",
        "SELECT quote_ident(rolname), '' FROM pg_roles WHERE rolname = %(user)s AND NOT EXISTS ("
        "SELECT FROM pg_db_role_setting s, unnest(s.setconfig) AS c "
        "WHERE s.setrole = pg_roles.oid AND c = 'session_replication_role=replica')",
    ),
)  # fmt: skip
"""Rights of the user by whom DMS writes to the source on the way back, whose secret is `FallbackSecretArn`."""

TARGET_MASTER: Sequence[Right] = (
    Right(
        "create-roles", "schema", "make the application's roles",
        "ALTER ROLE {on} CREATEROLE",
        "SELECT quote_ident(rolname), '' FROM pg_roles WHERE rolname = %(user)s AND NOT (rolcreaterole OR rolsuper)",
    ),
    Right(
        "create-schemas", "schema", "make the schemas, and that of the journal, stackferry_state", _CREATE,
        _DATABASE.format(privilege="CREATE"),
    ),
    Right(
        "rds-superuser", "schema", "make extensions, end sessions, see statistics",
        "GRANT rds_superuser TO {user}", _MEMBERSHIP.format(role="rds_superuser"),
    ),
    Right(
        "rds-replication", "cutover", "make the slot of the way back",
        "GRANT rds_replication TO {user}", _MEMBERSHIP.format(role="rds_replication"),
    ),
)  # fmt: skip
"""Rights of the DB instance's master user, which RDS gives it with the instance. It is no superuser, and there is
none."""


def missing(run: Run, user: str, rights: Sequence[Right], schemas: Sequence[str]) -> Iterator[MissingRight]:
    """Find what a user lacks. A role that is not there lacks nothing: PostgreSQL knows no rights of it."""
    parameters = {"user": user, "schemas": list(schemas)}
    if not run("SELECT 1 FROM pg_roles WHERE rolname = %(user)s", parameters):
        return
    for right in rights:
        for on, detail in run(right.missing, parameters):
            yield MissingRight(right, user, on, detail, statement(right, user, on))


def statement(right: Right, user: str, on: str) -> str:
    """The statement that gives a right; `on` is as SQL writes it."""
    return right.grant.format(user=sql.Identifier(user).as_string(None), on=on)
