"""Stack policies: who may update what, and which documents are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from builders.cloud.cloudformation.stack_policies import parse

from .conftest import Account, Template

TOPIC = "AWS::SNS::Topic"


def statement(effect: str, action: Any = "Update:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Principal": "*", "Resource": resource, **more}


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Statement": list(statements)})


ALLOW, DENY = statement("Allow"), statement("Deny")
OF_TOPICS = {"Condition": {"StringEquals": {"ResourceType": [TOPIC]}}}


@pytest.mark.parametrize(
    ("text", "action", "refused"),
    [
        ("{}", "Update:Delete", False),
        (policy(ALLOW), "Update:Delete", False),
        (policy(DENY), "Update:Modify", True),
        (policy(statement("Allow", "Update:Modify")), "Update:Replace", True),
        (policy(ALLOW, statement("Deny", "Update:Replace", "LogicalResourceId/Topic")), "Update:Replace", True),
        (policy(ALLOW, statement("Deny", "Update:Replace", "LogicalResourceId/Topic")), "Update:Modify", False),
        (policy(ALLOW, statement("Deny", "Update:*", "LogicalResourceId/Other*")), "Update:Modify", False),
        (policy(ALLOW, statement("Deny", "Update:*", "LogicalResourceId/T*")), "Update:Modify", True),
        (policy({**DENY, **OF_TOPICS}, ALLOW), "Update:Modify", True),
        (
            policy({**DENY, "Condition": {"StringLike": {"ResourceType": ["AWS::SQS::*"]}}}, ALLOW),
            "Update:Modify",
            False,
        ),
        (policy(DENY, ALLOW), "Update:Modify", False),
        (policy(ALLOW, DENY), "Update:Modify", True),
        (
            policy(
                {"Effect": "Allow", "Action": "Update:*", "Principal": "*", "NotResource": "LogicalResourceId/Topic"}
            ),
            "Update:Modify",
            True,
        ),
    ],
)
def test_a_policy_decides_what_an_update_may_do(text: str, action: str, refused: bool) -> None:
    assert bool(parse(text).refusal(action, "Topic", TOPIC)) == refused


def test_a_denial_names_the_statement_as_it_is_written() -> None:
    denied = parse(policy(ALLOW, statement("Deny", "Update:Replace", "LogicalResourceId/Topic")))
    assert denied.refusal("Update:Replace", "Topic", TOPIC) == (
        "Action denied by stack policy: Statement [#2] does not allow [Update:Replace] for resource "
        "[LogicalResourceId/Topic];"
    )


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "[]",
        '{"Statement": []}',
        policy({**DENY, "Principal": "arn:aws:iam::111111111111:root"}),
        policy({**DENY, "Action": "Delete:*"}),
        policy({**DENY, "Resource": "arn:aws:sns:us-east-1:111111111111:x"}),
        policy({**DENY, "Effect": "Maybe"}),
        policy({**DENY, "Condition": {"StringEquals": {"Other": "x"}}}),
    ],
)
def test_what_is_no_stack_policy_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Error validating stack policy: Invalid stack policy"):
        parse(text)


def topic(text: str) -> Template:
    return {"Topic": {"Type": TOPIC, "Properties": {"DisplayName": text}}}


def failures(account: Account) -> list[tuple[str, str]]:
    events = [each for each in account.events("stack") if each["ResourceStatus"] == "UPDATE_FAILED"]
    return [(each["LogicalResourceId"], each.get("ResourceStatusReason", "").split(":")[0]) for each in events]


def update(account: Account, resources: Template, **more: Any) -> str:
    api = account.client("cloudformation")
    api.update_stack(StackName="stack", TemplateBody=json.dumps({"Resources": resources}), **more)
    return account.settled("stack")


def test_an_update_that_a_policy_denies_changes_nothing(account: Account) -> None:
    account.deploy(topic("first"), StackPolicyBody=policy(DENY))
    assert update(account, topic("second")) == "UPDATE_ROLLBACK_COMPLETE"
    assert failures(account) == [("Topic", "Action denied by stack policy")]
    api = account.client("sns")
    arn = account.physical_id("Topic")
    assert api.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "first"


def test_a_resource_that_a_policy_protects_is_not_dropped(account: Account) -> None:
    queue = {"Queue": {"Type": "AWS::SQS::Queue"}}
    account.deploy({**topic("first"), **queue}, StackPolicyBody=policy(ALLOW, statement("Deny", "Update:Delete")))
    assert update(account, queue) == "UPDATE_ROLLBACK_COMPLETE"
    assert account.physical_id("Topic")


def test_a_policy_of_one_update_holds_for_that_update_alone(account: Account) -> None:
    account.deploy(topic("first"), StackPolicyBody=policy(DENY))
    api = account.client("cloudformation")
    assert update(account, topic("second"), StackPolicyDuringUpdateBody=policy(ALLOW)) == "UPDATE_COMPLETE"
    assert api.get_stack_policy(StackName="stack")["StackPolicyBody"] == policy(DENY)
    assert update(account, topic("third")) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_policy_that_an_update_brings_holds_from_the_next_one_on(account: Account) -> None:
    account.deploy(topic("first"))
    assert update(account, topic("second"), StackPolicyBody=policy(DENY)) == "UPDATE_COMPLETE"
    assert update(account, topic("third")) == "UPDATE_ROLLBACK_COMPLETE"


def test_a_policy_by_body_and_address_at_once_is_refused(account: Account) -> None:
    account.deploy(topic("first"))
    api = account.client("cloudformation")
    with pytest.raises(ClientError, match="You cannot specify both StackPolicyURL and StackPolicyBody"):
        api.set_stack_policy(StackName="stack", StackPolicyBody="{}", StackPolicyURL="https://b.s3.amazonaws.com/p")
