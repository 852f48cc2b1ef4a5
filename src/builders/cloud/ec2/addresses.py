"""Addresses: elastic IPs, NAT gateways, instances and interfaces with addresses of their subnet, IPv6 blocks, zone ids.

Sources: CloudFormation template reference, "Return values" of AWS::EC2::EIP (Ref is the address), AWS::EC2::Instance,
AWS::EC2::NatGateway, AWS::EC2::VPC and AWS::EC2::Subnet; VPC user guide, "VPC CIDR blocks" (Amazon gives a VPC a /56);
EC2 user guide, "Private IP addresses"; VPC user guide, "Subnet CIDR blocks" (the first four addresses are reserved).
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core.responses import get_region

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.ec2.endpoint_services import zones_of
from builders.cloud.internals import ec2
from builders.cloud.patches import patch
from builders.resource_types import Json

Properties = Mapping[str, Json]

_RESERVED = 4
"""The addresses at the beginning of a subnet that AWS keeps for itself."""


def handlers() -> dict[str, Handlers]:
    """Return the handlers of these types."""
    return {
        "AWS::EC2::EIP": _elastic_ip(),
        "AWS::EC2::Instance": _with_attributes("AWS::EC2::Instance", _of_instance),
        "AWS::EC2::NatGateway": _nat_gateway(),
        "AWS::EC2::NetworkInterface": _with_attributes("AWS::EC2::NetworkInterface", _of_interface),
        "AWS::EC2::VPCCidrBlock": _with_attributes("AWS::EC2::VPCCidrBlock", _of_block),
    }


def _elastic_ip() -> Handlers:
    inner = records.handlers("AWS::EC2::EIP")

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        allocation, address = f"eipalloc-{secrets.token_hex(9)[:17]}", _public_address()
        made: Made = inner["create"](logical_id, properties, stack)
        records.rename("AWS::EC2::EIP", made[0], address)
        attributes = made[1] | {"PublicIp": address, "AllocationId": allocation}
        records.records["AWS::EC2::EIP", address]["Attributes"] = attributes
        ec2.addresses[allocation] = {
            "AllocationId": allocation, "PublicIp": address, "Domain": properties.get("Domain", "vpc"),
            "AssociationId": None, "InstanceId": properties.get("InstanceId"), "NetworkInterfaceId": None,
            "PrivateIpAddress": None,
        }  # fmt: skip
        ec2.apply_tags(allocation, properties)
        return address, attributes

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if made[0] != physical_id:
            inner["delete"](made[0], new)
            return create(logical_id, new, stack)
        ec2.apply_tags(made[1]["AllocationId"], new, old)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        record = records.find("AWS::EC2::EIP").get(physical_id)
        if record:
            ec2.addresses.pop(record["Attributes"]["AllocationId"], None)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _nat_gateway() -> Handlers:
    inner = records.handlers("AWS::EC2::NatGateway")

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        public = properties.get("ConnectivityType", "public") == "public"
        allocation = properties.get("AllocationId")
        if public and not allocation and not properties.get("AvailabilityMode") == "regional":
            raise ValueError("The request must contain the parameter AllocationId (Service: Ec2, Status Code: 400)")
        if allocation and allocation not in ec2.addresses:
            raise ValueError(f"The allocation ID '{allocation}' does not exist (Service: Ec2, Status Code: 400)")
        made: Made = inner["create"](logical_id, properties, stack)
        subnet = ec2.subnets.get(properties.get("SubnetId")) or {}
        ec2.nat_gateways[made[0]] = {
            "NatGatewayId": made[0], "SubnetId": properties.get("SubnetId", ""), "AllocationId": allocation or "",
            "VpcId": subnet.get("VpcId") or properties.get("VpcId", ""), "State": "available", "CreateTime": ec2.now(),
            "ConnectivityType": properties.get("ConnectivityType", "public"), "Tags": [],
        }  # fmt: skip
        ec2.apply_tags(made[0], properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if made[0] == physical_id:
            ec2.apply_tags(physical_id, new, old)
            return made
        inner["delete"](made[0], new)
        return create(logical_id, new, stack)

    def delete(physical_id: str, properties: Properties) -> None:
        ec2.nat_gateways.pop(physical_id, None)
        ec2.tags.pop(physical_id, None)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _with_attributes(name: str, describe: Callable[[str, Properties], dict[str, Json]]) -> Handlers:
    """Return handlers of a record whose attributes are those that `describe(physical id, properties)` returns."""
    inner = records.handlers(name)

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        attributes = made[1] | describe(made[0], properties)
        records.records[name, made[0]]["Attributes"] = attributes
        return made[0], attributes

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        before = (records.find(name).get(physical_id) or {}).get("Attributes") or {}
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        attributes = made[1] | (before if made[0] == physical_id else describe(made[0], new))
        records.records[name, made[0]]["Attributes"] = attributes
        return made[0], attributes

    return {**inner, "create": create, "update": update}


def _of_instance(physical_id: str, properties: Properties) -> dict[str, Json]:
    interfaces = properties.get("NetworkInterfaces") or [{}]
    subnet = _subnet(properties.get("SubnetId") or interfaces[0].get("SubnetId"))
    private = properties.get("PrivateIpAddress") or interfaces[0].get("PrivateIpAddress") or _free_address(subnet)
    asked = interfaces[0].get("AssociatePublicIpAddress")
    public = _public_address() if asked or (asked is None and subnet.get("MapPublicIpOnLaunch")) else ""
    region = get_region()
    inner = "ec2.internal" if region == "us-east-1" else f"{region}.compute.internal"
    outer = "compute-1.amazonaws.com" if region == "us-east-1" else f"{region}.compute.amazonaws.com"
    return {
        "AvailabilityZone": properties.get("AvailabilityZone") or subnet.get("AvailabilityZone") or f"{region}a",
        "InstanceId": physical_id,
        "PrivateDnsName": f"ip-{private.replace('.', '-')}.{inner}",
        "PrivateIp": private,
        "PublicDnsName": f"ec2-{public.replace('.', '-')}.{outer}" if public else "",
        "PublicIp": public,
        "VpcId": subnet.get("VpcId", ""),
    }


def _of_interface(_physical_id: str, properties: Properties) -> dict[str, Json]:
    subnet = _subnet(properties.get("SubnetId"))
    private = properties.get("PrivateIpAddress") or _free_address(subnet)
    return {"PrimaryPrivateIpAddress": private, "SecondaryPrivateIpAddresses": [], "PrimaryIpv6Address": "",
            "VpcId": subnet.get("VpcId", "")}  # fmt: skip


def _of_block(physical_id: str, properties: Properties) -> dict[str, Json]:
    if properties.get("CidrBlock") or properties.get("Ipv4IpamPoolId"):
        return {}
    given = properties.get("Ipv6CidrBlock")
    number = secrets.randbelow(1 << 24)
    block = given or str(ipaddress.IPv6Network((0x26001F18 << 96 | number << 72, 56)))
    return {"Ipv6CidrBlock": block, "Id": physical_id.rpartition("|")[0]}


def _subnet(identifier: Json) -> dict[str, Json]:
    found = ec2.subnets.get(identifier)
    if found is None:
        ec2.make_defaults()
        found = next((each for each in ec2.subnets.values() if each.get("DefaultForAz")), {})
    return dict(found)


def _free_address(subnet: Properties) -> str:
    """Return an address of a subnet that no record has."""
    network = ipaddress.IPv4Network(str(subnet.get("CidrBlock") or "172.31.0.0/20"), strict=False)
    taken = {
        str(record["Attributes"].get(name))
        for kind, name in (
            ("AWS::EC2::Instance", "PrivateIp"),
            ("AWS::EC2::NetworkInterface", "PrimaryPrivateIpAddress"),
        )
        for record in records.find(kind).values()
    }
    room = range(_RESERVED, network.num_addresses - 1)
    return next(str(network[number]) for number in room if str(network[number]) not in taken)


def _public_address() -> str:
    """Return an address of a range that Amazon has, which answers to nobody here."""
    return f"52.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"


def blocks_of_vpc(vpc: str, version: int) -> list[str]:
    """Return the blocks that AWS::EC2::VPCCidrBlock added to a VPC, of one IP version."""
    name = "CidrBlock" if version == 4 else "Ipv6CidrBlock"
    found = [
        record["Properties"].get(name) or record["Attributes"].get(name)
        for record in records.find("AWS::EC2::VPCCidrBlock").values()
        if record["Properties"].get("VpcId") == vpc
    ]
    return [str(each) for each in found if each]


def _blocks_of_subnet(subnet: str) -> list[str]:
    """Return the IPv6 blocks of a subnet: its own, and those of AWS::EC2::SubnetCidrBlock."""
    own = (ec2.subnets.get(subnet) or {}).get("Ipv6CidrBlock")
    added = [
        record["Properties"]["Ipv6CidrBlock"]
        for record in records.find("AWS::EC2::SubnetCidrBlock").values()
        if record["Properties"].get("SubnetId") == subnet and record["Properties"].get("Ipv6CidrBlock")
    ]
    return [each for each in (own, *added) if each]


LIVE: Mapping[tuple[str, str], Callable[[str], Any]] = {
    ("AWS::EC2::Subnet", "AvailabilityZoneId"): lambda subnet: (ec2.subnets.get(subnet) or {}).get(
        "AvailabilityZoneId", ""
    ),
    ("AWS::EC2::Subnet", "Ipv6CidrBlocks"): _blocks_of_subnet,
    ("AWS::EC2::VPC", "CidrBlockAssociations"): lambda vpc: [
        f"vpc-cidr-assoc-{vpc.removeprefix('vpc-')}",
        *_associations(vpc),
    ],
    ("AWS::EC2::VPC", "Ipv6CidrBlocks"): lambda vpc: blocks_of_vpc(vpc, 6),
}
"""{(type, attribute): a function of the physical id}: attributes that another resource changes."""


def _associations(vpc: str) -> list[str]:
    found = records.find("AWS::EC2::VPCCidrBlock")
    return [each.partition("|")[0] for each, record in found.items() if record["Properties"].get("VpcId") == vpc]


@patch(
    "ministack.services.ec2._zone_name_for_az_id",
    why="zone ids beyond the third of a region are unknown; us-east-1 has six zones",
)
def _zone_name(_original: Any, identifier: str) -> str | None:
    return next((zone for zone in zones_of(get_region()) if ec2.zone_id(zone) == identifier), None)
