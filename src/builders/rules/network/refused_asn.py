"""E9110: an ASN that the gateway does not take."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, UNKNOWN, Value
from builders.service_limits import DEFAULT_ASN, LEGACY_ASNS, PRIVATE_ASNS

_LEGACY = tuple((asn, asn) for asn in LEGACY_ASNS)
_ANY = ((1, 4294967294),)
_RANGES = {
    ("AWS::EC2::TransitGateway", "AmazonSideAsn"): PRIVATE_ASNS,
    ("AWS::EC2::VPNGateway", "AmazonSideAsn"): (*PRIVATE_ASNS, *_LEGACY),
    ("AWS::DirectConnect::DirectConnectGateway", "AmazonSideAsn"): (*PRIVATE_ASNS, *_LEGACY),
    ("AWS::EC2::CustomerGateway", "BgpAsn"): ((1, 2147483647),),
    **{
        (f"AWS::DirectConnect::{kind}VirtualInterface", "BgpPeers.*.Asn"): _ANY
        for kind in ("Private", "Public", "Transit")
    },
}
_TRANSIT_GATEWAY, _DIRECT_CONNECT_GATEWAY = "AWS::EC2::TransitGateway", "AWS::DirectConnect::DirectConnectGateway"


class RefusedAsn(Rule):
    """Reports an ASN outside the range that a gateway or a BGP session takes, and a transit gateway and a Direct
    Connect gateway that are associated with each other and have the same one; 64512 is the default of both."""

    id = "E9110"
    shortdesc = "An ASN that the gateway refuses"
    why = "The resource schemas take any number; the service refuses it, and an ASN can never change."
    source = (
        "AWS Direct Connect API reference, 'CreateDirectConnectGateway' and 'NewBGPPeer'; Amazon EC2 API reference, "
        "'TransitGatewayRequestOptions', 'CreateVpnGateway' and 'CreateCustomerGateway'; AWS Direct Connect user "
        "guide, 'Transit gateway associations'"
    )
    bad = """
    Resources:
      TransitGateway:
        Type: AWS::EC2::TransitGateway
        Properties: {AmazonSideAsn: 65535}
    """
    good = """
    Resources:
      TransitGateway:
        Type: AWS::EC2::TransitGateway
        Properties: {AmazonSideAsn: 4294967294}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for (kind, dotted), ranges in _RANGES.items():
            for resource in template.resources(kind):
                for value in template.constants(resource, dotted):
                    number = _number(value)
                    if number is None or any(low <= number <= high for low, high in ranges):
                        continue
                    if template.possible(value):
                        allowed = ", ".join(f"{low} to {high}" for low, high in ranges if low < high)
                        said = f"{resource.name} has {dotted.replace('.*', '')} {number}{value.source}"
                        yield RuleFinding(value, f"{said}: AWS takes {allowed}")
        for association in template.resources("AWS::DirectConnect::DirectConnectGatewayAssociation"):
            yield from self._equal(template, association)

    def _equal(self, template: Template, association: Resource) -> Iterator[RuleFinding]:
        transit = template.target(association.properties.get("AssociatedGatewayId"))
        direct = template.target(association.properties.get("DirectConnectGatewayId"))
        if transit is None or direct is None:
            return
        if (transit.type, direct.type) != (_TRANSIT_GATEWAY, _DIRECT_CONNECT_GATEWAY):
            return
        for one in template.constants(transit, "AmazonSideAsn"):
            for other in template.constants(direct, "AmazonSideAsn"):
                # What parameters give may be given apart; a rule of the template can tell more than this one.
                fixed = one.parameter is None and other.parameter is None
                same = _number(one, DEFAULT_ASN) == _number(other, DEFAULT_ASN) is not None
                if fixed and same and template.possible(one, other, association.scenario):
                    yield RuleFinding(
                        association.path,
                        f"{association.name} associates {transit.name} and {direct.name}, which both have ASN "
                        f"{_number(one, DEFAULT_ASN)}: give them different ones",
                    )


def _number(value: Value, default: int | None = None) -> int | None:
    """The ASN; `default` where the property is absent, None where it is not known or no number."""
    if value.value is ABSENT:
        return default
    if value.value is UNKNOWN or isinstance(value.value, bool) or not str(value.value).isdecimal():
        return None
    return int(value.value) if len(str(value.value)) < 20 else None
