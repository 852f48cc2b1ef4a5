"""Networks as AWS describes them: attachments to transit gateways, interfaces that functions leave, zones of services.

Source: EC2 API reference, DescribeTransitGatewayAttachments, GetTransitGatewayAttachmentPropagations,
DescribeVpcEndpointServices, DescribeSecurityGroups, DescribeNetworkInterfaces; RDS API reference,
DescribeOrderableDBInstanceOptions.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders import naming, progress
from builders.aws import stacks
from builders.aws.calls import Session
from builders.aws.errors import NotFound, Refused
from builders.errors import RolloutError

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
    asked = {
        "transit-gateway-id": [gateway],
        "resource-type": [DIRECT_CONNECT],
        **({"resource-id": [direct]} if direct else {}),
    }
    found = session.pages("ec2", "DescribeTransitGatewayAttachments", Filters=_filters(asked))
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


def attached_accounts(session: Session, gateway: str) -> list[str]:
    """The accounts that have attached something of theirs to a transit gateway, but for Direct Connect gateways."""
    found = session.pages(
        "ec2", "DescribeTransitGatewayAttachments", Filters=_filters({"transit-gateway-id": [gateway]})
    )
    return sorted(
        {
            each["ResourceOwnerId"]
            for each in found
            if each["State"] not in _GONE and each["ResourceType"] != DIRECT_CONNECT
        }
    )


def usable_attachment(session: Session, gateway: str, direct: str, known: str) -> str:
    """The attachment of a Direct Connect gateway that is available, or that is the known one; empty for none.

    Raises `RolloutError` where several gateways are attached and `direct` names none of them.
    """
    found = direct_connect_attachments(session, gateway, direct)
    if len(found) > 1:
        raise RolloutError(
            f"{gateway} in {session} has several attachments of Direct Connect gateways: "
            f"{', '.join(sorted(each.id for each in found))}; give one as {naming.DIRECT_CONNECT_ATTACHMENT} in the "
            "parameters of the network account"
        )
    return next((each.id for each in found if each.state == AVAILABLE or each.id == known), "")


def attachment_of(session: Session, outputs: Mapping[str, str]) -> str:
    """The attachment of the Direct Connect gateway of `shared_network`, once it can be associated; of a gateway that is
    not ours, too. `outputs` are those of the stack. Raises as `usable_attachment` does."""
    gateway, own = outputs.get("TransitGatewayId"), outputs.get("SharedDirectConnectGatewayId", "")
    known = outputs.get(naming.DIRECT_CONNECT_ATTACHMENT, "")
    return usable_attachment(session, gateway, own, known) if gateway else ""


ASSOCIATION_SECONDS = 1800.0
"""Seconds to wait for the attachment of a Direct Connect gateway: an association takes minutes (Direct Connect user
guide, "Transit gateway associations")."""


def awaited_attachment(session: Session, outputs: Mapping[str, str], seconds: float) -> str:
    """Wait for the attachment of a Direct Connect gateway of our own. Raises `RolloutError` when it does not come."""
    own, end = outputs["SharedDirectConnectGatewayId"], time.monotonic() + seconds
    for number, pause in enumerate(stacks.pauses()):
        if found := attachment_of(session, outputs):
            return found
        if time.monotonic() > end:
            break
        if number == 0:
            progress.say(f"waiting until Direct Connect gateway {own} is attached in {session}, which takes minutes")
        time.sleep(pause)
    raise RolloutError(
        f"Direct Connect gateway {own} is not attached in {session} after {seconds:.0f} seconds, so that on-premises "
        "is not reached; run bootstrap again when its association is associated"
    )


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


@dataclass
class ZoneNeeds:
    """Requirements of templates for the zones of an account and region.

    `chosen` are ids of zones. Where none is chosen, the region's first ones are taken, as many as `names` has: as
    Fn::GetAZs does in an account with a default subnet in all of its zones, or in none. `classes` has the number of
    zones that a database's class must have, by engine and class.
    """

    chosen: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    services: set[str] = field(default_factory=set)
    classes: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, resources: Mapping[str, Mapping[str, Any]]) -> None:
        """Add what the evaluated resources of a template ask."""
        for body in resources.values():
            properties = body.get("Properties", {})
            match body["Type"]:
                case "AWS::EC2::Subnet" if "AvailabilityZoneId" in properties:
                    self.chosen.add(str(properties["AvailabilityZoneId"]))
                case "AWS::EC2::Subnet" if "${" not in str(properties.get("AvailabilityZone", "${")):
                    self.names.add(str(properties["AvailabilityZone"]))
                case "AWS::EC2::VPCEndpoint" if properties.get("VpcEndpointType") == "Interface":
                    self.services.add(str(properties["ServiceName"]))
                case "AWS::RDS::DBInstance" if "Engine" in properties:
                    size = (str(properties["Engine"]), str(properties.get("DBInstanceClass", "")))
                    self.classes[size] = 2 if str(properties.get("MultiAZ")).lower() == "true" else 1


_CHOOSE = "choose zones by ZoneId1, ZoneId2 and ZoneId3"


def zone_problem(session: Session, needs: ZoneNeeds) -> tuple[str, str] | None:
    """Return what is wrong with the zones of an account and region, and the remedy; None where nothing is missing.

    The sentences have ids alone: a name is another zone in each account.
    """
    ids = zone_ids(session)
    unknown = sorted(needs.chosen - set(ids.values()))
    if unknown:
        what = f"{session.region} has no zone {', '.join(unknown)} for the account"
        return what, f"{_CHOOSE} among {', '.join(sorted(ids.values()))}"
    own = needs.chosen or {ids[name] for name in sorted(ids)[: len(needs.names)]}
    if not own:
        return None
    try:
        having = endpoint_zones(session, needs.services) if needs.services else {}
    except Refused as refused:
        if refused.code != "InvalidServiceName":
            raise
        return refused.reason, "leave out the layer that calls it, or the region"
    offers = {service: ({ids[name] for name in zones & ids.keys()}, len(own)) for service, zones in having.items()}
    for (engine, size), least in needs.classes.items():
        offers[size] = {ids[name] for name in database_zones(session, engine, size) & ids.keys()}, least
    lacking = [
        f"{what} is not in {', '.join(sorted(own - zones))}"
        for what, (zones, least) in sorted(offers.items())
        if len(own & zones) < least
    ]
    if not lacking:
        return None
    fit = set(ids.values()).intersection(*(zones for zones, _ in offers.values()))
    remedy = f"{_CHOOSE} among {', '.join(sorted(fit))}" if fit else "choose another region or instance class"
    return f"zones of the phase lack something: {'; '.join(lacking)}", remedy


def users_of_default_groups(session: Session, suffix: str) -> list[str]:
    """The interfaces with the default security group of a VPC of the phase, which is one with groups of the phase."""
    ours = session.pages("ec2", "DescribeSecurityGroups", Filters=_filters({"tag:Environment": [suffix]}))
    vpcs = sorted({each["VpcId"] for each in ours})
    if not vpcs:
        return []
    of_vpcs = _filters({"vpc-id": vpcs, "group-name": ["default"]})
    groups = [each["GroupId"] for each in session.pages("ec2", "DescribeSecurityGroups", Filters=of_vpcs)]
    using = session.pages("ec2", "DescribeNetworkInterfaces", Filters=_filters({"group-id": groups}))
    return sorted(each["NetworkInterfaceId"] for each in using)


FUNCTION_INTERFACES = "AWS Lambda VPC ENI*"
"""The description of the network interfaces that Lambda makes for functions in a VPC."""


def clear_function_interfaces(session: Session, vpcs: Collection[str]) -> int:
    """Delete the interfaces that Lambda has detached in VPCs, and return how many it has not yet.

    Lambda takes them down with the function's role, up to 20 minutes after the function; of a role that is gone by then
    they stay, and nobody can delete their subnets and groups (Lambda developer guide, "Giving Lambda functions access
    to resources in an Amazon VPC").
    """
    filters = _filters({"description": [FUNCTION_INTERFACES], "vpc-id": sorted(vpcs)})
    attached = 0
    for each in session.pages("ec2", "DescribeNetworkInterfaces", Filters=filters) if vpcs else ():
        if each["Status"] != "available":
            attached += 1
            continue
        with contextlib.suppress(NotFound):  # Lambda was quicker
            session.ask("ec2", "DeleteNetworkInterface", NetworkInterfaceId=each["NetworkInterfaceId"])
    return attached


def _filters(asked: Mapping[str, list[str]]) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": values} for name, values in asked.items()]
