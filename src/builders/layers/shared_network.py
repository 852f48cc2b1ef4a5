"""The transit gateway that all phases share, and the Direct Connect gateway through which it reaches on-premises."""

from __future__ import annotations

from troposphere import And, AWSHelperFn, Equals, Not, Parameter, Ref, Split, directconnect, ec2, ram

from builders import naming, parameters
from builders.layers import _accounts
from builders.layers._direct_connect import attachment as direct_connect_attachment, virtual_interface
from builders.stack import Scope, Stack

SCOPE = Scope.NETWORK


def build(stack: Stack) -> None:
    """Make the transit gateway and share it; make the way to on-premises unless the user has his own."""
    transit_gateway_asn, direct_connect_asn = _asns(stack)
    transit_gateway = _transit_gateway(stack, transit_gateway_asn)
    _share(stack, transit_gateway)
    _route_table_of_on_premises(stack, transit_gateway)
    _direct_connect(stack, transit_gateway, direct_connect_asn)
    stack.output("TransitGatewayId", transit_gateway.ref(), "Transit gateway, for `network` and `phase_routes`")


_PRIVATE_16_BITS = "6451[2-9]|645[2-9][0-9]|64[6-9][0-9]{2}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-4]"


def _asns(stack: Stack) -> tuple[Ref, Ref]:
    """AWS defaults both to 64512, and then refuses the association (Direct Connect user guide, "Create a transit
    virtual interface to the AWS Direct Connect gateway")."""
    transit_gateway = stack.parameter(_asn("TransitGatewayAsn", "the transit gateway", "64512")).ref()
    direct_connect = stack.parameter(_asn("DirectConnectGatewayAsn", "the Direct Connect gateway", "64513")).ref()
    stack.rule(
        "DifferentAsns",
        Not(Equals(transit_gateway, direct_connect)),
        "TransitGatewayAsn and DirectConnectGatewayAsn must differ, or the two gateways cannot be associated",
    )
    return transit_gateway, direct_connect


def _asn(name: str, owner: str, default: str) -> Parameter:
    return parameters.string(
        name,
        f"Private ASN of the Amazon side of {owner}, apart from every ASN of on-premises; it can never change",
        pattern=f"^({_PRIVATE_16_BITS}|{parameters.ASNS_FROM_4200000000})$",
        explanation="a private ASN: 64512 to 65534, or 4200000000 to 4294967294",
        default=default,
    )


def _transit_gateway(stack: Stack, asn: Ref) -> ec2.TransitGateway:
    """Transit gateway without the default route table, by which every attachment would reach every other."""
    return stack.add(
        ec2.TransitGateway(
            "TransitGateway",
            Description="Joins the networks of the migration's phases to on-premises, never to each other",
            AmazonSideAsn=asn,
            # CloudFormation cannot accept an attachment. Only who is shared with can ask for one, and it reaches
            # nothing before `phase_routes` gives it a table.
            AutoAcceptSharedAttachments="enable",
            DefaultRouteTableAssociation="disable",
            DefaultRouteTablePropagation="disable",
            DnsSupport="enable",
        )
    )


def _share(stack: Stack, transit_gateway: ec2.TransitGateway) -> None:
    principals = stack.parameter(
        Parameter(
            "SharePrincipals",
            Type="CommaDelimitedList",
            Description="Who may attach a network: account ids, or ARNs of the organization or of its units; within an "
            "organization, once: aws ram enable-sharing-with-aws-organization",
            AllowedPattern=rf"^{_accounts.ACCOUNT_ID}$|^arn:aws[a-z-]*:organizations::{_accounts.ACCOUNT_ID}:"
            rf"(organization/{_accounts.ORGANIZATION_ID}|ou/{_accounts.ORGANIZATION_ID}/ou-[0-9a-z]+-[0-9a-z]+)$",
            ConstraintDescription="account ids of 12 digits, or ARNs of an organization or a unit, joined by commas",
        )
    ).ref()
    outsiders = stack.parameter(
        parameters.boolean(
            "ShareOutsideOrganization",
            "Whether SharePrincipals may be outside this account's organization; each must then accept by hand",
        )
    ).ref()
    stack.add(
        ram.ResourceShare(
            "TransitGatewayShare",
            Name=stack.name("stackferry-transit-gateway"),
            AllowExternalPrincipals=outsiders,
            Principals=principals,
            ResourceArns=[transit_gateway.get_att("TransitGatewayArn")],
        )
    )


