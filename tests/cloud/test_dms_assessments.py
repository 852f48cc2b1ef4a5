"""Premigration assessments: who may start one, and what it finds in the definitions of both sides."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .dms_rig import Pair, Task, wait_for

_numbers = itertools.count(1)

BAD = """
CREATE TABLE payments.mood_of (id int PRIMARY KEY, mood payments.mood);
CREATE TABLE payments.note (id int PRIMARY KEY, note text NOT NULL);
CREATE TABLE payments.loose (id int, note text);
CREATE TABLE payments.named (name text PRIMARY KEY);
"""
FOUND = {
    "unsupported-data-types-in-source": "failed",
    "full-lob-not-nullable-at-target": "failed",
    "table-with-lob-but-without-primary-key-or-unique-constraint": "failed",
    "table-with-no-primary-key-or-unique-constraint": "failed",
    "postgres-check-pk-lob": "failed",
}

Start = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def writer(lasting: Pair) -> Iterator[dict[str, str]]:
    """The bucket of the results, and the role that may write there."""
    account = lasting.site.account
    bucket, role = f"assessments-{account.number}", "writes-assessments"
    account.client("s3").create_bucket(Bucket=bucket)
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    may = {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    iam.put_role_policy(RoleName=role, PolicyName="p", PolicyDocument=json.dumps({"Statement": [may]}))
    yield {"ServiceAccessRoleArn": arn, "ResultLocationBucket": bucket}
    account.client("s3").delete_bucket(Bucket=bucket)
    iam.delete_role_policy(RoleName=role, PolicyName="p")
    iam.delete_role(RoleName=role)


@pytest.fixture(scope="module")
def task(lasting: Pair) -> Task:
    lasting.both("CREATE TABLE payments.fine (id int PRIMARY KEY, note text)")
    return lasting.task()


@pytest.fixture
def assess(task: Task, writer: dict[str, str]) -> Start:
    """Starts a run, waits for its end, and returns it; with `wait=False` at once."""

    def run(wait: bool = True, **more: Any) -> dict[str, Any]:
        given = {"AssessmentRunName": f"run-{next(_numbers)}", "ReplicationTaskArn": task.arn} | writer | more
        started: dict[str, Any] = task.dms.start_replication_task_assessment_run(**given)[
            "ReplicationTaskAssessmentRun"
        ]
        assert started["Status"] == "starting"
        arn = started["ReplicationTaskAssessmentRunArn"]
        if not wait:
            return started
        wait_for(lambda: described(task, arn)["Status"] not in ("starting", "running"))
        return described(task, arn)

    return run


def only(arn: str) -> list[dict[str, Any]]:
    return [{"Name": "replication-task-assessment-run-arn", "Values": [arn]}]


def described(task: Task, arn: str) -> dict[str, Any]:
    answer = task.dms.describe_replication_task_assessment_runs(Filters=only(arn))
    (found,) = answer["ReplicationTaskAssessmentRuns"]
    return dict(found)


def single(task: Task, arn: str) -> dict[str, str]:
    answer = task.dms.describe_replication_task_individual_assessments(Filters=only(arn))
    found = answer["ReplicationTaskIndividualAssessments"]
    return {each["IndividualAssessmentName"]: each["Status"] for each in found}


def test_definitions_that_the_task_carries_pass(task: Task, assess: Start) -> None:
    run = assess()
    assert run["Status"] == "passed"
    assert run["IsLatestTaskAssessmentRun"] is True
    assert run["AssessmentProgress"] == {
        "IndividualAssessmentCount": len(FOUND), "IndividualAssessmentCompletedCount": len(FOUND),
    }  # fmt: skip
    assert single(task, run["ReplicationTaskAssessmentRunArn"]) == dict.fromkeys(FOUND, "passed")


def test_each_assessment_finds_what_the_task_would_lose_or_stop_at(lasting: Pair, task: Task, assess: Start) -> None:
    lasting.both("CREATE TYPE payments.mood AS ENUM ('glad')", *BAD.strip().split(";\n"))
    run = assess()
    for table in ("mood_of", "note", "loose", "named"):
        lasting.both(f"DROP TABLE payments.{table}")
    lasting.both("DROP TYPE payments.mood")
    assert run["Status"] == "failed"
    assert "payments." in run["LastFailureMessage"]
    assert single(task, run["ReplicationTaskAssessmentRunArn"]) == FOUND


def test_assessments_are_chosen_by_name(task: Task, assess: Start) -> None:
    name = "postgres-check-pk-lob"
    chosen = assess(IncludeOnly=[name])["ReplicationTaskAssessmentRunArn"]
    others = assess(Exclude=[name])["ReplicationTaskAssessmentRunArn"]
    assert set(single(task, chosen)) == {name}
    assert set(single(task, others)) == set(FOUND) - {name}
    names = task.dms.describe_applicable_individual_assessments(ReplicationTaskArn=task.arn)
    assert set(names["IndividualAssessmentNames"]) == set(FOUND)


def test_a_run_that_is_over_is_deleted_and_no_other(task: Task, assess: Start) -> None:
    arn = assess(wait=False)["ReplicationTaskAssessmentRunArn"]
    with pytest.raises(task.dms.exceptions.InvalidResourceStateFault):
        task.dms.delete_replication_task_assessment_run(ReplicationTaskAssessmentRunArn=arn)
    wait_for(lambda: described(task, arn)["Status"] == "passed")
    task.dms.delete_replication_task_assessment_run(ReplicationTaskAssessmentRunArn=arn)
    with pytest.raises(task.dms.exceptions.ResourceNotFoundFault):
        described(task, arn)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"ReplicationTaskArn": "arn:aws:dms:us-east-1:111111111111:task:none"}, "ResourceNotFoundFault"),
        ({"ServiceAccessRoleArn": "arn:aws:iam::111111111111:role/none"}, "AccessDeniedFault"),
        ({"ResultLocationBucket": "no-such-bucket"}, "S3ResourceNotFoundFault"),
        ({"IncludeOnly": ["none"]}, "InvalidParameterValueException"),
    ],
)
def test_what_is_not_there_refuses_a_run(assess: Start, given: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        assess(**given)
    assert refused.value.response["Error"]["Code"] == code


def test_a_role_that_may_not_write_there_refuses_a_run(lasting: Pair, assess: Start) -> None:
    bucket = f"closed-{lasting.site.account.number}"
    lasting.site.account.client("s3").create_bucket(Bucket=bucket)
    with pytest.raises(ClientError) as refused:
        assess(ResultLocationBucket=bucket)
    lasting.site.account.client("s3").delete_bucket(Bucket=bucket)
    assert refused.value.response["Error"]["Code"] == "S3AccessDeniedFault"


def test_a_name_is_taken_once_a_task(assess: Start) -> None:
    assess(AssessmentRunName="the-same")
    with pytest.raises(ClientError) as refused:
        assess(AssessmentRunName="the-same")
    assert refused.value.response["Error"]["Code"] == "ResourceAlreadyExistsFault"
