"""Templates of a wrong form are refused by the request that brings them, each with its sentence.

Sentences of LocalStack's recordings are in src/builders/cloud/cloudformation/forms.py with their source.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import Account

_accounts = itertools.count(590_000_000_001)

QUEUE = {"Type": "AWS::SQS::Queue"}
FORMAT = "Template format error: "


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Any:
    """CloudFormation in an account in which no stack is made."""
    return Account(cloud, str(next(_accounts))).client("cloudformation")


def refusal(api: Any, body: Any, **more: Any) -> str:
    """Ask for a stack; return the sentence of the ValidationError."""
    text = body if isinstance(body, str) else json.dumps(body)
    with pytest.raises(ClientError) as refused:
        api.create_stack(StackName="never", TemplateBody=text, **more)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    return str(refused.value.response["Error"]["Message"])


def with_queue(**more: Any) -> dict[str, Any]:
    """A template with a queue that has more attributes."""
    return {"Resources": {"Queue": {**QUEUE, **more}}}


def with_section(**sections: Any) -> dict[str, Any]:
    """A template with a queue, and more sections."""
    return {"Resources": {"Queue": QUEUE}, **sections}


def with_value(value: Any) -> dict[str, Any]:
    """A template whose topic has a value for its name."""
    return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": value}}}}


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("Resources: [", f"{FORMAT}YAML not well-formed. (line 1, column 13)"),
        ("Resources:\n  Q: !Nothing x\n", f"{FORMAT}YAML not well-formed. (line 2, column 6)"),
        (
            "Resources:\n  A: &a {Type: X}\n  B: *a\n",
            "Template error: YAML aliases are not allowed in CloudFormation templates",
        ),
        ("- a\n- b\n", f"{FORMAT}unsupported structure."),
        ("{'this is invalid JSON'}", f"{FORMAT}JSON not well-formed. (line 1, column 25)"),
        ('{"Resources": {"A": 1,}}', f"{FORMAT}JSON not well-formed. (line 1, column 24)"),
        ({}, f"{FORMAT}At least one Resources member must be defined."),
        ({"Resources": {}}, f"{FORMAT}At least one Resources member must be defined."),
        ({"Resources": []}, f"{FORMAT}At least one Resources member must be defined."),
        (with_section(Bogus={}, Other=1), "Invalid template property or properties [Bogus, Other]"),
        (
            with_section(AWSTemplateFormatVersion="2010-09-10"),
            f"{FORMAT}unsupported value for AWSTemplateFormatVersion.",
        ),
        (with_section(Description=["x"]), f"{FORMAT}Every Description member must be a string."),
        (
            with_queue(Metadata={"a": [None]}),
            "[/Resources/Queue/Metadata/a/0] 'null' values are not allowed in templates",
        ),
        (with_section(Transform={"Name": {"Ref": "X"}}), "Key Name of transform definition must be a string."),
    ],
)
def test_a_body_that_is_no_template_is_refused(api: Any, body: Any, sentence: str) -> None:
    assert refusal(api, body) == sentence


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ({"Resources": {"a_queue": QUEUE}}, f"{FORMAT}Resource name a_queue is non alphanumeric."),
        ({"Resources": {"Queue": ["x"]}}, f"{FORMAT}Any Resources member must be an object."),
        (
            {"Resources": {"Queue": {}}},
            f"{FORMAT}[/Resources/Queue] Every Resources object must contain a Type member.",
        ),
        ({"Resources": {"Queue": {"Type": ["x"]}}}, f"{FORMAT}Every Type member must be a string."),
        (with_queue(DeletePolicy="Retain"), "Invalid template resource property 'DeletePolicy'"),
        (with_queue(DependsOn={"a": "b"}), f"{FORMAT}DependsOn must be a string or list of strings."),
        (with_queue(DependsOn=[1]), f"{FORMAT}Every DependsOn value must be a string."),
        (with_queue(Condition=["x"]), f"{FORMAT}Every Condition member must be a string."),
        (with_queue(DeletionPolicy=["Retain"]), f"{FORMAT}Every DeletionPolicy member must be a string."),
        (with_queue(DeletionPolicy="Keep"), f"{FORMAT}Unrecognized DeletionPolicy Keep for resource Queue"),
        (
            with_queue(UpdateReplacePolicy="RetainExceptOnCreate"),
            f"{FORMAT}Unrecognized UpdateReplacePolicy RetainExceptOnCreate for resource Queue",
        ),
        (with_queue(DependsOn="Queue"), "Circular dependency between resources: [Queue]"),
        (
            {"Resources": {each: {**QUEUE, "DependsOn": other} for each, other in ("AB", "BC", "CA")}},
            "Circular dependency between resources: [A, B, C]",
        ),
    ],
)
def test_a_resource_of_a_wrong_form_is_refused(api: Any, template: Any, sentence: str) -> None:
    assert refusal(api, template) == sentence


@pytest.mark.parametrize(
    ("sections", "sentence"),
    [
        ({"Parameters": {"a-b": {"Type": "String"}}}, f"{FORMAT}Parameter name a-b is non alphanumeric."),
        ({"Parameters": {"P": "String"}}, f"{FORMAT}Any Parameters member must be an object."),
        ({"Parameters": {"P": {}}}, f"{FORMAT}Every Parameters object must contain a Type member."),
        ({"Parameters": {"P": {"Type": "Text"}}}, f"{FORMAT}Unrecognized parameter type: Text"),
        ({"Parameters": {"P": {"Type": "String", "Size": 1}}}, "Invalid template parameter property 'Size'"),
        ({"Parameters": {"P": {"Type": "String", "Default": []}}}, f"{FORMAT}Every Default member must be a string."),
        (
            {"Parameters": {"P": {"Type": "String", "Default": "1", "MinValue": 1}}},
            "Template error: Parameter 'P' MinValue must be on a parameter of type Number",
        ),
        (
            {"Parameters": {"Queue": {"Type": "String", "Default": "x"}}},
            "Template error: all resources and parameters must have unique names. Common name(s): [Queue]",
        ),
        ({"Mappings": {"M": "x"}}, f"{FORMAT}Every Mappings member M must be a map"),
        (
            {"Mappings": {"M": {"A": {"B": {"C": "x"}}}}},
            f"{FORMAT}Every Mappings attribute must be a String or a List.",
        ),
        (
            {"Mappings": {"M": {"A": {"B": {"Ref": "P"}}}}},
            f"{FORMAT}Every Mappings attribute must be a String or a List.",
        ),
        (
            {"Mappings": {"M": {"A": {"x86-64": "x"}}}},
            f"{FORMAT}Mappings attribute name 'x86-64' must contain only alphanumeric characters.",
        ),
        (
            {"Conditions": {"C": True}},
            f"{FORMAT}Conditions can only be boolean operations on parameters and other conditions",
        ),
        (
            {"Conditions": {"C": {"Fn::Not": [{"Condition": "D"}]}}},
            f"{FORMAT}Unresolved condition dependency D in the Conditions block of the template",
        ),
        (
            {"Conditions": {"C": {"Fn::Equals": [{"Ref": "Queue"}, "x"]}}},
            f"{FORMAT}Unresolved dependencies [Queue]. Cannot reference resources in the Conditions block of the "
            "template",
        ),
        (
            {"Conditions": {"C": {"Fn::Not": [{"Condition": "D"}]}, "D": {"Fn::Not": [{"Condition": "C"}]}}},
            f"{FORMAT}Circular dependency between conditions: [C, D]",
        ),
        ({"Outputs": {"O": {}}}, f"{FORMAT}Every Outputs member must contain a Value object"),
        (
            {"Outputs": {"O": {"Value": None, "Other": None}}},
            "[/Outputs/O/Value] 'null' values are not allowed in templates",
        ),
        (
            {"Outputs": {"O": {"Value": ["x"]}}},
            f"{FORMAT}The Value field of every Outputs member must evaluate to a String.",
        ),
        ({"Outputs": {"O": {"Value": "x", "Name": "y"}}}, "Invalid template output property 'Name'"),
        (
            {"Outputs": {"O": {"Value": "x", "Export": "y"}}},
            f"{FORMAT}Output O is malformed. The Name field of every Export member must be specified and consist only "
            "of alphanumeric characters, colons, or hyphens.",
        ),
    ],
)
def test_a_section_of_a_wrong_form_is_refused(api: Any, sections: Any, sentence: str) -> None:
    assert refusal(api, with_section(**sections)) == sentence


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"Ref": ["A"]}, "every Ref object must have a single String value."),
        ({"Fn::GetAtt": ["Topic"]}, "every Fn::GetAtt object requires two non-empty parameters"),
        ({"Fn::Sub": ["${A}", ["x"]]}, "One or more Fn::Sub intrinsic functions don't specify expected arguments."),
        ({"Fn::Join": ["-", "a"]}, "every Fn::Join object requires two parameters"),
        ({"Fn::Select": ["x", ["a"]]}, "Fn::Select requires a list argument with two elements"),
        ({"Fn::Select": [1, ["a"]]}, "Fn::Select cannot select nonexistent value at index 1"),
        ({"Fn::Split": [1, "a"]}, "every Fn::Split object requires two parameters"),
        ({"Fn::If": ["C", "a"]}, "Fn::If requires a list argument"),
        ({"Fn::Base64": ["a"]}, "every Fn::Base64 object must have a String-typed value."),
        ({"Fn::FindInMap": ["M", "a"]}, "every Fn::FindInMap object requires three parameters"),
        ({"Fn::ImportValue": {"Fn::GetAtt": ["Topic", "Arn"]}}, "the attribute in Fn::ImportValue must not depend on"),
        ({"Fn::Reverse": "a"}, "Encountered unsupported function: Fn::Reverse Supported functions are: ["),
    ],
)
def test_a_function_with_arguments_that_it_does_not_take_is_refused(api: Any, value: Any, sentence: str) -> None:
    assert refusal(api, with_value(value)).startswith(f"Template error: {sentence}")


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ({"Fn::Equals": ["a"]}, "every Fn::Equals object requires a list of 2 string parameters."),
        (
            {"Fn::And": [{"Condition": "C"}]},
            "every Fn::And object requires a list of at least 2 and at most 10 boolean parameters.",
        ),
        ({"Fn::Not": []}, "every Fn::Not object requires one boolean parameter."),
    ],
)
def test_a_condition_with_arguments_that_it_does_not_take_is_refused(api: Any, condition: Any, sentence: str) -> None:
    assert refusal(api, with_section(Conditions={"C": condition})) == f"Template error: {sentence}"


def test_every_request_with_a_template_refuses_its_form(api: Any) -> None:
    body, sentences = json.dumps(with_queue(DeletePolicy="Retain")), set()
    for call, more in (
        (api.validate_template, {}),
        (api.create_change_set, {"StackName": "never", "ChangeSetName": "c", "ChangeSetType": "CREATE"}),
        (api.get_template_summary, {}),
        (api.create_stack_set, {"StackSetName": "never"}),
    ):
        with pytest.raises(ClientError) as refused:
            call(TemplateBody=body, **more)
        sentences.add(refused.value.response["Error"]["Message"])
    assert sentences == {"Invalid template resource property 'DeletePolicy'"}
    assert api.describe_stacks()["Stacks"] == []


TOGGLED: dict[str, Any] = {
    "Parameters": {"On": {"Type": "String", "Default": "no"}},
    "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
    "Resources": {"Queue": {**QUEUE, "Condition": "IsOn"}, "Other": QUEUE},
}


def test_an_output_of_what_is_switched_off_is_refused(api: Any) -> None:
    template = {**TOGGLED, "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}}}}
    assert refusal(api, template) == "Unresolved resource dependencies [Queue] in the Outputs block of the template"


def test_a_dependency_and_a_branch_of_what_is_switched_off_are_taken(account: Account) -> None:
    topic = {
        "Type": "AWS::SNS::Topic",
        "DependsOn": "Queue",
        "Properties": {"DisplayName": {"Fn::If": ["IsOn", {"Ref": "Queue"}, "none"]}},
    }
    sections = {key: value for key, value in TOGGLED.items() if key != "Resources"}
    account.deploy({**TOGGLED["Resources"], "Topic": topic}, sections=sections)
    assert account.status("stack") == "CREATE_COMPLETE"


def test_names_that_yaml_takes_for_something_else_are_taken_as_they_are_written(account: Account) -> None:
    body = """
