"""Both ends of the replication. DMS reads user, password, host and port from the secrets itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from awacs import kms as kms_actions, secretsmanager as secret_actions
from awacs.aws import Condition, StringEquals
from troposphere import And, Condition as IfCondition, Equals, If, Not, NoValue, Parameter, Sub, dms, iam

from builders import policies
from builders.layers import _source
from builders.layers._migration import certificates
from builders.layers.database import DATABASE_NAME
from builders.layers.foundation import KEY_ARN
from builders.stack import Stack, Value

WHOLE_NUMERICS = "mapUnboundedNumericAsString=true"
"""Numbers without a precision travel as text, and not as numeric(28,6), which rounds them. For both ends together, and
PostgreSQL alone; changes still keep 28 digits. No property has it: it is an extra connection attribute (DMS user guide,
"Using a PostgreSQL database as an AWS DMS source" and "... as a target", endpoint settings)."""

WHOLE_TEXTS = "unboundedVarcharMaxSize=10485760"
"""Bytes of a varchar without a length: the most that DMS takes, instead of 8,000. Of the source alone."""


class Database(Value):
    """A database as DMS reaches it: its name, the secret of a user and the role that reads it, and its certificate."""

    name: Any
    secret: Any
    reader: iam.Role
    ssl_mode: Any
    certificate: Any
    """The ARN of the authority's certificate, or nothing where it is not verified."""

    def endpoint(self, stack: Stack, title: str, attributes: Mapping[str, Any], **properties: Any) -> dms.Endpoint:
        """The endpoint `title`, with the settings in `properties` beside those of the connection."""
        return stack.add(
            dms.Endpoint(
                title,
                EngineName="postgres",
                DatabaseName=self.name,
                SslMode=self.ssl_mode,
                CertificateArn=self.certificate,
                KmsKeyId=stack.import_value(KEY_ARN),
                **properties,
                **attributes,
            )
        )

    def login(self) -> dict[str, Any]:
        """The settings by which DMS logs in; on both ends, or booleans become varchar(5)."""
        return {
            "SecretsManagerSecretId": self.secret,
            "SecretsManagerAccessRoleArn": self.reader.get_att("Arn"),
            "MapBooleanAsBoolean": True,
        }


def source(
    stack: Stack, database: Database, plugin: Any, slot: Any, heartbeat_schema: Any, **attributes: Any
) -> dms.Endpoint:
    """The end that is read from; `slot` is one that exists, or nothing where DMS makes its own."""
    return database.endpoint(
        stack,
        "SourceEndpoint",
        attributes,
        EndpointType="source",
        # Beside the settings below: DMS keeps both in one list, the settings under their names as attributes.
        ExtraConnectionAttributes=f"{WHOLE_NUMERICS};{WHOLE_TEXTS}",
        PostgreSqlSettings=dms.PostgreSqlSettings(
            **database.login(),
            PluginName=plugin,
            SlotName=slot,
            # A value above the size that TableRules gives its table stops the task, and is not cut.
            FailTasksOnLobTruncation=True,
            # An idle source would otherwise keep all WAL since its last change, until its disk is full.
            HeartbeatEnable=True,
            HeartbeatSchema=heartbeat_schema,
            # Capturing DDL wants a superuser's event trigger on the source; the schema is frozen instead.
            CaptureDdls=False,
        ),
    )


def target(stack: Stack, database: Database, **attributes: Any) -> dms.Endpoint:
    """The end that is written to."""
    return database.endpoint(
        stack,
        "TargetEndpoint",
        attributes,
        EndpointType="target",
        ExtraConnectionAttributes=WHOLE_NUMERICS,
        PostgreSqlSettings=dms.PostgreSqlSettings(**database.login()),
    )


def on_premises(
    stack: Stack, side: str, secret: Parameter, key: Parameter, certificate: Any, **attributes: Any
) -> Database:
    """The on-premises database, by a secret of the user's own; it is verified where IS_SOURCE_VERIFIED holds."""
    verified = certificates.IS_SOURCE_VERIFIED
    return Database(
        name=stack.parameter(_source.database_name()).ref(),
        secret=secret.ref(),
        reader=_reader(
            stack, side, secret.ref(), _use_of_own_key(stack, side, key, attributes.get("Condition")), **attributes
        ),
        ssl_mode=If(verified, "verify-full", "require"),
        certificate=If(verified, certificate, NoValue),
    )


def in_rds(stack: Stack, side: str, secret: Any, certificate: Any, **attributes: Any) -> Database:
    """The database in RDS, by a secret that we have generated."""
    use_of_key = _use_of_key(stack, f"{side}SecretKeyPolicy", stack.import_value(KEY_ARN), **attributes)
    return Database(
        name=stack.import_value(DATABASE_NAME),
        secret=secret,
        reader=_reader(stack, side, secret, use_of_key.ref(), **attributes),
        ssl_mode="verify-full",
        certificate=certificate,
    )


def _reader(stack: Stack, side: str, secret: Any, use_of_key: Any, **attributes: Any) -> iam.Role:
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
            **attributes,
        )
    )
    return stack.add(
        iam.Role(
            f"{side}SecretRole",
            AssumeRolePolicyDocument=policies.trust("Replication", policies.regional_service("dms")),
            ManagedPolicyArns=[reading.ref(), use_of_key],
            **attributes,
        )
    )


def _use_of_own_key(stack: Stack, side: str, key: Parameter, wanted: str | None = None) -> If:
    """The policy for the key of a secret that the user brings, where the secret has one of its own."""
    given = Not(Equals(key.ref(), ""))
    condition = And(IfCondition(wanted), given) if wanted else given
    has_key = stack.condition(f"Has{str(key.title).removesuffix('Arn')}", condition)
    return If(has_key, _use_of_key(stack, f"{side}SecretKeyPolicy", key.ref(), Condition=has_key).ref(), NoValue)


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
