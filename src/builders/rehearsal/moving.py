"""A phase's database moved by the real commands: check, schema, start, verify, cutover, and the fall-back.

What is shown of rows is read from both servers, and nothing of it from DMS. Of the sample the application never stops
to write: it follows the cut-over to the target, and the fall-back to the source.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from rich.console import Console
from rich.table import Column, Table

from builders.cloud.rds.on_premises import APPLICATION, OnPremises
from builders.errors import DeployError
from builders.migration import definitions, rows
from builders.migration.databases import Database, Login
from builders.rehearsal.deployment import PhaseDeployment
from builders.rehearsal.writer import Reader, Writer, lost
from builders.text import counted_noun, name_list

Say = Callable[[str], None]

ROUNDS = 3
ROUND_SECONDS = 1.0
ROUND_TRANSACTIONS = 25
"""Least transactions of the application while it is let write: on a busy machine that takes longer than two rounds."""
LATE_SECONDS = 30.0
"""A row that differs for so long is not late, but wrong."""
POLL = ("--poll", "0.1")


@dataclass(frozen=True)
class Move:
    """Both databases of a deployed phase, and where to tell of them."""

    deployment: PhaseDeployment
    source: OnPremises
    target_url: str
    variables: Mapping[str, str]
    """Environment variables by which `migrate-database` runs without an option."""
    console: Console
    say: Say

    def sample(self) -> None:
        """Move the sample and back while its application writes. Raises `DeployError` where a row is not as it was."""
        self._prepare()
        with Writer(self.source.application_url, self._application_url) as writer:
            self.say("the application writes to the source from now on, without a pause")
            self._run("start", "--poll", "0.5", meanwhile=lambda: self._tell_counts(writer))
            for _ in range(ROUNDS):
                self._tell_counts(writer)
                time.sleep(ROUND_SECONDS)
            self._run("verify")
            with Reader(self.source.application_url) as reader:
                self._run("cutover", "--yes", "--keep-reads", *POLL)
                self._tell_move(writer, "the target")
            if reader.failure:
                raise DeployError(f"reading the source was interrupted: {reader.failure}")
            self.say(f"the source was read all the while: {reader.answers:,} answers, no error")
            self._write_on(writer)
            self._run("status")
            self._run("fallback", "--yes", "--keep-reads", *POLL)
            self._tell_move(writer, "the source")
            self._write_on(writer)
            writer.stop()
        self._look_for(writer)
        self._run("report", "--report-dir", str(self.deployment.outputs_dir / self.deployment.phase))

    def other(self) -> None:
        """Move somebody's own database, which nobody writes to, and back."""
        self._prepare()
        self._run("start", "--poll", "0.5")
        self._run("verify")
        self._run("cutover", "--yes", *POLL)
        self._compare_whole()
        self._run("fallback", "--yes", *POLL)
        self._compare_whole()
        self._run("report", "--report-dir", str(self.deployment.outputs_dir / self.deployment.phase))

    def _prepare(self) -> None:
        """Check the source, accept what is found, as somebody has to, and carry the definitions."""
        self.say("")
        self._run("check", accepted_codes=(0, 1))
        found = json.loads(self._answer("check", "--json"))
        names = [
            f"{each['id']}:{each['object']}"
            for each in found["findings"]
            if each["severity"] in ("blocks", "loses") and not each["accepted"]
        ]
        if names:
            self._run("check", *(word for name in names for word in ("--accept", name)), shown=False)
            self.say(f"accepted by name, for this rehearsal: {name_list(names)}")
        self._run("schema")

    def _run(
        self,
        action: str,
        *options: str,
        accepted_codes: Sequence[int] = (0,),
        shown: bool = True,
        meanwhile: Callable[[], None] | None = None,
    ) -> None:
        """Run a command, and call `meanwhile` again and again until it ends. Raises `DeployError` where it fails."""
        command = self._command(action, *options)
        with subprocess.Popen(command, env=self._environment, stdout=None if shown else subprocess.DEVNULL) as child:
            try:
                while meanwhile and child.poll() is None:
                    meanwhile()
                    time.sleep(ROUND_SECONDS / 2)
                child.wait()
            finally:
                if child.poll() is None:
                    child.terminate()
        if child.returncode not in accepted_codes:
            raise DeployError(f"migrate-database {action} did not succeed; its message stands above")

    def _answer(self, action: str, *options: str) -> str:
        """The output of a command that only reads."""
        command = [sys.executable, "-m", "builders.migration", action, *options]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        return done.stdout

    def _command(self, action: str, *options: str) -> list[str]:
        """The real command, as a person would call it; it is shown to the reader."""
        self.say(f"$ migrate-database {shlex.join([action, *options])}")
        return [sys.executable, "-m", "builders.migration", action, *options]

    @property
    def _environment(self) -> dict[str, str]:
        return {**self.deployment.accounts.phase.environment, **self.variables}

    @property
    def _application_url(self) -> str:
        """The target as the application logs in: its password came over as a verifier."""
        return make_conninfo(self.target_url, user=APPLICATION, password=self.source.application_password)

    def _tell_counts(self, writer: Writer) -> None:
        writer.check()
        source, target = (_count(url) for url in (self.source.application_url, self.target_url))
        self.say(
            f"payments: {source:,} in the source, {target:,} in the target; "
            f"{writer.acknowledged:,} transactions acknowledged"
        )

    def _tell_move(self, writer: Writer, side: str) -> None:
        """Wait until the application writes to the other side, and say how long it could not."""
        made, deadline = writer.reconnections, time.monotonic() + LATE_SECONDS
        before = len(made)
        while not made or (len(made) == before and made[-1].side != (side == "the target")):
            writer.check()
            if time.monotonic() > deadline:
                raise DeployError(f"the application does not write to {side} after {LATE_SECONDS:.0f} s")
            time.sleep(0.02)
        self.say(f"the application writes to {side} now; it could not write for {made[-1].seconds:.2f} s")

    def _write_on(self, writer: Writer) -> None:
        """Let the application write for a while."""
        before, deadline = writer.acknowledged, time.monotonic() + LATE_SECONDS
        time.sleep(2 * ROUND_SECONDS)
        while writer.acknowledged - before < ROUND_TRANSACTIONS and time.monotonic() < deadline:
            writer.check()
            time.sleep(ROUND_SECONDS / 10)
        writer.check()
        self.say(f"{writer.acknowledged - before:,} more transactions acknowledged there")

    def _look_for(self, writer: Writer) -> None:
        expected = writer.expected
        if missing := lost(self.source.application_url, expected):
            raise DeployError(f"payments are not as they were acknowledged to the application: {missing[:5]}")
        deleted = sum(state is None for state in expected.values())
        self.say(
            f"all {len(expected):,} payments that the application wrote on both sides are in the source as they were "
            f"acknowledged, {deleted:,} of them deleted: none lost, none doubled"
        )

    def _compare_whole(self) -> None:
        """Wait until whole tables agree, and show them. Nobody may write meanwhile."""
        deadline = time.monotonic() + LATE_SECONDS
        with self._sides() as (source, target):
            found = _digests(source, target, self.deployment.schemas)
            while any(one != other for _, one, other in found) and time.monotonic() < deadline:
                time.sleep(ROUND_SECONDS / 4)
                found = _digests(source, target, self.deployment.schemas)
        _show(self.console, found)
        if differing := [table for table, one, other in found if one != other]:
            raise DeployError(f"not the same on both sides: {name_list(differing)}")
        total = sum(one.rows for _, one, _ in found)
        self.say(f"{counted_noun(len(found), 'table')}, {total:,} rows: equal counts and digests on both sides")

    @contextmanager
    def _sides(self) -> Iterator[tuple[Database, Database]]:
        """Sessions of the superuser of the source and of the master user of the target."""
        given = conninfo_to_dict(self.target_url)
        here = Login("localhost", self.source.server.port, self.source.database_name, self.source.username,
                     self.source.password, "require")  # fmt: skip
        there = Login(str(given["host"]), int(str(given["port"])), str(given["dbname"]), str(given["user"]),
                      str(given["password"]), str(given["sslmode"]), str(given["sslrootcert"]))  # fmt: skip
        with Database("source", lambda: here) as source, Database("target", lambda: there) as target:
            yield source, target


def _count(url: str) -> int:
    with psycopg.connect(url) as session:
        row = session.execute("SELECT count(*) FROM payments.payments").fetchone()
    return int(row[0]) if row else 0


Digests = Sequence[tuple[str, rows.Digest, rows.Digest]]


def _digests(source: Database, target: Database, schemas: Sequence[str]) -> Digests:
    here, there = ({str(table): table for table in definitions.tables(side, schemas)} for side in (source, target))
    for side in (source, target):
        rows.prepare(side)
    pairs = [(here[name], there[name]) for name in sorted(here.keys() & there.keys())]
    return [
        (str(each.table), rows.digest(source, each), rows.digest(target, each))
        for each in rows.readable(source, target, pairs, {})
    ]


def _show(console: Console, found: Digests) -> None:
    table = Table(
        Column("table", overflow="fold"), "rows", "digest in the source", "digest in the target", title="Both sides"
    )
    for name, one, other in found:
        shown = f"{one.rows:,}" if one.rows == other.rows else f"{one.rows:,} / {other.rows:,}"
        table.add_row(name, shown, str(one), str(other) if one == other else f"{other} DIFFERS")
    console.print(table)
