"""Refusals of EC2: ids that name nothing, ranges outside their VPC or over each other, zones that do not exist, names
twice; and what a region has: its zones, and the ids of AWS's own prefix lists.

The sentences are EC2's (EC2 API reference, "Error codes"). EC2's ids say by their prefix what they name (EC2 user
guide, "Resource IDs").
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from builders import resource_ids
from builders.cloud.cloudformation import records
from builders.cloud.ec2 import endpoint_services, transit_gateways
from builders.cloud.ec2.endpoint_services import zones_of
from builders.cloud.internals import ec2
from builders.cloud.patches import patch
from builders.resource_types import Json

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
"""The prefix lengths that a VPC and a subnet may have (VPC user guide, "VPC CIDR blocks")."""

# The customer-visible ids of S3's prefix list (EC2 API, DescribeManagedPrefixLists, read in these regions;
# eu-west-1: AWS Tools for PowerShell, "Use DescribePrefixLists").
S3_PREFIX_LISTS = {
    "ap-southeast-2": "pl-6ca54005",
    "eu-central-1": "pl-6ea54007",
    "eu-west-1": "pl-6da54004",
    "us-east-1": "pl-63a5400a",
    "us-east-2": "pl-7ba54012",
    "us-west-1": "pl-6ba54002",
}


def check_vpc(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a range that is none or has the wrong size."""
    if "CidrBlock" in properties:
        _range(properties["CidrBlock"])


