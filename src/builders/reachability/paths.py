"""One flow's path: out of the source's group, through the ACLs both ways, along a route, into the target's group."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from builders.reachability import filters
from builders.reachability.flows import EVERYWHERE, Demands, Flow
from builders.reachability.routes import FlowFinding, gateway_subnets, route_findings
from builders.reachability.topology import Acl, Ports, Topology, icmp_message

NO_ACL = Acl((), ())
CLIENT_PORTS: Ports = (1024, 65535)
"""From where Lambda and others call, and so where answers go (VPC user guide, "Ephemeral ports")."""


@dataclass(frozen=True)
class Crossing:
    """Traffic that must pass one side of a subnet's ACL: its direction, its peer, its ports."""

    subnet: str
    egress: bool
    protocol: str
    peer: IPv4Network
    ports: Ports
    what: str


def findings(flow: Flow, crossed: Iterable[Crossing], topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    """Everything that stops the flow, whose crossings are given; nothing when connections and answers pass."""
    yield from _at_the_groups(flow, topology)
    yield from acl_findings(str(flow), crossed, topology)
    yield from route_findings(flow, topology, demands)


def acl_findings(flow: str, crossed: Iterable[Crossing], topology: Topology) -> Iterator[FlowFinding]:
    """Crossings that an ACL stops."""
    passes: dict[tuple[str, bool, str, IPv4Network, Ports], bool] = {}
    """One ACL is asked for several subnets; what `filters` remembers takes longer to look up, by all entries."""
    for crossing in crossed:
        name = topology.subnets[crossing.subnet].acl
        if name is None:
            continue  # the VPC's own lets everything pass, which is a leak and no obstacle
        acl = topology.acls.get(name, NO_ACL)
        question = (name, crossing.egress, crossing.protocol, crossing.peer, crossing.ports)
        if question not in passes:
            entries = acl.egress if crossing.egress else acl.ingress
            passes[question] = filters.acl_admits(entries, crossing.protocol, crossing.peer, crossing.ports)
        if not passes[question]:
            side = "egress" if crossing.egress else "ingress"
            first, last = crossing.ports
            yield FlowFinding(
                flow,
                f"network ACL of {crossing.subnet}, {side}",
                f"{crossing.what}: {crossing.protocol} {first}-{last} with {crossing.peer} does not pass",
            )


def _at_the_groups(flow: Flow, topology: Topology) -> Iterator[FlowFinding]:
    source, target = flow.source, flow.target
    for subnet in {*source.subnets, *target.subnets} - topology.subnets.keys():
        yield FlowFinding(str(flow), f"subnet {subnet}", "is not there")
    if not target.subnets and not target.ranges:
        yield FlowFinding(str(flow), target.name, "stands in no subnet")
    leaving = [rule for group in source.groups if group in topology.groups for rule in topology.groups[group].egress]
    peers = (*target.groups, target.prefix_list) if target.prefix_list else target.groups
    ranges = () if target.prefix_list else target.ranges
    if not source.is_foreign and not filters.group_admits(leaving, flow.protocol, flow.port, peers, ranges):
        yield FlowFinding(str(flow), f"security group {', '.join(source.groups)}, egress", "no rule lets it out")
    if not target.ranges:
        entering = [
            rule for group in target.groups if group in topology.groups for rule in topology.groups[group].ingress
        ]
        if not filters.group_admits(entering, flow.protocol, flow.port, source.groups, source.ranges):
            yield FlowFinding(str(flow), f"security group {', '.join(target.groups)}, ingress", "no rule lets it in")


def crossings(flow: Flow, topology: Topology) -> Iterator[Crossing]:
    """Everything that ACLs must let pass for the flow, request and answer, at both ends."""
    sources = [(name, topology.subnets[name]) for name in flow.source.subnets if name in topology.subnets]
    targets = [(name, topology.subnets[name]) for name in flow.target.subnets if name in topology.subnets]
    for (name, _), outside in itertools.product(sources, flow.target.ranges):
        yield from _with_outside(name, outside, flow, topology, at_source=True)
    for (name, _), outside in itertools.product(targets, flow.source.ranges):
        yield from _with_outside(name, outside, flow, topology, at_source=False)
    for (name, subnet), (other_name, other) in itertools.product(sources, targets):
        if name != other_name:  # within a subnet no ACL is asked
            for end, peer, at_source in ((name, other.cidr, True), (other_name, subnet.cidr, False)):
                yield Crossing(end, at_source, flow.protocol, peer, *_request(flow))
                yield Crossing(end, not at_source, flow.protocol, peer, *_answer())


def of_path_mtu(topology: Topology) -> Iterator[Crossing]:
    """The messages of routers, any of them, that a packet is too large for the way: an ACL knows no answers.

    Source: VPC user guide, "Path MTU Discovery".
    """
    too_large = icmp_message(3, 4)
    for subnet in sorted(topology.of_workload):
        for egress in (False, True):
            yield Crossing(subnet, egress, "icmp", EVERYWHERE, (too_large, too_large), "fragmentation needed")


def _with_outside(
    subnet: str, outside: IPv4Network, flow: Flow, topology: Topology, *, at_source: bool
) -> Iterator[Crossing]:
    """Packets between a subnet and a range outside, request and answer, with the flow's source in the subnet or not.

    Where a transit gateway leads outside, the ACL of its own subnet is asked as well: about what enters the gateway by
    the inbound entries and the sender's address, about what comes out of it by the outbound entries and the receiver's.
    Within one subnet what enters the gateway passes both sides of the one ACL, and what comes out of it none (VPC
    Transit Gateways guide, "Network ACLs for transit gateways"). It takes packets in the sender's zone, and hands them
    over in any.
    """
    (leaving, left), (entering, entered) = [_request(flow), _answer()] if at_source else [_answer(), _request(flow)]
    here, gates = topology.subnets[subnet], gateway_subnets(topology, subnet, outside)
    yield Crossing(subnet, True, flow.protocol, outside, leaving, left)
    if not gates or set(gates) != {subnet}:
        yield Crossing(subnet, False, flow.protocol, outside, entering, entered)
    for gate in gates:
        if topology.subnets[gate].zone == here.zone:
            yield Crossing(gate, False, flow.protocol, here.cidr, leaving, f"{left}, as it enters the transit gateway")
        if gate != subnet:
            yield Crossing(
                gate, True, flow.protocol, here.cidr, entering, f"{entered}, as it leaves the transit gateway"
            )


def _request(flow: Flow) -> tuple[Ports, str]:
    return (flow.port, flow.port), "the request"


def _answer() -> tuple[Ports, str]:
    """Answers go to the port that the client chose."""
    return CLIENT_PORTS, "the answer"
