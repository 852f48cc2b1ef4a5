"""The security groups: who may speak to whom.

Every group states its egress with the group itself: AWS opens a group that is made without any to every address
(CloudFormation template reference, "AWS::EC2::SecurityGroup", SecurityGroupEgress). The ingress of database and
endpoints is separate, since it names the groups whose egress names them.

CloudFormation cannot empty the VPC's default group. Nothing has it, and its own rules admit its members only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from troposphere import If, NoValue, Ref, ec2

from builders import scanners
from builders.layers._network.on_premises import NameServer, Range
from builders.stack import Stack, Value


class Groups(Value):
    """The groups, named by the resources that have them."""

    database: ec2.SecurityGroup
    dms: ec2.SecurityGroup
    function: ec2.SecurityGroup
    endpoint: ec2.SecurityGroup


def build(
    stack: Stack,
    vpc: ec2.VPC,
    database_port: Ref,
    s3_prefix_list_id: Ref,
    ranges: Sequence[Range],
    source_port: Ref,
) -> Groups:
    """Make the groups of database, endpoints, DMS and functions, with the rules between them."""
    database = _group(stack, vpc, "DatabaseSecurityGroup", "The target database", [_nothing()])
    endpoint = _group(stack, vpc, "EndpointSecurityGroup", "The interface endpoints", [_nothing()])
    in_the_cloud = [
        _rule("The target database", database_port, DestinationSecurityGroupId=database.ref()),
        _rule("The interface endpoints", 443, DestinationSecurityGroupId=endpoint.ref()),
        _rule("S3 through its gateway endpoint", 443, DestinationPrefixListId=s3_prefix_list_id),
    ]
    sources = [
        If(
            source.is_reached,
            _rule(f"The source database in on-premises range {source.number}", source_port, CidrIp=source.cidr),
            NoValue,
        )
        for source in ranges
    ]
    # The function that proves the way of DMS has its security group, and answers CloudFormation through S3.
    dms = _group(stack, vpc, "DmsSecurityGroup", "Replication, and the proof of its way", [*in_the_cloud, *sources])
    function = _group(stack, vpc, "FunctionSecurityGroup", "The functions in the VPC", in_the_cloud)
    _ingress(stack, "DatabaseFromDms", database, dms, database_port, "Replication")
    _ingress(stack, "DatabaseFromFunctions", database, function, database_port, "Functions")
    _ingress(stack, "EndpointsFromDms", endpoint, dms, 443, "Replication")
    _ingress(stack, "EndpointsFromFunctions", endpoint, function, 443, "Functions")
    return Groups(database, dms, function, endpoint)


def build_resolver(stack: Stack, vpc: ec2.VPC, name_servers: Sequence[NameServer]) -> ec2.SecurityGroup:
    """Make the group of the resolver endpoint: out to the name servers, which answer over both protocols."""
    first, second = name_servers
    rules = [
        *_queries(first),
        *(If(second.is_given, rule, NoValue) for rule in _queries(second)),
    ]
    return _group(
        stack, vpc, "ResolverSecurityGroup", "The outbound resolver endpoint", rules, Condition=first.is_given
    )


def _queries(server: NameServer) -> list[ec2.SecurityGroupRule]:
    return [
        _rule(f"On-premises name server {server.number}", 53, protocol, CidrIp=server.host_range)
        for protocol in ("tcp", "udp")
    ]


def _group(
    stack: Stack, vpc: ec2.VPC, title: str, description: str, egress: Sequence[Any], **attributes: Any
) -> ec2.SecurityGroup:
    group = stack.add(
        ec2.SecurityGroup(
            title,
            GroupDescription=description,
            VpcId=vpc.ref(),
            SecurityGroupEgress=list(egress),
            **attributes,
        )
    )
    if any(isinstance(rule, If) for rule in egress):
        scanners.accept(group, {"CKV_AWS_23": "Every rule is described; the check does not look into Fn::If"})
    return group


def _nothing() -> ec2.SecurityGroupRule:
    """An egress rule that leads nowhere and so keeps AWS from adding the one that leads everywhere."""
    return ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="127.0.0.1/32", Description="Nothing: answers need no rule")


def _rule(description: str, port: Any, protocol: str = "tcp", **destination: Any) -> ec2.SecurityGroupRule:
    return ec2.SecurityGroupRule(
        IpProtocol=protocol, FromPort=port, ToPort=port, Description=description, **destination
    )


def _ingress(
    stack: Stack, title: str, target: ec2.SecurityGroup, source: ec2.SecurityGroup, port: Any, description: str
) -> None:
    stack.add(
        ec2.SecurityGroupIngress(
            title,
            GroupId=target.ref(),
            SourceSecurityGroupId=source.ref(),
            IpProtocol="tcp",
            FromPort=port,
            ToPort=port,
            Description=description,
        )
    )
