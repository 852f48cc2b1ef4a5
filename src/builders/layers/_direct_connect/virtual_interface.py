"""The transit virtual interface: the VLAN and the BGP session over a Direct Connect that the user has ordered."""

from __future__ import annotations

from troposphere import And, AWSHelperFn, Condition, Equals, GetAtt, If, Not, NoValue, Or, Ref, directconnect

from builders import parameters
from builders.stack import Stack, Value

NAME = "stackferry-transit"
PEER_PREFIX_LENGTHS = (29, 31)


class Gateway(Value):
    """The Direct Connect gateway of this stack: its id, whether the user wants it, the condition that it is there."""

    id: GetAtt
    is_wanted: AWSHelperFn
    condition: str


class Session(Value):
    """Settings that both ends of the connection agree on. Without addresses AWS chooses them, from 169.254.0.0/16."""

    connection_id: Ref
    vlan: Ref
    on_premises_asn: Ref
    on_premises_address: Ref
    amazon_address: Ref


def build(stack: Stack, gateway: Gateway) -> None:
    """Make the interface where a connection is given.

    The BGP authentication key is a secret, and so no parameter: AWS makes one, and the router's owner reads it with
    `aws directconnect describe-router-configuration`.
    """
    session = _declare(stack)
    _add_rules(stack, session, gateway.is_wanted)
    has_connection = stack.condition(
        "HasDirectConnectConnection",
        And(
            Condition(gateway.condition),
            *(_is_given(value) for value in (session.connection_id, session.vlan, session.on_premises_asn)),
        ),
    )
    has_addresses = stack.condition(
        "HasPeerAddresses", And(_is_given(session.on_premises_address), _is_given(session.amazon_address))
    )
    interface = stack.add(
        directconnect.TransitVirtualInterface(
            "TransitVirtualInterface",
            Condition=has_connection,
            VirtualInterfaceName=stack.name(NAME),
            ConnectionId=session.connection_id,
            DirectConnectGatewayId=gateway.id,
            Vlan=session.vlan,
            BgpPeers=[
                directconnect.BgpPeer(
                    AddressFamily="ipv4",
                    Asn=session.on_premises_asn,
                    AmazonAddress=If(has_addresses, session.amazon_address, NoValue),
                    CustomerAddress=If(has_addresses, session.on_premises_address, NoValue),
                )
            ],
        )
    )
    stack.output(
        "TransitVirtualInterfaceId",
        interface.get_att("VirtualInterfaceId"),
        "DirectConnectVirtualInterfaceId for `network`",
        condition=has_connection,
    )


def _declare(stack: Stack) -> Session:
    connection = parameters.string(
        "DirectConnectConnectionId",
        "Connection or link aggregation group, known in this region, that the virtual interface runs over; or empty",
        pattern="^$|^dx(con|lag)-[0-9a-z]{8,21}$",
        explanation="an id that begins with dxcon- or dxlag-, or empty",
        default="",
    )
    vlan = parameters.string(
        "VirtualInterfaceVlan",
        "VLAN of the virtual interface, free on the connection",
        pattern="^$|^([1-9][0-9]{0,2}|[1-3][0-9]{3}|40[0-8][0-9]|409[0-4])$",
        explanation="a number from 1 to 4094, or empty",
        default="",
    )
    asn = parameters.string(
        "OnPremisesAsn",
        "ASN of the router at the other end of the connection",
        pattern=f"^$|^([1-9][0-9]{{0,8}}|[1-3][0-9]{{9}}|4[01][0-9]{{8}}|{parameters.ASNS_FROM_4200000000})$",
        explanation="a number from 1 to 4294967294, or empty",
        default="",
    )
    return Session(
        connection_id=stack.parameter(connection).ref(),
        vlan=stack.parameter(vlan).ref(),
        on_premises_asn=stack.parameter(asn).ref(),
        on_premises_address=_address(stack, "OnPremisesPeerCidr", "the router at the other end"),
        amazon_address=_address(stack, "AmazonPeerCidr", "the Amazon side"),
    )


def _address(stack: Stack, name: str, owner: str) -> Ref:
    description = f"Address of {owner} in the BGP session, with its prefix length; empty where AWS chooses"
    return stack.parameter(parameters.cidr(name, description, optional=True, prefix_lengths=PEER_PREFIX_LENGTHS)).ref()


def _add_rules(stack: Stack, session: Session, has_gateway: AWSHelperFn) -> None:
    stack.rule(
        "ConnectionSession",
        And(_is_given(session.vlan), _is_given(session.on_premises_asn), has_gateway),
        "DirectConnectConnectionId needs VirtualInterfaceVlan, OnPremisesAsn and CreateDirectConnectGateway=true",
        when=_is_given(session.connection_id),
    )
    rest = (session.vlan, session.on_premises_asn, session.on_premises_address, session.amazon_address)
    stack.rule(
        "NoConnectionNoSession",
        And(*(Equals(value, "") for value in rest)),
        "Without DirectConnectConnectionId there is no virtual interface: leave VirtualInterfaceVlan, OnPremisesAsn, "
        "OnPremisesPeerCidr and AmazonPeerCidr empty",
        when=Equals(session.connection_id, ""),
    )
    stack.rule(
        "BothPeerAddresses",
        Or(
            And(_is_given(session.on_premises_address), _is_given(session.amazon_address)),
            And(Equals(session.on_premises_address, ""), Equals(session.amazon_address, "")),
        ),
        "Give OnPremisesPeerCidr and AmazonPeerCidr both, or neither, and AWS chooses them",
    )


def _is_given(value: Ref) -> AWSHelperFn:
    return Not(Equals(value, ""))
