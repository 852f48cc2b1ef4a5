"""Which check looks at which type, beside the schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from builders.cloud.schemas import Json
from builders.cloud.strictness import databases, identities, networks

Check = Callable[[Mapping[str, Json], str | None], None]
"""Takes the properties and the physical id (None: about to be made). Raises ValueError with the service's sentence."""

_CHECKS: dict[str, Check] = {
    "AWS::DMS::ReplicationSubnetGroup": databases.check_replication_subnet_group,
    "AWS::EC2::SecurityGroup": networks.check_security_group,
    "AWS::EC2::Subnet": networks.check_subnet,
    "AWS::EC2::VPC": networks.check_vpc,
    "AWS::EC2::VPCEndpoint": networks.check_endpoint,
    "AWS::IAM::ManagedPolicy": identities.check_policy,
    "AWS::IAM::Policy": identities.check_policy,
    "AWS::IAM::Role": identities.check_role,
    "AWS::KMS::Key": identities.check_key,
    "AWS::Lambda::Function": identities.check_function,
    "AWS::Lambda::Permission": identities.check_permission,
    "AWS::Logs::LogGroup": identities.check_log_group,
    "AWS::RDS::DBSubnetGroup": databases.check_subnet_group,
}


def check(name: str, properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Run the check of a type, where it has one."""
    if name in _CHECKS:
        _CHECKS[name](properties, physical_id)
