"""Both ends of the replication. DMS reads user, password, host and port from the secrets itself."""

from __future__ import annotations

from typing import Any

from awacs import kms as kms_actions, secretsmanager as secret_actions
from awacs.aws import Condition, Statement, StringEquals
from troposphere import Equals, If, Not, NoValue, Sub, dms, iam

from builders import policies
from builders.layers import _source
from builders.layers._migration import certificates, choices
from builders.layers.database import DATABASE_NAME
from builders.layers.foundation import KEY_ARN
from builders.layers.secrets import DMS_SECRET_ARN
from builders.stack import Stack


def source(stack: Stack) -> dms.Endpoint:
    """The on-premises database, by the user's own secret."""
    secret = stack.parameter(_source.secret_arn())
    database = stack.parameter(_source.database_name())
    plugin = stack.parameter(choices.plugin())
    certificate = certificates.of_source(stack)
    verified = certificates.IS_SOURCE_VERIFIED
    role, policy = _reader(stack, "Source", secret.ref())
    key_policy = _read_own_key(stack, role)
    return stack.add(
        dms.Endpoint(
            "SourceEndpoint",
            EndpointType="source",
            EngineName="postgres",
            DatabaseName=database.ref(),
            SslMode=If(verified, "verify-full", "require"),
            CertificateArn=If(verified, certificate.ref(), NoValue),
            KmsKeyId=stack.import_value(KEY_ARN),
            PostgreSqlSettings=dms.PostgreSqlSettings(
                SecretsManagerSecretId=secret.ref(),
                SecretsManagerAccessRoleArn=role.get_att("Arn"),
                PluginName=plugin.ref(),
                MapBooleanAsBoolean=True,
                # An idle source would otherwise keep all WAL since its last change, until its disk is full.
                HeartbeatEnable=True,
                # Capturing DDL wants a superuser's event trigger on the source; the schema is frozen instead.
                CaptureDdls=False,
            ),
            DependsOn=[policy, key_policy],
        )
    )


def target(stack: Stack) -> dms.Endpoint:
    """The database in RDS, as DMS's own user."""
    certificate = certificates.of_target(stack)
    role, policy = _reader(stack, "Target", stack.import_value(DMS_SECRET_ARN))
    key_policy = _allow_key(stack, "TargetSecretKeyPolicy", role, stack.import_value(KEY_ARN))
    return stack.add(
        dms.Endpoint(
            "TargetEndpoint",
            EndpointType="target",
            EngineName="postgres",
            DatabaseName=stack.import_value(DATABASE_NAME),
            SslMode="verify-full",
            CertificateArn=certificate.ref(),
            KmsKeyId=stack.import_value(KEY_ARN),
            PostgreSqlSettings=dms.PostgreSqlSettings(
                SecretsManagerSecretId=stack.import_value(DMS_SECRET_ARN),
                SecretsManagerAccessRoleArn=role.get_att("Arn"),
                MapBooleanAsBoolean=True,
            ),
            DependsOn=[policy, key_policy],
        )
    )


def _reader(stack: Stack, side: str, secret: Any) -> tuple[iam.Role, iam.ManagedPolicy]:
    """A role by which DMS reads one secret.

    It trusts the principal of the region, and not the global one (DMS user guide, "Using secrets to access Database
    Migration Service endpoints").
    """
    role = stack.add(
        iam.Role(
            f"{side}SecretRole",
            AssumeRolePolicyDocument=policies.trust("Replication", policies.regional_service("dms")),
        )
    )
    policy = stack.add(
        iam.ManagedPolicy(
            f"{side}SecretPolicy",
            Description=f"Lets DMS read the secret of the {side.lower()} endpoint",
            PolicyDocument=policies.document(policies.allow("ReadSecret", [secret_actions.GetSecretValue], [secret])),
            Roles=[role.ref()],
        )
    )
    return role, policy


def _read_own_key(stack: Stack, role: iam.Role) -> iam.ManagedPolicy:
    """Let the role use the key of the source's secret, where the secret has one of its own."""
    key = stack.parameter(_source.secret_key_arn())
    has_key = stack.condition("HasSourceSecretKey", Not(Equals(key.ref(), "")))
    return _allow_key(stack, "SourceSecretKeyPolicy", role, key.ref(), Condition=has_key)


def _allow_key(stack: Stack, title: str, role: iam.Role, key: Any, **attributes: Any) -> iam.ManagedPolicy:
    return stack.add(
        iam.ManagedPolicy(
            title,
            Description="Lets DMS decrypt the secret of an endpoint",
            PolicyDocument=policies.document(*_key_statements(key)),
            Roles=[role.ref()],
            **attributes,
        )
    )


def _key_statements(key: Any) -> list[Statement]:
    through_secrets = Condition(StringEquals({"kms:ViaService": Sub("secretsmanager.${AWS::Region}.amazonaws.com")}))
    return [
        policies.allow("DecryptSecret", [kms_actions.Decrypt], [key], condition=through_secrets),
        policies.allow("LookAtKey", [kms_actions.DescribeKey], [key]),
    ]
