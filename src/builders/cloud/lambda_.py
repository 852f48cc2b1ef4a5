"""Lambda: the Python that functions run on, packages in buckets, roles and permissions.

Functions find the standard library, boto3, and nothing else that is installed here. So a package that lacks a library
fails here as on Lambda, whose Python runtimes bring boto3 and no more (Lambda developer guide, "Working with .zip file
archives for Python Lambda functions"). A package's bucket must be in the region of the function; its account may be
another.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.internals import entries, iam, lambda_, s3
from builders.cloud.patches import patch, patch_value
from builders.policy_documents import allows, as_list, principals, statements, trusts_service
from builders.resource_types import Json

BROUGHT_BY_LAMBDA = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""boto3 and what it needs."""


class Interpreter:
    """The Python of the running server's functions."""

    path: Path

    def open(self, state_directory: Path) -> None:
        """Make an interpreter below the directory that finds the modules that Lambda brings, and no other."""
        runtime = state_directory / "lambda-runtime"
        runtime.mkdir(exist_ok=True)
        for name in BROUGHT_BY_LAMBDA:
            found = importlib.util.find_spec(name)
            if found and found.origin:
                source = Path(found.origin)
                _link(source.parent if source.name == "__init__.py" else source, runtime)
        self.path = runtime / "python"
        # -S: without site-packages. PYTHONPATH is read all the same.
        command = f"PYTHONPATH={shlex.quote(str(runtime))} exec {shlex.quote(sys.executable)} -S"
        self.path.write_text(f'#!/bin/sh\n{command} "$@"\n')
        self.path.chmod(0o755)


def _link(source: Path, runtime: Path) -> None:
    link = runtime / source.name
    link.unlink(missing_ok=True)
    link.symlink_to(source)


interpreter = Interpreter()


@patch(
    "ministack.core.lambda_runtime._detect_runtime_binary",
    why="functions find every module that is installed beside ministack",
)
def _runtime(original: Any, name: str) -> tuple[str, str]:
    binary, script = original(name)
    return str(interpreter.path) if binary == sys.executable else binary, script


def check_function(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a role that does not exist or that Lambda may not assume (Lambda API reference, CreateFunction)."""
    arn = str(properties["Role"])
    role = iam.roles.get(arn.rsplit("/", 1)[-1])
    if not role or role["Arn"] != arn or not trusts_service(role["AssumeRolePolicyDocument"], "lambda.amazonaws.com"):
        raise ValueError(
            "The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)"
        )


def check_permission(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a permission on a function that does not exist."""
    function, _, name = lambda_.find_function(str(properties["FunctionName"]))
    if function is None:
        arn = f"arn:aws:lambda:{get_region()}:{get_account_id()}:function:{name or properties['FunctionName']}"
        raise ValueError(f"Function not found: {arn} (Service: Lambda, Status Code: 404)")


@patch_value(
    "ministack.services.cloudformation.provisioners._RESOURCE_HANDLERS[AWS::Lambda::Function]",
    why="a function whose package is not in the bucket is made without code, and its key and VPC are forgotten",
)
def _functions(inner: Handlers) -> Handlers:
    return records.around(
        inner, before=lambda properties: _check_package(properties.get("Code") or {}), after=_configure
    )


def _configure(physical_id: str, properties: Mapping[str, Json]) -> None:
    function, _, _ = lambda_.find_function(physical_id)
    config = function["config"]
    config["KMSKeyArn"] = properties.get("KmsKeyArn", "")
    config["VpcConfig"] = lambda_.with_vpc_id(properties.get("VpcConfig"))


@patch(
    "ministack.services.lambda_svc._fetch_code_from_s3",
    why="a package is looked for in the function's own account only; on AWS a bucket's name is unique and its policy "
    "may let another account read",
)
def _fetch_code(original: Any, bucket: str, key: str, version_id: str | None = None) -> bytes | None:
    with request_scope(_owner(bucket), get_region()):
        code: bytes | None = original(bucket, key, version_id)
    return code


@patch(
    "ministack.services.lambda_svc.s3_code_region_message",
    why="the region of a package's bucket is known in the function's own account only",
)
def _region_message(original: Any, bucket: str, layer: bool = False) -> str | None:
    with request_scope(_owner(bucket), get_region()):
        message: str | None = original(bucket, layer)
    return message


def _owner(bucket: str) -> str:
    """Return the account that has a bucket: our own first."""
    accounts: list[str] = [account for account, name in list(entries(s3.buckets)) if name == bucket]
    ours = str(get_account_id())
    return ours if ours in accounts or not accounts else accounts[0]


def _check_package(code: Mapping[str, Json]) -> None:
    """Refuse a package that is not there or may not be read, with the sentence that Lambda passes on from S3."""
    bucket, key = code.get("S3Bucket"), code.get("S3Key", "")
    if not bucket or lambda_.region_message(bucket):
        return  # inline, or in another region, which ministack itself refuses
    owner = _owner(bucket)
    with request_scope(owner, get_region()):
        exists, policy = bucket in s3.buckets, s3.bucket_policies.get(bucket)
    if not exists:
        code_and_message = ("NoSuchBucket", "The specified bucket does not exist")
    elif owner != get_account_id() and not _readable(policy, bucket, key):
        code_and_message = ("AccessDenied", "Access Denied")
    elif lambda_.fetch_code(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
        code_and_message = ("NoSuchKey", "The specified key does not exist.")
    else:
        return
    raise ValueError(
        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}".format(*code_and_message)
    )


def _readable(policy: str | None, bucket: str, key: str) -> bool:
    """Return whether a bucket policy lets our account read. Conditions do not count."""
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
