"""Servers that misbehave: they record what they are told, and stop answering where a test wants them to."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Behaviour = Callable[[socket.socket, bytearray], None]


@contextmanager
def listening(behave: Behaviour) -> Iterator[tuple[int, bytearray]]:
    """A server on 127.0.0.1 that treats each connection so; yields its port and the bytes it was told in clear."""
    heard = bytearray()
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection, heard)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1]), heard
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def record(connection: socket.socket, heard: bytearray) -> None:
    """Hear everything until the other side hangs up."""
    while data := connection.recv(65536):
        heard += data


def silent(connection: socket.socket, heard: bytearray) -> None:
    """Accept, and say nothing."""
    record(connection, heard)


def without_tls(connection: socket.socket, heard: bytearray) -> None:
    """Do as PostgreSQL without TLS does: say N, and wait for the login in clear."""
    heard += connection.recv(8)
    connection.sendall(b"N")
    record(connection, heard)


def stalling_after_ssl_request(connection: socket.socket, heard: bytearray) -> None:
    heard += connection.recv(8)
    connection.sendall(b"S")
    record(connection, heard)


def with_certificate(certificate: Path, key: Path, then: Behaviour = record) -> Behaviour:
    """TLS with this certificate; `then` gets the decrypted connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def behave(connection: socket.socket, heard: bytearray) -> None:
        connection.recv(8)
        connection.sendall(b"S")
        with context.wrap_socket(connection, server_side=True) as encrypted:
            then(encrypted, heard)

    return behave


def answering(message: bytes) -> Behaviour:
    """Answer the startup packet with this, and hear what comes."""

    def behave(connection: socket.socket, heard: bytearray) -> None:
        heard += connection.recv(65536)
        connection.sendall(message)
        record(connection, heard)

    return behave


def trickling(connection: socket.socket, heard: bytearray) -> None:
    """Send a byte of an endless message now and then, so that no single read ever times out."""
    heard += connection.recv(65536)
    connection.sendall(b"S\x00\x10\x00\x00")
    while True:
        connection.sendall(b"x")
        threading.Event().wait(0.1)


def error_message(sqlstate: str) -> bytes:
    """A FATAL ErrorResponse (PostgreSQL, "Message Formats")."""
    body = b"".join(
        kind + text + b"\0" for kind, text in ((b"S", b"FATAL"), (b"C", sqlstate.encode()), (b"M", b"invented"))
    )
    return b"E" + (len(body) + 5).to_bytes(4, "big") + body + b"\0"


@contextmanager
def dms_with_task(status: str | None) -> Iterator[str]:
    """The part of the DMS API that the guard asks: one task in this status, or none; yields its URL."""

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            code, answer = 200, {"ReplicationTasks": [{"Status": status}]}
            if status is None:
                code, answer = 400, {"__type": "ResourceNotFoundFault", "message": "no such task"}  # type: ignore[dict-item]
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
