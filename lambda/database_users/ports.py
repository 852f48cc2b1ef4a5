"""The database's port in both secrets: CloudFormation's attachment writes it once, and not again when it changes.

A database takes another port in place (RDS user guide, "Settings for DB instances", Port), and whatever reads a secret
looks for it at the old one. The port that is right is the one at which the database answers: an update that is taken
back finds it so as well.
"""

from __future__ import annotations

from typing import Any

import credentials
import function_log
import secret_value
from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import ResourceFailed
from deadline import Deadline
from function_errors import FunctionError
from logins import UserNotMade, as_master
from rotating_secret import RotatingSecret

log = function_log.logger("database_users")

ANSWER_SECONDS = 15.0
"""For a login at the port that is asked for; the time for the rest stays."""

_LABEL = "STACKFERRY_PORT"


def of_database(master: RotatingSecret, asked_for: int, deadline: Deadline) -> int:
    """Return the port that the stack asks for where the database answers there, else that of the master's secret."""
    named = master.current().port
    if named == asked_for:
        return named
    try:
        with as_master(master.at(asked_for), Deadline(deadline.remaining(ANSWER_SECONDS))):
            return asked_for
    except (ResourceFailed, FunctionError) as error:
        log.warning("the database does not answer at port %d, so that of the secret stays: %s",
                    asked_for, error)  # fmt: skip
        return named


def write(client: Any, arn: str, port: int) -> str:
    """Write the port into a secret that names another one; say what was done. Raises ResourceFailed.

    Not while a rotation is under way: the version that it makes current would bring the old port back.
    """
    version, text = secret_value.read_version(client, arn)
    if credentials.field(text, "port") == port:
        return ""
    pending = secret_value.read_pending(client, arn)
    if pending is not None and pending != text:
        raise UserNotMade(f"a rotation of secret {arn} is under way, and its port is {port} now: let it finish, then "
                          "deploy again")  # fmt: skip
    try:
        _replace(client, arn, version, credentials.replace_port(text, port))
    except (ClientError, BotoCoreError) as error:
        why = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise UserNotMade(f"secret {arn} does not take the port {port} ({why}): deploy again, once no rotation of it "
                          "is under way") from error  # fmt: skip
    return f"port {port} written into {arn}"


def _replace(client: Any, arn: str, version: str, text: str) -> None:
    """Make a text current in place of this version and of no other: the password of a later one is in force.

    Only the move of a label names the version that is to lose it (Secrets Manager API reference,
    "UpdateSecretVersionStage"), and a new version needs a label until then.
    """
    made = client.put_secret_value(SecretId=arn, SecretString=text, VersionStages=[_LABEL])["VersionId"]
    move = client.update_secret_version_stage
    try:
        move(SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=made, RemoveFromVersionId=version)
    finally:
        move(SecretId=arn, VersionStage=_LABEL, RemoveFromVersionId=made)
