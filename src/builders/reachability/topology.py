"""The network that evaluated templates describe, as values that say what a packet meets.

Ids are the texts that `builders.evaluate` gives to references, such as `${DmsSecurityGroup}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Network
from typing import Any

Resources = Mapping[str, Mapping[str, Any]]
"""Logical ids to evaluated resources, of all layers that take part, each with its layer under `LAYER`."""
LAYER = "Layer"

Ports = tuple[int, int]
ANY_PROTOCOL = "-1"
ALL_PORTS: Ports = (0, 65535)
PROTOCOL_NAMES = {"1": "icmp", "6": "tcp", "17": "udp"}


@dataclass(frozen=True)
class GroupRule:
    """A rule of a security group: what may pass, and with whom. The peer is a group, a prefix list or a range."""

    protocol: str
    ports: Ports
    peer: str


@dataclass(frozen=True)
class Group:
    """A security group; an empty egress is read by AWS as one that leads everywhere."""

    ingress: tuple[GroupRule, ...]
    egress: tuple[GroupRule, ...]


@dataclass(frozen=True)
class Entry:
    """An entry of a network ACL; the lowest number that fits a packet decides."""

    number: int
    allows: bool
    protocol: str
    cidr: IPv4Network
    ports: Ports


@dataclass(frozen=True)
class Acl:
    """A network ACL, entries in the order in which they are asked."""

    ingress: tuple[Entry, ...]
    egress: tuple[Entry, ...]


@dataclass(frozen=True)
class Subnet:
    """A subnet with the route table and the ACL that are associated with it; None means those of the VPC itself."""

    cidr: IPv4Network
    zone: str
    acl: str | None
    table: str | None


@dataclass(frozen=True)
class Route:
    """A route of a table: where to, and through what."""

    name: str
    table: str
    destination: str
    gateway: str


@dataclass(frozen=True)
class Topology:
    """Everything that a packet can meet, each by its id."""

    subnets: Mapping[str, Subnet]
    groups: Mapping[str, Group]
    acls: Mapping[str, Acl]
    routes: tuple[Route, ...]
    of_gateway: frozenset[str]
    """The subnets in which nothing stands but the interfaces of a transit gateway."""
    resources: Resources

    @property
    def of_workload(self) -> frozenset[str]:
        """The subnets in which databases, functions and endpoints stand."""
        return frozenset(self.subnets) - self.of_gateway

    def of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The logical ids and properties of all resources of a type."""
        return iter(self._by_type.get(kind, ()))

    @cached_property
    def _by_type(self) -> dict[str, list[tuple[str, Mapping[str, Any]]]]:
        found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for name, body in self.resources.items():
            found.setdefault(body["Type"], []).append((name, body.get("Properties", {})))
        return found


def read(resources: Resources) -> Topology:
    """Read what filters and routes packets out of evaluated resources."""
    return Topology(
        subnets=_subnets(resources),
        groups=_groups(resources),
        acls=_acls(resources),
        routes=_routes(resources),
        of_gateway=_of_gateway(resources),
        resources=resources,
    )


def reference(logical_id: str) -> str:
    """The text that stands for a resource's id."""
    return f"${{{logical_id}}}"


