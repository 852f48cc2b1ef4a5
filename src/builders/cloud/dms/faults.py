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
# DMS user guide, "Choosing the right AWS DMS replication instance for your migration".
_CLASS = re.compile(
    r"dms\.(t[23]\.(micro|small|medium|large)|[cr](4|5|6i|7i|6g|7g)\.((2|4|8|9|12|16|18|24|32|48)?xlarge|large))"
)
_TYPES, _MODES = ("source", "target"), ("none", "require", "verify-ca", "verify-full")
_FIRST_VERSION = (3, 5)
"""Older versions of the replication engine are retired (DMS release notes)."""


def check_endpoint(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse an endpoint that DMS refuses (DMS API reference, CreateEndpoint; DMS user guide, "Using secrets to access
    AWS Database Migration Service endpoints" and "Using SSL with AWS Database Migration Service")."""
    engine, kind = str(properties["EngineName"]).lower(), str(properties["EndpointType"]).lower()
    if engine not in service_limits.DMS_ENGINES:
        raise _refused(f"Unknown engine name {properties['EngineName']}")
    if kind not in _TYPES:
        raise _refused(f"Endpoint type {properties['EndpointType']} is not valid: it is source or target")
    if (kind == "source" and engine in service_limits.ONLY_TARGETS) or (
        kind == "target" and engine in service_limits.ONLY_SOURCES
    ):
        raise _refused(f"Engine {engine} cannot be used as a {kind} endpoint")
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
    if mode not in _MODES:
        raise _refused(f"SSL mode {properties['SslMode']} is not valid: it is {', '.join(_MODES)}")
    if mode in ("verify-ca", "verify-full") and engine in _BY_ADDRESS and not properties.get("CertificateArn"):
        raise _refused(f"A certificate is required for SSL mode {mode}", "InvalidParameterCombinationException")
    port = properties.get("Port")
    if port is not None and not 1 <= int(port) <= 65_535:
        raise _refused(f"Port {port} is not valid")


def check_instance(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse an engine version that is retired, and storage that DMS does not have."""
    version = str(properties.get("EngineVersion") or "")
    numbers = tuple(int(each) for each in version.split(".")[:2] if each.isdigit())
    if version and (len(numbers) < 2 or numbers < _FIRST_VERSION):
        raise _refused(f"No replication engine found with version: {version}")
    name = str(properties["ReplicationInstanceClass"])
    if not _CLASS.fullmatch(name):
        raise _refused(f"Invalid replication instance class: {name}")
    storage = properties.get("AllocatedStorage")
    if storage is not None and not 5 <= int(storage) <= 6144:
        raise _refused(f"Invalid storage size: {storage}. It must be between 5 and 6144 GB")


def _refused(sentence: str, code: str = "InvalidParameterValueException") -> ValueError:
    return ValueError(f"{sentence} (Service: DatabaseMigration, Status Code: 400, Error Code: {code})")
