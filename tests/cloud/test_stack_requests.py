"""Creations, updates and deletions of stacks: what is checked, what is reported, and what is shown again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused, Template

QUEUE = {"Type": "AWS::SQS::Queue"}
TRIGGER = "arn:aws:cloudwatch:us-east-1:{}:alarm:{}"
ALARM = {
    "AlarmName": "failing",
    "Namespace": "Ours",
    "MetricName": "Failures",
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 1,
    "Threshold": 0,
    "ComparisonOperator": "GreaterThanThreshold",
}


def topic(text: Any, **more: Any) -> Template:
    return {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": text}, **more}}


def body(*names: str) -> str:
    return json.dumps({"Resources": dict.fromkeys(names, QUEUE)})


def refusal(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**request)
    return str(refused.value.response["Error"]["Message"])


def events_of(account: Account, logical_id: str) -> list[tuple[str, str]]:
    """Return (status, reason) of a resource's events, or the stack's, oldest first."""
    events = reversed(account.events("stack"))
    return [
        (each["ResourceStatus"], each.get("ResourceStatusReason", ""))
        for each in events
        if each["LogicalResourceId"] == logical_id
    ]


def test_an_update_reports_what_it_adds_changes_and_replaces_and_nothing_else(account: Account) -> None:
    named = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "first"}}
    account.deploy({**topic("a"), "Same": QUEUE, "Named": named})
    before = {each: len(events_of(account, each)) for each in ("Topic", "Same", "Named")}
    renamed = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "second"}}
    account.deploy({**topic("b"), "Same": QUEUE, "Named": renamed, "New": QUEUE})
    initiated = "Resource creation Initiated"
    replaced = "Requested update requires the creation of a new physical resource; hence creating one."
    assert events_of(account, "Same")[before["Same"] :] == []
    assert events_of(account, "Topic")[before["Topic"] :] == [("UPDATE_IN_PROGRESS", ""), ("UPDATE_COMPLETE", "")]
    assert events_of(account, "Named")[before["Named"] :] == [
        ("UPDATE_IN_PROGRESS", replaced),
        ("UPDATE_IN_PROGRESS", initiated),
        ("UPDATE_COMPLETE", ""),
        ("DELETE_IN_PROGRESS", ""),
        ("DELETE_COMPLETE", ""),
    ]
    assert events_of(account, "New") == [
        ("CREATE_IN_PROGRESS", ""),
        ("CREATE_IN_PROGRESS", initiated),
        ("CREATE_COMPLETE", ""),
    ]
    assert events_of(account, "stack") == [
        ("CREATE_IN_PROGRESS", "User Initiated"),
        ("CREATE_COMPLETE", ""),
        ("UPDATE_IN_PROGRESS", "User Initiated"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", ""),
        ("UPDATE_COMPLETE", ""),
    ]
    found = account.client("cloudformation").describe_stack_resources(StackName="stack")["StackResources"]
    statuses = {each["LogicalResourceId"]: each["ResourceStatus"] for each in found}
    changed = {"Topic": "UPDATE_COMPLETE", "Named": "UPDATE_COMPLETE"}
    assert statuses == {"Same": "CREATE_COMPLETE", "New": "CREATE_COMPLETE", **changed}


def test_an_update_of_metadata_alone_is_reported(account: Account) -> None:
    account.deploy(topic("a", Metadata={"Note": "first"}))
    account.deploy(topic("a", Metadata={"Note": "second"}))
    assert events_of(account, "Topic")[-1] == ("UPDATE_COMPLETE", "")


def test_a_resource_that_an_update_adds_fails_as_a_creation(account: Account) -> None:
    account.deploy({"Same": QUEUE})
    bad = {**QUEUE, "Properties": {"DelaySeconds": 5000}}
    with pytest.raises(Refused):
        account.deploy({"Same": QUEUE, "Bad": bad}, DisableValidation=True)
    assert [status for status, _ in events_of(account, "Bad")][:2] == ["CREATE_IN_PROGRESS", "CREATE_FAILED"]
    assert account.status("stack") == "UPDATE_ROLLBACK_COMPLETE"


def test_the_rollback_of_a_creation_says_what_failed(account: Account) -> None:
    with pytest.raises(Refused):
        account.deploy({"Bad": {**QUEUE, "Properties": {"DelaySeconds": 5000}}}, DisableValidation=True)
    sentence = "The following resource(s) failed to create: [Bad]. Rollback requested by user."
    assert ("ROLLBACK_IN_PROGRESS", sentence) in events_of(account, "stack")


def test_what_a_stack_was_given_is_shown_again(account: Account) -> None:
    api = account.client("cloudformation")
    account.client("cloudwatch").put_metric_alarm(**ALARM)
    trigger = {"Arn": TRIGGER.format(account.number, "failing"), "Type": "AWS::CloudWatch::Alarm"}
    given = {
        "NotificationARNs": [f"arn:aws:sns:us-east-1:{account.number}:events"],
        "RollbackConfiguration": {"RollbackTriggers": [trigger], "MonitoringTimeInMinutes": 1},
        "TimeoutInMinutes": 5,
        "Tags": [{"Key": "a", "Value": "b"}],
        "Capabilities": ["CAPABILITY_IAM"],
        "EnableTerminationProtection": True,
    }
    api.create_stack(StackName="stack", TemplateBody=body("Queue"), **given)
    assert account.settled("stack") == "CREATE_COMPLETE"
    (stack,) = api.describe_stacks(StackName="stack")["Stacks"]
    assert {key: stack[key] for key in given} == given
    assert not {"LastUpdatedTime", "DeletionTime", "StackStatusReason", "Description", "Outputs"} & set(stack)
    api.update_termination_protection(StackName="stack", EnableTerminationProtection=False)


def test_a_role_that_cloudformation_cannot_assume_is_refused_and_one_that_it_can_is_shown(account: Account) -> None:
    api, iam = account.client("cloudformation"), account.client("iam")
    for name, service in (("deployer", "cloudformation.amazonaws.com"), ("other", "lambda.amazonaws.com")):
        allowed = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": [allowed]}))
    role = f"arn:aws:iam::{account.number}:role/"
    asked = {"StackName": "stack", "TemplateBody": body("Queue")}
    for name in ("nobody", "other"):
        sentence = f"Role {role}{name} is invalid or cannot be assumed"
        assert refusal(api.create_stack, RoleARN=f"{role}{name}", **asked) == sentence
    api.create_stack(RoleARN=f"{role}deployer", **asked)
    account.settled("stack")
    assert api.describe_stacks(StackName="stack")["Stacks"][0]["RoleARN"] == f"{role}deployer"


def test_a_stack_with_a_role_can_do_what_its_role_may_do(account: Account) -> None:
    api, iam = account.client("cloudformation"), account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "cloudformation.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="queues", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    allowed = {"Effect": "Allow", "Action": ["sqs:CreateQueue", "sqs:SetQueueAttributes"], "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="queues", PolicyName="queues", PolicyDocument=document)
    account.deploy({"Queue": QUEUE}, RoleARN=role["Arn"])
    with pytest.raises(Refused, match=r"queues.* is not authorized to perform: sns:CreateTopic"):
        account.deploy({"Queue": QUEUE, **topic("a")})
    assert account.delete() == "DELETE_FAILED"
    delete = {"Effect": "Allow", "Action": "sqs:DeleteQueue", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed, delete]})
    iam.put_role_policy(RoleName="queues", PolicyName="queues", PolicyDocument=document)
    account.delete()
    assert api.describe_stacks()["Stacks"] == []


@pytest.mark.parametrize(
    ("trigger", "sentence"),
    [
        ({"Arn": TRIGGER.format("1" * 12, "x"), "Type": "AWS::SNS::Topic"}, "Rollback Trigger Type not supported"),
        (
            {"Arn": "arn:aws:cloudwatch:us-east-1:111111111111:x", "Type": "AWS::CloudWatch::Alarm"},
            "RelativeId of a Rollback Trigger's ARN is incorrect",
        ),
    ],
)
def test_a_rollback_trigger_that_is_no_alarm_is_refused(account: Account, trigger: Any, sentence: str) -> None:
    api = account.client("cloudformation")
    asked = {"StackName": "stack", "TemplateBody": body("Queue")}
    assert refusal(api.create_stack, RollbackConfiguration={"RollbackTriggers": [trigger]}, **asked) == sentence


def test_a_rollback_trigger_in_alarm_or_missing_rolls_a_stack_back(account: Account) -> None:
    api, cloudwatch = account.client("cloudformation"), account.client("cloudwatch")
    trigger = {"Arn": TRIGGER.format(account.number, "failing"), "Type": "AWS::CloudWatch::Alarm"}
    configuration = {"RollbackTriggers": [trigger]}
    api.create_stack(StackName="missing", TemplateBody=body("Queue"), RollbackConfiguration=configuration)
    assert account.settled("missing") == "ROLLBACK_COMPLETE"
    cloudwatch.put_metric_alarm(**ALARM)
    account.deploy({"Queue": QUEUE}, RollbackConfiguration=configuration)
    cloudwatch.set_alarm_state(AlarmName="failing", StateValue="ALARM", StateReason="a test")
    api.update_stack(StackName="stack", TemplateBody=body("Queue", "More"))
    assert account.settled("stack") == "UPDATE_ROLLBACK_COMPLETE"


@pytest.mark.parametrize("types", [["AWS::SNS::*"], ["Custom::*"], ["AWS::SQS::QueuePolicy"]])
def test_a_type_that_is_not_among_the_allowed_is_refused(account: Account, types: list[str]) -> None:
    api = account.client("cloudformation")
    sentence = f"Resource type AWS::SQS::Queue is not allowed by parameter ResourceTypes [{', '.join(types)}]"
    assert refusal(api.create_stack, StackName="stack", TemplateBody=body("Queue"), ResourceTypes=types) == sentence


def test_types_that_are_allowed_are_taken(account: Account) -> None:
    account.deploy({"Queue": QUEUE}, ResourceTypes=["AWS::SQS::*", "AWS::SNS::Topic"])
    assert account.status("stack") == "CREATE_COMPLETE"


def test_an_update_without_a_template_is_refused(account: Account) -> None:
    account.deploy({"Queue": QUEUE})
    api = account.client("cloudformation")
    sentence = "Either Template URL or Template Body must be specified."
    assert refusal(api.update_stack, StackName="stack") == sentence


def test_a_deleted_stack_answers_by_its_id_alone_also_when_its_name_is_used_again(account: Account) -> None:
    api = account.client("cloudformation")
    account.deploy({"Queue": QUEUE})
    first = api.describe_stacks(StackName="stack")["Stacks"][0]["StackId"]
    account.delete()
    assert refusal(api.describe_stacks, StackName="stack") == "Stack with id stack does not exist"
    assert refusal(api.describe_stack_events, StackName="stack") == "Stack [stack] does not exist"
    account.deploy({"Queue": QUEUE})
    (old,) = api.describe_stacks(StackName=first)["Stacks"]
    assert (old["StackStatus"], "DeletionTime" in old) == ("DELETE_COMPLETE", True)
    assert not {"EnableTerminationProtection", "ChangeSetId"} & set(old)
    assert api.describe_stack_events(StackName=first)["StackEvents"][0]["ResourceStatus"] == "DELETE_COMPLETE"
    listed = api.list_stacks()["StackSummaries"]
    assert {each["StackStatus"] for each in listed} == {"DELETE_COMPLETE", "CREATE_COMPLETE"}
    state = f"Stack:{first} is in DELETE_COMPLETE state and can not be updated."
    assert refusal(api.update_stack, StackName=first, TemplateBody=body("Queue")) == state


def test_a_stack_or_resource_that_is_not_there_is_refused_by_every_question(account: Account) -> None:
    api = account.client("cloudformation")
    account.deploy({"Queue": QUEUE})
    by_id = "Stack with id nobody does not exist"
    for call in (api.get_template, api.list_stack_resources, api.describe_stack_resources, api.describe_stacks):
        assert refusal(call, StackName="nobody") == by_id
    for call in (api.describe_stack_resource, api.describe_stack_resources):
        sentence = "Resource Nothing does not exist for stack stack"
        assert refusal(call, StackName="stack", LogicalResourceId="Nothing") == sentence


def test_resources_are_found_by_a_physical_id(account: Account) -> None:
    account.deploy({"Queue": QUEUE})
    found = account.client("cloudformation").describe_stack_resources(PhysicalResourceId=account.physical_id("Queue"))
    assert [each["LogicalResourceId"] for each in found["StackResources"]] == ["Queue"]


def test_a_bucket_with_objects_stays_until_it_is_empty(account: Account) -> None:
    name, s3 = f"kept-{account.number}", account.client("s3")
    account.deploy({"Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name}}, "Queue": QUEUE})
    s3.put_object(Bucket=name, Key="k", Body=b"x")
    assert account.delete() == "DELETE_FAILED"
    (stack,) = account.client("cloudformation").describe_stacks(StackName="stack")["Stacks"]
    assert stack["StackStatusReason"].startswith("The following resource(s) failed to delete: [Bucket].")
    s3.delete_object(Bucket=name, Key="k")
    account.client("cloudformation").delete_stack(StackName=stack["StackId"])
    assert account.settled(stack["StackId"]) == "DELETE_COMPLETE"


def test_a_role_with_a_policy_from_outside_is_not_deleted(account: Account, lambda_role: Template) -> None:
    account.deploy(lambda_role)
    name, iam = account.physical_id("Role"), account.client("iam")
    policy = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.attach_role_policy(RoleName=name, PolicyArn=policy)
    assert account.delete() == "DELETE_FAILED"
    iam.detach_role_policy(RoleName=name, PolicyArn=policy)
    account.delete()


def test_a_text_that_xml_cannot_carry_does_not_blind_the_account(account: Account) -> None:
    template = {"Description": "bell \u0007 and half \ud83d", "Resources": {"Queue": QUEUE}}
    account.client("cloudformation").create_stack(StackName="stack", TemplateBody=json.dumps(template))
    assert account.settled("stack") == "CREATE_COMPLETE"
    (stack,) = account.client("cloudformation").describe_stacks()["Stacks"]
    assert stack["Description"] == "bell ? and half ?"


def test_a_request_that_is_sent_again_with_its_token_is_the_same(account: Account) -> None:
    api = account.client("cloudformation")
    asked = {"StackName": "stack", "TemplateBody": body("Queue"), "ClientRequestToken": "first"}
    made = [api.create_stack(**asked)["StackId"] for _ in range(2)]
    account.settled("stack")
    changed = {"StackName": "stack", "TemplateBody": body("Queue", "More"), "ClientRequestToken": "second"}
    made += [api.update_stack(**changed)["StackId"] for _ in range(2)]
    assert (len(set(made)), account.settled("stack")) == (1, "UPDATE_COMPLETE")


def test_a_stack_that_is_protected_or_imported_from_is_not_deleted(account: Account) -> None:
    api = account.client("cloudformation")
    export = {"Value": {"Fn::GetAtt": ["Queue", "QueueName"]}, "Export": {"Name": "queue"}}
    account.deploy({"Queue": QUEUE}, sections={"Outputs": {"Name": export}})
    account.deploy(topic({"Fn::ImportValue": "queue"}), "importer")
    assert refusal(api.delete_stack, StackName="stack") == "Export queue cannot be deleted as it is in use by importer"
    api.update_termination_protection(StackName="stack", EnableTerminationProtection=True)
    sentence = "Stack [stack] cannot be deleted while TerminationProtection is enabled"
    assert refusal(api.delete_stack, StackName="stack") == sentence
    api.update_termination_protection(StackName="stack", EnableTerminationProtection=False)
