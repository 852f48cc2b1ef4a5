"""The rotation layer: who may call what, in which order, and what DMS's password is guarded by."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from builders import catalog

FUNCTION_SOURCES = Path(__file__).parents[2] / "lambda" / "secret_rotation"


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("rotation")


@pytest.fixture
def resources(built: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = built["Resources"]
    return found


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["Sid"]: item for item in policy["Properties"]["PolicyDocument"]["Statement"]}


def calls_in(sources: Path) -> set[str]:
    """The operations of AWS that the function's source names: its client's methods, by name or as text."""
    session = Session()
    methods = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(): f"{service}:{operation}"
        for service in ("secretsmanager", "dms")
        for operation in session.get_service_model(service).operation_names
    }
    nodes = [node for path in sources.glob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    named = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}  # create_secret is a step of ours
    return {methods[name] for name in (named - own) & set(methods)}


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("rotation")


def test_the_roles_may_call_exactly_what_the_function_calls(resources: dict[str, Any]) -> None:
    secret = set(statements(resources["RotationFunctionPolicy"])["UseSecret"]["Action"])
    guard = set(statements(resources["DmsRotationFunctionPolicy"])["SeeWhetherTheTaskRuns"]["Action"])
    assert secret | guard == calls_in(FUNCTION_SOURCES)


@pytest.mark.parametrize(
    ("policy", "secret"),
    [("RotationFunctionPolicy", "secrets-SecretsManagerArn"), ("DmsRotationFunctionPolicy", "secrets-DmsSecretArn")],
)
def test_each_role_reaches_its_own_secret_alone(resources: dict[str, Any], policy: str, secret: str) -> None:
    (resource,) = statements(resources[policy])["UseSecret"]["Resource"]
    assert resource == {"Fn::ImportValue": {"Fn::Sub": f"{secret}-${{EnvironmentSuffix}}"}}


@pytest.mark.parametrize("function", ["Rotation", "DmsRotation"])
def test_secrets_manager_may_call_each_function_for_its_secret_in_this_account(
    resources: dict[str, Any], function: str
) -> None:
    permission = resources[f"{function}Permission"]["Properties"]
    (own_secret,) = statements(resources[f"{function}FunctionPolicy"])["UseSecret"]["Resource"]
    assert permission["Principal"] == "secretsmanager.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert permission["SourceArn"] == own_secret


def test_the_schedule_waits_for_all_that_the_first_rotation_needs(resources: dict[str, Any]) -> None:
    """It rotates at once: the attachment and the endpoints are in stacks before it, the rest in its DependsOn."""
    assert set(resources["RotationSchedule"]["DependsOn"]) == {"RotationPermission", "RotationFunctionPolicy"}
    assert {"database", "endpoints"} <= set(catalog.load("rotation").after)


def test_the_first_rotation_comes_after_the_layer_that_logs_in_as_the_master_user() -> None:
    layers = [catalog.load(name) for name in catalog.layer_names()]
    needed = catalog.needs({layer.name: layer.build() for layer in layers}, layers)
    assert "database_users" in needed["rotation"]
    assert "rotation" not in needed["database_users"]


def test_the_master_password_rotates_every_thirty_days_within_a_window(resources: dict[str, Any]) -> None:
    rules = resources["RotationSchedule"]["Properties"]["RotationRules"]
    assert rules == {"ScheduleExpression": "rate(30 days)", "Duration": "4h"}


def test_the_password_of_dms_has_no_schedule_and_is_guarded_by_its_task(resources: dict[str, Any]) -> None:
    (schedule,) = [item for item in resources.values() if item["Type"] == "AWS::SecretsManager::RotationSchedule"]
    assert "SecretsManagerArn" in json.dumps(schedule["Properties"]["SecretId"])
    assert resources["DmsRotationFunction"]["Properties"]["Environment"]["Variables"] == {
        "REPLICATION_TASK": {"Fn::Sub": "stackferry-task-${EnvironmentSuffix}"}
    }
    assert "Environment" not in resources["RotationFunction"]["Properties"]


def test_the_age_is_reported_daily_by_an_event_that_the_function_understands(resources: dict[str, Any]) -> None:
    rule = resources["DailyAgeReport"]["Properties"]
    (target,) = rule["Targets"]
    delimiter, parts = target["Input"]["Fn::Join"]
    event = json.loads(delimiter.join(part if isinstance(part, str) else "arn" for part in parts))
    assert rule["ScheduleExpression"] == "rate(1 day)"
    assert event == {"Step": "reportAge", "SecretId": "arn"}
    permission = resources["DailyAgeReportPermission"]["Properties"]
    assert permission["SourceArn"] == {"Fn::GetAtt": ["DailyAgeReport", "Arn"]}


@pytest.mark.parametrize("function", ["RotationFunction", "DmsRotationFunction"])
def test_a_failed_event_is_sent_to_the_topic_and_the_role_may_send_it(resources: dict[str, Any], function: str) -> None:
    destination = resources[f"{function}FailedEvents"]["Properties"]["DestinationConfig"]["OnFailure"]["Destination"]
    report = statements(resources[f"{function}Policy"])["ReportFailedEvents"]
    assert report["Resource"] == [destination]


@pytest.mark.parametrize("policy", ["RotationFunctionPolicy", "DmsRotationFunctionPolicy"])
def test_the_functions_own_code_may_not_touch_network_interfaces(resources: dict[str, Any], policy: str) -> None:
    found = statements(resources[policy])
    assert found["NotFromCode"]["Effect"] == "Deny"
    assert found["NotFromCode"]["Action"] == found["LiveInTheVpc"]["Action"]
