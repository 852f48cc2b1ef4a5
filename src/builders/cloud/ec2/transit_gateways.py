"""Transit gateways: what is attached to them, also by Direct Connect, the route table of each attachment, and ASNs.

Sources: VPC Transit Gateways guide, "Transit gateway route tables" (an attachment is associated with one table) and
"Transit gateway attachments to a Direct Connect gateway"; EC2 API reference, DescribeTransitGatewayAttachments and
GetTransitGatewayAttachmentPropagations; Direct Connect API reference, CreateDirectConnectGateway. The sentence on an
attachment that is associated already is EC2's (terraform-provider-aws#8647, Resource.AlreadyAssociated); those on ASNs
and states are ours.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.internals import ec2
from builders.cloud.patches import patch
from builders.cloud.server import faults
from builders.resource_types import Json
from builders.service_limits import DEFAULT_ASN, LEGACY_ASNS, PRIVATE_ASNS

Properties = Mapping[str, Json]

_GATEWAY, _DIRECT = "AWS::EC2::TransitGateway", "AWS::DirectConnect::DirectConnectGateway"
_JOINED = "AWS::DirectConnect::DirectConnectGatewayAssociation"
_ASSOCIATION, _PROPAGATION = (f"AWS::EC2::TransitGatewayRouteTable{kind}" for kind in ("Association", "Propagation"))
_ATTACHED = {
    "AWS::EC2::TransitGatewayAttachment": ("vpc", "VpcId"),
    "AWS::EC2::TransitGatewayVpcAttachment": ("vpc", "VpcId"),
    "AWS::EC2::TransitGatewayPeeringAttachment": ("peering", "PeerTransitGatewayId"),
}
"""The types that attach, with EC2's word for what is attached and the property that names it."""

_pending: dict[str, float] = {}
"""{attachment of a Direct Connect gateway: the time at which it is available}"""


@dataclass(frozen=True)
class _Attachment:
    """An attachment as EC2 describes it."""

    id: str
    gateway: str
    kind: str
    resource: str
    owner: str

    @property
    def state(self) -> str:
        """The state: pending until a Direct Connect gateway's has come about."""
        return "available" if time.time() >= _pending.get(self.id, 0) else "pending"


def handlers() -> dict[str, Handlers]:
    """Return the handlers of these types."""

    def attach(association: str, properties: Properties) -> None:
        _pending.setdefault(_id(association), time.time() + faults.attachment_seconds())

    return {_JOINED: records.around(records.handlers(_JOINED), after=attach)}


def attachments() -> dict[str, _Attachment]:
    """Return the attachments of all accounts: the gateway's owner routes those of others."""
    return {each.id: each for each in _all()}


def _all() -> Iterator[_Attachment]:
    for type_name, (kind, named) in _ATTACHED.items():
        for account, identifier, properties in _everywhere(type_name):
            gateway = str(properties.get("TransitGatewayId"))
            yield _Attachment(identifier, gateway, kind, str(properties.get(named)), account)
    for account, identifier, properties in _everywhere(_JOINED):
        gateway = str(properties.get("AssociatedGatewayId")).rsplit("/", 1)[-1]
        if gateway.startswith("tgw-"):
            direct = str(properties.get("DirectConnectGatewayId")).rsplit("/", 1)[-1]
            yield _Attachment(_id(identifier), gateway, "direct-connect-gateway", direct, account)


def _everywhere(type_name: str) -> Iterator[tuple[str, str, Properties]]:
    """Yield account, physical id and properties of all accounts' resources of a type."""
    for account in records.accounts(type_name):
        with request_scope(account, get_region()):
            found = [(account, key, record["Properties"]) for key, record in records.find(type_name).items()]
        yield from found


def _id(association: str) -> str:
    """Return the id of the attachment that an association of two gateways makes, which no answer of its API tells."""
    return f"tgw-attach-{hashlib.sha256(association.encode()).hexdigest()[:17]}"


def _owner(gateway: str) -> str:
    return next((account for account, key, _ in _everywhere(_GATEWAY) if key == gateway), "")


def check_association(properties: Properties, physical_id: str | None) -> None:
    """Refuse a second table for an attachment, which has one: a replacement makes the new association first."""
    _check_available(properties)
    attachment, table = properties.get("TransitGatewayAttachmentId"), properties.get("TransitGatewayRouteTableId")
    for identifier, record in records.find(_ASSOCIATION).items():
        other = record["Properties"]
        own = identifier == physical_id and other["TransitGatewayRouteTableId"] == table
        if other["TransitGatewayAttachmentId"] == attachment and not own:
            raise ValueError(
                f"Transit Gateway Attachment {attachment} is already associated to a route table. (Service: Ec2, "
                "Status Code: 400)"
            )


def check_propagation(properties: Properties, _physical_id: str | None) -> None:
    """Refuse an attachment that has not come about."""
    _check_available(properties)


def _check_available(properties: Properties) -> None:
    found = attachments().get(str(properties.get("TransitGatewayAttachmentId")))
    if found and found.state != "available":
        raise ValueError(f"{found.id} is in invalid state {found.state} (Service: Ec2, Status Code: 400)")


