"""Plan of `migrate-database schema`: both sides read, and the steps between them.

The steps are shown as they are run. A definition that the target has and that differs is named and never overwritten.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from psycopg import sql

from builders import naming
from builders.errors import MigrationError
from builders.migration import marker
from builders.migration.databases import Database
from builders.migration.definitions import not_of_an_extension
from builders.migration.phase import Phase
from builders.migration.schema import entries, moments, programs, roles
from builders.migration.schema.entries import SchemaStep
from builders.migration.schema.moments import Kept, Moment
from builders.migration.schema.programs import DumpEntry
from builders.migration.schema.roles import Role

# With a unique index of columns over all rows a refresh lets readers pass (PostgreSQL, "REFRESH MATERIALIZED VIEW").
_MATERIALIZED = """
SELECT n.nspname::text, c.relname::text, EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
  AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind = 'm' AND c.relispopulated ORDER BY c.oid
"""
_EXTENSIONS = """
SELECT extname::text, nspname::text, extversion FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname <> 'plpgsql' ORDER BY pg_extension.oid
"""
_OFFERED = "SELECT name::text, version FROM pg_available_extension_versions"
_USAGE = """
SELECT n.nspname::text, coalesce(r.rolname::text, '') FROM pg_namespace n, aclexplode(n.nspacl) AS granted
LEFT JOIN pg_roles r ON r.oid = granted.grantee
WHERE n.nspname = ANY (%s) AND granted.privilege_type = 'USAGE' AND granted.grantee <> n.nspowner
"""
_SCHEMAS = "SELECT nspname::text, pg_get_userbyid(nspowner)::text FROM pg_namespace"
_CREATORS = """
SELECT n.nspname::text, r.rolname::text FROM pg_namespace n, pg_roles r
WHERE n.nspname = ANY (%s) AND r.rolname = ANY (%s) AND has_schema_privilege(r.oid, n.oid, 'CREATE')
"""
_DATABASE_RIGHTS = """
SELECT r.rolname::text, string_agg(DISTINCT granted.privilege_type, ', ' ORDER BY granted.privilege_type)
FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS granted
JOIN pg_roles r ON r.oid = granted.grantee
WHERE d.datname = current_database() GROUP BY 1 ORDER BY 1
"""
# Whoever owns the marker's schema or table has code of theirs run by who writes the marker: by a trigger, say.
_STRANGERS = """
SELECT o.what, quote_ident(r.rolname) FROM (
  SELECT 'SCHEMA ' || quote_ident(nspname) AS what, nspowner AS owner FROM pg_namespace WHERE nspname = %s
  UNION ALL SELECT 'TABLE ' || oid::regclass::text, relowner FROM pg_class WHERE oid = to_regclass(%s)
) AS o JOIN pg_roles r ON r.oid = o.owner
WHERE NOT r.rolsuper AND r.rolname <> current_user AND r.rolname <> ALL (%s) ORDER BY 1
"""
_ROLE = "SELECT 1 FROM pg_roles WHERE rolname = %s"
_LACKING = f"""
SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, pg_roles r
WHERE r.rolname = %s AND n.nspname = ANY (%s) AND c.relkind IN ('r', 'p')
  AND {not_of_an_extension("pg_class", "c.oid")}
  AND NOT (has_table_privilege(r.oid, c.oid, 'SELECT') AND has_table_privilege(r.oid, c.oid, 'INSERT')
    AND has_table_privilege(r.oid, c.oid, 'UPDATE') AND has_table_privilege(r.oid, c.oid, 'DELETE')
    AND has_table_privilege(r.oid, c.oid, 'TRUNCATE'))
"""
_EVERYBODY = """
SELECT granted.privilege_type FROM pg_database d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS granted
WHERE d.datname = current_database() AND granted.grantee = 0
"""
_NOT_CARRIED = """
SELECT 'EVENT TRIGGER', evtname::text, 'DMS and the target''s master user cannot make it the application''s'
  FROM pg_event_trigger
UNION ALL SELECT 'PUBLICATION', pubname::text, 'its subscribers follow the source, not the target' FROM pg_publication
UNION ALL SELECT 'SERVER', srvname::text, 'a foreign server is reached from the source''s network'
  FROM pg_foreign_server
UNION ALL SELECT 'LARGE OBJECT', count(*)::text || ' of them', 'DMS does not carry them'
  FROM pg_largeobject_metadata HAVING count(*) > 0
