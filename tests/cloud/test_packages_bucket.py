"""The bucket of the artifacts layer under IAM: attacks on packages end at its policy, whatever the attacker may do.

The layer is deployed as it is; who attacks is an administrator of the tooling account.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import Account

PACKAGE = "dev/secret_rotation/0123456789abcdef0123456789abcdef.zip"
RELEASE = "rollout/dev/releases/0123456789abcdef0123456789abcdef.json"
JOURNAL = "rollout/dev/run.json"
READER = "750000000014"


@pytest.fixture(scope="module")
def owner(strict_cloud: Cloud) -> Account:
    return Account(strict_cloud, "750000000013")


@pytest.fixture(scope="module")
def bucket(owner: Account) -> str:
    """Deploy the layer with a bucket for its access logs."""
    values = {"EnvironmentSuffix": "tooling", "MigrationPhase": "shared", "CostCenter": "payments",
              "ReaderAccountIds": READER, "CreateAccessLogsBucket": "true"}  # fmt: skip
    api = owner.client("cloudformation")
    api.create_stack(
        StackName="artifacts-tooling",
        TemplateBody=Path("templates/artifacts.json").read_text(encoding="utf-8"),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()],
    )
    api.get_waiter("stack_create_complete").wait(StackName="artifacts-tooling", WaiterConfig={"Delay": 0.2})
    (stack,) = api.describe_stacks(StackName="artifacts-tooling")["Stacks"]
    return str({each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}["ArtifactsBucket"])


@pytest.fixture(scope="module")
def administrator(owner: Account) -> Any:
    """S3 as an IAM user with every permission has it."""
    iam = owner.client("iam")
    iam.create_user(UserName="administrator")
    allowed = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="administrator", PolicyName="all", PolicyDocument=document)
    key = iam.create_access_key(UserName="administrator")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    return session.client("s3", endpoint_url=owner.cloud.endpoint_url)


@pytest.fixture(scope="module")
def versions(administrator: Any, bucket: str) -> dict[str, str]:
    """The versions of a package, a release and a journal that lie in the bucket."""
    return {
        key: administrator.put_object(Bucket=bucket, Key=key, Body=b"first", IfNoneMatch="*")["VersionId"]
        for key in (PACKAGE, RELEASE, JOURNAL)
    }


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(ClientError) as error:
        call()
    answer = error.value.response
    return answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]


@pytest.mark.parametrize("key", [PACKAGE, RELEASE])
def test_what_is_written_once_is_not_swapped(
    administrator: Any, bucket: str, versions: dict[str, str], key: str
) -> None:
    def put(**more: str) -> Any:
        return administrator.put_object(Bucket=bucket, Key=key, Body=b"forged", **more)

    tag = administrator.head_object(Bucket=bucket, Key=key)["ETag"]
    found = [refused(put), refused(lambda: put(IfMatch=tag)), refused(lambda: put(IfNoneMatch="*"))]
    assert found == [(403, "AccessDenied"), (403, "AccessDenied"), (412, "PreconditionFailed")]
    assert administrator.head_object(Bucket=bucket, Key=key)["VersionId"] == versions[key]


def test_a_package_is_not_swapped_by_parts_or_by_a_copy(
    administrator: Any, bucket: str, versions: dict[str, str]
) -> None:
    administrator.put_object(Bucket=bucket, Key="forged", Body=b"forged")
    where = {"Bucket": bucket, "Key": PACKAGE}
    found = [
        refused(lambda: administrator.create_multipart_upload(**where)),
        refused(lambda: administrator.copy_object(**where, CopySource=f"{bucket}/forged")),
    ]
    assert found == [(403, "AccessDenied")] * 2


@pytest.mark.parametrize("key", [PACKAGE, RELEASE])
def test_a_version_that_functions_or_releases_name_is_not_destroyed(
    administrator: Any, bucket: str, versions: dict[str, str], key: str
) -> None:
    which = {"Bucket": bucket, "Key": key, "VersionId": versions[key]}
    assert refused(lambda: administrator.delete_object(**which)) == (403, "AccessDenied")
    assert administrator.get_object(**which)["Body"].read() == b"first"


def test_a_journal_is_written_over(administrator: Any, bucket: str, versions: dict[str, str]) -> None:
    again = administrator.put_object(Bucket=bucket, Key=JOURNAL, Body=b"second")
    assert again["VersionId"] != versions[JOURNAL]


def test_a_body_that_is_not_that_of_its_digest_is_refused(administrator: Any, bucket: str) -> None:
    digest = base64.b64encode(hashlib.sha256(b"package").digest()).decode()
    given = {"Bucket": bucket, "Key": "dev/other/package.zip", "IfNoneMatch": "*", "ChecksumSHA256": digest}
    assert refused(lambda: administrator.put_object(**given, Body=b"forged")) == (400, "BadDigest")
    administrator.put_object(**given, Body=b"package")
    head = administrator.head_object(Bucket=bucket, Key=given["Key"], ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (digest, "FULL_OBJECT")


def test_who_reads_and_writes_is_logged_where_nobody_shortens_the_log(administrator: Any, bucket: str) -> None:
    logging = administrator.get_bucket_logging(Bucket=bucket)["LoggingEnabled"]
    log = logging["TargetBucket"]
    version = administrator.put_object(Bucket=log, Key=f"{logging['TargetPrefix']}x", Body=b"line")["VersionId"]
    which = {"Bucket": log, "Key": f"{logging['TargetPrefix']}x"}
    found = [
        refused(lambda: administrator.delete_object(**which)),
        refused(lambda: administrator.delete_object(**which, VersionId=version)),
    ]
    assert found == [(403, "AccessDenied")] * 2


def test_the_root_user_of_the_account_is_bound_as_well(owner: Account, bucket: str, versions: dict[str, str]) -> None:
    root = owner.client("s3")
    assert refused(lambda: root.put_object(Bucket=bucket, Key=PACKAGE, Body=b"other")) == (403, "AccessDenied")
    assert refused(lambda: root.delete_object(Bucket=bucket, Key=PACKAGE, VersionId=versions[PACKAGE]))[0] == 403
    batch = {"Objects": [{"Key": JOURNAL}, {"Key": PACKAGE, "VersionId": versions[PACKAGE]}]}
    assert refused(lambda: root.delete_objects(Bucket=bucket, Delete=batch))[0] == 403
    assert root.put_object(Bucket=bucket, Key=JOURNAL, Body=b"second")["VersionId"]


def test_a_policy_denies_where_iam_is_not_asked_too_and_locks_nobody_out(account: Account) -> None:
    s3, name = account.client("s3"), f"denying-{account.number}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="object", Body=b"1")
    arns = [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"]
    everything = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": arns}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    s3.put_bucket_policy(Bucket=name, Policy=document)
    assert refused(lambda: s3.get_object(Bucket=name, Key="object")) == (403, "AccessDenied")
    assert refused(lambda: s3.list_objects_v2(Bucket=name)) == (403, "AccessDenied")
    assert s3.get_bucket_policy(Bucket=name)["Policy"] == document
    s3.delete_bucket_policy(Bucket=name)
    assert s3.get_object(Bucket=name, Key="object")["Body"].read() == b"1"
