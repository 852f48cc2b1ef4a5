"""Checks that queries for names of the on-premises domain reach the name servers there."""

from __future__ import annotations

from collections.abc import Iterator

from builders.reachability.flows import Demands
from builders.reachability.routes import FlowFinding
from builders.reachability.topology import Topology, reference

FEWEST_ADDRESSES = 2
"""Fewer are refused (Route 53 API reference, "CreateResolverEndpoint", IpAddresses)."""


def findings(topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    """Return the obstacles between the VPC's resolver and the name servers that the parameters give."""
    if not demands.name_servers:
        return
    flow = "names of on-premises"
    endpoints = {
        reference(name)
        for name, properties in topology.of_type("AWS::Route53Resolver::ResolverEndpoint")
        if properties["Direction"] == "OUTBOUND" and len(properties["IpAddresses"]) >= FEWEST_ADDRESSES
    }
    rules = {
        reference(name): {target["Ip"] for target in properties.get("TargetIps", ())}
        for name, properties in topology.of_type("AWS::Route53Resolver::ResolverRule")
        if properties.get("ResolverEndpointId") in endpoints
        and (properties["RuleType"], properties["DomainName"]) == ("FORWARD", demands.domain_name)
    }
    asked = {
        server
        for _, properties in topology.of_type("AWS::Route53Resolver::ResolverRuleAssociation")
        for server in rules.get(properties["ResolverRuleId"], ())
    }
    for server in demands.name_servers:
        if str(server.network_address) not in asked:
            yield FlowFinding(flow, "resolver", f"no forwarding rule of the VPC asks {server.network_address}")
