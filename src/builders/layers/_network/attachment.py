"""The way to on-premises: an attachment of the VPC to a gateway that Direct Connect reaches, and the routes over it."""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import If, NoValue, directconnect, ec2

from builders.layers._network.connectivity import IS_PRIVATE_GATEWAY, IS_TRANSIT_GATEWAY, Gateways
from builders.layers._network.ranges import Range
from builders.stack import Stack


def build_transit_gateway(
    stack: Stack,
    vpc: ec2.VPC,
    subnet_ids: Sequence[object],
    route_table: ec2.RouteTable,
    gateways: Gateways,
    ranges: Sequence[Range],
) -> ec2.TransitGatewayAttachment:
    """Attach the VPC to the network account's transit gateway and route every on-premises range there.

    The gateway's account associates the attachment with the phase's route table; until then nothing passes. This type
    rather than TransitGatewayVpcAttachment, whose subnets can never change.
    """
    attachment = stack.add(
        ec2.TransitGatewayAttachment(
            "TransitGatewayAttachment",
            Condition=IS_TRANSIT_GATEWAY,
            TransitGatewayId=gateways.transit_gateway_id,
            VpcId=vpc.ref(),
            SubnetIds=list(subnet_ids),
        )
    )
    for source in ranges:
        stack.add(
            ec2.Route(
                f"TransitGatewayRoute{source.number}",
                Condition=source.by_transit_gateway,
                # AWS refuses a route to a transit gateway that the VPC is not attached to.
                DependsOn=attachment.title,
                RouteTableId=route_table.ref(),
                DestinationCidrBlock=source.cidr,
                TransitGatewayId=gateways.transit_gateway_id,
            )
        )
    return attachment


def build_private_gateway(
    stack: Stack, vpc: ec2.VPC, route_table: ec2.RouteTable, gateways: Gateways, ranges: Sequence[Range]
) -> ec2.VPNGateway:
    """Attach a virtual private gateway that joins the Direct Connect gateway, and route on-premises there.

    The ranges have routes of their own beside those that are learnt, so that they hold while BGP is down and nobody
    mistakes a range that is never announced for one that is not configured.
    """
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
    for source in ranges:
        stack.add(
            ec2.Route(
                f"PrivateGatewayRoute{source.number}",
                Condition=source.by_private_gateway,
                DependsOn=attachment.title,
                RouteTableId=route_table.ref(),
                DestinationCidrBlock=source.cidr,
                GatewayId=gateway.ref(),
            )
        )
    return gateway


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
