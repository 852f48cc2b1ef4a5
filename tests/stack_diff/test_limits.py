"""Templates beyond a limit of CloudFormation or StackSets."""

from __future__ import annotations

import pytest

from builders.stack_diff.hazards import HazardKind
from builders.stack_diff.limits import limit_hazards
from stack_diff.changing import ROOT, template

TOPIC = {"Type": "AWS::SNS::Topic"}


def test_our_own_templates_keep_the_limits() -> None:
    for path in sorted((ROOT / "templates").glob("*.json")):
        assert list(limit_hazards(path.stem, path.read_text(encoding="utf-8"), service_managed=True)) == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (template({"A": TOPIC}, Description="x" * 51_200), "CloudFormation takes 51,200 in a request"),
        (template({f"A{number}": TOPIC for number in range(501)}), "the template has 501 resources"),
        (
            template({"A": TOPIC}, Parameters={str(number): {"Type": "String"} for number in range(201)}),
            "the template has 201 parameters",
        ),
        (
            template({"A": TOPIC}, Outputs={str(number): {"Value": "-"} for number in range(201)}),
            "the template has 201 outputs",
        ),
    ],
)
def test_a_template_beyond_a_limit_is_refused_with_the_limit(body: str, message: str) -> None:
    (hazard,) = limit_hazards("layer", body, service_managed=False)
    assert (hazard.kind, hazard.acknowledgeable) == (HazardKind.LIMIT, False)
    assert message in hazard.message


@pytest.mark.parametrize(
    ("body", "resource"),
    [
        (template({"A": TOPIC}, Transform="AWS::Serverless-2016-10-31"), "Transform"),
        (template({"A": {**TOPIC, "Properties": {"Fn::Transform": {"Name": "Own"}}}}), "Transform"),
        (template({"Inner": {"Type": "AWS::CloudFormation::Stack"}}), "Inner"),
    ],
)
def test_a_service_managed_set_takes_no_transforms_and_no_nested_stacks(body: str, resource: str) -> None:
    (hazard,) = limit_hazards("layer", body, service_managed=True)
    assert (hazard.kind, hazard.resource, hazard.acknowledgeable) == (HazardKind.SERVICE_MANAGED, resource, False)
    assert list(limit_hazards("layer", body, service_managed=False)) == []
