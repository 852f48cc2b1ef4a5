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
        ({"CidrBlock": "10.0.9.0/24", "AvailabilityZoneId": "euw1-az1"}, "parameter availabilityZoneId is invalid"),
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
        "TooLarge": {
            "Type": "AWS::EC2::NetworkAclEntry",
            "Properties": {"NetworkAclId": {"Ref": "Acl"}, "RuleNumber": 110, "Protocol": 1, "RuleAction": "allow",
                           "Egress": True, "CidrBlock": "10.0.0.0/16", "Icmp": {"Type": 3, "Code": 4}},
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
    assert [(entry["Egress"], entry.get("PortRange") or entry["IcmpTypeCode"]) for entry in allowed] == [
        (True, {"From": 443, "To": 443}),
        (True, {"Type": 3, "Code": 4}),
    ]


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


# Zones that lack a service


def interface_endpoint(service: str, *subnets: str) -> Template:
    properties = {
        "VpcEndpointType": "Interface",
        "VpcId": {"Ref": "Vpc"},
        "ServiceName": f"com.amazonaws.us-east-1.{service}",
        "SubnetIds": [{"Ref": each} for each in subnets],
    }
    return {"Endpoint": {"Type": "AWS::EC2::VPCEndpoint", "Properties": properties}}


def test_a_zone_that_lacks_a_service_is_not_among_its_zones_and_takes_no_endpoint_of_it(
    account: Account, vpc: Template
) -> None:
    ec2, rds = account.client("ec2"), account.client("rds")
    lacks = {"kind": "missing-zone", "zone": "use1-az2", "account": account.number}
    account.cloud.set_faults({**lacks, "service": "dms"}, {**lacks, "service": "db.r7g.*"})
    try:
        names = ["com.amazonaws.us-east-1.dms", "com.amazonaws.us-east-1.kms"]
        dms, kms = ec2.describe_vpc_endpoint_services(ServiceNames=names)["ServiceDetails"]
        assert "us-east-1b" not in dms["AvailabilityZones"]
        assert "use1-az2" not in dms["AvailabilityZoneIds"]
        assert kms["AvailabilityZones"] == [f"us-east-1{letter}" for letter in "abcdef"]

        def zones(size: str) -> list[str]:
            request = {"Engine": "postgres", "DBInstanceClass": size}
            options = rds.describe_orderable_db_instance_options(**request)["OrderableDBInstanceOptions"]
            return [zone["Name"] for each in options for zone in each["AvailabilityZones"]]

        assert zones("db.r7g.large") == ["us-east-1a", *(f"us-east-1{letter}" for letter in "cdef")]
        assert zones("db.t4g.micro") == [f"us-east-1{letter}" for letter in "abcdef"]
        assert zones("db.x99.large") == []

        with pytest.raises(Refused, match=r"us-east-1.dms does not support the availability zone of the subnet: subn"):
            account.deploy({**vpc, **interface_endpoint("dms", "SubnetA", "SubnetB")})
        account.deploy({**vpc, **interface_endpoint("kms", "SubnetA", "SubnetB")}, stack="taken")
    finally:
        account.cloud.set_faults()


def test_an_endpoint_service_that_does_not_exist_is_refused_by_name(account: Account) -> None:
    ec2 = account.client("ec2")
    with pytest.raises(ec2.exceptions.ClientError, match=r"Service 'com.amazonaws.us-east-1.dmz' does not exist"):
        ec2.describe_vpc_endpoint_services(ServiceNames=["com.amazonaws.us-east-1.dmz"])


# Transit gateways


def made(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def joined(**direct: Any) -> Template:
    """A transit gateway that a Direct Connect gateway is associated with."""
    gateway = {"DirectConnectGatewayName": "d", "AmazonSideAsn": "64513", **direct}
    return {
        "Gateway": made("EC2::TransitGateway"),
        "Direct": made("DirectConnect::DirectConnectGateway", **gateway),
        "Joined": made(
            "DirectConnect::DirectConnectGatewayAssociation",
            AssociatedGatewayId={"Ref": "Gateway"},
            DirectConnectGatewayId={"Fn::GetAtt": ["Direct", "DirectConnectGatewayId"]},
            AllowedPrefixesToDirectConnectGateway=["10.0.0.0/8"],
        ),
        "TableA": made("EC2::TransitGatewayRouteTable", TransitGatewayId={"Ref": "Gateway"}),
        "TableB": made("EC2::TransitGatewayRouteTable", TransitGatewayId={"Ref": "Gateway"}),
    }


def associated(attachment: Any, table: str = "TableA") -> Template:
    ids = {"TransitGatewayAttachmentId": attachment, "TransitGatewayRouteTableId": {"Ref": table}}
    return {
        "Association": made("EC2::TransitGatewayRouteTableAssociation", **ids),
        "Propagation": made("EC2::TransitGatewayRouteTablePropagation", **ids),
    }


def attachments(account: Account, **filters: str) -> list[dict[str, Any]]:
    asked = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in filters.items()]
    found: list[dict[str, Any]] = account.client("ec2").describe_transit_gateway_attachments(Filters=asked)[
        "TransitGatewayAttachments"
    ]
    return found


def test_the_association_of_a_direct_connect_gateway_makes_an_attachment_that_takes_its_time(account: Account) -> None:
    account.cloud.set_faults({"kind": "slow-attachment", "seconds": 3600, "account": account.number})
    try:
        account.deploy(joined())
    finally:
        account.cloud.set_faults()
    (pending,) = attachments(account, resource_type="direct-connect-gateway")
    assert (pending["State"], pending["TransitGatewayId"]) == ("pending", account.physical_id("Gateway"))
    assert attachments(account, state="available") == []
    with pytest.raises(Refused, match="is in invalid state pending"):
        account.deploy({**joined(), **associated(pending["TransitGatewayAttachmentId"])})


def test_an_attachment_is_associated_with_one_table_so_a_replacement_is_refused(account: Account) -> None:
    account.deploy(joined())
    (attachment,) = attachments(account, resource_type="direct-connect-gateway")
    identifier = attachment["TransitGatewayAttachmentId"]
    account.deploy({**joined(), **associated(identifier)})
    (attachment,) = attachments(account, transit_gateway_id=account.physical_id("Gateway"))
    table = account.physical_id("TableA")
    assert attachment["Association"] == {"TransitGatewayRouteTableId": table, "State": "associated"}
    asked = account.client("ec2").get_transit_gateway_attachment_propagations(TransitGatewayAttachmentId=identifier)
    assert asked["TransitGatewayAttachmentPropagations"] == [{"TransitGatewayRouteTableId": table, "State": "enabled"}]
    with pytest.raises(Refused, match=f"{identifier} is already associated to a route table"):
        account.deploy({**joined(), **associated(identifier, "TableB")})
    (attachment,) = attachments(account)
    assert attachment["Association"]["TransitGatewayRouteTableId"] == table
    account.deploy(joined())
    account.deploy({**joined(), **associated(identifier, "TableB")})


@pytest.mark.parametrize(
    ("resource", "reason"),
    [
        (
            made("EC2::TransitGateway", AmazonSideAsn=4294967295),
            r"\(4294967295\) for parameter amazonSideAsn is invalid",
        ),
        (made("EC2::TransitGateway", AmazonSideAsn=65535), r"\(65535\) for parameter amazonSideAsn is invalid"),
        (
            made("DirectConnect::DirectConnectGateway", DirectConnectGatewayName="d", AmazonSideAsn="4199999999"),
            r"\(4199999999\) for parameter amazonSideAsn is invalid",
        ),
    ],
)
def test_an_asn_that_is_not_private_is_refused(account: Account, resource: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        account.deploy({"Gateway": resource})


def test_gateways_of_one_asn_are_not_associated(account: Account) -> None:
    with pytest.raises(Refused, match="have the same ASN 64512"):
        account.deploy(joined(AmazonSideAsn="64512"))
