"""E9701: what a service-managed stack set refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template, walk


class RefusedByStackSets(Rule):
    """Reports transforms, macros and nested stacks, when the option `enabled` is true."""

    id = "E9701"
    shortdesc = "A transform or nested stack in a template for StackSets"
    why = (
        "The execution role that a stack set with service-managed permissions makes by itself takes no such template. "
        "With a custom execution role template it does: leave the option off then."
    )
    source = "CloudFormation user guide, 'Configure a custom execution role template for StackSets'"
    options: ClassVar[dict[str, Any]] = {"enabled": False}
    bad = """
    # with -x E9701:enabled=true
    Resources:
      Inner: {Type: "AWS::CloudFormation::Stack", Properties: {TemplateURL: "https://bucket.s3.amazonaws.com/inner.json"}}
    """
    good = """
    # with -x E9701:enabled=true
    Resources:
      Topic: {Type: "AWS::SNS::Topic"}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        if not self.config["enabled"]:
            return
        if template.cfn.transform_pre.get("Transform"):
            yield RuleFinding(
                ("Transform",),
                "service-managed stack sets take no transform with their default role: write out what it makes",
            )
        for resource in template.resources("AWS::CloudFormation::Stack"):
            where = ("Resources", resource.name, "Type")
            yield RuleFinding(
                where, f"{resource.name} is a nested stack, which the default role of service-managed sets refuses"
            )
        for path, node in walk(template.section("Resources"), ("Resources",)):
            if isinstance(node, dict) and "Fn::Transform" in node:
                yield RuleFinding(
                    (*path, "Fn::Transform"), "service-managed stack sets take no macro with their default role"
                )
