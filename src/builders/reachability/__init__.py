"""Proves over evaluated templates, without AWS, that what the migration needs can be reached, and nothing else.

    wanted = demands(network_template, given)
    findings = check({"network": ..., "endpoints": ..., "database": ...}, wanted)

Every needed flow is followed through security groups and network ACLs both ways, route tables, gateways and endpoint
policies. A finding names the flow, where it shows, and what is missing or too much there.
"""

from __future__ import annotations

from collections.abc import Mapping

from builders.evaluate import Evaluated
from builders.reachability import journey, leaks, names, services
from builders.reachability.flows import Demands, demands, needed
from builders.reachability.superfluous import without_each_permission
from builders.reachability.topology import Resources, read
from builders.reachability.ways import Finding

__all__ = ["Demands", "Finding", "check", "demands"]

LAYERS = ("network", "endpoints", "database")


def check(layers: Mapping[str, Evaluated], wanted: Demands) -> list[Finding]:
    """Find what is not reachable though needed, reachable though not needed, and permitted though nothing uses it.

    `layers` maps "network", "endpoints" and "database" to their evaluated templates, where the imports of the latter
    two are the exports of the first. Logical ids are unique over the three.
    """
    resources = {name: body for layer in LAYERS for name, body in layers[layer].resources.items()}
    network = layers["network"]
    found = _follow(resources, network, wanted)
    for permission, fewer in without_each_permission(resources):
        if set(_follow(fewer, network, wanted)) <= set(found):
            found.append(Finding("no needed flow", permission, "permits what nothing needs"))
    return found


def _follow(resources: Resources, network: Evaluated, wanted: Demands) -> list[Finding]:
    topology = read(resources)
    flows = [finding for flow in needed(topology, network, wanted) for finding in journey.findings(flow, topology)]
    return [
        *flows,
        *services.findings(topology, wanted),
        *names.findings(topology, wanted),
        *leaks.findings(topology, network.outputs, wanted),
        *_missing(resources),
    ]


def _missing(resources: Resources) -> list[Finding]:
    if any(body["Type"] == "AWS::RDS::DBInstance" for body in resources.values()):
        return []
    return [Finding("functions and DMS to the database", "database", "there is no database instance")]
