"""The generated passwords of a phase: the target database's master user, and the user that DMS logs in as."""

from __future__ import annotations

import json
from typing import Any

from troposphere import Sub, secretsmanager

from builders import naming
from builders.layers.foundation import KEY_ARN
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

DATABASE_SECRET_ARN = Export("secrets", "SecretsManagerArn", "ARN of the secret of the database's master user")
DMS_SECRET_ARN = Export("secrets", "DmsSecretArn", "ARN of the secret of DMS's own user in the target database")

# Written out and no parameters: a new value would replace a live password, see generated_login. RDS keeps some names
# for itself, among them admin, postgres and what begins with rds.
MASTER_USERNAME = "ferry_owner"
DMS_USERNAME = naming.DMS_USERNAME
FALLBACK_USERNAME = naming.FALLBACK_USERNAME

PASSWORD_LENGTH = 32
EXCLUDED_CHARACTERS = ";.:+/@\"'\\% "
"""Characters that a reader of the password refuses or misreads: DMS the first four (DMS user guide, "Using secrets to
access Database Migration Service endpoints"), RDS the slash, the at sign, the double quote and the space (RDS API
reference, "CreateDBInstance"); quotes, backslash and percent break connection strings and shells."""


def build(stack: Stack) -> None:
    """Generate both secrets; neither password is ever in a template, a parameter or a log.

    DMS has a user of its own, with fewer rights and a password that is not rotated under a running task.
    """
    master = generated_login(stack, "DatabaseSecret", MASTER_USERNAME, "Master user of the target database")
    dms = generated_login(stack, "DmsSecret", DMS_USERNAME, "User of DMS in the target database")
    stack.export(DATABASE_SECRET_ARN, master.ref())
    stack.export(DMS_SECRET_ARN, dms.ref())


def generated_login(stack: Stack, title: str, username: str, whose: str, **attributes: Any) -> secretsmanager.Secret:
    """A secret that holds `username` and a generated `password`.

    Host, port and database name are not in it yet: only the database knows them, and it needs the secret first. The
    database layer attaches both secrets to the instance, which writes them in.
    """
    return stack.add(
        secretsmanager.Secret(
            title,
            Description=Sub(f"{whose} of ${{EnvironmentSuffix}}"),
            KmsKeyId=stack.import_value(KEY_ARN),
            # Frozen: a change of any property in here makes CloudFormation generate a new password, which no
            # database knows, and drops the host and port that were attached.
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate=json.dumps({"username": username}),
                GenerateStringKey="password",
                PasswordLength=PASSWORD_LENGTH,
                ExcludeCharacters=EXCLUDED_CHARACTERS,
                RequireEachIncludedType=True,
            ),
            # CloudFormation deletes a secret without a recovery window, and the snapshots that outlive the stack
            # open with no other password. Not RetainExceptOnCreate: no stack set may delete a secret (`account`), so
            # the rollback of a failed creation would fail. Unnamed: what stays never conflicts with a new deployment.
            DeletionPolicy="Retain",
            UpdateReplacePolicy="Retain",
            **attributes,
        )
    )
