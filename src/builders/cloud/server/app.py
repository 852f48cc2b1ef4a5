"""The server: puts this package into ministack, serves AWS's API and three pages beside it, and ends.

What replaces something of ministack is a patch, applied in the order of `PATCHED`; what ministack lacks is put into its
tables of handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hypercorn.asyncio import run as hypercorn_run, serve as hypercorn_serve
from hypercorn.config import Config, Sockets
from ministack.app import app
from ministack.core import lambda_runtime
from ministack.services.rds import pg_ca_cert_pem

from builders.cloud import cloudwatch, kms, lambda_, patches, s3, stamps, workers
from builders.cloud.cloudformation import (
    attributes,
    change_sets,
    checks,
    cloud_control,
    descriptions,
    drift,
    early_validation,
    forms,
    functions,
    parameters,
    parsing,
    records,
    requests,
    resuming,
    stacks,
    templates,
    updates,
)
from builders.cloud.dms import api as dms, tasks
from builders.cloud.ec2 import (
    addresses,
    checks as ec2_checks,
    endpoint_services,
    interfaces,
    names,
    resources,
    transit_gateways,
)
from builders.cloud.iam import assume_role, authorization, conditions, entities
from builders.cloud.internals import cloudformation, sts
from builders.cloud.organizations import api as organizations
from builders.cloud.process import CA_PATH, READY
from builders.cloud.rds import instances, operations, parameter_groups
from builders.cloud.secretsmanager import policies, rotation, secrets
from builders.cloud.server import accounts, faults, lists, signatures, state, web_pages
from builders.cloud.server.callers import Listener
from builders.cloud.server.faults import Application, Receive, Scope, Send
from builders.cloud.stacksets import api as stacksets, members, permissions

STATUS_PATH = "/_stackferry/status.json"
"""The page with the servers of the databases, the last rotations, and the attributes that were invented."""

HYPERCORN = "0.18.0"
"""The version whose connections are replaced; any other one serves as it is."""

PATCHED = (
    stamps,
    parsing,
    parameters,
    functions,
    forms,
    templates,
    stacks,
    updates,
    resuming,
    early_validation,
    change_sets,
    descriptions,
    requests,
    ec2_checks,
    endpoint_services,
    transit_gateways,
    resources,
    addresses,
    lambda_,
    interfaces,
    names,
    instances,
    operations,
    parameter_groups,
    secrets,
    policies,
    rotation,
    cloudwatch,
    s3,
    assume_role,
    conditions,
    entities,
    kms,
    authorization,
    signatures,
    dms,
    cloud_control,
    drift,
    faults,
    organizations,
    accounts,
    members,
    permissions,
    lists,
    state,
)
"""The modules with patches, in the order in which they are applied."""


def install(directory: Path) -> None:
    """Put this package into ministack; `directory` holds what it writes."""
    (directory / "ca.pem").write_text(pg_ca_cert_pem())
    for each in (signatures.run, instances.databases, lambda_.interpreter, names.names):
        each.open(directory)
    patches.apply(PATCHED)
    table = cloudformation.resource_handlers
    table[rotation.TYPE] = rotation.schedule_handlers()
    table[policies.TYPE] = policies.handlers()
    table.update(resources.handlers())
    table.update(addresses.handlers())
    table.update(transit_gateways.handlers())
    table.update(tasks.handlers())
    table.update(entities.handlers())
    for name in attributes.names():
        table[name] = checks.checked(name, table.get(name) or records.handlers(name))
    cloud_control.install()
    dms.install()
    organizations.install()
    accounts.install()
    stacksets.install(table)
    state.keep("rotations", {"under way": rotation.under_way}, take_up=rotation.take_up)
    state.keep("records", {"records": records.records})
    state.keep("change sets", {"executed": change_sets.executed})
    state.keep("sessions", {"sessions": sts.sessions})
    state.keep("names", {}, take_up=names.names.take_up)
    state.keep("buckets", s3.stores())
    state.keep("stacks", {}, take_up=resuming.take_up)


def _close() -> None:
    tasks.close()
    instances.databases.close()
    lambda_runtime.reset()
    workers.functions.close()


def _status() -> bytes:
    status = {
        "databases": instances.databases.status,
        "rotations": list(rotation.history),
        "invented attributes": attributes.invented(),
    }
    return json.dumps(status, indent=2).encode()


class _Config(Config):
    """A configuration for a socket that is bound already: hypercorn would make a plain one of its number."""

    def __init__(self, listener: Listener) -> None:
        super().__init__()
        self._listener = listener

    def create_sockets(self) -> Sockets:
        """Return the socket that is bound."""
        return Sockets([], [self._listener], [])


async def run(listener: Listener, directory: Path, stop_at_end_of_input: bool) -> bool:
    """Serve on a bound socket until asked to stop; then end databases and functions.

    Return whether it was the end of stdin that asked, which comes when the caller is gone.
    """
    install(directory)
    state.read()
    stop, alone = asyncio.Event(), asyncio.Event()

    def listen_to_the_caller() -> None:
        if not os.read(sys.stdin.fileno(), 1024):
            alone.set()
            stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if stop_at_end_of_input:
        loop.add_reader(sys.stdin.fileno(), listen_to_the_caller)
    config = _Config(listener)
    config.graceful_timeout = 1.0
    config.shutdown_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    pages = {CA_PATH: (directory / "ca.pem").read_bytes, STATUS_PATH: _status}
    saving = asyncio.create_task(state.save_while_serving())
    if os.environ["AUTH"] == "true":
        options = f"--state-dir {shlex.quote(str(directory))} --credentials ACCOUNT"
        print(f"credentials: python -m builders.cloud {options}", file=sys.stderr, flush=True)
    announcing = asyncio.create_task(_announce(*listener.getsockname()))
    try:
        signed = signatures.checked(_with_own_pages(faults.in_front_of(app), pages))
        own: Any = web_pages.kept_out(signed, listener)
        _install_connections()
        await hypercorn_serve(own, config, shutdown_trigger=stop.wait)
    finally:
        announcing.cancel()
        saving.cancel()
        state.save()
        await asyncio.to_thread(_close)
    return alone.is_set()


def _install_connections() -> None:
    if version("hypercorn") == HYPERCORN:
        from builders.cloud.server import connections  # noqa: PLC0415  made of the inside of this version

        setattr(hypercorn_run, "TCPServer", connections.Connection)  # noqa: B010 of another's module


async def _announce(host: str, port: int) -> None:
    """Print the ready line once the server answers HTTP."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(f"GET /_ministack/health HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n".encode())
            answer = await reader.read(12)
            writer.close()
            if answer.startswith(b"HTTP/"):
                print(f"{READY}http://{host}:{port}", flush=True)
                return
        await asyncio.sleep(0.02)


def _with_own_pages(app: Application, pages: dict[str, Callable[[], bytes]]) -> Application:
    async def serve_page(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in (*pages, faults.PATH):
            await app(scope, receive, send)
            state.touched.set()
            return
        status = 200
        if scope["path"] != faults.PATH:
            body = pages[scope["path"]]()
        elif scope["method"] == "GET":
            body = faults.shown()
        else:
            status, body = faults.put(await faults.read(receive))
        json_page = scope["path"] in (STATUS_PATH, faults.PATH)
        headers = [(b"content-type", b"application/json" if json_page else b"text/plain")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return serve_page
