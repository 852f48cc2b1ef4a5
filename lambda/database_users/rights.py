"""The rights of DMS's role: what it needs, what it has, and the statements between the two.

What it needs (AWS DMS user guide, "Using a PostgreSQL database as a target", Security requirements): to connect to the
database and make schemas in it, which its own control tables go into (awsdms_control), and to write to the tables of
the migrated schemas and make more of them. Schemas and tables that it makes itself are its own anyway.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from postgres_connection import VerifiedConnection
from postgres_driver import identifier

_ON_DATABASE = ("CONNECT", "CREATE")
_ON_SCHEMA = ("CREATE", "USAGE")
_ON_TABLE = ("DELETE", "INSERT", "SELECT", "TRUNCATE", "UPDATE")

# Owner's rights are no grants, so they are neither needed nor superfluous. Catalogs are read by everybody.
_HELD = """
SELECT 'DATABASE' AS kind, quote_ident(datname) AS object, false AS to_come, privilege_type, is_grantable
  FROM pg_database, aclexplode(datacl), role
 WHERE datname = current_database() AND grantee = role.oid
UNION ALL
SELECT 'SCHEMA', quote_ident(nspname), false, privilege_type, is_grantable
  FROM pg_namespace, aclexplode(nspacl), role
 WHERE grantee = role.oid AND nspowner <> role.oid
UNION ALL
SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, format('%I.%I', nspname, relname), false,
       privilege_type, is_grantable
  FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace, aclexplode(relacl), role
 WHERE grantee = role.oid AND relowner <> role.oid
UNION ALL
SELECT CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS'
                          WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
       coalesce(quote_ident(nspname), ''), true, privilege_type, is_grantable
  FROM pg_default_acl LEFT JOIN pg_namespace ON pg_namespace.oid = defaclnamespace, aclexplode(defaclacl), role
 WHERE grantee = role.oid AND defaclrole = current_user::regrole
"""

_SCHEMAS = """
SELECT quote_ident(nspname) FROM pg_namespace, role
 WHERE nspname = ANY(CAST(:schemas AS text[])) AND nspowner <> role.oid
"""

_TABLES = """
SELECT format('%I.%I', nspname, relname)
  FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace, role
 WHERE nspname = ANY(CAST(:schemas AS text[])) AND relkind IN ('r', 'p') AND relowner <> role.oid
"""


class Right(NamedTuple):
    """One privilege on one object; `to_come` on objects that the master user has yet to make in schema `object`."""

    kind: str
    object: str
    to_come: bool
    privilege: str
    may_pass_on: bool = False


def held(connection: VerifiedConnection, role: str) -> set[Right]:
    """The rights that the role has been granted in this database."""
    rights = {Right(*row) for row in connection.run(_with_role(_HELD), role=role)}
    # To pass a right on is a second right: the first may be needed and this one not.
    return rights | {right._replace(may_pass_on=False) for right in rights}


def needed(connection: VerifiedConnection, role: str, schemas: Sequence[str]) -> set[Right]:
    """The rights that DMS needs in this database as it is now."""
    listed = list(schemas)
    [[database]] = connection.run("SELECT quote_ident(current_database())")
    rights = {Right("DATABASE", database, False, privilege) for privilege in _ON_DATABASE}
    for [schema] in connection.run(_with_role(_SCHEMAS), role=role, schemas=listed):
        rights |= {Right("SCHEMA", schema, False, privilege) for privilege in _ON_SCHEMA}
        rights |= {Right("TABLES", schema, True, privilege) for privilege in _ON_TABLE}
    for [table] in connection.run(_with_role(_TABLES), role=role, schemas=listed):
        rights |= {Right("TABLE", table, False, privilege) for privilege in _ON_TABLE}
    return rights


def grants(missing: Iterable[Right], role: str) -> Iterator[str]:
    """The statements that give rights."""
    for prefix, on, privileges, _ in _grouped(missing):
        yield f"{prefix}GRANT {privileges} ON {on} TO {identifier(role)}"


def revocations(superfluous: Iterable[Right], role: str) -> Iterator[str]:
    """The statements that take rights away, those to pass on first."""
    for prefix, on, privileges, may_pass_on in sorted(_grouped(superfluous), key=lambda group: not group[3]):
        what = f"GRANT OPTION FOR {privileges}" if may_pass_on else privileges
        yield f"{prefix}REVOKE {what} ON {on} FROM {identifier(role)} CASCADE"


def _grouped(rights: Iterable[Right]) -> Iterator[tuple[str, str, str, bool]]:
    """(what precedes the statement, object, privileges, whether to pass on), a group for each object."""

    def of_object(right: Right) -> tuple[str, str, bool, bool]:
        return right.kind, right.object, right.to_come, right.may_pass_on

    for (kind, name, to_come, may_pass_on), group in itertools.groupby(sorted(rights, key=of_object), of_object):
        privileges = ", ".join(sorted(right.privilege for right in group))
        if to_come:
            within = f"IN SCHEMA {name} " if name else ""
            yield f"ALTER DEFAULT PRIVILEGES {within}", kind, privileges, may_pass_on
        else:
            yield "", f"{kind} {name}", privileges, may_pass_on


def _with_role(query: str) -> str:
    return f"WITH role AS (SELECT oid FROM pg_roles WHERE rolname = CAST(:role AS name)) {query}"
