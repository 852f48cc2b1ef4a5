"""Servers that are not what they should be, each on a port of its own of 127.0.0.1."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Behaviour = Callable[[socket.socket], None]


@contextlib.contextmanager
def serving(behave: Behaviour) -> Iterator[int]:
    """Let `behave` have each connection, in turn; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    behave(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def say_nothing(connection: socket.socket) -> None:
    """Take everything and answer nothing, until the other end hangs up."""
    while connection.recv(1024):
        pass


def answering(answer: bytes) -> Behaviour:
    """Give one answer to whatever comes, then nothing more."""

    def behave(connection: socket.socket) -> None:
        connection.recv(1024)
        connection.sendall(answer)
        if answer:
            say_nothing(connection)

    return behave


def tls(certificate: Path, key: Path, *, as_postgres: bool) -> Behaviour:
    """Shake hands over TLS, after an SSLRequest when as PostgreSQL, then say nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def behave(connection: socket.socket) -> None:
        if as_postgres:
            connection.recv(8)
            connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as encrypted:
            say_nothing(encrypted)

    return behave


@contextlib.contextmanager
def losing_packets() -> Iterator[int]:
    """A port whose queue is full and never emptied: the system drops whoever else calls."""
    with contextlib.ExitStack() as open_sockets:
        listener = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        with contextlib.suppress(TimeoutError):
            while True:
                open_sockets.enter_context(socket.create_connection(address, timeout=0.2))
        yield address[1]
