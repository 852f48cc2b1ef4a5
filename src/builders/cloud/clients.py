"""boto3 clients of the embedded cloud: one for each service and region, whichever account calls.

Making a client takes as long as a dozen calls, and a test or a rehearsal calls as dozens of accounts.
"""

from __future__ import annotations

import contextvars
import functools
import threading
from typing import Any

import boto3
import botocore.session
from botocore.credentials import CredentialProvider, CredentialResolver, Credentials, ReadOnlyCredentials

from builders.cloud.process import Cloud

_caller: contextvars.ContextVar[ReadOnlyCredentials] = contextvars.ContextVar("caller")
_lock = threading.Lock()


class AccountClient:
    """A client as its account calls it: attributes, paginators and waiters are those of boto3's client.

    Not for what starts threads inside boto3, such as `upload_file`: they would not know the account.
    """

    def __init__(self, client: Any, credentials: ReadOnlyCredentials) -> None:
        self._client = client
        self._credentials = credentials

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of boto3's client; an operation is called by the account."""
        found = getattr(self._client, name)
        if name not in self._client.meta.method_to_api_mapping:
            return found

        def call(*arguments: Any, **request: Any) -> Any:
            token = _caller.set(self._credentials)
            try:
                return found(*arguments, **request)
            finally:
                _caller.reset(token)

        return call

    def get_paginator(self, operation: str) -> Any:
        """A paginator whose calls are the account's."""
        return type(self._client).get_paginator(self, operation)

    def get_waiter(self, name: str) -> Any:
        """A waiter whose calls are the account's."""
        return type(self._client).get_waiter(self, name)


def account_client(cloud: Cloud, service: str, account: str, region: str = "us-east-1") -> Any:
    """Return a client with the credentials of an account's owner. Safe for threads."""
    with _lock:
        credentials = ReadOnlyCredentials(account, cloud.secret_access_key(account), None)
        return AccountClient(_client(cloud.endpoint_url, service, region), credentials)


class _CallerCredentials(Credentials):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("", "")

    def get_frozen_credentials(self) -> Any:
        return _caller.get()


class _CallerProvider(CredentialProvider):  # type: ignore[misc]
    METHOD = "embedded-cloud"

    def load(self) -> Credentials:
        return _CallerCredentials()


@functools.cache
def _session() -> Any:
    session = botocore.session.Session()
    session.register_component("credential_provider", CredentialResolver([_CallerProvider()]))
    return boto3.Session(botocore_session=session)


@functools.cache
def _client(endpoint_url: str, service: str, region: str) -> Any:
    return _session().client(service, region, endpoint_url=endpoint_url)
