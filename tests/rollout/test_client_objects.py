"""Objects are read and written, and conditional writes conflict when somebody else was first."""

from __future__ import annotations

import json

import pytest

from builders.aws.errors import AccessDenied, Conflict
from builders.aws.objects import ABSENT, Objects
from builders.errors import RolloutError

from .conftest import Administrator


@pytest.fixture
def bucket(administrator: Administrator) -> str:
    return administrator.bucket()


@pytest.fixture
def objects(administrator: Administrator) -> Objects:
    return administrator.client().objects("us-east-1")


def test_what_is_written_is_read_with_its_etag(objects: Objects, bucket: str) -> None:
    etag = objects.put(bucket, "run.json", b"{}")
    assert objects.get(bucket, "run.json") == (b"{}", etag)
    assert objects.exists(bucket, "run.json")


def test_what_is_not_there_is_none(objects: Objects, bucket: str) -> None:
    assert objects.get(bucket, "run.json") is None
    assert not objects.exists(bucket, "run.json")


def test_the_first_of_two_that_expect_nothing_wins(objects: Objects, bucket: str) -> None:
    objects.put(bucket, "run.json", b"first", ABSENT)
    with pytest.raises(Conflict):
        objects.put(bucket, "run.json", b"second", ABSENT)
    assert objects.get(bucket, "run.json") is not None
    assert objects.get(bucket, "run.json")[0] == b"first"  # type: ignore[index]


def test_the_first_of_two_that_expect_the_same_wins(objects: Objects, bucket: str) -> None:
    etag = objects.put(bucket, "run.json", b"before")
    after = objects.put(bucket, "run.json", b"first", etag)
    with pytest.raises(Conflict):
        objects.put(bucket, "run.json", b"second", etag)
    assert objects.get(bucket, "run.json") == (b"first", after)


def test_an_object_that_is_gone_conflicts_with_whoever_expects_it(
    objects: Objects, bucket: str, administrator: Administrator
) -> None:
    etag = objects.put(bucket, "run.json", b"before")
    administrator.api("s3").delete_object(Bucket=bucket, Key="run.json")
    with pytest.raises(Conflict, match=f"run.json is no longer in {bucket}"):
        objects.put(bucket, "run.json", b"after", etag)


def test_a_bucket_that_is_not_there_is_named(objects: Objects) -> None:
    with pytest.raises(RolloutError, match="NoSuchBucket"):
        objects.put("stackferry-never-made", "run.json", b"")
    with pytest.raises(RolloutError, match="NoSuchBucket"):
        objects.get("stackferry-never-made", "run.json")


def test_a_bucket_of_the_name_that_somebody_else_has_made_is_left_alone(
    objects: Objects, administrator: Administrator, member: str
) -> None:
    """As after ours was deleted: theirs lets everybody in."""
    theirs, name = administrator.api("s3", member), f"stackferry-{administrator.number}-taken"
    theirs.create_bucket(Bucket=name)
    anybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{name}/*"}
    theirs.delete_public_access_block(Bucket=name)
    theirs.put_bucket_policy(Bucket=name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [anybody]}))
    theirs.put_object(Bucket=name, Key="run.json", Body=b"theirs")
    assert administrator.api("s3").get_object(Bucket=name, Key="run.json")["Body"].read() == b"theirs"

    with pytest.raises(AccessDenied):
        objects.get(name, "run.json")
    with pytest.raises(AccessDenied):
        objects.put(name, "run.json", b"secret")
    assert theirs.get_object(Bucket=name, Key="run.json")["Body"].read() == b"theirs"


def test_more_keys_than_a_page_holds_are_all_listed(bucket: str, administrator: Administrator) -> None:
    api = administrator.api("s3")
    keys = [f"releases/{number:04}" for number in range(1001)]
    for key in [*keys, "other"]:
        api.put_object(Bucket=bucket, Key=key, Body=b"")
    session = administrator.client().calls.session("us-east-1")
    found = session.pages("s3", "ListObjectsV2", Bucket=bucket, Prefix="releases/")
    assert [each["Key"] for each in found] == keys


def test_a_file_is_uploaded_to_the_bucket_of_another_region(administrator: Administrator) -> None:
    objects, bucket = administrator.client().objects("eu-west-1"), administrator.bucket("eu-west-1")
    objects.put(bucket, "rotation.zip", b"zip")
    found = objects.get(bucket, "rotation.zip")
    assert found is not None
    assert found[0] == b"zip"
