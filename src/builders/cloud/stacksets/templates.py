"""The template and the parameters of a set: checked before any stack is tried, and what a member stack gets of them.

Source: CloudFormation API reference, UpdateStackInstances and UpdateStackSet; user guide, "Override parameters on
stack instances".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from builders.cloud.cloudformation import forms, templates, wire
from builders.cloud.cloudformation.wire import Refused, Request, invalid
from builders.cloud.internals import cloudformation
from builders.cloud.stacksets.model import Instance, StackSet
from builders.resource_types import Json

Template = Mapping[str, Json]


def read(request: Request) -> tuple[str, Template] | None:
    """Return body and content of the template that a request brings; None where it brings none."""
    body, problem = cloudformation.read_template({name: [request[name]] for name in _SOURCES if name in request})
    if problem:
        raise invalid(wire.message(problem))
    return (body, parse(body)) if body else None


def parse(body: str) -> Template:
    """Return the content of a template; refuse its form."""
    try:
        template: Template = forms.read(body)
        cloudformation.check_template(template)
    except ValueError as error:
        raise invalid(str(error)) from error
    return template


_SOURCES = ("TemplateBody", "TemplateURL")


def check(template: Template, service_managed: bool, request: Request, previous: Mapping[str, str]) -> None:
    """Refuse parameters that do not fit, IAM that is not acknowledged, and what service-managed sets cannot deploy.

    Sources: CloudFormation user guide, "Considerations for service-managed permissions" and "Configure a custom
    execution role template for StackSets": a role of one's own takes nested stacks and transforms, and botocore's model
    has no parameter for it yet; aws-cloudformation/cloudformation-coverage-roadmap #839 for the sentence about
    transforms.
    """
    given = [
        {
            "Key": each["ParameterKey"],
            "Value": each.get("ParameterValue", ""),
            "UsePreviousValue": each.get("UsePreviousValue", False),
        }
        for each in request.get("Parameters") or []
    ]
    for each in given:
        if each["UsePreviousValue"] and each["Key"] not in previous:
            raise invalid(
                f"Invalid input for parameter key {each['Key']}. Cannot specify usePreviousValue as true for a "
                "parameter key not in the previous template"
            )
    try:
        templates.check_given(template, given, previous)
    except ValueError as error:
        raise invalid(str(error)) from error
    missing = cloudformation.missing_capabilities(
        set(request.get("Capabilities") or []), cloudformation.required_capabilities(template)
    )
    if missing:
        raise Refused("InsufficientCapabilitiesException", cloudformation.missing_capabilities_message(missing))
    if not service_managed:
        return
    if cloudformation.uses_macro(template):
        raise invalid("Transform is not supported in SERVICE_MANAGED permission model")
    kinds = {each.get("Type") for each in template["Resources"].values()}
    if "AWS::CloudFormation::Stack" in kinds:
        raise invalid("Nested stack is not supported in SERVICE_MANAGED permission model")


def hidden(template: Template) -> set[str]:
    """Return the parameters whose values are not shown."""
    declared = template.get("Parameters") or {}
    return {name for name, each in declared.items() if str(each.get("NoEcho", "")).lower() == "true"}


Parameters = list[dict[str, Any]]
"""Parameters as the API has them: ParameterKey with ParameterValue or UsePreviousValue."""


def set_parameters(template: Mapping[str, Any], given: Parameters, previous: Mapping[str, str]) -> dict[str, str]:
    """Return a value for every parameter of the template that has one: given, kept, or its default."""
    values = {}
    asked = {each["ParameterKey"]: each for each in given}
    for name, definition in (template.get("Parameters") or {}).items():
        each = asked.get(name, {})
        if each.get("UsePreviousValue"):
            values[name] = previous[name]
        elif "ParameterValue" in each:
            values[name] = each["ParameterValue"]
        elif "Default" in definition:
            values[name] = _text(definition["Default"])
    return values


def stack_parameters(stack_set: StackSet, instance: Instance) -> dict[str, str]:
    """Return what the member stack is deployed with: the set's values, the instance's own over them.

    An override of a parameter that the template has no more has nothing to override.
    """
    declared = stack_set.template.get("Parameters") or {}
    merged = stack_set.parameters | instance.overrides
    return {name: value for name, value in merged.items() if name in declared}


def check_overrides(stack_set: StackSet, given: Parameters | None, existing: Iterable[Instance]) -> None:
    """Refuse overrides of parameters that the set does not have, or that are too new.

    A parameter that is new in the template can be overridden only when every instance has been updated with it.
    """
    names = {each["ParameterKey"] for each in given or []}
    unknown = sorted(names - set(stack_set.template.get("Parameters") or {}))
    if unknown:
        raise invalid(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
    for each in given or []:
        if each.get("UsePreviousValue") and "ParameterValue" in each:
            key = each["ParameterKey"]
            raise invalid(f"Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and a value")
    if not list(existing):
        return
    for instance in stack_set.instances.values():
        new = sorted(names - instance.parameters) if instance.stack_id else []
        if new:
            raise invalid(
                f"Parameters: [{', '.join(new)}] cannot be overridden before all stack instances are updated with the "
                f"template that has them; the one in account {instance.account}, region {instance.region} is not"
            )


def changed_overrides(present: Mapping[str, str], given: Parameters | None) -> dict[str, str]:
    """Return an instance's overrides after a request.

    No list keeps them all; a list sets what it names, keeps what it names with UsePreviousValue, and resets the rest.
    """
    if given is None:
        return dict(present)
    result = {}
    for each in given:
        name = each["ParameterKey"]
        if not each.get("UsePreviousValue"):
            result[name] = each.get("ParameterValue", "")
        elif name in present:
            result[name] = present[name]
    return result


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
