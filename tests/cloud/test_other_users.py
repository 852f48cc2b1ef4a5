"""Another user of the machine gets nothing: not from the server, not from the databases, and not from their files."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
import socket
import ssl
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from warm import running

from builders.cloud.process import Cloud
from builders.cloud.rds import postgres
from builders.cloud.server import serve
from builders.cloud.server.callers import Listener
from builders.errors import CloudError

from .conftest import Account, Template
from .dms_rig import Site
from .test_vpc_names import ENDPOINT, endpoint

STRANGER = 65534
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root becomes another user")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a connection is")


def as_user(uid: int, action: Callable[[], str]) -> str:
    """The result of an action of another user, or the name and text of its error; it runs in a process of its own."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(pwd.getpwuid(uid).pw_gid)
            os.setuid(uid)
            told = action()
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        told = answer.read()
    os.waitpid(child, 0)
    return told


def request(cloud: Cloud, body: bytes = b"", host: str = "127.0.0.1", header: str = "") -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: {host}:{cloud.port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{header}\r\n".encode() + body


def role(name: str) -> bytes:
    return f"Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%7D".encode()


def roles(cloud: Cloud) -> str:
    return cloud.ask("/", b"Action=ListRoles&Version=2010-05-08").decode()


@as_root
@on_linux
@pytest.mark.parametrize("header", ["", "X-Forwarded-For: 127.0.0.2\r\n"], ids=["plain", "forwarded"])
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")], ids=["4", "6"]
)
def test_a_request_of_another_user_is_refused(cloud: Cloud, family: int, address: str, header: str) -> None:
    def attack() -> str:
        with socket.socket(family) as connection:
            connection.connect((address, cloud.port))
            names = ("stranger", "stranger-again")
            connection.sendall(b"".join(request(cloud, role(name), header=header) for name in names))
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    answer = as_user(STRANGER, attack)
    assert answer.startswith("HTTP/1.1 403 ")
    assert "another user of this machine" in answer
    assert "<RoleName>stranger" not in roles(cloud)


@as_root
@on_linux
def test_who_is_gone_before_he_is_asked_is_refused_too(cloud: Cloud) -> None:
    """The kernel gives a socket that its owner has closed to root."""

    def attack() -> str:
        with socket.create_connection(("127.0.0.1", cloud.port)) as connection:
            connection.sendall(request(cloud, role("gone")))
        return "sent"

    os.kill(cloud.pid, signal.SIGSTOP)
    try:
        assert as_user(STRANGER, attack) == "sent"
    finally:
        os.kill(cloud.pid, signal.SIGCONT)
    time.sleep(0.2)
    assert "<RoleName>gone" not in roles(cloud)


@as_root
@on_linux
def test_another_user_gets_nothing_from_an_interface_endpoint(account: Account, vpc: Template) -> None:
    """The server of their names hands on what it decrypts, from then on as our own."""
    account.deploy(endpoint(vpc))
    (file,) = (account.cloud.state_directory / "names" / account.number).glob("*.json")
    port = int(file.read_text().split('"443": ')[1].rstrip("}"))
    context = ssl.create_default_context(cafile=str(account.cloud.ca_file))

    def ask() -> str:
        plain = socket.create_connection(("127.0.0.1", port))
        with plain, context.wrap_socket(plain, server_hostname=ENDPOINT) as encrypted:
            encrypted.sendall(f"GET /_ministack/health HTTP/1.0\r\nHost: {ENDPOINT}\r\n\r\n".encode())
            return encrypted.recv(12).decode()

    assert (ask(), as_user(STRANGER, ask)) == ("HTTP/1.1 200", "")


