"""Proves over evaluated templates, without AWS, that what the migration needs can be reached, and nothing else.

    wanted = demands({"network": ..., "endpoints": ..., "database": ...}, given)  # the templates
    layers = {"network": ..., "endpoints": ..., "database": ...}  # evaluated with the same parameters
    findings = check(layers, wanted) + superfluous(layers, wanted)

    flows.py              the flows that the migration needs, by the parameters
    topology.py           the network in the evaluated templates
    journey.py            one flow through groups, ACLs and routes
    filters.py            security groups and network ACLs against a packet
    ways.py               routes, and what they lead through
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

from collections.abc import Mapping

from builders.evaluate import Evaluated
from builders.reachability import journey, leaks, names, placement, services
from builders.reachability.flows import Demands, demands, needed
from builders.reachability.permissions import without_each
from builders.reachability.topology import Resources, read
from builders.reachability.ways import Finding

__all__ = ["Demands", "Finding", "check", "demands", "superfluous"]

LAYERS = ("network", "endpoints", "database")


def check(layers: Mapping[str, Evaluated], wanted: Demands) -> list[Finding]:
    """Find what cannot be reached though it is needed, and what can be though it must not.

    `layers` maps "network", "endpoints" and "database" to their evaluated templates, where the imports of the latter
    two are the exports of the first. Logical ids are unique over the three.
    """
    return _follow(_together(layers), layers["network"], wanted)


def superfluous(layers: Mapping[str, Evaluated], wanted: Demands) -> list[Finding]:
    """Find every rule, entry, route and policy statement without which `check` finds nothing more."""
    resources, network = _together(layers), layers["network"]
    found = set(_follow(resources, network, wanted))
    return [
        Finding("none that is needed", permission, "permits what nothing needs")
        for permission, remaining in without_each(resources)
        if set(_follow(remaining, network, wanted)) <= found
    ]


def _together(layers: Mapping[str, Evaluated]) -> Resources:
    return {name: body for layer in LAYERS for name, body in layers[layer].resources.items()}


def _follow(resources: Resources, network: Evaluated, wanted: Demands) -> list[Finding]:
    topology = read(resources)
    flows = list(needed(topology, network, wanted))
    return [
        *placement.findings(topology, wanted),
        *(finding for flow in flows for finding in journey.findings(flow, topology, wanted)),
        *services.findings(topology, wanted),
        *names.findings(topology, wanted),
        *leaks.findings(topology, flows, wanted),
    ]
