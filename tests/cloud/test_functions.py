"""Lambda functions of templates run here, from packages in a bucket."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from .conftest import Account, Refused, Template

FUNCTION = """
import os
import boto3

def handler(event, context):
    names = ("AWS_ENDPOINT_URL", "CA_BUNDLE", "AWS_REGION", "GREETING")
    return {name: os.environ.get(name) for name in names} | {
        "account": boto3.client("sts").get_caller_identity()["Account"]
    }
"""


@pytest.fixture
def package(account: Account) -> str:
    """A bucket of the account's us-east-1 that holds the package `code.zip`."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", FUNCTION)
    bucket = f"code-{account.number}"
    account.client("s3").create_bucket(Bucket=bucket)
    account.client("s3").put_object(Bucket=bucket, Key="code.zip", Body=archive.getvalue())
    return bucket


def function(lambda_role: Template, bucket: str, key: str = "code.zip", **properties: Any) -> Template:
    whole = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Runtime": "python3.13", "Handler": "index.handler",
             "Code": {"S3Bucket": bucket, "S3Key": key}, "Environment": {"Variables": {"GREETING": "hello"}},
             "Timeout": 30, **properties}  # fmt: skip
    return {**lambda_role, "Function": {"Type": "AWS::Lambda::Function", "Properties": whole}}


def test_a_function_runs_with_what_it_needs_to_reach_the_emulator(
    account: Account, lambda_role: Template, package: str
) -> None:
    account.deploy(function(lambda_role, package))
    name = account.physical_id("Function")
    answer = json.load(account.client("lambda").invoke(FunctionName=name)["Payload"])
    assert answer == {
        "AWS_ENDPOINT_URL": account.cloud.endpoint_url,
        "CA_BUNDLE": str(account.cloud.ca_file),
        "AWS_REGION": "us-east-1",
        "GREETING": "hello",
        "account": account.number,
    }


@pytest.mark.parametrize(("bucket", "key", "code"), [("", "other.zip", "NoSuchKey"), ("nowhere", "x", "NoSuchBucket")])
def test_a_package_that_is_not_there_is_refused(
    account: Account, lambda_role: Template, package: str, bucket: str, key: str, code: str
) -> None:
    with pytest.raises(Refused, match=f"S3 Error Code: {code}"):
        account.deploy(function(lambda_role, bucket or package, key))


def test_a_package_in_another_region_is_refused(account: Account, lambda_role: Template, package: str) -> None:
    with pytest.raises(Refused, match="S3 Error Code: PermanentRedirect"):
        account.elsewhere("eu-central-1").deploy(function(lambda_role, package))


def readable_by(account: str, bucket: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "s3:GetObject"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": f"arn:aws:s3:::{bucket}/*"}]})


def test_a_package_of_another_account_is_read_only_where_its_bucket_says_so(
    account: Account, lambda_role: Template, package: str
) -> None:
    other = Account(account.cloud, "600000000002")
    with pytest.raises(Refused, match="S3 Error Code: AccessDenied"):
        other.deploy(function(lambda_role, package))
    account.client("s3").put_bucket_policy(Bucket=package, Policy=readable_by(other.number, package))
    other.deploy(function(lambda_role, package), stack="allowed")
    name = other.physical_id("Function", stack="allowed")
    assert json.load(other.client("lambda").invoke(FunctionName=name)["Payload"])["account"] == other.number


def test_a_new_key_brings_new_code(account: Account, lambda_role: Template, package: str) -> None:
    account.deploy(function(lambda_role, package))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("index.py", "def handler(event, context):\n    return 'new'\n")
    account.client("s3").put_object(Bucket=package, Key="new.zip", Body=archive.getvalue())
    account.deploy(function(lambda_role, package, "new.zip"))
    name = account.physical_id("Function")
    assert json.load(account.client("lambda").invoke(FunctionName=name)["Payload"]) == "new"


def test_a_role_that_lambda_may_not_assume_is_refused(account: Account, lambda_role: Template, package: str) -> None:
    document = lambda_role["Role"]["Properties"]["AssumeRolePolicyDocument"]
    document["Statement"][0]["Principal"] = {"Service": "dms.amazonaws.com"}
    with pytest.raises(Refused, match="cannot be assumed by Lambda"):
        account.deploy(function(lambda_role, package))


def test_a_permission_on_no_function_is_refused(account: Account) -> None:
    permission = {"FunctionName": "nothing", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    with pytest.raises(Refused, match="Function not found"):
        account.deploy({"Permission": {"Type": "AWS::Lambda::Permission", "Properties": permission}})


def test_a_function_finds_boto3_and_nothing_else_that_is_installed_here(
    account: Account, lambda_role: Template
) -> None:
    source = (
        "import importlib.util\n"
        "def handler(event, context):\n"
        "    return [name for name in event if importlib.util.find_spec(name)]\n"
    )
    properties = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Runtime": "python3.13", "Handler": "index.handler",
                  "Code": {"ZipFile": source}, "Timeout": 30}  # fmt: skip
    account.deploy({**lambda_role, "Function": {"Type": "AWS::Lambda::Function", "Properties": properties}})
    event = json.dumps(["boto3", "botocore", "pg8000", "builders", "cfnlint", "ministack"])
    answer = account.client("lambda").invoke(FunctionName=account.physical_id("Function"), Payload=event)
    assert json.load(answer["Payload"]) == ["boto3", "botocore"]


CUSTOM_RESOURCE = """
import json, urllib.request

def handler(event, context):
    properties = event["ResourceProperties"]
    answer = {key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")}
    answer |= {"PhysicalResourceId": "proof", "Status": properties["Status"],
               "Reason": properties.get("Reason", "the port is closed"), "Data": {"Seen": event["RequestType"]}}
    if event["RequestType"] == "Delete":
        answer["Status"] = "SUCCESS"
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), method="PUT")
    urllib.request.urlopen(request).close()
"""


def proof(lambda_role: Template, status: str, **more: str) -> Template:
    inline = {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Runtime": "python3.13", "Handler": "index.handler",
              "Code": {"ZipFile": CUSTOM_RESOURCE}, "Timeout": 30}  # fmt: skip
    return {
        **lambda_role,
        "Function": {"Type": "AWS::Lambda::Function", "Properties": inline},
        "Proof": {
            "Type": "Custom::Proof",
            "Properties": {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Status": status, **more},
        },
    }


def test_a_custom_resource_answers_with_data(account: Account, lambda_role: Template) -> None:
    outputs = {"Outputs": {"Seen": {"Value": {"Fn::GetAtt": ["Proof", "Seen"]}}}}
    assert account.deploy(proof(lambda_role, "SUCCESS"), sections=outputs) == {"Seen": "Create"}


def test_a_custom_resource_that_fails_gives_its_reason_to_the_stack(account: Account, lambda_role: Template) -> None:
    with pytest.raises(Refused, match="the port is closed"):
        account.deploy(proof(lambda_role, "FAILED"))


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
def test_an_answer_above_4096_bytes_is_refused_and_hides_its_reason(
    account: Account, lambda_role: Template, status: str
) -> None:
    with pytest.raises(Refused, match=r"Response object is too long\."):
        account.deploy(proof(lambda_role, status, Reason="the port is closed" + " " * 4096))


def test_a_custom_resource_whose_function_breaks_fails_at_once(account: Account, lambda_role: Template) -> None:
    broken = proof(lambda_role, "SUCCESS")
    broken["Function"]["Properties"]["Code"] = {"ZipFile": "import nothing_of_this_name\n"}
    with pytest.raises(Refused, match="CloudFormation did not receive a response from your custom resource"):
        account.deploy(broken)
