"""Templates evaluated with given parameters."""

from __future__ import annotations

from typing import Any

import pytest

from builders.errors import EvaluationError
from builders.evaluate import evaluate


def resolve(value: Any, *, parameters: dict[str, str] | None = None, **template: Any) -> Any:
    """The value of a property in a template that holds little else."""
    resources = {"Thing": {"Type": "AWS::SNS::Topic", "Properties": {"Value": value}}, **template.pop("Resources", {})}
    evaluated = evaluate({"Resources": resources, **template}, parameters or {})
    return evaluated.resources["Thing"]["Properties"].get("Value")


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        ({"Fn::Join": ["-", ["a", {"Ref": "AWS::Region"}]]}, "a-us-east-1"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Select": ["6", {"Fn::Split": [":", {"Ref": "Thing"}]}]}, "${Thing[6]}"),
        ({"Fn::Cidr": ["10.0.0.0/16", 2, 8]}, ["10.0.0.0/24", "10.0.1.0/24"]),
        ({"Fn::GetAZs": "us-west-1"}, ["us-west-1a", "us-west-1c"]),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        (
            {"Fn::Sub": "${AWS::Partition}:${Thing}:${Thing.TopicName}:${!Literal}"},
            "aws:${Thing}:${Thing.TopicName}:${Literal}",
        ),
        ({"Fn::Sub": ["${Own}", {"Own": {"Ref": "AWS::AccountId"}}]}, "111111111111"),
        ({"Fn::GetAtt": ["Thing", "TopicName"]}, "${Thing.TopicName}"),
        ({"Ref": "AWS::NoValue"}, None),
        ([{"Ref": "AWS::NoValue"}, "kept"], ["kept"]),
        ({"Statement": {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}},) * 2,
    ],
)
def test_a_function_resolves_to_its_value(function: Any, expected: Any) -> None:
    assert resolve(function) == expected


def test_an_attribute_that_repeats_a_property_has_its_value() -> None:
    vpc = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.1.0.0/16"}}
    ranges = {"Fn::Cidr": [{"Fn::GetAtt": ["Vpc", "CidrBlock"]}, 1, 8]}
    assert resolve(ranges, Resources={"Vpc": vpc}) == ["10.1.0.0/24"]


@pytest.mark.parametrize(("zones", "expected"), [("3", "three"), ("2", "two")])
def test_a_condition_chooses_between_two_values(zones: str, expected: str) -> None:
    value = resolve(
        {"Fn::If": ["HasThree", "three", "two"]},
        parameters={"Zones": zones},
        Parameters={"Zones": {"Type": "Number"}},
        Conditions={
            "HasThree": {"Fn::And": [{"Condition": "IsThree"}, {"Fn::Not": [{"Condition": "IsTwo"}]}]},
            "IsThree": {"Fn::Equals": [{"Ref": "Zones"}, 3]},
            "IsTwo": {"Fn::Or": [{"Fn::Equals": [{"Ref": "Zones"}, 2]}, {"Fn::Equals": ["a", "b"]}]},
        },
    )
    assert value == expected


def test_resources_and_outputs_whose_condition_is_false_are_left_out() -> None:
    evaluated = evaluate(
        {
            "Conditions": {"IsNever": {"Fn::Equals": ["a", "b"]}},
            "Resources": {
                "Here": {"Type": "AWS::SNS::Topic"},
                "Absent": {"Type": "AWS::SNS::Topic", "Condition": "IsNever"},
            },
            "Outputs": {
                "Here": {"Value": {"Ref": "Here"}, "Export": {"Name": {"Fn::Sub": "here-${AWS::Region}"}}},
                "Absent": {"Value": "x", "Condition": "IsNever"},
            },
        },
        {},
        namespace="layer",
    )
    assert evaluated.resources == {"Here": {"Type": "AWS::SNS::Topic"}}
    assert evaluated.outputs == {"Here": "${layer/Here}"}
    assert evaluated.exports == {"here-us-east-1": "${layer/Here}"}
    assert evaluated.conditions == {"IsNever": False}


def test_an_import_takes_the_value_of_the_export() -> None:
    template = {"Resources": {"Thing": {"Type": "T", "Properties": {"V": {"Fn::ImportValue": "vpc-dev"}}}}}
    evaluated = evaluate(template, {}, imports={"vpc-dev": "${Vpc}"})
    assert evaluated.resources["Thing"]["Properties"] == {"V": "${Vpc}"}


@pytest.mark.parametrize(
    ("connectivity", "expected"), [("None", ()), ("TransitGateway", ("a transit gateway needs its id",))]
)
def test_a_rule_fails_with_its_sentence_when_its_condition_holds(connectivity: str, expected: tuple[str, ...]) -> None:
    rule = {
        "RuleCondition": {"Fn::Equals": [{"Ref": "Connectivity"}, "TransitGateway"]},
        "Assertions": [
            {"Assert": {"Fn::Contains": [["a", "b"], "a"]}, "AssertDescription": "never said"},
            {
                "Assert": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Gateway"}, ""]}]},
                "AssertDescription": "a transit gateway needs its id",
            },
        ],
    }
    parameters = {"Connectivity": {"Type": "String"}, "Gateway": {"Type": "String", "Default": ""}}
    evaluated = evaluate(
        {"Parameters": parameters, "Rules": {"R": rule}, "Resources": {}}, {"Connectivity": connectivity}
    )
    assert evaluated.failed_rules == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nowhere"}, "'Nowhere' is neither a parameter nor a resource"),
        ({"Fn::Select": [2, ["a"]]}, "no item 2 in a list of 1"),
        ({"Fn::Cidr": ["10.0.0.0/24", 2, 8]}, "finds 1 ranges of 8 host bits"),
        ({"Fn::Cidr": ["nonsense", 2, 8]}, "cannot divide nonsense"),
        ({"Fn::If": ["Undeclared", 1, 2]}, "condition 'Undeclared' is not declared"),
        ({"Fn::ImportValue": "nothing"}, "export 'nothing' is not there"),
        ({"Fn::FindInMap": ["M", "a", "b"]}, "mapping M has no entry a, b"),
        ({"Fn::Join": ["-"]}, "should be a list of 2 arguments"),
    ],
)
def test_a_value_that_cannot_be_computed_is_an_error_that_names_it(value: Any, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        resolve(value)


def test_a_parameter_without_value_and_a_condition_on_itself_are_errors() -> None:
    with pytest.raises(EvaluationError, match="parameter Name has no default"):
        evaluate({"Parameters": {"Name": {"Type": "String"}}, "Resources": {}}, {})
    with pytest.raises(EvaluationError, match="condition 'Loop' refers to itself"):
        evaluate({"Conditions": {"Loop": {"Condition": "Loop"}}, "Resources": {}}, {})


def test_the_partition_follows_from_the_region() -> None:
    template = {"Resources": {"T": {"Type": "T", "Properties": {"P": {"Ref": "AWS::Partition"}}}}}
    partitions = [
        evaluate(template, {}, region=region).resources["T"]["Properties"]["P"]
        for region in ("eu-central-1", "us-gov-west-1", "cn-north-1")
    ]
    assert partitions == ["aws", "aws-us-gov", "aws-cn"]
