"""Definitions compared: what the source has in the application's schemas, and what the target has under the same name.

What `schema` keeps for a later moment waits, and does not differ: it would refuse or repeat what DMS writes. Each
server writes its definitions by its own functions (pg_get_constraintdef and the like); of views and functions, which
two versions write differently, only the names are compared.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from builders.migration.databases import Database
from builders.migration.definitions import not_of_an_extension

State = Literal["differs", "waits", "noted"]
Objects = dict[tuple[str, str], str]
"""{(kind, name): definition}."""

_NAMED = f"""FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY (%(schemas)s)
  AND {not_of_an_extension("pg_class", "c.oid")}"""
_OURS = r"c.relname NOT LIKE 'awsdms\_%%'"

_OBJECTS: Mapping[str, str] = {
    "table": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), concat_ws(' ', CASE c.relkind WHEN 'p' THEN 'partitioned' END,
        CASE c.relpersistence WHEN 'u' THEN 'unlogged' END, pg_get_partkeydef(c.oid),
        pg_get_expr(c.relpartbound, c.oid))
      {_NAMED} WHERE c.relkind IN ('r', 'p') AND {_OURS}""",
    "owner": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), pg_get_userbyid(c.relowner)
      {_NAMED} WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND {_OURS}""",
    "column": f"""
      SELECT format('%%s.%%s.%%s', n.nspname, c.relname, a.attname), concat_ws(' ',
        format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation THEN 'COLLATE ' || l.collname END,
        CASE WHEN a.attidentity <> '' THEN 'identity' END,
        CASE WHEN coalesce(to_jsonb(a)->>'attgenerated', '') <> '' THEN 'generated as' ELSE 'default' END
          || ' ' || pg_get_expr(d.adbin, d.adrelid))
      {_NAMED} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE c.relkind IN ('r', 'p') AND {_OURS}""",
    "identity": f"""
      SELECT format('%%s.%%s.%%s', n.nspname, c.relname, a.attname),
        CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END
      {_NAMED} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attidentity <> '' AND NOT a.attisdropped
      WHERE c.relkind IN ('r', 'p') AND {_OURS}""",
    "not null": f"""
      SELECT format('%%s.%%s.%%s', n.nspname, c.relname, a.attname), ''
      {_NAMED} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull
      WHERE c.relkind IN ('r', 'p') AND {_OURS}""",
    "constraint": f"""
      SELECT format('%%s.%%s %%s', n.nspname, c.relname, o.conname),
        replace(pg_get_constraintdef(o.oid), ' NOT VALID', '')
      {_NAMED} JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype IN ('p', 'u', 'x', 'f', 'c')
      WHERE {_OURS} AND o.conname NOT LIKE 'stackferry\\_%%'""",
    "validation": f"""
      SELECT format('%%s.%%s %%s', n.nspname, c.relname, o.conname),
        CASE WHEN o.convalidated THEN 'validated' ELSE 'not validated' END
      {_NAMED} JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype IN ('f', 'c')
      WHERE {_OURS} AND o.conname NOT LIKE 'stackferry\\_%%'""",
    "index": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), pg_get_indexdef(i.indexrelid)
        || CASE WHEN i.indisvalid AND i.indisready THEN '' ELSE ' (invalid)' END
      {_NAMED} JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class r ON r.oid = i.indrelid
      WHERE r.relkind IN ('r', 'p', 'm') AND r.relname NOT LIKE 'awsdms\\_%%'
        AND (NOT i.indisvalid OR NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid
                                             AND contype IN ('p', 'u', 'x')))""",
    "sequence": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), concat_ws(' ', format_type(s.seqtypid, NULL), 'start', s.seqstart,
        'increment', s.seqincrement, 'from', s.seqmin, 'to', s.seqmax, CASE WHEN s.seqcycle THEN 'cycle' END,
        (SELECT concat('of ', d.refobjid::regclass, ' column ', d.refobjsubid) FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
      {_NAMED} JOIN pg_sequence s ON s.seqrelid = c.oid""",
    "grant": f"""
      SELECT format('%%s on %%s.%%s to %%s', g.privilege_type, n.nspname, c.relname,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END), ''
      {_NAMED} CROSS JOIN LATERAL aclexplode(c.relacl) g
      WHERE g.grantee <> c.relowner AND pg_get_userbyid(g.grantee) <> ALL (%(users)s) AND {_OURS}
      UNION ALL
      SELECT format('%%s on schema %%s to %%s', g.privilege_type, n.nspname,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END), ''
      FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g
      WHERE n.nspname = ANY (%(schemas)s) AND g.grantee <> n.nspowner
        AND pg_get_userbyid(g.grantee) <> ALL (%(users)s) AND n.nspname <> 'public'
      UNION ALL
      SELECT format('%%s of %%s.%%s.%%s to %%s', g.privilege_type, n.nspname, c.relname, a.attname,
                    CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(g.grantee)::text END), ''
      {_NAMED} JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
      CROSS JOIN LATERAL aclexplode(a.attacl) g WHERE pg_get_userbyid(g.grantee) <> ALL (%(users)s) AND {_OURS}""",
    "extension": "SELECT extname::text, extversion FROM pg_extension WHERE extname <> 'plpgsql'",
    "trigger": f"""
      SELECT format('%%s.%%s %%s', n.nspname, c.relname, t.tgname),
        concat_ws(' ', t.tgenabled, pg_get_triggerdef(t.oid))
      {_NAMED} JOIN pg_trigger t ON t.tgrelid = c.oid AND NOT t.tgisinternal
      WHERE t.tgname NOT LIKE 'stackferry\\_%%' AND {_OURS}""",
    "rule": f"""
      SELECT format('%%s.%%s %%s', n.nspname, c.relname, r.rulename), pg_get_ruledef(r.oid)
      {_NAMED} JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'""",
    "policy": f"""
      SELECT format('%%s.%%s %%s', n.nspname, c.relname, p.polname), concat_ws(' ', p.polcmd,
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
      {_NAMED} JOIN pg_policy p ON p.polrelid = c.oid""",
    "row security": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), CASE WHEN c.relforcerowsecurity THEN 'forced' ELSE 'enabled' END
      {_NAMED} WHERE c.relrowsecurity""",
    "view": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), '' {_NAMED} WHERE c.relkind = 'v'""",
    "materialized view": f"""
      SELECT format('%%s.%%s', n.nspname, c.relname), '' {_NAMED} WHERE c.relkind = 'm'""",
    "function": r"""
      SELECT format('%%s.%%s(%%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), ''
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = ANY (%(schemas)s)
      WHERE p.proname NOT LIKE 'awsdms\_%%'
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                        AND d.deptype = 'e')""",
    "type": """
      SELECT format('%%s.%%s', n.nspname, t.typname), CASE t.typtype
        WHEN 'e' THEN (SELECT string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder) FROM pg_enum e
                       WHERE e.enumtypid = t.oid)
        ELSE format_type(t.typbasetype, t.typtypmod) END
      FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace AND n.nspname = ANY (%(schemas)s)
      WHERE t.typtype IN ('e', 'd')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                        AND d.deptype = 'e')""",
}

