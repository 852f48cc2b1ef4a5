"""The private network of a phase: subnets, routes, filters, flow logs and the way to on-premises over Direct Connect.

There is no internet gateway, no NAT and no public address: the VPC reaches AWS through endpoints and on-premises
through its one attachment.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import Cidr, Equals, GetAZs, If, Join, NoValue, Ref, Select, ec2

from builders import parameters
from builders.layers import foundation
from builders.layers._network import acl, attachment, flow_logs, groups, on_premises, resolver
from builders.layers._network.connectivity import IS_CONNECTED, IS_TRANSIT_GATEWAY
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

ZONES = 3
FEWEST_ZONES = 2
"""What a DB subnet group asks for, and all that us-west-1 has."""
HAS_THIRD_ZONE = "HasThirdZone"

SUBNET_HOST_BITS = 8
"""Each subnet is a /24: the VPC, from /16 to /22, holds four of them."""
VPC_PREFIX_LENGTHS = (16, 22)


def build(stack: Stack) -> None:
    """Make the VPC with one private subnet a zone, what filters and records its traffic, and the way to on-premises."""
    vpc_cidr = stack.parameter(
        parameters.cidr(
            "VpcCidr",
            "Range of the VPC, apart from those of the other phases and of on-premises",
            prefix_lengths=VPC_PREFIX_LENGTHS,
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
    subnets = _subnets(stack, vpc, vpc_cidr)
    # One table serves all zones: what differs between them elsewhere is the NAT gateway, and there is none.
    route_table = stack.add(ec2.RouteTable("PrivateRouteTable", VpcId=vpc.ref()))
    network_acl = acl.build(stack, vpc, vpc_cidr, other_end.ranges, other_end.source_port, other_end.names.servers)
    _associate(stack, subnets, route_table, network_acl)
    worn = groups.build(stack, vpc, database_port, s3_prefix_list_id, other_end.ranges, other_end.source_port)
    flow_logs.build(stack, vpc, stack.import_value(foundation.KEY_ARN))
    _reach_on_premises(stack, vpc, subnets, route_table, other_end)
    _export(stack, vpc, subnets, route_table, worn)


def _subnets(stack: Stack, vpc: ec2.VPC, vpc_cidr: Ref) -> list[ec2.Subnet]:
    zone_count = stack.parameter(
        parameters.number_choice(
            "ZoneCount", "Zones with a private subnet; 2 where the region has no third", (FEWEST_ZONES, ZONES), ZONES
        )
    )
    has_third = stack.condition(HAS_THIRD_ZONE, Equals(zone_count.ref(), ZONES))
    ranges = Cidr(vpc_cidr, ZONES, SUBNET_HOST_BITS)
    attributes: list[dict[str, Any]] = [{}, {}, {"Condition": has_third}]
    return [
        stack.add(
            ec2.Subnet(
                f"PrivateSubnet{index + 1}",
                VpcId=vpc.ref(),
                AvailabilityZone=Select(index, GetAZs("")),
                CidrBlock=Select(index, ranges),
                MapPublicIpOnLaunch=False,
                **attributes[index],
            )
        )
        for index in range(ZONES)
    ]


def _associate(
    stack: Stack, subnets: Sequence[ec2.Subnet], route_table: ec2.RouteTable, network_acl: ec2.NetworkAcl
) -> None:
    """Give every subnet our table and ACL; without, it has the VPC's own, which let everything pass."""
    for subnet in subnets:
        condition = {"Condition": subnet.Condition} if "Condition" in subnet.resource else {}
        stack.add(
            ec2.SubnetRouteTableAssociation(
                f"{subnet.title}RouteTable", SubnetId=subnet.ref(), RouteTableId=route_table.ref(), **condition
            )
        )
        stack.add(
            ec2.SubnetNetworkAclAssociation(
                f"{subnet.title}NetworkAcl", SubnetId=subnet.ref(), NetworkAclId=network_acl.ref(), **condition
            )
        )


def _reach_on_premises(
    stack: Stack,
    vpc: ec2.VPC,
    subnets: Sequence[ec2.Subnet],
    route_table: ec2.RouteTable,
    other_end: on_premises.OnPremises,
) -> None:
    first, second, third = subnets
    in_zones = [first.ref(), second.ref(), If(HAS_THIRD_ZONE, third.ref(), NoValue)]
    gateways, ranges = other_end.gateways, other_end.ranges
    transit = attachment.build_transit_gateway(stack, vpc, in_zones, route_table, gateways, ranges)
    private = attachment.build_private_gateway(stack, vpc, route_table, gateways, ranges)
    group = groups.build_resolver(stack, vpc, other_end.names.servers)
    # A resolver endpoint wants two addresses at least, and two zones keep it answering when one fails.
    resolver.build(stack, vpc, [first, second], group, other_end.names)
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
    stack: Stack, vpc: ec2.VPC, subnets: Sequence[ec2.Subnet], route_table: ec2.RouteTable, worn: groups.Groups
) -> None:
    ids = [subnet.ref() for subnet in subnets]
    stack.export(VPC_ID, vpc.ref())
    stack.export(PRIVATE_SUBNET_IDS, If(HAS_THIRD_ZONE, Join(",", ids), Join(",", ids[:FEWEST_ZONES])))
    stack.export(PRIVATE_ROUTE_TABLE_IDS, route_table.ref())
    stack.export(DATABASE_SECURITY_GROUP_ID, worn.database.ref())
    stack.export(DMS_SECURITY_GROUP_ID, worn.dms.ref())
    stack.export(FUNCTION_SECURITY_GROUP_ID, worn.function.ref())
    stack.export(ENDPOINT_SECURITY_GROUP_ID, worn.endpoint.ref())
