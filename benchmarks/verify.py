"""Measures `migrate-database verify`: python benchmarks/verify.py [ROWS]. Prints a Markdown table.

Two servers hold the same two tables, one with a number as its key and one with a text. The yardstick is what it costs
the slower server to read and hash the tables once: one statement a table, which counts and sums the hashes of all rows.
Both servers share the processors of this machine, with each other and with whatever else runs, which they would not do
in a migration. So the cost is the processor time of each server's processes, which does not depend on who else runs:
the ratio is that of the slower server in verify to the slower one in the yardstick, in the same run. Seconds are shown
beside it; there the yardstick is both servers reading at the same time, as verify has them do it. The first run of each
is not counted, so that all is in memory. A last row is a comparison in which one row of a thousand differs.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / each) for each in ("src", "tests", "lambda/shared")]

from migration.conftest import Pair, two_servers  # noqa: E402

from builders.cloud.rds import postgres  # noqa: E402
from builders.migration import definitions  # noqa: E402
from builders.migration.changes import Changes  # noqa: E402
from builders.migration.databases import Database  # noqa: E402
from builders.migration.rows import digest, prepare, readable  # noqa: E402
from builders.migration.verify.running import VerifyOptions, verify  # noqa: E402

ROWS, ROUNDS, MOST = 1_000_000, 3, 1.5
_COLUMNS = "a integer, b varchar(40), c numeric(12, 2), d timestamptz, e text, f boolean, g uuid"
_VALUES = "n * 2, 'value ' || n, n / 7.0, timestamptz '2026-01-01' + n * interval '1 s', 'text ' || n, n % 2 = 0, " \
          "md5(n::text)::uuid"  # fmt: skip
_TABLES = (
    "CREATE SCHEMA payments",
    f"CREATE TABLE payments.numbered (id bigint PRIMARY KEY, {_COLUMNS})",
    f"CREATE TABLE payments.named (name text PRIMARY KEY, {_COLUMNS})",
)


def main(rows: int) -> None:
    """Measure, and print the table. Exits with 1 where verify costs more than it may."""
    with ExitStack() as stack:
        pair, source, target = _sides(stack, rows)
        taken: dict[str, list[Taken]] = {"read": [], "verify": []}
        for number in range(ROUNDS + 1):
            read = _measured(pair, lambda: _side_by_side(source, target))
            compared = _measured(pair, lambda: _verify(source, target))
            if number:
                taken["read"].append(read)
                taken["verify"].append(compared)
        target.run("UPDATE payments.numbered SET e = 'other' WHERE id % 1000 = 0")
        differing = _measured(pair, lambda: _verify(source, target, expected=rows // 1000))
    once, whole = (Taken(*map(min, zip(*taken[name], strict=True))) for name in ("read", "verify"))
    title = f"{2 * rows:,} rows in 2 tables, best of {ROUNDS}"
    print(f"| {title:62} | processor seconds of the slower server | ratio | seconds | ratio |\n|---|---|---|---|---|")
    for name, each in (
        ("both servers read and hash them once", once),
        ("verify", whole),
        (f"verify with {rows // 1000:,} rows that differ, all over a table", differing),
    ):
        print(f"| {name:62} | {each.processor:.2f} | {each.processor / once.processor:.2f} | {each.seconds:.2f} | "
              f"{each.seconds / once.seconds:.2f} |")  # fmt: skip
    print(f"load average of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    if (ratio := whole.processor / once.processor) > MOST:
        sys.exit(f"verify costs {ratio:.2f} times what reading and hashing once does; {MOST} is allowed")


class Taken(NamedTuple):
    """Cost of a measurement: processor seconds of the slower server, and seconds."""

    processor: float
    seconds: float


def _measured(pair: Pair, do: Callable[[], None]) -> Taken:
    servers = pair.source_server, pair.target_server
    before, begun = [_processor_seconds(server) for server in servers], time.perf_counter()
    do()
    seconds = time.perf_counter() - begun
    after = [_processor_seconds(server) for server in servers]
    return Taken(max(now - then for now, then in zip(after, before, strict=True)), seconds)


def _processor_seconds(server: postgres.Server) -> float:
    """The processor time of a server's processes, of those that have ended too."""
    ticks = os.sysconf("SC_CLK_TCK")
    main = int((server.directory / "data" / "postmaster.pid").read_text().splitlines()[0])
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = status.read_text().rpartition(")")[2].split()
            if int(fields[1]) == main or int(status.parent.name) == main:
                # utime, stime; of the main process also those of its children that have ended
                total += sum(map(int, fields[11 : 15 if int(status.parent.name) == main else 13]))
    return total / ticks


def _sides(stack: ExitStack, rows: int) -> tuple[Pair, Database, Database]:
    """Two servers with the same rows, and a session of each."""
    one, other = stack.enter_context(two_servers())
    one.administer("CREATE DATABASE verified OWNER app")
    other.administer("CREATE DATABASE verified OWNER ferry_owner")
    pair = Pair("verified", one, other)
    filled = [
        *_TABLES,
        f"INSERT INTO payments.numbered SELECT n, {_VALUES} FROM generate_series(1, {rows}) n",
        f"INSERT INTO payments.named SELECT md5(n::text), {_VALUES} FROM generate_series(1, {rows}) n",
    ]
    with pair.application() as session:
        for statement in filled:
            session.execute(statement.encode())
    source, target = (stack.enter_context(pair.database(side)) for side in ("source", "target"))
    for statement in filled:
        target.run(statement)
    pair.administer("source", "GRANT USAGE ON SCHEMA payments TO ferry_source",
                    "GRANT SELECT ON ALL TABLES IN SCHEMA payments TO ferry_source")  # fmt: skip
    for side in ("source", "target"):
        pair.administer(side, "VACUUM ANALYZE payments.numbered", "VACUUM ANALYZE payments.named", "CHECKPOINT")
    stack.callback(lambda: Changes(source, target, ["payments"]).drop())
    return pair, source, target


def _read(side: Database) -> None:
    """Have one server read and hash all tables, one statement a table."""
    with side.another() as session:
        prepare(session)
        tables = definitions.tables(session, ["payments"])
        for rows in readable(session, session, [(table, table) for table in tables], {}):
            digest(session, rows)


def _side_by_side(source: Database, target: Database) -> None:
    threads = [threading.Thread(target=_read, args=(side,)) for side in (source, target)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _verify(source: Database, target: Database, expected: int = 0) -> None:
    report = verify(source, target, ["payments"], options=VerifyOptions(jobs=2, patience=0))
    assert sum(len(table.differing) for table in report.tables) == expected


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
