"""The generated passwords of a phase: the target database's master user, and the user that DMS logs in as."""

from __future__ import annotations

from troposphere import Equals, Not, Parameter, Sub, secretsmanager

from builders import parameters
from builders.layers.foundation import KEY_ARN
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

DATABASE_SECRET_ARN = Export("secrets", "SecretsManagerArn", "ARN of the secret of the database's master user")
DMS_SECRET_ARN = Export("secrets", "DmsSecretArn", "ARN of the secret of DMS's own user in the target database")

PASSWORD_LENGTH = 32
EXCLUDED_CHARACTERS = ";.:+/@\"'\\% "
"""What a reader of the password refuses or misreads: DMS the first four (DMS user guide, "Using secrets to access
Database Migration Service endpoints"), RDS the slash, the at sign, the double quote and the space (RDS API reference,
"CreateDBInstance"); quotes, backslash and percent break connection strings and shells."""

_RESERVED_NAMES = (
    "admin",
    "administrator",
    "all",
    "current_role",
    "current_user",
    "default",
    "none",
    "postgres",
    "public",
    "root",
    "session_user",
    "system_user",
    "user",
)
"""Names that RDS or PostgreSQL keeps for itself, or that an attacker tries first."""

_USERNAME_PATTERN = rf"^(?!(?:{'|'.join(_RESERVED_NAMES)})$)(?!rds|pg_)[a-z][a-z0-9_]{{0,62}}$"


def build(stack: Stack) -> None:
    """Generate both secrets; neither password is ever in a template, a parameter or a log."""
    master = stack.parameter(
        _username("MasterUsername", "Master user of the target database; fixed once it is made", "ferry_owner")
    )
    dms = stack.parameter(
        _username("DmsUsername", "User of DMS in the target database; fixed once it is made", "ferry_dms")
    )
    stack.rule(
        "UsersDiffer",
        Not(Equals(master.ref(), dms.ref())),
        "MasterUsername and DmsUsername are the same; DMS needs a user of its own, with fewer rights and a password "
        "that is not rotated under a running task",
    )
    stack.export(DATABASE_SECRET_ARN, _secret(stack, "DatabaseSecret", master, "Master user").ref())
    stack.export(DMS_SECRET_ARN, _secret(stack, "DmsSecret", dms, "User of DMS").ref())


def _username(name: str, description: str, default: str) -> Parameter:
    return parameters.string(
        name,
        description,
        pattern=_USERNAME_PATTERN,
        explanation="up to 63 lower-case letters, digits and underscores, beginning with a letter, neither beginning "
        f"with rds or pg_ nor one of {', '.join(_RESERVED_NAMES)}",
        default=default,
        max_length=63,
    )


def _secret(stack: Stack, title: str, username: Parameter, whose: str) -> secretsmanager.Secret:
    """A secret that holds `username` and a generated `password`.

    Host, port and database name are not in it yet: only the database knows them, and it needs the secret first. The
    database layer attaches both secrets to the instance, which writes them in.
    """
    return stack.add(
        secretsmanager.Secret(
            title,
            Description=Sub(f"{whose} of the target database in ${{EnvironmentSuffix}}"),
            KmsKeyId=stack.import_value(KEY_ARN),
            # Frozen: a change of any property in here makes CloudFormation generate a new password, which no
            # database knows, and drops the host and port that were attached.
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate=Sub(f'{{"username": "${{{username.title}}}"}}'),
                GenerateStringKey="password",
                PasswordLength=PASSWORD_LENGTH,
                ExcludeCharacters=EXCLUDED_CHARACTERS,
                RequireEachIncludedType=True,
            ),
            # CloudFormation deletes a secret without a recovery window, and the snapshots that outlive the stack
            # open with no other password. Unnamed, so that what stays never stands in the way of a new deployment.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
        )
    )
