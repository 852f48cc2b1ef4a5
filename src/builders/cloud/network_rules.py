"""Rules of security groups and entries of network ACLs that are resources of their own: each changes another one.

Every function takes the resource's physical id and its properties.
"""

from __future__ import annotations

from collections.abc import Mapping

from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from builders.cloud.schemas import Json

OPEN_EGRESS = {
    "IpProtocol": "-1",
    "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    "Ipv6Ranges": [{"CidrIpv6": "::/0"}],
    "PrefixListIds": [],
    "UserIdGroupPairs": [],
}
"""What a group without an egress rule gets (CloudFormation template reference, AWS::EC2::SecurityGroup,
SecurityGroupEgress: both IP versions)."""

Properties = Mapping[str, Json]


def _acl(identifier: str) -> dict[str, Json]:
    if identifier not in ec2._network_acls:
        raise ValueError(f"The network ACL '{identifier}' does not exist (Service: Ec2, Status Code: 400)")
    found: dict[str, Json] = ec2._network_acls[identifier]
    return found


def add_entry(_id: str, properties: Properties) -> None:
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
    }
    block = "Ipv6CidrBlock" if "Ipv6CidrBlock" in properties else "CidrBlock"
    acl["Entries"].append({**entry, block: properties.get(block, "0.0.0.0/0")})


def remove_entry(_id: str, properties: Properties) -> None:
    """Take an entry from its ACL."""
    acl = ec2._network_acls.get(properties["NetworkAclId"])
    key = (properties["RuleNumber"], bool(properties.get("Egress", False)))
    if acl:
        acl["Entries"] = [entry for entry in acl["Entries"] if (entry["RuleNumber"], entry["Egress"]) != key]


def associate(physical_id: str, properties: Properties) -> None:
    """Give a subnet another ACL; it has one at a time."""
    acl, subnet = _acl(properties["NetworkAclId"]), properties["SubnetId"]
    for each in ec2._network_acls.values():
        each["Associations"] = [one for one in each["Associations"] if one["SubnetId"] != subnet]
    acl["Associations"].append({"NetworkAclAssociationId": physical_id, "SubnetId": subnet})


def dissociate(physical_id: str, _properties: Properties) -> None:
    """Take a subnet from its ACL."""
    for each in ec2._network_acls.values():
        each["Associations"] = [one for one in each["Associations"] if one["NetworkAclAssociationId"] != physical_id]


def _group(properties: Properties) -> dict[str, Json]:
    identifier = properties.get("GroupId", "")
    if identifier not in ec2._security_groups:
        raise ValueError(f"The security group '{identifier}' does not exist (Service: Ec2, Status Code: 400)")
    group: dict[str, Json] = ec2._security_groups[identifier]
    return group


def add_ingress(_id: str, properties: Properties) -> None:
    """Let a group receive. Raises ValueError where it does already."""
    _add_rule(_group(properties).setdefault("IpPermissions", []), properties)


def remove_ingress(_id: str, properties: Properties) -> None:
    """Take the rule away again."""
    _remove_rule(properties, "IpPermissions")


def add_egress(_id: str, properties: Properties) -> None:
    """Add the rule; the first one takes the place of the open one (seen on AWS: aws-cdk #987)."""
    rules = _group(properties).setdefault("IpPermissionsEgress", [])
    rules[:] = [rule for rule in rules if rule != OPEN_EGRESS]
    _add_rule(rules, properties)


def remove_egress(_id: str, properties: Properties) -> None:
    """Take the rule away again."""
    _remove_rule(properties, "IpPermissionsEgress")


def _add_rule(rules: list[Json], properties: Properties) -> None:
    (rule,) = provisioners._ec2_sg_permissions([dict(properties)])
    if any(ec2._strip_descriptions(rule) == ec2._strip_descriptions(other) for other in rules):
        raise ValueError("the specified rule already exists (Service: Ec2, Status Code: 400)")
    rules.append(rule)


def _remove_rule(properties: Properties, direction: str) -> None:
    group = ec2._security_groups.get(properties.get("GroupId", ""))
    (rule,) = provisioners._ec2_sg_permissions([dict(properties)])
    if group:
        group[direction] = [other for other in group.get(direction, []) if other != rule]
