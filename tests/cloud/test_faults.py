"""Faults strike the calls that they are meant for, as often as they should, and nothing else."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from warm import running

from builders.cloud.process import Cloud

from .conftest import Account, until

QUEUE = {"Queue": {"Type": "AWS::SQS::Queue"}}
ACCOUNT = "111111111111"


@pytest.fixture(scope="module")
def own() -> Iterator[Cloud]:
    """A server of this module's own: faults strike all who use it."""
    with running() as cloud:
        yield cloud


@pytest.fixture
def faulty(own: Cloud) -> Iterator[Cloud]:
    yield own
    own.set_faults()


def client(cloud: Cloud, service: str, account: str = ACCOUNT, read_seconds: float = 60) -> Any:
    """A client that tries once."""
    patience = Config(retries={"total_max_attempts": 1}, read_timeout=read_seconds)
    return boto3.client(service, config=patience, **cloud.client_arguments(account))


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("cloudformation", "list_stacks", "Throttling"),
        ("ec2", "describe_vpcs", "RequestLimitExceeded"),
        ("s3", "list_buckets", "SlowDown"),
        ("secretsmanager", "list_secrets", "ThrottlingException"),
        ("dms", "describe_replication_tasks", "ThrottlingException"),
        ("lambda", "list_functions", "ThrottlingException"),
        ("cloudwatch", "describe_alarms", "ThrottlingException"),
    ],
)
def test_a_throttled_call_is_answered_as_its_service_does(
    faulty: Cloud, service: str, operation: str, code: str
) -> None:
    faulty.set_faults({"kind": "throttle"})
    with pytest.raises(ClientError) as refused:
        getattr(client(faulty, service), operation)()
    assert refused.value.response["Error"]["Code"] == code


@pytest.mark.parametrize(("service", "code"), [("cloudformation", "Throttling"), ("dms", "ThrottlingException")])
def test_more_calls_a_second_than_a_rate_allows_are_throttled(faulty: Cloud, service: str, code: str) -> None:
    operation = {"cloudformation": "list_stacks", "dms": "describe_replication_tasks"}[service]
    ask = getattr(client(faulty, service), operation)
    ask()
    faulty.set_faults({"kind": "rate", "calls_per_second": 0.01})
    ask()
    with pytest.raises(ClientError, match="Rate exceeded") as refused:
        ask()
    assert refused.value.response["Error"]["Code"] == code

    def is_refused() -> bool:
        try:
            ask()
        except ClientError:
            return True
        return False

    faulty.set_faults({"kind": "rate", "calls_per_second": 1})
    until(is_refused)
    until(lambda: not is_refused())


def test_a_rate_is_that_of_an_account_a_region_and_an_operation(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "rate", "service": "cloudformation", "calls_per_second": 0.01})
    here = client(faulty, "cloudformation")
    elsewhere = {**faulty.client_arguments(ACCOUNT), "region_name": "eu-west-1"}
    here.list_stacks()
    here.describe_stacks()
    client(faulty, "cloudformation", "222222222222").list_stacks()
    boto3.client("cloudformation", **elsewhere).list_stacks()
    with pytest.raises(ClientError, match="Rate exceeded"):
        here.list_stacks()
    assert [fault["struck"] for fault in faulty.set_faults()] == [1]


def test_a_rate_of_no_calls_is_refused(faulty: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        faulty.set_faults({"kind": "rate"})
    assert b"calls_per_second is None; give a number above 0" in refused.value.read()


def test_a_fault_strikes_its_operation_and_account_as_often_as_it_says(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "error", "service": "ec2", "operation": "DescribeV*", "account": ACCOUNT, "count": 2})
    ours, others = client(faulty, "ec2"), client(faulty, "ec2", "222222222222")
    others.describe_vpcs()
    ours.describe_subnets()
    for _ in range(2):
        with pytest.raises(ClientError, match="unknown error"):
            ours.describe_vpcs()
    ours.describe_vpcs()
    assert [fault["struck"] for fault in faulty.set_faults()] == [2]


def test_a_retrying_client_gets_through_a_fault_that_passes(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "throttle", "count": 2}, {"kind": "reset", "count": 1})
    config = Config(retries={"total_max_attempts": 6, "mode": "standard"})
    boto3.client("ec2", config=config, **faulty.client_arguments(ACCOUNT)).describe_vpcs()
    assert [fault["struck"] for fault in faulty.set_faults()] == [2, 1]


