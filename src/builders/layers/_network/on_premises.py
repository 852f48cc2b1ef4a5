"""What the network knows of the other end: its ranges, its database's port, its name servers, and how they are reached.

CloudFormation has no loops, so ranges and name servers are fixed slots of which the later ones may stay empty.
"""

from __future__ import annotations

from dataclasses import dataclass

from troposphere import And, AWSHelperFn, Condition, Equals, Not, Ref, Sub

from builders import parameters
from builders.stack import Stack

NONE, TRANSIT_GATEWAY, PRIVATE_GATEWAY = "None", "TransitGateway", "VirtualPrivateGateway"
RANGES = 4
SHORTEST_PREFIX = 8
"""A range of 0.0.0.0/0 would send whatever has no other route, the internet's addresses among them, on-premises."""


@dataclass(frozen=True)
class Range:
    """One on-premises range, and the conditions under which it is reached: at all, and by each kind of gateway."""

    number: int
    cidr: Ref
    is_reached: str
    by_transit_gateway: str
    by_private_gateway: str


@dataclass(frozen=True)
class NameServer:
    """One on-premises name server, the range that holds it alone, and the condition under which it is given."""

    number: int
    address: Ref
    host_range: Sub
    is_given: str


@dataclass(frozen=True)
class OnPremises:
    """The other end of the Direct Connect, as parameters and conditions."""

    ranges: tuple[Range, ...]
    source_port: Ref
    transit_gateway_id: Ref
    direct_connect_gateway_id: Ref
    has_direct_connect_gateway: str
    direct_connect_gateway_role_arn: Ref
    has_direct_connect_gateway_role: str
    virtual_interface_id: Ref
    has_virtual_interface: str
    domain_name: Ref
    name_servers: tuple[NameServer, ...]


def declare(stack: Stack) -> OnPremises:
    """Declare the parameters, conditions and rules that say where on-premises is and how it is reached."""
    connectivity = stack.parameter(
        parameters.choice(
            "Connectivity",
            "How Direct Connect reaches the VPC",
            [NONE, TRANSIT_GATEWAY, PRIVATE_GATEWAY],
            default=NONE,
        )
    ).ref()
    stack.condition("IsTransitGateway", Equals(connectivity, TRANSIT_GATEWAY))
    stack.condition("IsVirtualPrivateGateway", Equals(connectivity, PRIVATE_GATEWAY))
    stack.condition("IsConnected", Not(Equals(connectivity, NONE)))
    ranges = (_first_range(stack), *(_further_range(stack, number) for number in range(2, RANGES + 1)))
    source_port = stack.parameter(
        parameters.integer(
            "SourcePort", "Port that the on-premises PostgreSQL listens on", minimum=1, maximum=65535, default=5432
        )
    ).ref()
    gateway_id, role_arn = _gateway(stack), _gateway_role(stack)
    virtual_interface_id = _virtual_interface(stack)
    domain_name, name_servers = _names(stack)
    transit_gateway_id = stack.parameter(
        parameters.identifier(
            "TransitGatewayId",
            "Transit gateway that the network account shares, for Connectivity TransitGateway",
            prefix="tgw",
            optional=True,
        )
    ).ref()
    on_premises = OnPremises(
        ranges=ranges,
        source_port=source_port,
        transit_gateway_id=transit_gateway_id,
        direct_connect_gateway_id=gateway_id,
        has_direct_connect_gateway=stack.condition(
            "HasDirectConnectGateway", And(Condition("IsVirtualPrivateGateway"), _is_given(gateway_id))
        ),
        direct_connect_gateway_role_arn=role_arn,
        has_direct_connect_gateway_role=stack.condition("HasDirectConnectGatewayRole", _is_given(role_arn)),
        virtual_interface_id=virtual_interface_id,
        has_virtual_interface=stack.condition("HasVirtualInterface", _is_given(virtual_interface_id)),
        domain_name=domain_name,
        name_servers=name_servers,
    )
    _rules(stack, connectivity, on_premises)
    return on_premises


def _first_range(stack: Stack) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            "OnPremisesCidr1",
            "On-premises range that Direct Connect reaches",
            prefix_lengths=(SHORTEST_PREFIX, 32),
        )
    )
    return Range(1, cidr.ref(), "IsConnected", "IsTransitGateway", "IsVirtualPrivateGateway")


def _further_range(stack: Stack, number: int) -> Range:
    cidr = stack.parameter(
        parameters.cidr(
            f"OnPremisesCidr{number}",
            f"On-premises range number {number}, or empty",
            optional=True,
            prefix_lengths=(SHORTEST_PREFIX, 32),
        )
    ).ref()

    is_reached = stack.condition(f"HasOnPremisesRange{number}", And(Condition("IsConnected"), _is_given(cidr)))

    def reached_by(gateway: str) -> AWSHelperFn:
        return And(Condition(is_reached), Condition(gateway))

    return Range(
        number,
        cidr,
        is_reached,
        stack.condition(f"HasTransitGatewayRoute{number}", reached_by("IsTransitGateway")),
        stack.condition(f"HasPrivateGatewayRoute{number}", reached_by("IsVirtualPrivateGateway")),
    )


