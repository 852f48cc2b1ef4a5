"""Values that a service's API refuses although the registry's schema takes them: choices, numbers, and DMS's settings.

The choices are the enumerations of the API's model that the schema of the type lacks (a test compares them with
botocore), and those that the API's reference gives in words. The one judge for lint rules, `build-templates --check`, a
rollout, and the embedded cloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from builders import database_instances, postgresql_settings
from builders.database_instances import MAINTENANCE_WINDOW, WINDOWS, Check, Properties
from builders.intrinsics import only_aws_knows

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

_NETWORKS = ("IPV4", "DUAL")
_LIFECYCLES = ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled")
_DOCUMENTED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "AWS::DMS::Endpoint": {
        "EngineName": DMS_ENGINES,
        "PostgreSqlSettings.MapLongVarcharAs": ("wstring", "clob", "nclob"),
    },
    "AWS::DMS::EventSubscription": {"SourceType": ("replication-instance", "replication-task")},
    "AWS::DMS::ReplicationInstance": {"NetworkType": ("ipv4", "dual")},
    "AWS::DMS::ReplicationTask": {"MigrationType": ("full-load", "cdc", "full-load-and-cdc")},
    "AWS::RDS::DBCluster": {
        "EngineLifecycleSupport": _LIFECYCLES,
        "NetworkType": _NETWORKS,
        "StorageType": ("aurora", "aurora-iopt1", "io1", "io2", "gp3"),
    },
    "AWS::RDS::DBInstance": {
        "BackupTarget": ("region", "outposts", "local"),
        "EngineLifecycleSupport": _LIFECYCLES,
        "NetworkType": _NETWORKS,
    },
    "AWS::RDS::EventSubscription": {
        "SourceType": (
            *("db-instance", "db-cluster", "db-parameter-group", "db-security-group", "db-snapshot", "db-proxy"),
            *("db-cluster-snapshot", "db-shard-group", "zero-etl", "custom-engine-version", "blue-green-deployment"),
        ),
    },
}
"""Limits that the API references give in words: DMS, CreateEndpoint, PostgreSQLSettings, CreateEventSubscription,
CreateReplicationInstance, CreateReplicationTask; RDS, CreateDBInstance, CreateDBCluster, CreateEventSubscription."""

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


# DMS user guide, "Choosing the right AWS DMS replication instance for your migration".
_DMS_CLASS = re.compile(
    r"dms\.(t[23]\.(micro|small|medium|large)|[cr](4|5|6i|7i|6g|7g)\.((2|4|8|9|12|16|18|24|32|48)?xlarge|large))"
)
_FIRST_DMS_VERSION = (3, 5)
"""Older versions of the replication engine are retired (DMS release notes)."""
PRIVATE_ASNS = ((64_512, 65_534), (4_200_000_000, 4_294_967_294))
"""The least and the most of each private range (EC2 API reference, TransitGatewayRequestOptions; Direct Connect API
reference, CreateDirectConnectGateway)."""
LEGACY_ASNS = (7224, 9059, 10124, 17493)
"""Amazon's own ASNs of private and Direct Connect gateways until July 2018, which templates still have
(aws.amazon.com, "AWS Direct Connect FAQs"; terraform-provider-aws#5263, #5441)."""
DEFAULT_ASN = 64_512
"""The ASN of transit, private and Direct Connect gateways that state none."""
_HOUR, _DAY, _WEEK = 3600, 24 * 3600, 7 * 24 * 3600
_RESEMBLING = 0.9
_SHORT_PERIODS = (10, 20, 30)
_MONITORING_SECONDS = (0, 1, 5, 10, 15, 30, 60)

# An engine and a version; PostgreSQL's are 9.6, and major versions alone from 10 on (RDS API reference,
# CreateDBParameterGroup, DBParameterGroupFamily).
_FAMILY = re.compile(
    r"(postgres|aurora-postgresql)(9\.\d|\d\d)|(aurora-)?mysql\d\.\d|aurora5\.6|mariadb\d+\.\d+"
    r"|(custom-)?(oracle|sqlserver|db2)-[a-z0-9-]+-\d+(\.\d+)?"
)

_MANAGED_BY_RDS = frozenset(
    """
    archive_command config_file data_directory external_pid_file hba_file ident_file listen_addresses log_directory port
    ssl_ca_file ssl_cert_file ssl_key_file unix_socket_directories unix_socket_group unix_socket_permissions wal_level
    """.split()  # noqa: SIM905
)
"""Parameters of PostgreSQL that RDS sets itself: its files, addresses and archive, and wal_level, which follows
rds.logical_replication (RDS user guide, "Working with parameters on your RDS for PostgreSQL DB instance", "Performing
logical replication for Amazon RDS for PostgreSQL")."""


def _dms_class(properties: Properties) -> str | None:
    name = properties.get("ReplicationInstanceClass")
    wrong = name is not None and not _DMS_CLASS.fullmatch(str(name))
    return f"Invalid replication instance class: {name}" if wrong else None


def _dms_version(properties: Properties) -> str | None:
    version = str(properties.get("EngineVersion") or "")
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdecimal())
    retired = len(numbers) < len(_FIRST_DMS_VERSION) or numbers < _FIRST_DMS_VERSION
    return f"No replication engine found with version: {version}" if version and retired else None


