"""Lists as IAM, RDS and EC2 answer them: in pages, filtered, and with an error for an id that is not there.

Sources: IAM API reference, "ListRoles" (100 entries where MaxItems is not given); RDS API reference,
"DescribeDBSnapshots" (100 records, 20 at least; filters); EC2 API reference, "Error codes", and "DescribeRouteTables",
whose MaxResults is 5 at least. A response that ministack has paged itself stays as it is.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode
from xml.etree import ElementTree as Xml

from builders.cloud.internals import ec2, iam, rds
from builders.cloud.patches import patch
from builders.cloud.server import pages
from builders.resource_types import Json

Answer = tuple[int, dict[str, str], bytes]
Form = dict[str, str]

_OURS = "stackferry "
"""Begins the name of each list in its tokens, so that ministack's own tokens are left to it."""


@dataclass(frozen=True)
class _Protocol:
    """The names of a service for a page's size, the token that goes in and comes out, and the bounds of the size."""

    size: str
    token: str
    next_token: str
    default: int | None
    least: int
    most: int


_IAM = _Protocol("MaxItems", "Marker", "Marker", 100, 1, 1000)
_RDS = _Protocol("MaxRecords", "Marker", "Marker", 100, 20, 100)
_EC2 = _Protocol("MaxResults", "NextToken", "nextToken", None, 5, 1000)

# {the member of a request that lists ids: (the error, what it calls the thing)}
_NOT_FOUND = {
    "AllocationId": ("InvalidAllocationID.NotFound", "allocation ID"),
    "CustomerGatewayId": ("InvalidCustomerGatewayID.NotFound", "customerGateway ID"),
    "DhcpOptionsId": ("InvalidDhcpOptionID.NotFound", "dhcpOption ID"),
    "EgressOnlyInternetGatewayId": ("InvalidGatewayID.NotFound", "egressOnlyInternetGateway ID"),
    "FlowLogId": ("InvalidFlowLogId.NotFound", "flow log ID"),
    "GroupId": ("InvalidGroup.NotFound", "security group"),
    "ImageId": ("InvalidAMIID.NotFound", "image id"),
    "InstanceId": ("InvalidInstanceID.NotFound", "instance ID"),
    "InternetGatewayId": ("InvalidInternetGatewayID.NotFound", "internetGateway ID"),
    "LaunchTemplateId": ("InvalidLaunchTemplateId.NotFound", "launch template ID"),
    "NatGatewayId": ("NatGatewayNotFound", "NAT gateway"),
    "NetworkAclId": ("InvalidNetworkAclID.NotFound", "networkAcl ID"),
    "NetworkInterfaceId": ("InvalidNetworkInterfaceID.NotFound", "networkInterface ID"),
    "PrefixListId": ("InvalidPrefixListID.NotFound", "prefix list ID"),
    "RouteTableId": ("InvalidRouteTableID.NotFound", "routeTable ID"),
    "SnapshotId": ("InvalidSnapshot.NotFound", "snapshot"),
    "SubnetId": ("InvalidSubnetID.NotFound", "subnet ID"),
    "TransitGatewayIds": ("InvalidTransitGatewayID.NotFound", "transitGateway ID"),
    "VolumeId": ("InvalidVolume.NotFound", "volume"),
    "VpcEndpointId": ("InvalidVpcEndpointId.NotFound", "Vpc Endpoint Id"),
    "VpcId": ("InvalidVpcID.NotFound", "vpc ID"),
    "VpcPeeringConnectionId": ("InvalidVpcPeeringConnectionID.NotFound", "vpcPeeringConnection ID"),
    "VpnConnectionId": ("InvalidVpnConnectionID.NotFound", "vpnConnection ID"),
    "VpnGatewayId": ("InvalidVpnGatewayID.NotFound", "vpnGateway ID"),
}

# {filter of RDS: the element of a record that it compares}
_RDS_FILTERS = {
    "db-cluster-id": "DBClusterIdentifier",
    "db-cluster-snapshot-id": "DBClusterSnapshotIdentifier",
    "db-instance-id": "DBInstanceIdentifier",
    "db-snapshot-id": "DBSnapshotIdentifier",
    "dbi-resource-id": "DbiResourceId",
    "db-cluster-resource-id": "DbClusterResourceId",
    "engine": "Engine",
    "snapshot-type": "SnapshotType",
}
_FILTERED_BY_RDS = frozenset({"DescribeDBInstances", "DescribeDBSnapshots", "DescribeDBClusters",
                              "DescribeDBClusterSnapshots"})  # fmt: skip

