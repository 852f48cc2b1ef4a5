"""Metrics move the alarms that look at them, and an alarm that changes says so on its topic."""

from __future__ import annotations

import datetime
import io
import json
import zipfile
from typing import Any

import pytest

from .conftest import Account, Template, until

FUNCTION = """
import json, time

def handler(event, context):
    metrics = [{"Namespace": "Ours", "Dimensions": [["Phase"]], "Metrics": [{"Name": "Failures", "Unit": "Count"}]}]
    print(json.dumps({"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": metrics},
                      "Phase": "dev", "Failures": 3}))
"""


def alarm(**properties: Any) -> Template:
    whole = {"Namespace": "Ours", "MetricName": "Failures", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1,
             "Threshold": 0, "ComparisonOperator": "GreaterThanThreshold",
             "Dimensions": [{"Name": "Phase", "Value": "dev"}], "AlarmName": "failures",
             "AlarmActions": [{"Ref": "Topic"}], "OKActions": [{"Ref": "Topic"}]}  # fmt: skip
    return {
        "Topic": {"Type": "AWS::SNS::Topic"},
        "Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": whole | properties},
    }


def state(account: Account) -> str:
    (found,) = account.client("cloudwatch").describe_alarms(AlarmNames=["failures"])["MetricAlarms"]
    return str(found["StateValue"])


def put(account: Account, *values: float, phase: str = "dev", ago: float = 0) -> None:
    """Publish values, each a minute before the one before it, the first `ago` seconds ago."""
    now = datetime.datetime.now(datetime.UTC)
    account.client("cloudwatch").put_metric_data(
        Namespace="Ours",
        MetricData=[
            {"MetricName": "Failures", "Dimensions": [{"Name": "Phase", "Value": phase}], "Value": value,
             "Timestamp": now - datetime.timedelta(seconds=ago + 60 * number)}
            for number, value in enumerate(values)
        ],
    )  # fmt: skip


def messages(account: Account) -> list[dict[str, Any]]:
    """Subscribe a queue to the topic; call before anything is published."""
    answer = account.client("sqs").receive_message(QueueUrl="heard", MaxNumberOfMessages=10, WaitTimeSeconds=1)
    return [json.loads(json.loads(each["Body"])["Message"]) for each in answer.get("Messages", [])]


@pytest.fixture
def heard(account: Account) -> Account:
    """The account with an alarm whose topic a queue listens to."""
    account.deploy(alarm(TreatMissingData="notBreaching"))
    queue = account.client("sqs").create_queue(QueueName="heard")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{account.number}:heard"
    account.client("sns").subscribe(TopicArn=account.physical_id("Topic"), Protocol="sqs", Endpoint=arn)
    assert queue.endswith("/heard")
    assert state(account) == "OK"
    messages(account)
    return account


def test_a_breach_reaches_the_topic_and_so_does_its_end(heard: Account) -> None:
    put(heard, 1)
    assert [(message["AlarmName"], message["NewStateValue"]) for message in messages(heard)] == [("failures", "ALARM")]
    assert state(heard) == "ALARM"


def key(account: Account, *statements: dict[str, Any]) -> str:
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account.number}:root"}, "Action": "kms:*",
            "Resource": "*"}  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [root, *statements]}
    return str(account.client("kms").create_key(Policy=json.dumps(policy))["KeyMetadata"]["KeyId"])


def test_a_topic_hears_nothing_of_a_service_that_may_not_use_its_key(heard: Account) -> None:
    let_in = {"Effect": "Allow", "Principal": {"Service": ["cloudwatch.amazonaws.com", "events.amazonaws.com"]},
              "Action": ["kms:Decrypt", "kms:GenerateDataKey*"], "Resource": "*"}  # fmt: skip
    sns, events, topic = heard.client("sns"), heard.client("events"), heard.physical_id("Topic")
    events.put_rule(Name="ours", EventPattern=json.dumps({"source": ["ours"]}))
    events.put_targets(Rule="ours", Targets=[{"Id": "topic", "Arn": topic}])
    heard_by = {}
    for encryption in ("alias/aws/sns", key(heard), key(heard, let_in)):
        sns.set_topic_attributes(TopicArn=topic, AttributeName="KmsMasterKeyId", AttributeValue=encryption)
        heard.client("cloudwatch").set_alarm_state(AlarmName="failures", StateValue="ALARM", StateReason="a test")
        heard.client("cloudwatch").set_alarm_state(AlarmName="failures", StateValue="OK", StateReason="a test")
        events.put_events(Entries=[{"Source": "ours", "DetailType": "Test", "Detail": "{}"}])
        heard_by[encryption] = sorted(str(each.get("NewStateValue") or each.get("source")) for each in messages(heard))
    assert list(heard_by.values()) == [[], [], ["ALARM", "OK", "ours"]]


def test_a_metric_of_another_dimension_does_not_move_the_alarm(heard: Account) -> None:
    put(heard, 1, phase="prod")
    assert state(heard) == "OK"


def test_a_metric_that_a_function_writes_into_its_log_moves_the_alarm(heard: Account, lambda_role: Template) -> None:
    heard.deploy(lambda_role, stack="role", sections={"Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Role", "Arn"]}}}})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", FUNCTION)
    role = heard.client("iam").list_roles()["Roles"][0]["Arn"]
    heard.client("lambda").create_function(FunctionName="f", Runtime="python3.13", Handler="index.handler", Role=role,
                                           Code={"ZipFile": archive.getvalue()})  # fmt: skip
    heard.client("lambda").invoke(FunctionName="f")
    until(lambda: state(heard) == "ALARM")


# CloudWatch user guide, "How alarm state is evaluated when data is missing": newest datapoint last, threshold 0.
X, O = 1.0, 0.0  # noqa: E741
CASES = [
    ("missing", [], 3, "INSUFFICIENT_DATA"),
    ("breaching", [], 3, "ALARM"),
    ("notBreaching", [], 3, "OK"),
    ("missing", [O], 3, "OK"),
    ("missing", [X], 3, "ALARM"),
    ("notBreaching", [X], 3, "OK"),
    ("breaching", [X], 3, "ALARM"),
    ("missing", [X, X, X], 3, "ALARM"),
    ("missing", [X, O, X], 2, "ALARM"),
    ("missing", [X, O, O], 2, "OK"),
]


@pytest.mark.parametrize(("treatment", "values", "needed", "expected"), CASES)
def test_missing_data_counts_as_the_alarm_says(
    account: Account, treatment: str, values: list[float], needed: int, expected: str
) -> None:
    account.deploy(alarm(TreatMissingData=treatment, EvaluationPeriods=3, DatapointsToAlarm=needed))
    if values:
        put(account, *values, ago=5)
    assert state(account) == expected