def _identifier(name: str, most: int) -> Check:
    """Return the check of a name of DMS (DMS API reference, CreateReplicationInstance, CreateReplicationTask,
    CreateEndpoint).
    """

    def refusal(properties: Properties) -> str | None:
        given = properties.get(name)
        if given is None or (re.fullmatch(r"[A-Za-z](-?[A-Za-z0-9])*", str(given)) and len(str(given)) <= most):
            return None
        return (
            f"The parameter {name} is not a valid identifier. Identifiers must begin with a letter; must contain only "
            f"ASCII letters, digits, and hyphens; must not end with a hyphen or contain two consecutive hyphens; and "
            f"must have at most {most} characters."
        )

    return Check((name,), refusal)


def _dms_subnet_group(properties: Properties) -> str | None:
    name = properties.get("ReplicationSubnetGroupIdentifier")
    fits = re.fullmatch(r"[A-Za-z0-9._-]{1,255}", str(name)) and str(name).lower() != "default"
    if name is None or fits:
        return None
    return (
        f"The parameter ReplicationSubnetGroupIdentifier {name} is not valid: it has at most 255 letters, digits, "
        "periods, underscores or hyphens, and is not default."
    )


_RESOURCE_IDENTIFIER = _identifier("ResourceIdentifier", 31)


def _cdc_start(properties: Properties) -> str | None:
    both = properties.get("CdcStartTime") is not None and properties.get("CdcStartPosition") is not None
    return "CdcStartTime and CdcStartPosition can't both be specified" if both else None


def _interval(properties: Properties) -> str | None:
    seconds = number(properties.get("MonitoringInterval"))
    wrong = seconds is not None and seconds not in _MONITORING_SECONDS
    allowed = ", ".join(map(str, _MONITORING_SECONDS))
    return f"Invalid monitoring interval: {seconds}. Valid values are {allowed}" if wrong else None


def _dms_zone(properties: Properties) -> str | None:
    if str(properties.get("MultiAZ")).lower() == "true" and properties.get("AvailabilityZone"):
        return "You can't set the AvailabilityZone parameter if the Multi-AZ parameter is set to true."
    return None


def _dms_side(properties: Properties) -> str | None:
    engine, side = (str(properties.get(name) or "").lower() for name in ("EngineName", "EndpointType"))
    wrong = engine in {"source": ONLY_TARGETS, "target": ONLY_SOURCES}.get(side, ())
    return f"Engine {engine} cannot be used as a {side} endpoint" if wrong else None


def refused_period(properties: Properties) -> str | None:
    """Return what is wrong with the period of an alarm, or of a query of its metric math."""
    period = number(properties.get("Period"))
    wrong = period is not None and period not in _SHORT_PERIODS and (period < 1 or period % 60)
    return "Period must be 10, 20, 30 or a multiple of 60" if wrong else None


