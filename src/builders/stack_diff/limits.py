"""Limits of a template: what CloudFormation refuses whatever stands there, and what service-managed StackSets do."""

from __future__ import annotations

from collections.abc import Iterator

from builders.errors import EvaluationError
from builders.naming import SECTION_LIMITS, oversize
from builders.stack_diff.hazards import Hazard, HazardKind
from builders.template_bodies import has_transform, parse_template


def limit_hazards(layer: str, template: str, *, service_managed: bool) -> Iterator[Hazard]:
    """Everything in a template that CloudFormation or StackSets refuse, wherever it goes."""

    def refused(kind: HazardKind, resource: str, message: str, remedy: str) -> Hazard:
        return Hazard(kind, layer, resource, message, remedy, acknowledgeable=False)

    if too_large := oversize(template):
        yield refused(HazardKind.LIMIT, "", too_large, "split the layer, or shorten it")
    try:
        data = parse_template(template)
    except EvaluationError as error:
        yield refused(HazardKind.NOT_COMPARABLE, "", str(error), "build the templates again with build-templates")
        return
    for section, most in SECTION_LIMITS.items():
        count = len(data.get(section, {}))
        if count > most:
            message = f"the template has {count} {section.lower()}; CloudFormation takes {most}"
            yield refused(HazardKind.LIMIT, section, message, "split the layer")
    if not service_managed:
        return
    # "Configure a custom execution role template for StackSets" (CloudFormation user guide): a role of one's own could
    # take them, and boto3 has no parameter for it.
    remedy = "write it out in the template, or use a self-managed set"
    if has_transform(data):
        message = "the default execution role of service-managed sets takes no transforms and no macros"
        yield refused(HazardKind.SERVICE_MANAGED, "Transform", message, remedy)
    for name, body in data["Resources"].items():
        if isinstance(body, dict) and body.get("Type") == "AWS::CloudFormation::Stack":
            message = f"the default execution role of service-managed sets takes no nested stacks, and {name} is one"
            yield refused(HazardKind.SERVICE_MANAGED, name, message, remedy)
