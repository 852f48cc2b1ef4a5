"""The target database of a phase: RDS for PostgreSQL, private and encrypted, with its secrets attached."""

from __future__ import annotations

from typing import Any

from troposphere import Equals, If, Join, Not, NoValue, Select, Split, rds
from troposphere.secretsmanager import SecretTargetAttachment

from builders import parameters, scanners
from builders.layers._database import choices, monitoring
from builders.layers.foundation import KEY_ARN
from builders.layers.network import DATABASE_SECURITY_GROUP_ID, PRIVATE_SUBNET_IDS
from builders.layers.secrets import DATABASE_SECRET_ARN, DMS_SECRET_ARN
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

ENDPOINT_ADDRESS = Export("database", "RdsEndpoint", "Host name of the target database")
PORT = Export("database", "RdsPort", "Port of the target database")
INSTANCE_IDENTIFIER = Export("database", "DatabaseInstanceIdentifier", "Identifier of the database instance")
DATABASE_NAME = Export("database", "DatabaseName", "Name of the database inside the instance")
ATTACHMENT = Export("database", "SecretAttachmentId", "There once the master user's secret holds host and port")
DMS_ATTACHMENT = Export("database", "DmsSecretAttachmentId", "There once the secret of DMS's user holds host and port")

SERVER_SETTINGS = {
    "rds.force_ssl": "1",
    "rds.accepted_password_auth_method": "scram",
    "password_encryption": "scram-sha-256",
    # After the cut-over this database feeds the old one, so that the phase can still fall back.
    "rds.logical_replication": "1",
    "log_connections": "1",
    "log_disconnections": "1",
    # A statement may hold a password or a card number, and the log is exported. So none is written into it, not even
    # one that failed, nor the row that a failed one collided with: PostgreSQL logs both unless told otherwise.
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # The one exception: who changed roles and definitions (PCI DSS 10.2.1.5, 10.2.1.7). pgaudit blanks what follows the
    # word PASSWORD, in a statement that stands alone: one that is sent together with others is logged as it is.
    # Both libraries, since naming one takes away the other, by which Database Insights tells statements apart (RDS user
    # guide, "Setting up the pgAudit extension"; "SQL statistics for RDS PostgreSQL"). A running database loads them at
    # its next restart.
    "shared_preload_libraries": "pg_stat_statements,pgaudit",
    "pgaudit.log": "role,ddl",
    "pgaudit.log_parameter": "0",
    # What is granted to this role is audited, too, once somebody makes it: reads of tables with card numbers.
    "pgaudit.role": "rds_pgaudit",
}


def build(stack: Stack) -> None:
    """Make the instance and what it stands on, then write its host and port into both secrets."""
    # Named on purpose: CloudFormation refuses to replace what has a given name, and so keeps the data.
    identifier = stack.name("stackferry-database")
    protection = stack.parameter(choices.deletion_protection())
    database = stack.add(
        rds.DBInstance(
            "Database",
            DBInstanceIdentifier=identifier,
            DeletionProtection=protection.ref(),
            DependsOn=monitoring.log_groups(stack, identifier, protection),
            DeletionPolicy="Snapshot",
            UpdateReplacePolicy="Snapshot",
            **_engine(stack),
            **_storage(stack),
            **_placement(stack),
            **_login(stack),
            **_maintenance(stack),
            **monitoring.properties(stack, identifier),
        )
    )
    scanners.accept(
        database,
        {
            "CKV_AWS_157": "MultiAZ is a parameter: on in production's file, off where a test database is thrown away",
            "CKV_AWS_161": "DMS and applications log in by SCRAM with a rotated secret; a second way in is one more",
        },
    )
    stack.export(ENDPOINT_ADDRESS, database.get_att("Endpoint.Address"))
    stack.export(PORT, database.get_att("Endpoint.Port"))
    stack.export(INSTANCE_IDENTIFIER, database.ref())
    _attach_secrets(stack, database)