Description: 5
Mappings: {Owners: {123456789012: {on: x}}}
Conditions: {On: !Equals [a, a]}
Resources:
  Topic: {Type: "AWS::SNS::Topic", Condition: On, Properties: {DisplayName: !FindInMap [Owners, "123456789012", "on"]}}
"""
    api = account.client("cloudformation")
    api.create_stack(StackName="stack", TemplateBody=body)
    assert account.settled("stack") == "CREATE_COMPLETE"
    assert api.describe_stacks()["Stacks"][0]["Description"] == "5"


@pytest.mark.parametrize(
    "value",
    ["!!set {a, b}", "!!omap [a: b]", "!!pairs [a: b]", "!!binary aGFsbG8="],
    ids=lambda value: value.split()[0],
)
def test_a_value_in_yaml_that_json_does_not_have_is_refused(api: Any, value: str) -> None:
    body = f"Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Metadata: {value}\n"
    assert refusal(api, body).startswith("Template format error: YAML not well-formed.")


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1" * 5000], ids=["NaN", "-Infinity", "number"])
def test_a_number_that_json_does_not_have_is_refused(api: Any, value: str) -> None:
    body = f'{{"Resources": {{"Topic": {{"Type": "AWS::SNS::Topic", "Metadata": {{"N": {value}}}}}}}}}'
    assert refusal(api, body) == "Template format error: JSON not well-formed."