@pytest.mark.parametrize("system", ["darwin", "linux"])
def test_where_the_system_does_not_tell_nobody_is_a_stranger(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("builders.cloud.server.callers._SOCK_DIAG", 31)  # a family that no kernel has
    with Listener("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        connection.close()
        assert listener.strangers == set()


def test_answers_do_not_wait_for_an_acknowledgement_of_the_part_before() -> None:
    async def delays() -> bool:
        with Listener("127.0.0.1", 0) as listener:
            accepted = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(lambda _, writer: accepted.set_result(writer), sock=listener)
            _, client = await asyncio.open_connection(*listener.getsockname())
            writer = await accepted
            found = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            client.close()
            writer.close()
            server.close()
            return not found

    assert not asyncio.run(delays())


def socket_of(site: Site, which: str) -> tuple[str, int]:
    """The directory with the socket of a server, and its port."""
    server = site.database if which == "rds" else site.source.server
    return str(server.directory), int(server.port)


@as_root
@pytest.mark.parametrize("which", ["rds", "on-premises"])
@pytest.mark.parametrize("name", ["rdsadmin", "postgres"])
def test_another_user_is_no_superuser_of_a_database(ground: Site, which: str, name: str) -> None:
    directory, port = socket_of(ground, which)

    def attack() -> str:
        with psycopg.connect(host=directory, port=port, user=name, dbname="postgres") as session:
            return str(session.execute("SELECT usesuper FROM pg_user WHERE usename = current_user").fetchall())

    assert "Permission denied" in as_user(STRANGER, attack)
    # Nor is he whose files they are: the user of PostgreSQL's own process reaches the socket, and is not let in.
    assert "FATAL" in as_user(Path(directory).stat().st_uid, attack)


@as_root
def test_another_user_reads_no_file_of_the_server_and_of_the_databases(ground: Site, cloud: Cloud) -> None:
    on_premises = ground.source.server.directory.parent
    found = [each for top in (cloud.state_directory, on_premises) for each in (top, *top.rglob("*"))]
    paths = [each for each in found if not each.is_symlink()]
    keys = [each for each in paths if each.name == "server.key"]
    assert len({each.parents[2] for each in keys}) > 1, "of both"

    def opened() -> str:
        return " ".join(str(each) for each in paths if os.access(each, os.R_OK))

    assert as_user(STRANGER, opened) == ""


@pytest.mark.parametrize("name", ["pg_hba.conf", "server.key", "../postgresql.log"])
def test_no_link_in_a_database_s_directory_is_followed(tmp_path: Path, name: str) -> None:
    """The directory is that of PostgreSQL's user, and root writes into it."""
    own, server_certificate = tmp_path / "own", postgres.Certificate("", "")
    own.write_text("of root")
    server = postgres.Server(postgres.choose(), tmp_path / "server", server_certificate)
    server.data.mkdir(parents=True)
    (server.data / name).symlink_to(own)
    with pytest.raises(OSError, match="symbolic link"):
        server.certify() if name == "server.key" else server.start()
    assert own.read_text() == "of root"


@pytest.mark.parametrize("which", ["rds", "on-premises"])
def test_a_database_and_its_socket_are_their_owners_alone(ground: Site, which: str) -> None:
    directory, port = socket_of(ground, which)
    paths = [Path(directory), Path(directory, f".s.PGSQL.{port}"), Path(directory, "data", "server.key")]
    assert [oct(stat.S_IMODE(each.lstat().st_mode)) for each in paths] == ["0o700", "0o700", "0o600"]


@pytest.fixture(scope="module")
def lax(tmp_path_factory: pytest.TempPathFactory) -> Cloud:
    """A server that has run on a directory, and with a umask, that let everybody in; files of another one lay there."""
    directory = tmp_path_factory.mktemp("lax") / "state"
    (directory / "state").mkdir(parents=True)
    (directory / "state" / "iam.json").write_text("{}")
    (directory / "ca.pem").write_text("")
    for each in (directory, *directory.rglob("*")):
        each.chmod(0o777)
    before = os.umask(0)
    try:
        with running(state_directory=directory, authorize=True) as cloud:
            return cloud
    finally:
        os.umask(before)


def test_a_directory_that_lets_others_in_is_closed(lax: Cloud) -> None:
    found = {
        each: oct(stat.S_IMODE(each.lstat().st_mode))
        for each in lax.state_directory.rglob("*")
        if not each.is_symlink() and each.lstat().st_mode & 0o077
    }
    passed = {lax.state_directory / "rds": "0o710"} if os.getuid() == 0 else {}
    assert found == passed
    assert stat.S_IMODE(lax.state_directory.stat().st_mode) == (0o710 if passed else 0o700)


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_an_empty_directory_that_lets_others_in_is_closed(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with serve.served_directory(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) & 0o067 == 0


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o1777])
def test_a_directory_of_other_things_that_lets_others_in_is_refused(tmp_path: Path, mode: int) -> None:
    """It is not closed: whoever names /tmp would close it for everybody."""
    (tmp_path / "of-somebody").touch(0o644)
    tmp_path.chmod(mode)
    with pytest.raises(CloudError, match="chmod 700"), serve.served_directory(tmp_path):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == mode


@as_root
def test_a_directory_with_a_link_of_another_user_is_refused(tmp_path: Path) -> None:
    """Files written behind it are written as ours."""
    (tmp_path / "ca.pem").touch()
    (tmp_path / "state").symlink_to("/etc")
    os.chown(tmp_path / "state", STRANGER, STRANGER, follow_symlinks=False)
    tmp_path.chmod(0o777)
    with pytest.raises(CloudError, match="of another user"), serve.served_directory(tmp_path):
        pass


@as_root
def test_a_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, STRANGER, STRANGER)
    sentence = rf"belongs to another user \(uid {STRANGER}\); choose one of your own"
    with pytest.raises(CloudError, match=sentence), serve.served_directory(tmp_path):
        pass
