"""Checks that all is in one VPC, each subnet in a zone and a range of its own, and the database in all subnets."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from ipaddress import IPv4Network

from builders.reachability.flows import Demands
from builders.reachability.routes import FlowFinding
from builders.reachability.topology import Topology, reference

EVERY_FLOW, TO_THE_DATABASE = "every flow", "functions and DMS to the database"


def findings(topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    """Return resources outside the VPC, a wrong port, and subnets that AWS refuses or that fail together."""
    yield from _vpc(topology)
    yield from _subnets(topology, demands)
    yield from _database(topology, demands)


def _vpc(topology: Topology) -> Iterator[FlowFinding]:
    vpcs = {reference(name): IPv4Network(body["CidrBlock"]) for name, body in topology.of_type("AWS::EC2::VPC")}
    for name, body in topology.resources.items():
        properties = body.get("Properties", {})
        for key in ("VpcId", "VPCId"):
            if key in properties and properties[key] not in vpcs:
                yield FlowFinding(
                    EVERY_FLOW, name, f"stands in {properties[key]}, which is not the VPC of this network"
                )
    for name, properties in topology.of_type("AWS::EC2::Subnet"):
        vpc = vpcs.get(properties["VpcId"])
        if vpc is None or not IPv4Network(properties["CidrBlock"]).subnet_of(vpc):
            yield FlowFinding(EVERY_FLOW, f"subnet {name}", f"{properties['CidrBlock']} lies outside its VPC")


def _subnets(topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    # The template's own rule says which id of a zone is missing, the check of parameters which is of another region.
    subnets = [(name, topology.subnets[reference(name)]) for name, _ in topology.of_type("AWS::EC2::Subnet")]
    found = [(name, subnet) for name, subnet in subnets if subnet.zone]
    for name, subnet in found:
        if not re.fullmatch(rf"{demands.region}[a-z]|[a-z]+\d-az\d", subnet.zone):
            yield FlowFinding(EVERY_FLOW, f"subnet {name}", f"{subnet.zone} is not a zone of {demands.region}")
    for (one, first), (other, second) in itertools.combinations(found, 2):
        alike = len({reference(one), reference(other)} & topology.of_gateway) != 1
        if alike and first.zone == second.zone:
            yield FlowFinding(EVERY_FLOW, f"subnets {one} and {other}", "share a zone")
        if first.cidr.overlaps(second.cidr):
            yield FlowFinding(EVERY_FLOW, f"subnets {one} and {other}", "overlap")


def _database(topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    databases = dict(topology.of_type("AWS::RDS::DBInstance"))
    if not databases:
        yield FlowFinding(TO_THE_DATABASE, "database", "there is none")
    for name, properties in databases.items():
        if int(properties["Port"]) != demands.database_port:
            yield FlowFinding(TO_THE_DATABASE, name, f"listens on {properties['Port']}, not on {demands.database_port}")
    for name, properties in topology.of_type("AWS::RDS::DBSubnetGroup"):
        if topology.of_workload - set(properties["SubnetIds"]):
            yield FlowFinding(TO_THE_DATABASE, name, "leaves out a zone")