def of_type(resources: Resources, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The logical ids and properties of all resources of a type."""
    return ((name, body.get("Properties", {})) for name, body in resources.items() if body["Type"] == kind)


def _subnets(resources: Resources) -> dict[str, Subnet]:
    acls = {
        properties["SubnetId"]: properties["NetworkAclId"]
        for _, properties in of_type(resources, "AWS::EC2::SubnetNetworkAclAssociation")
    }
    tables = {
        properties["SubnetId"]: properties["RouteTableId"]
        for _, properties in of_type(resources, "AWS::EC2::SubnetRouteTableAssociation")
    }
    return {
        reference(name): Subnet(
            IPv4Network(properties["CidrBlock"]),
            _zone(resources, properties),
            acls.get(reference(name)),
            tables.get(reference(name)),
        )
        for name, properties in of_type(resources, "AWS::EC2::Subnet")
    }


def _zone(resources: Resources, properties: Mapping[str, Any]) -> str:
    """The zone of a subnet, by name or id; of one that stands where another does, that one's."""
    zone = str(properties.get("AvailabilityZone") or properties["AvailabilityZoneId"])
    other = re.fullmatch(r"\$\{(\w+)\.AvailabilityZone\}", zone)
    return _zone(resources, resources[other[1]]["Properties"]) if other else zone


TRANSIT_GATEWAY_ATTACHMENT = "AWS::EC2::TransitGatewayAttachment"
_ASSOCIATIONS = ("AWS::EC2::SubnetNetworkAclAssociation", "AWS::EC2::SubnetRouteTableAssociation")


def _of_gateway(resources: Resources) -> frozenset[str]:
    attached = {
        subnet
        for _, properties in of_type(resources, TRANSIT_GATEWAY_ATTACHMENT)
        for subnet in properties.get("SubnetIds", ())
    }
    if not attached:
        return frozenset()
    left: list[Any] = [
        body.get("Properties", {})
        for body in resources.values()
        if body["Type"] not in (TRANSIT_GATEWAY_ATTACHMENT, *_ASSOCIATIONS)
    ]
    for node in left:  # which grows: nodes of all depths
        if isinstance(node, str):
            attached.discard(node)
        elif isinstance(node, Mapping):
            left.extend(node.values())
        elif isinstance(node, list | tuple):
            left.extend(node)
    return frozenset(attached)


def _groups(resources: Resources) -> dict[str, Group]:
    ingress, egress = {}, {}
    for name, properties in of_type(resources, "AWS::EC2::SecurityGroup"):
        ingress[reference(name)] = [_group_rule(rule) for rule in properties.get("SecurityGroupIngress", [])]
        egress[reference(name)] = [_group_rule(rule) for rule in properties.get("SecurityGroupEgress", [])]
    for rules, kind in ((ingress, "Ingress"), (egress, "Egress")):
        for _, properties in of_type(resources, f"AWS::EC2::SecurityGroup{kind}"):
            rules.setdefault(properties["GroupId"], []).append(_group_rule(properties))
    return {group: Group(tuple(ingress[group]), tuple(egress[group])) for group in ingress.keys() & egress.keys()}


def _group_rule(rule: Mapping[str, Any]) -> GroupRule:
    peers = ("SourceSecurityGroupId", "DestinationSecurityGroupId", "SourcePrefixListId", "DestinationPrefixListId")
    peer = next((rule[key] for key in (*peers, "CidrIp", "CidrIpv6") if key in rule), "")
    if "SourceSecurityGroupOwnerId" in rule:
        peer = f"{rule['SourceSecurityGroupOwnerId']}/{peer}"
    ports = (int(rule.get("FromPort", 0)), int(rule.get("ToPort", 65535)))
    return GroupRule(str(rule["IpProtocol"]), ALL_PORTS if ports[0] < 0 else ports, peer)


def _acls(resources: Resources) -> dict[str, Acl]:
    entries: dict[tuple[str, bool], list[Entry]] = {}
    for _, properties in of_type(resources, "AWS::EC2::NetworkAclEntry"):
        side = properties["NetworkAclId"], properties.get("Egress", False) in (True, "true")
        entries.setdefault(side, []).append(_entry(properties))
    in_order = {side: tuple(sorted(found, key=lambda entry: entry.number)) for side, found in entries.items()}
    ids = [reference(name) for name, _ in of_type(resources, "AWS::EC2::NetworkAcl")]
    return {acl: Acl(in_order.get((acl, False), ()), in_order.get((acl, True), ())) for acl in ids}


def _entry(properties: Mapping[str, Any]) -> Entry:
    protocol = str(properties["Protocol"])
    return Entry(
        number=int(properties["RuleNumber"]),
        allows=properties["RuleAction"] == "allow",
        protocol=PROTOCOL_NAMES.get(protocol, protocol),
        cidr=IPv4Network(properties["CidrBlock"]),
        ports=_entry_ports(properties),
    )


def _entry_ports(properties: Mapping[str, Any]) -> Ports:
    """The ports of an entry; of ICMP its messages, each a number of its type and code, of which -1 is all."""
    if icmp := properties.get("Icmp"):
        kind, code = int(icmp["Type"]), int(icmp["Code"])
        return ALL_PORTS if kind < 0 else (icmp_message(kind, max(code, 0)), icmp_message(kind, code % 256))
    ports = properties.get("PortRange", {})
    return int(ports.get("From", 0)), int(ports.get("To", 65535))


def icmp_message(kind: int, code: int) -> int:
    """The number that stands for a message of ICMP where other protocols have a port."""
    return kind * 256 + code


def _routes(resources: Resources) -> tuple[Route, ...]:
    return tuple(
        Route(name, properties["RouteTableId"], *_destination_and_gateway(properties))
        for name, properties in of_type(resources, "AWS::EC2::Route")
    )


def _destination_and_gateway(properties: Mapping[str, Any]) -> tuple[str, str]:
    """A route has one of each beside its table, under names that tell their kinds."""
    destinations = [str(value) for key, value in properties.items() if key.startswith("Destination")]
    gateways = [
        str(value) for key, value in properties.items() if not key.startswith("Destination") and key != "RouteTableId"
    ]
    return ", ".join(destinations), ", ".join(gateways)
