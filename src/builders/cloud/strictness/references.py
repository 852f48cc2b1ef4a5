"""Ids in properties, of any type: what they name must be there and visible, or EC2 refuses.

EC2's ids say by their prefix what they name (EC2 user guide, "Resource IDs"); the sentences are those of EC2 API
reference, "Error codes".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping

from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import ec2

from builders.cloud import records
from builders.cloud.schemas import Json

_ID = re.compile(r"(vpc|subnet|sg|rtb|acl|igw|nat|vgw|vpce|pl|tgw-attach|tgw-rtb|tgw)-[0-9a-z]+")
# Ids of another account's things, which EC2 asks that account about.
_ELSEWHERE = frozenset({"PeerVpcId"})
# Direct Connect takes gateways of other accounts by a proposal; its own errors are not EC2's.
_UNCHECKED = ("AWS::DirectConnect::", "AWS::RDS::")


def check(name: str, properties: Mapping[str, Json]) -> None:
    """Refuse an id that names nothing here. Raises ValueError with EC2's sentence."""
    if name.startswith(_UNCHECKED):
        return
    ec2._ensure_defaults_initialized()
    for identifier in _ids(properties):
        match = _ID.fullmatch(identifier)
        if match is None:
            continue
        sentence, known = _STORES[match[1]]
        if identifier not in known():
            raise ValueError(f"{sentence.format(identifier)} (Service: Ec2, Status Code: 400)")


def _ids(node: Json, key: str = "") -> Iterator[str]:
    """Yield the texts under keys that end with Id, Ids or Identifiers."""
    if isinstance(node, Mapping):
        for member, value in node.items():
            if member not in _ELSEWHERE:
                yield from _ids(value, member)
    elif isinstance(node, list):
        for item in node:
            yield from _ids(item, key)
    elif isinstance(node, str) and key.endswith(("Id", "Ids")):
        yield node


def _prefix_lists() -> set[str]:
    return set(ec2._prefix_lists) | {each["PrefixListId"] for each in ec2._get_aws_managed_prefix_lists()}


def _transit_gateways() -> set[str]:
    """The gateways of our account, and those that another account shares with it by RAM."""
    ours = get_account_id()
    visible = set(records.find("AWS::EC2::TransitGateway"))
    for owner in records.accounts("AWS::EC2::TransitGateway") - {ours}:
        with request_scope(owner, get_region()):
            shared = [
                str(principal)
                for share in records.find("AWS::RAM::ResourceShare").values()
                for principal in share["Properties"].get("Principals") or ()
            ]
            if ours in shared or any(":organizations:" in principal for principal in shared):
                visible |= set(records.find("AWS::EC2::TransitGateway"))
    return visible


def _attachments() -> set[str]:
    """The attachments of all accounts: the gateway's owner routes those of others."""
    kinds = ("AWS::EC2::TransitGatewayAttachment", "AWS::EC2::TransitGatewayVpcAttachment",
             "AWS::EC2::TransitGatewayPeeringAttachment")  # fmt: skip
    found: set[str] = set()
    for kind in kinds:
        for account in records.accounts(kind):
            with request_scope(account, get_region()):
                found |= set(records.find(kind))
    return found


# {prefix of an id: (what EC2 says, the ids that there are)}
_STORES: dict[str, tuple[str, Callable[[], Collection[str]]]] = {
    "vpc": ("The vpc ID '{}' does not exist", lambda: ec2._vpcs),
    "subnet": ("The subnet ID '{}' does not exist", lambda: ec2._subnets),
    "sg": ("The security group '{}' does not exist", lambda: ec2._security_groups),
    "rtb": ("The routeTable ID '{}' does not exist", lambda: ec2._route_tables),
    "acl": ("The network ACL '{}' does not exist", lambda: ec2._network_acls),
    "igw": ("The internetGateway ID '{}' does not exist", lambda: ec2._internet_gateways),
    "nat": ("The natGateway ID '{}' does not exist", lambda: ec2._nat_gateways),
    "vgw": ("The vpnGateway ID '{}' does not exist", lambda: ec2._vpn_gateways),
    "vpce": ("The vpcEndpoint ID '{}' does not exist", lambda: ec2._vpc_endpoints),
    "pl": ("The prefix list ID '{}' does not exist", _prefix_lists),
    "tgw": ("Transit Gateway {} was deleted or does not exist.", _transit_gateways),
    "tgw-rtb": (
        "Transit Gateway Route Table {} was deleted or does not exist.",
        lambda: records.find("AWS::EC2::TransitGatewayRouteTable"),
    ),
    "tgw-attach": ("Transit Gateway Attachment {} was deleted or does not exist.", _attachments),
}
