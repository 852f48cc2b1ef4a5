"""The wire between the function and its two servers: every unit that the function sends stops here first.

A unit is the smallest thing that a server can act on: an HTTP request, a TLS record, or PostgreSQL's request for TLS.
Units are found in the bytes themselves, so that whatever the function comes to send is seen without being named, and
the count does not depend on how the kernel happens to cut the stream.

Invocations are told apart without help: only one of them runs at a time, the others wait for a unit to be passed on,
so that a new connection belongs to the one that runs.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field

from .function import Invocation

_PATIENCE_SECONDS = 30.0
_ANSWER_SECONDS = 0.05
_SSL_REQUEST_BYTES = 8
_TLS_RECORD_TYPES = range(20, 24)


@dataclass(eq=False)
class Link:
    """One connection of an invocation, and what it sent that has not been passed on."""

    owner: Invocation
    function: socket.socket
    server: socket.socket
    is_http: bool
    buffer: bytearray = field(default_factory=bytearray)
    units: deque[bytes] = field(default_factory=deque)
    hung_up: bool = False
    seen_ssl_request: bool = False

    def split(self) -> None:
        """Move complete units out of the buffer."""
        while length := self._http_length() if self.is_http else self._postgres_length():
            self.units.append(bytes(self.buffer[:length]))
            del self.buffer[:length]

    def _postgres_length(self) -> int:
        if not self.seen_ssl_request:
            self.seen_ssl_request = len(self.buffer) >= _SSL_REQUEST_BYTES
            return _SSL_REQUEST_BYTES if self.seen_ssl_request else 0
        if self.buffer and self.buffer[0] not in _TLS_RECORD_TYPES:
            return len(self.buffer)  # Not TLS: pass it on, so that the server can complain.
        length = 5 + int.from_bytes(self.buffer[3:5], "big")
        return length if len(self.buffer) >= max(length, 5) else 0

    def _http_length(self) -> int:
        head, separator, _ = bytes(self.buffer).partition(b"\r\n\r\n")
        if not separator:
            return 0
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = len(head) + len(separator) + int(lengths[0] if lengths else 0)
        return length if len(self.buffer) >= length else 0


class Wire:
    """Listens in place of PostgreSQL and of Secrets Manager."""

    def __init__(self, postgres_port: int, secrets_manager_port: int) -> None:
        self._selector = selectors.DefaultSelector()
        self._targets = {False: postgres_port, True: secrets_manager_port}
        self._listeners = {is_http: self._listen(is_http) for is_http in self._targets}
        self._links: list[Link] = []
        self._running: Invocation | None = None

    @property
    def postgres_port(self) -> int:
        return int(self._listeners[False].getsockname()[1])

    @property
    def secrets_manager_url(self) -> str:
        return f"http://127.0.0.1:{self._listeners[True].getsockname()[1]}"

    def aim(self, postgres_port: int) -> None:
        """Send new connections to another PostgreSQL."""
        self._targets[False] = postgres_port

    def next_unit(self, invocation: Invocation) -> Link | None:
        """Let the invocation run until it has sent a unit; None when it has ended instead."""
        self._running = invocation
        invocation.resume()
        self._watch(invocation.reply, invocation)
        patience = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < patience:
            mine = [link for link in self._links if link.owner is invocation]
            if ready := next((link for link in mine if link.units), None):
                return ready
            if invocation.ended and all(link.hung_up for link in mine):
                self._forget(invocation)
                return None
            self._pump(0 if invocation.ended else 1)
        raise AssertionError("the invocation neither sent anything nor ended")

    def pause(self, invocation: Invocation) -> None:
        """Stop the process where it is, so that another can run without being mistaken for it.

        That its unit waits here is not enough: it may have sent one that needs no answer, and gone on.
        """
        invocation.suspend()
        self._pump(0)

    def pass_on(self, link: Link) -> None:
        """Let the oldest unit reach the server."""
        unit = link.units.popleft()
        try:
            link.server.sendall(unit)
        except OSError:
            link.units.clear()
        if link.hung_up and not link.units:
            self._close(link)

    def run(self, invocation: Invocation) -> int:
        """Pass everything on until the invocation ends; returns how many units it sent."""
        sent = 0
        while link := self.next_unit(invocation):
            self.pass_on(link)
            sent += 1
        return sent

    def hang_up(self, invocation: Invocation) -> None:
        """Close the invocation's connections and let it live; it may open others."""
        for link in [link for link in self._links if link.owner is invocation]:
            self._close(link)

    def cut(self, invocation: Invocation) -> None:
        """Kill the invocation; nothing that it has not passed on ever arrives."""
        invocation.kill()
        self._forget(invocation)
        invocation.reply.close()

    def cut_after(self, invocation: Invocation, link: Link) -> None:
        """Let the unit arrive and take effect, and kill the invocation before it hears of that."""
        self._unwatch(link.function)
        self.pass_on(link)
        if link in self._links:
            link.server.settimeout(_ANSWER_SECONDS)
            with suppress(OSError):
                link.server.recv(1, socket.MSG_PEEK)
        self.cut(invocation)

    def cut_holding(self, invocation: Invocation, link: Link) -> tuple[socket.socket, bytes]:
        """Kill the invocation; the unit stays in the network, on a connection that the server still believes in."""
        self._unwatch(link.server)
        self._links.remove(link)
        self._unwatch(link.function)
        link.function.close()
        self.cut(invocation)
        return link.server, link.units[0]

    def _pump(self, seconds: float) -> None:
        """Handle what is ready."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, bool):
                self._accept(key.data)
            elif isinstance(key.data, Invocation):
                self._read_reply(key.data)
            elif key.fileobj is key.data.function:
                self._from_function(key.data)
            else:
                self._from_server(key.data)

    def _accept(self, is_http: bool) -> None:
        function, _ = self._listeners[is_http].accept()
        server = socket.create_connection(("127.0.0.1", self._targets[is_http]))
        for end in (function, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert self._running is not None
        link = Link(self._running, function, server, is_http)
        self._links.append(link)
        self._watch(function, link)
        self._watch(server, link)

    def _from_function(self, link: Link) -> None:
        data = _receive(link.function)
        link.buffer += data
        link.split()
        if not data:
            link.hung_up = True
            self._unwatch(link.function)
            if not link.units:
                self._close(link)

    def _from_server(self, link: Link) -> None:
        data = _receive(link.server)
        try:
            link.function.sendall(data)
            if not data:
                link.function.shutdown(socket.SHUT_WR)
        except OSError:
            data = b""
        if not data:
            self._unwatch(link.server)

    def _read_reply(self, invocation: Invocation) -> None:
        data = _receive(invocation.reply)
        invocation.received += data
        if not data:
            invocation.ended = True
            self._unwatch(invocation.reply)

    def _forget(self, invocation: Invocation) -> None:
        self._unwatch(invocation.reply)
        for link in [link for link in self._links if link.owner is invocation]:
            self._close(link)

    def _close(self, link: Link) -> None:
        self._links.remove(link)
        for end in (link.function, link.server):
            self._unwatch(end)
            end.close()

    def _listen(self, is_http: bool) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(listener, selectors.EVENT_READ, is_http)
        return listener

    def _watch(self, end: socket.socket, data: object) -> None:
        with suppress(KeyError):  # Watched already.
            self._selector.register(end, selectors.EVENT_READ, data)

    def _unwatch(self, end: socket.socket) -> None:
        with suppress(KeyError, ValueError):  # Not watched any more, closed or not.
            self._selector.unregister(end)

    def close(self) -> None:
        for link in list(self._links):
            self._close(link)
        for listener in self._listeners.values():
            listener.close()
        self._selector.close()


def _receive(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""
