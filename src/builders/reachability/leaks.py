"""What must not be reachable: the internet from the VPC, the VPC from outside, on-premises from others than DMS."""

from __future__ import annotations

from collections.abc import Iterator

from builders.reachability.filters import as_range, group_admits
from builders.reachability.flows import Demands, functions
from builders.reachability.topology import Group, Topology
from builders.reachability.ways import Finding

DOORS_TO_THE_INTERNET = (
    "AWS::EC2::CarrierGateway",
    "AWS::EC2::EIP",
    "AWS::EC2::EgressOnlyInternetGateway",
    "AWS::EC2::InternetGateway",
    "AWS::EC2::NatGateway",
    "AWS::EC2::VPCPeeringConnection",
)
LOOPBACK = "127.0.0.1/32"


def findings(topology: Topology, outputs: dict[str, str], wanted: Demands) -> Iterator[Finding]:
    """Every opening that no flow of the migration needs."""
    for kind in DOORS_TO_THE_INTERNET:
        for name, _ in topology.of_type(kind):
            yield Finding("VPC to elsewhere", name, f"a {kind} leads out of the VPC")
    for name, properties in topology.of_type("AWS::EC2::Subnet"):
        if properties.get("MapPublicIpOnLaunch") is not False:
            yield Finding("internet to VPC", f"subnet {name}", "does not say that it gives no public addresses")
    for name, properties in topology.of_type("AWS::RDS::DBInstance"):
        if properties.get("PubliclyAccessible") is not False:
            yield Finding("internet to database", name, "does not say that it has no public address")
    yield from _routes(topology, wanted)
    for name, group in topology.groups.items():
        yield from _group(name, group, wanted)
    (worn,) = functions(outputs).groups
    for cidr in wanted.on_premises:
        egress = topology.groups[worn].egress if worn in topology.groups else ()
        if group_admits(egress, "tcp", wanted.source_port, (), [cidr]):
            yield Finding(f"functions to on-premises {cidr}", f"security group {worn}, egress", "lets it out")


def _routes(topology: Topology, wanted: Demands) -> Iterator[Finding]:
    for route in topology.routes:
        destination = as_range(route.destination)
        if destination is None or not any(destination.subnet_of(cidr) for cidr in wanted.on_premises):
            yield Finding(
                f"VPC to {route.destination}", f"route {route.name}", "leads elsewhere than to the on-premises ranges"
            )


def _group(name: str, group: Group, wanted: Demands) -> Iterator[Finding]:
    """A group lets in groups alone, and lets out to what has an address that the parameters name."""
    if not group.egress:
        yield Finding("VPC to everywhere", f"security group {name}", "states no egress, which AWS reads as all")
    for rule in group.ingress:
        if not rule.peer.startswith("${"):
            yield Finding(f"{rule.peer} to VPC", f"security group {name}, ingress", "lets in from outside the VPC")
    for rule in group.egress:
        cidr = as_range(rule.peer)
        is_known = rule.peer == LOOPBACK or (
            cidr is not None and any(cidr.subnet_of(known) for known in wanted.on_premises)
        )
        if not is_known and not rule.peer.startswith(("${", "pl-")):
            yield Finding(
                f"VPC to {rule.peer}", f"security group {name}, egress", "lets out to where nothing is needed"
            )
