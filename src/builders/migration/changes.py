"""The rows that changed since `verify`: read from a logical slot of our own, kept until they are compared.

A slot tells of every change that was committed since it was made, in the order of the commits. `collect` takes what has
come, writes the keys to the target's schema `stackferry_state`, and only then lets the slot go on: a process that is
killed in between reads the same changes again, and none is lost. So the slot keeps no more WAL than came since the last
call, and at the cut-over only the last changes are left to read.

The same works the other way round after the cut-over: the slot is then in the target, whose changes come to the source.
On RDS it needs the role rds_replication (RDS user guide, "Performing logical replication for Amazon RDS for
PostgreSQL").
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from builders import logical_decoding, naming
from builders.errors import MigrationError
from builders.logical_decoding import UNCHANGED, Change, Delete, Insert, Name, Row, Truncate, Update
from builders.migration import definitions
from builders.migration.databases import Database
from builders.migration.definitions import Table
from builders.migration.mappings import EVERYTHING, Mappings
from builders.migration.rows import (
    Difference,
    Key,
    batches,
    between,
    digest,
    digests_of_keys,
    prepare,
    readable,
    restore,
)

SLOT = "stackferry_changes"
"""Begin of the slot's name, which ends in the OID of the database: slots are of a server, phases of a database."""

PLUGIN = "test_decoding"
CHANGES_A_READ = 5_000
SLOT_SECONDS = 60
"""Seconds that the creation of a slot waits for open transactions."""

SCHEMA = naming.STATE_SCHEMA
_MAKE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    # A key is kept as a JSON array: it may be longer than an index takes.
    f"""CREATE TABLE IF NOT EXISTS {SCHEMA}.changed (
          side text NOT NULL, schema_name text NOT NULL, table_name text NOT NULL, key text NOT NULL)""",
    f"""CREATE UNIQUE INDEX IF NOT EXISTS changed_once
        ON {SCHEMA}.changed (side, schema_name, table_name, md5(key))""",
)
_KEEP = f"""
INSERT INTO {SCHEMA}.changed (side, schema_name, table_name, key) SELECT %s, %s, %s, unnest(%s::text[])
ON CONFLICT DO NOTHING
"""
_FORGET = f"""
DELETE FROM {SCHEMA}.changed USING unnest(%s::text[]) AS each
WHERE side = %s AND schema_name = %s AND table_name = %s AND md5(key) = md5(each) AND key = each
"""
_KEPT = f"SELECT schema_name, table_name, key FROM {SCHEMA}.changed WHERE side = %s"

_SLOT = """
SELECT to_jsonb(s)->>'wal_status', (pg_current_wal_lsn() - s.restart_lsn)::int8
FROM pg_replication_slots s WHERE s.slot_name = %s AND s.database = current_database()
"""
_PEEK = """
SELECT lsn::text, data
FROM pg_logical_slot_peek_changes(%s, %s::pg_lsn, %s, 'include-xids', '0', 'skip-empty-xacts', '1')
"""
_INSERTED = """
SELECT pg_current_wal_insert_lsn()::text, setting::float8 / 1000 FROM pg_settings WHERE name = 'wal_writer_delay'
"""
_FLUSHED = "SELECT pg_current_wal_flush_lsn()::text, pg_current_wal_flush_lsn() >= %s::pg_lsn"
FLUSH_MARGIN_SECONDS = 0.1
_ADVANCE = """
SELECT pg_replication_slot_advance(slot_name, %s::pg_lsn) FROM pg_replication_slots
WHERE slot_name = %s AND confirmed_flush_lsn < %s::pg_lsn
"""
# Of all databases of the server, since a slot waits for all of them.
_OPEN = """
SELECT who, date_trunc('second', clock_timestamp() - since)::text FROM (
  SELECT 'pid ' || pid || ' of ' || usename AS who, xact_start AS since FROM pg_stat_activity
  WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
  UNION ALL SELECT format('the prepared transaction %%L of %%s in %%s', gid, owner, database), prepared
  FROM pg_prepared_xacts
) AS open WHERE since < clock_timestamp() - make_interval(secs => %s) ORDER BY since LIMIT 3
"""

# What an UPDATE or DELETE says of the row before: its key by default, all of it, another index's columns, or nothing.
_IDENTITIES = """
SELECT n.nspname, c.relname, c.relreplident::text = 'f' OR (c.relreplident::text = 'd')
  OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indisprimary)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY (%s) AND c.relkind IN ('r', 'p')
"""

_NO_KEY: frozenset[Key] = frozenset({()})
"""Keys that are kept for a table whose changed rows are not known."""

WHOLE_TABLE: None = None
Changed = Mapping[Name, Set[Key] | None]
"""{(schema, table): the keys of its changed rows, or `WHOLE_TABLE` where they are not known}."""


@dataclass(frozen=True)
class Held:
    """A slot: how many bytes of WAL it keeps, and what the server says of it (PostgreSQL 13 or later)."""

    bytes: int
    status: str

    @property
    def is_lost(self) -> bool:
        """True where it has lost log that was not read."""
        return self.status == "lost"


