"""Tells whose a connection is: the user of this machine who opened its other end, as the Linux kernel knows it.

Source: sock_diag(7), "IPv4 and IPv6 sockets". It lists what /proc/net/tcp lists, and answers for one connection in some
ten microseconds, where that file is written out as a whole. A socket that its owner has closed is root's there and has
no inode: who does not wait for an answer gets none.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from typing import Any

Address = tuple[str, int]

_ROOT = 0
_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1
"""NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY and NLM_F_REQUEST of Linux's headers."""
_HEADER = struct.Struct("=IHHII")
"""A nlmsghdr: length, type, flags, sequence number, process."""
_QUESTION = struct.Struct("=BBBxI2s2s16s16sI8s")
"""An inet_diag_req_v2: family, protocol, extensions, states, and the socket: ports, addresses, interface, cookie."""
_ANSWER = struct.Struct("=4B48x5I")
"""An inet_diag_msg: family, state, timer, retransmissions, the socket, expiry, queues, owner, inode."""


class Listener(socket.socket):
    """A listening socket on an address of this machine. `strangers` are the far ends that other users have opened.

    Root is nobody's stranger. Where the system does not tell, which is so on others than Linux, nobody is.
    Raises `OSError` or `OverflowError` where the port (0: a free one) cannot be used.
    """

    def __init__(self, host: str, port: int) -> None:
        # asyncio sets TCP_NODELAY on sockets of this protocol alone; without it every answer waits 40 ms for an ACK.
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self.strangers: set[Address] = set()
        self._kernel: socket.socket | None = None
        self._asked = 0
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind((host, port))
            self.listen(100)
        except BaseException:
            self.close()
            raise
        self._address: Address = self.getsockname()
        self._ask_the_kernel()

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and remember its far end where it is a stranger's."""
        connection, far_end = super().accept()
        # No two connections have the same far end at one time, so that the last one that was accepted counts.
        if self._kernel is None or self._owner(far_end) in (_ROOT, os.geteuid()):
            self.strangers.discard(far_end)
        else:
            self.strangers.add(far_end)
        return connection, far_end

    def close(self) -> None:
        """Close the socket, and the one to the kernel."""
        if self._kernel is not None:
            self._kernel.close()
        super().close()

    def _ask_the_kernel(self) -> None:
        """Open the way to the kernel, and keep it where it tells that a connection of our own is ours."""
        if sys.platform != "linux":
            return
        with contextlib.suppress(OSError), contextlib.ExitStack() as closing:
            kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
            closing.callback(kernel.close)
            kernel.settimeout(1)
            self._kernel = kernel
            with socket.create_connection(self._address):
                connection, far_end = super().accept()
                connection.close()
                if self._owner(far_end) == os.geteuid():
                    closing.pop_all()
                    return
        self._kernel = None

    def _owner(self, far_end: Address) -> int | None:
        """Return the user id of a far end's owner; None where it has none any more."""
        assert self._kernel is not None
        ends = [
            (struct.pack("!H", port), socket.inet_aton(host).ljust(16, b"\0"))
            for host, port in (far_end, self._address)
        ]
        (port, host), (our_port, our_host) = ends
        any_state, no_cookie = 0xFFFFFFFF, b"\xff" * 8
        question = _QUESTION.pack(
            socket.AF_INET, socket.IPPROTO_TCP, 0, any_state, port, our_port, host, our_host, 0, no_cookie
        )
        self._asked += 1
        self._kernel.send(_HEADER.pack(_HEADER.size + len(question), _BY_FAMILY, _REQUEST, self._asked, 0) + question)
        answer = self._kernel.recv(4096)
        _, kind, _, number, _ = _HEADER.unpack_from(answer)
        if kind != _BY_FAMILY or number != self._asked:
            return None
        *_, owner, inode = _ANSWER.unpack_from(answer, _HEADER.size)
        return int(owner) if inode else None
