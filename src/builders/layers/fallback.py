"""The replication back to on-premises, from the cut-over on, so that a phase can fall back: off by default.

DMS reads the database in RDS as the user `ferry_fallback`, whose secret is generated here and whom `migrate-database`
makes: a member of rds_replication who reads the migrated tables and writes its heartbeat into the schema of the marker.
It writes on-premises as the user of a secret that is brought, whose session has to be a replica, or triggers and
foreign keys act on its writes a second time. A connection script of the endpoint cannot make it one: SET is refused
(42501) to a user without GRANT SET ON PARAMETER, which came with PostgreSQL 15. A superuser does, once:
`ALTER ROLE ... SET session_replication_role = replica`.
"""

from __future__ import annotations

from troposphere import Parameter, cloudformation, dms
from troposphere.secretsmanager import SecretTargetAttachment

from builders import naming
from builders.layers import _source
from builders.layers._migration import certificates, endpoints, task
from builders.layers._monitoring.replication import watch
from builders.layers._monitoring.thresholds import fallback_expected
from builders.layers._monitoring.watched import WatchedTask, last_of
from builders.layers.database import INSTANCE_IDENTIFIER
from builders.layers.migration import INSTANCE_ARN, TARGET_CERTIFICATE_ARN
from builders.layers.secrets import FALLBACK_USERNAME, generated_login
from builders.naming import REPLICATION_INSTANCE
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

TASK_ARN = Export("fallback", "FallbackTaskArn", "ARN of the replication task of the way back")
SECRET_ARN = Export("fallback", "FallbackUserSecretArn", "ARN of the secret by which the way back reads the database")


def build(stack: Stack) -> None:
    """Make the endpoints, the task and the alarms of the way back where CreateFallback asks for them."""
    # A stack has at least one resource, and with the way back switched off this is the one: a handle costs nothing.
    stack.add(cloudformation.WaitConditionHandle("Placeholder"))
    wanted, secret = _source.declare_fallback(stack)
    source = _source_endpoint(stack, wanted)
    target = _target_endpoint(stack, secret, wanted)
    replication = task.build_fallback(stack, stack.import_value(INSTANCE_ARN), source, target, Condition=wanted)
    stack.export(TASK_ARN, replication.ref(), condition=wanted)
    watched = WatchedTask(replication.ref(), last_of(replication.ref()), stack.name(REPLICATION_INSTANCE), wanted)
    watch(stack, watched, "database in RDS", stack.parameter(fallback_expected()).ref())
    for name, endpoint, which in (
        ("FallbackSourceEndpointArn", source, "database in RDS"),
        ("FallbackTargetEndpointArn", target, "on-premises database"),
    ):
        description = f"ARN of the endpoint by which the way back reaches the {which}"
        stack.output(name, endpoint.ref(), description, condition=wanted)


def _source_endpoint(stack: Stack, wanted: str) -> dms.Endpoint:
    """The database in RDS, as a user of its own; the slot is made by the cut-over, before the first write."""
    secret = generated_login(
        stack, "Secret", FALLBACK_USERNAME, "User of the way back in the target database", Condition=wanted
    )
    attachment = stack.add(
        SecretTargetAttachment(
            "SecretAttachment",
            SecretId=secret.ref(),
            TargetId=stack.import_value(INSTANCE_IDENTIFIER),
            TargetType="AWS::RDS::DBInstance",
            Condition=wanted,
        )
    )
    stack.export(SECRET_ARN, secret.ref(), condition=wanted)
    certificate = stack.import_value(TARGET_CERTIFICATE_ARN)
    # Of an attachment the reference is the secret's ARN, which then holds host and port.
    database = endpoints.in_rds(stack, "Source", attachment.ref(), certificate, Condition=wanted)
    return endpoints.source(
        stack,
        database,
        "test-decoding",
        naming.FALLBACK_SLOT,
        naming.MARKER_SCHEMA,
        Condition=wanted,
    )


def _target_endpoint(stack: Stack, secret: Parameter, wanted: str) -> dms.Endpoint:
    """The on-premises database, which DMS reaches at the port that it reads on the way forth."""
    key = stack.parameter(_source.fallback_secret_key_arn())
    certificate = certificates.of_source(stack, wanted).ref()
    database = endpoints.on_premises(stack, "Target", secret, key, certificate, Condition=wanted)
    return endpoints.target(stack, database, Condition=wanted)
