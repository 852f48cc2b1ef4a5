"""Forbidden connections: the internet from the VPC, the VPC from outside, whatever no needed flow asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from ipaddress import IPv4Network

from builders.reachability.filters import as_range
from builders.reachability.flows import Demands, Flow
from builders.reachability.paths import Crossing
from builders.reachability.routes import FlowFinding
from builders.reachability.topology import ALL_PORTS, ANY_PROTOCOL, Entry, GroupRule, Topology

DOORS_OUT = (
    "AWS::EC2::CarrierGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::VPCPeeringConnection",
)
NOWHERE = GroupRule(ANY_PROTOCOL, ALL_PORTS, "127.0.0.1/32")
"""Keeps a group that needs no egress from getting the one that leads everywhere."""


def findings(
    topology: Topology, flows: Collection[Flow], crossed: Collection[Crossing], demands: Demands
) -> Iterator[FlowFinding]:
    """Every opening that is wider than the needed flows and their crossings."""
    yield from _doors(topology)
    outside = [*demands.on_premises, *(cidr for client in demands.clients for cidr in client.ranges)]
    for route in topology.routes:
        destination = as_range(route.destination)
        if destination is None or not any(destination.subnet_of(cidr) for cidr in outside):
            yield FlowFinding(
                f"VPC to {route.destination}", f"route {route.name}", "leads to neither on-premises nor a client"
            )
    for name, subnet in topology.subnets.items():
        if subnet.acl is None:
            yield FlowFinding(
                "VPC to everywhere", f"subnet {name}", "has the VPC's own ACL, which lets everything pass"
            )
    yield from _groups(topology, flows)
    yield from _acls(topology, crossed)


def _doors(topology: Topology) -> Iterator[FlowFinding]:
    for kind in DOORS_OUT:
        for name, _ in topology.of_type(kind):
            yield FlowFinding("VPC to elsewhere", name, f"a {kind} leads out of the VPC")
    for name, properties in topology.of_type("AWS::EC2::Subnet"):
        if properties.get("MapPublicIpOnLaunch") is not False:
            yield FlowFinding("internet to VPC", f"subnet {name}", "does not say that it gives no public addresses")
    for name, properties in topology.of_type("AWS::RDS::DBInstance"):
        if properties.get("PubliclyAccessible") is not False:
            yield FlowFinding("internet to database", name, "does not say that it has no public address")


def _groups(topology: Topology, flows: Collection[Flow]) -> Iterator[FlowFinding]:
    for name, group in topology.groups.items():
        if not group.egress:
            yield FlowFinding("VPC to everywhere", f"security group {name}", "states no egress, which AWS reads as all")
        outward = {rule for flow in flows if name in flow.source.groups for rule in _rules(flow, _targets(flow))}
        inward = {rule for flow in flows if name in flow.target.groups for rule in _rules(flow, _sources(flow))}
        for side, rules, needed in (
            ("egress", group.egress, outward | {NOWHERE}),
            ("ingress", group.ingress, inward),
        ):
            for rule in set(rules) - needed:
                yield FlowFinding(
                    f"{rule.protocol} {rule.ports[0]}-{rule.ports[1]} with {rule.peer}",
                    f"security group {name}, {side}",
                    "passes, and no needed flow asks for just that",
                )


def _targets(flow: Flow) -> tuple[str, ...]:
    target = flow.target
    return (target.prefix_list,) if target.prefix_list else (*target.groups, *map(str, target.ranges))


def _sources(flow: Flow) -> tuple[str, ...]:
    return (*flow.source.groups, *map(str, flow.source.ranges))


def _rules(flow: Flow, peers: Collection[str]) -> list[GroupRule]:
    return [GroupRule(flow.protocol, (flow.port, flow.port), peer) for peer in peers]


def _acls(topology: Topology, needed: Collection[Crossing]) -> Iterator[FlowFinding]:
    vpcs = [IPv4Network(properties["CidrBlock"]) for _, properties in topology.of_type("AWS::EC2::VPC")]
    for name, acl in topology.acls.items():
        subnets = {subnet for subnet, body in topology.subnets.items() if body.acl == name}
        if subnets and subnets <= topology.of_gateway:
            # Open on purpose: nothing is there, and the ACLs of the other subnets filter what passes (VPC Transit
            # Gateways guide, "Transit gateway design best practices").
            continue
        for side, entries in (("egress", acl.egress), ("ingress", acl.ingress)):
            asked = [
                crossing for crossing in needed if crossing.subnet in subnets and crossing.egress is (side == "egress")
            ]
            for entry in entries:
                if entry.allows and not any(_is_asked(entry, crossing, vpcs) for crossing in asked):
                    yield FlowFinding(
                        f"{entry.protocol} {entry.ports[0]}-{entry.ports[1]} with {entry.cidr}",
                        f"network ACL {name}, {side}, entry {entry.number}",
                        "passes, and no needed flow asks for just that",
                    )


def _is_asked(entry: Entry, crossing: Crossing, vpcs: Collection[IPv4Network]) -> bool:
    """Return whether the entry is for this needed packet; one entry may serve all subnets of the VPC."""
    if (entry.protocol, entry.ports) != (crossing.protocol, crossing.ports):
        return False
    return crossing.peer == entry.cidr or (
        crossing.peer.subnet_of(entry.cidr) and any(entry.cidr.subnet_of(vpc) for vpc in vpcs)
    )
