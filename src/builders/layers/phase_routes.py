"""The route table of one phase at the transit gateway: to on-premises and clients, and never to another phase."""

from __future__ import annotations

from collections.abc import Sequence

from troposphere import And, Equals, Not, Ref, ec2

from builders import parameters
from builders.layers._direct_connect import attachment as direct_connect_attachment
from builders.stack import Scope, Stack

SCOPE = Scope.NETWORK_PER_PHASE

# Another account's export cannot be imported: DirectConnectAttachmentId comes as a parameter.
AFTER = ("network",)

CLIENTS = (1, 2)
"""The VPCs at the transit gateway that may use the database, by their numbers in the parameters."""


def build(stack: Stack) -> None:
    """Make the phase's table, let the phase's network use it, and tell the phase and the others of each other.

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
    _clients(stack, attachment_id, on_premises_table_id, table.ref())
    stack.output("PhaseRouteTableId", table.ref(), "Route table of the phase at the transit gateway")


def _clients(stack: Stack, attachment_id: Ref, on_premises_table_id: Ref, table_id: Ref) -> None:
    """Tell the phase and VPCs whose hosts use its database of each other; they may share a table of their own.

    What they may reach in the phase is decided there, by the layer `clients`.
    """
    attachments = [
        _client_id(stack, f"ClientAttachmentId{number}", "Attachment of a VPC that uses the database", "tgw-attach")
        for number in CLIENTS
    ]
    tables = [
        _client_id(stack, f"ClientRouteTableId{number}", "Route table that such a VPC's attachment uses", "tgw-rtb")
        for number in CLIENTS
    ]
    for number, client, own_table in zip(CLIENTS, attachments, tables, strict=True):
        inward = _propagate(stack, f"ClientPropagation{number}", client, table_id)
        inward.Condition = stack.condition(f"HasClientAttachment{number}", Not(Equals(client, "")))
        outward = _propagate(stack, f"PhaseToClientPropagation{number}", attachment_id, own_table)
        outward.Condition = stack.condition(f"HasClientRouteTable{number}", Not(Equals(own_table, "")))
    for slots, taken, whose in (
        (attachments, attachment_id, "the phase's own attachment"),
        (tables, on_premises_table_id, "the route table of on-premises, which knows the phase already"),
    ):
        _each_its_own(stack, slots, taken, whose)


def _each_its_own(stack: Stack, slots: Sequence[Ref], taken: Ref, whose: str) -> None:
    first, second = slots
    names = [str(slot.data["Ref"]) for slot in slots]
    stack.rule(
        f"{names[0]}IsAnother",
        And(Not(Equals(first, taken)), Not(Equals(second, taken))),
        f"{names[0]} or {names[1]} is {whose}; give that of a VPC that uses the database, or leave it empty",
    )
    stack.rule(
        f"{names[1]}IsAnother",
        Not(Equals(first, second)),
        f"{names[0]} and {names[1]} are the same; AWS refuses the second propagation, so give it once",
        when=Not(Equals(second, "")),
    )


def _client_id(stack: Stack, name: str, description: str, prefix: str) -> Ref:
    text = f"{description}, never another phase's, or empty"
    return stack.parameter(parameters.identifier(name, text, prefix=prefix, optional=True)).ref()


def _id(stack: Stack, name: str, description: str, prefix: str) -> Ref:
    return stack.parameter(parameters.identifier(name, description, prefix=prefix)).ref()


def _propagate(stack: Stack, title: str, attachment_id: Ref, table_id: Ref) -> ec2.TransitGatewayRouteTablePropagation:
    """Let a table know the ranges behind an attachment."""
    return stack.add(
        ec2.TransitGatewayRouteTablePropagation(
            title, TransitGatewayAttachmentId=attachment_id, TransitGatewayRouteTableId=table_id
        )
    )
