"""Network interfaces of functions: Lambda makes them in a function's subnets and takes them down some time after it.

Lambda does so with the function's role, up to 20 minutes later (Lambda developer guide, "Giving Lambda functions
access to resources in an Amazon VPC"). Where the role is gone by then nobody does: an interface is detached, and stays
until somebody deletes it (so terraform-provider-aws does before it deletes a group or a subnet). Meanwhile EC2 refuses
to delete the subnets and the security groups. How long they linger here is a fault of kind `lingering-interfaces`;
without one they go with their function.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

from ministack.core.responses import get_account_id

from builders.cloud.cloudformation.records import Handlers, Made
from builders.cloud.iam import permissions
from builders.cloud.internals import ec2, iam
from builders.cloud.patches import patch, patch_value
from builders.cloud.server import faults
from builders.resource_types import Json

Properties = Mapping[str, Json]

_NO_INTERFACES = "a function in a VPC has no network interface, so that nothing keeps its subnets and its group"
_LEAVES, _ROLE, _FUNCTION = "_leaves", "_role", "_function"


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::Lambda::Function]", why=_NO_INTERFACES
)
def _functions(inner: Handlers) -> Handlers:
    def create(logical_id: str, properties: Properties, stack: str) -> Made:
        made: Made = inner["create"](logical_id, properties, stack)
        _attach(made[0], properties)
        return made

    def update(physical_id: str, old: Properties, new: Properties, *more: Any) -> Made:
        made: Made = inner["update"](physical_id, old, new, *more)
        if made[0] != physical_id:  # the old function is deleted later, and its interfaces with it
            _attach(made[0], new)
        elif old.get("VpcConfig") != new.get("VpcConfig"):
            _leave(physical_id)
            _attach(physical_id, new)
        return made

    def delete(physical_id: str, properties: Properties) -> None:
        inner["delete"](physical_id, properties)
        _leave(physical_id)

    return {**inner, "create": create, "update": update, "delete": delete}


def _leave(function: str) -> None:
    leaves = time.time() + faults.interface_seconds()
    for interface in _of_functions().values():
        if interface[_FUNCTION] == function:
            interface.setdefault(_LEAVES, leaves)
    settle()


def _attach(function: str, properties: Properties) -> None:
    network = properties.get("VpcConfig") or {}
    for subnet in network.get("SubnetIds") or ():
        where = ec2.subnets.get(subnet) or {}
        name = f"eni-{uuid.uuid4().hex[:17]}"
        ec2.network_interfaces[name] = {
            "NetworkInterfaceId": name,
            "SubnetId": subnet,
            "VpcId": where.get("VpcId", ""),
            "AvailabilityZone": where.get("AvailabilityZone", ""),
            "Description": f"AWS Lambda VPC ENI-{function}-{uuid.uuid4()}",
            "OwnerId": get_account_id(),
            "Status": "in-use",
            "PrivateIpAddress": str(where.get("CidrBlock", "10.0.0.0/24")).rpartition(".")[0] + ".10",
            "InterfaceType": "lambda",
            "MacAddress": "02:00:00:00:00:01",
            "Groups": [{"GroupId": each, "GroupName": each} for each in network.get("SecurityGroupIds") or ()],
            "Attachment": {
                "AttachmentId": f"ela-attach-{uuid.uuid4().hex[:17]}",
                "DeviceIndex": 1,
                "AttachTime": ec2.now(),
            },
            _FUNCTION: function,
            _ROLE: str(properties.get("Role")).rpartition("/")[2],
        }


def _of_functions() -> dict[str, dict[str, Json]]:
    return {name: each for name, each in ec2.network_interfaces.items() if _FUNCTION in each}


def settle() -> None:
    """Take down the interfaces whose time is over; without a role that may, they are detached and stay.

    It is over for all when the fault by which they linger is taken away.
    """
    now = time.time() if faults.interfaces_linger() else float("inf")
    for name, interface in _of_functions().items():
        if interface["Status"] != "in-use" or _LEAVES not in interface or now < interface[_LEAVES]:
            continue
        role = iam.roles.get(interface[_ROLE])
        if role and permissions.role_allows(role, "ec2:DeleteNetworkInterface"):
            ec2.network_interfaces.pop(name)
        else:
            interface |= {"Status": "available", "Attachment": None}


def _refuse_in_use(subnet: str = "", group: str = "") -> None:
    """Raise ValueError with EC2's sentence where an interface is in a subnet or has a security group."""
    settle()
    for interface in ec2.network_interfaces.values():
        if subnet and interface["SubnetId"] == subnet:
            raise ValueError(f"The subnet '{subnet}' has dependencies and cannot be deleted.")
        if group and group in [each["GroupId"] for each in interface["Groups"]]:
            raise ValueError(f"resource {group} has a dependent object")


def _kept_by_interfaces(inner: Handlers, kind: str) -> Handlers:
    def delete(physical_id: str, properties: Properties) -> None:
        try:
            _refuse_in_use(**{kind: physical_id})
        except ValueError as error:
            refused = f"{error} (Service: Ec2, Status Code: 400, Error Code: DependencyViolation)"
            raise ValueError(refused) from None
        inner["delete"](physical_id, properties)

    return {**inner, "delete": delete}


@patch_value("ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::Subnet]", why=_NO_INTERFACES)
def _subnets(inner: Handlers) -> Handlers:
    return _kept_by_interfaces(inner, "subnet")


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::EC2::SecurityGroup]", why=_NO_INTERFACES
)
def _security_groups(inner: Handlers) -> Handlers:
    return _kept_by_interfaces(inner, "group")


@patch("ministack.services.ec2._ACTION_MAP[DeleteSubnet]", why=_NO_INTERFACES)
def _delete_subnet(original: Any, parameters: Mapping[str, Json]) -> Any:
    return _deleted(original, parameters, subnet=ec2.parameter(parameters, "SubnetId"))


@patch("ministack.services.ec2._ACTION_MAP[DeleteSecurityGroup]", why=_NO_INTERFACES)
def _delete_security_group(original: Any, parameters: Mapping[str, Json]) -> Any:
    return _deleted(original, parameters, group=ec2.parameter(parameters, "GroupId"))


def _deleted(original: Any, parameters: Mapping[str, Json], **what: str) -> Any:
    try:
        _refuse_in_use(**what)
    except ValueError as error:
        return ec2.error("DependencyViolation", str(error), 400)
    return original(parameters)


@patch("ministack.services.ec2._ACTION_MAP[DescribeNetworkInterfaces]", why=_NO_INTERFACES)
def _describe(original: Any, parameters: Mapping[str, Json]) -> Any:
    settle()
    return original(parameters)


@patch(
    "ministack.services.ec2._ACTION_MAP[DeleteNetworkInterface]",
    why="an interface that is attached is deleted under what uses it",
)
def _delete_interface(original: Any, parameters: Mapping[str, Json]) -> Any:
    settle()
    name = ec2.parameter(parameters, "NetworkInterfaceId")
    if (ec2.network_interfaces.get(name) or {}).get("Attachment"):
        return ec2.error("InvalidParameterValue", f"Network interface '{name}' is currently in use.", 400)
    return original(parameters)