def _route_table_of_on_premises(stack: Stack, transit_gateway: ec2.TransitGateway) -> None:
    """The table by which what arrives from on-premises finds the phases; each phase propagates itself into it."""
    table = stack.add(ec2.TransitGatewayRouteTable("OnPremisesRouteTable", TransitGatewayId=transit_gateway.ref()))
    attachment, has_attachment = direct_connect_attachment.declare(stack)
    stack.add(
        ec2.TransitGatewayRouteTableAssociation(
            "OnPremisesAssociation",
            Condition=has_attachment,
            TransitGatewayAttachmentId=attachment,
            TransitGatewayRouteTableId=table.ref(),
        )
    )
    stack.output("OnPremisesRouteTableId", table.ref(), "Route table of on-premises, for `phase_routes`")
    stack.output(
        naming.DIRECT_CONNECT_ATTACHMENT,
        attachment,
        "Attachment of the Direct Connect gateway, for `phase_routes`",
        condition=has_attachment,
    )


def _direct_connect(stack: Stack, transit_gateway: ec2.TransitGateway, asn: Ref) -> None:
    wanted = stack.parameter(
        parameters.boolean(
            "CreateDirectConnectGateway",
            "Whether to make a Direct Connect gateway; false where the user has one, and joins it himself",
            default=True,
        )
    ).ref()
    is_wanted = Equals(wanted, "true")
    prefixes = _allowed_prefixes(stack, is_wanted)
    has_gateway = stack.condition("HasDirectConnectGateway", And(is_wanted, Not(Equals(prefixes, ""))))
    gateway = stack.add(
        directconnect.DirectConnectGateway(
            "DirectConnectGateway",
            Condition=has_gateway,
            DirectConnectGatewayName=stack.name("stackferry"),
            AmazonSideAsn=asn,
        )
    )
    gateway_id = gateway.get_att("DirectConnectGatewayId")
    stack.add(
        directconnect.DirectConnectGatewayAssociation(
            "DirectConnectGatewayAssociation",
            Condition=has_gateway,
            AssociatedGatewayId=transit_gateway.ref(),
            DirectConnectGatewayId=gateway_id,
            AllowedPrefixesToDirectConnectGateway=Split(",", prefixes),
        )
    )
    virtual_interface.build(stack, virtual_interface.Gateway(gateway_id, is_wanted, has_gateway))
    stack.output("SharedDirectConnectGatewayId", gateway_id, "The Direct Connect gateway", condition=has_gateway)


def _allowed_prefixes(stack: Stack, is_wanted: AWSHelperFn) -> Ref:
    """Allowed prefixes, which a transit gateway announces as they stand (Direct Connect user guide, "Allowed prefixes
    interactions")."""
    prefixes = stack.parameter(
        parameters.cidrs(
            "AllowedPrefixes",
            "What on-premises learns to send here: the ranges of all phases' VPCs, or wider ones over them",
            prefix_lengths=(8, 32),
        )
    ).ref()
    stack.rule(
        "PrefixesOfTheGateway",
        Not(Equals(prefixes, "")),
        "CreateDirectConnectGateway=true needs AllowedPrefixes, or on-premises gets no route to any phase",
        when=is_wanted,
    )
    stack.rule(
        "NoGatewayNoPrefixes",
        Equals(prefixes, ""),
        "AllowedPrefixes belong to the association with our Direct Connect gateway; leave them empty with "
        "CreateDirectConnectGateway=false",
        when=Not(is_wanted),
    )
    return prefixes