@dataclass
class _Keys:
    """The changed rows of one read."""

    keys: dict[Name, set[Key]] = field(default_factory=dict)
    whole: set[Name] = field(default_factory=set)


def slot_name(database: Database) -> str:
    """The name of the slot of a database."""
    return f"{SLOT}_{database.value('SELECT oid::int8 FROM pg_database WHERE datname = current_database()')}"


def open_transactions(database: Database, seconds: float = 0) -> list[tuple[str, str]]:
    """Return who has written in transactions that are open for some seconds, and for how long: the oldest three."""
    return [(who, age) for who, age in database.run(_OPEN, (seconds,))]


class Changes:
    """The changes of one side since `begin`. `side` is where rows change, `state` the target, which keeps the keys."""

    def __init__(self, side: Database, state: Database, schemas: Sequence[str]) -> None:
        self._side, self._state, self._schemas = side, state, list(schemas)
        self.slot = slot_name(side)

    def begin(self) -> None:
        """Make the slot, and forget what an earlier one told. Waits for open transactions. Raises `MigrationError`."""
        self.drop()
        for statement in _MAKE:
            self._state.run(statement)
        self._state.run(f"DELETE FROM {SCHEMA}.changed WHERE side = %s", (self._side.side,))
        self._make_slot()

    def begin_again(self) -> Changed:
        """Make a slot in place of one that is lost; return all tables, as which changed is not known.

        They are kept first: whoever is killed in between leaves nothing out. Raises `MigrationError`.
        """
        everything = {(each.schema, each.name) for each in definitions.tables(self._side, self._schemas)}
        for statement in _MAKE:
            self._state.run(statement)
        self._keep(_Keys(whole=everything))
        self.drop()
        self._make_slot()
        return dict.fromkeys(everything, WHOLE_TABLE)

    def _make_slot(self) -> None:
        for setting in ("SET lock_timeout = 0", f"SET statement_timeout = '{SLOT_SECONDS}s'"):
            self._side.run(setting)
        try:
            self._side.run("SELECT pg_create_logical_replication_slot(%s, %s)", (self.slot, PLUGIN))
        except MigrationError as error:
            if "57014" in str(error) and (found := open_transactions(self._side)):
                named = ", ".join(f"{who}, for {age}" for who, age in found)
                raise MigrationError(
                    f"a slot waits for the transactions that are open, longer than {SLOT_SECONDS} s: {named}; let them "
                    "end, or end them, then run this again"
                ) from error
            raise
        finally:
            for setting in ("RESET lock_timeout", "SET statement_timeout = 0"):
                self._side.run(setting)

    def drop(self) -> None:
        """Drop the slot, if it is there."""
        self._side.run(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
            "WHERE slot_name = %s AND database = current_database()",
            (self.slot,),
        )

    def held(self) -> Held | None:
        """Return what the slot keeps; None where there is no slot."""
        for status, kept in self._side.run(_SLOT, (self.slot,)):
            return Held(int(kept or 0), str(status or ""))
        return None

    def collect(self) -> int:
        """Keep the keys of the rows that changed since the last call; return how many changes were read.

        Raises `MigrationError` where the slot is missing or lost: then only a new `verify` knows what is the same.
        """
        held = self.held()
        if held is None or held.is_lost:
            what = "is missing" if held is None else "is lost: it exceeded max_slot_wal_keep_size"
            raise MigrationError(
                f"the slot {self.slot} of the {self._side.side} {what}, and what changed is not known; "
                "run `migrate-database verify` again"
            )
        tables = {(table.schema, table.name): table for table in definitions.tables(self._side, self._schemas)}
        known = {(schema, name) for schema, name, keyed in self._side.run(_IDENTITIES, (self._schemas,)) if keyed}
        count, upto = 0, self._flushed()
        while True:
            found, lines, last = _Keys(), 0, ""
            for at, data in self._peeked(upto):
                lines, last = lines + 1, at
                event = logical_decoding.parse(data)
                if isinstance(event, Insert | Update | Delete | Truncate):
                    _note(event, tables, known, found)
                    count += 1
            self._keep(found)
            everything = lines < CHANGES_A_READ
            # The last line is a commit, whose own position is where it ends.
            position = upto if everything else last
            self._side.run(_ADVANCE, (position, self.slot, position))
            if everything:
                return count

    def _flushed(self) -> str:
        """A position behind all that is committed, once it can be read: a slot tells of WAL on disk alone.

        A commit under synchronous_commit = off is there after three times wal_writer_delay (PostgreSQL manual,
        "Asynchronous Commit"). What else is not on disk yet belongs to no commit.
        """
        written, delay = self._side.run(_INSERTED)[0]
        deadline = time.monotonic() + 3 * float(delay) + FLUSH_MARGIN_SECONDS
        while True:
            (flushed, is_there) = self._side.run(_FLUSHED, (written,))[0]
            if is_there or time.monotonic() > deadline:
                return str(flushed)
            time.sleep(0.01)

    def _peeked(self, upto: str) -> Iterator[tuple[str, str]]:
        """Position and text of what the slot tells, one by one: a row may have values of many megabytes."""
        with self._side.translated():
            yield from self._side.connection.cursor().stream(_PEEK, (self.slot, upto, CHANGES_A_READ))

    def read(self) -> Changed:
        """Collect, and return all rows that changed since `begin` and were not forgotten. Raises `MigrationError`."""
        self.collect()
        keys: dict[Name, set[Key]] = {}
        whole = set()
        for schema, name, text in self._state.run(_KEPT, (self._side.side,)):
            if key := json.loads(text):
                keys.setdefault((schema, name), set()).add(tuple(key))
            else:
                whole.add((schema, name))
        return {**{name: frozenset(found) for name, found in keys.items()}, **dict.fromkeys(whole, WHOLE_TABLE)}

    def forget(self, changed: Changed) -> None:
        """Forget rows that were compared after they were read; a later change of them is kept again."""
        with self._state.transaction():
            for (schema, name), keys in changed.items():
                for batch in batches(_NO_KEY if keys is None else keys):
                    self._state.run(_FORGET, (_written(batch), self._side.side, schema, name))

    def _keep(self, found: _Keys) -> None:
        with self._state.transaction():
            for (schema, name), keys in [*found.keys.items(), *((name, _NO_KEY) for name in found.whole)]:
                for batch in batches(keys):
                    self._state.run(_KEEP, (self._side.side, schema, name, _written(batch)))


