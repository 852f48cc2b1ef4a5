"""The private network of a phase: subnets, routes, filters, flow logs and the way to on-premises over Direct Connect."""

from __future__ import annotations

from troposphere import ec2

from builders import parameters
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

VPC_ID = Export("network", "VpcId", "The VPC of the phase")
PRIVATE_SUBNET_IDS = Export("network", "PrivateSubnetIds", "The private subnets, one a zone, joined by commas")
PRIVATE_ROUTE_TABLE_IDS = Export(
    "network", "PrivateRouteTableIds", "The route tables of the private subnets, joined by commas"
)
DATABASE_SECURITY_GROUP_ID = Export("network", "DatabaseSecurityGroupId", "Worn by the target database")
DMS_SECURITY_GROUP_ID = Export(
    "network", "DmsSecurityGroupId", "Worn by the replication instance and by the function that proves its way"
)
FUNCTION_SECURITY_GROUP_ID = Export("network", "FunctionSecurityGroupId", "Worn by the functions in the VPC")
ENDPOINT_SECURITY_GROUP_ID = Export("network", "EndpointSecurityGroupId", "Worn by the interface endpoints")


def build(stack: Stack) -> None:
    """Build the VPC."""
    vpc_cidr = stack.parameter(parameters.cidr("VpcCidr", "Range of the VPC"))
    vpc = stack.add(ec2.VPC("Vpc", CidrBlock=vpc_cidr.ref()))
    stack.export(VPC_ID, vpc.ref())
