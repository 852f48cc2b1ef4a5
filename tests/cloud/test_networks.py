"""Refusals of EC2 and of subnet groups, and a template's resources as their APIs show them."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account, Refused, Template

OPEN = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}


def subnet(**properties: Any) -> Template:
    return {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Vpc"}, **properties}}}


@pytest.mark.parametrize(
    ("properties", "reason"),
    [
        ({"CidrBlock": "10.1.0.0/24"}, "The CIDR '10.1.0.0/24' is invalid"),
        ({"CidrBlock": "10.0.0.128/25"}, "The CIDR '10.0.0.128/25' conflicts with another subnet"),
        ({"CidrBlock": "10.0.9.0/29"}, "The CIDR '10.0.9.0/29' is invalid"),
        ({"CidrBlock": "10.0.9.0/24", "AvailabilityZone": "us-east-1z"}, "parameter availabilityZone is invalid"),
        ({"CidrBlock": "10.0.9.0/24", "VpcId": "vpc-0"}, "The vpc ID 'vpc-0' does not exist"),
    ],
)
def test_a_subnet_that_cannot_be_is_refused(
    account: Account, vpc: Template, properties: dict[str, Any], reason: str
) -> None:
    extra = subnet(**properties)
    extra["Subnet"]["DependsOn"] = ["SubnetA", "SubnetB"]
    with pytest.raises(Refused, match=reason):
        account.deploy({**vpc, **extra})


def test_a_subnet_inside_its_vpc_is_taken(account: Account, vpc: Template) -> None:
    account.deploy({**vpc, **subnet(CidrBlock="10.0.9.0/24", AvailabilityZone="us-east-1f")})


@pytest.mark.parametrize(
    ("kind", "properties"),
    [
        ("AWS::RDS::DBSubnetGroup", {"DBSubnetGroupDescription": "d"}),
        ("AWS::DMS::ReplicationSubnetGroup", {"ReplicationSubnetGroupDescription": "d"}),
    ],
)
def test_a_subnet_group_in_one_zone_or_none_is_refused(
    account: Account, vpc: Template, kind: str, properties: dict[str, Any]
) -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"RoleName": "dms-vpc-role", "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
    account.deploy({"Role": {"Type": "AWS::IAM::Role", "Properties": role}}, stack="account")
    for number, subnets in enumerate([[], [{"Ref": "SubnetA"}]]):
        group = {"Type": kind, "Properties": {**properties, "SubnetIds": subnets}}
        with pytest.raises(Refused, match=r"coverage|InvalidSubnet"):
            account.deploy({**vpc, "Group": group}, stack=f"refused-{number}")
    both = {**properties, "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]}
    account.deploy({**vpc, "Group": {"Type": kind, "Properties": both}})


def test_a_replication_subnet_group_needs_the_role_of_dms(account: Account, vpc: Template) -> None:
    both = {"ReplicationSubnetGroupDescription": "d", "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}]}
    with pytest.raises(Refused, match="dms-vpc-role is not configured properly"):
        account.deploy({**vpc, "Group": {"Type": "AWS::DMS::ReplicationSubnetGroup", "Properties": both}})


def group(**properties: Any) -> Template:
    described = {"GroupDescription": "d", "VpcId": {"Ref": "Vpc"}, **properties}
    return {"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": described}}


def described(account: Account, logical_id: str = "Group") -> dict[str, Any]:
    groups = [account.physical_id(logical_id)]
    found: dict[str, Any] = account.client("ec2").describe_security_groups(GroupIds=groups)["SecurityGroups"][0]
    return found


def test_a_group_without_egress_gets_the_open_one(account: Account, vpc: Template) -> None:
    account.deploy({**vpc, **group()})
    (rule,) = described(account)["IpPermissionsEgress"]
    assert {key: rule[key] for key in OPEN} == OPEN


def test_a_group_with_egress_gets_no_other(account: Account, vpc: Template) -> None:
    account.deploy({**vpc, **group(SecurityGroupEgress=[{"IpProtocol": "-1", "CidrIp": "127.0.0.1/32"}])})
    (rule,) = described(account)["IpPermissionsEgress"]
    assert rule["IpRanges"] == [{"CidrIp": "127.0.0.1/32"}]


def test_separate_rules_are_seen_on_their_groups_and_go_with_their_stack(account: Account, vpc: Template) -> None:
    rules = {
        "In": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {"GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432,
                           "SourceSecurityGroupId": {"Ref": "Group"}, "Description": "itself"},
        },
        "Out": {
            "Type": "AWS::EC2::SecurityGroupEgress",
            "Properties": {"GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443,
                           "DestinationPrefixListId": "pl-63a5400a"},
        },
    }  # fmt: skip
    account.deploy({**vpc, **group(), **rules})
    seen = described(account)
    assert [(rule["FromPort"], rule["UserIdGroupPairs"][0]["GroupId"]) for rule in seen["IpPermissions"]] == [
        (5432, account.physical_id("Group"))
    ]
    assert [rule["PrefixListIds"] for rule in seen["IpPermissionsEgress"]] == [[{"PrefixListId": "pl-63a5400a"}]]
    account.deploy({**vpc, **group()})
    assert described(account)["IpPermissions"] == []


def test_network_acls_with_entries_and_associations_are_seen_by_the_api(account: Account, vpc: Template) -> None:
    acl = {
        "Acl": {"Type": "AWS::EC2::NetworkAcl", "Properties": {"VpcId": {"Ref": "Vpc"}}},
        "Entry": {
            "Type": "AWS::EC2::NetworkAclEntry",
            "Properties": {"NetworkAclId": {"Ref": "Acl"}, "RuleNumber": 100, "Protocol": 6, "RuleAction": "allow",
                           "Egress": True, "CidrBlock": "10.0.0.0/16", "PortRange": {"From": 443, "To": 443}},
        },
        "Association": {
            "Type": "AWS::EC2::SubnetNetworkAclAssociation",
            "Properties": {"NetworkAclId": {"Ref": "Acl"}, "SubnetId": {"Ref": "SubnetA"}},
        },
    }  # fmt: skip
    account.deploy({**vpc, **acl})
    api = account.client("ec2")
    (seen,) = api.describe_network_acls(NetworkAclIds=[account.physical_id("Acl")])["NetworkAcls"]
    assert [each["SubnetId"] for each in seen["Associations"]] == [account.physical_id("SubnetA")]
    allowed = [entry for entry in seen["Entries"] if entry["RuleAction"] == "allow"]
    assert [(entry["Egress"], entry["PortRange"]) for entry in allowed] == [(True, {"From": 443, "To": 443})]


def test_a_flow_log_is_seen_by_the_api(account: Account, vpc: Template) -> None:
    log = {"ResourceId": {"Ref": "Vpc"}, "ResourceType": "VPC", "TrafficType": "ALL", "LogGroupName": "flows",
           "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/flows"}  # fmt: skip
    account.deploy({**vpc, "Log": {"Type": "AWS::EC2::FlowLog", "Properties": log}})
    (seen,) = account.client("ec2").describe_flow_logs()["FlowLogs"]
    assert (seen["ResourceId"], seen["FlowLogId"]) == (account.physical_id("Vpc"), account.physical_id("Log"))


def test_a_virtual_private_gateway_is_attached_to_its_vpc(account: Account, vpc: Template) -> None:
    gateway = {
        "Gateway": {"Type": "AWS::EC2::VPNGateway", "Properties": {"Type": "ipsec.1", "AmazonSideAsn": 65001}},
        "Attachment": {
            "Type": "AWS::EC2::VPCGatewayAttachment",
            "Properties": {"VpcId": {"Ref": "Vpc"}, "VpnGatewayId": {"Ref": "Gateway"}},
        },
    }
    account.deploy({**vpc, **gateway})
    (seen,) = account.client("ec2").describe_vpn_gateways()["VpnGateways"]
    assert [each["VpcId"] for each in seen["VpcAttachments"]] == [account.physical_id("Vpc")]
    assert seen["AmazonSideAsn"] == 65001


@pytest.mark.parametrize(
    ("region", "identifier"),
    [
        ("us-east-1", "pl-63a5400a"),
        ("us-east-2", "pl-7ba54012"),
        ("us-west-1", "pl-6ba54002"),
        ("eu-central-1", "pl-6ea54007"),
        ("eu-west-1", "pl-6da54004"),
        ("ap-southeast-2", "pl-6ca54005"),
    ],
)
def test_the_prefix_list_of_s3_has_its_real_id(account: Account, region: str, identifier: str) -> None:
    name = f"com.amazonaws.{region}.s3"
    filters = [{"Name": "prefix-list-name", "Values": [name]}]
    found = account.elsewhere(region).client("ec2").describe_managed_prefix_lists(Filters=filters)["PrefixLists"]
    assert [(each["PrefixListId"], each["PrefixListName"]) for each in found] == [(identifier, name)]
