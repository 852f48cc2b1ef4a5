"""The map from names to ports of this machine: files of {name: {port: port on this machine}} below one directory.

Each interface endpoint has a file in its account's directory, and what plays on-premises has one in `everywhere/`, for
all accounts. The process of a function reads them at every look-up (`resolve_names`); who writes them needs no
ministack.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import secrets
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

DIRECTORY = "names"
EVERYWHERE = "everywhere"


def write(file: Path, names: Mapping[str, Mapping[int, int]]) -> None:
    """Write {name: {port: port on this machine}}; a reader sees the whole file or none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".part", delete=False) as part:
        json.dump(names, part)
    Path(part.name).replace(file)


@contextlib.contextmanager
def named(state_directory: Path, host: str, ports: Mapping[int, int]) -> Iterator[None]:
    """Give a name to servers of this machine, in every account, while the context lasts."""
    file = state_directory / DIRECTORY / EVERYWHERE / f"{secrets.token_hex(8)}.json"
    write(file, {host.lower(): ports})
    try:
        yield
    finally:
        file.unlink()


IMPORTS_OF_RESOLVE_NAMES = "import json, os, pathlib, socket"


def resolve_names(directory, everywhere):  # type: ignore[no-untyped-def]
    """Let this process resolve the names of the map, this machine's own, and addresses; nothing else.

    The text of this function is put before the code that ministack runs functions with (names.py).
    """
    account = os.environ["_LAMBDA_FUNCTION_ARN"].split(":")[4]
    before = socket.getaddrinfo

    def getaddrinfo(host, port, *arguments, **options):  # type: ignore[no-untyped-def]
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in ("localhost", "127.0.0.1", "::1"):
            return before(host, port, *arguments, **options)
        for scope in (account, everywhere):
            for file in sorted(pathlib.Path(directory, scope).glob("*.json")):
                ports = json.loads(file.read_text(encoding="utf-8")).get(name.lower().rstrip("."))
                if ports is not None:
                    closed_port = 1
                    return before("127.0.0.1", ports.get(str(port), closed_port), *arguments, **options)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    socket.getaddrinfo = getaddrinfo
