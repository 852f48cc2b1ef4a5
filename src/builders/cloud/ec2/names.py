"""Names as the functions in a VPC see them: interface endpoints, and whatever plays on-premises.

A name and a port lead to an address of this machine, by the map of name_map.py. Behind the endpoints' names stands a
TLS server with a certificate for each name; it hands what it decrypts to ministack.

Different from AWS: all VPCs of an account see the same names, and whatever has no name here does not resolve, where
in a VPC without a way out it would resolve and then not answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import os
import shutil
import ssl
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ministack.core.responses import get_account_id, request_scope
from ministack.core.x509_utils import sign_leaf_certificate

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.ec2 import name_map
from builders.cloud.internals import ec2, entries, rds
from builders.cloud.patches import patch, patch_value
from builders.cloud.server.callers import Listener
from builders.resource_types import Json

HOST = "127.0.0.1"
HTTPS = 443


class Names:
    """The map of the running server, and the port of its TLS server."""

    directory: Path
    port: int

    def open(self, state_directory: Path) -> None:
        """Start the TLS server, and write the map below `state_directory` from now on."""
        self.directory = state_directory / name_map.DIRECTORY
        for of_account in self.directory.glob("[0-9]*"):  # of the server before, with the port that it had
            shutil.rmtree(of_account)
        self.port = _start_front(state_directory)

    def take_up(self) -> None:
        """Give the endpoints that a server before this one left their names."""
        for (account, region, endpoint), properties in entries(ec2.vpc_endpoints).items():
            with request_scope(account, region):
                self.write(endpoint, properties)

    def write(self, endpoint: str, properties: Mapping[str, Json]) -> None:
        """Give an endpoint with private DNS its name, com.amazonaws.us-east-1.dms as dms.us-east-1.amazonaws.com."""
        if str(properties.get("PrivateDnsEnabled")).lower() != "true":
            self.remove(endpoint)
            return
        region, service = str(properties["ServiceName"]).split(".")[-2:]
        name_map.write(self._file(endpoint), {f"{service}.{region}.amazonaws.com": {HTTPS: self.port}})

    def remove(self, endpoint: str) -> None:
        """Take the name of an endpoint away."""
        self._file(endpoint).unlink(missing_ok=True)

    def _file(self, endpoint: str) -> Path:
        return self.directory / str(get_account_id()) / f"{endpoint}.json"


names = Names()


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::VPCEndpoint]",
    why="an interface endpoint gives no name to anything",
)
def _endpoints(inner: Handlers) -> Handlers:
    def delete(physical_id: str, properties: Mapping[str, Json]) -> None:
        inner["delete"](physical_id, properties)
        names.remove(physical_id)

    return {**records.around(inner, after=names.write), "delete": delete}


@patch(
    "ministack.services.ec2._vpce_fields_xml",
    why="DescribeVpcEndpoints leaves out the policy, the groups, and whether names resolve",
)
def _describe_endpoint(original: Any, endpoint: Mapping[str, Json], tag: str = "item") -> str:
    policy = endpoint.get("PolicyDocument") or ""
    policy = policy if isinstance(policy, str) else json.dumps(policy)
    groups = "".join(f"<item><groupId>{each}</groupId></item>" for each in endpoint.get("SecurityGroupIds") or ())
    more = (
        f"<policyDocument>{escape(policy)}</policyDocument><groupSet>{groups}</groupSet>"
        f"<privateDnsEnabled>{str(bool(endpoint.get('PrivateDnsEnabled'))).lower()}</privateDnsEnabled>"
    )
    text = str(original(endpoint, tag))
    return text.removesuffix(f"</{tag}>") + more + f"</{tag}>" if text.endswith(f"</{tag}>") else text


@patch(
    "ministack.core.lambda_runtime._detect_runtime_binary",
    why="functions resolve the names of this machine's network, and none of their VPC",
)
def _runtime_with_names(original: Any, runtime: str) -> tuple[str, str]:
    binary, script = original(runtime)
    if not runtime.startswith("python"):
        return binary, script
    code = inspect.getsource(name_map.resolve_names)
    call = f"resolve_names({str(names.directory)!r}, {name_map.EVERYWHERE!r})"
    return binary, f"{name_map.IMPORTS_OF_RESOLVE_NAMES}\n\n{code}\n\n{call}\n{script}"


def _start_front(directory: Path) -> int:
    """Serve TLS under any name on a free port, in a thread that ends with the process; return the port."""
    listener = Listener(HOST, 0)
    port: int = listener.getsockname()[1]
    threading.Thread(target=asyncio.run, args=(_front(listener, directory),), name="endpoints", daemon=True).start()
    return port


async def _front(listener: Listener, directory: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    contexts: dict[str, ssl.SSLContext] = {}

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        if name:
            connection.context = contexts.setdefault(name, contexts.get(name) or _context_for(name, directory))

    context.sni_callback = choose

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Behind here they would come from ourselves.
        if writer.get_extra_info("peername") in listener.strangers:
            writer.close()
        else:
            await _pass_on(reader, writer)

    server = await asyncio.start_server(pass_on, sock=listener, ssl=context)
    await server.serve_forever()


def _context_for(name: str, directory: Path) -> ssl.SSLContext:
    # A key of RSA takes longer to find than the call that waits for it.
    certificate, key, _ = sign_leaf_certificate(*rds.authority(), name, [name], key_type="ec256")
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
