"""Deployed templates of all forms: JSON or YAML, ours or somebody's."""

from __future__ import annotations

import json

import pytest

from builders.errors import EvaluationError
from builders.stack_diff.comparison import compare
from builders.stack_diff.effects import Change, Effect
from builders.stack_diff.exports import imports_of
from builders.stack_diff.hazards import HazardKind, hazards_of
from builders.template_bodies import DeployedStack, parse_template

from .changing import HERE, changes, template

YAML = """
AWSTemplateFormatVersion: 2010-09-09
Parameters:
  Account: {Type: String, Default: 012345678901}
Conditions:
  IsOne: !Equals [!Ref Account, "012345678901"]
  IsOther: !Not [!Condition IsOne]
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Version: 2012-10-17, Statement: []}
      Description: !Sub
        - ${A} of ${Topic.TopicName}
        - {A: !If [IsOne, !Select [0, [one]], two]}
  Topic:
    Type: AWS::SNS::Topic
    Properties:
      FifoTopic: yes
      DisplayName: !Join [",", [!GetAtt Role.Arn, !ImportValue name]]
"""
SAME = {
    "Role": {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": []},
            "Description": {"Fn::Sub": "one of ${Topic.TopicName}"},
        },
    },
    "Topic": {
        "Type": "AWS::SNS::Topic",
        "Properties": {
            "FifoTopic": True,
            "DisplayName": {"Fn::Join": [",", [{"Fn::GetAtt": ["Role", "Arn"]}, {"Fn::ImportValue": "name"}]]},
        },
    },
}
TOPIC = {"Topic": {"Type": "AWS::SNS::Topic"}}


def test_a_deployed_yaml_template_is_compared_with_json_by_its_meaning() -> None:
    assert changes(DeployedStack(YAML, {}, "CREATE_COMPLETE"), template(SAME), {}, HERE) == ()


def test_yaml_short_forms_become_the_functions_that_they_stand_for() -> None:
    data = parse_template(YAML)
    assert data["Conditions"]["IsOther"] == {"Fn::Not": [{"Condition": "IsOne"}]}
    assert data["Resources"]["Topic"]["Properties"]["DisplayName"]["Fn::Join"][1] == [
        {"Fn::GetAtt": ["Role", "Arn"]},
        {"Fn::ImportValue": "name"},
    ]


def test_json_that_is_only_laid_out_otherwise_is_no_change() -> None:
    turned = json.dumps({"Resources": dict(reversed(SAME.items()))}, indent=4)
    assert changes(DeployedStack(turned, {}, "CREATE_COMPLETE"), template(SAME), {}, HERE) == ()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "the template is neither JSON nor YAML: "),
        ("a: [", "the template is neither JSON nor YAML: "),
        ("text", "the template has no Resources"),
        (template({"T": {"Type": "AWS::SNS::Topic", "Properties": {"A": {"Ref": "Gone"}}}}), "'Gone' is neither"),
        (template({"T": {"Type": "AWS::SNS::Topic", "Properties": {"A": {"Fn::If": ["x"]}}}}), "a function has other"),
        (template(TOPIC, Parameters={"Size": {"Type": "String"}}), "parameter Size has no default"),
    ],
)
def test_what_cannot_be_evaluated_is_one_unknown_and_one_hazard_that_says_why(body: str, reason: str) -> None:
    for before, after in ((body, template(TOPIC)), (template(TOPIC), body)):
        comparison = compare(DeployedStack(before, {}, "CREATE_COMPLETE"), after, {}, HERE)
        (change,) = comparison.changes
        assert (change.effect, change.logical_id) == (Effect.UNKNOWN, "")
        assert change.causes[0].startswith(f"cannot be compared: {reason}")
        (hazard,) = hazards_of("network", comparison)
        assert (hazard.kind, hazard.message) == (HazardKind.NOT_COMPARABLE, change.causes[0])


def test_a_parameter_that_cloudformation_hides_is_taken_to_stay() -> None:
    body = template(
        {"T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::Sub": "${Hidden} ${Shown}"}}}},
        Parameters={"Hidden": {"Type": "String", "NoEcho": True}, "Shown": {"Type": "String"}},
    )
    deployed = DeployedStack(body, {"Hidden": "****", "Shown": "****"}, "CREATE_COMPLETE")
    assert changes(deployed, body, {"Hidden": "new", "Shown": "****"}, HERE) == ()
    (change,) = changes(deployed, body, {"Hidden": "new", "Shown": "other"}, HERE)
    assert change == Change("T", "AWS::SNS::Topic", Effect.MODIFY, ("DisplayName",))


@pytest.mark.parametrize("delimiter", [":", "/", "-", ".", ","])
def test_an_import_stays_in_one_piece_when_a_template_splits_it(delimiter: str) -> None:
    part = {"Fn::Select": [3, {"Fn::Split": [delimiter, {"Fn::ImportValue": "migration-Task:x/y.z-dev"}]}]}
    body = template({"T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": part}}})
    other = body.replace("migration-Task", "migration-Other")
    assert changes(DeployedStack(body, {}, "CREATE_COMPLETE"), body, {}, HERE) == ()
    assert [each.logical_id for each in changes(DeployedStack(body, {}, "CREATE_COMPLETE"), other, {}, HERE)] == ["T"]


def test_imports_are_those_that_the_conditions_let_through() -> None:
    chosen = {"Fn::If": ["IsOn", {"Fn::ImportValue": {"Fn::Sub": "vpc-${AWS::Region}"}}, {"Fn::ImportValue": "no"}]}
    body = template(
        {"T": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": chosen}}},
        Conditions={"IsOn": {"Fn::Equals": ["a", "a"]}},
    )
    assert imports_of(body, {}, HERE) == frozenset({"vpc-us-east-1"})


def test_the_imports_of_what_cannot_be_evaluated_are_an_error() -> None:
    with pytest.raises(EvaluationError, match="the template has no Resources"):
        imports_of("{}", {}, HERE)
