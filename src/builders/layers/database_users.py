"""The user of the target database beside its master: DMS's own, with the rights that a target asks for.

The same function writes a changed port into both secrets: their attachments in `database` do not run again.
"""

from __future__ import annotations

from awacs import secretsmanager as secret_actions
from troposphere import Equals, If, Not, NoValue
from troposphere.cloudformation import CustomResource

from builders import naming, parameters
from builders.layers import _custom_resource, _functions
from builders.layers._migration import choices
from builders.layers.database import ATTACHMENT, DATABASE_NAME, DMS_ATTACHMENT
from builders.layers.foundation import KEY_ARN
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.stack import Scope, Stack

SCOPE = Scope.PHASE

# The function reads the secrets through the one endpoint, and answers CloudFormation through S3's.
AFTER = ("endpoints",)

TIMEOUT_SECONDS = 120

_USE_SECRET = [
    secret_actions.GetSecretValue,
    secret_actions.PutSecretValue,
    secret_actions.UpdateSecretVersionStage,
]


class DatabaseUser(CustomResource):
    """A role in the database, made by `lambda/database_users`."""

    resource_type = "Custom::DatabaseUser"
    props = {  # noqa: RUF012 troposphere reads it from the class
        **_custom_resource.PROPERTIES,
        "MasterSecretArn": (str, True),
        "MasterSecretAttachment": (str, True),
        "UserSecretArn": (str, True),
        "UserSecretAttachment": (str, True),
        "DatabaseName": (str, True),
        "Port": (str, True),
        "Schemas": (list, True),
        "DropOnDelete": (str, True),
    }


def build(stack: Stack) -> None:
    """Make DMS's user, and put its attributes, its rights and its password right again whenever the stack changes."""
    settings = _functions.Settings.declare(stack, "database_users", failed_events=_functions.FailedEvents.FAIL_STACK)
    drop = stack.parameter(
        parameters.boolean(
            "DropDmsUserOnDelete",
            "Drop DMS's user with this stack; what it owns in the database becomes the master user's",
        )
    )
    master, user = stack.import_value(DATABASE_SECRET_ARN), stack.import_value(DMS_SECRET_ARN)
    behind = _functions.add(
        stack,
        "DatabaseUsersFunction",
        settings,
        description="Makes the users of the target database and their rights",
        statements=_functions.secret_statements(_USE_SECRET, [master, user], stack.import_value(KEY_ARN)),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    _custom_resource.add(
        stack,
        DatabaseUser,
        "DmsUser",
        behind,
        settings,
        MasterSecretArn=master,
        UserSecretArn=user,
        # Only once they are attached do the secrets say where the database is.
        MasterSecretAttachment=stack.import_value(ATTACHMENT),
        UserSecretAttachment=stack.import_value(DMS_ATTACHMENT),
        DatabaseName=stack.import_value(DATABASE_NAME),
        # By the parameter that `database` has, too: an export that a stack imports cannot change.
        Port=stack.parameter(parameters.database_port()).ref(),
        Schemas=_schemas(stack),
        DropOnDelete=drop.ref(),
    )


def _schemas(stack: Stack) -> list[object]:
    """The schemas that `migration` carries, by the same parameters, and that of the marker."""
    names: list[object] = [stack.parameter(choices.schema_name(1)).ref()]
    for number in range(2, choices.MOST_SCHEMAS + 1):
        name = stack.parameter(choices.schema_name(number)).ref()
        given = stack.condition(f"HasSchemaName{number}", Not(Equals(name, "")))
        names.append(If(given, name, NoValue))
    return [*names, naming.MARKER_SCHEMA]