def test_a_reset_connection_has_no_answer(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "reset"})
    with pytest.raises(ConnectionClosedError):
        client(faulty, "ec2").describe_vpcs()


def test_a_call_that_hangs_runs_into_the_callers_timeout(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "hang", "seconds": 5})
    with pytest.raises(ReadTimeoutError):
        client(faulty, "ec2", read_seconds=1).describe_vpcs()


def test_a_lost_answer_leaves_the_operation_done(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "lost", "operation": "CreateQueue"})
    with pytest.raises(ConnectionClosedError):
        client(faulty, "sqs").create_queue(QueueName="made")
    assert client(faulty, "sqs").get_queue_url(QueueName="made")["QueueUrl"].endswith("/made")


def test_broken_connections_cost_the_server_no_file_descriptors(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "reset"})
    before = len(list(Path(f"/proc/{faulty.pid}/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(ConnectionClosedError):
            client(faulty, "ec2").describe_vpcs()
    assert len(list(Path(f"/proc/{faulty.pid}/fd").iterdir())) <= before + 5


def test_a_suspended_account_can_call_nothing(faulty: Cloud) -> None:
    faulty.set_faults({"kind": "suspended", "account": ACCOUNT})
    with pytest.raises(ClientError, match="Your account is suspended"):
        client(faulty, "cloudformation").list_stacks()
    client(faulty, "cloudformation", "222222222222").list_stacks()


@pytest.mark.parametrize(
    ("service", "operation", "code", "status"),
    [
        ("cloudformation", "list_stacks", "ExpiredToken", 403),
        ("sts", "get_caller_identity", "ExpiredToken", 403),
        ("iam", "list_roles", "ExpiredToken", 403),
        ("secretsmanager", "list_secrets", "ExpiredTokenException", 400),
        ("dms", "describe_replication_tasks", "ExpiredTokenException", 400),
        ("lambda", "list_functions", "ExpiredTokenException", 403),
        ("ec2", "describe_vpcs", "RequestExpired", 400),
        ("s3", "list_buckets", "ExpiredToken", 400),
    ],
)
def test_expired_credentials_are_refused_as_each_service_does(
    faulty: Cloud, service: str, operation: str, code: str, status: int
) -> None:
    faulty.set_faults({"kind": "expired", "account": ACCOUNT})
    with pytest.raises(ClientError) as refused:
        getattr(client(faulty, service), operation)()
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert "expired" in answer["Error"]["Message"]
    client(faulty, "sts", "222222222222").get_caller_identity()


def test_a_slow_stack_takes_its_time_and_no_other_call_waits_for_it(faulty: Cloud) -> None:
    account = Account(faulty, ACCOUNT)
    stacks, other = account.client("cloudformation"), client(faulty, "ec2")
    other.describe_subnets()  # what a first call takes is over
    faulty.set_faults({"kind": "slow-stack", "account": ACCOUNT, "seconds": 6})
    begin = time.monotonic()
    stacks.create_stack(StackName="slow", TemplateBody=json.dumps({"Resources": QUEUE}))
    other.describe_vpcs()
    answered = time.monotonic() - begin
    assert account.settled("slow") == "CREATE_COMPLETE"
    assert answered < 6 <= time.monotonic() - begin


def test_a_fault_that_cannot_be_is_refused_with_the_kinds_that_there_are(faulty: Cloud) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        faulty.set_faults({"kind": "sloth"})
    assert refused.value.code == 400
    assert b"'sloth' is none of throttle, denied" in refused.value.read()


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"kind": "throttle", "opration": "List*"}, "'opration' is not a key of a fault of kind throttle; it takes "
         "kind, count, struck, service, operation, account"),
        ({"kind": "slow-stack", "operation": "CreateStack"}, "'operation' is not a key of a fault of kind slow-stack"),
        ({"kind": "slow", "seconds": "two"}, "seconds is 'two'; give a number"),
    ],
)  # fmt: skip
def test_a_key_that_means_nothing_is_refused_and_the_faults_before_stay(
    faulty: Cloud, fault: dict[str, Any], error: str
) -> None:
    faulty.set_faults({"kind": "denied", "service": "sqs"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        faulty.set_faults(fault)
    assert (refused.value.code, error.encode() in refused.value.read()) == (400, True)
    assert [each["kind"] for each in faulty.set_faults()] == ["denied"]
