"""The rows of a phase moved by the real commands `migrate-database schema` and `start`, and the proof that both agree.

What is compared is read from both servers, and nothing of it from DMS.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Column, Table

from builders.cloud.rds.on_premises import OnPremises
from builders.errors import DeployError
from builders.rehearsal import comparison
from builders.rehearsal.comparison import Comparison, RowByRow, Whole
from builders.rehearsal.deployment import PhaseDeployment
from builders.rehearsal.writer import Writer
from builders.text import counted_noun, name_list

Say = Callable[[str], None]

ROUNDS = 5
ROUND_SECONDS = 1.0
LATE_SECONDS = 30.0
"""A row that differs for so long is not late, but wrong."""

_NEWEST = "SELECT max(id) FROM payments.audit"


@dataclass(frozen=True)
class Move:
    """Both databases of a deployed phase, and where to tell of them."""

    deployment: PhaseDeployment
    source: OnPremises
    target_url: str
    variables: Mapping[str, str]
    """Those by which `migrate-database` runs without an option."""
    console: Console
    say: Say

    def prepare(self) -> None:
        """Carry the definitions into the target. Raises `DeployError` where the command fails."""
        self.say("")
        if subprocess.run(self._migrate_database("schema"), env=self._environment, check=False).returncode:
            raise DeployError("migrate-database schema did not carry everything; its message stands above")

    def sample(self) -> None:
        """Move the sample database while its application writes. Raises `DeployError` where a row is not as it was."""
        self.prepare()
        with self._compared() as both, Writer(self.source.application_url) as writer:
            self.say("the application writes to the source from now on, without a pause")
            self._start(lambda: self._tell_counts(both, writer))
            self._watch(both, writer)
            self.say("")
            self.say("compare row for row while the application writes; a row that differs is looked at again")
            _show_rows(self.console, rows := both.row_by_row(LATE_SECONDS))
            if differing := [f"{each.table} {', '.join(each.differing[:3])}" for each in rows if each.differing]:
                raise self._differs(f"rows still differ after {LATE_SECONDS:.0f} s: {'; '.join(differing)}")
            writer.stop()
            self.say(f"the application has stopped, after {writer.acknowledged:,} acknowledged transactions")
            self._compare_whole(both)
            self._look_for(writer)

    def other(self) -> None:
        """Move somebody's own database, which nobody writes to."""
        self.prepare()
        with self._compared() as both:
            self._start(lambda: self._tell_counts(both, None))
            self._compare_whole(both)

    def _compared(self) -> Any:
        return comparison.comparison(self.source.application_url, self.target_url, self.deployment.schemas)

    def _migrate_database(self, action: str, *options: str) -> list[str]:
        """The real command, as a person would call it; it is shown to the reader."""
        arguments = [action, *options]
        self.say(f"$ migrate-database {shlex.join(arguments)}")
        return [sys.executable, "-m", "builders.migration", *arguments]

    def _differs(self, message: str) -> DeployError:
        """The error of rows that differ, after the task's own word."""
        subprocess.run(self._migrate_database("status"), env=self._environment, check=False)
        return DeployError(message)

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.deployment.accounts.phase.environment, **self.variables}

    def _start(self, meanwhile: Callable[[], None]) -> None:
        """Start the task, and call `meanwhile` again and again until it ends."""
        command = self._migrate_database("start", "--poll", "0.5")
        with subprocess.Popen(command, env=self._environment) as child:
            try:
                while child.poll() is None:
                    meanwhile()
                    time.sleep(ROUND_SECONDS / 2)
            finally:
                if child.poll() is None:
                    child.terminate()
        if child.returncode:
            raise DeployError("migrate-database start did not succeed; its message stands above")

    def _tell_counts(self, both: Comparison, writer: Writer | None) -> None:
        source, target = both.counts()
        line = f"rows: {source:,} in the source, {target:,} in the target"
        if writer is not None:
            writer.check()
            line += f"; {writer.acknowledged:,} transactions acknowledged"
        self.say(line)

    def _watch(self, both: Comparison, writer: Writer) -> None:
        """Show a few times how the rows grow, and how long the newest takes to the other side."""
        for _ in range(ROUNDS):
            self._tell_counts(both, writer)
            self.say(f"  the newest row of the source was in the target {self._lag(writer):.2f} s later")
            time.sleep(ROUND_SECONDS)

    def _lag(self, writer: Writer) -> float:
        """Seconds until the newest audit row of the source, which is never changed, has come to the target."""
        with psycopg.connect(self.source.application_url) as source, psycopg.connect(self.target_url) as target:
            target.autocommit = True
            (newest,) = source.execute(_NEWEST).fetchone() or (0,)
            begun = time.monotonic()
            while not target.execute("SELECT FROM payments.audit WHERE id = %s", (newest,)).fetchall():
                writer.check()
                if time.monotonic() - begun > LATE_SECONDS:
                    raise self._differs(f"audit row {newest} is not in the target after {LATE_SECONDS:.0f} s")
                time.sleep(0.02)
            return time.monotonic() - begun

    def _compare_whole(self, both: Comparison) -> None:
        """Wait until whole tables agree, and show them."""
        found = both.until_equal(LATE_SECONDS)
        _show_whole(self.console, found)
        differing = [str(each.table) for each in found if not each.agrees]
        if differing:
            raise self._differs(f"not the same on both sides: {name_list(differing)}")
        rows = sum(each.source[0] for each in found)
        self.say(f"{counted_noun(len(found), 'table')}, {rows:,} rows: equal counts and digests on both sides")

    def _look_for(self, writer: Writer) -> None:
        expected = writer.expected
        if missing := comparison.lost(self.target_url, expected):
            raise self._differs(f"payments are not in the target as they were acknowledged: {missing[:5]}")
        deleted = sum(state is None for state in expected.values())
        self.say(
            f"all {len(expected):,} payments that the application wrote are in the target as it was told, "
            f"{deleted:,} of them deleted"
        )


def _show_rows(console: Console, found: Sequence[RowByRow]) -> None:
    table = Table(
        Column("table", overflow="fold"),
        "rows",
        "looked at again",
        "still differing",
        title="Row for row, while written to",
    )
    for each in found:
        table.add_row(str(each.table), f"{each.rows:,}", f"{each.again:,}", f"{len(each.differing):,}")
    console.print(table)


def _show_whole(console: Console, found: Sequence[Whole]) -> None:
    table = Table(
        Column("table", overflow="fold"), "rows", "digest in the source", "digest in the target", title="Both sides"
    )
    for each in found:
        (rows, digest), (other_rows, other) = each.source, each.target
        shown = f"{rows:,}" if rows == other_rows else f"{rows:,} / {other_rows:,}"
        table.add_row(str(each.table), shown, digest, other if each.agrees else f"{other} DIFFERS")
    console.print(table)