def check_subnet(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a subnet outside its VPC, over another one, or in a zone that the region does not have."""
    zone, zones = properties.get("AvailabilityZone"), zones_of(get_region())
    zone_id = properties.get("AvailabilityZoneId")
    if zone_id and zone_id not in map(ec2.zone_id, zones):
        raise ValueError(f"Value ({zone_id}) for parameter availabilityZoneId is invalid. (Service: Ec2, Status Code: "
                         "400)")  # fmt: skip
    if zone and zone not in zones:
        raise ValueError(
            f"Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(zones)}. (Service: Ec2, Status Code: 400)"
        )
    if "CidrBlock" not in properties:
        return
    block = _range(properties["CidrBlock"])
    added = [
        record["Properties"]["CidrBlock"]
        for record in records.find("AWS::EC2::VPCCidrBlock").values()
        if record["Properties"].get("VpcId") == properties["VpcId"] and record["Properties"].get("CidrBlock")
    ]
    ranges = [ec2.vpcs[properties["VpcId"]]["CidrBlock"], *added]
    if not any(block.subnet_of(ipaddress.IPv4Network(each, strict=False)) for each in ranges):
        raise ValueError(f"The CIDR '{block}' is invalid. (Service: Ec2, Status Code: 400)")
    for identifier, other in ec2.subnets.items():
        same = physical_id == identifier or other["VpcId"] != properties["VpcId"]
        if not same and block.overlaps(ipaddress.IPv4Network(other["CidrBlock"])):
            raise ValueError(f"The CIDR '{block}' conflicts with another subnet (Service: Ec2, Status Code: 400)")


def check_security_group(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a name that the VPC has already, and rules that are none."""
    for rule in (*(properties.get("SecurityGroupIngress") or ()), *(properties.get("SecurityGroupEgress") or ())):
        check_rule(rule, None)
    vpc, name = properties.get("VpcId"), properties.get("GroupName")
    for identifier, other in ec2.security_groups.items():
        if name and identifier != physical_id and (other["GroupName"], other["VpcId"]) == (name, vpc):
            raise ValueError(
                f"The security group '{name}' already exists for VPC '{vpc}' (Service: Ec2, Status Code: 400)"
            )


def check_load_balancer(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse an application load balancer in one zone (Elastic Load Balancing API reference, CreateLoadBalancer)."""
    mapped = [each.get("SubnetId") for each in properties.get("SubnetMappings") or ()]
    subnets = [ec2.subnets.get(each) for each in properties.get("Subnets") or mapped]
    zones = {each["AvailabilityZone"] for each in subnets if each}
    if properties.get("Type", "application") == "application" and all(subnets) and len(zones) < 2:
        raise ValueError(
            "At least two subnets in two different Availability Zones must be specified (Service: "
            "ElasticLoadBalancingV2, Status Code: 400)"
        )


_PORTS = 65_535


def check_rule(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a rule of a security group whose range or ports are none (EC2 API reference, IpPermission)."""
    for name, version in (("CidrIp", ipaddress.IPv4Network), ("CidrIpv6", ipaddress.IPv6Network)):
        text = properties.get(name)
        try:
            version(str(text or "::/0" if version is ipaddress.IPv6Network else text or "0.0.0.0/0"), strict=False)
        except ValueError as error:
            raise ValueError(f"CIDR block {text} is malformed (Service: Ec2, Status Code: 400)") from error
    protocol = str(properties.get("IpProtocol", "-1")).lower()
    first, last = properties.get("FromPort"), properties.get("ToPort")
    if protocol in ("tcp", "udp", "6", "17") and (first is not None or last is not None):
        begin, end = (int(each) if each is not None else -1 for each in (first, last))
        if (begin, end) != (-1, -1) and not 0 <= begin <= end <= _PORTS:
            raise ValueError(f"Invalid TCP/UDP port range ({begin}:{end}) (Service: Ec2, Status Code: 400)")


def check_endpoint(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a service that there is not, and two subnets of one zone."""
    endpoint_services.check(properties)
    zones_of_subnets = [ec2.subnets[each]["AvailabilityZone"] for each in properties.get("SubnetIds") or []]
    if len(zones_of_subnets) != len(set(zones_of_subnets)):
        raise ValueError(
            "Found another VPC endpoint subnet in the availability zone; an endpoint takes one subnet of a zone "
            "(Service: Ec2, Status Code: 400)"
        )


def _range(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text, strict=False)  # host bits are cut (CreateVpc, CreateSubnet)
    except ValueError as error:
        raise ValueError(f"Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.") from (
            error
        )
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        raise ValueError(f"The CIDR '{text}' is invalid. (Service: Ec2, Status Code: 400)")
    return network


_ID = re.compile(r"(vpc|subnet|sg|rtb|acl|igw|nat|vgw|vpce|pl|tgw-attach|tgw-rtb|tgw)-[0-9a-z]+")
# Ids of another account's resources, which EC2 asks that account about.
_ELSEWHERE = frozenset({"PeerVpcId", "PeerTransitGatewayId"})
# Direct Connect takes gateways of other accounts by a proposal; its own errors are not EC2's.
_UNCHECKED = ("AWS::DirectConnect::", "AWS::RDS::")


def check_ids(name: str, properties: Mapping[str, Json]) -> None:
    """Refuse an id that names nothing here, or another kind of thing. Raises ValueError with EC2's sentence."""
    if name.startswith(_UNCHECKED):
        return
    if name.startswith("AWS::EC2::"):
        ec2.make_defaults()
    for key, identifier in resource_ids.named_texts(properties):
        if not key.endswith(("Id", "Ids")) or key in _ELSEWHERE:
            continue
        kind, taken = resource_ids.kind_of(identifier), resource_ids.taken_by(name, key)
        if kind and taken and kind not in taken:
            sentence, _ = _STORES.get(taken[0], (f"The {key[0].lower()}{key[1:]} '{{}}' does not exist", None))
            raise ValueError(f"{sentence.format(identifier)} (Service: Ec2, Status Code: 400)")
        match = _ID.fullmatch(identifier)
        if match is None:
            continue
        sentence, existing = _STORES[match[1]]
        ec2.make_defaults()
        if identifier not in existing() and not records.exists(identifier) and not _of_firewall(identifier):
            raise ValueError(f"{sentence.format(identifier)} (Service: Ec2, Status Code: 400)")


def _of_firewall(endpoint: str) -> bool:
    """Return whether an endpoint is one of a network firewall's."""
    found = records.find("AWS::NetworkFirewall::Firewall").values()
    return any(f":{endpoint}" in str(record["Attributes"].get("EndpointIds")) for record in found)


def _prefix_lists() -> set[str]:
    return set(ec2.prefix_lists) | {each["PrefixListId"] for each in ec2.aws_prefix_lists()}


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


# {prefix of an id: (what EC2 says, the ids that there are)}
_STORES: dict[str, tuple[str, Callable[[], Collection[str]]]] = {
    "vpc": ("The vpc ID '{}' does not exist", lambda: ec2.vpcs),
    "subnet": ("The subnet ID '{}' does not exist", lambda: ec2.subnets),
    "sg": ("The security group '{}' does not exist", lambda: ec2.security_groups),
    "rtb": ("The routeTable ID '{}' does not exist", lambda: ec2.route_tables),
    "acl": ("The network ACL '{}' does not exist", lambda: ec2.network_acls),
    "igw": ("The internetGateway ID '{}' does not exist", lambda: ec2.internet_gateways),
    "nat": ("The natGateway ID '{}' does not exist", lambda: ec2.nat_gateways),
    "vgw": ("The vpnGateway ID '{}' does not exist", lambda: ec2.vpn_gateways),
    "vpce": ("The vpcEndpoint ID '{}' does not exist", lambda: ec2.vpc_endpoints),
    "pl": ("The prefix list ID '{}' does not exist", _prefix_lists),
    "tgw": ("Transit Gateway {} was deleted or does not exist.", _transit_gateways),
    "tgw-rtb": (
        "Transit Gateway Route Table {} was deleted or does not exist.",
        lambda: records.find("AWS::EC2::TransitGatewayRouteTable"),
    ),
    "tgw-attach": ("Transit Gateway Attachment {} was deleted or does not exist.", transit_gateways.attachments),
}


@patch(
    "ministack.services.cloudformation.engine._resolve_refs",
    why="Fn::GetAZs gives every region the zones a, b and c; us-east-1 has six and us-west-1 two",
)
def _resolve_zones(original: Any, value: Json, *context: Json) -> Json:
    if isinstance(value, dict) and set(value) == {"Fn::GetAZs"}:
        region = original(value["Fn::GetAZs"], *context) or get_region()
        return zones_of(get_region()) if str(region) == get_region() else []
    return original(value, *context)


@patch(
    "ministack.services.ec2._ACTION_MAP[DescribeAvailabilityZones]",
    why="every region is described with the zones a, b and c",
)
def _describe_zones(original: Any, parameters: Mapping[str, Json]) -> Json:
    status, headers, body = original(parameters)
    start, end = body.index(b"<item>"), body.rindex(b"</item>") + len(b"</item>")
    item = body[start : body.index(b"</item>") + len(b"</item>")].decode()
    name = f"{get_region()}a"
    items = "".join(
        item.replace(f"<zoneName>{name}<", f"<zoneName>{zone}<").replace(
            f"<zoneId>{ec2.zone_id(name)}<", f"<zoneId>{ec2.zone_id(zone)}<"
        )
        for zone in zones_of(get_region())
    )
    return status, headers, body[:start] + items.encode() + body[end:]


@patch(
    "ministack.services.ec2._aws_pl_id_from_name",
    why="the ids of AWS's prefix lists are made up; those of S3 are public",
)
def _prefix_list_id(original: Any, name: str) -> str:
    region = name.removeprefix("com.amazonaws.").removesuffix(".s3")
    return S3_PREFIX_LISTS.get(region) or str(original(name))
