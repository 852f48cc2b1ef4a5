"""Values that a service's API refuses although the registry's schema takes them: choices, numbers, and DMS's settings.

The choices are the enumerations of the API's model that the schema of the type lacks (a test compares them with
botocore), and those that the API's reference gives in words. Lint rules and the embedded cloud judge by this table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_LOG_DRIVERS = ("json-file", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "awsfirelens")
_KEY_TYPES = ("HASH", "RANGE")
_MFA_ACTIONS = ("BLOCK", "MFA_IF_CONFIGURED", "MFA_REQUIRED", "NO_ACTION")

DMS_ENGINES = (
    *("aurora", "aurora-postgresql", "aurora-postgresql-serverless", "aurora-serverless", "azure-sql-managed-instance"),
    *("azuredb", "babelfish", "db2", "db2-zos", "dms-transfer", "docdb", "dynamodb", "elasticsearch", "gcp-mysql"),
    *(
        "google-cloud-sql-for-mysql",
        "kafka",
        "kinesis",
        "mariadb",
        "mongodb",
        "mysql",
        "neptune",
        "opensearch",
        "oracle",
    ),
    *("postgres", "redis", "redshift", "redshift-serverless", "s3", "sqlserver", "sybase", "timestream"),
)
"""DMS API reference, CreateEndpoint, EngineName."""

ONLY_TARGETS = (
    *("babelfish", "dynamodb", "elasticsearch", "kafka", "kinesis", "neptune", "opensearch", "redis", "redshift"),
    *("redshift-serverless", "timestream"),
)
ONLY_SOURCES = ("azuredb", "azure-sql-managed-instance", "mongodb")
"""Engines that DMS has on one side alone (DMS user guide, "Sources for data migration", "Targets for data
migration")."""

MODELLED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AWS::CertificateManager::Certificate": {
        "KeyAlgorithm": (
            *("RSA_1024", "RSA_2048", "RSA_3072", "RSA_4096"),
            *("EC_prime256v1", "EC_secp384r1", "EC_secp521r1"),
        ),
        "ValidationMethod": ("EMAIL", "DNS", "HTTP"),
    },
    "AWS::CodeBuild::SourceCredential": {
        "AuthType": ("OAUTH", "BASIC_AUTH", "PERSONAL_ACCESS_TOKEN", "CODECONNECTIONS", "SECRETS_MANAGER"),
        "ServerType": ("GITHUB", "BITBUCKET", "GITHUB_ENTERPRISE", "GITLAB", "GITLAB_SELF_MANAGED"),
    },
    "AWS::Cognito::LogDeliveryConfiguration": {
        "LogConfigurations.*.EventSource": ("userNotification", "userAuthEvents"),
        "LogConfigurations.*.LogLevel": ("ERROR", "INFO"),
    },
    "AWS::Cognito::UserPoolRiskConfigurationAttachment": {
        "AccountTakeoverRiskConfiguration.Actions.HighAction.EventAction": _MFA_ACTIONS,
        "AccountTakeoverRiskConfiguration.Actions.LowAction.EventAction": _MFA_ACTIONS,
        "AccountTakeoverRiskConfiguration.Actions.MediumAction.EventAction": _MFA_ACTIONS,
        "CompromisedCredentialsRiskConfiguration.Actions.EventAction": ("BLOCK", "NO_ACTION"),
        "CompromisedCredentialsRiskConfiguration.EventFilter.*": ("SIGN_IN", "PASSWORD_CHANGE", "SIGN_UP"),
    },
    "AWS::DMS::Endpoint": {
        "DocDbSettings.NestingLevel": ("none", "one"),
        "EndpointType": ("source", "target"),
        "KafkaSettings.MessageFormat": ("json", "json-unformatted"),
        "KafkaSettings.SecurityProtocol": ("plaintext", "ssl-authentication", "ssl-encryption", "sasl-ssl"),
        "KinesisSettings.MessageFormat": ("json", "json-unformatted"),
        "MicrosoftSqlServerSettings.SafeguardPolicy": (
            *("rely-on-sql-server-replication-agent", "exclusive-automatic-truncation"),
            "shared-automatic-truncation",
        ),
        "MicrosoftSqlServerSettings.TlogAccessMode": ("BackupOnly", "PreferBackup", "PreferTlog", "TlogOnly"),
        "MongoDbSettings.AuthMechanism": ("default", "mongodb_cr", "scram_sha_1"),
        "MongoDbSettings.AuthType": ("no", "password"),
        "MongoDbSettings.NestingLevel": ("none", "one"),
        "MySqlSettings.TargetDbType": ("specific-database", "multiple-databases"),
        "OracleSettings.CharLengthSemantics": ("default", "char", "byte"),
        "PostgreSqlSettings.DatabaseMode": ("default", "babelfish"),
        "PostgreSqlSettings.PluginName": ("no-preference", "test-decoding", "pglogical"),
        "RedisSettings.AuthType": ("none", "auth-role", "auth-token"),
        "RedisSettings.SslSecurityProtocol": ("plaintext", "ssl-encryption"),
        "RedshiftSettings.EncryptionMode": ("sse-s3", "sse-kms"),
        "S3Settings.CannedAclForObjects": (
            *("none", "private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read"),
            *("bucket-owner-read", "bucket-owner-full-control"),
        ),
        "S3Settings.CompressionType": ("none", "gzip"),
        "S3Settings.DataFormat": ("csv", "parquet"),
        "S3Settings.DatePartitionDelimiter": ("SLASH", "UNDERSCORE", "DASH", "NONE"),
        "S3Settings.DatePartitionSequence": ("YYYYMMDD", "YYYYMMDDHH", "YYYYMM", "MMYYYYDD", "DDMMYYYY"),
        "S3Settings.EncodingType": ("plain", "plain-dictionary", "rle-dictionary"),
        "S3Settings.EncryptionMode": ("sse-s3", "sse-kms"),
        "S3Settings.ParquetVersion": ("parquet-1-0", "parquet-2-0"),
        "SslMode": ("none", "require", "verify-ca", "verify-full"),
    },
    "AWS::DynamoDB::Table": {
        "GlobalSecondaryIndexes.*.KeySchema.*.KeyType": _KEY_TYPES,
        "LocalSecondaryIndexes.*.KeySchema.*.KeyType": _KEY_TYPES,
    },
    "AWS::EC2::CustomerGateway": {"Type": ("ipsec.1",)},
    "AWS::ECS::Service": {"ServiceConnectConfiguration.LogConfiguration.LogDriver": _LOG_DRIVERS},
    "AWS::ECS::TaskDefinition": {"ContainerDefinitions.*.LogConfiguration.LogDriver": _LOG_DRIVERS},
    "AWS::ElasticLoadBalancing::LoadBalancer": {"Scheme": ("internet-facing", "internal")},
    "AWS::Lambda::EventSourceMapping": {"StartingPosition": ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")},
    "AWS::Logs::DeliveryDestination": {
        "DeliveryDestinationType": ("S3", "CWL", "FH", "XRAY"),
        "OutputFormat": ("json", "plain", "w3c", "raw", "parquet"),
    },
}
"""{type: {property: values}}: enumerations of the API's models that the registry's schema lacks."""

_DOCUMENTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AWS::DMS::Endpoint": {
        "EngineName": DMS_ENGINES,
        "PostgreSqlSettings.MapLongVarcharAs": ("wstring", "clob", "nclob"),
    },
    "AWS::DMS::ReplicationInstance": {"NetworkType": ("ipv4", "dual")},
    "AWS::DMS::ReplicationTask": {"MigrationType": ("full-load", "cdc", "full-load-and-cdc")},
    "AWS::RDS::DBInstance": {
        "EngineLifecycleSupport": ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled"),
        "NetworkType": ("IPV4", "DUAL"),
    },
}
"""Those that the API references give in words: DMS, CreateEndpoint, PostgreSQLSettings, CreateReplicationInstance,
CreateReplicationTask; RDS, CreateDBInstance."""

RANGES: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "AWS::DMS::Endpoint": {"Port": (1, 65_535)},
    "AWS::DMS::ReplicationInstance": {"AllocatedStorage": (5, 6144)},
    "AWS::RDS::DBInstance": {"PromotionTier": (0, 15)},
    "AWS::RDS::DBCluster": {"Port": (1150, 65_535)},
}
"""{type: {property: least and most}} (DMS API reference, CreateEndpoint; DMS user guide, "Quotas for AWS Database
Migration Service"; RDS API reference, CreateDBInstance and CreateDBCluster)."""


def choices_of(resource_type: str) -> dict[str, tuple[str, ...]]:
    """Return the values that the properties of a type take, by dotted path; `*` stands for the entries of a list."""
    return {**MODELLED.get(resource_type, {}), **_DOCUMENTED.get(resource_type, {})}


TYPES: tuple[str, ...] = tuple(sorted({*MODELLED, *_DOCUMENTED, *RANGES}))
"""The types with choices or ranges."""


@dataclass(frozen=True)
class Refused:
    """A value that the service refuses: where it is, and what is allowed in words."""

    path: str
    value: Any
    allowed: str


def refused(resource_type: str, properties: Mapping[str, Any]) -> Iterator[Refused]:
    """Yield the resolved properties that the service refuses; choices in any case of letters are taken."""
    for path, values in choices_of(resource_type).items():
        known = {value.lower() for value in values}
        for found in _values_at(properties, path):
            if isinstance(found, str) and found.lower() not in known:
                yield Refused(path, found, ", ".join(values))
    for path, (least, most) in RANGES.get(resource_type, {}).items():
        for found in _values_at(properties, path):
            if number(found) is not None and not least <= int(found) <= most:
                yield Refused(path, found, f"{least} to {most}")


def number(value: Any) -> int | None:
    """Return a whole number that a template gives as a number or as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        return None
    text = str(value)
    return int(text) if len(text) < 20 and text.removeprefix("-").isdecimal() else None


def _values_at(node: Any, path: str) -> Iterator[Any]:
    part, _, rest = path.partition(".")
    if part == "*":
        inner = node if isinstance(node, list) else []
    else:
        inner = [node[part]] if isinstance(node, Mapping) and part in node else []
    for each in inner:
        yield from _values_at(each, rest) if rest else [each]
