"""W9030: a resource without the tags that somebody asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from builders.rules._names import schema_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, UNKNOWN, Value


class MissingTags(Rule):
    """Reports a resource that can carry tags and lacks a key of the option `keys`. Without the option: nothing."""

    id = "W9030"
    shortdesc = "A resource without the tags that are asked for"
    why = "What is not tagged is not found when costs, owners or the scope of an audit are asked for."
    source = "CloudFormation user guide, 'Resource tag'; the `tagging` part of each resource schema"
    options: ClassVar[dict[str, Any]] = {"keys": []}
    bad = """
    # with -x W9030:keys=CostCenter
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {Tags: [{Key: Name, Value: payments}]}}
    """
    good = """
    # with -x W9030:keys=CostCenter
    Resources:
      Topic: {Type: "AWS::SNS::Topic", Properties: {Tags: [{Key: CostCenter, Value: payments}]}}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        wanted = set(self.config["keys"])
        for resource in template.resources() if wanted else []:
            tagged = _tag_property(resource)
            for tags in template.branches(resource, tagged) if tagged else []:
                given = _keys(template, tags)
                missing = wanted - given if given is not None else set()
                if missing and template.possible(tags):
                    yield RuleFinding(tags, f"{resource.name} lacks the tags {', '.join(sorted(missing))}")


def _tag_property(resource: Resource) -> str | None:
    schema = schema_of(resource.type)
    tagging = schema.get("tagging", {})  # DMS's older schemas say nothing and have the property all the same
    if not isinstance(tagging, dict) or not tagging.get("taggable", True):
        return None
    name = str(tagging.get("tagProperty", "/properties/Tags")).rpartition("/")[2]
    return name if name in schema.get("properties", {}) else None


def _keys(template: Template, tags: Value) -> set[str] | None:
    """The keys that are there for sure; None where a function makes the whole."""
    if tags.value is ABSENT:
        return set()
    if isinstance(tags.value, dict):
        whole = any(str(key).startswith(("Fn::", "Ref")) for key in tags.value)
        return None if whole else {str(key) for key in tags.value}
    if not isinstance(tags.value, list):
        return None
    found = set()
    for entry in template.items(tags):
        key = entry.value.get("Key") if isinstance(entry.value, dict) else UNKNOWN
        if entry.value is not ABSENT and not isinstance(key, str):
            return None
        found.add(str(key))
    return found