"""


@dataclass(frozen=True)
class Users:
    """The users of DMS and of `migrate-database`, which are no roles of the application."""

    without: frozenset[str] = frozenset()
    """Names on either side that are left where they are."""
    dms_source: str = ""
    dms_target: str = ""

    @classmethod
    def of(cls, phase: Phase) -> Users:
        """The users of a phase."""
        return cls(phase.users, phase.source_user, naming.DMS_USERNAME)


@dataclass(frozen=True)
class Noted:
    """A definition that is not made, and why."""

    kind: str
    object: str
    why: str

    def __str__(self) -> str:
        """Return the form of messages."""
        return f"{self.kind} {self.object}: {self.why}"


@dataclass
class Plan:
    """All steps in their order, what the target has already, what differs there, and what stays behind."""

    schemas: tuple[str, ...]
    users: Users
    roles: list[Role]
    entries: list[DumpEntry] = field(default_factory=list)
    major: int = 0
    steps: list[SchemaStep] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    differing: list[Noted] = field(default_factory=list)
    softened: list[Kept] = field(default_factory=list)
    left_out: list[Noted] = field(default_factory=list)


def plan(source: Database, target: Database, schemas: Sequence[str], users: Users) -> Plan:
    """Read both sides and return what is to be done. Raises `MigrationError`."""
    left = users.without | {source.login.username, target.login.username, users.dms_source, users.dms_target} - {""}
    users = replace(users, without=frozenset(left))
    found = roles.application_roles(source, schemas, users.without)
    planned = Plan(tuple(schemas), users, found)
    planned.major = major = max(source.version, target.version) // 10000
    planned.entries = programs.definitions(source, schemas, major)
    _plan_roles(planned, source, target)
    first, others = _entries(planned, source, target, major)
    planned.steps += first
    _plan_extensions(planned, source, target)
    planned.steps += others
    _plan_settings(planned, source, target)
    _plan_users(planned, source, target)
    planned.softened = [each[0] for each in moments.softenings(source, planned.schemas)]
    carried = {role.name for role in planned.roles}
    planned.left_out += [
        Noted("OWNER", owner, f"it is not a role of the application: what it owns belongs to {target.login.username}")
        for owner in sorted({each.owner for each in planned.entries if each.owned} - carried)
    ]
    planned.left_out += [Noted(*row) for row in source.run(_NOT_CARRIED)]
    return planned


def _plan_roles(planned: Plan, source: Database, target: Database) -> None:
    there = roles.existing(target, planned.roles)
    members, usable = roles.memberships(target), roles.usable(target)
    openings = {each.object for each in moments.kept(target, "opening")} if moments.is_prepared(target) else set()
    carried = {role.name for role in planned.roles}
    own = target.login.username
    for role in planned.roles:
        name = sql.Identifier(role.name)
        if role.name not in there:
            planned.steps += _creation(role, target)
        elif role.logs_in and role.name not in openings:
            planned.steps.append(_adoption(role, target))
        else:
            planned.there.append(f"ROLE {role.name}")
        if role.name in there and (found := there[role.name][1]) != role.attributes:
            words_of = (" ".join(each) or "no attributes" for each in (found, role.attributes))
            planned.differing.append(Noted("ROLE", role.name, "{} in the target, {} in the source".format(*words_of)))
        if role.name not in usable:
            grant = sql.SQL("GRANT {} TO CURRENT_USER").format(name)
            planned.steps.append(SchemaStep("MEMBERSHIP", f"{own} in {role.name}", _texts(target, grant), must=True))
        planned.left_out += [
            Noted("ATTRIBUTE", f"{word} of {role.name}", "only a superuser gives it") for word in role.lost
        ]
    for role in planned.roles:
        for group, grant in roles.grants(role, carried):
            if (group, role.name) not in members:
                planned.steps.append(SchemaStep("MEMBERSHIP", f"{role.name} in {group}", _texts(target, grant)))
    for (right,) in sorted(set(target.run(_EVERYBODY)) - set(source.run(_EVERYBODY))):
        # Taken away now it would keep out whoever watches the target, and a cut-over grants it by name.
        why = f"everybody has {right} in the target and not in the source: REVOKE it after the cut-over"
        planned.left_out.append(Noted("RIGHTS", "PUBLIC on the database", why))
    granted = set(target.run(_DATABASE_RIGHTS))
    for name, rights in source.run(_DATABASE_RIGHTS):
        if name in carried and (name, rights) not in granted:
            grant = sql.SQL("GRANT {} ON DATABASE {} TO {}").format(
                sql.SQL(rights), sql.Identifier(target.login.database), sql.Identifier(name)
            )
            planned.steps.append(SchemaStep("RIGHTS", f"{name} on the database", _texts(target, grant)))


def _opening(role: Role, target: Database) -> Kept:
    """Return the definition that lets a role log in, at the cut-over."""
    opened, closed = (_texts(target, each)[0] for each in (roles.opening(role), roles.closing(role)))
    return Kept("target", "opening", "ROLE", role.name, opened, closed)


def _adoption(role: Role, target: Database) -> SchemaStep:
    """Close a role that the target has already, and give it its password: it logs in from the cut-over on."""
    first = _texts(target, roles.closing(role))
    password, hidden = _password(role, target)
    return SchemaStep("ROLE", role.name, first + password, (_opening(role, target),), shown=first + hidden, must=True)


def _password(role: Role, target: Database) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The statement that gives a role its verifier, and what is shown in its place; none without a verifier."""
    if not role.verifier:
        return (), ()
    hidden = f"{_texts(target, roles.password(role.name, ''))[0][:-2]}'SCRAM-SHA-256$...'"
    return _texts(target, roles.password(role.name, role.verifier)), (hidden,)