# What the cut-over puts on, since until then it would act on replicated changes or refuse them.
_UNTIL_THE_CUT_OVER = frozenset({"trigger", "rule", "policy", "row security", "identity", "materialized view"})
_TEXT_CASTS = re.compile(r"::(?:character varying|character|bpchar|text)(?:\(\d+\))?(?:\[\])?")
_NEEDLESS = re.compile(r"""(?<![\w"])\((\w+|"[^"]+"|'(?:[^']|'')*'|ARRAY\[[^()\[\]]*\])\)""")
"""Parentheses around one word, one string, or one array."""

_ONE_WAY = frozenset({"grant"})
"""Kinds that the target may have beyond the source: the rights of DMS's user and of the master."""

_LARGE = f"""
SELECT format('%%s.%%s.%%s', n.nspname, c.relname, a.attname)
{_NAMED} JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid)
WHERE t.typcategory = 'A' OR (b.typname = 'varchar' AND a.atttypmod = -1)
  OR b.typname IN ('text', 'bytea', 'json', 'jsonb', 'xml', 'citext', 'hstore')
"""

# Foreign keys that act on rows themselves, or are checked at the end of a transaction.
_LATE_KEYS = f"""
SELECT format('%%s.%%s %%s', n.nspname, c.relname, o.conname)
{_NAMED} JOIN pg_constraint o ON o.conrelid = c.oid AND o.contype = 'f'
WHERE o.condeferrable OR o.confupdtype IN ('c', 'n', 'd') OR o.confdeltype IN ('c', 'n', 'd')
  OR o.conrelid = o.confrelid
"""

