"""W9103: a security group that does not state its egress."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class OpenEgress(Rule):
    """Reports a security group that states no egress, neither itself nor by a resource of its own."""

    id = "W9103"
    shortdesc = "A security group without an egress rule"
    why = (
        "AWS then adds a rule that allows everything to everywhere. An empty list counts as none: CloudFormation"
        " removes the default rule only when another one is given."
    )
    source = "CloudFormation template reference, 'AWS::EC2::SecurityGroup' (remarks on the default egress rule)"
    bad = """
    Parameters:
      Vpc: {Type: "AWS::EC2::VPC::Id"}
    Resources:
      Group:
        Type: AWS::EC2::SecurityGroup
        Properties: {GroupDescription: database, VpcId: !Ref Vpc}
    """
    good = """
    Parameters:
      Vpc: {Type: "AWS::EC2::VPC::Id"}
    Resources:
      Group:
        Type: AWS::EC2::SecurityGroup
        Properties:
          GroupDescription: database
          VpcId: !Ref Vpc
          SecurityGroupEgress:
            - {IpProtocol: tcp, FromPort: 1, ToPort: 1, CidrIp: 127.0.0.1/32, Description: none}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        apart = [
            group
            for rule in template.resources("AWS::EC2::SecurityGroupEgress")
            for group in template.branches(rule, "GroupId")
        ]
        for group in template.resources("AWS::EC2::SecurityGroup"):
            rules = [each.when for each in apart if template.target(each.value) is group]
            for egress in template.branches(group, "SecurityGroupEgress"):
                if (egress.value is ABSENT or egress.value == []) and template.can_lack(rules, egress):
                    yield RuleFinding(
                        egress, f"{group.name} states no egress and so may reach everything: state a rule"
                    )
