"""E9101: a subnet group without subnets."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._rule import Rule, RuleFinding
from builders.rules._subnets import GROUPS
from builders.rules._template import Template
from builders.rules._values import ABSENT


class EmptySubnetGroup(Rule):
    """Reports a database or DMS subnet group whose list of subnets is, or by default is, empty."""

    id = "E9101"
    shortdesc = "A subnet group without subnets"
    why = "AWS refuses the group when it is deployed, after the network was already made."
    source = (
        "Amazon RDS user guide, 'Working with a DB instance in a VPC'; AWS DMS user guide, 'Creating a subnet group'"
    )
    bad = """
    Resources:
      Group:
        Type: AWS::RDS::DBSubnetGroup
        Properties: {DBSubnetGroupDescription: payments, SubnetIds: []}
    """
    good = """
    Parameters:
      SubnetIds: {Type: "List<AWS::EC2::Subnet::Id>"}
    Resources:
      Group:
        Type: AWS::RDS::DBSubnetGroup
        Properties: {DBSubnetGroupDescription: payments, SubnetIds: !Ref SubnetIds}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for group in template.resources(*GROUPS):
            for value in template.constants(group, GROUPS[group.type]):
                if value.value in ([], "") and template.possible(value):
                    yield RuleFinding(value, f"{group.name} has no subnets{value.source}: list two in different zones")
                entries = list(template.items(value)) if isinstance(value.value, list) else []
                if entries and all(entry.value is ABSENT for entry in entries) and template.possible(*entries):
                    yield RuleFinding(value, f"{group.name} has no subnets when its conditions take them away")