# {filter of DescribeRouteTables, DescribeNetworkAcls and DescribeNetworkInterfaces that ministack ignores: the elements
# that it compares}
_EC2_FILTERS = {
    "route-table-id": "routeTableId",
    "network-acl-id": "networkAclId",
    "owner-id": "ownerId",
    "description": "description",
    "group-id": "groupSet/item/groupId",
    "status": "status",
    "subnet-id": "subnetId",
    "vpc-id": "vpcId",
    "association.gateway-id": "associationSet/item/gatewayId",
    "association.route-table-id": "associationSet/item/routeTableId",
    "association.association-id": "associationSet/item/networkAclAssociationId",
    "association.network-acl-id": "associationSet/item/networkAclId",
    "association.subnet-id": "associationSet/item/subnetId",
    "entry.cidr": "entrySet/item/cidrBlock",
    "entry.egress": "entrySet/item/egress",
    "entry.protocol": "entrySet/item/protocol",
    "entry.rule-action": "entrySet/item/ruleAction",
    "entry.rule-number": "entrySet/item/ruleNumber",
    **{
        f"route.{name}": "routeSet/item/" + re.sub(r"-(\w)", lambda found: found[1].upper(), name)
        for name in ("destination-cidr-block", "destination-ipv6-cidr-block", "destination-prefix-list-id",
                     "egress-only-internet-gateway-id", "gateway-id", "instance-id", "nat-gateway-id", "origin",
                     "state", "transit-gateway-id", "vpc-peering-connection-id")
    },
}  # fmt: skip
_FILTERED_BY_EC2 = frozenset({"DescribeRouteTables", "DescribeNetworkAcls", "DescribeNetworkInterfaces"})

_WHY = "lists have one page, whatever is asked for"


@patch("ministack.app.SERVICE_HANDLERS[iam]", why=_WHY)
async def _answer_iam(original: Any, method: str, path: str, headers: Any, body: bytes, query: Json) -> Answer:
    form = _form(body)
    if not form.get("Action", "").startswith(("List", "GetGroup")):
        answer: Answer = await original(method, path, headers, body, query)
        return answer
    return _in_pages(_IAM, form, await original(method, path, headers, _asked(_IAM, form, body), query))


@patch("ministack.app.SERVICE_HANDLERS[rds]", why=f"{_WHY}; filters are not heeded")
async def _answer_rds(original: Any, method: str, path: str, headers: Any, body: bytes, query: Json) -> Answer:
    form = _form(body)
    action = form.get("Action", "")
    if not action.startswith("Describe"):
        answer: Answer = await original(method, path, headers, body, query)
        return answer
    filters = dict(_rds_filters(form)) if action in _FILTERED_BY_RDS else {}
    refused: Answer | None = None
    for name in set(filters) - set(_RDS_FILTERS):
        if name not in ("domain", "clone-group-id"):
            refused = rds.error("InvalidParameterValue", f"Unrecognized filter name: {name}", 400)
    size = form.get(_RDS.size, "")
    if size and not (size.isdigit() and _RDS.least <= int(size) <= _RDS.most):
        sentence = f"Invalid value {size} for MaxRecords. Must be between {_RDS.least} and {_RDS.most}"
        refused = rds.error("InvalidParameterValue", sentence, 400)
    if refused:
        return refused

    def matches(record: Xml.Element) -> bool:
        return all(
            _local_text(record, _RDS_FILTERS[name]) in [value.rsplit(":", 1)[-1] for value in values]
            for name, values in filters.items()
            if name in _RDS_FILTERS
        )

    answer = await original(method, path, headers, _asked(_RDS, form, body), query)
    return _in_pages(_RDS, form, answer, matches if filters else None)


@patch("ministack.app.SERVICE_HANDLERS[ec2]", why=f"{_WHY}, and an id that is not there is no error in some")
async def _answer_ec2(original: Any, method: str, path: str, headers: Any, body: bytes, query: Json) -> Answer:
    form = _form(body)
    action = form.get("Action", "")
    if not action.startswith("Describe"):
        answer: Answer = await original(method, path, headers, body, query)
        return answer
    answer = await original(method, path, headers, _asked(_EC2, form, body), query)
    if answer[0] >= 400:
        return answer
    filters = {name: values for name, values in ec2.filters(parse_qs(body.decode())).items() if name in _EC2_FILTERS}
    if missing := _missing(form, answer[2]):
        code, thing = _NOT_FOUND[missing[0]]
        refused: Answer = ec2.error(code, f"The {thing} '{missing[1]}' does not exist", 400)
        return refused

    def matches(record: Xml.Element) -> bool:
        return all(
            any(fnmatch.fnmatchcase(text, value) for text in _texts(record, _EC2_FILTERS[name]) for value in values)
            for name, values in filters.items()
        )

    return _in_pages(_EC2, form, answer, matches if filters and action in _FILTERED_BY_EC2 else None)


