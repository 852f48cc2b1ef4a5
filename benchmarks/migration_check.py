"""Measures `migrate-database check` on 2,000 tables: python benchmarks/migration_check.py. Prints one line.

The schema has eight columns a table, with a key, a unique index, an identity and two large values; the same database is
dumped by `pg_dump --schema-only` in the same run. The figures are of this machine, at the time, with whatever else runs
on it: the ratio to pg_dump says more than the seconds.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src")]

from builders.cloud.rds import postgres  # noqa: E402
from builders.cloud.rds.on_premises import certificates  # noqa: E402
from builders.migration.check.report import CheckOptions, check  # noqa: E402
from builders.migration.databases import Database, Login  # noqa: E402

TABLES, AT_ONCE = 2_000, 100
PASSWORD = "of-the-benchmark"
_TABLE = (
    "CREATE TABLE s.t%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int, b text NOT NULL, c jsonb, "
    "d numeric(10, 2), e timestamptz, f varchar(20) UNIQUE, g int REFERENCES s.referred)"
)


def main() -> None:
    """Measure, and print."""
    with _server() as server:
        server.administer("CREATE SCHEMA s; CREATE TABLE s.referred (id int PRIMARY KEY)", database="many")
        for first in range(1, TABLES + 1, AT_ONCE):
            loop = f"FOR n IN {first}..{first + AT_ONCE - 1} LOOP EXECUTE format('{_TABLE}', n); END LOOP;"
            server.administer(f"DO $$ BEGIN {loop} END $$", database="many")
        granted = "GRANT USAGE ON SCHEMA s TO reader; GRANT SELECT ON ALL TABLES IN SCHEMA s TO reader"
        server.administer(f"ANALYZE; {granted}", database="many")
        login = Login(
            "localhost", server.port, "many", "reader", PASSWORD, "require", address=("127.0.0.1", server.port)
        )
        with Database("source", lambda: login) as source:
            variables = os.environ | source.environment()
            began = time.perf_counter()
            report = check(source, None, CheckOptions(schemas=["s"], watch_seconds=0))
            checked = time.perf_counter() - began
        began = time.perf_counter()
        dump = [str(server.installation.bin / "pg_dump"), "--schema-only", "--schema=s"]
        subprocess.run(dump, env=variables, check=True, stdout=subprocess.DEVNULL)
        dumped = time.perf_counter() - began
    print(
        f"{TABLES:,} tables, {len(report.findings):,} findings: {checked:.1f} s, {checked / dumped:.2f} of what "
        f"pg_dump --schema-only takes ({dumped:.1f} s)"
    )


@contextlib.contextmanager
def _server() -> Iterator[postgres.Server]:
    with tempfile.TemporaryDirectory(prefix="stackferry-") as directory:
        Path(directory).chmod(0o711)  # PostgreSQL runs as another user when we are root
        settings = {"wal_level": "logical", "max_locks_per_transaction": "1000"}
        server = postgres.Server(postgres.choose(), Path(directory, "source"), certificates("localhost")[1],
                                 settings=settings)  # fmt: skip
        try:
            server.initialise()
            server.start()
            server.administer(f"CREATE ROLE reader LOGIN REPLICATION PASSWORD '{PASSWORD}'", "CREATE DATABASE many")
            yield server
        finally:
            server.remove()


if __name__ == "__main__":
    main()
