"""Template limits, merged findings and the JSON of a diagnosis: what doctor computes without AWS."""

from __future__ import annotations

import json
from typing import Any

from builders.rollout.checks.doctor import template_findings
from builders.rollout.checks.findings import CheckResult, Diagnosis, Problem, Severity, merged_findings
from builders.rollout.model import Permissions
from builders.rollout.render.results import doctor_data


def found(service_managed: bool = False, **sections: Any) -> list[str]:
    """The findings about a template with these sections."""
    body = json.dumps({"Resources": {}, **sections})
    return [each.what for each in template_findings("network", body, Permissions(service_managed=service_managed))]


def test_a_template_within_its_limits_is_well() -> None:
    assert found(Resources={"Queue": {"Type": "AWS::SQS::Queue"}}) == []


def test_a_template_with_too_many_resources_is_found() -> None:
    assert found(Resources={f"Queue{number}": {"Type": "A::B::C"} for number in range(501)}) == [
        "the template has 501 resources; CloudFormation takes 500"
    ]


def test_a_template_that_is_too_long_is_found() -> None:
    assert found(Description="x" * 60_000)[0].endswith(" bytes; CloudFormation takes 51,200 in a request")


def test_a_transform_is_found() -> None:
    assert found(Transform="AWS::LanguageExtensions") == ["the template has a transform or macro"]


def test_a_nested_stack_is_found_where_sets_are_service_managed() -> None:
    resources = {"Inner": {"Type": "AWS::CloudFormation::Stack"}}

    assert found(service_managed=True, Resources=resources) == [
        "the default execution role of service-managed sets takes no nested stacks, and Inner is one"
    ]
    assert found(Resources=resources) == []


def test_accounts_with_the_same_finding_are_merged() -> None:
    missing = Problem(Severity.ERROR, "no role", "make it")

    merged = list(merged_findings([("222222222222", missing), ("111111111111", missing)]))

    assert merged == [Problem(Severity.ERROR, "no role", "make it", ("111111111111", "222222222222"))]


def test_only_errors_make_a_diagnosis_bad() -> None:
    warning, error = (Problem(each, "what", "fix") for each in (Severity.WARNING, Severity.ERROR))

    assert Diagnosis("dev", (CheckResult("run", (warning,)),)).good
    assert not Diagnosis("dev", (CheckResult("run", (error,)),)).good


def test_a_diagnosis_is_json() -> None:
    finding = Problem(Severity.UNKNOWN, "what", "fix", ("111111111111",))

    assert json.loads(json.dumps(doctor_data(Diagnosis("dev", (CheckResult("regions", (finding,)),))))) == {
        "phase": "dev",
        "good": True,
        "checks": [
            {
                "name": "regions",
                "findings": [{"severity": "could not ask", "what": "what", "fix": "fix", "where": ["111111111111"]}],
            }
        ],
    }
