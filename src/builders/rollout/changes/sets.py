"""Hazards of a stack set as a whole: its template's limits, and parameters that are new."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from builders.errors import EvaluationError
from builders.rollout.changes.effects import Hazard, HazardKind
from builders.rollout.changes.reading import parsed
from builders.rollout.model import Deployed, DesiredSet, Permissions, Place, StackSet

TEMPLATE_LIMIT_BYTES = 51_200
_SECTION_LIMITS = {"Resources": 500, "Parameters": 200, "Outputs": 200}
"""CloudFormation user guide, "Understand CloudFormation quotas"."""


def limits(layer: str, template: str, permissions: Permissions) -> tuple[Hazard, ...]:
    """What CloudFormation or StackSets refuse in a template, wherever it goes."""
    return tuple(
        Hazard(kind, layer, resource, message, way, acknowledgeable=False)
        for kind, resource, message, way in _refused(template, permissions)
    )


def new_parameters(
    desired: DesiredSet, state: StackSet | None, deployed: Mapping[Place, Deployed] | None = None
) -> tuple[Hazard, ...]:
    """Parameters that instances do not have yet and that shall differ among them.

    A value of an instance's own can only be given once every instance has the parameter with the set's value
    (UpdateStackInstances, "ParameterOverrides"). `deployed` are the stacks that are known; of the others the set's
    template is taken.
    """
    if state is None:
        return ()
    lacking: defaultdict[str, list[Place]] = defaultdict(list)
    for place in sorted(state.instances.keys() & desired.overrides.keys()):
        stack = (deployed or {}).get(place)
        known = _parameters(stack.template if stack else state.template)
        for name in desired.overrides[place]:
            if known is not None and name not in known:
                lacking[name].append(place)
    return tuple(
        Hazard(
            HazardKind.NEW_PARAMETER,
            desired.layer,
            name,
            f"parameter {name} is new and has a value of its own at {_some(places)}: an instance cannot be given one "
            "before every instance has the parameter",
            f"first roll out with one value of {name} for all, then with the values of their own",
            acknowledgeable=False,
        )
        for name, places in sorted(lacking.items())
    )


def _refused(template: str, permissions: Permissions) -> Iterator[tuple[HazardKind, str, str, str]]:
    size = len(template.encode())
    if size > TEMPLATE_LIMIT_BYTES:
        message = f"the template has {size} bytes; {TEMPLATE_LIMIT_BYTES} go without a bucket"
        yield HazardKind.LIMIT, "", message, "split the layer, or shorten it"
    try:
        data = parsed(template)
    except EvaluationError as error:
        yield HazardKind.NOT_COMPARABLE, "", str(error), "build the templates again with build-templates"
        return
    for section, most in _SECTION_LIMITS.items():
        count = len(data.get(section, {}))
        if count > most:
            message = f"the template has {count} {section.lower()}; CloudFormation takes {most}"
            yield HazardKind.LIMIT, section, message, "split the layer"
    if permissions.service_managed:
        yield from _refused_by_service(data)


def _refused_by_service(data: Mapping[str, Any]) -> Iterator[tuple[HazardKind, str, str, str]]:
    """Service-managed sets take no nested stacks, transforms or macros ("Create CloudFormation StackSets with
    service-managed permissions")."""
    kind, way = HazardKind.SERVICE_MANAGED, "write it out in the template, or use a self-managed set"
    if "Transform" in data or _has_transform(data):
        yield kind, "Transform", "a service-managed set takes no transforms and no macros", way
    for name, body in data["Resources"].items():
        if isinstance(body, dict) and body.get("Type") == "AWS::CloudFormation::Stack":
            yield kind, name, f"a service-managed set takes no nested stacks, and {name} is one", way


def _has_transform(node: Any) -> bool:
    if isinstance(node, dict):
        return "Fn::Transform" in node or any(map(_has_transform, node.values()))
    return isinstance(node, list) and any(map(_has_transform, node))


def _parameters(template: str) -> frozenset[str] | None:
    try:
        return frozenset(parsed(template).get("Parameters", {}))
    except EvaluationError:
        return None


def _some(places: list[Place]) -> str:
    """At most three places, and how many more: there can be thousands."""
    shown = ", ".join(map(str, places[:3]))
    return f"{shown} and {len(places) - 3} more" if len(places) > 3 else shown