# Users of DMS and of migrate-database, whose grants are none of the application's.
_USERS = """
SELECT r.rolname::text FROM pg_roles r WHERE r.rolname = current_user OR r.rolreplication
  OR EXISTS (SELECT FROM pg_db_role_setting s WHERE s.setrole = r.oid
             AND 'session_replication_role=replica' = ANY (s.setconfig))
"""

# What a side gets later (stackferry_state.definitions), by the names that definitions have here: the target by the
# cut-over, and the source after it by a fall-back.
_KEPT = """
SELECT object FROM stackferry_state.definitions WHERE side = %s AND done IS NULL AND moment <> 'left_out'
"""

# A partition and a child have constraints, triggers and properties of columns by what is kept of their ancestors.
_ANCESTORS = """
WITH RECURSIVE ancestors AS (
  SELECT inhrelid AS oid, inhparent AS ancestor FROM pg_inherits
  UNION SELECT a.oid, i.inhparent FROM ancestors a JOIN pg_inherits i ON i.inhrelid = a.ancestor
)
SELECT format('%%s.%%s', n.nspname, c.relname), array_agg(format('%%s.%%s', pn.nspname, p.relname))
FROM ancestors a JOIN pg_class c ON c.oid = a.oid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class p ON p.oid = a.ancestor JOIN pg_namespace pn ON pn.oid = p.relnamespace
WHERE n.nspname = ANY (%(schemas)s) AND c.relkind IN ('r', 'p') GROUP BY 1
"""


@dataclass(frozen=True, order=True)
class DefinitionFinding:
    """A definition that is not the same on both sides."""

    state: State
    kind: str
    name: str
    message: str

    def __str__(self) -> str:
        """Return the form of reports."""
        return f"{self.kind} {self.name} {self.message}"


def objects(database: Database, schemas: Sequence[str], users: Collection[str] = ()) -> Objects:
    """The definitions of a side; grants of some users are no definition of the application. Raises `MigrationError`."""
    parameters = {"schemas": list(schemas), "users": list(users)}
    return {
        (kind, name): definition or ""
        for kind, query in _OBJECTS.items()
        for name, definition in database.run(query, parameters)
    }


def compare(
    source: Database, target: Database, schemas: Sequence[str], left_out: Mapping[str, Collection[str]]
) -> list[DefinitionFinding]:
    """Compare the definitions of both sides. `left_out` are the columns that the task's mapping leaves out, by table.

    Raises `MigrationError`.
    """
    ours = {name for side in (source, target) for (name,) in side.run(_USERS)}
    with ThreadPoolExecutor(1) as other:
        promised = other.submit(objects, target, schemas, ours)
        here, there = objects(source, schemas, ours), promised.result()
    waiting = _waiting(source, target, schemas)
    found = []
    for kind, name in sorted(here.keys() | there.keys()):
        message = _difference(kind, here.get((kind, name)), there.get((kind, name)))
        if message and not _is_part_of_missing(kind, name, here, there):
            found.append(DefinitionFinding(_state(kind, name, here, there, waiting, left_out), kind, name, message))
    return sorted(found)


def _difference(kind: str, here: str | None, there: str | None) -> str:
    if here == there or (here is None and kind in _ONE_WAY) or _settled(here) == _settled(there):
        return ""
    if there is None:
        return "is missing in the target"
    if here is None:
        return "is in the target alone"
    return f"is {there or 'plain'!r} in the target, and {here or 'plain'!r} in the source"


def _settled(definition: str | None) -> str | None:
    """An expression as it stays when it is written and read again.

    PostgreSQL moves the casts of text about: `status IN ('a')` over a varchar becomes `(status)::text = ANY
    ((ARRAY['a'::character varying])::text[])`, and that, restored, `ANY (ARRAY[('a'::character varying)::text])`.
    """
    if definition is None or "::" not in definition:
        return definition
    before, now = "", _TEXT_CASTS.sub("", definition)
    while before != now:
        before, now = now, _NEEDLESS.sub(r"\1", now)
    return now


