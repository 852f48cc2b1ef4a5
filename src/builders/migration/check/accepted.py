"""The findings that somebody has accepted by name: in the target, and in a file where it does not stand yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from builders import files
from builders.errors import UsageError
from builders.migration.databases import Database
from builders.migration.journal import SCHEMA

TABLE = f"{SCHEMA}.accepted"
_CREATE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"""CREATE TABLE IF NOT EXISTS {TABLE} (
      finding text PRIMARY KEY,
      at timestamptz NOT NULL DEFAULT clock_timestamp(),
      caller text NOT NULL)""",
)


@dataclass(frozen=True)
class Acceptance:
    """The name of a finding, ID:OBJECT, and who accepted it when."""

    finding: str
    at: str
    caller: str


def in_target(target: Database) -> list[Acceptance]:
    """Read those that the target keeps."""
    if not target.value("SELECT to_regclass(%s) IS NOT NULL", (TABLE,)):
        return []
    return [Acceptance(*row) for row in target.run(f"SELECT finding, at::text, caller FROM {TABLE} ORDER BY finding")]


def in_file(path: Path) -> list[Acceptance]:
    """Read those of a file; none where it is not there yet. Raises `UsageError`."""
    try:
        return [Acceptance(**each) for each in json.loads(files.read_text(path))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UsageError(f"{path} {files.unreadable(error)}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UsageError(f"{path} is not a list of accepted findings as --accept writes it: {error}") from None


def accept_in_target(target: Database, names: Iterable[str], caller: str) -> None:
    """Keep acceptances in the target; one that stands already stays as it is."""
    with target.transaction():
        for statement in _CREATE:
            target.run(statement)
        for name in names:
            target.run(f"INSERT INTO {TABLE} (finding, caller) VALUES (%s, %s) ON CONFLICT DO NOTHING", (name, caller))


def accept_in_file(path: Path, names: Sequence[str], caller: str) -> None:
    """Add acceptances to a file."""
    standing = in_file(path)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    added = [Acceptance(name, now, caller) for name in names if name not in {each.finding for each in standing}]
    content = json.dumps([asdict(each) for each in (*standing, *added)], indent=1, ensure_ascii=False)
    files.replace(path, f"{content}\n".encode())
