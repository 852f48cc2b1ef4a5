"""One flow's journey: out of the source's group, through the ACLs both ways, along a route, into the target's group."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from builders.reachability import filters
from builders.reachability.flows import Demands, Flow
from builders.reachability.topology import Acl, Ports, Topology
from builders.reachability.ways import Finding, route_findings

NO_ACL = Acl((), ())
CLIENT_PORTS: Ports = (1024, 65535)
"""From where Lambda and others call, and so where answers go (VPC user guide, "Ephemeral ports")."""


@dataclass(frozen=True)
class Crossing:
    """What must pass one side of a subnet's ACL: in which direction, with whom, on which ports."""

    subnet: str
    egress: bool
    protocol: str
    peer: IPv4Network
    ports: Ports
    what: str


def findings(flow: Flow, topology: Topology, wanted: Demands) -> Iterator[Finding]:
    """Everything that stops the flow; nothing when connections and their answers pass."""
    yield from _at_the_groups(flow, topology)
    for crossing in crossings(flow, topology):
        name = topology.subnets[crossing.subnet].acl
        if name is None:
            continue  # the VPC's own lets everything pass, which is a leak and no obstacle
        acl = topology.acls.get(name, NO_ACL)
        entries = acl.egress if crossing.egress else acl.ingress
        if not filters.acl_admits(entries, flow.protocol, crossing.peer, crossing.ports):
            side = "egress" if crossing.egress else "ingress"
            first, last = crossing.ports
            yield Finding(
                str(flow),
                f"network ACL of {crossing.subnet}, {side}",
                f"{crossing.what}: {flow.protocol} {first}-{last} with {crossing.peer} does not pass",
            )
    yield from route_findings(flow, topology, wanted)


def _at_the_groups(flow: Flow, topology: Topology) -> Iterator[Finding]:
    source, target = flow.source, flow.target
    for subnet in {*source.subnets, *target.subnets} - topology.subnets.keys():
        yield Finding(str(flow), f"subnet {subnet}", "is not there")
    if not target.subnets and not target.ranges:
        yield Finding(str(flow), target.name, "stands in no subnet")
    leaving = [rule for group in source.groups if group in topology.groups for rule in topology.groups[group].egress]
    peers = (*target.groups, target.prefix_list) if target.prefix_list else target.groups
    ranges = () if target.prefix_list else target.ranges
    if not filters.group_admits(leaving, flow.protocol, flow.port, peers, ranges):
        yield Finding(str(flow), f"security group {', '.join(source.groups)}, egress", "no rule lets it out")
    if not target.ranges:
        entering = [
            rule for group in target.groups if group in topology.groups for rule in topology.groups[group].ingress
        ]
        if not filters.group_admits(entering, flow.protocol, flow.port, source.groups, ()):
            yield Finding(str(flow), f"security group {', '.join(target.groups)}, ingress", "no rule lets it in")


def crossings(flow: Flow, topology: Topology) -> Iterator[Crossing]:
    """Everything that ACLs must let pass for the flow, request and answer, at both ends."""
    sources = [(name, topology.subnets[name]) for name in flow.source.subnets if name in topology.subnets]
    targets = [(name, topology.subnets[name]) for name in flow.target.subnets if name in topology.subnets]
    for (name, _), outside in itertools.product(sources, flow.target.ranges):
        yield from _both_ways(name, outside, flow, at_source=True)
    for (name, subnet), (other_name, other) in itertools.product(sources, targets):
        if name != other_name:  # within a subnet no ACL is asked
            yield from _both_ways(name, other.cidr, flow, at_source=True)
            yield from _both_ways(other_name, subnet.cidr, flow, at_source=False)


def _both_ways(subnet: str, peer: IPv4Network, flow: Flow, *, at_source: bool) -> Iterable[Crossing]:
    """The request to the port and the answer to the client's port, as one end's ACL sees them."""
    return (
        Crossing(subnet, at_source, flow.protocol, peer, (flow.port, flow.port), "the request"),
        Crossing(subnet, not at_source, flow.protocol, peer, CLIENT_PORTS, "the answer"),
    )