def _alarm_evaluations(properties: Properties) -> str | None:
    evaluated, needed = number(properties.get("EvaluationPeriods")), number(properties.get("DatapointsToAlarm"))
    if evaluated is not None and evaluated < 1:
        return "EvaluationPeriods must be at least 1"
    if evaluated is not None and needed is not None and not 1 <= needed <= evaluated:
        return "DatapointsToAlarm must be less than or equal to EvaluationPeriods"
    return None


def _alarm_span(properties: Properties) -> str | None:
    period, evaluated = number(properties.get("Period")), number(properties.get("EvaluationPeriods"))
    if period is None or evaluated is None:
        return None
    longest, name = (_WEEK, "week") if period >= _HOUR else (_DAY, "day")
    if period * evaluated <= longest:
        return None
    bound = f"EvaluationPeriods * Period must be <= {longest}"
    return f"Metrics cannot be checked across more than a {name} ({bound})."


def _managed_parameter(properties: Properties) -> str | None:
    family, given = str(properties.get("Family") or ""), properties.get("Parameters")
    if not family.startswith(("postgres", "aurora-postgresql")) or not isinstance(given, Mapping):
        return None
    wrong = sorted(_MANAGED_BY_RDS & {str(name).lower() for name in given})
    return f"The parameter {wrong[0]} cannot be modified." if wrong else None


def _family(properties: Properties) -> str | None:
    family = properties.get("Family")
    wrong = family is not None and not _FAMILY.fullmatch(str(family).lower())
    return f"ParameterGroupFamily {family} is not a valid parameter group family" if wrong else None


def _misspelt_parameter(properties: Properties) -> str | None:
    family, given = str(properties.get("Family") or ""), properties.get("Parameters")
    if not family.startswith("postgres") or not isinstance(given, Mapping):
        return None
    from difflib import get_close_matches  # noqa: PLC0415  as in `builders.text`

    for name in sorted(map(str, given)):
        lower = name.lower()
        # Versions that came since have settings that are not listed: only what resembles a listed one is misspelt.
        unknown = lower not in postgresql_settings.NAMES and not lower.startswith(postgresql_settings.OF_EXTENSIONS)
        if unknown and get_close_matches(lower, postgresql_settings.NAMES, n=1, cutoff=_RESEMBLING):
            return f"Could not find parameter with name: {name}"
    return None


_PARAMETER_GROUP = (
    Check(("Family",), _family),
    Check(("Family", "Parameters"), _managed_parameter),
    Check(("Family", "Parameters"), _misspelt_parameter),
)
_MONITORING = (Check(("MonitoringInterval",), _interval),)
TOGETHER: Mapping[str, tuple[Check, ...]] = {
    "AWS::CloudWatch::Alarm": (
        Check(("Period",), refused_period),
        Check(("EvaluationPeriods", "DatapointsToAlarm"), _alarm_evaluations),
        Check(("Period", "EvaluationPeriods"), _alarm_span),
    ),
    "AWS::DMS::Endpoint": (
        Check(("EngineName", "EndpointType"), _dms_side),
        _identifier("EndpointIdentifier", 255),
        _RESOURCE_IDENTIFIER,
    ),
    "AWS::DMS::ReplicationInstance": (
        Check(("ReplicationInstanceClass",), _dms_class),
        Check(("EngineVersion",), _dms_version, of_new=True),
        Check(("MultiAZ", "AvailabilityZone"), _dms_zone),
        MAINTENANCE_WINDOW,
        _identifier("ReplicationInstanceIdentifier", 63),
        _RESOURCE_IDENTIFIER,
    ),
    "AWS::DMS::ReplicationSubnetGroup": (Check(("ReplicationSubnetGroupIdentifier",), _dms_subnet_group),),
    "AWS::DMS::ReplicationTask": (
        _RESOURCE_IDENTIFIER,
        Check(("CdcStartTime", "CdcStartPosition"), _cdc_start),
    ),
    "AWS::DocDB::DBCluster": WINDOWS,
    "AWS::Neptune::DBCluster": WINDOWS,
    "AWS::Neptune::DBInstance": (MAINTENANCE_WINDOW,),
    "AWS::RDS::DBCluster": _MONITORING,
    "AWS::RDS::DBInstance": _MONITORING,
    "AWS::Redshift::Cluster": (MAINTENANCE_WINDOW,),
    "AWS::RDS::DBClusterParameterGroup": _PARAMETER_GROUP,
    "AWS::RDS::DBParameterGroup": _PARAMETER_GROUP,
}
"""{type: checks of values that a table of choices and numbers cannot hold} (CloudWatch API reference, PutMetricAlarm;
DMS API reference, CreateEndpoint, CreateReplicationInstance, CreateReplicationTask; RDS, Neptune, DocumentDB and
Redshift API references, CreateDBInstance, CreateDBCluster, CreateCluster)."""


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


