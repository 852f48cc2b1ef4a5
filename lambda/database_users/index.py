"""Makes DMS's role in the target database, with its rights and its password, for a custom resource of CloudFormation.

Environment: CA_BUNDLE, a file with certificate authorities instead of the RDS roots that are shipped. Region and
endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import boto3
import custom_resource
import secret_value
import users
from botocore.config import Config
from credentials import Credentials
from custom_resource import Event
from deadline import Deadline, LambdaContext

# A silent call ends after 3 * (2 + 5) s, and there are two of them.
_CALLS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def handler(event: Event, context: LambdaContext) -> None:
    """Answer one request of CloudFormation.

    Properties: MasterSecretArn, UserSecretArn, DatabaseName, Schemas (those that DMS writes to), DropOnDelete.
    """
    custom_resource.answer(event, context, {"Create": _make, "Update": _make, "Delete": _remove})


@dataclass(frozen=True)
class _Logins:
    master: Credentials
    user: Credentials


def _make(event: Event, deadline: Deadline) -> str:
    logins = _logins(event["ResourceProperties"])
    return users.make(logins.master, logins.user, event["ResourceProperties"]["Schemas"], deadline)


def _remove(event: Event, deadline: Deadline) -> str:
    if event["ResourceProperties"]["DropOnDelete"] != "true":
        return "the role stays, with all that it owns"
    logins = _logins(event["ResourceProperties"])
    return users.drop(logins.master, logins.user.username, deadline)


def _logins(properties: dict[str, Any]) -> _Logins:
    """Master and user on the same database, whatever database the secrets name."""
    database = properties["DatabaseName"]
    master, user = (
        replace(Credentials.parse(secret_value.read(_secrets_manager(), properties[name])), dbname=database)
        for name in ("MasterSecretArn", "UserSecretArn")
    )
    return _Logins(master, user)


@functools.cache
def _secrets_manager() -> Any:
    return boto3.client("secretsmanager", config=_CALLS)
