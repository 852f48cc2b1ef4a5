"""The cut-over: the source is closed, all that it has is proven to be in the target, and the target is opened.

The steps stand in `steps`, in their order. What a fall-back does likewise, with the sides exchanged, is here too: each
function works from `origin`, the side that is closed, to `destination`, the side that is opened.
"""

from __future__ import annotations

import time
from typing import get_args

from psycopg import sql

from builders import naming
from builders.errors import MigrationError, ReplicationError
from builders.migration import changes, definitions, marker
from builders.migration.changes import Changes
from builders.migration.databases import Database, Side
from builders.migration.journal import OPEN, Details
from builders.migration.schema import moments, roles
from builders.migration.schema.passwords import verifier
from builders.migration.switchover import sequences
from builders.migration.switchover.fence import Record
from builders.migration.switchover.steps import Context, Step, outstanding, run_of
from builders.migration.task import running
from builders.migration.task.client import Replication
from builders.migration.task.reasons import why
from builders.migration.task.values import RUNNING, STARTING
from builders.text import counted_noun

MARKER_SECONDS = 120.0
"""Seconds to wait for a marker while the application is kept out; a task that lags more is not cut over."""

SLOT_SECONDS = 30
"""Seconds that a slot's creation waits for open transactions, and its removal for the task to stop reading from it."""

_MARKER = sql.Identifier(naming.MARKER_SCHEMA, naming.MARKER_TABLE)

FENCE, TARGET, STOP, SLOT, WAY_BACK = "fence", "target", "stop", "slot", "way-back"

_READ_BY = """
SELECT s.slot_name FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid
WHERE s.database = current_database() AND s.slot_type = 'logical' AND a.usename = ANY (%s) ORDER BY 1
"""
_DROP_SLOT = """
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = %s AND database = current_database() AND NOT active
"""
_HAS_SLOT = "SELECT true FROM pg_replication_slots WHERE slot_name = %s AND database = current_database()"


def steps(*, keep_reads: bool, way_back: bool) -> list[Step]:
    """The cut-over's steps, in their order."""
    reads = "reads go on" if keep_reads else "close its logins and end its sessions"
    way = [
        Step("prepare", "prepare the way back: its user in the target, rights, DMS's connections", _prepare_way_back)
    ]
    before = [
        Step(TARGET, "let nobody but DMS and this command write to the target", _close_target, _survey_target,
             _open_target_again, stands),
        Step("settle", "compare what changed since verify, while the application still writes", settle),
        Step(FENCE, f"close the source to the application's writes; {reads}", close, survey, let_in_again, stands,
             urgent=True),
        Step("marker", "prove by a marker that all of the source has arrived", prove),
        Step(STOP, "ask the task to stop", stop, slots_of_task, go_on),
        Step("compare", "compare what changed since verify, exactly", compare),
        Step("sequences", "set the sequences, with a margin", carry_sequences),
        Step("stopped", "wait until the task has stopped", wait_for_stop),
        Step("harden", "put on what waited for the cut-over: triggers, rules, NOT NULL", harden, undo=soften_again),
    ]  # fmt: skip
    prepared = [
        Step("changes", "begin to note what changes from now on", _note_changes, undo=_forget_changes),
        Step(SLOT, "make the slot of the way back, before the first write", _make_slot, undo=_drop_slots),
    ]
    opening = [
        Step("closed", "see that the fences of both sides stand on every table", check_fences),
        Step(OPEN, "open the target to the application", _open),
    ]
    started = [
        Step("soften-source", "take off the source what would refuse the way back's changes", _soften_source),
        Step(WAY_BACK, "start the task of the way back, from the slot", _start_way_back),
    ]
    after = [
        Step("slots", "drop the slots of the source, which would keep its WAL", drop_slots),
        Step("unfence", "take the triggers of the fence off the target", _remove_target_fence),
        Step("complete", "validate constraints, refresh views, gather statistics", complete),
    ]
    return [
        *(way if way_back else []),
        *before,
        *(prepared if way_back else []),
        *opening,
        *(started if way_back else []),
        *after,
    ]


def _prepare_way_back(context: Context, _details: Details) -> None:
    """Make the user by which DMS reads the target, let both of its users at the marker, and test the connections.

    It writes its heartbeat into the schema of the marker (DMS user guide, "Using a PostgreSQL database as an AWS DMS
    source").
    """
    back, target = required(context.back), context.target
    if context.reader:
        name, password = context.reader()
        role = sql.Identifier(name)
        verb = "ALTER" if target.value("SELECT true FROM pg_roles WHERE rolname = %s", (name,)) else "CREATE"
        word = sql.Literal(verifier(target, name, password))
        target.run(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(sql.SQL(verb), role, word))
        target.run(sql.SQL("GRANT rds_replication TO {}").format(role))
        for setting in roles.untimed(name, roles.settings(target, ())):
            target.run(setting.statement(target.login.database))
        for schema in context.schemas:
            target.run(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), role))
        if tables := [table.sql for table in definitions.tables(target, context.schemas)]:
            target.run(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.SQL(", ").join(tables), role))
        # Of the tables there the marker alone is ours: after a fall-back DMS has its heartbeat in this schema.
        target.run(sql.SQL("GRANT USAGE, CREATE ON SCHEMA {} TO {}").format(sql.Identifier(naming.MARKER_SCHEMA), role))
        target.run(sql.SQL("GRANT SELECT ON {} TO {}").format(_MARKER, role))
    if context.writer:
        role, named = sql.Identifier(context.writer), sql.Identifier(naming.MARKER_SCHEMA)
        context.source.run(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(named, role))
        rights = sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}")
        context.source.run(rights.format(_MARKER, role))
    running.prove_connections(back, context.watch, back.task())


