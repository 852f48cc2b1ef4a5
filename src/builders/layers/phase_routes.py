"""The route table of one phase at the transit gateway: to on-premises and back, and never to another phase."""

from __future__ import annotations

from troposphere import Ref, ec2

from builders import parameters
from builders.layers._direct_connect import attachment as direct_connect_attachment
from builders.stack import Scope, Stack

SCOPE = Scope.NETWORK_PER_PHASE

# Another account's export cannot be imported: DirectConnectAttachmentId comes as a parameter.
AFTER = ("network",)


def build(stack: Stack) -> None:
    """Make the phase's table, let the phase's network use it, and tell the phase and on-premises of each other.

    A static route cannot lead to a Direct Connect gateway, only a propagated one (VPC Transit Gateways guide, "Create
    a static route"). What on-premises announces may be wider than it is: the routes of the phase's own network, which
    name the ranges of on-premises, keep everything else from coming here.
    """
    # What crosses accounts keeps the name of the output that it comes from, in shared_network and in network.
    gateway_id = _id(stack, "TransitGatewayId", "Transit gateway that all phases share", "tgw")
    on_premises_table_id = _id(stack, "OnPremisesRouteTableId", "Route table of on-premises", "tgw-rtb")
    attachment_id = _id(
        stack, "DirectConnectAttachmentId", "Attachment of the phase's network to the transit gateway", "tgw-attach"
    )
    on_premises_id, has_on_premises = direct_connect_attachment.declare(stack)
    table = stack.add(ec2.TransitGatewayRouteTable("PhaseRouteTable", TransitGatewayId=gateway_id))
    stack.add(
        ec2.TransitGatewayRouteTableAssociation(
            "PhaseAssociation", TransitGatewayAttachmentId=attachment_id, TransitGatewayRouteTableId=table.ref()
        )
    )
    # Keeps the phase's own range out of a wider one that on-premises announces.
    _propagate(stack, "PhasePropagation", attachment_id, table.ref())
    _propagate(stack, "PhaseToOnPremisesPropagation", attachment_id, on_premises_table_id)
    on_premises = _propagate(stack, "OnPremisesPropagation", on_premises_id, table.ref())
    on_premises.Condition = has_on_premises
    stack.output("PhaseRouteTableId", table.ref(), "Route table of the phase at the transit gateway")


def _id(stack: Stack, name: str, description: str, prefix: str) -> Ref:
    return stack.parameter(parameters.identifier(name, description, prefix=prefix)).ref()


def _propagate(stack: Stack, title: str, attachment_id: Ref, table_id: Ref) -> ec2.TransitGatewayRouteTablePropagation:
    """Let a table know the ranges behind an attachment."""
    return stack.add(
        ec2.TransitGatewayRouteTablePropagation(
            title, TransitGatewayAttachmentId=attachment_id, TransitGatewayRouteTableId=table_id
        )
    )
