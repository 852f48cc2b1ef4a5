"""Both ends of the replication. DMS reads user, password, host and port from the secrets itself."""

from __future__ import annotations

from typing import Any

from awacs import kms as kms_actions, secretsmanager as secret_actions
from awacs.aws import Condition, StringEquals
from troposphere import Equals, If, Not, NoValue, Sub, dms, iam

from builders import policies
from builders.layers import _source
from builders.layers._migration import certificates, choices
from builders.layers.database import DATABASE_NAME
from builders.layers.foundation import KEY_ARN
from builders.layers.secrets import DMS_SECRET_ARN
from builders.stack import Stack

WHOLE_NUMERICS = "mapUnboundedNumericAsString=true"
"""Numbers without a precision travel as text, and not as numeric(28,6), which rounds them. For both ends together, and
PostgreSQL alone; changes still keep 28 digits. No property has it: it is an extra connection attribute (DMS user guide,
"Using a PostgreSQL database as an AWS DMS source" and "... as a target", endpoint settings)."""

WHOLE_TEXTS = "unboundedVarcharMaxSize=10485760"
"""Bytes of a varchar without a length: the most that DMS takes, instead of 8,000. Of the source alone."""


def source(stack: Stack, slot: If) -> dms.Endpoint:
    """The on-premises database, by the user's own secret; `slot` is that of a load by other means, or nothing."""
    secret = stack.parameter(_source.secret_arn()).ref()
    database = stack.parameter(_source.database_name())
    plugin = stack.parameter(choices.plugin())
    certificate = certificates.of_source(stack)
    verified = certificates.IS_SOURCE_VERIFIED
    role = _reader(stack, "Source", secret, _key_of_source(stack))
    return stack.add(
        dms.Endpoint(
            "SourceEndpoint",
            EndpointType="source",
            EngineName="postgres",
            DatabaseName=database.ref(),
            SslMode=If(verified, "verify-full", "require"),
            CertificateArn=If(verified, certificate.ref(), NoValue),
            KmsKeyId=stack.import_value(KEY_ARN),
            # Beside the settings below: DMS keeps both in one list, the settings under their names as attributes.
            ExtraConnectionAttributes=f"{WHOLE_NUMERICS};{WHOLE_TEXTS}",
            PostgreSqlSettings=dms.PostgreSqlSettings(
                SecretsManagerSecretId=secret,
                SecretsManagerAccessRoleArn=role.get_att("Arn"),
                PluginName=plugin.ref(),
                SlotName=slot,
                MapBooleanAsBoolean=True,
                # A value above the size that TableRules gives its table stops the task, and is not cut.
                FailTasksOnLobTruncation=True,
                # An idle source would otherwise keep all WAL since its last change, until its disk is full.
                HeartbeatEnable=True,
                # Capturing DDL wants a superuser's event trigger on the source; the schema is frozen instead.
                CaptureDdls=False,
            ),
        )
    )


def target(stack: Stack) -> dms.Endpoint:
    """The database in RDS, as DMS's own user."""
    secret, key = stack.import_value(DMS_SECRET_ARN), stack.import_value(KEY_ARN)
    certificate = certificates.of_target(stack)
    role = _reader(stack, "Target", secret, _use_of_key(stack, "TargetSecretKeyPolicy", key).ref())
    return stack.add(
        dms.Endpoint(
            "TargetEndpoint",
            EndpointType="target",
            EngineName="postgres",
            DatabaseName=stack.import_value(DATABASE_NAME),
            SslMode="verify-full",
            CertificateArn=certificate.ref(),
            KmsKeyId=key,
            ExtraConnectionAttributes=WHOLE_NUMERICS,
            PostgreSqlSettings=dms.PostgreSqlSettings(
                SecretsManagerSecretId=secret,
                SecretsManagerAccessRoleArn=role.get_att("Arn"),
                MapBooleanAsBoolean=True,
            ),
        )
    )


def _reader(stack: Stack, side: str, secret: Any, use_of_key: Any) -> iam.Role:
    """A role by which DMS reads one secret; `use_of_key` is the policy for the secret's key, or nothing.

    It trusts the principal of the region, and not the global one (DMS user guide, "Using secrets to access Database
    Migration Service endpoints"). The role names its policies, and not they the role: so the endpoint, which DMS tries
    the role with, waits for all of them.
    """
    reading = stack.add(
        iam.ManagedPolicy(
            f"{side}SecretPolicy",
            Description=f"Reads the secret of the {side.lower()} endpoint",
            PolicyDocument=policies.document(policies.allow("ReadSecret", [secret_actions.GetSecretValue], [secret])),
        )
    )
    return stack.add(
        iam.Role(
            f"{side}SecretRole",
            AssumeRolePolicyDocument=policies.trust("Replication", policies.regional_service("dms")),
            ManagedPolicyArns=[reading.ref(), use_of_key],
        )
    )


def _key_of_source(stack: Stack) -> If:
    """The policy for the key of the source's secret, where the secret has one of its own."""
    key = stack.parameter(_source.secret_key_arn())
    has_key = stack.condition("HasSourceSecretKey", Not(Equals(key.ref(), "")))
    return If(has_key, _use_of_key(stack, "SourceSecretKeyPolicy", key.ref(), Condition=has_key).ref(), NoValue)


def _use_of_key(stack: Stack, title: str, key: Any, **attributes: Any) -> iam.ManagedPolicy:
    through_secrets = Condition(StringEquals({"kms:ViaService": Sub("secretsmanager.${AWS::Region}.amazonaws.com")}))
    return stack.add(
        iam.ManagedPolicy(
            title,
            Description="Decrypts the secret of an endpoint",
            PolicyDocument=policies.document(
                policies.allow("DecryptSecret", [kms_actions.Decrypt], [key], condition=through_secrets),
                policies.allow("LookAtKey", [kms_actions.DescribeKey], [key]),
            ),
            **attributes,
        )
    )
