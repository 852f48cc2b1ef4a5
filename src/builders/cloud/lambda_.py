"""The Python that functions run on: the standard library, boto3, and nothing else that is installed here.

So a package that lacks a library fails here as on Lambda, whose Python runtimes bring boto3 and no more (Lambda
developer guide, "Working with .zip file archives for Python Lambda functions").

Lambda packages in buckets: the region must be the function's, the account need not be.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from ministack.core import lambda_runtime
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import lambda_svc, s3

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.policy_documents import allows, as_list, principals, statements
from builders.resource_types import Json

BROUGHT_BY_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""boto3 and what it needs."""


def install(directory: Path) -> None:
    """Let ministack start functions with an interpreter below `directory` that finds these modules only."""
    runtime = directory / "lambda-runtime"
    runtime.mkdir(exist_ok=True)
    for name in BROUGHT_BY_LAMBDA:
        found = importlib.util.find_spec(name)
        if found and found.origin:
            source = Path(found.origin)
            _link(source.parent if source.name == "__init__.py" else source, runtime)
    interpreter = runtime / "python"
    # -S: without site-packages. PYTHONPATH is read all the same.
    command = f"PYTHONPATH={shlex.quote(str(runtime))} exec {shlex.quote(sys.executable)} -S"
    interpreter.write_text(f'#!/bin/sh\n{command} "$@"\n')
    interpreter.chmod(0o755)
    before = lambda_runtime._detect_runtime_binary

    def detect(runtime_name: str) -> tuple[str, str]:
        binary, script = before(runtime_name)
        return str(interpreter) if binary == sys.executable else binary, script

    lambda_runtime._detect_runtime_binary = detect


def _link(source: Path, runtime: Path) -> None:
    link = runtime / source.name
    link.unlink(missing_ok=True)
    link.symlink_to(source)


def buckets_of_all_accounts() -> None:
    """ministack looks for a package in the function's own account only; on AWS a bucket's name is unique and its
    policy may let another account read."""
    fetch_before, region_before = lambda_svc._fetch_code_from_s3, lambda_svc.s3_code_region_message

    def fetch(bucket: str, key: str, version_id: str | None = None) -> bytes | None:
        with request_scope(_owner(bucket), get_region()):
            found: bytes | None = fetch_before(bucket, key, version_id)
        return found

    def region(bucket: str, layer: bool = False) -> str | None:
        with request_scope(_owner(bucket), get_region()):
            message: str | None = region_before(bucket, layer)
        return message

    lambda_svc._fetch_code_from_s3, lambda_svc.s3_code_region_message = fetch, region


def functions_with_code(inner: Handlers) -> Handlers:
    """ministack makes a function without code where the package is not in the bucket; Lambda refuses it."""
    return records.around(inner, before=lambda properties: _refuse(properties.get("Code") or {}))


def _owner(bucket: str) -> str:
    """Return the account that has a bucket: our own first."""
    accounts: list[str] = [account for account, name in list(s3._buckets._data) if name == bucket]
    ours = str(get_account_id())
    return ours if ours in accounts or not accounts else accounts[0]


def _refuse(code: Mapping[str, Json]) -> None:
    """Refuse a package that is not there or may not be read. Raises ValueError with the sentence that Lambda passes
    on from S3."""
    bucket, key = code.get("S3Bucket"), code.get("S3Key", "")
    if not bucket or lambda_svc.s3_code_region_message(bucket):
        return  # inline, or in another region, which ministack itself refuses
    owner = _owner(bucket)
    with request_scope(owner, get_region()):
        known, policy = bucket in s3._buckets, s3._bucket_policies.get(bucket)
    if not known:
        code_and_message = ("NoSuchBucket", "The specified bucket does not exist")
    elif owner != get_account_id() and not _readable(policy, bucket, key):
        code_and_message = ("AccessDenied", "Access Denied")
    elif lambda_svc._fetch_code_from_s3(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
        code_and_message = ("NoSuchKey", "The specified key does not exist.")
    else:
        return
    raise ValueError(
        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}".format(*code_and_message)
    )


def _readable(policy: str | None, bucket: str, key: str) -> bool:
    """Return whether a bucket policy lets our account read. Conditions are not looked at."""
    account = get_account_id()
    ours = ("*", account, f"arn:aws:iam::{account}:root")
    return any(
        allows(statement, "s3:GetObject")
        and any(kind == "AWS" and principal in ours for kind, principal in principals(statement))
        and any(
            fnmatch.fnmatchcase(f"arn:aws:s3:::{bucket}/{key}", each) for each in as_list(statement.get("Resource"))
        )
        for statement in statements(policy)
    )
