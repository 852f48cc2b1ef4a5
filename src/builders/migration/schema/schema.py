"""`migrate-database schema`: definitions of the source made in the target, each kept for its own moment.

Needs on the source LOGIN, CONNECT, USAGE on the schemas, SELECT on tables and sequences, CREATE on the database for the
marker, and for passwords SELECT on pg_authid; on the target the master user. It can be run again at any time before the
cut-over: what is there stays, and what differs is named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import psycopg

from builders import progress
from builders.command_line import print_json, show
from builders.errors import MigrationError
from builders.migration import journal
from builders.migration.databases import LOCK_SECONDS, LOCK_WAITS, Database, sqlstate
from builders.migration.journal import Journal
from builders.migration.phase import Phase, PhaseOptions
from builders.migration.schema import entries, moments, passwords, programs, roles, schema_plan
from builders.migration.schema.entries import SchemaStep
from builders.migration.schema.moments import Say
from builders.migration.schema.passwords import Passwords
from builders.migration.schema.schema_plan import Noted, Plan, Users
from builders.terminal import BAD, WARN
from builders.text import printable

if TYPE_CHECKING:
    from builders.page import Page

STEP = "schema"
"""The run and the step of the journal."""

_TITLE_COLUMNS = 14
_TOO_LATE = "the task has run before and does not carry it: load everything again, with `migrate-database reload`"
_KEY = "kmsKeyId"
"""The output that names the key of a phase."""

NewPassword = Callable[[str], str]
"""Returns the new password of a role, which it has put into a secret."""

# What the target cannot take: class 42 has missing rights, types, columns and objects, and newer syntax; the others
# are missing features, schemas and libraries. What is none of these, such as a lock or a full disk, ends the run.
_REFUSED_CLASS = "42"
_REFUSALS = frozenset({"0A000", "0LP01", "22023", "2BP01", "3F000", "58P01"})


@dataclass
class SchemaOutcome:
    """Definitions that were made, were there, differ or were left out."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)
    differing: list[Noted] = field(default_factory=list)
    left_out: list[Noted] = field(default_factory=list)
    refused: list[Noted] = field(default_factory=list)
    """Definitions that the target refused although they are the application's own."""

    @property
    def is_whole(self) -> bool:
        """True where nothing differs and nothing of the application's own was refused."""
        return not self.differing and not self.refused

    def as_data(self) -> dict[str, Any]:
        """The form of --json."""
        return {
            "made": self.made,
            "keptForLater": self.kept,
            "alreadyThere": self.there,
            "differs": [asdict(each) for each in self.differing],
            "leftOut": [asdict(each) for each in [*self.left_out, *self.refused]],
        }


def carry(
    source: Database,
    target: Database,
    schemas: Sequence[str],
    users: Users,
    say: Say,
    new_password: NewPassword,
) -> SchemaOutcome:
    """Make the definitions of some schemas in the target. Raises `MigrationError`."""
    journal.must_serve_source(target)
    planned = schema_plan.plan(source, target, schemas, users)
    return carry_out(planned, source, target, say, new_password)


def carry_out(planned: Plan, source: Database, target: Database, say: Say, new_password: NewPassword) -> SchemaOutcome:
    """Run the steps of a plan, those that were shown. Raises `MigrationError`."""
    outcome = SchemaOutcome(
        there=list(planned.there), differing=list(planned.differing), left_out=list(planned.left_out)
    )
    moments.prepare(target)
    # Bodies of functions are not checked, since what they name may come later, and names are written with schemas.
    target.run("SET check_function_bodies = off")
    target.run("SET client_min_messages = warning")
    missing: dict[int, str] = {}
    with progress.bar("schema", len(planned.steps)) as advance:
        for step in planned.steps:
            if lacking := next((missing[each] for each in step.needs if each in missing), ""):
                _leave_out(step, f"it needs {lacking}", outcome, missing)
            else:
                _run(step, source, target, outcome, missing, new_password)
            advance(str(step))
    moments.soften(target, target, planned.schemas, say)
    moments.leave_out(target, ((each.kind, each.object, each.why) for each in [*outcome.left_out, *outcome.refused]))
    _remember_carried(planned, target)
    return outcome


