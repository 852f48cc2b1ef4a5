"""What EC2 refuses: ranges outside their VPC or over each other, zones that do not exist, names twice.

The sentences are EC2's (EC2 API reference, "Error codes").

What a region has: its zones, and the ids of AWS's own prefix lists.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from cfnlint.helpers import AVAILABILITY_ZONES
from ministack.core.responses import get_region
from ministack.services import ec2
from ministack.services.cloudformation import engine

from builders.cloud.patches import replace
from builders.resource_types import Json

LARGEST_PREFIX, SMALLEST_PREFIX = 16, 28
"""The prefix lengths that a VPC and a subnet may have (VPC user guide, "VPC CIDR blocks")."""


def zones_of(region: str) -> list[str]:
    """Return the zones of a region: cfn-lint's names, and two of us-west-1's, since an account sees two there."""
    known = list(AVAILABILITY_ZONES.get(region, [f"{region}{letter}" for letter in "abc"]))
    return known[:2] if region == "us-west-1" else known


def check_vpc(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a range that is none or has the wrong size."""
    if "CidrBlock" in properties:
        _range(properties["CidrBlock"])


def check_subnet(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a subnet outside its VPC, over another one, or in a zone that the region does not have."""
    zone, known = properties.get("AvailabilityZone"), zones_of(get_region())
    if zone and zone not in known:
        raise ValueError(
            f"Value ({zone}) for parameter availabilityZone is invalid. Subnets can currently only be created in the "
            f"following availability zones: {', '.join(known)}. (Service: Ec2, Status Code: 400)"
        )
    if "CidrBlock" not in properties:
        return
    wanted = _range(properties["CidrBlock"])
    if not wanted.subnet_of(ipaddress.IPv4Network(ec2._vpcs[properties["VpcId"]]["CidrBlock"])):
        raise ValueError(f"The CIDR '{wanted}' is invalid. (Service: Ec2, Status Code: 400)")
    for identifier, other in ec2._subnets.items():
        same = physical_id == identifier or other["VpcId"] != properties["VpcId"]
        if not same and wanted.overlaps(ipaddress.IPv4Network(other["CidrBlock"])):
            raise ValueError(f"The CIDR '{wanted}' conflicts with another subnet (Service: Ec2, Status Code: 400)")


def check_security_group(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a name that the VPC has already."""
    vpc, name = properties.get("VpcId"), properties.get("GroupName")
    for identifier, other in ec2._security_groups.items():
        if name and identifier != physical_id and (other["GroupName"], other["VpcId"]) == (name, vpc):
            raise ValueError(
                f"The security group '{name}' already exists for VPC '{vpc}' (Service: Ec2, Status Code: 400)"
            )


def check_endpoint(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse two subnets of one zone."""
    zones_of_subnets = [ec2._subnets[each]["AvailabilityZone"] for each in properties.get("SubnetIds") or []]
    if len(zones_of_subnets) != len(set(zones_of_subnets)):
        raise ValueError(
            "Found another VPC endpoint subnet in the availability zone; an endpoint takes one subnet of a zone "
            "(Service: Ec2, Status Code: 400)"
        )


def _range(text: str) -> ipaddress.IPv4Network:
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.") from (
            error
        )
    if not LARGEST_PREFIX <= network.prefixlen <= SMALLEST_PREFIX:
        raise ValueError(f"The CIDR '{text}' is invalid. (Service: Ec2, Status Code: 400)")
    return network


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


def zones_of_the_region() -> None:
    """ministack gives every region the zones a, b and c; us-east-1 has six and us-west-1 two."""

    def zones() -> list[str]:
        return zones_of(get_region())

    def resolve(value: Json, *context: Json) -> Json:
        if isinstance(value, dict) and set(value) == {"Fn::GetAZs"}:
            region = before(value["Fn::GetAZs"], *context) or get_region()
            return zones() if str(region) == get_region() else []
        return before(value, *context)

    def describe(parameters: Mapping[str, Json]) -> Json:
        status, headers, body = describe_before(parameters)
        start, end = body.index(b"<item>"), body.rindex(b"</item>") + len(b"</item>")
        item = body[start : body.index(b"</item>") + len(b"</item>")].decode()
        name, identifier = f"{get_region()}a", ec2._az_id_for_zone_name(f"{get_region()}a")
        items = "".join(
            item.replace(f"<zoneName>{name}<", f"<zoneName>{zone}<").replace(
                f"<zoneId>{identifier}<", f"<zoneId>{ec2._az_id_for_zone_name(zone)}<"
            )
            for zone in zones()
        )
        return status, headers, body[:start] + items.encode() + body[end:]

    before = replace(engine, "_resolve_refs", resolve)
    describe_before = ec2._ACTION_MAP["DescribeAvailabilityZones"]
    ec2._ACTION_MAP["DescribeAvailabilityZones"] = describe


def prefix_lists_of_s3() -> None:
    """ministack makes up the ids of AWS's prefix lists; those of S3 are known."""
    before = ec2._aws_pl_id_from_name

    def known(name: str) -> str:
        region = name.removeprefix("com.amazonaws.").removesuffix(".s3")
        return S3_PREFIX_LISTS.get(region) or str(before(name))

    ec2._aws_pl_id_from_name = known