def _is_part_of_missing(kind: str, name: str, here: Objects, there: Objects) -> bool:
    """Return whether the object belongs to a table or column that is missing itself, and is named for it."""
    if kind == "table":
        return False
    if kind == "owner" and ((kind, name) in here) != ((kind, name) in there):
        return True
    for side, other in ((here, there), (there, here)):
        if kind in ("identity", "not null") and ("column", name) in side and ("column", name) not in other:
            return True
        if kind == "validation" and ("constraint", name) in side and ("constraint", name) not in other:
            return True
        if any(("table", table) in side and ("table", table) not in other for table in _tables(kind, name)):
            return True
    return False


def _tables(kind: str, name: str) -> Iterator[str]:
    """The name of the table that an object may belong to."""
    if kind in ("column", "identity", "not null"):
        yield name.rpartition(".")[0]
    elif kind in ("constraint", "validation", "trigger", "rule", "policy"):
        yield name.rpartition(" ")[0]
    elif kind == "grant":
        yield name.partition(" on ")[2].rpartition(" to ")[0]
        yield name.partition(" of ")[2].rpartition(" to ")[0].rpartition(".")[0]
    elif kind == "row security":
        yield name


@dataclass(frozen=True)
class _Waiting:
    """Names of what is kept for later.

    Where `schema` has not been here, `kept` is None, and what it would keep counts: columns of large values and foreign
    keys among it.
    """

    large: frozenset[str]
    keys: frozenset[str]
    kept: frozenset[str] | None
    softened: frozenset[str]
    """Names of what was taken off the source for the way back."""
    ancestors: Mapping[str, Sequence[str]]

    def has(self, name: str) -> bool:
        """Return whether an object, or that of an ancestor of its table, is kept and not made yet."""
        assert self.kept is not None
        if name in self.kept:
            return True
        return any(
            ancestor + name[len(table) :] in self.kept
            for table, ancestors in self.ancestors.items()
            if name.startswith((f"{table} ", f"{table}."))
            for ancestor in ancestors
        )


def _waiting(source: Database, target: Database, schemas: Sequence[str]) -> _Waiting:
    parameters = {"schemas": list(schemas)}
    large, keys = (frozenset(name for (name,) in source.run(query, parameters)) for query in (_LARGE, _LATE_KEYS))
    is_there = target.value("SELECT to_regclass('stackferry_state.definitions')") is not None
    kept, softened = None, frozenset[str]()
    if is_there:
        kept, softened = (
            frozenset(str(name) for (name,) in target.run(_KEPT, (side,))) for side in ("target", "source")
        )
    return _Waiting(large, keys, kept, softened, dict(source.run(_ANCESTORS, parameters)))


def _state(kind: str, name: str, here: Objects, there: Objects, waiting: _Waiting,
           left_out: Mapping[str, Collection[str]]) -> State:  # fmt: skip
    one, other = here.get((kind, name)), there.get((kind, name))
    table, _, column = name.rpartition(".")
    if kind == "column" and other is None and column in left_out.get(table, ()):
        return "noted"
    if kind == "extension" and (one is None or other is not None):
        return "noted"  # each server has the versions that it is shipped with
    if one is not None and _waits(kind, name, one, other, waiting):
        return "waits"
    of_source = replace(waiting, kept=waiting.softened)
    return "waits" if other is not None and _waits(kind, name, other, one, of_source) else "differs"


def _waits(kind: str, name: str, one: str, other: str | None, waiting: _Waiting) -> bool:
    """Return whether a side lacks on purpose what the other has, until a later moment."""
    if kind == "validation" and (one, other) != ("validated", "not validated"):
        return False
    if kind not in ("validation", "identity") and other is not None:
        return False
    if kind == "identity" and (one, other) != ("ALWAYS", "BY DEFAULT"):
        return False
    if waiting.kept is not None:
        return waiting.has(name)
    if kind == "constraint":
        return name in waiting.keys or one.startswith("CHECK")
    return kind in _UNTIL_THE_CUT_OVER or (kind == "not null" and name in waiting.large)