def _choice(path: str, allowed: tuple[str, ...]) -> Check:
    known = {value.lower() for value in allowed}

    def refusal(properties: Properties) -> str | None:
        for value in _values_at(properties, path):
            if isinstance(value, str) and value.lower() not in known and not only_aws_knows(value):
                return invalid(path, value, f"satisfy enum value set: [{', '.join(allowed)}]")
        return None

    return Check((path.partition(".")[0],), refusal)


def _range(path: str, least: int, most: int) -> Check:
    def refusal(properties: Properties) -> str | None:
        for value in _values_at(properties, path):
            found = number(value)
            if found is not None and not least <= found <= most:
                bound = f"less than or equal to {most}" if found > most else f"greater than or equal to {least}"
                return invalid(path, value, f"have value {bound}")
        return None

    return Check((path.partition(".")[0],), refusal)


_OF_KEYS = {"KeySpec": "SYMMETRIC_DEFAULT", "KeyUsage": "ENCRYPT_DECRYPT", "Origin": "AWS_KMS", "MultiRegion": "false"}


def change_refusals(resource_type: str, old: Properties, new: Properties) -> Iterator[tuple[str, str]]:
    """Yield the properties that a service refuses to change in place although the registry's schema lets them change,
    each with a sentence; those on DMS and KMS are ours.

    Sources: DMS user guide, "Working with replication engine versions"; CloudFormation template reference,
    "AWS::KMS::Key".
    """
    if resource_type == "AWS::RDS::DBInstance":
        yield from database_instances.change_refusals(old, new)
    elif resource_type == "AWS::DMS::ReplicationInstance":
        versions = database_instances.version_change(old, new)
        if versions and versions[1] < versions[0]:
            yield "EngineVersion", "DMS takes no replication instance back to an earlier engine version"
    elif resource_type == "AWS::KMS::Key":
        for name, default in _OF_KEYS.items():
            if str(old.get(name, default)).lower() != str(new.get(name, default)).lower():
                yield name, "a key keeps it for ever"


def invalid(path: str, value: Any, constraint: str) -> str:
    """Return the sentence of a service that holds a request against its model."""
    where = ".".join(part[:1].lower() + part[1:] for part in path.replace(".*", ".member").split("."))
    failed = f"Value '{value}' at '{where}' failed to satisfy constraint: Member must {constraint}"
    return f"1 validation error detected: {failed}"


def _checks_of(resource_type: str) -> tuple[Check, ...]:
    choices = [_choice(path, allowed) for path, allowed in choices_of(resource_type).items()]
    ranges = [_range(path, *bounds) for path, bounds in RANGES.get(resource_type, {}).items()]
    return (*TOGETHER.get(resource_type, ()), *choices, *ranges)


TYPES: tuple[str, ...] = tuple(sorted({*MODELLED, *_DOCUMENTED, *RANGES, *TOGETHER}))
"""The types that are judged here."""
OURS: Mapping[str, tuple[Check, ...]] = {name: _checks_of(name) for name in TYPES}
"""{type: the checks of this module}."""
CHECKS: Mapping[str, tuple[Check, ...]] = {
    name: (*database_instances.CHECKS.get(name, ()), *OURS.get(name, ()))
    for name in {*database_instances.CHECKS, *TYPES}
}
"""{type: all checks}, for whoever knows the values of a template's properties."""