def survey(context: Context) -> Details:
    """Return what must be restored when the fence of the origin is removed."""
    return context.fence(context.origin.side).survey(keep_reads=context.keep_reads).details()


def close(context: Context, details: Details) -> Details:
    """Put up the fence of the origin."""
    record = Record.of(details)
    context.memory["fence"] = record
    for note in (notes := context.fence(context.origin.side).close(record)):
        context.say(note)
    return {"notes": notes}


def let_in_again(context: Context, details: Details) -> None:
    """Give the origin back as it was: writes first, then the triggers go."""
    fence = context.fence(context.origin.side)
    with context.origin.transaction():
        fence.lift(Record.of(details))
    context.say(f"the {context.origin.side} takes writes again")
    fence.remove()


def stands(context: Context, details: Details) -> bool:
    """Return whether the very fence of a run stands."""
    side: Side = details["side"]
    return context.fence(side).stands(Record.of(details))


def _survey_target(context: Context) -> Details:
    """The target's fence: that of a fall-back before, which still stands, or a new one, since nobody logs in yet."""
    record = outstanding(context.journal.entries(), "target")
    if record:
        return {**record.details(), "kept": True}
    return context.fence("target").survey(keep_reads=True).details()


def _close_target(context: Context, details: Details) -> None:
    context.fence("target").close(Record.of(details))


def _open_target_again(context: Context, details: Details) -> None:
    if details.get("kept"):
        return
    fence = context.fence("target")
    with context.target.transaction():
        fence.lift(Record.of(details))
    fence.remove()


def settle(context: Context, _details: Details) -> None:
    """Compare beforehand, so that little is left to compare while the application is kept out."""
    differences = changes.settle(
        Changes(context.origin, context.target, context.schemas), context.source, context.target, context.schemas,
        lambda: _await_marker(context), context.mappings,
    )  # fmt: skip
    if differences:
        context.say(f"{counted_noun(len(differences), 'row')} changed meanwhile, and will be compared again")
    found = sequences.definitions(context.origin, context.schemas)
    context.memory["held"] = sequences.held(context.origin, found, indexed=False)


def prove(context: Context, _details: Details) -> None:
    """Wait until all of the origin is in the destination."""
    _await_marker(context)


def _await_marker(context: Context) -> None:
    def alive() -> None:
        task = context.task.task()
        if task.is_at_rest:
            raise ReplicationError(
                f"the task is {task.status}: {why(task) or 'DMS gives no reason'}; resume it, then run this again"
            )

    if "batches" not in context.memory:
        context.memory["batches"] = context.task.applies_in_batches()
    trips = 2 if context.memory["batches"] else 1
    marker.round_trip(context.origin, context.destination, alive, timeout_seconds=MARKER_SECONDS, trips=trips)


def slots_of_task(context: Context) -> Details:
    """The slots that the task reads from now, which nobody needs once the other side is open."""
    rows = context.origin.run(_READ_BY, (list(context.users[context.origin.side]),))
    return {"slots": [name for (name,) in rows]}


def stop(context: Context, _details: Details) -> None:
    """Ask the task to stop; it does while other things are done."""
    task = context.watch.until(context.task, lambda task: task.status != STARTING)
    if task.status == RUNNING:
        context.task.stop()


def go_on(context: Context, _details: Details) -> None:
    """Let the task go on where it stopped."""
    running.resume(context.task, context.watch, until_loaded=False)


def wait_for_stop(context: Context, _details: Details) -> None:
    """Wait until the task writes nothing any more."""
    context.watch.until(context.task, lambda task: task.is_at_rest)


def compare(context: Context, _details: Details) -> Details:
    """Compare each row that changed since the last comparison; both sides stand still. Raises `MigrationError`."""
    changed = Changes(context.origin, context.target, context.schemas).read()
    found = changes.compare(context.source, context.target, context.schemas, changed, context.mappings)
    if found:
        named = ", ".join(each.shown() for each in found[:3])
        shown = f"{named}, {counted_noun(len(found), 'row')} in all"
        if context.kind == "cutover":
            raise MigrationError(
                f"not the same on source and target: {shown}; run `migrate-database verify` for all of them, and "
                "`verify --repair` to write what is right"
            )
        raise MigrationError(
            f"not the same on target and source: {shown}; run `migrate-database verify` for all of them, and write "
            f"what is right in the source as {context.writer or 'the user of the way back'}"
        )
    return {"tables": len(changed), "rows": sum(len(keys) for keys in changed.values() if keys is not None)}