def _engine(stack: Stack) -> dict[str, Any]:
    """The engine and its settings; a change of `EngineVersion` upgrades in place.

    A major version alone lets RDS choose the minor one and raise it later without drift: CloudFormation compares by
    prefix (CloudFormation template reference, "AWS::RDS::DBInstance", EngineVersion).
    """
    version = stack.parameter(choices.engine_version())
    upgrade = stack.parameter(choices.allow_major_version_upgrade())
    settings = stack.add(
        rds.DBParameterGroup(
            "ServerSettings",
            # Unnamed: name, family and description cannot change, and a major upgrade needs a group of the new family
            # beside the old one. A description that told of pgaudit, too, would replace the group.
            Description="TLS, SCRAM, logical replication, and logs without statements",
            Family=Join("", ["postgres", Select(0, Split(".", version.ref()))]),
            Parameters=SERVER_SETTINGS,
        )
    )
    return {
        "Engine": "postgres",
        "EngineVersion": version.ref(),
        "AllowMajorVersionUpgrade": upgrade.ref(),
        "AutoMinorVersionUpgrade": True,
        # The default enrols into paid support once the version is past its standard support.
        "EngineLifecycleSupport": "open-source-rds-extended-support-disabled",
        "DBParameterGroupName": settings.ref(),
        "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    }


def _storage(stack: Stack) -> dict[str, Any]:
    allocated = stack.parameter(choices.allocated_storage())
    most = stack.parameter(choices.max_allocated_storage())
    grows = stack.condition("HasStorageAutoscaling", Not(Equals(most.ref(), "0")))
    stack.rule(
        "StorageCanGrow",
        Not(Equals(allocated.ref(), most.ref())),
        "MaxAllocatedStorageGiB equals AllocatedStorageGiB; RDS wants at least a tenth more, or 0 for no growth",
    )
    return {
        "StorageType": "gp3",
        "AllocatedStorage": allocated.ref(),
        "MaxAllocatedStorage": If(grows, most.ref(), NoValue),
        "StorageEncrypted": True,
        "KmsKeyId": stack.import_value(KEY_ARN),
    }


def _placement(stack: Stack) -> dict[str, Any]:
    size = stack.parameter(choices.instance_class())
    standby = stack.parameter(choices.multi_az())
    port = stack.parameter(parameters.database_port())
    subnets = stack.add(
        rds.DBSubnetGroup(
            "DatabaseSubnets",
            DBSubnetGroupDescription="The private subnets of the phase",
            SubnetIds=Split(",", stack.import_value(PRIVATE_SUBNET_IDS)),
        )
    )
    return {
        "DBInstanceClass": size.ref(),
        "MultiAZ": standby.ref(),
        "Port": port.ref(),
        "DBSubnetGroupName": subnets.ref(),
        "VPCSecurityGroups": [stack.import_value(DATABASE_SECURITY_GROUP_ID)],
        "PubliclyAccessible": False,
    }


def _login(stack: Stack) -> dict[str, Any]:
    """Master user and password, which CloudFormation reads from the secret while it deploys."""
    name = stack.parameter(choices.database_name())
    stack.export(DATABASE_NAME, name.ref())
    return {
        "DBName": name.ref(),
        "MasterUsername": _from_secret(stack, "username"),
        "MasterUserPassword": _from_secret(stack, "password"),
    }


def _from_secret(stack: Stack, key: str) -> Join:
    secret = stack.import_value(DATABASE_SECRET_ARN)
    return Join("", ["{{resolve:secretsmanager:", secret, f":SecretString:{key}}}}}"])


def _maintenance(stack: Stack) -> dict[str, Any]:
    retention = stack.parameter(choices.backup_retention())
    backup = stack.parameter(choices.backup_window())
    maintenance = stack.parameter(choices.maintenance_window())
    return {
        "BackupRetentionPeriod": retention.ref(),
        "PreferredBackupWindow": backup.ref(),
        "PreferredMaintenanceWindow": maintenance.ref(),
        "DeleteAutomatedBackups": False,
        "CopyTagsToSnapshot": True,
    }


def _attach_secrets(stack: Stack, database: rds.DBInstance) -> None:
    """Write engine, host, port and database name into both secrets.

    A secret cannot take them by GetAtt, since the database needs it first. An attachment belongs to its secret, so an
    instance may have several (CDK API reference, "aws_rds.DatabaseSecret": a user's own secret attached beside the
    master's). DMS reads username, password, host and port from its secret and from nowhere else.
    """
    master = _attach(stack, "SecretAttachment", DATABASE_SECRET_ARN, database)
    dms = _attach(stack, "DmsSecretAttachment", DMS_SECRET_ARN, database)
    stack.export(ATTACHMENT, master.ref())
    stack.export(DMS_ATTACHMENT, dms.ref())


def _attach(stack: Stack, title: str, secret: Export, database: rds.DBInstance) -> SecretTargetAttachment:
    return stack.add(
        SecretTargetAttachment(
            title, SecretId=stack.import_value(secret), TargetId=database.ref(), TargetType="AWS::RDS::DBInstance"
        )
    )