def _creation(role: Role, target: Database) -> Iterator[SchemaStep]:
    """Make a role that cannot log in, with its password, and remember its opening."""
    create = _texts(target, roles.creation(role))
    kept = (_opening(role, target),) if role.logs_in else ()
    if role.verifier:
        password, hidden = _password(role, target)
        yield SchemaStep("ROLE", role.name, create + password, kept, shown=create + hidden, must=True)
        return
    shown = (*create, "-- a new password, which goes into a secret") if role.needs_password else create
    new = role.name if role.needs_password else ""
    yield SchemaStep("ROLE", role.name, create, kept, shown=shown, password_of=new, must=True)


def _plan_extensions(planned: Plan, source: Database, target: Database) -> None:
    there = {name: (schema, version) for name, schema, version in target.run(_EXTENSIONS)}
    offered: dict[str, set[str]] = {}
    for name, version in target.run(_OFFERED):
        offered.setdefault(name, set()).add(version)
    schemas = dict(target.run(_SCHEMAS))
    outside: list[str] = []
    for name, schema, version in source.run(_EXTENSIONS):
        if name in there:
            planned.there.append(f"EXTENSION {name}")
            if there[name][0] != schema:
                why = f"it is in the schema {there[name][0]} of the target, and in {schema} of the source"
                planned.differing.append(Noted("EXTENSION", name, why))
            continue
        if name not in offered:
            planned.left_out.append(Noted("EXTENSION", name, "the target does not offer it"))
            continue
        if schema not in schemas and schema not in outside and schema not in planned.schemas:
            outside.append(schema)
            create = sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema))
            planned.steps.append(SchemaStep("SCHEMA", schema, _texts(target, create)))
        statement = sql.SQL("CREATE EXTENSION {} SCHEMA {}").format(sql.Identifier(name), sql.Identifier(schema))
        if version in offered[name]:
            statement += sql.SQL(" VERSION {}").format(sql.Literal(version))
        planned.steps.append(SchemaStep("EXTENSION", name, _texts(target, statement)))
    carried = {role.name for role in planned.roles} | {""}
    for schema, role in source.run(_USAGE, (outside,)):
        if role in carried:
            to = sql.Identifier(role) if role else sql.SQL("PUBLIC")
            grant = sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), to)
            planned.steps.append(SchemaStep("RIGHTS", f"{role or 'PUBLIC'} on {schema}", _texts(target, grant)))


def _entries(
    planned: Plan, source: Database, target: Database, major: int
) -> tuple[list[SchemaStep], list[SchemaStep]]:
    """The steps of the dump's schemas and of its other entries; what is there, and what differs, is noted."""
    carried = {role.name for role in planned.roles}
    owners, own = dict(target.run(_SCHEMAS)), target.login.username
    there = {}
    if present := [schema for schema in planned.schemas if schema in owners]:
        there = {(each.kind, each.object): each for each in programs.definitions(target, present, major)}
    rows = {(each.kind, each.object): each for each in _rows(target) if each.source}
    keeping = entries.EntrySteps(source, planned.users.dms_target)
    made: list[SchemaStep] = []
    for entry in planned.entries:
        step = keeping.step(entry, entries.words(entry, carried), carried)
        if step is not None:
            key = entry.kind, entry.object
            made += _settled(planned, step, entry, rows.get(key), there.get(key), owners.get(entry.name) == own)
    schemas = [replace(step, must=True) for step in made if step.kind == "SCHEMA"]
    others = [step for step in made if step.kind != "SCHEMA"]
    creating, revoking = _creators(planned, source, target, others)
    seen = {(entry.kind, entry.object) for entry in planned.entries}
    planned.differing += [
        Noted(kind, name, "the source has it no longer") for kind, name in rows if (kind, name) not in seen
    ]
    planned.differing += [
        Noted(kind, name, "the target alone has it")
        for kind, name in there
        if (kind, name) not in seen and (kind, name) not in rows and entries.words(there[kind, name], carried)
    ]
    return schemas, [*creating, *others, *revoking, *_refreshes(source, planned.schemas, rows)]