def carry_sequences(context: Context, _details: Details) -> None:
    """Set the destination's sequences from the origin's."""
    known = context.memory.get("held")
    if known is None:
        known = sequences.held(context.origin, sequences.definitions(context.origin, context.schemas), indexed=False)
    for note in sequences.carry(context.origin, context.destination, context.schemas, known):
        context.say(note)


def harden(context: Context, _details: Details) -> None:
    """Put on the destination what is instant."""
    wanted = moments.harden_statements(context.target, "cutover", context.destination.side)
    moments.put_on_together(context.destination, context.target, wanted)


def soften_again(context: Context, _details: Details) -> None:
    """Take off the destination what would refuse the changes of the task."""
    made = [each for each in moments.kept(context.target, "cutover", side=context.destination.side) if each.is_done]
    for definition in reversed(made):
        moments.take_off(context.destination, context.target, definition)


def _note_changes(context: Context, _details: Details) -> None:
    Changes(context.target, context.target, context.schemas).begin()


def _forget_changes(context: Context, _details: Details) -> None:
    Changes(context.target, context.target, context.schemas).drop()


def _make_slot(context: Context, _details: Details) -> Details:
    target = context.target
    drop_slot(target, naming.FALLBACK_SLOT)
    target.run(f"SET statement_timeout = '{SLOT_SECONDS}s'")
    try:
        position = target.value(
            "SELECT lsn::text FROM pg_create_logical_replication_slot(%s, 'test_decoding')", (naming.FALLBACK_SLOT,)
        )
    finally:
        target.run("SET statement_timeout = 0")
    return {"position": position}


def _drop_slots(context: Context, _details: Details) -> None:
    drop_slot(context.target, naming.FALLBACK_SLOT)


def drop_slot(database: Database, name: str) -> None:
    """Drop a slot where it is there, once nobody reads from it. Raises `MigrationError`."""
    deadline = time.monotonic() + SLOT_SECONDS
    while database.value(_HAS_SLOT, (name,)):
        database.run(_DROP_SLOT, (name,))
        if time.monotonic() >= deadline:
            raise MigrationError(
                f"the slot {name} of the {database.side} is still read from; stop its task, then run this again"
            )
        time.sleep(0.02)


def check_fences(context: Context, _details: Details) -> None:
    """Raise `MigrationError` where a fence does not stand on every table that there is now."""
    entries = context.journal.entries()
    for side in get_args(Side):
        record = outstanding(entries, side)
        if record is None or not context.fence(side).stands(record):
            raise MigrationError(
                f"the fence of the {side} does not stand on every table: a table was made meanwhile, or somebody took "
                "the fence away"
            )


def _open(context: Context, _details: Details) -> Details:
    """Open the target, in one transaction with the journal."""
    record = outstanding(context.journal.entries(), "target")
    if record:
        context.fence("target").lift(record)
    for definition in moments.harden_statements(context.target, "opening"):
        moments.put_on(context.target, context.target, definition)
    return {"lifted": "target"}


def _soften_source(context: Context, _details: Details) -> None:
    moments.soften(context.source, context.target, context.schemas, context.say)


def _start_way_back(context: Context, _details: Details) -> None:
    """Start the task of the way back where the slot begins, and wait until it runs."""
    back = required(context.back)
    made = run_of(context).first(SLOT, "done")
    before = context.watch.until(back, lambda task: task.is_at_rest or task.status in (STARTING, RUNNING))
    if before.is_at_rest:
        if made is None:
            raise MigrationError("the journal does not say where the slot of the way back begins")
        running.begin(back, context.watch, "start-replication", str(made.details["position"]))
        context.watch.until(back, lambda task: (task.status, task.started) != (before.status, before.started))
    task = context.watch.until(back, lambda task: task.is_at_rest or task.status == RUNNING)
    if task.is_at_rest:
        raise ReplicationError(
            f"the task of the way back is {task.status}: {why(task) or 'DMS gives no reason'}; its slot keeps all "
            "changes until it runs"
        )


def drop_slots(context: Context, _details: Details) -> None:
    """Drop the slots that the stopped task read from, and that of the changes since verify."""
    begun = run_of(context).first(STOP, "begins")
    for name in begun.details["slots"] if begun else ():
        drop_slot(context.origin, name)
    Changes(context.origin, context.target, context.schemas).drop()


def complete(context: Context, _details: Details) -> None:
    """Do on the destination what may read whole tables, while the application works."""
    for definition in moments.harden_statements(context.target, "opened", context.destination.side):
        moments.put_on(context.destination, context.target, definition)
    for table in definitions.tables(context.destination, context.schemas):
        context.destination.patiently(context.destination.run, sql.SQL("ANALYZE {}").format(table.sql))


def _remove_target_fence(context: Context, _details: Details) -> None:
    context.fence("target").remove()


def required(task: Replication | None) -> Replication:
    """The task of the way back. Raises `MigrationError` where there is none."""
    if task is None:
        raise MigrationError("the layer fallback is not deployed: there is no task of the way back")
    return task
