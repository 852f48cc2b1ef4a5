"""The private network of a phase: subnets, routes, filters, flow logs and the way to on-premises over Direct Connect.

There is no internet gateway, no NAT and no public address: the VPC reaches AWS through endpoints and on-premises
through its one attachment.
"""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import If, Join, NoValue, Ref, ec2

from builders import parameters
from builders.layers import foundation
from builders.layers._network import acl, attachment, flow_logs, groups, on_premises, resolver, subnets
from builders.layers._network.connectivity import IS_CONNECTED, IS_TRANSIT_GATEWAY
from builders.stack import Export, Scope, Stack

SCOPE = Scope.PHASE

VPC_ID = Export("network", "VpcId", "The VPC of the phase")
PRIVATE_SUBNET_IDS = Export("network", "PrivateSubnetIds", "The private subnets, one a zone, joined by commas")
PRIVATE_ROUTE_TABLE_IDS = Export(
    "network", "PrivateRouteTableIds", "The route tables of the private subnets, joined by commas"
)
PRIVATE_NETWORK_ACL_ID = Export("network", "PrivateNetworkAclId", "The network ACL of the private subnets")
DATABASE_SECURITY_GROUP_ID = Export("network", "DatabaseSecurityGroupId", "Security group of the target database")
DMS_SECURITY_GROUP_ID = Export(
    "network",
    "DmsSecurityGroupId",
    "Security group of the replication instance and of the function that proves its way",
)
FUNCTION_SECURITY_GROUP_ID = Export("network", "FunctionSecurityGroupId", "Security group of the functions in the VPC")
ENDPOINT_SECURITY_GROUP_ID = Export("network", "EndpointSecurityGroupId", "Security group of the interface endpoints")


def build(stack: Stack) -> None:
    """Make the VPC with one private subnet a zone, what filters and records its traffic, and the way to on-premises."""
    vpc_cidr = stack.parameter(
        parameters.cidr(
            "VpcCidr",
            "Range of the VPC, apart from those of the other phases and of on-premises",
            prefix_lengths=subnets.VPC_PREFIX_LENGTHS,
        )
    ).ref()
    database_port = stack.parameter(parameters.database_port()).ref()
    s3_prefix_list_id = stack.parameter(
        parameters.identifier(
            "S3PrefixListId",
            "Region's prefix list of S3, from: aws ec2 describe-managed-prefix-lists",
            prefix="pl",
        )
    ).ref()
    other_end = on_premises.declare(stack)
    # Private DNS of the endpoints needs both.
    vpc = stack.add(ec2.VPC("Vpc", CidrBlock=vpc_cidr, EnableDnsSupport=True, EnableDnsHostnames=True))
    private = subnets.private(stack, vpc, vpc_cidr)
    # One table serves all zones: what differs between them elsewhere is the NAT gateway, and there is none.
    route_table = stack.add(ec2.RouteTable("PrivateRouteTable", VpcId=vpc.ref()))
    network_acl = acl.build(stack, vpc, vpc_cidr, other_end.ranges, other_end.source_port, other_end.names.servers)
    subnets.associate(stack, private, route_table, network_acl)
    security_groups = groups.build(
        stack, vpc, database_port, s3_prefix_list_id, other_end.ranges, other_end.source_port
    )
    flow_logs.build(stack, vpc, stack.import_value(foundation.KEY_ARN))
    group = groups.build_resolver(stack, vpc, other_end.names.servers)
    # A resolver endpoint wants two addresses at least, and two zones keep it answering when one fails.
    resolver.build(stack, vpc, private[: subnets.FEWEST_ZONES], group, other_end.names)
    _attach(stack, vpc, vpc_cidr, private, route_table, other_end)
    _export(stack, vpc, private, route_table, network_acl, security_groups)


def _attach(
    stack: Stack,
    vpc: ec2.VPC,
    vpc_cidr: Ref,
    private_subnets: Sequence[ec2.Subnet],
    route_table: ec2.RouteTable,
    other_end: on_premises.OnPremises,
) -> None:
    """Attach the VPC to its gateway, and put out what others know the attachment by."""
    gateways = other_end.gateways
    first, second, third = of_gateway = subnets.of_transit_gateway(stack, vpc, vpc_cidr, private_subnets)
    # It holds the VPC's own route alone: traffic from the gateway goes to the subnets of the VPC and nowhere else.
    own_table = stack.add(ec2.RouteTable("TransitGatewayRouteTable", VpcId=vpc.ref(), Condition=IS_TRANSIT_GATEWAY))
    subnets.associate(stack, of_gateway, own_table, acl.build_open(stack, vpc))
    in_zones = [first.ref(), second.ref(), If(subnets.HAS_THIRD_ZONE, third.ref(), NoValue)]
    transit, private = attachment.build(stack, vpc, in_zones, route_table, gateways, other_end.ranges)
    # AWS gives the attachment of a virtual private gateway no id of its own; the gateway's id stands for it.
    stack.output(
        "DirectConnectAttachmentId",
        If(IS_TRANSIT_GATEWAY, transit.ref(), private.ref()),
        "Transit gateway attachment, or virtual private gateway, that Direct Connect reaches the VPC by",
        condition=IS_CONNECTED,
    )
    stack.output(
        "DirectConnectVirtualInterfaceId",
        gateways.virtual_interface_id,
        "Virtual interface that carries the traffic, as it was given",
        condition=gateways.has_virtual_interface,
    )


def _export(
    stack: Stack,
    vpc: ec2.VPC,
    private: Sequence[ec2.Subnet],
    route_table: ec2.RouteTable,
    network_acl: ec2.NetworkAcl,
    security_groups: groups.Groups,
) -> None:
    ids = [subnet.ref() for subnet in private]
    fewest = ids[: subnets.FEWEST_ZONES]
    stack.export(VPC_ID, vpc.ref())
    stack.export(PRIVATE_SUBNET_IDS, If(subnets.HAS_THIRD_ZONE, Join(",", ids), Join(",", fewest)))
    stack.export(PRIVATE_ROUTE_TABLE_IDS, route_table.ref())
    stack.export(PRIVATE_NETWORK_ACL_ID, network_acl.ref())
    stack.export(DATABASE_SECURITY_GROUP_ID, security_groups.database.ref())
    stack.export(DMS_SECURITY_GROUP_ID, security_groups.dms.ref())
    stack.export(FUNCTION_SECURITY_GROUP_ID, security_groups.function.ref())
    stack.export(ENDPOINT_SECURITY_GROUP_ID, security_groups.endpoint.ref())
