"""Drift of networks: rules of security groups, entries of network ACLs, routes, and settings of VPCs and endpoints.

Rules that are resources of their own are no drift of their group (CloudFormation user guide, "Considerations when
detecting drift").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Properties, Reader, reader_of
from builders.cloud.ec2.resources import EGRESS, INGRESS
from builders.cloud.internals import ec2
from builders.resource_types import Json

_SOURCES = {"IpRanges": "CidrIp", "Ipv6Ranges": "CidrIpv6", "PrefixListIds": "PrefixListId",
            "UserIdGroupPairs": "GroupId"}  # fmt: skip


def readers() -> dict[str, Reader]:
    """Return the readers of these types."""
    return {
        "AWS::EC2::NetworkAclEntry": (_entry, frozenset(("Protocol", "RuleAction", "CidrBlock", "Ipv6CidrBlock"))),
        "AWS::EC2::Route": (_route, frozenset(_TARGETS)),
        "AWS::EC2::RouteTable": reader_of(lambda name: _tagged(ec2.route_tables, name), "Tags"),
        "AWS::EC2::SecurityGroup": (_group, frozenset(("SecurityGroupIngress", "SecurityGroupEgress", "Tags"))),
        "AWS::EC2::SecurityGroupEgress": (lambda _id, properties: _rule(EGRESS, properties), _OF_RULE),
        "AWS::EC2::SecurityGroupIngress": (lambda _id, properties: _rule(INGRESS, properties), _OF_RULE),
        "AWS::EC2::Subnet": reader_of(lambda name: _tagged(ec2.subnets, name), "MapPublicIpOnLaunch Tags"),
        "AWS::EC2::SubnetRouteTableAssociation": (_association, frozenset()),
        "AWS::EC2::VPC": reader_of(lambda name: _tagged(ec2.vpcs, name), "EnableDnsHostnames EnableDnsSupport Tags"),
        "AWS::EC2::VPCEndpoint": reader_of(
            lambda name: _tagged(ec2.vpc_endpoints, name),
            "PolicyDocument PrivateDnsEnabled RouteTableIds SecurityGroupIds ServiceName SubnetIds VpcEndpointType "
            "Tags",
        ),
    }


def is_there(name: str, physical_id: str) -> bool:
    """Return whether EC2 still has a resource that is kept as a record, too, and that its API may have deleted."""
    if name == "AWS::EC2::SubnetNetworkAclAssociation":
        found = (one for acl in ec2.network_acls.values() for one in acl["Associations"])
        return any(one["NetworkAclAssociationId"] == physical_id for one in found)
    store = {"AWS::EC2::FlowLog": ec2.flow_logs, "AWS::EC2::NetworkAcl": ec2.network_acls,
             "AWS::EC2::VPNGateway": ec2.vpn_gateways}.get(name)  # fmt: skip
    return store is None or physical_id in store


def _tagged(store: Any, identifier: str) -> dict[str, Json] | None:
    record = store.get(identifier)
    return None if record is None else {**record, "Tags": ec2.tags.get(identifier, [])}


def _entry(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    key = (int(properties["RuleNumber"]), str(properties.get("Egress", False)).lower())
    entries = (ec2.network_acls.get(properties["NetworkAclId"]) or {"Entries": []})["Entries"]
    return next((each for each in entries if (each["RuleNumber"], str(each["Egress"]).lower()) == key), None)


_TARGETS = ("GatewayId", "NatGatewayId", "NetworkInterfaceId", "TransitGatewayId", "VpcEndpointId",
            "VpcPeeringConnectionId")  # fmt: skip


def _route(_id: str, properties: Properties) -> Mapping[str, Json] | None:
    table = ec2.route_tables.get(properties["RouteTableId"]) or {"Routes": []}
    named = {key: value for key, value in properties.items() if key.startswith("Destination")}
    route = next((each for each in table["Routes"] if named.items() <= each.items()), None)
    if route is None:
        return None
    # ministack keeps some targets as gateways, whatever they are.
    targets = [value for key, value in route.items() if key in _TARGETS and value]
    asked = {key: value for key, value in properties.items() if key in _TARGETS}
    return {key: value if value in targets else ", ".join(targets) for key, value in asked.items()}


def _association(physical_id: str, _properties: Properties) -> Mapping[str, Json] | None:
    found = (each for table in ec2.route_tables.values() for each in table["Associations"])
    return next(({} for each in found if each["RouteTableAssociationId"] == physical_id), None)


_OF_RULE = frozenset(("CidrIp", "CidrIpv6", "Description", "FromPort", "IpProtocol", "ToPort"))


def _single(rules: Json) -> list[dict[str, Json]]:
    """Return rules as EC2 keeps them with one source or destination each."""
    return [
        {**{key: rule.get(key) for key in ("IpProtocol", "FromPort", "ToPort")}, kind: each}
        for rule in rules
        for kind in _SOURCES
        for each in rule.get(kind) or ()
    ]


def _without_description(rule: Mapping[str, Json]) -> Json:
    return {
        key: {name: each for name, each in value.items() if name != "Description"} if isinstance(value, dict) else value
        for key, value in rule.items()
    }


def _in_template(rule: Mapping[str, Json]) -> dict[str, Json]:
    """Return a rule of EC2 as a template would write it."""
    kind = next(key for key in _SOURCES if key in rule)
    source = {_SOURCES[kind]: rule[kind][_SOURCES[kind]], "Description": rule[kind].get("Description")}
    whole = {**{key: value for key, value in rule.items() if key != kind}, **source}
    return {key: value for key, value in whole.items() if value is not None}


def _group(physical_id: str, properties: Properties) -> Mapping[str, Json] | None:
    group = _tagged(ec2.security_groups, physical_id)
    if group is None:
        return None
    found = {"Tags": group["Tags"]}
    for name, direction in (("SecurityGroupIngress", INGRESS), ("SecurityGroupEgress", EGRESS)):
        expected = [dict(each) for each in properties.get(name) or ()]
        # Rules that are resources of their own.
        attached = [
            each
            for record in records.find(f"AWS::EC2::{name}").values()
            for each in _single(ec2.rules([dict(record["Properties"])]))
            if record["Properties"].get("GroupId") == physical_id
        ]
        rules = [each for each in _single(group.get(direction) or ()) if each not in attached]
        known = [(_single(ec2.rules([each])), each) for each in expected]
        found[name] = [next((each for form, each in known if form == [rule]), _in_template(rule)) for rule in rules]
    return found


def _rule(direction: str, properties: Properties) -> Mapping[str, Json] | None:
    group = ec2.security_groups.get(properties.get("GroupId", "")) or {}
    expected = next(iter(_single(ec2.rules([dict(properties)]))), None)
    if expected is None:  # a source that ministack does not know
        return properties
    for rule in _single(group.get(direction) or ()):
        if _without_description(rule) == _without_description(expected):
            return {**properties, **_in_template(rule)} if rule != expected else properties
    return None
