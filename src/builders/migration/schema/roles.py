"""The application's roles: which they are, and the statements that make them in the target without a superuser.

They cannot log in there until the cut-over opens them. A password comes over as its SCRAM verifier, where the source
lets pg_authid be read; else it is a new one in a secret. Roles of PostgreSQL, of the cloud, superusers, and the users
of DMS and of `migrate-database` stay where they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg import sql

from builders.migration.databases import Database

# Who owns or is granted anything in the schemas or on the database; their members, to any depth; and the roles that all
# these are members of. A group's other members are not followed from there.
_ROLES = """
WITH RECURSIVE schema AS (
  SELECT oid, nspowner, nspacl FROM pg_namespace WHERE nspname = ANY (%(schemas)s)
), acl (owner, granted) AS (
  SELECT nspowner, nspacl FROM schema
  UNION ALL SELECT datdba, datacl FROM pg_database WHERE datname = current_database()
  UNION ALL SELECT relowner, relacl FROM pg_class WHERE relnamespace IN (SELECT oid FROM schema)
  UNION ALL SELECT NULL, attacl FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace IN (SELECT oid FROM schema) AND attacl IS NOT NULL
  UNION ALL SELECT proowner, proacl FROM pg_proc WHERE pronamespace IN (SELECT oid FROM schema)
  UNION ALL SELECT typowner, typacl FROM pg_type WHERE typnamespace IN (SELECT oid FROM schema)
  UNION ALL SELECT defaclrole, defaclacl FROM pg_default_acl
    WHERE defaclnamespace IN (SELECT oid FROM schema)
), direct (oid) AS (
  SELECT owner FROM acl
  UNION SELECT each.grantee FROM acl, aclexplode(acl.granted) AS each
  UNION SELECT unnest(polroles) FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
    WHERE relnamespace IN (SELECT oid FROM schema)
), members (oid) AS (
  SELECT oid FROM pg_roles WHERE oid IN (SELECT oid FROM direct) AND NOT rolsuper AND rolname !~ '^(pg_|rds)'
    AND rolname <> ALL (%(without)s)
  UNION
  SELECT member.oid FROM members JOIN pg_auth_members ON roleid = members.oid JOIN pg_roles AS member
    ON member.oid = pg_auth_members.member
  WHERE NOT member.rolsuper AND member.rolname <> ALL (%(without)s)
), wanted (oid) AS (
  SELECT oid FROM members
  UNION
  SELECT roleid FROM wanted JOIN pg_auth_members ON member = wanted.oid
)
SELECT r.rolname, r.rolcanlogin, r.rolinherit, r.rolcreatedb, r.rolcreaterole, r.rolreplication, r.rolbypassrls,
  r.rolconnlimit, r.rolvaliduntil::text,
  coalesce((SELECT array_agg(DISTINCT g.rolname::text) FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid AND NOT m.admin_option), '{}'),
  coalesce((SELECT array_agg(DISTINCT g.rolname::text) FROM pg_auth_members m
    JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid AND m.admin_option), '{}')
FROM wanted JOIN pg_roles r ON r.oid = wanted.oid
WHERE NOT r.rolsuper AND r.rolname !~ '^(pg_|rds)' AND r.rolname <> ALL (%(without)s)
ORDER BY r.rolname
"""

_MAY_READ_VERIFIERS = "SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
_VERIFIERS = "SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = ANY (%s)"
_SCRAM = "SCRAM-SHA-256$"
_THERE = """
SELECT rolname, rolcanlogin, rolinherit, rolcreatedb, rolcreaterole, rolconnlimit, rolvaliduntil::text
FROM pg_catalog.pg_roles WHERE rolname = ANY (%s)
"""

_SETTINGS = """
SELECT coalesce(r.rolname, ''), s.setdatabase <> 0, split_part(each, '=', 1), substr(each, strpos(each, '=') + 1)
FROM pg_catalog.pg_db_role_setting s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
  unnest(s.setconfig) WITH ORDINALITY AS setting (each, number)
WHERE (s.setdatabase = 0 AND r.rolname = ANY (%(roles)s))
  OR (s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND (s.setrole = 0 OR r.rolname = ANY (%(roles)s)))
ORDER BY 1, 2, number
"""

# Lists of names, which are kept quoted as they are set (PostgreSQL's GUC_LIST_QUOTE).
_LISTS = frozenset({"search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"})

_USABLE = "SELECT rolname FROM pg_catalog.pg_roles WHERE pg_has_role(current_user, oid, 'USAGE')"
_SETTABLE = " AND pg_has_role(current_user, oid, 'SET')"
_MEMBERSHIPS = """
SELECT g.rolname, m.rolname FROM pg_catalog.pg_auth_members
JOIN pg_catalog.pg_roles g ON g.oid = roleid JOIN pg_catalog.pg_roles m ON m.oid = member
"""


@dataclass(frozen=True)
class Role:
    """A role of the application. `verifier` is empty where it has no password, or where it cannot come over."""

    name: str
    logs_in: bool
    attributes: tuple[str, ...]
    """Attributes that RDS's master user may give, as CREATE ROLE writes them."""
    lost: tuple[str, ...]
    """Attributes that only a superuser gives, such as REPLICATION."""
    member_of: tuple[str, ...]
    administers: tuple[str, ...]
    """Roles that it is a member of with the right to make others members."""
    verifier: str = ""

    @property
    def needs_password(self) -> bool:
        """True where it logs in and its password could not be read in a form that RDS takes."""
        return self.logs_in and not self.verifier