def check_asn(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a gateway's ASN that is not private."""
    asn = int(properties.get("AmazonSideAsn") or DEFAULT_ASN)
    if asn not in LEGACY_ASNS and not any(low <= asn <= high for low, high in PRIVATE_ASNS):
        raise ValueError(
            f"Value ({asn}) for parameter amazonSideAsn is invalid. The ASN must be in the private range of 64512 to "
            "65534 or 4200000000 to 4294967294."
        )


def check_session(properties: Properties, _physical_id: str | None) -> None:
    """Refuse an ASN of a virtual interface's peer that is none (Direct Connect API reference, NewBGPPeer)."""
    for peer in properties.get("BgpPeers") or ():
        if not 1 <= int(peer["Asn"]) <= 4_294_967_294:
            raise ValueError(f"Invalid ASN {peer['Asn']}: the valid range is 1 to 4294967294.")


def check_joined(properties: Properties, _physical_id: str | None) -> None:
    """Refuse to associate gateways of one ASN (Direct Connect user guide, "Transit gateway associations")."""
    gateway = str(properties.get("AssociatedGatewayId")).rsplit("/", 1)[-1]
    direct = str(properties.get("DirectConnectGatewayId")).rsplit("/", 1)[-1]
    asns = [int(each.get("AmazonSideAsn") or DEFAULT_ASN) for _, key, each in _everywhere(_GATEWAY) if key == gateway]
    asns += [
        int(record["Properties"].get("AmazonSideAsn") or DEFAULT_ASN)
        for record in records.find(_DIRECT).values()
        if record["Attributes"].get("DirectConnectGatewayId") == direct
    ]
    if len(asns) != len(set(asns)):
        raise ValueError(f"The Direct Connect gateway and the transit gateway have the same ASN {asns[0]}.")


_LACKS = "ministack has no transit gateways"


@patch("ministack.services.ec2._ACTION_MAP[DescribeTransitGatewayAttachments]", why=_LACKS)
def _describe_attachments(_original: Any, parameters: Mapping[str, Json]) -> Json:
    asked, filters = ec2.members(parameters, "TransitGatewayAttachmentIds"), ec2.filters(parameters)
    if unknown := sorted(set(filters) - set(_FILTERS)):
        return ec2.error("InvalidParameterValue", f"The filter '{unknown[0]}' is invalid", 400)
    found = {key: each for key, each in attachments().items() if get_account_id() in (each.owner, _owner(each.gateway))}
    if missing := [each for each in asked if each not in found]:
        sentence = f"Transit Gateway Attachment {missing[0]} was deleted or does not exist."
        return ec2.error("InvalidTransitGatewayAttachmentID.NotFound", sentence, 400)
    shown = [
        each
        for each in found.values()
        if (not asked or each.id in asked) and all(_FILTERS[name](each) in values for name, values in filters.items())
    ]
    items = "".join(f"<item>{_described(each)}</item>" for each in shown)
    inner = f"<transitGatewayAttachments>{items}</transitGatewayAttachments>"
    return ec2.xml(200, "DescribeTransitGatewayAttachmentsResponse", inner)


def _table(attachment: _Attachment) -> str:
    """Return the table that an attachment is associated with; empty for none."""
    found = (each for _, _, each in _everywhere(_ASSOCIATION) if each["TransitGatewayAttachmentId"] == attachment.id)
    return str(next(found, {}).get("TransitGatewayRouteTableId", ""))


_FILTERS: Mapping[str, Callable[[_Attachment], str]] = {
    "association.transit-gateway-route-table-id": _table,
    "resource-id": lambda it: it.resource,
    "resource-owner-id": lambda it: it.owner,
    "resource-type": lambda it: it.kind,
    "state": lambda it: it.state,
    "transit-gateway-attachment-id": lambda it: it.id,
    "transit-gateway-id": lambda it: it.gateway,
    "transit-gateway-owner-id": lambda it: _owner(it.gateway),
}


def _described(attachment: _Attachment) -> str:
    values = {
        "transitGatewayAttachmentId": attachment.id,
        "transitGatewayId": attachment.gateway,
        "transitGatewayOwnerId": _owner(attachment.gateway),
        "resourceOwnerId": attachment.owner,
        "resourceType": attachment.kind,
        "resourceId": attachment.resource,
        "state": attachment.state,
    }
    text = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    table = _table(attachment)
    return text + (f"<association>{_entry(table, 'associated')}</association>" if table else "")


def _entry(table: str, state: str) -> str:
    return f"<transitGatewayRouteTableId>{table}</transitGatewayRouteTableId><state>{state}</state>"


@patch("ministack.services.ec2._ACTION_MAP[GetTransitGatewayAttachmentPropagations]", why=_LACKS)
def _propagations(_original: Any, parameters: Mapping[str, Json]) -> Json:
    attachment = ec2.parameter(parameters, "TransitGatewayAttachmentId")
    if attachment not in attachments():
        sentence = f"Transit Gateway Attachment {attachment} was deleted or does not exist."
        return ec2.error("InvalidTransitGatewayAttachmentID.NotFound", sentence, 400)
    items = "".join(
        f"<item>{_entry(each['TransitGatewayRouteTableId'], 'enabled')}</item>"
        for _, _, each in _everywhere(_PROPAGATION)
        if each["TransitGatewayAttachmentId"] == attachment
    )
    inner = f"<transitGatewayAttachmentPropagations>{items}</transitGatewayAttachmentPropagations>"
    return ec2.xml(200, "GetTransitGatewayAttachmentPropagationsResponse", inner)
