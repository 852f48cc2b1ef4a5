"""Ids of things that are not there are refused, whatever the type that names them; those that are there are taken."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account, Refused, Template

ID = "0123456789abcdef0"


def resource(kind: str, **properties: Any) -> Template:
    return {"Type": f"AWS::EC2::{kind}", "Properties": properties}


def route(**target: Any) -> Template:
    return resource("Route", RouteTableId={"Ref": "Table"}, DestinationCidrBlock="172.16.0.0/16", **target)


def rule(**source: Any) -> Template:
    whole = {"GroupId": {"Ref": "Group"}, "IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}
    return resource("SecurityGroupIngress", **whole | source)


REFUSED = [
    (resource("Subnet", VpcId=f"vpc-{ID}", CidrBlock="10.0.9.0/24"), f"The vpc ID 'vpc-{ID}' does not exist"),
    (resource("SecurityGroup", VpcId=f"vpc-{ID}", GroupDescription="x"), f"The vpc ID 'vpc-{ID}' does not exist"),
    (resource("Route", RouteTableId=f"rtb-{ID}", DestinationCidrBlock="172.16.0.0/16", GatewayId="local"),
     f"The routeTable ID 'rtb-{ID}' does not exist"),
    (route(TransitGatewayId=f"tgw-{ID}"), f"Transit Gateway tgw-{ID} was deleted or does not exist"),
    (route(GatewayId=f"vgw-{ID}"), f"The vpnGateway ID 'vgw-{ID}' does not exist"),
    (route(NatGatewayId=f"nat-{ID}"), f"The natGateway ID 'nat-{ID}' does not exist"),
    (rule(SourceSecurityGroupId=f"sg-{ID}"), f"The security group 'sg-{ID}' does not exist"),
    (rule(SourcePrefixListId=f"pl-{ID}"), f"The prefix list ID 'pl-{ID}' does not exist"),
    (resource("SubnetRouteTableAssociation", RouteTableId={"Ref": "Table"}, SubnetId=f"subnet-{ID}"),
     f"The subnet ID 'subnet-{ID}' does not exist"),
    (resource("VPCEndpoint", VpcId={"Ref": "Vpc"}, ServiceName="com.amazonaws.us-east-1.s3",
              RouteTableIds=[f"rtb-{ID}"]),
     f"The routeTable ID 'rtb-{ID}' does not exist"),
    (resource("TransitGatewayAttachment", VpcId={"Ref": "Vpc"}, SubnetIds=[{"Ref": "SubnetA"}],
              TransitGatewayId=f"tgw-{ID}"), f"Transit Gateway tgw-{ID} was deleted or does not exist"),
    (resource("TransitGatewayRouteTableAssociation", TransitGatewayRouteTableId=f"tgw-rtb-{ID}",
              TransitGatewayAttachmentId=f"tgw-attach-{ID}"), f"tgw-(rtb|attach)-{ID} was deleted or does not exist"),
    (resource("FlowLog", ResourceId=f"subnet-{ID}", ResourceType="Subnet"), f"The subnet ID 'subnet-{ID}' does not"),
    ({"Type": "AWS::Route53Resolver::ResolverRuleAssociation",
      "Properties": {"ResolverRuleId": "rslvr-rr-1", "VPCId": f"vpc-{ID}"}}, f"The vpc ID 'vpc-{ID}' does not exist"),
]  # fmt: skip


@pytest.fixture
def surroundings(vpc: Template) -> Template:
    """A VPC with a route table, a group and a transit gateway."""
    return {
        **vpc,
        "Table": resource("RouteTable", VpcId={"Ref": "Vpc"}),
        "Group": resource("SecurityGroup", VpcId={"Ref": "Vpc"}, GroupDescription="x"),
        "Gateway": resource("TransitGateway"),
    }


@pytest.mark.parametrize(("thing", "reason"), REFUSED, ids=[f"{each['Type']}: {why}" for each, why in REFUSED])
def test_what_names_a_thing_that_is_not_there_is_refused(
    account: Account, surroundings: Template, thing: Template, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        account.deploy({**surroundings, "Thing": thing})


def test_what_names_things_that_are_there_is_taken(account: Account, surroundings: Template) -> None:
    attachment = resource("TransitGatewayAttachment", VpcId={"Ref": "Vpc"}, SubnetIds=[{"Ref": "SubnetA"}],
                          TransitGatewayId={"Ref": "Gateway"})  # fmt: skip
    account.deploy(
        {
            **surroundings,
            "Attachment": attachment,
            "Route": route(TransitGatewayId={"Ref": "Gateway"}) | {"DependsOn": "Attachment"},
            "Routes": resource("TransitGatewayRouteTable", TransitGatewayId={"Ref": "Gateway"}),
            "Association": resource(
                "TransitGatewayRouteTableAssociation",
                TransitGatewayRouteTableId={"Ref": "Routes"},
                TransitGatewayAttachmentId={"Ref": "Attachment"},
            ),
            "FromS3": rule(SourcePrefixListId="pl-63a5400a"),
        }
    )


def test_an_arn_that_is_made_up_is_of_the_kind_that_properties_take(account: Account, vpc: Template) -> None:
    statement = {"Effect": "Allow", "Principal": {"AWS": {"Ref": "AWS::AccountId"}}, "Action": "kms:*", "Resource": "*"}
    key = {"PrimaryKeyArn": "arn:aws:kms:eu-west-1:123456789012:key/mrk-1", "KeyPolicy": {"Statement": [statement]}}
    cluster = {"Engine": "aurora-postgresql", "MasterUsername": "owner", "ManageMasterUserPassword": True}
    proxy = {
        "DBProxyName": "payments",
        "EngineFamily": "POSTGRESQL",
        "RoleArn": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/proxy"},
        "VpcSubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
        "Auth": [{"AuthScheme": "SECRETS", "SecretArn": {"Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]}}],
    }
    account.deploy(
        {
            **vpc,
            "Key": {"Type": "AWS::KMS::ReplicaKey", "Properties": key},
            "Cluster": {"Type": "AWS::RDS::DBCluster", "Properties": cluster},
            "Proxy": {"Type": "AWS::RDS::DBProxy", "Properties": proxy},
            "Files": {"Type": "AWS::EFS::FileSystem", "Properties": {"KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}}},
        }
    )


@pytest.mark.parametrize("shared", [True, False])
def test_a_transit_gateway_of_another_account_is_seen_where_it_is_shared(
    account: Account, surroundings: Template, shared: bool
) -> None:
    owner = Account(account.cloud, str(int(account.number) + 400_000_000_000))
    principals = [account.number] if shared else ["123456789012"]
    share = {"Name": "gateways", "ResourceArns": [{"Fn::GetAtt": ["Gateway", "TransitGatewayArn"]}],
             "Principals": principals}  # fmt: skip
    gateway = {"Gateway": resource("TransitGateway"), "Share": {"Type": "AWS::RAM::ResourceShare", "Properties": share}}
    identifier = owner.deploy(gateway, sections={"Outputs": {"Id": {"Value": {"Ref": "Gateway"}}}})["Id"]
    resources = {**surroundings, "Route": route(TransitGatewayId=identifier)}
    if shared:
        account.deploy(resources)
    else:
        with pytest.raises(Refused, match=f"Transit Gateway {identifier} was deleted or does not exist"):
            account.deploy(resources)