def _settled(
    planned: Plan, step: SchemaStep, entry: DumpEntry, row: Kept | None, standing: DumpEntry | None, is_masters: bool
) -> Iterator[SchemaStep]:
    """The step of an entry where it has something to do; else note that it is there, or that it differs.

    `row` is what was carried of it before, `standing` what the target has; a schema may be the master user's.
    """
    carried = {role.name for role in planned.roles}
    now = entries.words(entry, carried)
    if standing is None:
        if row is None or row.is_done or row.source != now:
            yield step
        else:
            planned.there.append(f"{step} (kept until {row.moment.replace('_', ' the ')})")
        return
    if entry.kind in entries.RIGHTS:
        here, in_target = set(now.split("\n")), set(entries.words(standing, carried).split("\n")) - {""}
        if here - in_target:
            yield step
        else:
            planned.there.append(str(step))
        if more := sorted(in_target - here):
            planned.differing.append(Noted(entry.kind, entry.object, f"the target has more: {' '.join(more)}"))
        return
    difference = _difference(now, entries.words(standing, carried), row)
    if difference and entry.kind == "SCHEMA" and is_masters:
        # It was there for DMS's user before its owner was.
        yield replace(step, statements=(entry.owned,))
    elif difference:
        planned.differing.append(Noted(entry.kind, entry.object, difference))
    else:
        planned.there.append(str(step))
        if row is None:
            yield replace(step, statements=(), kept=tuple(replace(each, is_done=True) for each in step.kept))


def _rows(target: Database) -> list[Kept]:
    return moments.kept(target, *entries.ORDER) if moments.is_prepared(target) else []


def _difference(now: str, in_target: str, row: Kept | None) -> str:
    """Return the difference of a definition from what was carried, or from what the target has; or nothing."""
    if row is None:
        return "" if now == in_target else "the target has another definition of it, which is not overwritten"
    if row.source != now:
        return "it was altered in the source since it was carried"
    if row.carried is not None and row.carried != in_target:
        return "it was altered in the target since it was carried"
    return ""


def _creators(
    planned: Plan, source: Database, target: Database, made: Sequence[SchemaStep]
) -> tuple[list[SchemaStep], list[SchemaStep]]:
    """Let owners that may not create in a schema do so while their objects become theirs (ALTER ... OWNER wants it)."""
    carried = {role.name for role in planned.roles}
    numbers = {step.number for step in made}
    owners = {(each.schema, each.owner) for each in planned.entries
              if each.number in numbers and each.owned and each.owner in carried}  # fmt: skip
    owners -= {(each.name, each.owner) for each in planned.entries if each.kind == "SCHEMA"}
    asked = list(planned.schemas), sorted(carried)
    on_source, on_target = (set(side.run(_CREATORS, asked)) for side in (source, target))

    def steps(statement: str, found: Iterable[tuple[str, str]], why: str) -> list[SchemaStep]:
        return [
            SchemaStep("RIGHTS", f"{owner} on {schema}, {why}",
                 _texts(target, sql.SQL(statement).format(sql.Identifier(schema), sql.Identifier(owner))))
            for schema, owner in sorted(found)
        ]  # fmt: skip

    giving = steps("GRANT CREATE ON SCHEMA {} TO {}", owners - on_target, "for now")
    taking = steps("REVOKE CREATE ON SCHEMA {} FROM {}", (owners | on_target) - on_source, "as in the source")
    return giving, taking


_REFRESH, _REFRESH_PAST_READERS = "REFRESH MATERIALIZED VIEW {}", "REFRESH MATERIALIZED VIEW CONCURRENTLY {}"


def _refreshes(source: Database, schemas: Sequence[str], rows: Collection[tuple[str, str]]) -> Iterator[SchemaStep]:
    """Keep the contents of materialized views for the end of the load, and again for after the opening."""
    found = source.run(_MATERIALIZED, (list(schemas),))
    for number, (schema, name, lets_readers_pass) in enumerate(found, start=500_000):
        if ("MATERIALIZED VIEW", f"{schema}.{name}") not in rows:
            view, again = sql.Identifier(schema, name), _REFRESH_PAST_READERS if lets_readers_pass else _REFRESH
            statements = _texts(source, sql.SQL(_REFRESH).format(view), sql.SQL(again).format(view))
            moments_of: tuple[Moment, Moment] = ("after_load", "opened")
            kept = [Kept("target", moment, "REFRESH", f"{schema}.{name}", statement, position=number)
                    for moment, statement in zip(moments_of, statements, strict=True)]  # fmt: skip
            yield SchemaStep("REFRESH", f"{schema}.{name}", (), tuple(kept))


