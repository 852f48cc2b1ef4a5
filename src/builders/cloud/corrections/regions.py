"""What a region has: its zones, and the ids of AWS's own prefix lists."""

from __future__ import annotations

from collections.abc import Mapping

from ministack.core.responses import get_region
from ministack.services import ec2
from ministack.services.cloudformation import engine

from builders.cloud.corrections.replacing import replace
from builders.cloud.schemas import Json
from builders.cloud.strictness import networks

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
        return networks.zones(get_region())

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
