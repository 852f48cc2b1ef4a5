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
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ministack.app import app
from ministack.core import lambda_runtime
from ministack.services.rds import pg_ca_cert_pem
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

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


class _Protocol(HttpToolsProtocol):
    """HTTP, with a request's target as it was sent for `raw_path`: uvicorn drops the host of a whole URL."""

    def on_headers_complete(self) -> None:
        """Begin to answer a request."""
        super().on_headers_complete()
        self.scope["raw_path"] = self.url.partition(b"?")[0]


class _Server(Server):
    """A server that prints the ready line, and leaves signals to its caller."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve."""
        await super().startup(sockets)
        for host, port in (each.getsockname() for each in sockets or ()):
            print(f"{READY}http://{host}:{port}", flush=True)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them: uvicorn would send itself each of them again, before databases and functions have ended."""
        yield


async def run(listener: Listener, directory: Path, stop_at_end_of_input: bool) -> bool:
    """Serve on a bound socket until asked to stop; then end databases and functions.

    Return whether it was the end of stdin that asked, which comes when the caller is gone.
    """
    install(directory)
    state.read()
    pages = {CA_PATH: (directory / "ca.pem").read_bytes, STATUS_PATH: _status}
    signed = signatures.checked(_with_own_pages(faults.in_front_of(app), pages))
    own: Any = web_pages.kept_out(signed, listener)
    server = _Server(
        Config(
            own,
            http=_Protocol,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # a stranger would say whom it speaks for
            # ministack adds these where AWS has them.
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=1,
        )
    )
    alone = False

    def stop() -> None:
        server.should_exit = True

    def listen_to_the_caller() -> None:
        nonlocal alone
        if not os.read(sys.stdin.fileno(), 1024):
            alone = True
            stop()

    loop = asyncio.get_running_loop()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    if stop_at_end_of_input:
        loop.add_reader(sys.stdin.fileno(), listen_to_the_caller)
    saving = asyncio.create_task(state.save_while_serving())
    if os.environ["AUTH"] == "true":
        options = f"--state-dir {shlex.quote(str(directory))} --credentials ACCOUNT"
        print(f"credentials: python -m builders.cloud {options}", file=sys.stderr, flush=True)
    try:
        await server.serve([listener])
    finally:
        saving.cancel()
        state.save()
        await asyncio.to_thread(_close)
    return alone


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
