"""Network resources that ministack's EC2 API can show but its CloudFormation cannot make.

They are written into the stores that DescribeSecurityGroups, DescribeNetworkAcls, DescribeVpnGateways and
DescribeFlowLogs read, so that an integration test sees them as on AWS. Rules of security groups and entries of network
ACLs that are resources of their own change another resource.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ministack.core.responses import get_account_id

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.internals import ec2
from builders.cloud.patches import patch, patch_value
from builders.resource_types import Json

Properties = Mapping[str, Json]
Change = Callable[[str, Properties], None]
"""Changes another resource; takes the physical id and the properties."""

INGRESS, EGRESS = "IpPermissions", "IpPermissionsEgress"

OPEN_EGRESS = {
    "IpProtocol": "-1",
    "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    "PrefixListIds": [],
    "UserIdGroupPairs": [],
}
"""The rule of a group without an egress rule (CloudFormation template reference, AWS::EC2::SecurityGroup,
SecurityGroupEgress: both IP versions)."""


def handlers() -> dict[str, Handlers]:
    """Return the handlers of these types, on top of their records."""
    stored = {
        "AWS::EC2::FlowLog": (ec2.flow_logs, _flow_log),
        "AWS::EC2::NetworkAcl": (ec2.network_acls, _network_acl),
        "AWS::EC2::VPNGateway": (ec2.vpn_gateways, _vpn_gateway),
    }
    linked: dict[str, tuple[Change, Change]] = {
        "AWS::EC2::NetworkAclEntry": (_add_entry, _remove_entry),
        "AWS::EC2::SecurityGroupEgress": (partial(_add_rule, EGRESS), partial(_remove_rule, EGRESS)),
        "AWS::EC2::SecurityGroupIngress": (partial(_add_rule, INGRESS), partial(_remove_rule, INGRESS)),
        "AWS::EC2::SubnetNetworkAclAssociation": (_associate, _dissociate),
    }
    return {name: _stored(name, *each) for name, each in stored.items()} | {
        name: _linked(name, *each) for name, each in linked.items()
    }


def _stored(name: str, store: Any, describe: Callable[[str, Properties], dict[str, Json]]) -> Handlers:
    """Return handlers that keep what `describe(physical id, properties)` returns in one of the EC2 API's stores."""
    inner = records.handlers(name)

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        store[made[0]] = describe(made[0], properties)
        ec2.apply_tags(made[0], properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if made[0] == physical_id:
            kept = {key: store[physical_id][key] for key in ("Attachments", "Entries", "Associations")
                    if key in store.get(physical_id, {})}  # fmt: skip
            store[physical_id] = describe(physical_id, new) | kept
            ec2.apply_tags(physical_id, new, old)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        store.pop(physical_id, None)
        ec2.tags.pop(physical_id, None)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _linked(name: str, add: Change, remove: Change) -> Handlers:
    """Return handlers of a type that changes another resource: `add` does it, `remove` undoes it."""
    inner = records.handlers(name)

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        try:
            add(made[0], properties)
        except ValueError:
            inner["delete"](made[0], properties)
            raise
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if made[0] == physical_id:
            remove(physical_id, old)
        add(made[0], new)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        remove(physical_id, properties)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _flow_log(physical_id: str, properties: Properties) -> dict[str, Json]:
    return {
        "FlowLogId": physical_id,
        "ResourceId": properties["ResourceId"],
        "ResourceType": properties["ResourceType"],
        "TrafficType": properties.get("TrafficType", "ALL"),
        "LogDestinationType": properties.get("LogDestinationType", "cloud-watch-logs"),
        "LogDestination": properties.get("LogDestination") or properties.get("LogGroupName", ""),
        "FlowLogStatus": "ACTIVE",
        "CreationTime": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime()),
    }


def _network_acl(physical_id: str, properties: Properties) -> dict[str, Json]:
    closed = {"RuleNumber": 32767, "Protocol": "-1", "RuleAction": "deny", "CidrBlock": "0.0.0.0/0"}
    return {
        "NetworkAclId": physical_id,
        "VpcId": properties["VpcId"],
        "IsDefault": False,
        "Entries": [{**closed, "Egress": False}, {**closed, "Egress": True}],
        "Associations": [],
        "Tags": [],
        "OwnerId": get_account_id(),
    }


def _vpn_gateway(physical_id: str, properties: Properties) -> dict[str, Json]:
    return {
        "VpnGatewayId": physical_id,
        "Type": properties["Type"],
        "State": "available",
        "AvailabilityZone": "",
        "AmazonSideAsn": str(properties.get("AmazonSideAsn", 64512)),
        "Attachments": [],
        "Tags": [],
        "OwnerId": get_account_id(),
    }


def _acl(identifier: str) -> dict[str, Json]:
    if identifier not in ec2.network_acls:
        raise ValueError(f"The network ACL '{identifier}' does not exist (Service: Ec2, Status Code: 400)")
    found: dict[str, Json] = ec2.network_acls[identifier]
    return found


def _add_entry(_id: str, properties: Properties) -> None:
    """Add an entry to its ACL. Raises ValueError where its number is taken."""
    acl = _acl(properties["NetworkAclId"])
    number, egress = properties["RuleNumber"], bool(properties.get("Egress", False))
    if any(entry["RuleNumber"] == number and entry["Egress"] == egress for entry in acl["Entries"]):
        raise ValueError(
            f"The network acl entry identified by {number} already exists. (Service: Ec2, Status Code: 400)"
        )
    ports = properties.get("PortRange") or {}
    entry = {
        "RuleNumber": number,
        "Protocol": str(properties["Protocol"]),
        "RuleAction": properties["RuleAction"],
        "Egress": egress,
        "PortRange": {"From": ports.get("From"), "To": ports.get("To")} if ports else None,
        "Icmp": properties.get("Icmp"),
    }
    block = "Ipv6CidrBlock" if "Ipv6CidrBlock" in properties else "CidrBlock"
    acl["Entries"].append({**entry, block: properties.get(block, "0.0.0.0/0")})


