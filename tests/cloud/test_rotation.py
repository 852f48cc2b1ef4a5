"""Rotation really calls the function, step by step."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import Account, Refused, Template

# Notes each call in the secret `calls`, so that a test can read what came; fails in the step that FAIL_IN names.
FUNCTION = """
import json, os
import boto3

def handler(event, context):
    api = boto3.client("secretsmanager")
    secret, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    if step == os.environ.get("FAIL_IN"):
        raise RuntimeError("asked to fail")
    stages = api.describe_secret(SecretId=secret)["VersionIdsToStages"]
    try:
        pending = api.get_secret_value(SecretId=secret, VersionId=token, VersionStage="AWSPENDING")["SecretString"]
    except api.exceptions.ResourceNotFoundException:
        pending = None
    api.put_secret_value(SecretId="calls", SecretString=json.dumps([step, token, stages[token], pending is None]))
    if step == "createSecret" and pending is None:
        api.put_secret_value(
            SecretId=secret, ClientRequestToken=token, SecretString="rotated " + token, VersionStages=["AWSPENDING"]
        )
    if step == "finishSecret":
        (current,) = [version for version, labels in stages.items() if "AWSCURRENT" in labels]
        api.update_secret_version_stage(
            SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
"""

Build = Callable[..., Template]


@pytest.fixture
def rotated(account: Account, lambda_role: Template) -> Build:
    """Makes the resources of a secret with a rotation function whose package is in a bucket of the account."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as package:
        package.writestr("index.py", FUNCTION)
    bucket = f"code-{account.number}"
    account.client("s3").create_bucket(Bucket=bucket)
    account.client("s3").put_object(Bucket=bucket, Key="rotation.zip", Body=archive.getvalue())
    account.client("secretsmanager").create_secret(Name="calls", SecretString="[]")

    def build(fail_in: str = "", permitted: bool = True, **schedule: Any) -> Template:
        code = {"S3Bucket": bucket, "S3Key": "rotation.zip"}
        function = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Runtime": "python3.12", "Handler": "index.handler",
                    "Code": code, "Timeout": 30, "Environment": {"Variables": {"FAIL_IN": fail_in}}}  # fmt: skip
        permission = {"FunctionName": {"Ref": "Function"}, "Action": "lambda:InvokeFunction",
                      "Principal": "secretsmanager.amazonaws.com" if permitted else "s3.amazonaws.com",
                      "SourceArn": {"Ref": "Secret"}, "SourceAccount": {"Ref": "AWS::AccountId"}}  # fmt: skip
        rotation = {"SecretId": {"Ref": "Secret"}, "RotationLambdaARN": {"Fn::GetAtt": ["Function", "Arn"]},
                    "RotationRules": {"AutomaticallyAfterDays": 30}, **schedule}  # fmt: skip
        return {
            **lambda_role,
            "Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "first"}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": function},
            "Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission},
            "Schedule": {
                "Type": "AWS::SecretsManager::RotationSchedule",
                "DependsOn": "Permission",
                "Properties": rotation,
            },
        }

    return build


def until(condition: Callable[[], Any]) -> Any:
    """The last value of a condition; rotation goes on in the background, as on AWS."""
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.05)
    return found


def stages(account: Account) -> dict[str, list[str]]:
    found: dict[str, list[str]] = account.client("secretsmanager").describe_secret(
        SecretId=account.physical_id("Secret")
    )["VersionIdsToStages"]
    return found


def failures(account: Account) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"{account.cloud.endpoint_url}/_stackferry/status.json") as page:
        history = json.load(page)["rotations"]
    return [each for each in history if account.number in each["secret"] and each["outcome"] == "failed"]


def calls(account: Account) -> list[list[Any]]:
    api = account.client("secretsmanager")
    versions = api.list_secret_version_ids(SecretId="calls", IncludeDeprecated=True)["Versions"]
    texts = [api.get_secret_value(SecretId="calls", VersionId=each["VersionId"])["SecretString"] for each in versions]
    return [json.loads(text) for text in texts if text != "[]"]


def current(account: Account) -> str:
    arn = account.physical_id("Secret")
    return str(account.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"])


def test_a_schedule_rotates_at_once_and_calls_all_four_steps(account: Account, rotated: Build) -> None:
    account.deploy(rotated())
    until(lambda: current(account) != "first")
    stages = {step: (labels, empty) for step, _, labels, empty in calls(account)}
    assert stages == {
        "createSecret": (["AWSPENDING"], True),
        "setSecret": (["AWSPENDING"], False),
        "testSecret": (["AWSPENDING"], False),
        "finishSecret": (["AWSPENDING"], False),
    }


def test_rotate_secret_moves_the_stages(account: Account, rotated: Build) -> None:
    account.deploy(rotated())
    until(lambda: current(account) != "first")
    (before,) = [version for version, labels in stages(account).items() if "AWSCURRENT" in labels]
    answer = account.client("secretsmanager").rotate_secret(SecretId=account.physical_id("Secret"))
    until(lambda: current(account) == f"rotated {answer['VersionId']}")
    assert stages(account)[before] == ["AWSPREVIOUS"]


def test_a_failed_step_leaves_the_pending_version_and_is_recorded(account: Account, rotated: Build) -> None:
    account.deploy(rotated(fail_in="setSecret"))
    (failure,) = until(lambda: failures(account))
    assert (failure["step"], failure["error"]) == ("setSecret", "Runtime.HandlerError: asked to fail")
    assert stages(account)[failure["token"]] == ["AWSPENDING"]
    assert current(account) == "first"


def test_an_open_pending_version_is_retried_and_the_call_refused(account: Account, rotated: Build) -> None:
    account.deploy(rotated(fail_in="testSecret"))
    (failure,) = until(lambda: failures(account))
    function = account.physical_id("Function")
    account.client("lambda").update_function_configuration(FunctionName=function, Environment={"Variables": {}})
    api = account.client("secretsmanager")
    with pytest.raises(api.exceptions.InvalidRequestException, match="A previous rotation isn't complete"):
        api.rotate_secret(SecretId=account.physical_id("Secret"))
    until(lambda: current(account) == f"rotated {failure['token']}")


def test_without_immediate_rotation_only_the_test_step_runs(account: Account, rotated: Build) -> None:
    account.deploy(rotated(RotateImmediatelyOnUpdate=False))
    until(lambda: calls(account))
    until(lambda: len(stages(account)) == 1)
    assert [(step, labels, empty) for step, _, labels, empty in calls(account)] == [
        ("testSecret", ["AWSPENDING"], True)
    ]
    assert current(account) == "first"


def test_a_function_that_secrets_manager_may_not_call_is_refused(account: Account, rotated: Build) -> None:
    with pytest.raises(Refused, match="Secrets Manager cannot invoke the specified Lambda function"):
        account.deploy(rotated(permitted=False))


def test_a_deleted_schedule_turns_rotation_off(account: Account, rotated: Build) -> None:
    resources = rotated()
    account.deploy(resources)
    until(lambda: current(account) != "first")
    del resources["Schedule"]
    account.deploy(resources)
    described = account.client("secretsmanager").describe_secret(SecretId=account.physical_id("Secret"))
    assert described["RotationEnabled"] is False
