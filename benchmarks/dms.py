"""Measures the embedded DMS: python benchmarks/dms.py. Prints a Markdown table.

100,000 rows of 20 columns are loaded, beside the same rows copied by psql from one server to the other; then a writer
commits a steady number of changes a second for ten seconds, and the lag is looked at all the while: the time from a
commit on the source until its row stands in the target. A last row counts how many changes a second are applied when
all of them wait already. The figures are of this machine, at the time, with whatever else runs on it: the ratio to psql
in the same run says more than the seconds. The throughput of DMS itself is another.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / each) for each in ("src", "tests", "lambda/shared")]

from cloud.conftest import Account, empty, postgres_with_its_secret  # noqa: E402
from cloud.dms_rig import Pair, settings, site, wait_for  # noqa: E402

from builders.cloud.process import running  # noqa: E402

ROWS, COLUMNS = 100_000, 20
CHANGES_A_SECOND, SECONDS, WAITING = 1_000, 10, 20_000
_TABLE = "CREATE TABLE payments.wide (id bigint PRIMARY KEY, {})".format(
    ", ".join(f"c{n} {('integer', 'varchar(40)', 'numeric(12,2)', 'timestamptz', 'text')[n % 5]}" for n in range(19))
)
_VALUES = ", ".join(
    ("n * {0}", "'value ' || n * {0}", "n / 7.0", "now()", "'text ' || n")[n % 5].format(n + 1) for n in range(19)
)
_EVENTS = "CREATE TABLE payments.events (id bigint PRIMARY KEY, at timestamptz, amount numeric(12, 2), note varchar(9))"


def main() -> None:
    """Measure, and print the table."""
    with ExitStack() as stack:
        cloud = stack.enter_context(running())
        account = Account(cloud, "510000000099")
        stack.callback(empty, account)
        pair = stack.enter_context(stack.enter_context(site(cloud, account, postgres_with_its_secret())).pair())
        pair.both(_TABLE, _EVENTS)
        pair.target(_TABLE.replace("payments.wide", "payments.copied"))
        pair.source(f"INSERT INTO payments.wide SELECT n, {_VALUES} FROM generate_series(1, {ROWS}) n", "ANALYZE")
        copied = _copied(pair)
        chosen = settings(ErrorBehavior={"FullLoadIgnoreConflicts": True})
        task = pair.task(chosen=chosen)
        started = time.perf_counter()
        task.load()
        loaded = time.perf_counter() - started
        wait_for(lambda: pair.rows("target", "SELECT count(*) FROM payments.wide") == [(ROWS,)])
        rate, lags = _steady(pair)
        drained = _drained(pair, task)
    lags.sort()
    print(f"| {'':58} | embedded DMS | beside it | ratio |\n|---|---|---|---|")
    print(f"| {f'{ROWS:,} rows of {COLUMNS} columns, seconds (psql to psql)':58} | {loaded:.1f} | {copied:.1f} | "
          f"{loaded / copied:.1f} |")  # fmt: skip
    print(f"| {f'changes a second, for {SECONDS} s (asked for)':58} | {rate:.0f} | {CHANGES_A_SECOND} | "
          f"{rate / CHANGES_A_SECOND:.2f} |")  # fmt: skip
    print(f"| {'lag meanwhile: median, 99 in 100, longest, ms':58} | {lags[len(lags) // 2] * 1000:.0f}, "
          f"{lags[len(lags) * 99 // 100] * 1000:.0f}, {lags[-1] * 1000:.0f} | - | - |")  # fmt: skip
    print(f"| {f'changes a second, {WAITING:,} of them waiting':58} | {drained:.0f} | - | - |")
    print(f"load average of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def _copied(pair: Pair) -> float:
    """Seconds that psql takes to copy the same rows by a pipe."""
    source, database = pair.site.source.server, pair.site.database
    psql = "psql -qX -U rdsadmin"
    command = (
        f"{psql} -h {source.directory} -p {source.port} {pair.name} -c 'COPY payments.wide TO STDOUT' | "
        f"{psql} -h {database.directory} -p {database.port} {pair.name} -c 'COPY payments.copied FROM STDIN'"
    )
    started = time.perf_counter()
    subprocess.run(command, shell=True, check=True)
    return time.perf_counter() - started


def _steady(pair: Pair) -> tuple[float, list[float]]:
    """Write changes at a steady rate; return the rate at which they were written, and the lags that were seen."""
    lags: list[float] = []
    written, over = itertools.count(1), threading.Event()
    started = time.perf_counter()

    def watch() -> None:
        with _session(pair.site.database, pair) as session:
            while not over.is_set():
                row = session.execute(
                    "SELECT extract(epoch FROM clock_timestamp() - max(at))::float8 FROM payments.events"
                ).fetchone()
                if row and row[0] is not None:
                    lags.append(row[0])
                time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    total = CHANGES_A_SECOND * SECONDS
    with _session(pair.site.source.server, pair) as session:
        for start in range(0, total, 50):
            time.sleep(max(0.0, started + start / CHANGES_A_SECOND - time.perf_counter()))
            with session.transaction(), session.pipeline():
                for _ in range(50):
                    session.execute("INSERT INTO payments.events VALUES (%s, clock_timestamp(), 12.5, 'a change')",
                                    (next(written),))  # fmt: skip
    seconds = time.perf_counter() - started
    over.set()
    watcher.join()
    wait_for(lambda: pair.rows("target", "SELECT count(*) FROM payments.events") == [(total,)])
    return total / seconds, lags or [0.0]


def _drained(pair: Pair, task: Any) -> float:
    """Changes a second that are applied when all of them wait."""
    task.stop()
    total = CHANGES_A_SECOND * SECONDS
    pair.source(f"INSERT INTO payments.events SELECT n, now(), 1, 'x' FROM generate_series({total + 1}, "
                f"{total + WAITING}) n")  # fmt: skip
    task.start("resume-processing")
    started = time.perf_counter()
    wait_for(lambda: pair.rows("target", "SELECT count(*) FROM payments.events") == [(total + WAITING,)], 120)
    return WAITING / (time.perf_counter() - started)


def _session(server: Any, pair: Pair) -> psycopg.Connection[Any]:
    return psycopg.connect(host=str(server.directory), port=server.port, user="rdsadmin", dbname=pair.name,
                           autocommit=True)  # fmt: skip


if __name__ == "__main__":
    main()
