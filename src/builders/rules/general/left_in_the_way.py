"""W9051: a named resource that a failed creation leaves in the way of the next one."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._names import name_properties
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT


class LeftInTheWay(Rule):
    """Reports DeletionPolicy Retain on a resource with a given name. RetainExceptOnCreate keeps it just as well."""

    id = "W9051"
    shortdesc = "A named resource that a failed creation leaves behind"
    why = (
        "When the first deployment fails, Retain keeps what it has made so far, and the next deployment fails because"
        " the name is taken. RetainExceptOnCreate deletes it then, and keeps it ever after."
    )
    source = "CloudFormation template reference, 'DeletionPolicy attribute', RetainExceptOnCreate"
    bad = """
    Resources:
      Logs: {Type: "AWS::Logs::LogGroup", DeletionPolicy: Retain, Properties: {LogGroupName: /payments}}
    """
    good = """
    Resources:
      Logs: {Type: "AWS::Logs::LogGroup", DeletionPolicy: RetainExceptOnCreate, Properties: {LogGroupName: /payments}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            if resource.body.get("DeletionPolicy") != "Retain":
                continue
            for name in name_properties(resource.type):
                if any(value.value is not ABSENT for value in template.branches(resource, name)):
                    yield RuleFinding(
                        ("Resources", resource.name, "DeletionPolicy"),
                        f"a first deployment that fails leaves {resource.name} behind, and its {name} is then taken: "
                        "use RetainExceptOnCreate",
                    )
