"""What a template may hold, and what StackSets take. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from builders.rollout.client.requests import LARGEST_TEMPLATE
from builders.rollout.desired import Template
from builders.rollout.reading.doctor.findings import Finding, Severity
from builders.rollout.reading.doctor.patient import Patient

MOST = {"Resources": 500, "Parameters": 200, "Outputs": 200, "Mappings": 200}
"""CloudFormation user guide, "Understand CloudFormation quotas"."""

SPLIT = "split the layer in two"


def templates(patient: Patient) -> Iterator[Finding]:
    """Every template fits what CloudFormation takes with a request, and holds nothing that StackSets refuse."""
    for layer, template in sorted(patient.carried.items()):
        yield from of_template(layer, template, patient.permissions.service_managed)


def of_template(layer: str, template: Template, service_managed: bool) -> Iterator[Finding]:
    """What is wrong with one template."""
    size = len(template.body.encode())
    if size > LARGEST_TEMPLATE:
        yield Finding(Severity.ERROR, f"{size:,} bytes, and {LARGEST_TEMPLATE:,} are taken", SPLIT, (layer,))
    content = json.loads(template.body)
    for section, most in MOST.items():
        count = len(content.get(section, {}))
        if count > most:
            yield Finding(Severity.ERROR, f"{count} {section}, and {most} are taken", SPLIT, (layer,))
    if "Transform" in content or '"Fn::Transform"' in template.body:
        # Service-managed sets refuse them (CloudFormation user guide, "Considerations for service-managed
        # permissions"). Others would want CAPABILITY_AUTO_EXPAND, and no plan could tell what changes.
        yield Finding(Severity.ERROR, "a transform or macro", "write out what it makes", (layer,))
    nested = [
        name for name, each in content.get("Resources", {}).items() if each["Type"] == "AWS::CloudFormation::Stack"
    ]
    if nested and service_managed:
        what = f"nested stacks ({', '.join(nested)}), which service-managed sets refuse"
        yield Finding(Severity.ERROR, what, "make each a layer of its own", (layer,))
