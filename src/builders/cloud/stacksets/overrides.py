"""Parameters: those of the set, an instance's overrides, and what a member stack gets of both.

Source: CloudFormation API reference, UpdateStackInstances and UpdateStackSet; user guide, "Override parameters on
stack instances".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from builders.cloud.stacksets.model import Instance, StackSet
from builders.cloud.stacksets.refusals import invalid

Parameters = list[dict[str, Any]]
"""As the API has them: ParameterKey with ParameterValue or UsePreviousValue."""


def of_set(template: Mapping[str, Any], given: Parameters, previous: Mapping[str, str]) -> dict[str, str]:
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


def for_stack(stack_set: StackSet, instance: Instance) -> dict[str, str]:
    """Return what the member stack is deployed with: the set's values, the instance's own over them.

    An override of a parameter that the template has no more has nothing to override.
    """
    declared = stack_set.template.get("Parameters") or {}
    merged = stack_set.parameters | instance.overrides
    return {name: value for name, value in merged.items() if name in declared}


def check(stack_set: StackSet, given: Parameters | None, existing: Iterable[Instance]) -> None:
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


def changed(present: Mapping[str, str], given: Parameters | None) -> dict[str, str]:
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
