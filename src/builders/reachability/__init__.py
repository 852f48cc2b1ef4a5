"""Proves over evaluated templates, without AWS, that what the migration needs can be reached, and nothing else.

    asked = demands({"network": ..., "endpoints": ..., "database": ..., "clients": ...}, given)  # the templates
    layers = {"network": ..., "endpoints": ..., "database": ..., "clients": ...}  # evaluated with the same parameters
    findings = check(layers, asked) + superfluous(layers, asked)

    flows.py              the flows that the migration needs, by the parameters
    topology.py           the network in the evaluated templates
    paths.py              one flow through groups, ACLs and routes
    filters.py            security groups and network ACLs against a packet
    routes.py             routes, and what they lead through
    services.py           AWS services through the VPC endpoints
    endpoint_policies.py  policies of endpoints against a request
    names.py              names of the on-premises domain
    placement.py          VPC, subnets, zones and ranges
    leaks.py              what must not be reachable
    permissions.py        permissions that no flow needs

Every needed flow is followed through security groups and network ACLs both ways, route tables, gateways and endpoint
policies. A finding names the flow, where it shows, and what is missing or too much there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from builders.evaluate import Evaluated
from builders.reachability import leaks, names, paths, placement, services
from builders.reachability.flows import Demands, demands, needed
from builders.reachability.permissions import without_each
from builders.reachability.routes import FlowFinding, gateway_table_findings
from builders.reachability.topology import LAYER, Resources, read

__all__ = ["Demands", "FlowFinding", "check", "demands", "findings", "superfluous"]

LAYERS = ("network", "endpoints", "database")
OPTIONAL_LAYERS = ("clients",)
"""Without it nobody but the migration itself uses the database."""


def check(layers: Mapping[str, Evaluated], demands: Demands) -> list[FlowFinding]:
    """Find what cannot be reached though it is needed, and what can be though it must not.

    `layers` maps "network", "endpoints", "database" and, where it is deployed, "clients" to their evaluated templates,
    where the imports of the latter are the exports of the first. Logical ids are unique over all of them.
    """
    return list(dict.fromkeys(findings(layers, demands)))  # what several subnets share is found once


def findings(layers: Mapping[str, Evaluated], demands: Demands) -> Iterator[FlowFinding]:
    """Yield what `check` returns as it is found, some of it more than once."""
    return _follow(_together(layers), layers["network"], demands)


def superfluous(layers: Mapping[str, Evaluated], demands: Demands) -> list[FlowFinding]:
    """Find every rule, entry, route and policy statement without which `check` finds nothing more."""
    resources, network = _together(layers), layers["network"]
    found = set(_follow(resources, network, demands))
    return [
        FlowFinding("none that is needed", permission, "permits what nothing needs")
        for permission, remaining in without_each(resources)
        if all(each in found for each in _follow(remaining, network, demands))
    ]


def _together(layers: Mapping[str, Evaluated]) -> Resources:
    taking_part = [*LAYERS, *(layer for layer in OPTIONAL_LAYERS if layer in layers)]
    return {name: {**body, LAYER: layer} for layer in taking_part for name, body in layers[layer].resources.items()}


def _follow(resources: Resources, network: Evaluated, demands: Demands) -> Iterator[FlowFinding]:
    topology = read(resources)
    flows = {flow: list(paths.crossings(flow, topology)) for flow in needed(topology, network, demands)}
    of_path_mtu = list(paths.of_path_mtu(topology))
    yield from placement.findings(topology, demands)
    yield from paths.acl_findings("path MTU discovery", of_path_mtu, topology)
    for flow, crossed in flows.items():
        yield from paths.findings(flow, crossed, topology, demands)
    yield from gateway_table_findings(topology)
    yield from services.findings(topology, demands)
    yield from names.findings(topology, demands)
    yield from leaks.findings(topology, flows, [*chain.from_iterable(flows.values()), *of_path_mtu], demands)
