"""Names as the functions in a VPC see them: interface endpoints, and whatever plays on-premises.

A name and a port lead to an address of this machine. The map lies in files below `names/`: one for each interface
endpoint in its account's folder, and those in `everywhere/` for all accounts, which tests and the demo write
(name_map.py). worker_names.py, put before the code that ministack runs functions with, reads them at every look-up,
so that functions know nothing of it. Behind the endpoints' names stands a TLS server with a certificate for each name;
it hands what it decrypts to ministack.

Different from AWS: all VPCs of an account see the same names, and whatever has no name here does not resolve, where
in a VPC without a way out it would resolve and then not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from ministack.core import lambda_runtime
from ministack.core.responses import get_account_id
from ministack.services import rds

from builders.cloud import worker_names
from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.ec2 import name_map
from builders.resource_types import Json

TYPE = "AWS::EC2::VPCEndpoint"
HOST = "127.0.0.1"
HTTPS = 443


class Names:
    """The map below a server's directory."""

    def __init__(self, directory: Path) -> None:
        self._folder = directory / name_map.FOLDER
        self._front = _start_front(directory)
        os.environ[worker_names.VARIABLE] = str(self._folder)
        _put_before_functions(Path(worker_names.__file__).read_text(encoding="utf-8"))

    def handlers(self, inner: Handlers) -> Handlers:
        """Return the handlers of AWS::EC2::VPCEndpoint, on top of ministack's (`inner`)."""

        def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
            inner["delete"](physical_id, properties)
            self._file(physical_id).unlink(missing_ok=True)

        return {**records.around(inner, after=self._tell), "delete": delete}

    def _tell(self, endpoint: str, properties: Mapping[str, Json]) -> None:
        file = self._file(endpoint)
        if str(properties.get("PrivateDnsEnabled")).lower() != "true":
            file.unlink(missing_ok=True)
            return
        # com.amazonaws.us-east-1.dms is reached as dms.us-east-1.amazonaws.com.
        region, service = str(properties["ServiceName"]).split(".")[-2:]
        name_map.write(file, {f"{service}.{region}.amazonaws.com": {HTTPS: self._front}})

    def _file(self, endpoint: str) -> Path:
        return self._folder / str(get_account_id()) / f"{endpoint}.json"


def _put_before_functions(code: str) -> None:
    before = lambda_runtime._detect_runtime_binary

    def detect(runtime: str) -> tuple[str, str]:
        binary, script = before(runtime)
        return binary, f"{code}\n\ninstall()\n{script}" if runtime.startswith("python") else script

    lambda_runtime._detect_runtime_binary = detect


def _start_front(directory: Path) -> int:
    """Serve TLS under any name on a free port, in a thread that ends with the process; return the port."""
    listener = socket.create_server((HOST, 0))
    port: int = listener.getsockname()[1]
    threading.Thread(target=asyncio.run, args=(_front(listener, directory),), name="endpoints", daemon=True).start()
    return port


async def _front(listener: socket.socket, directory: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    known: dict[str, ssl.SSLContext] = {}

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name:
            connection.context = known.setdefault(name, known.get(name) or _context_for(name, directory))

    context.sni_callback = choose
    server = await asyncio.start_server(_pass_on, sock=listener, ssl=context)
    await server.serve_forever()


def _context_for(name: str, directory: Path) -> ssl.SSLContext:
    certificate, key = rds._pg_server_material([name], [])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", dir=directory) as file:  # ssl reads certificates from files only
        file.write(certificate + key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    gateway_reader, gateway_writer = await asyncio.open_connection(HOST, int(os.environ["GATEWAY_PORT"]))
    await asyncio.gather(_pump(reader, gateway_writer), _pump(gateway_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    writer.close()
