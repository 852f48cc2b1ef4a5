"""W9001: a physical name that two environments would share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from builders.intrinsics import DYNAMIC_REFERENCE
from builders.rules._functions import Reference
from builders.rules._names import name_properties
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT, UNKNOWN, Value

_MANDATED = ("dms-vpc-role", "dms-cloudwatch-logs-role", "dms-access-for-endpoint", "rds-monitoring-role")
_MANDATED_PREFIXES = (
    "AWSCloudFormationStackSet",
    "AWSServiceRoleFor",
    "/aws/",
    "aws-waf-logs-",
    "API-Gateway-Execution",
)
_UNIQUE = ("AWS::StackName", "AWS::StackId")


class FixedName(Rule):
    """Reports a name of a resource or an export that does not carry the parameter in the option `suffix`
    (EnvironmentSuffix). In a template without that parameter only names without any variable are reported. Names that
    AWS demands are excepted, and those in the option `except`.
    """

    id = "W9001"
    shortdesc = "A physical name without the environment's suffix"
    why = "The second environment in the account collides with the first, and a named resource cannot be replaced."
    source = "CloudFormation template reference, 'Name type' (the note on names and replacement)"
    options: ClassVar[dict[str, Any]] = {"suffix": "EnvironmentSuffix", "except": []}
    bad = """
    Parameters:
      EnvironmentSuffix: {Type: String}
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: payments}}
    """
    good = """
    Parameters:
      EnvironmentSuffix: {Type: String}
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {TopicName: !Sub "payments-${EnvironmentSuffix}"}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for resource in template.resources():
            values = [value for name in name_properties(resource.type) for value in template.branches(resource, name)]
            for value in values:
                if self._is_fixed(template, value) and template.possible(value):
                    yield RuleFinding(value, self._message(template, resource.name, value))
        for output, body in template.outputs.items():
            export = body.get("Export") if isinstance(body, dict) else None
            if isinstance(export, dict) and "Name" in export:
                value = Value(export["Name"], ("Outputs", str(output), "Export", "Name"))
                if self._is_fixed(template, value):
                    yield RuleFinding(value, self._message(template, f"the export of {output}", value))

    def _message(self, template: Template, owner: str, value: Value) -> str:
        suffix = self.config["suffix"]
        wanted = f"end it with ${{{suffix}}}" if suffix in template.parameters else "make it vary, or leave it out"
        said = repr(value.value) if isinstance(value.value, str) else "a name of its own"
        return f"{owner} has {said} in every environment: {wanted}"

    def _is_fixed(self, template: Template, value: Value) -> bool:
        if value.value is ABSENT:
            return False
        pieces = template.resolver.pieces(value.value)
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        if text in (*_MANDATED, *self.config["except"]) or (text.startswith(_MANDATED_PREFIXES) and len(pieces) == 1):
            return False
        if DYNAMIC_REFERENCE in text:
            return False  # the name stands elsewhere, where each environment can have its own
        names = {piece.name for piece in pieces if isinstance(piece, Reference)}
        suffix = self.config["suffix"]
        if suffix not in template.parameters:
            return bool(text) and all(isinstance(piece, str) for piece in pieces)
        derived = names & set(_UNIQUE) or any(template.resource(name) for name in names) or UNKNOWN in pieces
        return suffix not in names and not derived and pieces != []
