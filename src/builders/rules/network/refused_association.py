"""E9111: an association that a gateway refuses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from builders.rules._functions import reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value

_ATTACHMENTS = ("AWS::EC2::TransitGatewayAttachment", "AWS::EC2::TransitGatewayVpcAttachment")


class RefusedAssociation(Rule):
    """Reports the association of an attachment with a route table where its transit gateway associates it by itself,
    which is the default; a second association of one attachment; and the association of a transit gateway with a Direct
    Connect gateway without allowed prefixes.
    """

    id = "E9111"
    shortdesc = "An association that a gateway refuses"
    why = "An attachment has one route table, and EC2 refuses a second one minutes into the deploy."
    source = (
        "Amazon EC2 API reference, 'AssociateTransitGatewayRouteTable' and 'TransitGatewayRequestOptions'; AWS Direct"
        " Connect API reference, 'CreateDirectConnectGatewayAssociation'"
    )
    bad = """
    Parameters: {Vpc: {Type: "AWS::EC2::VPC::Id"}, Subnets: {Type: "List<AWS::EC2::Subnet::Id>"}}
    Resources:
      Gateway: {Type: "AWS::EC2::TransitGateway"}
      Attachment:
        Type: AWS::EC2::TransitGatewayAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: !Ref Subnets}
      Table: {Type: "AWS::EC2::TransitGatewayRouteTable", Properties: {TransitGatewayId: !Ref Gateway}}
      Association:
        Type: AWS::EC2::TransitGatewayRouteTableAssociation
        Properties: {TransitGatewayAttachmentId: !Ref Attachment, TransitGatewayRouteTableId: !Ref Table}
    """
    good = """
    Parameters: {Vpc: {Type: "AWS::EC2::VPC::Id"}, Subnets: {Type: "List<AWS::EC2::Subnet::Id>"}}
    Resources:
      Gateway: {Type: "AWS::EC2::TransitGateway", Properties: {DefaultRouteTableAssociation: disable}}
      Attachment:
        Type: AWS::EC2::TransitGatewayAttachment
        Properties: {TransitGatewayId: !Ref Gateway, VpcId: !Ref Vpc, SubnetIds: !Ref Subnets}
      Table: {Type: "AWS::EC2::TransitGatewayRouteTable", Properties: {TransitGatewayId: !Ref Gateway}}
      Association:
        Type: AWS::EC2::TransitGatewayRouteTableAssociation
        Properties: {TransitGatewayAttachmentId: !Ref Attachment, TransitGatewayRouteTableId: !Ref Table}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        associations = template.resources("AWS::EC2::TransitGatewayRouteTableAssociation")
        for association in associations:
            for named in template.branches(association, "TransitGatewayAttachmentId"):
                yield from _associated_by_itself(template, association, named)
        for first, second in itertools.combinations(associations, 2):
            pairs = (template.branches(each, "TransitGatewayAttachmentId") for each in (first, second))
            for one, other in itertools.product(*pairs):
                if _same(one, other) and template.possible(one, other):
                    message = f"{second.name} associates the attachment of {first.name} again: it has one route table"
                    yield RuleFinding(other, message)
        for association in template.resources("AWS::DirectConnect::DirectConnectGatewayAssociation"):
            yield from _without_prefixes(template, association)


def _associated_by_itself(template: Template, association: Resource, named: Value) -> Iterator[RuleFinding]:
    attachment = template.target(named.value)
    if attachment is None or attachment.type not in _ATTACHMENTS:
        return
    for gateway in template.branches(attachment, "TransitGatewayId"):
        made = template.target(gateway.value)
        if made is None or made.type != "AWS::EC2::TransitGateway":
            continue
        for switch in template.constants(made, "DefaultRouteTableAssociation"):
            is_on = switch.value in (ABSENT, "enable") and not switch.parameter
            if is_on and template.possible(named, gateway, switch):
                yield RuleFinding(
                    named,
                    f"{association.name} associates {attachment.name}, which {made.name} has associated by itself: set "
                    "its DefaultRouteTableAssociation to disable",
                )


def _same(one: Value, other: Value) -> bool:
    reference = reference_of(one.value)
    return one.value is not ABSENT and (one.value == other.value or reference == reference_of(other.value) is not None)


def _without_prefixes(template: Template, association: Resource) -> Iterator[RuleFinding]:
    for named in template.branches(association, "AssociatedGatewayId"):
        gateway = template.target(named.value)
        if gateway is None or gateway.type != "AWS::EC2::TransitGateway":
            continue
        for prefixes in template.constants(association, "AllowedPrefixesToDirectConnectGateway"):
            if (prefixes.value is ABSENT or prefixes.value == []) and template.possible(named, prefixes):
                message = f"{association.name} associates {gateway.name} without allowed prefixes{prefixes.source}"
                yield RuleFinding(prefixes, f"{message}: a transit gateway needs AllowedPrefixesToDirectConnectGateway")
