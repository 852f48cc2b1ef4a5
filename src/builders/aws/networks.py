"""Networks as AWS describes them: what is attached to transit gateways, and the zones that services are in.

Source: EC2 API reference, DescribeTransitGatewayAttachments, GetTransitGatewayAttachmentPropagations,
DescribeVpcEndpointServices; RDS API reference, DescribeOrderableDBInstanceOptions.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from builders.aws.calls import Session

DIRECT_CONNECT = "direct-connect-gateway"
AVAILABLE = "available"
_GONE = ("deleting", "deleted", "failed", "rejecting", "rejected")


@dataclass(frozen=True)
class Attachment:
    """An attachment to a transit gateway: its state, what is attached, and the route table that it uses, or none."""

    id: str
    state: str
    resource: str
    table: str


def direct_connect_attachments(session: Session, gateway: str, direct: str = "") -> list[Attachment]:
    """The attachments of Direct Connect gateways to a transit gateway, or of one of them; not those that go."""
    filters = {
        "transit-gateway-id": gateway,
        "resource-type": DIRECT_CONNECT,
        **({"resource-id": direct} if direct else {}),
    }
    asked = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    found = session.pages("ec2", "DescribeTransitGatewayAttachments", Filters=asked)
    return [
        Attachment(
            id=each["TransitGatewayAttachmentId"],
            state=each["State"],
            resource=each["ResourceId"],
            table=each.get("Association", {}).get("TransitGatewayRouteTableId", ""),
        )
        for each in found
        if each["State"] not in _GONE
    ]


def propagated_tables(session: Session, attachment: str) -> frozenset[str]:
    """The route tables that learn what is behind an attachment."""
    found = session.pages("ec2", "GetTransitGatewayAttachmentPropagations", TransitGatewayAttachmentId=attachment)
    return frozenset(each["TransitGatewayRouteTableId"] for each in found if each["State"] != "disabled")


def zone_ids(session: Session) -> dict[str, str]:
    """The zones of the session's region that its account may use: their ids by name."""
    found = session.ask("ec2", "DescribeAvailabilityZones")["AvailabilityZones"]
    return {each["ZoneName"]: each["ZoneId"] for each in found if each.get("ZoneType", "") in ("", "availability-zone")}


def endpoint_zones(session: Session, services: Collection[str]) -> dict[str, frozenset[str]]:
    """The names of the zones in which interface endpoints of services can be, by the service's name.

    Raises `Refused` for a service that does not exist.
    """
    answer = session.ask("ec2", "DescribeVpcEndpointServices", ServiceNames=sorted(services))
    return {
        each["ServiceName"]: frozenset(each["AvailabilityZones"])
        for each in answer["ServiceDetails"]
        if "Interface" in [kind["ServiceType"] for kind in each["ServiceType"]]
    }


def database_zones(session: Session, engine: str, size: str) -> frozenset[str]:
    """The names of the zones in which an instance class of RDS can be had in a VPC; none where it cannot."""
    request = {"Engine": engine, "DBInstanceClass": size, "Vpc": True}
    options: Iterator[Mapping[str, list[Mapping[str, str]]]]
    options = session.pages("rds", "DescribeOrderableDBInstanceOptions", **request)
    zones = itertools.chain.from_iterable(each.get("AvailabilityZones", []) for each in options)
    return frozenset(each["Name"] for each in zones)
