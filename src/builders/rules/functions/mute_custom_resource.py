"""E9504: a custom resource that cannot answer."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template


class MuteCustomResource(Rule):
    """Reports a custom resource whose function runs in subnets of this template's VPC, where the template gives that
    VPC no way to S3: no endpoint, NAT, gateway or peering.
    """

    id = "E9504"
    shortdesc = "A custom resource whose function cannot answer"
    why = "The answer goes to an S3 address. Without a way there the stack hangs for an hour and then fails."
    source = "CloudFormation user guide, 'Setting up VPC endpoints for AWS CloudFormation' (custom resources)"
    bad = """
    Resources:
      Vpc: {Type: "AWS::EC2::VPC", Properties: {CidrBlock: 10.0.0.0/16}}
      Subnet: {Type: "AWS::EC2::Subnet", Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}}
      Function:
        Type: AWS::Lambda::Function
        Properties: {VpcConfig: {SubnetIds: [!Ref Subnet], SecurityGroupIds: [sg-0a1b2c3d4e5f60718]}}
      Check: {Type: "Custom::Check", Properties: {ServiceToken: !GetAtt Function.Arn}}
    """
    good = """
    Resources:
      Vpc: {Type: "AWS::EC2::VPC", Properties: {CidrBlock: 10.0.0.0/16}}
      Subnet: {Type: "AWS::EC2::Subnet", Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}}
      Storage:
        Type: AWS::EC2::VPCEndpoint
        Properties: {VpcId: !Ref Vpc, ServiceName: !Sub "com.amazonaws.${AWS::Region}.s3"}
      Function:
        Type: AWS::Lambda::Function
        Properties: {VpcConfig: {SubnetIds: [!Ref Subnet], SecurityGroupIds: [sg-0a1b2c3d4e5f60718]}}
      Check: {Type: "Custom::Check", Properties: {ServiceToken: !GetAtt Function.Arn}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        ways = [way.scenario for way in template.resources(*_WAYS) if _leads_out(template, way)]
        for custom in template.resources():
            if not custom.type.startswith(("Custom::", "AWS::CloudFormation::CustomResource")):
                continue
            for token in template.branches(custom, "ServiceToken"):
                function = template.target(token.value)
                if function is None or function.type != "AWS::Lambda::Function":
                    continue
                if _is_in_own_vpc(template, function) and template.can_lack(ways, token, function.scenario):
                    yield RuleFinding(token, f"{function.name} cannot reach S3 to answer: give its VPC an S3 endpoint")


_WAYS = [
    f"AWS::EC2::{kind}"
    for kind in (
        *("InternetGateway", "VPCGatewayAttachment", "NatGateway", "EgressOnlyInternetGateway", "VPCPeeringConnection"),
        *("TransitGatewayAttachment", "TransitGatewayVpcAttachment", "VPCEndpoint", "Route"),
    )
]


def _is_in_own_vpc(template: Template, function: Resource) -> bool:
    """Return whether every subnet of a function and its VPC are made here."""
    entries = [
        template.target(entry.value)
        for listed in template.branches(function, "VpcConfig.SubnetIds")
        for entry in template.items(listed)
    ]
    subnets = [subnet for subnet in entries if subnet is not None and subnet.type == "AWS::EC2::Subnet"]
    if not subnets or len(subnets) != len(entries):
        return False
    vpcs = [template.target(value.value) for subnet in subnets for value in template.branches(subnet, "VpcId")]
    return bool(vpcs) and all(vpc is not None and vpc.type == "AWS::EC2::VPC" for vpc in vpcs)


def _leads_out(template: Template, way: Resource) -> bool:
    if way.type != "AWS::EC2::VPCEndpoint":
        return True
    for service in template.branches(way, "ServiceName"):
        text = "".join(piece for piece in template.resolver.pieces(service.value) if isinstance(piece, str))
        if not text or text.endswith((".s3", "s3")):
            return True
    return False
