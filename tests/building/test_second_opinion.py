"""cloudformation-validate adds what cfn-lint does not see, says nothing twice, and is missed in one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from builders.build import main
from builders.building.lint import Linter
from builders.building.second_opinion import SecondOpinion
from builders.findings import Finding, Severity

NO_VALUE = {"Ref": "AWS::NoValue"}
DATABASE = {
    "Type": "AWS::RDS::DBInstance",
    "Properties": {
        "Engine": "postgresx",
        "DBInstanceClass": "db.m6g.large",
        "AllocatedStorage": "20",
        "MasterUsername": "owner",
        "MasterUserPassword": {"Ref": "DatabasePassword"},
    },
}


@pytest.fixture(scope="module")
def second() -> SecondOpinion:
    """One engine for all tests: it takes a second to start."""
    return SecondOpinion()


def text_of(parameters: dict[str, Any] | None = None, **resources: Any) -> str:
    conditions = {"HasName": {"Fn::Not": [{"Fn::Equals": [{"Ref": "AWS::StackName"}, ""]}]}}
    body = {"Parameters": parameters or {}, "Conditions": conditions, "Resources": resources}
    return json.dumps({key: value for key, value in body.items() if value}, indent=1)


def rules(findings: list[Finding]) -> set[str]:
    return {found.rule for found in findings}


def test_what_only_the_second_tool_sees_is_a_finding_that_names_it(second: SecondOpinion) -> None:
    text = text_of({"DatabasePassword": {"Type": "String", "NoEcho": True}}, Database=DATABASE)
    found = second.findings("a.json", text, Linter(["us-east-1"]).lint("a.json", text))
    assert (
        Finding(
            "cloudformation-validate/W9008",
            "RDS instance should have StorageEncrypted set to true",
            "a.json",
            25,
            4,
            Severity.WARNING,
        )
        in found
    )


def test_what_cfn_lint_says_is_not_said_again(second: SecondOpinion) -> None:
    """By the number of the rule, in the same words under another number, or in other words (W2501 and W2509)."""
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 99999999}}
    text = text_of({"DatabasePassword": {"Type": "String"}}, Database=DATABASE, Queue=queue)
    alone = rules(second.findings("a.json", text))
    beside = rules(second.findings("a.json", text, Linter(["us-east-1"]).lint("a.json", text)))
    assert {
        f"cloudformation-validate/{rule}" for rule in ("F3034", "E9006", "W2501", "W2509", "W1011")
    } <= alone - beside
    assert "cloudformation-validate/W9008" in beside


def test_the_same_rule_at_another_place_is_said(second: SecondOpinion) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"VisibilityTimeout": 99999999}}
    text = text_of(Queue=queue)
    (known,) = [found for found in Linter(["us-east-1"]).lint("a.json", text) if found.rule == "E3034"]
    elsewhere = Finding(known.rule, "other words", known.file, 1, 1)
    assert "cloudformation-validate/F3034" in rules(second.findings("a.json", text, [elsewhere]))


SUBNET = {"VpcId": "vpc-12345678", "CidrBlock": "10.0.0.0/24"}
ZONE = {"AvailabilityZone": {"Fn::If": ["HasName", NO_VALUE, "us-east-1a"]}}


@pytest.mark.parametrize(
    ("rule", "branches", "is_said"),
    [
        ("F3020", ["HasName", "use1-az1", NO_VALUE], False),
        ("F3020", ["HasName", NO_VALUE, "use1-az1"], True),
        ("F3020", ["HasName", "use1-az1", "use1-az2"], True),
    ],
)
def test_zones_are_both_given_only_where_no_condition_keeps_them_apart(
    second: SecondOpinion, rule: str, branches: list[Any], is_said: bool
) -> None:
    subnet = {"Type": "AWS::EC2::Subnet", "Properties": {**SUBNET, **ZONE, "AvailabilityZoneId": {"Fn::If": branches}}}
    found = rules(second.findings("a.json", text_of(Subnet=subnet)))
    assert (f"cloudformation-validate/{rule}" in found) is is_said


@pytest.mark.parametrize(("condition", "is_said"), [({"Condition": "HasName"}, False), ({}, True)])
def test_an_empty_default_is_wrong_where_no_condition_keeps_it_away(
    second: SecondOpinion, condition: dict[str, str], is_said: bool
) -> None:
    parameters = {"Range": {"Type": "String", "Default": ""}}
    subnet = {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": "vpc-12345678", "CidrBlock": {"Ref": "Range"}},
        **condition,
    }
    found = rules(second.findings("a.json", text_of(parameters, Subnet=subnet)))
    assert ("cloudformation-validate/W1030" in found) is is_said


@pytest.mark.parametrize(
    ("name", "is_said"), [("SourceSecretArn", False), ("SecretPackageKey", False), ("SourceSecret", True)]
)
def test_the_place_of_a_secret_is_no_secret(second: SecondOpinion, name: str, is_said: bool) -> None:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": name}}}
    found = rules(second.findings("a.json", text_of({name: {"Type": "String"}}, Topic=topic)))
    assert ("cloudformation-validate/W2509" in found) is is_said


def test_our_templates_are_clean_by_the_second_opinion_too(second: SecondOpinion, project_root: Path) -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in (project_root / "templates").iterdir()}
    assert {name: found for name, text in texts.items() if (found := second.findings(name, text))} == {}


def test_a_text_that_is_no_template_is_no_traceback(second: SecondOpinion) -> None:
    assert [found.severity for found in second.findings("a.json", "{")] == [Severity.ERROR]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project, which is the current directory, with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_its_findings_count_and_stand_in_every_report(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Finding("cloudformation-validate/W9008", "unencrypted", "templates/secrets.json", 1, 1, Severity.WARNING)
    monkeypatch.setattr(SecondOpinion, "findings", lambda self, file, text, known: [found])
    arguments = ["--no-lint", "--second-opinion", "secrets"]
    codes = [main([*arguments, "--report", report]) for report in ("text", "json", "sarif")]
    assert codes == [1, 1, 1]
    assert capsys.readouterr().out.count("cloudformation-validate/W9008") == 1 + 1 + 2


def test_without_the_extra_nothing_is_written_and_a_line_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cloudformation_validate", None)
    assert main(["--second-opinion", "secrets"]) == 2
    assert capsys.readouterr().err == (
        "build-templates: --second-opinion needs cloudformation-validate; install it: "
        "pip install 'stackferry[second-opinion]'\n"
    )
    assert list(folder.iterdir()) == []
