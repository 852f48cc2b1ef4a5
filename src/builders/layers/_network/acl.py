"""The network ACLs: of the private subnets, the flows that the migration needs; of the transit gateway's, all.

An ACL keeps no state, takes no prefix list, and works between subnets only. So S3, whose addresses are public and
change, is every address on 443, and its answers come from every address to the ports from which clients call. What
the wide entries leave open, the security groups close (they know groups and prefix lists), and no route leads there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import Ref, ec2

from builders.layers._network.connectivity import IS_TRANSIT_GATEWAY
from builders.layers._network.on_premises import NameServer, Range
from builders.stack import Stack

EVERYWHERE = "0.0.0.0/0"
ICMP, TCP, UDP = 1, 6, 17
"""IANA's protocol numbers, which is how an ACL names protocols."""

FRAGMENTATION_NEEDED: dict[str, Any] = {"Type": 3, "Code": 4}
"""The answer of a router to a packet that is too large for the rest of its way: 9,001 bytes within the VPC, often 1,500
beyond it. A sender who does not hear it goes on to send packets that never arrive; any router on the way may be the one
that says it (VPC user guide, "Path MTU Discovery": both inbound and outbound)."""

CLIENT_PORTS = (1024, 65535)
"""Ports that answers go to: Lambda calls from any of these (VPC user guide, "Ephemeral ports").

The database's port is among them (RDS takes 1150 to 65535), so the entries for answers let its requests pass too.
"""


ANY_PROTOCOL = -1


def build(
    stack: Stack,
    vpc: ec2.VPC,
    vpc_cidr: Ref,
    ranges: Sequence[Range],
    source_port: Ref,
    name_servers: Sequence[NameServer],
) -> ec2.NetworkAcl:
    """Make the ACL with its entries; whatever none of them lets through is refused."""
    acl = stack.add(ec2.NetworkAcl("PrivateNetworkAcl", VpcId=vpc.ref()))
    _entry(stack, acl, "AclEndpointsIn", 100, vpc_cidr, TCP, (443, 443))
    _entry(stack, acl, "AclDatabaseAndAnswersIn", 110, EVERYWHERE, TCP, CLIENT_PORTS)
    _entry(stack, acl, "AclHttpsOut", 100, EVERYWHERE, TCP, (443, 443), egress=True)
    _entry(stack, acl, "AclDatabaseAndAnswersOut", 110, vpc_cidr, TCP, CLIENT_PORTS, egress=True)
    for name, egress in (("AclFragmentationIn", False), ("AclFragmentationOut", True)):
        _entry(stack, acl, name, 120, EVERYWHERE, ICMP, egress=egress, Icmp=ec2.ICMP(**FRAGMENTATION_NEEDED))
    for source in ranges:
        _entry(
            stack,
            acl,
            f"AclSourceOut{source.number}",
            200 + source.number,
            source.cidr,
            TCP,
            (source_port, source_port),
            egress=True,
            Condition=source.is_reached,
        )
    for server in name_servers:
        _name_server(stack, acl, server)
    return acl


def build_open(stack: Stack, vpc: ec2.VPC) -> ec2.NetworkAcl:
    """Make the ACL of the transit gateway's subnets, open both ways, as AWS advises; nothing else stands in them.

    The private subnets' ACL filters what comes from there and goes there (VPC Transit Gateways guide, "Transit gateway
    design best practices").
    """
    given: dict[str, Any] = {"Condition": IS_TRANSIT_GATEWAY}
    acl = stack.add(ec2.NetworkAcl("TransitGatewayNetworkAcl", VpcId=vpc.ref(), **given))
    _entry(stack, acl, "AclTransitGatewayIn", 100, EVERYWHERE, ANY_PROTOCOL, **given)
    _entry(stack, acl, "AclTransitGatewayOut", 100, EVERYWHERE, ANY_PROTOCOL, egress=True, **given)
    return acl


def _name_server(stack: Stack, acl: ec2.NetworkAcl, server: NameServer) -> None:
    """Queries over both protocols; answers over TCP have passed with those of the databases."""
    host, number = server.host_range, server.number
    given: dict[str, Any] = {"Condition": server.is_given}
    _entry(stack, acl, f"AclDnsTcpOut{number}", 300 + number, host, TCP, (53, 53), egress=True, **given)
    _entry(stack, acl, f"AclDnsUdpOut{number}", 310 + number, host, UDP, (53, 53), egress=True, **given)
    _entry(stack, acl, f"AclDnsUdpAnswersIn{number}", 310 + number, host, UDP, CLIENT_PORTS, **given)


def _entry(
    stack: Stack,
    acl: ec2.NetworkAcl,
    name: str,
    number: int,
    cidr: Any,
    protocol: int,
    ports: tuple[Any, Any] | None = None,
    *,
    egress: bool = False,
    **attributes: Any,
) -> None:
    if ports is not None:
        attributes["PortRange"] = ec2.PortRange(From=ports[0], To=ports[1])
    stack.add(
        ec2.NetworkAclEntry(
            name,
            NetworkAclId=acl.ref(),
            RuleNumber=number,
            RuleAction="allow",
            Egress=egress,
            Protocol=protocol,
            CidrBlock=cidr,
            **attributes,
        )
    )
