"""W9205: a parameter group whose name stands in the way of an upgrade."""

from __future__ import annotations

import re
from collections.abc import Iterator

from builders.intrinsics import DYNAMIC_REFERENCE
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, UNKNOWN, Value

_GROUPS = {
    "AWS::RDS::DBParameterGroup": "DBParameterGroupName",
    "AWS::RDS::DBClusterParameterGroup": "DBClusterParameterGroupName",
}
_ENGINE = re.compile(r"(postgres(?:ql)?|mysql|mariadb)-?(\d+)")


class NamedParameterGroup(Rule):
    """Reports a parameter group whose name does not carry its family, or carries another one."""

    id = "W9205"
    shortdesc = "A named parameter group that blocks a major upgrade"
    why = (
        "The family is create-only, so a major upgrade replaces the group, and CloudFormation cannot replace a"
        " resource that keeps its name. Leave the name out, or put the family into it."
    )
    source = "CloudFormation template reference, 'AWS::RDS::DBParameterGroup'"
    bad = """
    Parameters:
      Family: {Type: String}
    Resources:
      Parameters:
        Type: AWS::RDS::DBParameterGroup
        Properties: {DBParameterGroupName: payments, Family: !Ref Family, Description: payments}
    """
    good = """
    Parameters:
      Family: {Type: String}
    Resources:
      Parameters:
        Type: AWS::RDS::DBParameterGroup
        Properties: {DBParameterGroupName: !Sub "payments-${Family}", Family: !Ref Family, Description: payments}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for kind, name_property in _GROUPS.items():
            for group in template.resources(kind):
                for name in template.branches(group, name_property):
                    problem = None if name.value is ABSENT else _problem(template, group, name)
                    if problem and template.possible(name):
                        yield RuleFinding(
                            name, f"{group.name} {problem}: leave the name out, or put the family into it"
                        )


def _problem(template: Template, group: Resource, name: Value) -> str | None:
    family = group.properties.get("Family")
    varying = template.references(family) & set(template.parameters)
    pieces = template.resolver.pieces(name.value)
    if UNKNOWN in pieces or DYNAMIC_REFERENCE in str(pieces):
        return None
    if varying and not varying & template.references(name.value):
        return f"keeps its name when {', '.join(sorted(varying))} asks for another family"
    for text in template.constants(group, _GROUPS[group.type]):
        said, true = _ENGINE.search(str(text.value)), _ENGINE.match(str(family))
        if said and true and said[2] != true[2]:
            return f"is named after {said[0]} and is of family {family}"
    return None
