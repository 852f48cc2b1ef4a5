"""The replication from on-premises into the database: subnet group, instance, both endpoints, and the task.

DMS makes the subnet group only in an account that has DMS's own role for it, which the layer `account` makes, once an
account and in one region.
"""

from __future__ import annotations

from troposphere import If, Join, NoValue, Split, Sub, dms, logs

from builders.layers import _source
from builders.layers._migration import certificates, choices, endpoints, task
from builders.layers.foundation import KEY_ARN
from builders.layers.network import DMS_SECURITY_GROUP_ID, PRIVATE_SUBNET_IDS
from builders.layers.secrets import DMS_SECRET_ARN
from builders.naming import REPLICATION_INSTANCE
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

# The way is proven, and DMS's user is in the target: a task that cannot connect would only fail when it is started.
AFTER = ("connectivity", "database_users")

INSTANCE_ARN = Export("migration", "DmsReplicationInstanceArn", "ARN of the replication instance")
TARGET_CERTIFICATE_ARN = Export("migration", "TargetCertificateArn", "ARN of the certificate of the region's RDS root")
TASK_ARN = Export("migration", "ReplicationTaskArn", "ARN of the replication task")


def build(stack: Stack) -> None:
    """Make what replicates, ready to be started by `migrate-database start`."""
    instance = _instance(stack)
    beginning = task.declare_beginning(stack)
    source = _source_endpoint(stack, beginning.slot)
    certificate = certificates.of_target(stack).ref()
    in_rds = endpoints.in_rds(stack, "Target", stack.import_value(DMS_SECRET_ARN), certificate)
    target = endpoints.target(stack, in_rds)
    replication = task.build(stack, instance.ref(), source, target, beginning)
    stack.export(TARGET_CERTIFICATE_ARN, certificate)
    stack.export(INSTANCE_ARN, instance.ref())
    stack.export(TASK_ARN, replication.ref())
    stack.output("SourceEndpointArn", source.ref(), "ARN of the endpoint of the on-premises database")
    stack.output("TargetEndpointArn", target.ref(), "ARN of the endpoint of the database in RDS")
    _tell_source(stack)


def _source_endpoint(stack: Stack, slot: If) -> dms.Endpoint:
    """The end on-premises; `slot` is that of a load by other means, or nothing."""
    secret, key = stack.parameter(_source.secret_arn()), stack.parameter(_source.secret_key_arn())
    certificate = certificates.of_source(stack).ref()
    database = endpoints.on_premises(stack, "Source", secret, key, certificate)
    return endpoints.source(stack, database, stack.parameter(choices.plugin()).ref(), slot, NoValue)


def _instance(stack: Stack) -> dms.ReplicationInstance:
    """The instance, private and encrypted.

    Named on purpose: CloudFormation then refuses to replace it, and its metrics are found by the name.
    """
    identifier = stack.name(REPLICATION_INSTANCE)
    subnets = stack.add(
        dms.ReplicationSubnetGroup(
            "ReplicationSubnets",
            ReplicationSubnetGroupDescription="The private subnets of the phase",
            SubnetIds=Split(",", stack.import_value(PRIVATE_SUBNET_IDS)),
        )
    )
    return stack.add(
        dms.ReplicationInstance(
            "ReplicationInstance",
            ReplicationInstanceIdentifier=identifier,
            ReplicationInstanceClass=stack.parameter(choices.instance_class()).ref(),
            EngineVersion=stack.parameter(choices.engine_version()).ref(),
            AllowMajorVersionUpgrade=stack.parameter(choices.major_upgrade()).ref(),
            AllocatedStorage=stack.parameter(choices.storage()).ref(),
            MultiAZ=stack.parameter(choices.multi_az()).ref(),
            PreferredMaintenanceWindow=stack.parameter(choices.maintenance_window()).ref(),
            AutoMinorVersionUpgrade=True,
            PubliclyAccessible=False,  # the default is true, and cannot be changed later
            KmsKeyId=stack.import_value(KEY_ARN),
            ReplicationSubnetGroupIdentifier=subnets.ref(),
            VpcSecurityGroupIds=[stack.import_value(DMS_SECURITY_GROUP_ID)],
            DependsOn=[_log_group(stack, identifier)],
        )
    )


def _log_group(stack: Stack, identifier: Sub) -> logs.LogGroup:
    """The group of the task's log, which DMS makes itself, unencrypted and for ever, if it does not stand before.

    It goes with the stack: its name is DMS's, and one that stayed would stand in the way of the same suffix.
    """
    return stack.add(
        logs.LogGroup(
            "ReplicationLogs",
            LogGroupName=Join("", ["dms-tasks-", identifier]),
            KmsKeyId=stack.import_value(KEY_ARN),
            RetentionInDays=stack.log_retention().ref(),
            DeletionPolicy="Delete",
            UpdateReplacePolicy="Delete",
        )
    )


def _tell_source(stack: Stack) -> None:
    """Say which database is migrated: DMS shows only the secret that holds its address."""
    host, port = stack.parameter(_source.host()), stack.parameter(_source.port())
    stack.output("SourceAddress", Join(":", [host.ref(), port.ref()]), "Host and port of the on-premises database")
