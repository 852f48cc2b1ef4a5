"""Steps of the dump's entries: each with the moment at which its statement is run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from psycopg import sql

from builders.migration.databases import Database, Side
from builders.migration.schema.moments import Kept, Moment
from builders.migration.schema.programs import DumpEntry

_BASE: Mapping[str, Moment] = {
    "INDEX": "after_load",
    "INDEX ATTACH": "after_load",
    "STATISTICS": "after_load",
    "FK CONSTRAINT": "after_load",
    "CHECK CONSTRAINT": "cutover",
    "TRIGGER": "cutover",
    "RULE": "cutover",
    "POLICY": "cutover",
    "ROW SECURITY": "cutover",
}
"""{kind: when it is made}; everything else before the load. Triggers and rules would act on replicated changes again,
row-level security refuses DMS's user, and a load of several tables at a time comes in no order of foreign keys."""

RIGHTS = ("ACL", "DEFAULT ACL")
"""Kinds whose statements add to what is there."""

ORDER: tuple[Moment, ...] = ("before_load", "after_load", "cutover")

# Keys and constraints by OID. A foreign key waits for the cut-over where it acts on rows itself, is checked at the end
# of a transaction, or refers to its own table: one statement may write a row before the row that it refers to.
_CONSTRAINTS = """
SELECT oid::int8, conrelid::regclass::text, quote_ident(conname), contype = 'u' OR contype = 'x',
  condeferrable, confupdtype IN ('c', 'n', 'd') OR confdeltype IN ('c', 'n', 'd') OR conrelid = confrelid,
  convalidated, (SELECT relkind = 'p' FROM pg_class WHERE pg_class.oid = conrelid)
FROM pg_constraint WHERE contype IN ('u', 'x', 'f', 'c') AND conrelid <> 0
"""
_UNDONE = """
SELECT 2620::int8, oid::int8, format('DROP TRIGGER IF EXISTS %I ON %s', tgname, tgrelid::regclass)
  FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 2618, oid, format('DROP RULE IF EXISTS %I ON %s', rulename, ev_class::regclass)
  FROM pg_rewrite WHERE rulename <> '_RETURN'
UNION ALL SELECT 3256, oid, format('DROP POLICY IF EXISTS %I ON %s', polname, polrelid::regclass) FROM pg_policy
UNION ALL SELECT 0, oid, format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', oid::regclass)
  FROM pg_class WHERE relrowsecurity
"""

_GRANTEE = re.compile(r' (?:TO|FROM) (?P<who>"(?:[^"]|"")+"|[^ ";]+)(?: WITH GRANT OPTION)?;$')
_AS = re.compile(r"^SET SESSION AUTHORIZATION (?P<who>.+);$")
_INDEX = re.compile(r"^CREATE (UNIQUE )?INDEX (?!CONCURRENTLY)")


@dataclass(frozen=True)
class SchemaStep:
    """Statements of one transaction, and what is remembered with them."""

    kind: str
    object: str
    statements: tuple[str, ...]
    kept: tuple[Kept, ...] = ()
    side: Side = "target"
    shown: tuple[str, ...] | None = None
    """Statements that are shown in place of `statements`, where those hold a secret."""
    password_of: str = ""
    """The role that gets a new password, whose verifier is a statement more."""
    number: int = -1
    needs: frozenset[int] = frozenset()
    """The entry of the dump, and those that it cannot be without."""
    must: bool = False
    """True where nothing goes on without it; else it is left out where the target refuses it."""

    def __str__(self) -> str:
        """Return the form of messages."""
        return f"{self.kind} {self.object}"


