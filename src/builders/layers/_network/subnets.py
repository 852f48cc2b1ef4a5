"""The subnets: one a zone for everything that the phase runs, and one a zone for the transit gateway alone.

A VPC from /16 to /22 holds four /24 at least. The first three are the private subnets; the transit gateway's, a /28
each, lie at the beginning of the fourth, and the rest of it is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import And, Cidr, Condition, Equals, GetAZs, If, Not, NoValue, Or, Ref, Select, ec2

from builders import parameters
from builders.layers._network.connectivity import IS_TRANSIT_GATEWAY
from builders.stack import Stack

ZONES = 3
FEWEST_ZONES = 2
"""The number of zones that a DB subnet group needs, and all that us-west-1 has."""
HAS_THIRD_ZONE = "HasThirdZone"
HAS_ZONE_IDS = "HasZoneIds"

VPC_PREFIX_LENGTHS = (16, 22)
HOST_BITS = 8
"""Each private subnet is a /24."""
TRANSIT_GATEWAY_HOST_BITS = 4
"""A /28 each, the smallest subnet: the gateway takes one address in it (VPC Transit Gateways guide, "Transit gateway
design best practices")."""
FIRST_OF_TRANSIT_GATEWAY = ZONES * 2 ** (HOST_BITS - TRANSIT_GATEWAY_HOST_BITS)
"""The first /28 behind the private subnets, counted from the beginning of the VPC."""


def private(stack: Stack, vpc: ec2.VPC, vpc_cidr: Ref) -> list[ec2.Subnet]:
    """Make the subnets for everything that the phase runs, the third where the region has a third zone."""
    zone_count = stack.parameter(
        parameters.number_choice(
            "ZoneCount", "Zones with a private subnet; 2 where the region has no third", (FEWEST_ZONES, ZONES), ZONES
        )
    )
    has_third = stack.condition(HAS_THIRD_ZONE, Equals(zone_count.ref(), ZONES))
    _declare_zone_ids(stack, zone_count.ref())
    ranges = Cidr(vpc_cidr, ZONES, HOST_BITS)
    conditions = [{}, {}, {"Condition": has_third}]
    return [
        _subnet(
            stack,
            f"PrivateSubnet{zone + 1}",
            vpc,
            Select(zone, ranges),
            AvailabilityZone=If(HAS_ZONE_IDS, NoValue, Select(zone, GetAZs(""))),
            AvailabilityZoneId=If(HAS_ZONE_IDS, Ref(f"ZoneId{zone + 1}"), NoValue),
            **conditions[zone],
        )
        for zone in range(ZONES)
    ]


def _declare_zone_ids(stack: Stack, zone_count: Ref) -> None:
    """Let the zones be chosen by id: a name is another zone in each account, and not every zone has every service.

    `Fn::GetAZs`, the fallback, gives the zones with a default subnet alone, where there is one (CloudFormation template
    reference, "Fn::GetAZs"; VPC user guide, "AZ IDs").
    """
    ids = [
        stack.parameter(
            parameters.string(
                f"ZoneId{number}",
                f"Id of zone {number}, or empty: the first zones of the region",
                pattern="^$|^[a-z]+[0-9]-az[0-9]$",
                explanation="an id such as use1-az1, or empty",
                default="",
            )
        ).ref()
        for number in range(1, ZONES + 1)
    ]
    stack.condition(HAS_ZONE_IDS, Not(Equals(ids[0], "")))
    first, second, third = ids
    is_empty = Equals(third, "")
    given = [Not(Equals(each, "")) for each in (first, second)]
    apart = [Not(Equals(one, other)) for one, other in ((first, second), (first, third), (second, third))]
    stack.rule(
        "ZoneIds",
        Or(
            And(Equals(first, ""), Equals(second, ""), is_empty),
            And(
                *given,
                *apart,
                Or(And(Equals(zone_count, FEWEST_ZONES), is_empty), And(Equals(zone_count, ZONES), Not(is_empty))),
            ),
        ),
        "Give ZoneId1, ZoneId2 and, where ZoneCount is 3, ZoneId3, each another zone; or leave all of them empty",
    )


def of_transit_gateway(
    stack: Stack, vpc: ec2.VPC, vpc_cidr: Ref, private_subnets: Sequence[ec2.Subnet]
) -> list[ec2.Subnet]:
    """Make the subnets that the transit gateway's attachment uses, in the zones of the private subnets.

    Were it in the private subnets, their ACL would be asked about traffic to the gateway as it leaves the
    instance and again, by its inbound entries, as it enters the gateway (VPC Transit Gateways guide, "Network ACLs for
    transit gateways"): queries of the resolver and every port below 1024 would be refused.
    """
    has_third = stack.condition(
        "HasThirdTransitGatewaySubnet", And(Condition(HAS_THIRD_ZONE), Condition(IS_TRANSIT_GATEWAY))
    )
    ranges = Cidr(vpc_cidr, FIRST_OF_TRANSIT_GATEWAY + ZONES, TRANSIT_GATEWAY_HOST_BITS)
    conditions = [IS_TRANSIT_GATEWAY, IS_TRANSIT_GATEWAY, has_third]
    return [
        _subnet(
            stack,
            f"TransitGatewaySubnet{zone + 1}",
            vpc,
            Select(FIRST_OF_TRANSIT_GATEWAY + zone, ranges),
            AvailabilityZone=private_subnets[zone].get_att("AvailabilityZone"),
            Condition=conditions[zone],
        )
        for zone in range(ZONES)
    ]


def _subnet(stack: Stack, title: str, vpc: ec2.VPC, cidr: Select, **attributes: Any) -> ec2.Subnet:
    return stack.add(ec2.Subnet(title, VpcId=vpc.ref(), CidrBlock=cidr, MapPublicIpOnLaunch=False, **attributes))


def associate(
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
