"""The way to on-premises: an attachment of the VPC to a gateway that Direct Connect reaches, and the routes over it."""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import If, NoValue, directconnect, ec2

from builders.layers._network.connectivity import IS_PRIVATE_GATEWAY, IS_TRANSIT_GATEWAY, Gateways
from builders.layers._network.on_premises import Range
from builders.stack import Stack

WAITS_FOR = "WaitsFor"
"""The key of a resource's Metadata that refers to what must be there before it."""


def build(
    stack: Stack,
    vpc: ec2.VPC,
    subnet_ids: Sequence[object],
    route_table: ec2.RouteTable,
    gateways: Gateways,
    ranges: Sequence[Range],
) -> tuple[ec2.TransitGatewayAttachment, ec2.VPNGateway]:
    """Attach the VPC to the gateway that Connectivity names, and route every on-premises range over it.

    A virtual private gateway also teaches the table what on-premises announces; the routes hold while BGP is down, and
    show a range that is never announced.
    """
    transit = _transit_gateway(stack, vpc, subnet_ids, gateways)
    private, attached = _private_gateway(stack, vpc, route_table, gateways)
    for source in ranges:
        # One route for both gateways: its range cannot change, and while it stands AWS refuses a second one for the
        # same range, so that a change of the gateway could not be deployed.
        route = ec2.Route(
            f"OnPremisesRoute{source.number}",
            Condition=source.is_reached,
            RouteTableId=route_table.ref(),
            DestinationCidrBlock=source.cidr,
            TransitGatewayId=If(IS_TRANSIT_GATEWAY, gateways.transit_gateway_id, NoValue),
            GatewayId=If(IS_TRANSIT_GATEWAY, NoValue, private.ref()),
            # AWS refuses a route to a gateway that the VPC is not attached to. DependsOn takes no function and may not
            # name a resource whose condition is false; CloudFormation waits for a reference in Metadata just as well
            # (cloudonaut.io, "Optional DependsOn with CloudFormation: Metadata to the rescue").
            Metadata={WAITS_FOR: If(IS_TRANSIT_GATEWAY, transit.ref(), attached.ref())},
        )
        # troposphere counts two targets and does not see that one of them has no value.
        stack.add(route.no_validation())
    return transit, private


def _transit_gateway(
    stack: Stack, vpc: ec2.VPC, subnet_ids: Sequence[object], gateways: Gateways
) -> ec2.TransitGatewayAttachment:
    """Attach the VPC to the network account's transit gateway.

    The gateway's account associates the attachment with the phase's route table; until then nothing passes. This type
    rather than TransitGatewayVpcAttachment, whose subnets can never change.
    """
    return stack.add(
        ec2.TransitGatewayAttachment(
            "TransitGatewayAttachment",
            Condition=IS_TRANSIT_GATEWAY,
            TransitGatewayId=gateways.transit_gateway_id,
            VpcId=vpc.ref(),
            SubnetIds=list(subnet_ids),
        )
    )


def _private_gateway(
    stack: Stack, vpc: ec2.VPC, route_table: ec2.RouteTable, gateways: Gateways
) -> tuple[ec2.VPNGateway, ec2.VPCGatewayAttachment]:
    """Attach a virtual private gateway that joins the Direct Connect gateway, and let the table learn its routes."""
    gateway = stack.add(ec2.VPNGateway("PrivateGateway", Condition=IS_PRIVATE_GATEWAY, Type="ipsec.1"))
    attachment = stack.add(
        ec2.VPCGatewayAttachment(
            "PrivateGatewayAttachment", Condition=IS_PRIVATE_GATEWAY, VpcId=vpc.ref(), VpnGatewayId=gateway.ref()
        )
    )
    stack.add(
        ec2.VPNGatewayRoutePropagation(
            "PrivateGatewayRoutePropagation",
            Condition=IS_PRIVATE_GATEWAY,
            DependsOn=attachment.title,
            RouteTableIds=[route_table.ref()],
            VpnGatewayId=gateway.ref(),
        )
    )
    _join(stack, gateway, attachment, gateways)
    return gateway, attachment


def _join(stack: Stack, gateway: ec2.VPNGateway, attachment: ec2.VPCGatewayAttachment, gateways: Gateways) -> None:
    """Associate our gateway with the Direct Connect gateway, whose account may be another."""
    stack.add(
        directconnect.DirectConnectGatewayAssociation(
            "DirectConnectGatewayAssociation",
            Condition=gateways.has_direct_connect_gateway,
            DependsOn=attachment.title,
            AssociatedGatewayId=gateway.ref(),
            DirectConnectGatewayId=gateways.direct_connect_gateway_id,
            AcceptDirectConnectGatewayAssociationProposalRoleArn=If(gateways.has_role, gateways.role_arn, NoValue),
        )
    )
