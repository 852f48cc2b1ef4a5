"""A process that forks the processes of Lambda functions: each begins with boto3 imported, and is then on its own.

It is run by the Python of functions (lambda_.py), as a program and not as a module of this package, of which functions
know nothing. workers.py starts it, sends the orders, and says which functions need a Python of their own.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    del sys.path[0]  # the modules beside this one are no function's

import contextlib
import gc
import io
import json
import os
import select
import signal
import socket
import time
from types import ModuleType
from typing import Any

STREAMS = 3
NUMBER_BYTES = 4


class Missing:
    """A finder that finds nothing, and remembers what nobody has found."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        """Remember a module's first name."""
        self.names.add(name.partition(".")[0])


def send(connection: socket.socket, message: Any, descriptors: list[int]) -> None:
    """Send a JSON value with descriptors."""
    text = json.dumps(message).encode()
    socket.send_fds(connection, [len(text).to_bytes(NUMBER_BYTES, "big")], descriptors)
    connection.sendall(text)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Return a JSON value and the descriptors that came with it. Raises EOFError where no more can come."""
    head, descriptors, _, _ = socket.recv_fds(connection, NUMBER_BYTES, STREAMS)
    text, left = b"", int.from_bytes(head, "big")
    while left:
        block = connection.recv(left)
        if not block:
            break
        text, left = text + block, left - len(block)
    if left or not head:
        raise EOFError
    return json.loads(text), list(descriptors)


def serve(orders: socket.socket) -> tuple[Any, list[int]]:
    """Fork for each order, and answer with the number of the process and a descriptor of it.

    Return in the forked process, with its order. Where no more orders can come, kill all that is left and end.
    """
    running: dict[int, int] = {}
    waiting = select.poll()
    waiting.register(orders, select.POLLIN)

    def bury(descriptor: int) -> None:
        waiting.unregister(descriptor)
        os.waitpid(running.pop(descriptor), 0)
        os.close(descriptor)

    while True:
        ready = {descriptor for descriptor, _ in waiting.poll()}
        for each in ready & set(running):
            bury(each)
        if orders.fileno() not in ready:
            continue
        try:
            order, streams = receive(orders)
        except (ConnectionError, EOFError):
            for descriptor in list(running):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                bury(descriptor)
            sys.exit()
        number = os.fork()
        if not number:
            orders.close()
            for each in running:
                os.close(each)
            return order, streams
        for each in streams:
            os.close(each)
        descriptor = os.pidfd_open(number)
        running[descriptor] = number
        waiting.register(descriptor, select.POLLIN)
        with contextlib.suppress(ConnectionError):  # whoever ordered has ended, which the next look finds
            send(orders, number, [descriptor])


def become(script: str, directory: str, variables: dict[str, str], streams: list[int]) -> None:
    """Be as a Python that has just started a script, with its own streams and variables."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(directory)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    own = {name: os.environ[name] for name in ("PYTHONPATH", "LC_CTYPE") if name in os.environ}  # Python sets LC_CTYPE
    os.environ.clear()
    os.environ.update(variables | own | ({"PWD": directory} if "PWD" in variables else {}))
    time.tzset()
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = _stream(number, getattr(sys, name))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv[:] = [script]
    sys.orig_argv[2:] = [script]
    sys.path.insert(0, os.path.dirname(script))


def _stream(number: int, like: Any) -> Any:
    """Return a stream as Python opens it when it starts: with PYTHONUNBUFFERED what is written goes out at once."""
    mode = "rb" if like.mode == "r" else "wb"
    binary = open(number, mode, 0 if like.write_through and mode == "wb" else -1, closefd=False)  # noqa: SIM115 to stay
    raw: Any = getattr(binary, "raw", binary)
    raw.name = like.name
    buffering = {"line_buffering": like.line_buffering, "write_through": like.write_through}
    stream: Any = io.TextIOWrapper(binary, like.encoding, like.errors, **buffering)
    stream.mode = like.mode
    return stream


def run(script: str) -> None:
    """Run a script as Python runs it."""
    main = ModuleType("__main__")
    main.__file__ = script
    sys.modules["__main__"] = main
    with open(script, encoding="utf-8") as file:
        code = compile(file.read(), script, "exec")
    exec(code, vars(main))  # noqa: S102 the function's own process


def main() -> None:
    """Import modules, say which they are and which were looked for in vain, serve, and run the script of an order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches us, too: the server ends us
    missing: Any = Missing()
    sys.meta_path.append(missing)
    for name in sys.argv[2:]:
        __import__(name)
    sys.meta_path.remove(missing)
    gc.freeze()  # a child that collects garbage would copy every page
    orders = socket.socket(fileno=int(sys.argv[1]))
    specs = {name: getattr(module, "__spec__", None) for name, module in sys.modules.items() if name != "__main__"}
    # Without a file it is built in, which is found before any path is searched, or made by another one.
    files = {name: spec.origin for name, spec in specs.items() if spec and spec.has_location}
    send(orders, [files, sorted(missing.names - set(sys.modules))], [])
    (script, directory, variables), streams = serve(orders)
    become(script, directory, variables, streams)
    run(sys.argv[0])


if __name__ == "__main__":
    main()
