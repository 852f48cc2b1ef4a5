"""The flows that the migration needs, from what the parameters ask for and what is in the VPC."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from builders.evaluate import EXAMPLE_ACCOUNT, Evaluated
from builders.layers import clients, network
from builders.reachability.topology import Topology

ALWAYS = ("secretsmanager", "dms")
"""Rotation and DMS itself call the one, whatever watches the replication calls the other."""

ENDPOINT_SWITCH = "EndpointEnabled"
EVERYWHERE = IPv4Network("0.0.0.0/0")
CLIENT = re.compile(f"({clients.APPLICATION}|{clients.OPERATOR})(Cidr|SecurityGroupId)[0-9]+$")
"""The parameters of the layer `clients` that let somebody in."""


@dataclass(frozen=True)
class Demands:
    """Demands of a phase's parameters on its network; without connectivity there is no on-premises."""

    account: str
    region: str
    database_port: int
    s3_prefix_list: str
    on_premises: tuple[IPv4Network, ...]
    source_port: int
    direct_connect_gateway_id: str
    domain_name: str
    name_servers: tuple[IPv4Network, ...]
    services: tuple[str, ...]
    """Services that an interface endpoint is asked for, by the last part of the endpoint's name."""
    clients: tuple[Client, ...] = ()


@dataclass(frozen=True)
class Client:
    """A user of the database: a range outside, or a security group as account and id; and its parameter."""

    parameter: str
    ranges: tuple[IPv4Network, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The client in words, such as "application 10.50.0.0/20"."""
        kind = "operator" if self.parameter.startswith(clients.OPERATOR) else "application"
        return " ".join((kind, *map(str, self.ranges), *self.groups))


@dataclass(frozen=True)
class FlowEnd:
    """One end of a flow: its security groups and subnets in the VPC, or its addresses outside."""

    name: str
    groups: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    ranges: tuple[IPv4Network, ...] = ()
    prefix_list: str = ""
    is_foreign: bool = False
    """Somebody else's: what its own groups let out is not known here."""


@dataclass(frozen=True)
class Flow:
    """Connections that `source` opens to a port of `target`."""

    source: FlowEnd
    target: FlowEnd
    port: int
    protocol: str = "tcp"
    hint: str = ""
    """The remedy where no route leads there."""

    def __str__(self) -> str:
        """The flow in words, as findings name it."""
        return f"{self.source.name} to {self.target.name} on {self.protocol} {self.port}"


def demands(
    templates: Mapping[str, Mapping[str, Any]],
    given: Mapping[str, str],
    *,
    region: str = "us-east-1",
    account: str = EXAMPLE_ACCOUNT,
) -> Demands:
    """Read the demands from the parameters of the templates, with their defaults where none is given."""
    values = {
        name: str(given.get(name, parameter.get("Default", "")))
        for template in templates.values()
        for name, parameter in template["Parameters"].items()
    }
    is_connected = values["Connectivity"] != "None"
    cidrs = [value for name, value in values.items() if name.startswith("OnPremisesCidr")]
    servers = [value for name, value in values.items() if name.startswith("OnPremisesDnsServer")]
    switched_on = [name for name, value in values.items() if name.endswith(ENDPOINT_SWITCH) and value == "true"]
    return Demands(
        account=account,
        region=region,
        database_port=int(values["DatabasePort"]),
        s3_prefix_list=values["S3PrefixListId"],
        on_premises=tuple(IPv4Network(cidr) for cidr in cidrs if cidr and is_connected),
        source_port=int(values["SourcePort"]),
        direct_connect_gateway_id=values["DirectConnectGatewayId"],
        domain_name=values["OnPremisesDomainName"],
        name_servers=tuple(IPv4Network(server) for server in servers if server),
        services=(*ALWAYS, *(name.removesuffix(ENDPOINT_SWITCH).lower() for name in switched_on)),
        clients=tuple(_client(name, value, account) for name, value in values.items() if value and CLIENT.match(name)),
    )


def _client(parameter: str, value: str, account: str) -> Client:
    if "SecurityGroup" in parameter:
        return Client(parameter, groups=(value if "/" in value else f"{account}/{value}",))
    return Client(parameter, ranges=(IPv4Network(value),))


def functions(outputs: Mapping[str, Any]) -> FlowEnd:
    """The functions in the VPC."""
    return FlowEnd("functions", (outputs[network.FUNCTION_SECURITY_GROUP_ID.name],), _private_subnets(outputs))


def dms(outputs: Mapping[str, Any]) -> FlowEnd:
    """The replication instance, and in its group the functions that prove its way and ask the source for its slots."""
    return FlowEnd("DMS", (outputs[network.DMS_SECURITY_GROUP_ID.name],), _private_subnets(outputs))


def needed(topology: Topology, layer: Evaluated, demands: Demands) -> Iterator[Flow]:
    """Every flow without which something of the migration stops; `layer` is the evaluated network."""
    replication = dms(layer.outputs)
    for client in (functions(layer.outputs), replication):
        for database in _databases(topology):
            yield Flow(client, database, demands.database_port)
        for endpoint in _interface_endpoints(topology):
            yield Flow(client, endpoint, 443)
        # S3's addresses are public and change, so only a filter that lets all pass lets S3 pass.
        yield Flow(client, FlowEnd("S3", ranges=(EVERYWHERE,), prefix_list=demands.s3_prefix_list), 443)
    yield from _uses(topology, layer, demands)
    # Replication reads the source there, and the fall-back writes to it: both are connections that DMS opens.
    for cidr in demands.on_premises:
        yield Flow(replication, FlowEnd(f"on-premises {cidr}", ranges=(cidr,)), demands.source_port)
    for resolver in _resolvers(topology):
        for server in demands.name_servers:
            for protocol in ("tcp", "udp"):
                yield Flow(resolver, FlowEnd(f"name server {server}", ranges=(server,)), 53, protocol)


def _uses(topology: Topology, layer: Evaluated, demands: Demands) -> Iterator[Flow]:
    """The flows of applications and the operators' hosts to the database, from wherever the parameters let them in."""
    for client in demands.clients:
        # A group counts in the VPC alone, and no template says in which of its subnets the members of the group are.
        subnets = _private_subnets(layer.outputs) if client.groups else ()
        user = FlowEnd(client.name, client.groups, subnets, client.ranges, is_foreign=True)
        hint = f"; {clients.route_parameter(client.parameter)}=true makes one" if client.ranges else ""
        for database in _databases(topology):
            yield Flow(user, database, demands.database_port, hint=hint)


def _private_subnets(outputs: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(outputs[network.PRIVATE_SUBNET_IDS.name].split(","))


def _databases(topology: Topology) -> Iterator[FlowEnd]:
    subnet_groups = {f"${{{name}}}": group for name, group in topology.of_type("AWS::RDS::DBSubnetGroup")}
    for name, properties in topology.of_type("AWS::RDS::DBInstance"):
        subnets = subnet_groups.get(properties.get("DBSubnetGroupName", ""), {}).get("SubnetIds", ())
        yield FlowEnd(f"database {name}", tuple(properties.get("VPCSecurityGroups", ())), tuple(subnets))


def _interface_endpoints(topology: Topology) -> Iterator[FlowEnd]:
    for name, properties in topology.of_type("AWS::EC2::VPCEndpoint"):
        if properties["VpcEndpointType"] == "Interface":
            yield FlowEnd(name, tuple(properties.get("SecurityGroupIds", ())), tuple(properties.get("SubnetIds", ())))


def _resolvers(topology: Topology) -> Iterator[FlowEnd]:
    for name, properties in topology.of_type("AWS::Route53Resolver::ResolverEndpoint"):
        subnets = tuple(address["SubnetId"] for address in properties.get("IpAddresses", ()))
        yield FlowEnd(name, tuple(properties.get("SecurityGroupIds", ())), subnets)
