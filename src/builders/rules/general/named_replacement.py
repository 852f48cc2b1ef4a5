"""W9050: a named resource that an update would have to replace."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._names import create_only, name_properties
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT


class NamedReplacement(Rule):
    """Reports a parameter in a create-only property of a resource whose name does not carry that parameter. Parameters
    that are ids of things in AWS are left alone: those change with the environment.
    """

    id = "W9050"
    shortdesc = "A named resource that a parameter can force to be replaced"
    why = "CloudFormation refuses the update: it cannot replace a resource that keeps its name."
    source = "CloudFormation template reference, 'Name type' (the note on names and replacement)"
    bad = """
    Parameters:
      FifoTopic: {Type: String, AllowedValues: ["true", "false"], Default: "false"}
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: payments, FifoTopic: !Ref FifoTopic}}
    """
    good = """
    Parameters:
      FifoTopic: {Type: String, AllowedValues: ["true", "false"], Default: "false"}
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {FifoTopic: !Ref FifoTopic}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            names = set(name_properties(resource.type)) & set(resource.properties)
            if all(value.value is ABSENT for name in names for value in template.branches(resource, name)):
                continue
            named = template.references([resource.properties[name] for name in names])
            for other in sorted(create_only(resource.type) & set(resource.properties) - names):
                for parameter in self._choices(template, resource, other) - named:
                    where = ("Resources", resource.name, "Properties", other)
                    message = f"a new value of {parameter} would replace {resource.name}, whose name does not change"
                    yield RuleFinding(where, f"{message}: CloudFormation refuses that")

    def _choices(self, template: Template, resource: Resource, name: str) -> set[str]:
        """The parameters in a property that say how a thing is, not where it is."""
        used = template.references(resource.properties[name]) & set(template.parameters)
        return {parameter for parameter in used if _is_choice(template.parameters[parameter])}


def _is_choice(parameter: object) -> bool:
    return isinstance(parameter, dict) and ("AllowedValues" in parameter or parameter.get("Type") == "Number")
