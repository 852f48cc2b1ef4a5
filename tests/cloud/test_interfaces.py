"""Network interfaces of functions linger when the function is gone, and keep its subnet and its group."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Template, until

INTERFACES = {"Effect": "Allow", "Action": ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
              "Resource": "*"}  # fmt: skip


def role(lambda_role: Template) -> Template:
    """A role by which Lambda makes interfaces and takes them down."""
    document = {"Version": "2012-10-17", "Statement": [INTERFACES]}
    policies = [{"PolicyName": "interfaces", "PolicyDocument": document}]
    body = lambda_role["Role"]
    return {"Role": {**body, "Properties": {**body["Properties"], "Policies": policies}}}


def network() -> Template:
    vpc = {"VpcId": {"Ref": "Vpc"}}
    return {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {**vpc, "CidrBlock": "10.0.0.0/24"}},
        "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {**vpc, "GroupDescription": "functions"}},
    }


def function(account: Account, role_arn: Any) -> Template:
    inside = {"SubnetIds": [account.physical_id("Subnet", "network")],
              "SecurityGroupIds": [account.physical_id("Group", "network")]}  # fmt: skip
    properties = {"Role": role_arn, "Runtime": "python3.13", "Handler": "index.handler",
                  "Code": {"ZipFile": "def handler(event, context): pass"}, "VpcConfig": inside}  # fmt: skip
    return {"Function": {"Type": "AWS::Lambda::Function", "Properties": properties}}


def interfaces(account: Account, **filters: str) -> list[tuple[str, str]]:
    asked = [{"Name": name, "Values": [value]} for name, value in filters.items()]
    found = account.client("ec2").describe_network_interfaces(Filters=asked)["NetworkInterfaces"]
    return [(each["NetworkInterfaceId"], each["Status"]) for each in found]


def linger(account: Account, seconds: float) -> None:
    account.cloud.set_faults(
        {"kind": "lingering-interfaces", "seconds": seconds, "account": account.number, "count": 1}
    )


def test_without_a_fault_they_go_with_the_function(account: Account, lambda_role: Template) -> None:
    account.deploy(network(), "network")
    account.deploy(role(lambda_role) | function(account, {"Fn::GetAtt": ["Role", "Arn"]}), "function")
    [(_, status)] = interfaces(account, description="AWS Lambda VPC ENI*")
    assert status == "in-use"
    account.delete("function")
    assert interfaces(account, description="AWS Lambda VPC ENI*") == []
    assert account.delete("network") == ""


def test_a_function_that_moves_leaves_its_old_subnet_free(account: Account, lambda_role: Template) -> None:
    other = {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "10.0.1.0/24"}
    both = network() | {"Other": {"Type": "AWS::EC2::Subnet", "Properties": other}}
    account.deploy(both, "network")
    moved = function(account, {"Fn::GetAtt": ["Role", "Arn"]})
    account.deploy(role(lambda_role) | moved, "function")
    moved["Function"]["Properties"]["VpcConfig"]["SubnetIds"] = [account.physical_id("Other", "network")]
    account.deploy(role(lambda_role) | moved, "function")
    [(name, _)] = interfaces(account, status="in-use")
    assert interfaces(account, **{"subnet-id": account.physical_id("Other", "network")}) == [(name, "in-use")]
    account.client("ec2").delete_subnet(SubnetId=account.physical_id("Subnet", "network"))


def test_while_they_linger_the_network_cannot_be_deleted_and_without_the_role_they_stay(
    account: Account, lambda_role: Template
) -> None:
    account.deploy(network(), "network")
    account.deploy(role(lambda_role) | function(account, {"Fn::GetAtt": ["Role", "Arn"]}), "function")
    group = account.physical_id("Group", "network")
    linger(account, 3600)
    account.delete("function")
    api = account.client("ec2")
    [(name, _)] = interfaces(account, status="in-use")
    with pytest.raises(ClientError, match="is currently in use"):
        api.delete_network_interface(NetworkInterfaceId=name)
    with pytest.raises(ClientError, match="DependencyViolation"):
        api.delete_security_group(GroupId=group)
    with pytest.raises(ClientError, match="DependencyViolation"):
        api.delete_subnet(SubnetId=account.physical_id("Subnet", "network"))
    assert account.delete("network") == "DELETE_FAILED"
    reasons = [event.get("ResourceStatusReason", "") for event in account.events("network")]
    assert any("The subnet 'subnet-" in reason for reason in reasons)
    account.cloud.set_faults()
    assert interfaces(account) == [(name, "available")]
    assert account.delete("network") == "DELETE_FAILED"
    api.delete_network_interface(NetworkInterfaceId=name)
    assert account.delete("network") == ""


def test_a_role_that_outlives_the_function_takes_them_down(account: Account, lambda_role: Template) -> None:
    account.deploy(network(), "network")
    account.deploy(role(lambda_role), "role")
    arn = account.client("iam").get_role(RoleName=account.physical_id("Role", "role"))["Role"]["Arn"]
    account.deploy(function(account, arn), "function")
    linger(account, 0.5)
    began = time.monotonic()
    account.delete("function")
    until(lambda: not interfaces(account))
    assert time.monotonic() - began > 0.5
    assert account.delete("network") == ""