@dataclass(frozen=True)
class Setting:
    """A value that a role (none: every role) begins its sessions with, in this database or (not) in all."""

    role: str
    in_database: bool
    name: str
    value: str

    def __str__(self) -> str:
        """Return the form of messages."""
        where = "this database" if self.in_database else "every database"
        return f"{self.name} of {self.role or 'everybody'} in {where}"

    def statement(self, database: str) -> sql.Composed:
        """The statement that sets it."""
        # An empty element of a list is kept as "", which the statement does not take.
        value = sql.SQL(self.value.replace('""', "''")) if self.name in _LISTS else sql.Literal(self.value)
        name = sql.SQL(".").join(map(sql.Identifier, self.name.split(".")))
        if not self.role:
            return sql.SQL("ALTER DATABASE {} SET {} = {}").format(sql.Identifier(database), name, value)
        within = sql.SQL(" IN DATABASE {}").format(sql.Identifier(database)) if self.in_database else sql.SQL("")
        return sql.SQL("ALTER ROLE {}{} SET {} = {}").format(sql.Identifier(self.role), within, name, value)


def application_roles(source: Database, schemas: Sequence[str], without: Collection[str]) -> list[Role]:
    """The roles of the application, groups before their members. Raises `MigrationError`.

    `without` names the users of DMS and of `migrate-database`; the source's own user is always among them.
    """
    left = sorted({*without, source.login.username})
    rows = source.run(_ROLES, {"schemas": list(schemas), "without": left})
    names = [row[0] for row in rows]
    verifiers: dict[str, str] = {}
    if source.value(_MAY_READ_VERIFIERS):
        found = source.run(_VERIFIERS, (names,))
        verifiers = {name: word for name, word in found if word and word.startswith(_SCRAM)}
    roles = []
    for name, logs_in, inherit, createdb, createrole, replication, bypass, limit, until, groups, administered in rows:
        attributes = _attributes(inherit, createdb, createrole, limit, until)
        lost = [word for word, has in (("REPLICATION", replication), ("BYPASSRLS", bypass)) if has]
        member_of, administers = ([each for each in several if each not in left] for several in (groups, administered))
        roles.append(
            Role(name, logs_in, attributes, tuple(lost), tuple(member_of), tuple(administers),
                 verifiers.get(name, ""))
        )  # fmt: skip
    return roles


def _attributes(inherit: bool, createdb: bool, createrole: bool, limit: int, until: str | None) -> tuple[str, ...]:
    """Return a role's attributes that are not the default, as CREATE ROLE writes them."""
    words = (
        ("CREATEDB", createdb),
        ("CREATEROLE", createrole),
        ("NOINHERIT", not inherit),
        (f"CONNECTION LIMIT {limit}", limit >= 0),
        (f"VALID UNTIL '{until}'", until not in (None, "infinity")),
    )
    return tuple(word for word, has in words if has)


def existing(database: Database, roles: Sequence[Role]) -> dict[str, tuple[bool, tuple[str, ...]]]:
    """Return the roles that a side has: {name: (whether it can log in, its attributes)}."""
    rows = database.run(_THERE, ([role.name for role in roles],))
    return {name: (logs_in, _attributes(*attributes)) for name, logs_in, *attributes in rows}


def memberships(database: Database) -> set[tuple[str, str]]:
    """Every (group, member) of a side."""
    return {(group, member) for group, member in database.run(_MEMBERSHIPS)}


def usable(database: Database) -> set[str]:
    """The roles whose rights our user has, and whose objects it may make theirs.

    From PostgreSQL 16 on whoever makes a role may make himself a member, and is none by that alone (PostgreSQL,
    "CREATE ROLE", createrole_self_grant).
    """
    return {row[0] for row in database.run(_USABLE + (_SETTABLE if database.version >= 160000 else ""))}


def settings(database: Database, roles: Sequence[str]) -> list[Setting]:
    """The settings of a database, and of roles in it or everywhere."""
    return [Setting(*row) for row in database.run(_SETTINGS, {"roles": list(roles)})]


_TIMEOUTS = frozenset({"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout",
                       "idle_session_timeout", "transaction_timeout"})  # fmt: skip


def untimed(role: str, found: Iterable[Setting]) -> list[Setting]:
    """Settings by which no timeout that a database has for everybody ends what a user of DMS does in it.

    Source: DMS user guide, "Working with self-managed PostgreSQL databases as a source in AWS DMS"
    (idle_in_transaction_session_timeout).
    """
    return [Setting(role, True, each.name, "0") for each in found if not each.role and each.name in _TIMEOUTS]


def creation(role: Role) -> sql.Composed:
    """The statement that makes a role that cannot log in yet; it has no password."""
    attributes = "".join(f" {word}" for word in role.attributes)
    return sql.SQL("CREATE ROLE {} NOLOGIN{}").format(sql.Identifier(role.name), sql.SQL(attributes))


def opening(role: Role) -> sql.Composed:
    """The statement that lets a role log in, at the cut-over."""
    return sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(role.name))


def closing(role: Role) -> sql.Composed:
    """The statement that keeps a role from logging in."""
    return sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role.name))


def password(role: str, verifier: str) -> sql.Composed:
    """The statement that gives a role its password, which is not in it: a verifier only."""
    return sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier))


def grants(role: Role, carried: Collection[str]) -> Iterator[tuple[str, sql.Composed]]:
    """(group, statement) for each group that a role is a member of, PostgreSQL's own ones among them."""
    for groups, option in ((role.member_of, ""), (role.administers, " WITH ADMIN OPTION")):
        for group in groups:
            if group in carried or group.startswith("pg_"):
                yield (
                    group,
                    sql.SQL("GRANT {} TO {}{}").format(
                        sql.Identifier(group), sql.Identifier(role.name), sql.SQL(option)
                    ),
                )