def _form(body: bytes) -> Form:
    if not body or b"=" not in body:
        return {}
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace"), True).items()}


def _is_ours(protocol: _Protocol, form: Form) -> bool:
    try:
        return bool(pages.owner(form.get(protocol.token, "")).startswith(_OURS))
    except ValueError:
        return False


def _asked(protocol: _Protocol, form: Form, body: bytes) -> bytes:
    """Return the request without a token of ours, which ministack would refuse."""
    if not _is_ours(protocol, form):
        return body
    return urlencode({name: value for name, value in form.items() if name != protocol.token}).encode()


def _in_pages(
    protocol: _Protocol, form: Form, answer: Answer, matches: Callable[[Xml.Element], bool] | None = None
) -> Answer:
    """Cut the list in an answer to the page that was asked for, and leave out what does not match."""
    status, headers, body = answer
    given, ours = form.get(protocol.token), _is_ours(protocol, form)
    size = min(int(form.get(protocol.size) or protocol.default or protocol.most), protocol.most)
    # Every entry has a tag of its own, so that fewer tags are fewer entries.
    short = body.count(b"</") <= size
    if protocol is _IAM and given and not ours:
        refused: Answer = iam.error(400, "ValidationError", f"Invalid value for Marker: {given}", ns="iam")
        return refused
    if status >= 400 or (given and not ours) or (not matches and (short or not (given or size < _entries(body)))):
        return answer
    root = Xml.fromstring(body)  # noqa: S314 ministack's own answer
    namespace = root.tag.partition("}")[0].removeprefix("{") if root.tag.startswith("{") else ""
    result = next((child for child in root if _name(child).endswith("Result")), root)
    found = _list_in(result)
    if found is None or any(_name(child) == protocol.next_token and child.text for child in result):
        return answer
    for record in list(found):
        if matches and not matches(record):
            found.remove(record)
    which = _OURS + form.get("Action", "")
    try:
        shown, token = pages.cut(which, list(found), given if ours else None, size, ValueError("token"))
    except ValueError:
        return answer
    found[:] = shown
    _mark(result, protocol, token, namespace)
    if namespace:
        Xml.register_namespace("", namespace)
    return status, headers, Xml.tostring(root, encoding="utf-8", xml_declaration=True)


def _entries(body: bytes) -> int:
    """Return an upper bound of the number of entries in an answer."""
    return body.count(b"</member>") + body.count(b"</item>") or body.count(b"</")


def _mark(result: Xml.Element, protocol: _Protocol, token: str, namespace: str) -> None:
    prefix = f"{{{namespace}}}" if namespace else ""
    for child in [each for each in result if _name(each) in (protocol.next_token, "IsTruncated")]:
        result.remove(child)
    if protocol is _IAM:
        Xml.SubElement(result, f"{prefix}IsTruncated").text = "true" if token else "false"
    if token:
        Xml.SubElement(result, f"{prefix}{protocol.next_token}").text = token


def _list_in(result: Xml.Element) -> Xml.Element | None:
    """Return the element whose children are the entries: all of one name, as no record's members are."""
    for child in result:
        names = {_name(each) for each in child}
        if len(names) == 1 and (names <= {"member", "item"} or f"{next(iter(names))}s" == _name(child)):
            return child
    return None


def _name(element: Xml.Element) -> str:
    return element.tag.rpartition("}")[2]


def _local_text(record: Xml.Element, name: str) -> str:
    return next((each.text or "" for each in record if _name(each) == name), "")


def _texts(record: Xml.Element, path: str) -> Iterator[str]:
    """Yield the texts at a path below a record, whatever the namespace is."""
    part, _, rest = path.partition("/")
    for child in record:
        if _name(child) == part:
            if rest:
                yield from _texts(child, rest)
            else:
                yield child.text or ""


def _rds_filters(form: Form) -> Iterator[tuple[str, list[str]]]:
    for key, name in form.items():
        if found := re.fullmatch(r"Filters\.(?:Filter|member)\.(\d+)\.Name", key):
            pattern = re.compile(rf"Filters\.(?:Filter|member)\.{found[1]}\.Values\.(?:Value|member)\.\d+")
            yield name, [value for each, value in form.items() if pattern.fullmatch(each)]


def _missing(form: Form, body: bytes) -> tuple[str, str] | None:
    """Return the member of a request and its id that the answer does not show; filters may have left it out."""
    if any(name.startswith("Filter.") for name in form):
        return None
    for name, value in form.items():
        member = re.fullmatch(r"(\w+)\.\d+", name)
        if member and member[1] in _NOT_FOUND and f">{value}<".encode() not in body:
            return member[1], value
    return None
