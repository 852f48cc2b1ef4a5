"""Whether a route leads where a flow goes, and whether what the route leads through is joined on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from builders.reachability.filters import as_range
from builders.reachability.flows import Flow
from builders.reachability.topology import Route, Topology, reference


@dataclass(frozen=True)
class Finding:
    """A flow that does not work or should not, where that shows, and what is wrong there."""

    flow: str
    where: str
    missing: str


def route_findings(flow: Flow, topology: Topology) -> Iterator[Finding]:
    """What keeps packets of the flow from finding their way out of every subnet of its source, and back into it."""
    for name in flow.source.subnets:
        table = topology.subnets[name].table if name in topology.subnets else None
        if table is None or not _is_there(topology, table, "AWS::EC2::RouteTable"):
            yield Finding(str(flow), f"subnet {name}", "has no route table of its own")
        elif flow.target.prefix_list:
            yield from _to_s3(flow, table, topology)
        else:
            for cidr in flow.target.ranges:
                yield from _to_on_premises(flow, name, table, cidr, topology)


def _to_s3(flow: Flow, table: str, topology: Topology) -> Iterator[Finding]:
    gateways = [
        properties
        for _, properties in topology.of_type("AWS::EC2::VPCEndpoint")
        if properties["VpcEndpointType"] == "Gateway" and properties["ServiceName"].endswith(".s3")
    ]
    if not any(table in properties.get("RouteTableIds", ()) for properties in gateways):
        yield Finding(str(flow), f"route table {table}", "no gateway endpoint of S3 puts its route there")


def _to_on_premises(flow: Flow, subnet: str, table: str, cidr: IPv4Network, topology: Topology) -> Iterator[Finding]:
    routes = [route for route in topology.routes if route.table == table and _covers(route, cidr)]
    if not routes:
        yield Finding(str(flow), f"route table {table}", f"no route to {cidr}")
    for route in routes:
        yield from (Finding(str(flow), f"route {route.name}", missing) for missing in _gaps(route, subnet, topology))


def _covers(route: Route, cidr: IPv4Network) -> bool:
    destination = as_range(route.destination)
    return destination is not None and cidr.subnet_of(destination)


def _gaps(route: Route, subnet: str, topology: Topology) -> Iterator[str]:
    """What the gateway of a route lacks to carry packets between this subnet and on-premises."""
    by_transit = [
        (name, properties)
        for name, properties in topology.of_type("AWS::EC2::TransitGatewayAttachment")
        if properties["TransitGatewayId"] == route.gateway and _is_there(topology, properties["VpcId"], "AWS::EC2::VPC")
    ]
    by_private = [
        (name, properties)
        for name, properties in topology.of_type("AWS::EC2::VPCGatewayAttachment")
        if properties.get("VpnGatewayId") == route.gateway and _is_there(topology, properties["VpcId"], "AWS::EC2::VPC")
    ]
    for name, properties in by_transit:
        if subnet not in properties["SubnetIds"]:
            yield f"attachment {name} has no interface in {subnet}"
    if by_private:
        yield from _private_gateway_gaps(route, topology)
    attachments = [*by_transit, *by_private]
    if not attachments:
        yield f"the VPC is not attached to {route.gateway}"
    elif not any(name in route.after for name, _ in attachments):
        yield "does not wait for the attachment, without which AWS refuses the route"


def _private_gateway_gaps(route: Route, topology: Topology) -> Iterator[str]:
    if not _is_there(topology, route.gateway, "AWS::EC2::VPNGateway"):
        yield f"gateway {route.gateway} is not there"
    if not any(
        properties["VpnGatewayId"] == route.gateway and route.table in properties["RouteTableIds"]
        for _, properties in topology.of_type("AWS::EC2::VPNGatewayRoutePropagation")
    ):
        yield f"table {route.table} does not learn the routes of {route.gateway}"
    if not any(
        properties["AssociatedGatewayId"] == route.gateway
        for _, properties in topology.of_type("AWS::DirectConnect::DirectConnectGatewayAssociation")
    ):
        yield f"{route.gateway} joins no Direct Connect gateway"


def _is_there(topology: Topology, identifier: str, kind: str) -> bool:
    return any(reference(name) == identifier for name, _ in topology.of_type(kind))
