"""boto3: one client for each service and region, whichever account it is used for.

A client costs about a tenth of a second and some megabytes, so there is none for each of a thousand accounts: it asks
for its credentials whenever it signs, and is given those of the role that the current call is for.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import functools
import importlib.metadata
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError

from builders.aws.calls import Access, Role
from builders.evaluate import partition_of

SESSION_SECONDS = 3600
"""The most that a role's own maximum allows by default; botocore asks for a new one from 15 minutes before its end."""

_acting: contextvars.ContextVar[Any] = contextvars.ContextVar("acting", default=None)


class _CallCredentials(Credentials):  # type: ignore[misc]
    """The credentials that the current call is made with."""

    def __init__(self) -> None:
        super().__init__("", "")

    def get_frozen_credentials(self) -> Any:
        acting = _acting.get()
        if acting is None:
            raise NoCredentialsError
        return acting.get_frozen_credentials()


class _CallCredentialsProvider(CredentialProvider):  # type: ignore[misc]
    METHOD = "stackferry"

    def load(self) -> Credentials:
        return _CallCredentials()


AssumeRole = Callable[[Mapping[str, str | int]], Mapping[str, Any]]
"""Makes the call sts:AssumeRole and returns its Credentials."""


class BotoClients:
    """Clients by service and region, credentials by role. Safe for threads."""

    def __init__(self, access: Access, assume: AssumeRole) -> None:
        self._access = access
        self._assume = assume
        self._own = (
            Credentials(*access.keys)
            if access.keys
            else boto3.Session(region_name=access.region, profile_name=access.profile).get_credentials()
        )
        self._clients = _service_clients(
            dataclasses.replace(access, region="", keys=None, attempts=0, throttled_seconds=0),
            frozenset(each for each in os.environ.items() if each[0].startswith("AWS_")),
        )
        self._roles: dict[Role, Any] = {}
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        """The client for a service in a region; call it within `acting`."""
        return self._clients.get(service, region)

    def forget_roles(self) -> None:
        """Assume each role again when it is needed next."""
        with self._lock:
            self._roles.clear()

    @contextlib.contextmanager
    def acting(self, role: Role | None) -> Iterator[None]:
        """Make this thread's calls with a role's credentials; None: with the caller's own."""
        token = _acting.set(self._own if role is None else self._assumed(role))
        try:
            yield
        finally:
            _acting.reset(token)

    def _assumed(self, role: Role) -> Any:
        """Credentials that renew themselves, also in the middle of a call's retries."""
        with self._lock:
            if role not in self._roles:
                self._roles[role] = DeferredRefreshableCredentials(lambda: self._fresh(role), "assume-role")
            return self._roles[role]

    def _fresh(self, role: Role) -> dict[str, str]:
        request: dict[str, str | int] = {
            "RoleArn": f"arn:{partition_of(self._access.region)}:iam::{role.account}:role/{role.name}",
            "RoleSessionName": "stackferry",
            "DurationSeconds": SESSION_SECONDS,
        }
        if role.external_id:
            request["ExternalId"] = role.external_id
        given = self._assume(request)
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }


class _ServiceClients:
    """Clients by service and region. Safe for threads."""

    def __init__(self, access: Access) -> None:
        self._access = access
        session = botocore.session.Session(profile=access.profile)
        session.register_component("data_loader", _service_models(session.get_config_variable("data_path")))
        session.register_component("credential_provider", CredentialResolver([_CallCredentialsProvider()]))
        self._session = boto3.Session(botocore_session=session)
        self._clients: dict[tuple[str, str], Any] = {}
        # A session is not safe for threads while it makes clients; the clients are (boto3 guide, "Session reference").
        self._lock = threading.Lock()

    def get(self, service: str, region: str) -> Any:
        """The client for a service in a region."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._session.client(
                    service, region, endpoint_url=self._access.endpoint_url, config=_config(self._access)
                )
            return self._clients[service, region]


@functools.cache
def _service_clients(access: Access, _environment: frozenset[tuple[str, str]]) -> _ServiceClients:
    """Return the clients of a configuration: once a process, since a rehearsal runs dozens of commands in one."""
    return _ServiceClients(access)


@functools.cache
def _service_models(data_path: str | None) -> Any:
    """Return botocore's loader, which reads each service's model once a process: they are megabytes of JSON."""
    return botocore.loaders.create_loader(data_path)


def _config(access: Access) -> Config:
    # One attempt: more are made by `calls`. A client of botocore has one quota of retries, and in the mode "adaptive"
    # one rate, but ours serve all accounts and operations, each with a limit of its own.
    return Config(
        retries={"mode": "standard", "total_max_attempts": 1},
        connect_timeout=access.connect_seconds,
        read_timeout=access.read_seconds,
        user_agent_extra=f"stackferry/{_version()}",
    )


def _version() -> str:
    try:
        return importlib.metadata.version("stackferry")
    except importlib.metadata.PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
