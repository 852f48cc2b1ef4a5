"""Makes DMS's role in the target database, with its rights and its password, for a custom resource of CloudFormation.

Environment: CA_BUNDLE, a file with certificate authorities instead of the RDS roots that are shipped. Region and
endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
from typing import Any

import boto3
import custom_resource
import ports
import secret_value
import users
from botocore.config import Config
from custom_resource import Event
from deadline import Deadline, LambdaContext
from rotating_secret import RotatingSecret

# A silent call ends after 3 * (2 + 5) s, and the first that stays silent ends the work.
_CALLS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def handler(event: Event, context: LambdaContext) -> None:
    """Answer one request of CloudFormation.

    Properties: MasterSecretArn, UserSecretArn, DatabaseName, Port, Schemas (those that DMS writes to), DropOnDelete.
    """
    custom_resource.answer(event, context, {"Create": _make, "Update": _make, "Delete": _remove})


def _make(event: Event, deadline: Deadline) -> str:
    properties = event["ResourceProperties"]
    master, user = _secret(properties, "MasterSecretArn"), _secret(properties, "UserSecretArn")
    port = ports.of_database(master, int(properties["Port"]), deadline)
    done = [users.make(master.at(port), user.at(port), properties["Schemas"], deadline)]
    done += [ports.write(_secrets_manager(), properties[name], port) for name in ("MasterSecretArn", "UserSecretArn")]
    return "; ".join(filter(None, done))


def _remove(event: Event, deadline: Deadline) -> str:
    properties = event["ResourceProperties"]
    if properties["DropOnDelete"] != "true":
        return "the role stays, with all that it owns"
    role = _secret(properties, "UserSecretArn").current().username
    return users.drop(_secret(properties, "MasterSecretArn"), role, deadline)


def _secret(properties: dict[str, Any], name: str) -> RotatingSecret:
    """A secret that logs in to the one database, whatever database it names itself."""
    client, arn = _secrets_manager(), properties[name]
    return RotatingSecret(
        lambda: secret_value.read(client, arn),
        lambda: secret_value.read_pending(client, arn),
        properties["DatabaseName"],
    )


@functools.cache
def _secrets_manager() -> Any:
    return boto3.client("secretsmanager", config=_CALLS)
