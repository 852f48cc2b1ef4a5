"""Change sets: what they list, when they are taken, and what is left of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused

QUEUE = {"Type": "AWS::SQS::Queue"}
TOGGLED: dict[str, Any] = {
    "Parameters": {"On": {"Type": "String", "Default": "no"}, "Word": {"Type": "String", "Default": "a"}},
    "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
    "Resources": {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": "Word"}}},
        "Sometimes": {**QUEUE, "Condition": "IsOn"},
    },
}


def plain(*names: str) -> dict[str, Any]:
    return {"Resources": dict.fromkeys(names, QUEUE)}


def made(account: Account, template: Mapping[str, Any], kind: str = "UPDATE", **more: Any) -> Any:
    """Make the change set `changes` of the stack `stack`; return what is described of it."""
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in more.pop("given", {}).items()]
    name = {"StackName": "stack", "ChangeSetName": "changes"}
    api = account.client("cloudformation")
    request = {"TemplateBody": json.dumps(template), "Parameters": given, "ChangeSetType": kind, **name, **more}
    answer = api.create_change_set(**request)
    return api.describe_change_set(ChangeSetName=answer["Id"], IncludePropertyValues=True)


def execute(account: Account) -> None:
    account.client("cloudformation").execute_change_set(StackName="stack", ChangeSetName="changes")
    account.settled("stack")


def created(account: Account, template: Mapping[str, Any], **more: Any) -> None:
    made(account, template, "CREATE", **more)
    execute(account)


def listed(found: Any) -> list[tuple[str, str]]:
    return [
        (each["ResourceChange"]["Action"], each["ResourceChange"]["LogicalResourceId"]) for each in found["Changes"]
    ]


def refusal(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_a_parameter_that_switches_a_condition_adds_and_removes(account: Account) -> None:
    created(account, TOGGLED)
    on = made(account, TOGGLED, given={"On": "yes"})
    assert (on["Status"], listed(on)) == ("CREATE_COMPLETE", [("Add", "Sometimes")])
    execute(account)
    off = made(account, TOGGLED, given={"On": "no"})
    assert listed(off) == [("Remove", "Sometimes")]
    assert off["Changes"][0]["ResourceChange"]["PolicyAction"] == "Delete"
    assert off["Changes"][0]["ResourceChange"]["PhysicalResourceId"]


def test_the_aws_cli_deploys_what_a_condition_switches_on(account: Account, tmp_path: Any) -> None:
    from aws_cli import warm

    from builders.deploy import AwsCli

    body = tmp_path / "template.json"
    body.write_text(json.dumps(TOGGLED))
    cli = warm(AwsCli((sys.executable, "-m", "awscli"), account.cloud.environment(account.number)))
    deploy = ["cloudformation", "deploy", "--template-file", str(body), "--stack-name", "stack"]
    for value in ("no", "yes"):
        cli.run(*deploy, "--parameter-overrides", f"On={value}")
    assert account.physical_id("Sometimes")
    # A parameter that is taken out of the file keeps its value: README.md says so.
    cli.run(*deploy, "--no-fail-on-empty-changeset", "--parameter-overrides", "Word=b")
    (stack,) = account.client("cloudformation").describe_stacks(StackName="stack")["Stacks"]
    assert {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]} == {"On": "yes", "Word": "b"}


def test_a_new_stack_with_nothing_switched_on_has_no_changes_and_can_be_executed(account: Account) -> None:
    template = {**TOGGLED, "Resources": {"Sometimes": TOGGLED["Resources"]["Sometimes"]}}
    found = made(account, template, "CREATE")
    assert (found["Status"], found["ExecutionStatus"], found["Changes"]) == ("CREATE_COMPLETE", "AVAILABLE", [])


def test_a_change_of_outputs_alone_can_be_executed(account: Account) -> None:
    created(account, plain("A"))
    template = {**plain("A"), "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["A", "QueueName"]}}}}
    found = made(account, template)
    assert (found["Status"], found["Changes"]) == ("CREATE_COMPLETE", [])
    execute(account)
    stack = account.client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]
    assert [each["OutputKey"] for each in stack["Outputs"]] == ["Name"]


def test_a_parameter_in_metadata_alone_is_a_change_with_its_cause(account: Account) -> None:
    template = {**TOGGLED, "Resources": {"Queue": {**QUEUE, "Metadata": {"Word": {"Ref": "Word"}}}}}
    created(account, template)
    (change,) = made(account, template, given={"Word": "b"})["Changes"]
    assert change["ResourceChange"]["Scope"] == ["Metadata"]
    details = [(each["Evaluation"], each.get("CausingEntity")) for each in change["ResourceChange"]["Details"]]
    assert details == [("Static", "Word"), ("Dynamic", None)]


def test_an_executed_change_set_is_found_by_its_arn_alone_and_its_name_is_free(account: Account) -> None:
    api = account.client("cloudformation")
    first = made(account, plain("A"), "CREATE")["ChangeSetId"]
    execute(account)
    assert api.list_change_sets(StackName="stack")["Summaries"] == []
    assert api.describe_change_set(ChangeSetName=first)["ExecutionStatus"] == "EXECUTE_COMPLETE"
    name = {"StackName": "stack", "ChangeSetName": "changes"}
    assert refusal(api.describe_change_set, **name).startswith("ChangeSetNotFound")
    assert listed(made(account, plain("A", "B"))) == [("Add", "B")]
    account.delete()
    assert api.describe_change_set(ChangeSetName=first)["ExecutionStatus"] == "EXECUTE_COMPLETE"


def test_a_change_set_that_is_asked_for_again_with_its_token_is_the_same(account: Account) -> None:
    found = [made(account, plain("A"), "CREATE", ClientToken="once")["ChangeSetId"] for _ in range(2)]
    assert found[0] == found[1]
    assert "AlreadyExistsException" in refusal(made, account=account, template=plain("A"), kind="CREATE")


def test_an_execution_that_is_asked_again_with_its_token_is_the_same(account: Account) -> None:
    api = account.client("cloudformation")
    made(account, plain("A"), "CREATE")
    asked = {"StackName": "stack", "ChangeSetName": "changes", "ClientRequestToken": "once"}
    api.execute_change_set(**asked)
    account.settled("stack")
    api.execute_change_set(**asked)
    assert account.status("stack") == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"ChangeSetName": "a_b"}, "at 'changeSetName' failed to satisfy constraint: Member must satisfy regular"),
        ({"ChangeSetName": "a" * 129}, "Member must have length less than or equal to 128"),
        ({"ChangeSetType": "NEW"}, "at 'changeSetType' failed to satisfy constraint: Member must satisfy enum value"),
        ({"StackName": "a_b"}, r"regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*|arn:[-a-zA-Z0-9:/._+]*"),
        ({"ClientToken": "a" * 129}, "at 'clientToken' failed to satisfy constraint"),
        ({"ResourceTypes": ["AWS::SNS::*"]}, "Resource type AWS::SQS::Queue is not allowed by parameter ResourceTypes"),
        ({"RoleARN": "arn:aws:iam::111111111111:role/nobody"}, "is invalid or cannot be assumed"),
        (
            {"Parameters": [{"ParameterKey": "P", "UsePreviousValue": True}]},
            "Cannot specify UsePreviousValue on Parameters when ChangeSetType is CREATE",
        ),
    ],
)
def test_a_change_set_that_cannot_be_meant_is_refused(account: Account, request_: Any, sentence: str) -> None:
    api = account.client("cloudformation")
    asked = {"StackName": "stack", "ChangeSetName": "changes", "ChangeSetType": "CREATE", **request_}
    assert sentence in refusal(api.create_change_set, TemplateBody=json.dumps(plain("A")), **asked)
    assert api.describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ParameterKey": "New", "UsePreviousValue": True}, "for a parameter key not in the previous template"),
        (
            {"ParameterKey": "Word", "UsePreviousValue": True, "ParameterValue": "x"},
            "and non empty value for a parameter",
        ),
    ],
)
def test_a_kept_value_that_is_none_is_refused(account: Account, given: Any, sentence: str) -> None:
    created(account, TOGGLED)
    parameters = {**TOGGLED["Parameters"], "New": {"Type": "String"}}
    api = account.client("cloudformation")
    name = {"StackName": "stack", "ChangeSetName": "changes"}
    body = json.dumps({**TOGGLED, "Parameters": parameters})
    expected = (
        f"ValidationError: Invalid input for parameter key {given['ParameterKey']}. Cannot specify usePreviousValue as "
        f"true {sentence}"
    )
    assert refusal(api.create_change_set, TemplateBody=body, Parameters=[given], **name) == expected


def test_a_stack_is_not_created_twice_by_change_sets(account: Account) -> None:
    created(account, plain("A"))
    sentence = "ValidationError: Stack [stack] already exists and cannot be created again with the changeSet [changes]."
    assert refusal(made, account=account, template=plain("A"), kind="CREATE") == sentence


def test_a_stack_in_review_takes_more_change_sets_and_a_creation_under_its_id(account: Account) -> None:
    api = account.client("cloudformation")
    first = made(account, plain("A"), "CREATE")
    second = made(account, plain("B"), "CREATE", ChangeSetName="other", StackName=first["StackId"])
    assert (second["StackId"], listed(second)) == (first["StackId"], [("Add", "B")])
    summaries = api.list_change_sets(StackName=first["StackId"])["Summaries"]
    assert [each["ChangeSetName"] for each in summaries] == ["changes", "other"]
    stack = api.create_stack(StackName="stack", TemplateBody=json.dumps(plain("C")))["StackId"]
    assert (stack, account.settled("stack")) == (first["StackId"], "CREATE_COMPLETE")
    found = api.describe_change_set(ChangeSetName=first["ChangeSetId"])
    assert (found["Status"], found["ExecutionStatus"]) == ("CREATE_COMPLETE", "OBSOLETE")
    sentence = f"ChangeSet [{first['ChangeSetId']}] cannot be executed in its current execution status of [OBSOLETE]"
    assert refusal(api.execute_change_set, ChangeSetName=first["ChangeSetId"]) == f"InvalidChangeSetStatus: {sentence}"


def test_a_stack_that_could_not_be_created_takes_neither_change_set_nor_creation(account: Account) -> None:
    api = account.client("cloudformation")
    bad = {**QUEUE, "Properties": {"DelaySeconds": 5000}}
    with pytest.raises(Refused):
        account.deploy({"Queue": bad}, DisableValidation=True)
    stack = api.describe_stacks(StackName="stack")["Stacks"][0]
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    state = f"ValidationError: Stack:{stack['StackId']} is in ROLLBACK_COMPLETE state and can not be updated."
    assert refusal(made, account=account, template=plain("A")) == state
    body = json.dumps(plain("A"))
    assert refusal(api.update_stack, StackName="stack", TemplateBody=body) == state
    assert "AlreadyExistsException" in refusal(api.create_stack, StackName="stack", TemplateBody=body)


def test_a_failed_change_set_is_not_executed(account: Account) -> None:
    created(account, plain("A"))
    found = made(account, plain("A"))
    assert found["Status"] == "FAILED"
    sentence = f"ChangeSet [{found['ChangeSetId']}] cannot be executed in its current status of [FAILED]"
    api = account.client("cloudformation")
    assert refusal(api.execute_change_set, ChangeSetName=found["ChangeSetId"]) == f"InvalidChangeSetStatus: {sentence}"


_MACRO = {"Fn::Transform": {"Name": "Nobody"}}


@pytest.mark.parametrize("properties", [_MACRO, {"QueueName": {"Fn::Select": [_MACRO, ["a", "b"]]}}])
def test_a_macro_that_is_not_there_fails_the_change_set_and_rolls_the_stack_back(
    account: Account, properties: dict[str, Any]
) -> None:
    template = {**plain("A"), "Transform": ["AWS::LanguageExtensions", "Nobody"]}
    found = made(account, template, "CREATE")
    sentence = f"No transform named {account.number}::Nobody found."
    assert (found["Status"], found["StatusReason"], found["Changes"]) == ("FAILED", sentence, [])
    embedded = {"Resources": {"A": {**QUEUE, "Properties": properties}}}
    account.client("cloudformation").create_stack(
        StackName="other", TemplateBody=json.dumps(embedded), Capabilities=["CAPABILITY_AUTO_EXPAND"]
    )
    assert account.settled("other") == "ROLLBACK_COMPLETE"
    reasons = [each.get("ResourceStatusReason", "") for each in account.events("other")]
    assert f"{sentence}. Rollback requested by user." in reasons


def test_the_values_of_properties_are_shown_before_and_after(account: Account) -> None:
    created(account, TOGGLED)
    template = json.loads(json.dumps(TOGGLED))
    template["Resources"]["Alias"] = {
        "Type": "AWS::SSM::Parameter",
        "Properties": {"Type": "String", "Value": {"Fn::GetAtt": ["New", "Arn"]}},
    }
    template["Resources"]["New"] = QUEUE
    found = made(account, template, given={"Word": "b"})
    changes = {each["ResourceChange"]["LogicalResourceId"]: each["ResourceChange"] for each in found["Changes"]}
    topic = changes["Topic"]
    assert json.loads(topic["BeforeContext"]) == {"Properties": {"DisplayName": "a"}}
    assert json.loads(topic["AfterContext"]) == {"Properties": {"DisplayName": "b"}}
    assert [each.get("CausingEntity") for each in topic["Details"]] == ["Word", None]
    values = {"Path": "/Properties/DisplayName", "BeforeValue": "a", "AfterValue": "b", "AttributeChangeType": "Modify"}
    assert topic["Details"][0]["Target"].items() >= values.items()
    unknown = "{{changeSet:KNOWN_AFTER_APPLY}}"
    assert json.loads(changes["Alias"]["AfterContext"]) == {"Properties": {"Type": "String", "Value": unknown}}


def test_hidden_parameters_are_hidden_in_the_values_of_properties(account: Account) -> None:
    template = json.loads(json.dumps(TOGGLED))
    template["Parameters"]["Word"] = {"Type": "String", "NoEcho": True}
    found = made(account, template, "CREATE", given={"Word": "secret"})
    assert "secret" not in json.dumps(found, default=str)


def test_a_parameter_of_parameter_store_keeps_its_name(account: Account) -> None:
    account.client("ssm").put_parameter(Name="/word", Value="first", Type="String")
    template = json.loads(json.dumps(TOGGLED))
    template["Parameters"]["Word"] = {"Type": "AWS::SSM::Parameter::Value<String>"}
    found = made(account, template, "CREATE", given={"Word": "/word"})
    shown = {"ParameterKey": "Word", "ParameterValue": "/word", "ResolvedValue": "first"}
    assert shown in found["Parameters"]
    execute(account)
    account.client("ssm").put_parameter(Name="/word", Value="second", Type="String", Overwrite=True)
    assert listed(made(account, template, given={"Word": "/word"})) == [("Modify", "Topic")]
    stack = account.client("cloudformation").describe_stacks(StackName="stack")["Stacks"][0]
    assert shown in stack["Parameters"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"Word": "/nobody"}, "Unable to fetch parameters [/nobody] from parameter store for this account."),
        ({}, "Parameter Word should either have input value or default value"),
    ],
)
def test_a_parameter_of_parameter_store_that_is_not_there_is_refused(
    account: Account, given: Any, sentence: str
) -> None:
    template = json.loads(json.dumps(TOGGLED))
    template["Parameters"]["Word"] = {"Type": "AWS::SSM::Parameter::Value<String>"}
    sentences = refusal(made, account=account, template=template, kind="CREATE", given=given)
    assert sentences == f"ValidationError: {sentence}"


@pytest.mark.parametrize("operation", ["describe_change_set", "execute_change_set", "delete_change_set"])
def test_a_change_set_of_a_missing_stack_or_without_its_stack_is_refused(account: Account, operation: str) -> None:
    call = getattr(account.client("cloudformation"), operation)
    missing = refusal(call, StackName="nobody", ChangeSetName="changes")
    assert missing == "ValidationError: Stack [nobody] does not exist"
    assert refusal(call, ChangeSetName="changes") == (
        "ValidationError: StackName must be specified if ChangeSetName is not specified as an ARN."
    )
