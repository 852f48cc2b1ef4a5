"""Checks that a route leads where a flow goes, and that the gateways on the route are attached on both sides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from builders.layers._network.attachment import WAITS_FOR
from builders.reachability.filters import as_range
from builders.reachability.flows import Demands, Flow
from builders.reachability.topology import LAYER, TRANSIT_GATEWAY_ATTACHMENT, Route, Topology, reference


@dataclass(frozen=True)
class FlowFinding:
    """A flow that does not work or should not, where that shows, and what is wrong there."""

    flow: str
    where: str
    missing: str


def route_findings(flow: Flow, topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    """Return the obstacles to packets that leave a subnet; within the VPC every route table has a route.

    Of connections that come from outside it is the answers that leave.
    """
    inside, outside = (flow.source, flow.target) if flow.target.ranges else (flow.target, flow.source)
    for name in inside.subnets if outside.ranges else ():
        table = topology.subnets[name].table if name in topology.subnets else None
        if table is None or not _is_there(topology, table, "AWS::EC2::RouteTable"):
            yield FlowFinding(str(flow), f"subnet {name}", "has no route table of its own")
        elif outside.prefix_list:
            yield from _to_s3(flow, table, topology)
        else:
            for cidr in outside.ranges:
                yield from _to_outside(flow, name, table, cidr, topology, demands)


def gateway_subnets(topology: Topology, subnet: str, cidr: IPv4Network) -> tuple[str, ...]:
    """The subnets that the transit gateway has its interfaces in, where it is what leads from `subnet` to `cidr`."""
    table = topology.subnets[subnet].table
    gateways = {route.gateway for route in topology.routes if route.table == table and _covers(route, cidr)}
    return tuple(
        other
        for _, body in topology.of_type(TRANSIT_GATEWAY_ATTACHMENT)
        if body["TransitGatewayId"] in gateways
        for other in body["SubnetIds"]
        if other in topology.subnets
    )


def gateway_table_findings(topology: Topology) -> Iterator[FlowFinding]:
    """Return the faults that keep traffic from a transit gateway from going to the VPC's subnets, and only there."""
    for name in sorted(topology.of_gateway & topology.subnets.keys()):
        table = topology.subnets[name].table
        if table is None or not _is_there(topology, table, "AWS::EC2::RouteTable"):
            yield FlowFinding("transit gateway to VPC", f"subnet {name}", "has no route table of its own")
        for route in topology.routes:
            if route.table == table:
                yield FlowFinding("transit gateway to elsewhere", f"route {route.name}", "leads out of the VPC again")


def _to_s3(flow: Flow, table: str, topology: Topology) -> Iterator[FlowFinding]:
    gateways = [
        properties
        for _, properties in topology.of_type("AWS::EC2::VPCEndpoint")
        if properties["VpcEndpointType"] == "Gateway" and properties["ServiceName"].endswith(".s3")
    ]
    if not any(table in properties.get("RouteTableIds", ()) for properties in gateways):
        yield FlowFinding(str(flow), f"route table {table}", "no gateway endpoint of S3 puts its route there")


def _to_outside(
    flow: Flow, subnet: str, table: str, cidr: IPv4Network, topology: Topology, demands: Demands
) -> Iterator[FlowFinding]:
    routes = [route for route in topology.routes if route.table == table and _covers(route, cidr)]
    if not routes and flow.source.ranges:
        routes = list(_learnt(table, cidr, topology))
    if not routes:
        yield FlowFinding(str(flow), f"route table {table}", f"no route to {cidr}{flow.hint}")
    for route in routes:
        transit = list(_attached(topology, TRANSIT_GATEWAY_ATTACHMENT, "TransitGatewayId", route.gateway))
        private = list(_attached(topology, "AWS::EC2::VPCGatewayAttachment", "VpnGatewayId", route.gateway))
        gaps = [
            *_attachment_gaps(route, [*transit, *private], topology),
            *_zone_gaps(subnet, transit, topology),
            *(gap for name, _ in private for gap in _private_gateway_gaps(route, name, topology, demands)),
        ]
        yield from (FlowFinding(str(flow), f"route {route.name}", gap) for gap in gaps)


def _learnt(table: str, cidr: IPv4Network, topology: Topology) -> Iterator[Route]:
    """The route to a client that a virtual private gateway teaches the table, once the range is announced to it."""
    for name, properties in topology.of_type("AWS::EC2::VPNGatewayRoutePropagation"):
        if table in properties["RouteTableIds"]:
            yield Route(name, table, str(cidr), properties["VpnGatewayId"])


def _covers(route: Route, cidr: IPv4Network) -> bool:
    destination = as_range(route.destination)
    return destination is not None and cidr.subnet_of(destination)


def _attached(topology: Topology, kind: str, key: str, gateway: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return ((name, properties) for name, properties in topology.of_type(kind) if properties.get(key) == gateway)


def _attachment_gaps(
    route: Route, attachments: list[tuple[str, Mapping[str, Any]]], topology: Topology
) -> Iterator[str]:
    if not attachments:
        yield f"the VPC is not attached to {route.gateway}"
    elif not any(_waits(topology, route.name, name) for name, _ in attachments):
        yield "does not wait for the attachment, without which AWS refuses the route"


def _zone_gaps(subnet: str, attachments: list[tuple[str, Mapping[str, Any]]], topology: Topology) -> Iterator[str]:
    """Traffic enters a transit gateway in its own zone or nowhere (VPC Transit Gateways guide, "VPC attachments")."""
    zone = topology.subnets[subnet].zone
    for name, body in attachments:
        if zone not in {topology.subnets[other].zone for other in body["SubnetIds"] if other in topology.subnets}:
            yield f"{name} has no interface in the zone of {subnet}"


def _private_gateway_gaps(route: Route, attachment: str, topology: Topology, demands: Demands) -> Iterator[str]:
    """Return the gaps of a virtual private gateway beside its attachment: missing parts, parts not made after it."""
    if not _is_there(topology, route.gateway, "AWS::EC2::VPNGateway"):
        yield f"gateway {route.gateway} is not there"
    if not any(
        route.table in properties["RouteTableIds"] and _waits(topology, name, attachment)
        for name, properties in _attached(
            topology, "AWS::EC2::VPNGatewayRoutePropagation", "VpnGatewayId", route.gateway
        )
    ):
        yield f"table {route.table} does not learn the routes of {route.gateway} once it is attached"
    if not any(
        properties["DirectConnectGatewayId"] == demands.direct_connect_gateway_id and _waits(topology, name, attachment)
        for name, properties in _attached(
            topology, "AWS::DirectConnect::DirectConnectGatewayAssociation", "AssociatedGatewayId", route.gateway
        )
    ):
        yield f"{route.gateway} does not join the Direct Connect gateway once it is attached"


def _waits(topology: Topology, name: str, other: str) -> bool:
    """Return whether a resource is made after another: by DependsOn, a reference, or in a later layer."""
    body = topology.resources[name]
    after = body.get("DependsOn", ())
    return (
        other in ((after,) if isinstance(after, str) else after)
        or body.get("Metadata", {}).get(WAITS_FOR) == reference(other)
        or body.get(LAYER) != topology.resources[other].get(LAYER)
    )


def _is_there(topology: Topology, identifier: str, kind: str) -> bool:
    return any(reference(name) == identifier for name, _ in topology.of_type(kind))
