"""Network resources that ministack's EC2 API can show but its CloudFormation cannot make.

They are written into the stores that DescribeSecurityGroups, DescribeNetworkAcls, DescribeVpnGateways and
DescribeFlowLogs read, so that an integration test sees them as on AWS.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id
from ministack.services import ec2
from ministack.services.cloudformation import provisioners

from builders.cloud import network_rules, records
from builders.cloud.records import Handlers, Made
from builders.cloud.schemas import Json

Properties = Mapping[str, Json]


def handlers() -> dict[str, Handlers]:
    """Return the handlers of these types, on top of their records."""
    provisioners._ec2_sg_egress_permissions = lambda rules: (
        provisioners._ec2_sg_permissions(rules) or [{**network_rules.OPEN_EGRESS}]
    )
    return {
        "AWS::EC2::FlowLog": _stored("AWS::EC2::FlowLog", ec2._flow_logs, _flow_log),
        "AWS::EC2::NetworkAcl": _stored("AWS::EC2::NetworkAcl", ec2._network_acls, _network_acl),
        "AWS::EC2::NetworkAclEntry": _linked(
            "AWS::EC2::NetworkAclEntry", network_rules.add_entry, network_rules.remove_entry
        ),
        "AWS::EC2::SecurityGroupEgress": _linked(
            "AWS::EC2::SecurityGroupEgress", network_rules.add_egress, network_rules.remove_egress
        ),
        "AWS::EC2::SecurityGroupIngress": _linked(
            "AWS::EC2::SecurityGroupIngress", network_rules.add_ingress, network_rules.remove_ingress
        ),
        "AWS::EC2::SubnetNetworkAclAssociation": _linked(
            "AWS::EC2::SubnetNetworkAclAssociation", network_rules.associate, network_rules.dissociate
        ),
        "AWS::EC2::VPNGateway": _stored("AWS::EC2::VPNGateway", ec2._vpn_gateways, _vpn_gateway),
    }


def _stored(name: str, store: Any, describe: Any) -> Handlers:
    """Return handlers that keep what `describe(physical id, properties)` returns in one of the EC2 API's stores."""
    inner = records.handlers(name)

    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        store[made[0]] = describe(made[0], properties)
        provisioners._ec2_apply_tags(made[0], properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, stack: str, logical_id: str) -> Made:
        made: Made = inner["update"](physical_id, old, new, stack, logical_id)
        if made[0] == physical_id:
            kept = {key: store[physical_id][key] for key in ("Attachments", "Entries", "Associations")
                    if key in store.get(physical_id, {})}  # fmt: skip
            store[physical_id] = describe(physical_id, new) | kept
            provisioners._ec2_apply_tags(physical_id, new, old)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        store.pop(physical_id, None)
        ec2._tags.pop(physical_id, None)
        inner["delete"](physical_id, properties)

    return {**inner, "create": create, "update": update, "delete": delete}


def _linked(name: str, add: Any, remove: Any) -> Handlers:
    """Return handlers of a type that changes another resource: `add` and `remove` take (physical id, properties)."""
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