def _plan_settings(planned: Plan, source: Database, target: Database) -> None:
    names, dms = [role.name for role in planned.roles], planned.users.dms_target
    there = {(each.role, each.in_database, each.name): each.value for each in roles.settings(target, [*names, dms])}
    found = roles.settings(source, names)
    for setting in [*found, *(roles.untimed(dms, found) if dms else ())]:
        value = there.get((setting.role, setting.in_database, setting.name))
        if value == setting.value:
            planned.there.append(f"SETTING {setting}")
        elif value is not None:
            why = f"it is {value} in the target, and {setting.value} in the source"
            planned.differing.append(Noted("SETTING", str(setting), why))
        else:
            statement = _texts(target, setting.statement(target.login.database))
            planned.steps.append(SchemaStep("SETTING", str(setting), statement))


def _plan_users(planned: Plan, source: Database, target: Database) -> None:
    """Plan the marker's table on both sides, and the rights of DMS's users."""
    table = sql.Identifier(naming.MARKER_SCHEMA, naming.MARKER_TABLE)
    schema = sql.Identifier(naming.MARKER_SCHEMA)
    create = sql.SQL(marker.CREATE_TABLE)
    for side, user, rights in (
        (source, planned.users.dms_source, "SELECT"),
        (target, planned.users.dms_target, "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"),
    ):
        statements: list[sql.Composable] = []
        named = f"{naming.MARKER_SCHEMA}.{naming.MARKER_TABLE}"
        for what, owner in side.run(_STRANGERS, (naming.MARKER_SCHEMA, named, list(planned.users.without))):
            raise MigrationError(
                f"the {what.lower()} of the {side.side} belongs to {owner}, whose code would run with the rights of "
                f"{side.login.username}: ALTER {what} OWNER TO {sql.Identifier(side.login.username).as_string()}, or "
                "drop it, then run this again"
            )
        if side.value("SELECT to_regnamespace(%s)", (naming.MARKER_SCHEMA,)) is None:
            statements.append(sql.SQL("CREATE SCHEMA {}").format(schema))
        if side.value("SELECT to_regclass(%s)", (named,)) is None:
            statements.append(create)
        else:
            planned.there.append(f"TABLE {named} of the {side.side}")
        if statements and user and user != side.login.username:
            statements.append(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, sql.Identifier(user)))
            statements.append(sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(rights), table, sql.Identifier(user)))
        if statements:
            planned.steps.append(SchemaStep("MARKER", named, _texts(side, *statements), side=side.side, must=True))
    _plan_dms(planned, target)


def _plan_dms(planned: Plan, target: Database) -> None:
    """Plan what DMS's user needs beside the tables that are made now, so that database_users is not deployed again."""
    dms = planned.users.dms_target
    if not dms:
        return
    if not target.run(_ROLE, (dms,)):
        raise MigrationError(f"the role {dms} is not in the target: deploy the layer database_users first")
    grants = [
        sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(name), sql.Identifier(dms))
        for name in planned.schemas
    ]
    standing = [sql.Identifier(*names) for names in target.run(_LACKING, (dms, list(planned.schemas)))]
    grants += [entries.dms_grant(table, dms) for table in standing]
    if standing or any(step.kind == "TABLE" for step in planned.steps):
        planned.steps.append(SchemaStep("RIGHTS", dms, _texts(target, *grants), must=True))
    else:
        planned.there.append(f"RIGHTS {dms}")


def _texts(database: Database, *statements: sql.Composable) -> tuple[str, ...]:
    return tuple(each.as_string(database.connection) for each in statements)


def shown(planned: Plan) -> Iterable[str]:
    """The statements of a plan as a script, each with its side where that is the source."""
    for step in planned.steps:
        if step.statements:
            yield f"-- {step}" + (" (in the source)" if step.side == "source" else "")
            for statement in step.shown or step.statements:
                yield statement if statement.startswith("--") else f"{statement.removesuffix(';')};"
        elif step.kept and not step.kept[0].is_done:
            yield f"-- {step}: kept until {step.kept[0].moment.replace('_', ' the ')}"
    for softened in planned.softened:
        yield f"{softened.undo};"
