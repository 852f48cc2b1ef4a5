"""What ministack 1.5.33 gets wrong, corrected in one named function each.

Every function replaces one thing of ministack; tests/cloud/test_corrections.py has a test for each that fails when a
newer ministack makes the correction needless. What ministack merely lacks is in the other rooms.

Puts the rooms of this package into ministack's tables, in one list that reads from top to bottom.

One server's life: ready, the pages of our own beside AWS's API, stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.config import Config
from ministack.app import app
from ministack.core import lambda_runtime
from ministack.services import rds as rds_service, sts
from ministack.services.cloudformation import provisioners

from builders.cloud import cloudwatch, lambda_, services
from builders.cloud.cloudformation import attributes, change_sets, cloud_control, properties, records, stacks, templates
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.dms import api, tasks
from builders.cloud.ec2 import checks, resources
from builders.cloud.ec2.names import TYPE, Names
from builders.cloud.iam import assume_role, authorization
from builders.cloud.organizations import api as organizations_api
from builders.cloud.rds import instances, operations
from builders.cloud.secretsmanager import rotation, secrets
from builders.cloud.server import accounts, faults, state
from builders.cloud.stacksets import api as stacksets_api
from builders.resource_types import Json


def everywhere() -> None:
    """Apply all corrections, once."""
    templates.conditions_of_any_value()
    checks.zones_of_the_region()
    checks.prefix_lists_of_s3()
    stacks.blocking_types_off_the_event_loop()
    stacks.answers_wait_for_stacks()
    stacks.capabilities_always_needed()
    stacks.replacement_by_schema()
    stacks.named_resources_stay()
    stacks.tags_by_schema()
    stacks.snapshots_before_replacement()
    stacks.clean_up_told()
    stacks.deleted_stacks_are_forgotten()
    stacks.exports_in_use_stay()
    lambda_.buckets_of_all_accounts()
    services.generated_passwords()
    services.ports_of_network_acls()
    services.logs_exported_by_databases()
    services.silent_functions_of_custom_resources()
    stacks.properties_of_handled_types()
    stacks.endpoints_of_vpcs()
    cloudwatch.alarms_of_their_own_metric()
    cloudwatch.metrics_embedded_in_logs()
    cloudwatch.paths_into_lists()
    change_sets.change_sets_in_pages()
    assume_role.roles_assumed_by_those_they_trust()


@dataclass(frozen=True)
class Installed:
    """What the server asks once everything is in place."""

    databases: instances.Databases
    close: Callable[[], None]
    status: Callable[[], dict[str, Json]]


def everything(directory: Path) -> Installed:
    """Install all rooms into ministack; `directory` holds what they write."""
    (directory / "ca.pem").write_text(rds_service.pg_ca_cert_pem())
    databases = instances.Databases(directory)
    rds_service._rotate_instance_password = databases.change_password
    operations.install(databases)
    everywhere()
    lambda_.install(directory)
    names = Names(directory)
    secrets.install()
    rotation.install()
    authorization.install()
    templates.install()
    change_sets.install()
    api.install()
    table: dict[str, Handlers] = provisioners._RESOURCE_HANDLERS
    table[instances.TYPE] = databases.handlers(table[instances.TYPE])
    table[rotation.TYPE] = rotation.schedule_handlers()
    table["AWS::SecretsManager::Secret"] = services.secrets_by_arn(table["AWS::SecretsManager::Secret"])
    table["AWS::Lambda::Function"] = lambda_.functions_with_code(table["AWS::Lambda::Function"])
    table[TYPE] = names.handlers(table[TYPE])
    table.update(resources.handlers())
    table.update(tasks.handlers())
    for name in attributes.names():
        table[name] = properties.checked(name, table.get(name) or records.handlers(name))
    cloud_control.install()
    faults.install()
    organizations_api.install()
    accounts.install_account_regions()
    accounts.install_quotas()
    stacksets_api.install(table)

    def close() -> None:
        databases.close()
        lambda_runtime.reset()

    def status() -> dict[str, Json]:
        return {
            "databases": databases.status,
            "rotations": list(rotation.history),
            "invented attributes": attributes.invented(),
        }

    state.keep("records", {"records": records._records})
    state.keep("sessions", {"sessions": sts._sessions})
    state.keep("stacks", {}, take_up=change_sets.take_up)
    state.install(databases)
    return Installed(databases, close, status)


CA_PATH = "/_stackferry/ca.pem"
"""Where the server gives out the certificate authority of its databases."""
STATUS_PATH = "/_stackferry/status.json"
"""Where the server tells what stands behind its databases, what became of rotations, and what it invented."""

Scope = dict[str, Any]
Application = Callable[[Scope, Callable[..., Any], Callable[..., Any]], Awaitable[None]]


async def run(listener: socket.socket, directory: Path, stop_at_end_of_input: bool) -> bool:
    """Serve on a bound socket until asked to stop; then end databases and functions.

    Return whether it was the end of stdin that asked, which comes when the caller is gone.
    """
    installed = everything(directory)
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
    config = Config()
    config.bind = [f"fd://{os.dup(listener.fileno())}"]  # hypercorn closes the one that it gets
    config.graceful_timeout = 1.0
    config.shutdown_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    pages = {
        CA_PATH: (directory / "ca.pem").read_bytes,
        STATUS_PATH: lambda: json.dumps(installed.status(), indent=2).encode(),
    }
    saving = asyncio.create_task(state.save_while_serving(installed.databases))
    announcing = asyncio.create_task(_announce(*listener.getsockname()))
    try:
        own: Any = _with_own_pages(faults.in_front_of(app), pages)
        await hypercorn_serve(own, config, shutdown_trigger=stop.wait)
    finally:
        announcing.cancel()
        saving.cancel()
        state.save(installed.databases)
        await asyncio.to_thread(installed.close)
    return alone.is_set()


async def _announce(host: str, port: int) -> None:
    """Print the ready line once the server answers HTTP."""
    while True:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"GET /_ministack/health HTTP/1.0\r\n\r\n")
            answer = await reader.read(12)
            writer.close()
            if answer.startswith(b"HTTP/"):
                print(f"ready http://{host}:{port}", flush=True)
                return
        await asyncio.sleep(0.02)


def _with_own_pages(app: Application, pages: dict[str, Callable[[], bytes]]) -> Application:
    async def serve_page(scope: Scope, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
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
