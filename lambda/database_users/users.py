"""DMS's role in the target database: made, put right, or dropped, as the master user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import owners
import rights
import scram
from credentials import Credentials
from deadline import Deadline
from logins import UserNotMade, as_master, logs_in
from postgres_connection import VerifiedConnection
from postgres_driver import identifier, literal
from rotating_secret import RotatingSecret, rounds

_ATTRIBUTES = {
    "rolcanlogin": (True, "LOGIN"),
    "rolsuper": (False, "NOSUPERUSER"),
    "rolcreatedb": (False, "NOCREATEDB"),
    "rolcreaterole": (False, "NOCREATEROLE"),
    "rolreplication": (False, "NOREPLICATION"),
    "rolbypassrls": (False, "NOBYPASSRLS"),
    "rolconnlimit = -1": (True, "CONNECTION LIMIT -1"),
    "coalesce(rolvaliduntil, 'infinity') = 'infinity'": (True, "VALID UNTIL 'infinity'"),
}
"""{expression over pg_roles: (its value, the option of ALTER ROLE that makes it so)}. Only what differs is set: naming
SUPERUSER at all, be it to take it away, is refused to everybody else (PostgreSQL, "ALTER ROLE")."""

_BEGIN = "BEGIN READ WRITE; SET LOCAL lock_timeout = '10s'; SELECT pg_advisory_xact_lock(6015227384199304321)"
"""One transaction at a time: Lambda may deliver an event twice (developer guide, "How Lambda handles errors and retries
with asynchronous invocation"), and the second run is to find everything as it should be. The number is this function's.
"""

# Tables of DMS have keys, checks and defaults of PostgreSQL's own functions; what users have made has an OID from 16384
# on (PostgreSQL manual, "System Catalog Initial Data").
_CODE_OF_ROLE = """
SELECT pg_describe_object(classid, owned.objid, 0)
  FROM pg_shdepend AS owned
  JOIN pg_roles ON refclassid = 'pg_authid'::regclass AND refobjid = pg_roles.oid AND deptype = 'o'
  LEFT JOIN pg_class ON classid = 'pg_class'::regclass AND owned.objid = pg_class.oid
 WHERE rolname = :role AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid NOT IN ('pg_namespace'::regclass, 'pg_default_acl'::regclass)
   AND (relkind IS NULL OR relkind NOT IN ('r', 'p', 'S') OR relhasrules OR EXISTS (
        SELECT FROM pg_depend AS part JOIN pg_depend AS used USING (classid, objid)
         WHERE part.refclassid = 'pg_class'::regclass AND part.refobjid = pg_class.oid AND used.refobjid >= 16384
           AND used.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass)
   ) OR EXISTS (
        SELECT FROM pg_depend AS used WHERE used.classid = 'pg_class'::regclass AND used.objid = pg_class.oid
           AND used.refclassid = 'pg_type'::regclass AND used.refobjid >= 16384
   ))
 ORDER BY 1
"""


def make(master: RotatingSecret, user: RotatingSecret, schemas: Sequence[str], deadline: Deadline) -> str:
    """Make the role, or put right what differs, and prove that it logs in; say what was done.

    Attributes, memberships and rights change in one transaction. The password is set only where it does not log in,
    so that nothing changes under a running task. Raises ResourceFailed or an error of the login's.
    """
    login = user.current()
    if login.username == master.current().username:
        raise UserNotMade("both secrets name the same user: DMS has a user of its own; correct its secret")
    with as_master(master, deadline) as connection:
        connection.run(_BEGIN)
        done = [*_role(connection, login), *_memberships(connection, login.username)]
        done += _schemas(connection, schemas)
        done += _rights(connection, login.username, schemas)
        connection.run("COMMIT")
        done += _password(connection, user, deadline)
    return f"DMS's user in database {login.dbname}: {', '.join(done) or 'all as it should be'}"


def drop(master: RotatingSecret, role: str, deadline: Deadline) -> str:
    """Drop the role; what it owns in this database becomes the master's."""
    heir = master.current().username
    with as_master(master, deadline) as connection:
        if not connection.run("SELECT FROM pg_roles WHERE rolname = :role", role=role):
            return "DMS's user is not there"
        quoted = identifier(role)
        _refuse_while_used_elsewhere(connection, role, heir)
        connection.run(_BEGIN)
        _refuse_to_inherit_code(connection, role)
        # To give away what a role owns takes its membership, which the maker of a role may grant himself.
        connection.run(f"GRANT {quoted} TO CURRENT_USER")
        connection.run(f"REASSIGN OWNED BY {quoted} TO CURRENT_USER")
        connection.run(f"DROP OWNED BY {quoted}")
        connection.run(f"DROP ROLE {quoted}")
        connection.run("COMMIT")
    return "DMS's user is dropped; what it owned is the master user's"


def _refuse_to_inherit_code(connection: VerifiedConnection, role: str) -> None:
    """Raise UserNotMade where the role owns what runs with its owner's rights, as functions, views and rules may.

    DMS makes plain tables. But its statements run the application's functions, in a default or an index, as this role,
    and whatever those make would have the master user's rights from now on.
    """
    found = connection.run(_CODE_OF_ROLE, role=role)
    if found:
        raise UserNotMade(
            f"{role} owns {found[0][0]}, and code in it would run with the master user's rights: "
            "nothing was changed. Look at it, drop it or give it to another role, then delete again, or deploy with "
            "DropDmsUserOnDelete=false"
        )


