"""Ways of Direct Connect to the VPC: none, the network account's transit gateway, or a gateway of our own."""

from __future__ import annotations

from troposphere import And, AWSHelperFn, Condition, Equals, Not, Parameter, Ref

from builders import naming, parameters
from builders.stack import Stack, Value

NONE, TRANSIT_GATEWAY, PRIVATE_GATEWAY = "None", naming.TRANSIT_GATEWAY, "VirtualPrivateGateway"
IS_CONNECTED, IS_TRANSIT_GATEWAY, IS_PRIVATE_GATEWAY = "IsConnected", "IsTransitGateway", "IsVirtualPrivateGateway"


class Gateways(Value):
    """The ids that connect the VPC, and the conditions under which the optional ones are there."""

    connectivity: Ref
    transit_gateway_id: Ref
    direct_connect_gateway_id: Ref
    has_direct_connect_gateway: str
    role_arn: Ref
    has_role: str
    virtual_interface_id: Ref
    has_virtual_interface: str


def declare(stack: Stack) -> Gateways:
    """Declare the choice, the ids, and the conditions that follow from them."""
    connectivity = stack.parameter(choice()).ref()
    stack.condition(IS_TRANSIT_GATEWAY, Equals(connectivity, TRANSIT_GATEWAY))
    stack.condition(IS_PRIVATE_GATEWAY, Equals(connectivity, PRIVATE_GATEWAY))
    stack.condition(IS_CONNECTED, Not(Equals(connectivity, NONE)))
    gateway_id, role_arn, interface_id = (
        _direct_connect_gateway(stack),
        stack.parameter(gateway_role()).ref(),
        _interface(stack),
    )
    return Gateways(
        connectivity=connectivity,
        transit_gateway_id=stack.parameter(transit_gateway()).ref(),
        direct_connect_gateway_id=gateway_id,
        has_direct_connect_gateway=stack.condition(
            "HasDirectConnectGateway", And(Condition(IS_PRIVATE_GATEWAY), _is_given(gateway_id))
        ),
        role_arn=role_arn,
        has_role=stack.condition("HasDirectConnectGatewayRole", _is_given(role_arn)),
        virtual_interface_id=interface_id,
        has_virtual_interface=stack.condition("HasVirtualInterface", _is_given(interface_id)),
    )


def add_rules(stack: Stack, gateways: Gateways, domain_name: Ref) -> None:
    """Each connectivity asks for its ids and refuses those of the others, which would mislead whoever reads them."""
    transit_gateway_id = gateways.transit_gateway_id
    gateway_id, role_arn = gateways.direct_connect_gateway_id, gateways.role_arn
    stack.rule(
        "TransitGatewayIds",
        And(_is_given(transit_gateway_id), _is_empty(gateway_id), _is_empty(role_arn)),
        "Connectivity TransitGateway needs TransitGatewayId, and takes no DirectConnectGatewayId or "
        "DirectConnectGatewayRoleArn: the network account joins the two gateways",
        when=Equals(gateways.connectivity, TRANSIT_GATEWAY),
    )
    stack.rule(
        "VirtualPrivateGatewayIds",
        And(_is_given(gateway_id), _is_empty(transit_gateway_id)),
        "Connectivity VirtualPrivateGateway needs DirectConnectGatewayId, and takes no TransitGatewayId",
        when=Equals(gateways.connectivity, PRIVATE_GATEWAY),
    )
    unused = (transit_gateway_id, gateway_id, role_arn, gateways.virtual_interface_id, domain_name)
    stack.rule(
        "NoConnectivityNoIds",
        And(*(_is_empty(value) for value in unused)),
        "Connectivity None takes no TransitGatewayId, DirectConnectGatewayId, DirectConnectGatewayRoleArn, "
        "DirectConnectVirtualInterfaceId or OnPremisesDomainName; leave them empty, or choose a connectivity",
        when=Equals(gateways.connectivity, NONE),
    )


def choice() -> Parameter:
    """The way, which decides where routes lead."""
    return parameters.choice(
        "Connectivity", "How Direct Connect reaches the VPC", [NONE, TRANSIT_GATEWAY, PRIVATE_GATEWAY], default=NONE
    )


def transit_gateway() -> Parameter:
    """The gateway that routes lead to."""
    return parameters.identifier(
        "TransitGatewayId",
        "Transit gateway that the network account shares, for Connectivity TransitGateway",
        prefix="tgw",
        optional=True,
    )


def _direct_connect_gateway(stack: Stack) -> Ref:
    return stack.parameter(
        parameters.string(
            "DirectConnectGatewayId",
            "Direct Connect gateway that the VPC's gateway joins, for Connectivity VirtualPrivateGateway",
            pattern="^$|^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
            explanation="an id of hexadecimal digits in groups of 8-4-4-4-12, or empty",
            default="",
        )
    ).ref()


def gateway_role() -> Parameter:
    """Also what the execution role of `account` may assume."""
    return parameters.string(
        "DirectConnectGatewayRoleArn",
        "Role that accepts the association where another account owns the Direct Connect gateway, or empty",
        pattern=r"^$|^arn:aws[a-z-]*:iam::\d{12}:role/.+$",
        explanation="the ARN of a role in the account that owns the Direct Connect gateway, or empty",
        default="",
    )


def _interface(stack: Stack) -> Ref:
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


def _is_given(value: Ref) -> AWSHelperFn:
    return Not(Equals(value, ""))


def _is_empty(value: Ref) -> AWSHelperFn:
    return Equals(value, "")
