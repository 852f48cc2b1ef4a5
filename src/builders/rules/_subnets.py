"""The groups of subnets that AWS refuses unless they cover two zones, and the zones of subnets."""

from __future__ import annotations

from typing import Any

from builders.rules._functions import function_of, reference_of
from builders.rules._template import Resource, Template

GROUPS = {
    "AWS::RDS::DBSubnetGroup": "SubnetIds",
    "AWS::DMS::ReplicationSubnetGroup": "SubnetIds",
    "AWS::DocDB::DBSubnetGroup": "SubnetIds",
    "AWS::Neptune::DBSubnetGroup": "SubnetIds",
    "AWS::EKS::Cluster": "ResourcesVpcConfig.SubnetIds",
}
"""Each asks for subnets in at least two zones (the user guides' pages on subnet groups; Amazon EKS, "View Amazon EKS
networking requirements"). The value is the property that lists them."""


def zone_of(template: Template, subnet: Resource) -> Any:
    """Return a key that is equal for two subnets only where they surely share a zone; None where nobody knows."""
    zones = template.branches(subnet, "AvailabilityZone")
    if len(zones) != 1:
        return None
    node = zones[0].value
    if isinstance(node, str):
        return node
    reference = reference_of(node)
    if reference is not None:
        return reference
    function, argument = function_of(node)
    if function == "Fn::Select" and isinstance(argument, list) and len(argument) == 2:
        inner, region = function_of(argument[1])
        index = argument[0]
        if inner == "Fn::GetAZs" and isinstance(index, (int, str)):
            return ("zone", str(index), repr(region).replace("{'Ref': 'AWS::Region'}", "''"))
    return None
