"""Refusals of DMS: faults of the API by name, and what CloudFormation cannot make: subnet groups, endpoints, instances.

Source: DMS API reference, the errors of each operation. Sentences that the reference does not give are from public
issues (terraform-provider-aws #2236, #24047 and #46516) or, where they say "(embedded cloud)", are ours.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ministack.core.responses import get_account_id

from builders import naming, service_limits
from builders.cloud.internals import ec2, iam
from builders.resource_types import Json


class Fault(Exception):
    """A fault of the API; `code` is the name that SDKs raise it under."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def not_found(what: str) -> Fault:
    """Nothing matches; DMS answers so to filters, too."""
    return Fault("ResourceNotFoundFault", f"No {what} found matching the filter")


def wrong_state(message: str) -> Fault:
    """The task is in a state in which it cannot do that."""
    return Fault("InvalidResourceStateFault", message)


def invalid(message: str) -> Fault:
    """A parameter has a value that DMS does not take."""
    return Fault("InvalidParameterValueException", message)


def check_subnet_group(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a DMS subnet group without DMS's role in the account, or in one zone (DMS user guide, "Setting up a
    network for a replication instance")."""
    if naming.DMS_VPC_ROLE not in iam.roles:
        raise ValueError(
            f"The IAM Role arn:aws:iam::{get_account_id()}:role/{naming.DMS_VPC_ROLE} is not configured properly. "
            "(Service: AWSDatabaseMigrationService, Status Code: 400, Error Code: AccessDeniedFault)"
        )
    subnets = [ec2.subnets.get(identifier) for identifier in properties.get("SubnetIds") or []]
    zones = {subnet["AvailabilityZone"] for subnet in subnets if subnet}
    if not all(subnets):
        raise ValueError("The specified subnet does not exist (Error Code: InvalidSubnet)")
    if len(zones) < 2:
        raise ValueError(
            "The replication subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ "
            f"coverage: {', '.join(sorted(zones)) or 'none'}. Please add subnets to cover at least 2 AZs. (Error Code: "
            "ReplicationSubnetGroupDoesNotCoverEnoughAZs)"
        )


_BY_ADDRESS = frozenset({"mysql", "oracle", "postgres", "mariadb", "aurora", "aurora-postgresql", "db2", "sqlserver",
                         "sybase"})  # fmt: skip
_CREDENTIALS = ("Username", "Password", "ServerName", "Port")


def check_endpoint(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse an endpoint that DMS refuses (DMS API reference, CreateEndpoint; DMS user guide, "Using secrets to access
    AWS Database Migration Service endpoints" and "Using SSL with AWS Database Migration Service")."""
    engine = str(properties["EngineName"]).lower()
    if engine not in service_limits.DMS_ENGINES:
        raise _refused(f"Unknown engine name {properties['EngineName']}")
    secret = any(
        isinstance(value, dict) and value.get("SecretsManagerSecretId")
        for name, value in properties.items()
        if name.endswith("Settings")
    )
    given = [name for name in _CREDENTIALS if properties.get(name)]
    if secret and given:
        raise _refused(f"You can't specify both {', '.join(given)} and SecretsManagerSecretId for an endpoint",
                       "InvalidParameterCombinationException")  # fmt: skip
    mode = str(properties.get("SslMode") or "none").lower()
    if mode in ("verify-ca", "verify-full") and engine in _BY_ADDRESS and not properties.get("CertificateArn"):
        raise _refused(f"A certificate is required for SSL mode {mode}", "InvalidParameterCombinationException")


_ARN = re.compile(r"arn:[^:]+:dms:[^:]*:\d{12}:(\w+):.+")
_TAKEN = {"ReplicationInstanceArn": "rep", "SourceEndpointArn": "endpoint", "TargetEndpointArn": "endpoint"}


def check_task(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse an ARN of DMS that names another kind of resource (DMS API reference, CreateReplicationTask)."""
    for name, kind in _TAKEN.items():
        found = _ARN.fullmatch(str(properties.get(name)))
        if found and found[1] != kind:
            raise _refused(f"{name.removesuffix('Arn')} {found[0]} not found", "ResourceNotFoundFault")


def _refused(sentence: str, code: str = "InvalidParameterValueException") -> ValueError:
    return ValueError(f"{sentence} (Service: DatabaseMigration, Status Code: 400, Error Code: {code})")