def _gateway(stack: Stack) -> Ref:
    return stack.parameter(
        parameters.string(
            "DirectConnectGatewayId",
            "Direct Connect gateway that the VPC's gateway joins, for Connectivity VirtualPrivateGateway",
            pattern="^$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            explanation="an id of hexadecimal digits in groups of 8-4-4-4-12, or empty",
            default="",
        )
    ).ref()


def _gateway_role(stack: Stack) -> Ref:
    return stack.parameter(
        parameters.string(
            "DirectConnectGatewayRoleArn",
            "Role that accepts the association where another account owns the Direct Connect gateway, or empty",
            pattern=r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
            explanation="the ARN of a role in the account that owns the Direct Connect gateway, or empty",
            default="",
        )
    ).ref()


def _virtual_interface(stack: Stack) -> Ref:
    return stack.parameter(
        parameters.string(
            "DirectConnectVirtualInterfaceId",
            "Virtual interface that carries the traffic, shown in the outputs, or empty",
            # Letters beyond f occur (Direct Connect API reference, "DescribeVirtualInterfaces").
            pattern="^$|^dxvif-[0-9a-z]{8,17}$",
            explanation="an id that begins with dxvif-, or empty",
            default="",
        )
    ).ref()


def _names(stack: Stack) -> tuple[Ref, tuple[NameServer, ...]]:
    domain_name = stack.parameter(
        parameters.string(
            "OnPremisesDomainName",
            "Domain whose names the on-premises name servers answer, such as corp.example.com; empty for none",
            pattern=r"^$|^([a-z0-9_]([a-z0-9-]*[a-z0-9])?\.)*[a-z]([a-z0-9-]*[a-z0-9])?$",
            explanation="a domain name in lower case, or empty",
            default="",
            max_length=253,
        )
    ).ref()
    first, second = (
        stack.parameter(
            parameters.address(f"OnPremisesDnsServer{number}", f"On-premises name server number {number}, or empty")
        )
        for number in (1, 2)
    )
    has_first = stack.condition("HasOnPremisesDns", And(_is_given(domain_name), _is_given(first.ref())))
    has_second = stack.condition("HasSecondDnsServer", And(Condition(has_first), _is_given(second.ref())))
    return domain_name, (
        NameServer(1, first.ref(), Sub(f"${{{first.title}}}/32"), has_first),
        NameServer(2, second.ref(), Sub(f"${{{second.title}}}/32"), has_second),
    )


def _rules(stack: Stack, connectivity: Ref, on_premises: OnPremises) -> None:
    """Each connectivity asks for its ids and refuses those of the others, which would mislead whoever reads them."""
    transit_gateway_id = on_premises.transit_gateway_id
    gateway_id = on_premises.direct_connect_gateway_id
    role_arn = on_premises.direct_connect_gateway_role_arn
    stack.rule(
        "TransitGatewayIds",
        And(_is_given(transit_gateway_id), _is_empty(gateway_id), _is_empty(role_arn)),
        "Connectivity TransitGateway needs TransitGatewayId, and takes no DirectConnectGatewayId or "
        "DirectConnectGatewayRoleArn: the network account joins the two gateways",
        when=Equals(connectivity, TRANSIT_GATEWAY),
    )
    stack.rule(
        "VirtualPrivateGatewayIds",
        And(_is_given(gateway_id), _is_empty(transit_gateway_id)),
        "Connectivity VirtualPrivateGateway needs DirectConnectGatewayId, and takes no TransitGatewayId",
        when=Equals(connectivity, PRIVATE_GATEWAY),
    )
    unused = (transit_gateway_id, gateway_id, role_arn, on_premises.virtual_interface_id, on_premises.domain_name)
    stack.rule(
        "NoConnectivityNoIds",
        And(*(_is_empty(value) for value in unused)),
        "Connectivity None takes no TransitGatewayId, DirectConnectGatewayId, DirectConnectGatewayRoleArn, "
        "DirectConnectVirtualInterfaceId or OnPremisesDomainName; leave them empty, or choose a connectivity",
        when=Equals(connectivity, NONE),
    )
    first, second = (server.address for server in on_premises.name_servers)
    stack.rule(
        "DomainNeedsNameServer",
        _is_given(first),
        "OnPremisesDomainName needs OnPremisesDnsServer1; give the address of a name server that answers for it",
        when=_is_given(on_premises.domain_name),
    )
    stack.rule(
        "NameServerNeedsDomain",
        And(_is_empty(first), _is_empty(second)),
        "OnPremisesDnsServer1 and OnPremisesDnsServer2 need OnPremisesDomainName; give the domain that they answer for",
        when=_is_empty(on_premises.domain_name),
    )


def _is_given(value: Ref) -> AWSHelperFn:
    return Not(Equals(value, ""))


def _is_empty(value: Ref) -> AWSHelperFn:
    return Equals(value, "")
