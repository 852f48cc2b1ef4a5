"""E9102: a subnet group in one zone."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._functions import Reference, function_of, reference_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._subnets import GROUPS, zone_of
from builders.rules._template import Template
from builders.rules._values import ABSENT, Value


class SingleZoneSubnetGroup(Rule):
    """Reports a subnet group that lists one subnet, or subnets of this template that all lie in one zone."""

    id = "E9102"
    shortdesc = "A subnet group in a single zone"
    why = "RDS, DMS and the like refuse a group that does not cover two availability zones."
    source = (
        "Amazon RDS user guide, 'Working with a DB instance in a VPC'; AWS DMS user guide, 'Creating a subnet group'"
    )
    bad = """
    Parameters:
      SubnetA: {Type: "AWS::EC2::Subnet::Id"}
    Resources:
      Group:
        Type: AWS::RDS::DBSubnetGroup
        Properties: {DBSubnetGroupDescription: payments, SubnetIds: [!Ref SubnetA]}
    """
    good = """
    Parameters:
      SubnetA: {Type: "AWS::EC2::Subnet::Id"}
      SubnetB: {Type: "AWS::EC2::Subnet::Id"}
    Resources:
      Group:
        Type: AWS::RDS::DBSubnetGroup
        Properties: {DBSubnetGroupDescription: payments, SubnetIds: [!Ref SubnetA, !Ref SubnetB]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for group in template.resources(*GROUPS):
            for value in template.constants(group, GROUPS[group.type]):
                if isinstance(value.value, list) and value.value:
                    yield from self._check_list(template, group.name, value)

    def _check_list(self, template: Template, group: str, value: Value) -> Iterator[RuleFinding]:
        entries = list(template.items(value))
        conditional = any(entry.when != value.when for entry in entries)
        if conditional or not all(_is_one_subnet(template, entry) for entry in entries):
            return
        distinct = {repr(entry.value) for entry in entries}
        if len(distinct) == 1 and template.possible(value):
            yield RuleFinding(value, f"{group} lists a single subnet{value.source}: add one of another zone")
            return
        subnets = [template.target(entry.value) for entry in entries]
        zones = {zone_of(template, subnet) if subnet else None for subnet in subnets}
        if len(zones) == 1 and zones != {None} and template.possible(value):
            yield RuleFinding(value, f"all subnets of {group} lie in one zone: spread them over two")


def _is_one_subnet(template: Template, entry: Value) -> bool:
    """Return whether the entry is one subnet for sure: a parameter may be a list, a function may give many."""
    if entry.value is ABSENT:
        return False
    if isinstance(entry.value, str):
        return entry.value.startswith("subnet-")
    reference = reference_of(entry.value)
    if isinstance(reference, Reference):
        parameter = template.parameters.get(reference.name)
        if isinstance(parameter, dict):
            return parameter.get("Type") in ("AWS::EC2::Subnet::Id", "String")
        return getattr(template.resource(reference.name), "type", "") == "AWS::EC2::Subnet"
    return function_of(entry.value)[0] == "Fn::Select"