def _run(
    step: SchemaStep,
    source: Database,
    target: Database,
    outcome: SchemaOutcome,
    missing: dict[int, str],
    new_password: NewPassword,
) -> None:
    """Run one step and remember it, in one transaction where it is the target's."""
    database = source if step.side == "source" else target
    statements = list(step.statements)
    if step.password_of:
        verifier = passwords.verifier(target, step.password_of, new_password(step.password_of))
        statements.append(roles.password(step.password_of, verifier).as_string(target.connection))

    def make() -> None:
        with database.transaction():
            for statement in statements:
                database.run(statement)
            for each in step.kept:
                moments.keep(target, each)

    try:
        # Most are new objects, for which nobody waits: the round trips of shorter waits are for another attempt.
        database.patiently(make, waits=(LOCK_SECONDS, *LOCK_WAITS))
    except MigrationError as error:
        if step.must or not _is_refusal(error):
            raise MigrationError(f"{step}: {error}") from error
        _leave_out(step, _reason(error), outcome, missing)
        return
    (outcome.made if statements else outcome.kept).append(str(step))


def _is_refusal(error: MigrationError) -> bool:
    state = sqlstate(error)
    return state.startswith(_REFUSED_CLASS) or state in _REFUSALS


def _reason(error: MigrationError) -> str:
    cause = error.__cause__
    primary = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
    return primary or str(error)


def _leave_out(step: SchemaStep, why: str, outcome: SchemaOutcome, missing: dict[int, str]) -> None:
    """Note what the target does not get, and what cannot be without it."""
    outcome.refused.append(Noted(step.kind, step.object, why))
    if step.number >= 0:
        missing[step.number] = str(step)


def _remember_carried(planned: Plan, target: Database) -> None:
    """Read the target's definitions as they are now, so that a later change there is seen."""
    carried = {role.name for role in planned.roles}
    major = max(planned.major, target.version // 10000)
    there = {(each.kind, each.object): each for each in programs.definitions(target, planned.schemas, major)}
    with target.transaction():
        for row in moments.kept(target, "before_load"):
            entry = there.get((row.kind, row.object))
            now = entries.words(entry, carried) if entry else None
            if row.source and row.is_done and now != row.carried:
                moments.keep(target, replace(row, carried=now))


def _fill(page: Page, outcome: SchemaOutcome) -> None:
    """Add the outcome to a page."""
    page.line(f"made          {len(outcome.made):,}")
    page.line(f"kept          {len(outcome.kept):,} for after the load, and for the cut-over", hang=_TITLE_COLUMNS)
    page.line(f"already there {len(outcome.there):,}")
    left_out = [*outcome.left_out, *outcome.refused]
    for title, found, style in (("differs", outcome.differing, BAD), ("left out", left_out, WARN)):
        for each in found:
            page.line((f"{title:<{_TITLE_COLUMNS}}", style), str(each), hang=_TITLE_COLUMNS)


def run(options: PhaseOptions, *, as_json: bool, dry_run: bool) -> bool:
    """Carry the definitions of a phase and show the outcome, or show the SQL. Return whether nothing differs."""
    with Phase(options) as phase, phase.source() as source, phase.target() as target:
        users = Users.of(phase)
        if dry_run:
            journal.must_serve_source(target)
            planned = schema_plan.plan(source, target, phase.schemas, users)
            return _show_plan(planned, as_json=as_json)
        new = Passwords(phase.session, phase.name, phase.suffix, phase.outputs.get(_KEY, ""))
        with journal.locked(target):
            outcome = carry(source, target, phase.schemas, users, progress.say, lambda role: new.of(role, target))
            if phase.task.task().has_run:
                outcome.differing += [
                    Noted("TABLE", name.removeprefix("TABLE "), _TOO_LATE)
                    for name in outcome.made
                    if name.startswith("TABLE ")
                ]
            log = Journal(target, phase.caller)
            log.prepare()
            number = sum(run.kind == STEP for run in log.runs()) + 1
            details = {name: found for name, found in outcome.as_data().items() if name not in ("made", "alreadyThere")}
            log.write(f"{STEP}-{number}", STEP, "done", {"made": len(outcome.made), **details})
        show(outcome.as_data, lambda page: _fill(page, outcome), as_json=as_json)
        return outcome.is_whole


def _show_plan(planned: Plan, *, as_json: bool) -> bool:
    if as_json:
        data = {"statements": list(schema_plan.shown(planned)), "alreadyThere": planned.there,
                "differs": [asdict(each) for each in planned.differing],
                "leftOut": [asdict(each) for each in planned.left_out]}  # fmt: skip
        print_json(data)
    else:
        for line in schema_plan.shown(planned):
            print(line)
        for title, found in (("differs", planned.differing), ("left out", planned.left_out)):
            for each in found:
                print(f"-- {title}: {printable(each)}")
    return not planned.differing