def _remove_entry(_id: str, properties: Properties) -> None:
    """Take an entry from its ACL."""
    acl = ec2.network_acls.get(properties["NetworkAclId"])
    key = (properties["RuleNumber"], bool(properties.get("Egress", False)))
    if acl:
        acl["Entries"] = [entry for entry in acl["Entries"] if (entry["RuleNumber"], entry["Egress"]) != key]


def _associate(physical_id: str, properties: Properties) -> None:
    """Give a subnet another ACL; it has one at a time."""
    acl, subnet = _acl(properties["NetworkAclId"]), properties["SubnetId"]
    for each in ec2.network_acls.values():
        each["Associations"] = [one for one in each["Associations"] if one["SubnetId"] != subnet]
    acl["Associations"].append({"NetworkAclAssociationId": physical_id, "SubnetId": subnet})


def _dissociate(physical_id: str, _properties: Properties) -> None:
    """Take a subnet from its ACL."""
    for each in ec2.network_acls.values():
        each["Associations"] = [one for one in each["Associations"] if one["NetworkAclAssociationId"] != physical_id]


def _add_rule(direction: str, _id: str, properties: Properties) -> None:
    """Add a rule to its group; the first one of egress replaces the open one (seen on AWS: aws-cdk #987)."""
    identifier = properties.get("GroupId", "")
    if identifier not in ec2.security_groups:
        raise ValueError(f"The security group '{identifier}' does not exist (Service: Ec2, Status Code: 400)")
    rules = ec2.security_groups[identifier].setdefault(direction, [])
    if direction == EGRESS:
        rules[:] = [rule for rule in rules if rule != OPEN_EGRESS]
    (rule,) = ec2.rules([dict(properties)])
    if any(ec2.without_descriptions(rule) == ec2.without_descriptions(other) for other in rules):
        raise ValueError("the specified rule already exists (Service: Ec2, Status Code: 400)")
    rules.append(rule)


def _remove_rule(direction: str, _id: str, properties: Properties) -> None:
    group = ec2.security_groups.get(properties.get("GroupId", ""))
    (rule,) = ec2.rules([dict(properties)])
    if group:
        group[direction] = [other for other in group.get(direction, []) if other != rule]


@patch(
    "ministack.services.cloudformation.provisioners._ec2_sg_egress_permissions",
    why="a group without an egress rule is open for IPv4 only",
)
def _egress_rules(_original: Any, rules: Json) -> Json:
    return ec2.rules(rules) or [{**OPEN_EGRESS}]


_HOST_BITS = (
    "a range with host bits is refused or kept; EC2 makes it canonical (API reference, CreateVpc, CreateSubnet)"
)


@patch_value("ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::VPC]", why=_HOST_BITS)
def _vpcs(inner: Handlers) -> Handlers:
    return _canonical(inner)


@patch_value("ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::Subnet]", why=_HOST_BITS)
def _subnets(inner: Handlers) -> Handlers:
    def keep_block(physical_id: str, properties: Properties) -> None:
        ec2.subnets[physical_id]["Ipv6CidrBlock"] = _without_host_bits(properties.get("Ipv6CidrBlock"))

    return records.around(_canonical(inner), after=keep_block)


@patch_value("ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::Route]", why=_HOST_BITS)
def _routes(inner: Handlers) -> Handlers:
    return _canonical(inner)


@patch("ministack.services.ec2._ACTION_MAP[CreateVpc]", why=_HOST_BITS)
def _create_vpc(original: Any, parameters: dict[str, Json]) -> Json:
    return original(_canonical_ranges(parameters))


@patch("ministack.services.ec2._ACTION_MAP[CreateSubnet]", why=_HOST_BITS)
def _create_subnet(original: Any, parameters: dict[str, Json]) -> Json:
    return original(_canonical_ranges(parameters))


def _canonical(inner: Handlers) -> Handlers:
    """Return handlers that get ranges without host bits."""

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, _canonical_ranges(properties), stack)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, *more: str) -> Made:
        made: Made = inner["update"](physical_id, _canonical_ranges(old), _canonical_ranges(new), stack, *more)
        return made

    return {**inner, "create": create, **({"update": update} if "update" in inner else {})}


def _canonical_ranges(properties: Properties) -> dict[str, Json]:
    return {
        name: _without_host_bits(value) if name in ("CidrBlock", "DestinationCidrBlock", "Ipv6CidrBlock") else value
        for name, value in properties.items()
    }


def _without_host_bits(value: Json) -> Json:
    """Return a range, or a request's list of one, in its canonical form; what is no range stays, to be refused."""
    if isinstance(value, list):
        return [_without_host_bits(each) for each in value]
    try:
        return str(ipaddress.ip_network(str(value), strict=False)) if "/" in str(value) else value
    except ValueError:
        return value


@patch(
    "ministack.services.ec2._network_acl_entry_xml", why="DescribeNetworkAcls leaves out ports and messages of an entry"
)
def _describe_entry(original: Any, entry: Properties) -> str:
    ports = entry.get("PortRange")
    more = f"<portRange><from>{ports['From']}</from><to>{ports['To']}</to></portRange>" if ports else ""
    if icmp := entry.get("Icmp"):
        more += f"<icmpTypeCode><code>{icmp['Code']}</code><type>{icmp['Type']}</type></icmpTypeCode>"
    return str(original(entry)).replace("</item>", f"{more}</item>")