def _refuse_while_used_elsewhere(connection: VerifiedConnection, role: str, heir: str) -> None:
    """Raise UserNotMade where another database has objects or rights of the role: a session sees but its own."""
    elsewhere = connection.run(
        "SELECT DISTINCT datname FROM pg_shdepend JOIN pg_database AS other ON other.oid = dbid"
        "  JOIN pg_roles ON pg_roles.oid = refobjid"
        " WHERE refclassid = 'pg_authid'::regclass AND rolname = :role AND datname <> current_database() ORDER BY 1",
        role=role,
    )
    if elsewhere:
        # The names are those of roles that the server has: no password that stands in a wrong field.
        quoted, names = identifier(role), ", ".join(name for [name] in elsewhere)
        raise UserNotMade(
            f"{role} owns objects or has rights in other databases of the instance: {names}; nothing was changed. "
            "Look there at what it owns, for code in it would run with the master user's rights, then run: "
            f"GRANT {quoted} TO CURRENT_USER; REASSIGN OWNED BY {quoted} TO {identifier(heir)}; "
            f"DROP OWNED BY {quoted}; then delete again, or deploy with DropDmsUserOnDelete=false"
        )


def _role(connection: VerifiedConnection, user: Credentials) -> list[str]:
    expressions = ", ".join(_ATTRIBUTES)
    query = f"SELECT {expressions} FROM pg_roles WHERE rolname = :role"
    rows: list[list[Any]] = connection.run(query, role=user.username)
    if not rows:
        connection.run(f"CREATE ROLE {_with_password(user)} LOGIN")
        return ["made"]
    differing = [option for value, (right, option) in zip(rows[0], _ATTRIBUTES.values(), strict=True) if value != right]
    if not differing:
        return []
    connection.run(f"ALTER ROLE {identifier(user.username)} {' '.join(differing)}")
    return [f"now {option}" for option in differing]


def _memberships(connection: VerifiedConnection, role: str) -> list[str]:
    """Take the role out of every other: DMS needs none, and rds_superuser would be all."""
    rows = connection.run(
        "SELECT quote_ident(one.rolname), quote_ident(giver.rolname), current_setting('server_version_num')::int"
        "  FROM pg_auth_members JOIN pg_roles one ON one.oid = roleid"
        "  JOIN pg_roles ours ON ours.oid = member LEFT JOIN pg_roles giver ON giver.oid = grantor"
        " WHERE ours.rolname = :role",
        role=role,
    )
    for granted, grantor, version in rows:
        # From version 16 on, each grantor's grant stands by itself; before, only a superuser may name another grantor.
        by = f" GRANTED BY {grantor}" if version >= 160000 else ""
        connection.run(f"REVOKE {granted} FROM {identifier(role)}{by}")
    return [f"out of {granted}" for granted, *_ in rows]


def _schemas(connection: VerifiedConnection, schemas: Sequence[str]) -> list[str]:
    """Make the schemas that are missing, as the master's: rights on tables that are still to come need the schema."""
    there = {name for [name] in connection.run("SELECT nspname FROM pg_namespace")}
    missing = [schema for schema in schemas if schema not in there]
    for schema in missing:
        connection.run(f"CREATE SCHEMA {identifier(schema)}")
    return [f"schema {schema} made" for schema in missing]


def _rights(connection: VerifiedConnection, role: str, schemas: Sequence[str]) -> list[str]:
    needed, held = rights.needed(connection, role, schemas), rights.held(connection, role)
    memberships = owners.missing_memberships(connection, needed ^ held)
    for membership in memberships:
        connection.run(membership.join)
    for statement in (*rights.revocations(held - needed, role), *rights.grants(needed - held, role)):
        connection.run(statement)
    for membership in memberships:
        connection.run(membership.leave)
    left = rights.held(connection, role) ^ needed
    if left:
        kind, name, _, privilege, _ = min(left)
        raise UserNotMade(
            f"{privilege} on {kind.lower()} {name} is not as DMS's user needs it, and the master user cannot change "
            "it: as the owner, or as whoever granted it, grant it or take it away, then deploy again"
        )
    counts = {"granted": len(needed - held), "revoked": len(held - needed)}
    return [f"{count} rights {what}" for what, count in counts.items() if count]


def _password(connection: VerifiedConnection, user: RotatingSecret, deadline: Deadline) -> list[str]:
    """Set the current password where it does not log in.

    Not while a rotation stands between setSecret and finishSecret: it has just proved the pending password and will
    make it current, so that to set another would leave the role with one that no label is on.
    """
    for _ in rounds(deadline):
        current = user.current()
        if logs_in(current, deadline):
            return []
        pending = user.pending(current)
        rotates = pending is not None and logs_in(pending, deadline)
        if rotates or user.current() != current:  # it may also have ended since the first look
            continue
        connection.run(f"ALTER ROLE {_with_password(current)}")
        if not logs_in(current, deadline):
            raise UserNotMade("DMS's user does not log in with the password of its secret, which was just set")
        return ["password set"]
    raise UserNotMade(
        "a rotation of the password of DMS's user has changed it and did not finish in time; the password was left "
        "as it is: finish that rotation (docs/rotation.md), then deploy again"
    )


def _with_password(user: Credentials) -> str:
    """The role and its password as verifier, so that the clear one reaches neither the server nor its log."""
    return f"{identifier(user.username)} PASSWORD {literal(scram.verifier(user.password))}"