class EntrySteps:
    """Turns entries into steps: each with the moment at which its statement is run."""

    def __init__(self, source: Database, dms: str) -> None:
        self.dms = dms
        self.constraints = {row[0]: row[1:] for row in source.run(_CONSTRAINTS)}
        self.undo = {(catalog, oid): undo for catalog, oid, undo in source.run(_UNDONE)}
        self.moments: dict[int, Moment] = {}

    def step(self, entry: DumpEntry, said: str, carried: Collection[str]) -> SchemaStep | None:
        """The step of an entry; None for rights of roles that stay behind."""
        if not said:
            return None
        moment = max((self._moment(entry), *(self.moments.get(each, "before_load") for each in entry.needs)),
                     key=ORDER.index)  # fmt: skip
        self.moments[entry.number] = moment
        statements = tuple(
            _rights(entry, carried)
            if entry.kind in RIGHTS
            else [each for each in (entry.statement, entry.owned if entry.owner in carried else "") if each]
        )
        kept = self._kept(entry, moment, "\n".join(statements), said)
        now = statements if moment == "before_load" else ()
        if entry.kind == "TABLE" and self.dms:
            now += (dms_grant(sql.Identifier(entry.schema, entry.name), self.dms).as_string(None),)
        return SchemaStep(entry.kind, entry.object, now, kept, number=entry.number, needs=entry.needs)

    def _moment(self, entry: DumpEntry) -> Moment:
        _, _, unique, deferrable, waits, *_ = self.constraints.get(entry.oid, ("", "", False, False, False))
        if entry.kind == "CONSTRAINT":
            return "cutover" if unique and deferrable else "before_load"
        if entry.kind == "FK CONSTRAINT":
            return "cutover" if waits or deferrable else "after_load"
        if entry.kind == "RULE" and entry.name.endswith(" _RETURN"):
            return "before_load"
        return _BASE.get(entry.kind, "before_load")

    def _kept(self, entry: DumpEntry, moment: Moment, statement: str, said: str) -> tuple[Kept, ...]:
        one = Kept("target", moment, entry.kind, entry.object, statement, "", said, position=entry.number,
                   is_done=moment == "before_load")  # fmt: skip
        if moment == "before_load":
            return (one,)
        undo = self.undo.get((entry.catalog, entry.oid), "")
        if entry.kind in ("FK CONSTRAINT", "CONSTRAINT", "CHECK CONSTRAINT") and entry.oid in self.constraints:
            return self._constraint(replace(one, undo=undo), entry, moment)
        if entry.kind == "INDEX" and " ON ONLY " not in statement.partition("\n")[0]:
            statement = _INDEX.sub(lambda found: f"{found[0]}CONCURRENTLY ", statement)
        return (replace(one, statement=statement, undo=undo),)

    def _constraint(self, one: Kept, entry: DumpEntry, moment: Moment) -> tuple[Kept, ...]:
        table, name, _, _, _, is_valid, partitioned = self.constraints[entry.oid]
        one = replace(one, undo=f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name}")
        # PostgreSQL 17 and older know no NOT VALID of a partitioned table's foreign key ("ALTER TABLE").
        if entry.kind != "FK CONSTRAINT" or not is_valid or partitioned:
            return (one,)
        later = Kept("target", "after_load" if moment == "after_load" else "opened", "VALIDATE", entry.object,
                     f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}", position=entry.number)  # fmt: skip
        return replace(one, statement=f"{one.statement.removesuffix(';')} NOT VALID"), later


def words(entry: DumpEntry, carried: Collection[str]) -> str:
    """Return the SQL of an entry, without rights of roles that stay behind: by it two entries are compared."""
    if entry.kind in RIGHTS:
        return "\n".join(_rights(entry, carried))
    owned = entry.owned if entry.owner in carried else ""
    return f"{entry.statement}\n{owned}".strip()


def _rights(entry: DumpEntry, carried: Collection[str]) -> list[str]:
    """The statements of an ACL that concern roles that come over, run as the role that granted it."""
    found: list[str] = []
    for line in filter(None, entry.statement.split("\n")):
        grantor, grantee = _AS.match(line), _GRANTEE.search(line)
        if grantor:
            who = _unquoted(grantor["who"])
            if who in carried:
                found.append(f"SET LOCAL ROLE {grantor['who']};")
        elif line.startswith("RESET SESSION AUTHORIZATION"):
            found.append("RESET ROLE;")
        elif grantee and _unquoted(grantee["who"]) in {*carried, "PUBLIC"}:
            found.append(line)
    return found if any(not line.startswith(("SET", "RESET")) for line in found) else []


def _unquoted(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def dms_grant(table: sql.Composable, dms: str) -> sql.Composed:
    """The statement by which DMS writes to a table (DMS user guide, "Using a PostgreSQL database as a target")."""
    return sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO {}").format(table, sql.Identifier(dms))