def compare(source: Database, target: Database, schemas: Sequence[str], changed: Changed,
            mappings: Mappings = EVERYTHING) -> list[Difference]:  # fmt: skip
    """Compare changed rows once, both sides side by side; writers that have not stopped make rows differ.

    A table that no task carries is as its own rows are on each side. Raises `MigrationError`.
    """
    here, there = ({(table.schema, table.name): table for table in definitions.tables(side, schemas)}
                   for side in (source, target))  # fmt: skip
    differences: list[Difference] = []
    pairs: list[tuple[Table, Table]] = []
    for name in sorted(changed):
        one, other = here.get(name), there.get(name)
        known = one or other
        if known is None or not mappings.carries(known):
            continue
        if one and other:
            pairs.append((one, other))
        else:
            differences.append(Difference(str(known), "missing" if one else "extra"))
    for side in (source, target):
        prepare(side)
    with ThreadPoolExecutor(1) as pool:
        for rows in readable(source, target, pairs, mappings.left_out(here.values())):
            keys = changed[rows.table.schema, rows.table.name]
            if keys is None or not rows.key:
                promised = pool.submit(digest, target, rows)
                if digest(source, rows) != promised.result():
                    differences.append(Difference(str(rows.table), "differs"))
                continue
            expected = pool.submit(digests_of_keys, target, rows, keys)
            found = between(str(rows.table), digests_of_keys(source, rows, keys), expected.result())
            differences += found.values()
    for side in (source, target):
        restore(side)
    return sorted(differences, key=lambda each: (each.table, each.key or ()))


def settle(changes: Changes, source: Database, target: Database, schemas: Sequence[str], arrived: Callable[[], None],
           mappings: Mappings = EVERYTHING) -> list[Difference]:  # fmt: skip
    """Compare what changed while writers go on, and forget what is the same: a cut-over then has little to compare.

    `arrived` returns when all that was committed before its call is in the target, as a marker shows. Without it a row
    could be forgotten that is the same by chance, with an older value that was to come again. What is returned may be
    late or wrong: a later call says which. Raises `MigrationError`.
    """
    changed = changes.read()
    arrived()
    found = compare(source, target, schemas, changed, mappings)
    differing: dict[str, set[Key | None]] = {}
    for each in found:
        differing.setdefault(each.table, set()).add(each.key)
    same: dict[Name, Set[Key] | None] = {}
    for table, keys in changed.items():
        others = differing.get(definitions.shown(*table), set())
        if None not in others:
            same[table] = keys if keys is None else keys - others
    changes.forget(same)
    return found


def _written(keys: Sequence[Key]) -> list[str]:
    return [json.dumps(key, ensure_ascii=False) for key in keys]


def _note(change: Change, tables: Mapping[Name, Table], known: Collection[Name], found: _Keys) -> None:
    """Note the keys of the rows before and after a change."""
    if isinstance(change, Truncate):
        found.whole.update(name for name in change.tables if name in tables)
        return
    table = tables.get(change.table)
    if table is None:
        return
    rows: list[Row | None] = []
    if isinstance(change, Insert):
        rows = [change.row]
    elif isinstance(change, Delete):
        rows = [change.old]
    else:
        rows = [change.row, *([change.old] if change.old is not None else [])]
    keys = [_key(table, row) for row in rows]
    if not table.key or None in keys or (change.table not in known and not isinstance(change, Insert)):
        found.whole.add(change.table)
        return
    found.keys.setdefault(change.table, set()).update(key for key in keys if key is not None)


def _key(table: Table, row: Row | None) -> Key | None:
    """The key of a row; None where it is not all there."""
    if row is None:
        return None
    values = [row.get(name) for name in table.key]
    if any(value is None or value is UNCHANGED for value in values):
        return None
    return tuple(str(value) for value in values)
