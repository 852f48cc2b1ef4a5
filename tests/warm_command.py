"""A command for a shell without its start: `python warm_command.py MODULE ...` is run by the process of tests/warm.py,
`awscli` by that of tests/aws_cli.py.

It imports next to nothing: its own start is what is left of that of the command. An order is bytes: its length, a line
end, and parts between NULs, which no argument and no variable can hold.
"""

from __future__ import annotations

import os
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket as plain_socket

TYPE_CHECKING = False  # as typing has it, which takes a third of the start
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping, Sequence

ADDRESS = "WARM_PYTHON"
"""The variable that names the socket of the process that forks; workers of pytest-xdist find that of their parent."""

COLD = "COLD_PYTHON"
"""The variable with a part of the command that starts a Python of its own."""

AWS_CLI = "awscli"
OF_AWS_CLI = ("WARM_AWS_CLI", "COLD_AWS_CLI")
"""The variables that do the same for the AWS CLI."""

PROGRAMS = "WARM_PROGRAMS"
"""The variable that names the modules whose `python -m` goes without its start: see warm_cli/sitecustomize.py."""

KILLED = 137
"""The code of a command that ended without one."""


def order(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    directory: str | None = None,
    *,
    awaits_end: bool = True,
) -> bytes:
    """Return an order for a command; without more it is for the variables and in the directory of this process.

    Whoever awaits the end hears of it when nothing of the command is left.
    """
    variables = (os.environ if environment is None else environment).items()
    parts = [str(int(awaits_end)), directory or os.getcwd(), str(len(arguments)), *arguments]
    content = os.fsencode("\0".join([*parts, *(f"{name}={value}" for name, value in variables)]))
    return b"%d\n%b" % (len(content), content)


class Order:
    """An order that came over a connection; its streams are ours from then on."""

    def __init__(self, connection: socket.socket) -> None:
        import socket

        content, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 3)
        while b"\n" not in content:
            content += connection.recv(1 << 16)
        length, _, content = content.partition(b"\n")
        while len(content) < int(length):
            content += connection.recv(1 << 16)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        awaits_end, self.directory, count, *rest = os.fsdecode(content).split("\0")
        self.awaits_end = awaits_end == "1"
        self.arguments, variables = rest[: int(count)], rest[int(count) :]
        self.environment = {name: value for name, _, value in (each.partition("=") for each in variables)}


def answer(connection: socket.socket) -> None:
    """Tell the asker who carries its order out, and wait until it has heard."""
    with connection.makefile("rw") as stream:
        print(os.getpid(), file=stream, flush=True)
        stream.readline()


def ask(address: str, order: bytes, descriptors: Sequence[int]) -> int:
    """Have a command run with three descriptors as its streams; return its code when it is gone.

    Raises `OSError` where nobody takes the order.
    """
    connection = plain_socket(AF_UNIX, SOCK_STREAM)
    connection.connect(address)
    rights = b"".join(each.to_bytes(4, sys.byteorder) for each in descriptors)
    sent = connection.sendmsg([order], [(SOL_SOCKET, SCM_RIGHTS, rights)])
    connection.sendall(order[sent:])
    said = connection.recv(4096)  # its number
    if not said:
        raise ConnectionResetError(f"the process behind {address} is gone")
    connection.sendall(b"go\n")
    while more := connection.recv(4096):
        said += more
    connection.close()
    return int(said.split(b"\n")[1] or KILLED)


def capture(address: str, order: bytes) -> tuple[int, str, str]:
    """Have a command run, and return its code and what it wrote to stdout and to stderr."""
    import tempfile

    with open(os.devnull) as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        code = ask(address, order, [each.fileno() for each in (stdin, stdout, stderr)])
        for written in (stdout, stderr):
            written.seek(0)
        return code, stdout.read().decode(), stderr.read().decode()


def stand_in(command: Sequence[str]) -> None:
    """Have a module run with its arguments in place of this process, and end as it does; return where it is cold."""
    address, cold = OF_AWS_CLI if command[0] == AWS_CLI else (ADDRESS, COLD)
    if not (os.environ.get(cold) and os.environ[cold] in " ".join(command)):
        arguments = command[1:] if command[0] == AWS_CLI else command
        os._exit(ask(os.environ[address], order(arguments), (0, 1, 2)))


if __name__ == "__main__":
    stand_in(sys.argv[1:])
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
