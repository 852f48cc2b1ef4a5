"""Lambda: the Python that functions run on, packages in buckets, roles and permissions.

Functions find the standard library, boto3, and nothing else that is installed here. So a package that lacks a library
fails here as on Lambda, whose Python runtimes bring boto3 and no more (Lambda developer guide, "Working with .zip file
archives for Python Lambda functions"). A package's bucket must be in the region of the function; its account may be
another.
"""

from __future__ import annotations

import datetime
import fnmatch
import functools
import importlib.resources
import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ministack.core.responses import get_account_id, get_region, request_scope

from builders.cloud import cfn_response, workers
from builders.cloud.cloudformation import records
from builders.cloud.cloudformation.records import Handlers
from builders.cloud.iam import permissions
from builders.cloud.internals import entries, iam, lambda_, s3, sqs
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
        self.path.chmod(0o700)


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


class _Forking:
    """The module subprocess, for whoever starts functions: those in Python are forked."""

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, command: Sequence[str], **options: Any) -> Any:
        """Start a process."""
        in_python = command[0] == str(interpreter.path)
        start = workers.functions.start if in_python and workers.can_follow() else subprocess.Popen
        return start(command, **options)


@patch_value("ministack.core.lambda_runtime.subprocess", why="every function starts a Python, which imports boto3")
def _processes(_original: Any) -> _Forking:
    return _Forking()


@patch(
    "ministack.services.cloudformation.provisioners._zip_inline",
    why="inline functions lack the module that Lambda adds to them (CloudFormation user guide, cfn-response module)",
)
def _inline(original: Any, source: str | None, handler: str, runtime: str = "python3.12") -> bytes | None:
    package: bytes | None = original(source, handler, runtime)
    return cfn_response.add_to(package, runtime) if package else package


def check_function(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name, a retired runtime, a role that does not exist or that Lambda may not assume, or that may
    not make the interfaces of a function in a VPC (Lambda API reference, CreateFunction)."""
    name = properties.get("FunctionName")
    if name and physical_id is None and name in lambda_.functions:
        raise ValueError(f"Function already exist: {name} (Service: Lambda, Status Code: 409)")
    _check_configuration(properties)
    _check_runtime(str(properties.get("Runtime") or ""), "create-block" if physical_id is None else "update-block")
    arn = str(properties["Role"])
    role = iam.roles.get(arn.rsplit("/", 1)[-1])
    if not role or role["Arn"] != arn or not trusts_service(role["AssumeRolePolicyDocument"], "lambda.amazonaws.com"):
        raise ValueError(
            "The role defined for the function cannot be assumed by Lambda. (Service: Lambda, Status Code: 400)"
        )
    in_vpc = (properties.get("VpcConfig") or {}).get("SubnetIds")
    if in_vpc and not permissions.role_allows(role, "ec2:CreateNetworkInterface"):
        raise ValueError(
            "The provided execution role does not have permissions to call CreateNetworkInterface on EC2 (Service: "
            "Lambda, Status Code: 400)"
        )


_LONGEST_SECONDS = 900
_MEMORY_MB = (128, 10_240)
# Lambda developer guide, "Using Lambda environment variables", reserved environment variables that cannot be set.
_RESERVED = frozenset(
    """
    _HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE
    AWS_LAMBDA_LOG_GROUP_NAME AWS_LAMBDA_LOG_STREAM_NAME AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    AWS_SESSION_TOKEN AWS_LAMBDA_RUNTIME_API LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR
    """.split()  # noqa: SIM905
)


def _check_configuration(properties: Mapping[str, Json]) -> None:
    """Refuse numbers out of bounds, a package without a runtime, and variables that Lambda sets itself."""
    timeout, memory = properties.get("Timeout"), properties.get("MemorySize")
    if timeout is not None and not 1 <= int(timeout) <= _LONGEST_SECONDS:
        raise _of_lambda(
            f"1 validation error detected: Value '{timeout}' at 'timeout' failed to satisfy constraint: Member must "
            f"have value less than or equal to {_LONGEST_SECONDS}"
        )
    if memory is not None and not _MEMORY_MB[0] <= int(memory) <= _MEMORY_MB[1]:
        raise _of_lambda(
            f"1 validation error detected: Value '{memory}' at 'memorySize' failed to satisfy constraint: Member must "
            f"have value between {_MEMORY_MB[0]} and {_MEMORY_MB[1]}"
        )
    is_image = properties.get("PackageType") == "Image" or (properties.get("Code") or {}).get("ImageUri")
    if not is_image and not (properties.get("Runtime") and properties.get("Handler")):
        raise _of_lambda("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
    reserved = sorted(_RESERVED & set((properties.get("Environment") or {}).get("Variables") or {}))
    if reserved:
        raise _of_lambda(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used in "
            f"this request: {', '.join(reserved)}"
        )


def _of_lambda(sentence: str) -> ValueError:
    return ValueError(f"{sentence} (Service: Lambda, Status Code: 400)")


def _check_runtime(runtime: str, block: str) -> None:
    """Refuse a runtime after the day on which Lambda blocks it (Lambda developer guide, "Lambda runtimes")."""
    day = (_lifecycle().get(runtime) or {}).get(block)
    if day and datetime.date.fromisoformat(day) <= datetime.datetime.now(datetime.UTC).date():
        raise ValueError(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions. (Service: Lambda, Status "
            "Code: 400)"
        )


@functools.cache
def _lifecycle() -> dict[str, dict[str, str]]:
    """Return cfn-lint's {runtime: {"create-block": day, "update-block": day}}."""
    file = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "LmbdRuntimeLifecycle.json"
    found: dict[str, dict[str, str]] = json.loads(file.read_text())
    return found


# {service of an event source: (actions that the role needs, what Lambda says)}; Lambda developer guide, the pages on
# SQS, Kinesis and DynamoDB as event sources.
_OF_SOURCES = {
    "sqs": (
        ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
        "The provided execution role does not have permissions to call {call} on SQS",
    ),
    "kinesis": (
        ("kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:DescribeStream", "kinesis:ListShards"),
        "Cannot access stream {arn}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, ListShards, and ListStreams Actions on your stream in IAM.",
    ),
    "dynamodb": (
        ("dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"),
        "Cannot access stream {arn}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, and ListStreams Actions on your stream in IAM.",
    ),
}


def check_event_source(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a source that is not there, that the role may not read, or whose numbers do not fit the function's."""
    function, _, _ = lambda_.find_function(str(properties["FunctionName"]))
    arn = str(properties.get("EventSourceArn") or "")
    service = arn.split(":")[2] if arn.startswith("arn:") else ""
    if function is None:
        raise ValueError(f"Function not found: {properties['FunctionName']} (Service: Lambda, Status Code: 404)")
    if service not in _OF_SOURCES:
        return
    actions, sentence = _OF_SOURCES[service]
    role = iam.roles.get(str(function["config"]["Role"]).rsplit("/", 1)[-1])
    for action in actions:
        if role and not permissions.role_allows(role, action, arn):
            refusal = sentence.format(call=action.partition(":")[2], arn=arn)
            raise ValueError(f"{refusal} (Service: Lambda, Status Code: 400)")
    if service == "sqs":
        _check_queue(arn, properties, int(function["config"]["Timeout"]))
    elif not properties.get("StartingPosition"):
        raise ValueError(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must "
            "not be null. (Service: Lambda, Status Code: 400)"
        )


def _check_queue(arn: str, properties: Mapping[str, Json], timeout: int) -> None:
    queue = next((each for each in sqs.queues.values() if each["attributes"].get("QueueArn") == arn), None)
    if queue is None:
        if arn.split(":")[4] == get_account_id():
            raise ValueError(
                "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS "
                "Error Message: The specified queue does not exist. (Service: Lambda, Status Code: 400)"
            )
        return
    visible = int(queue["attributes"].get("VisibilityTimeout", 30))
    if visible < timeout:
        raise ValueError(
            f"Queue visibility timeout: {visible} seconds is less than Function timeout: {timeout} seconds (Service: "
            "Lambda, Status Code: 400)"
        )
    size = int(properties.get("BatchSize") or 10)
    if size > _LARGEST_BATCH and (arn.endswith(".fifo") or not properties.get("MaximumBatchingWindowInSeconds")):
        reason = "FIFO queues" if arn.endswith(".fifo") else "a batch window that is not set"
        raise ValueError(f"Maximum batch size is {_LARGEST_BATCH} for {reason}. (Service: Lambda, Status Code: 400)")


_LARGEST_BATCH = 10
"""Messages in a batch of a FIFO queue, or without a batch window (Lambda API reference, BatchSize)."""


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
    elif owner != get_account_id() and not _readable(policy, bucket, key, code.get("S3ObjectVersion")):
        code_and_message = ("AccessDenied", "Access Denied")
    elif lambda_.fetch_code(bucket, key, version_id=code.get("S3ObjectVersion")) is None:
        code_and_message = ("NoSuchKey", "The specified key does not exist.")
    else:
        return
    raise ValueError(
        "Error occurred while GetObject. S3 Error Code: {}. S3 Error Message: {}".format(*code_and_message)
    )


def _readable(policy: str | None, bucket: str, key: str, version: str | None) -> bool:
    """Return whether a bucket policy lets our account read. Conditions do not count; to read a version is an action of
    its own (S3 API reference, GetObject, "Permissions")."""
    action = "s3:GetObjectVersion" if version else "s3:GetObject"
    account = get_account_id()
    ours = ("*", account, f"arn:aws:iam::{account}:root")
    return any(
        allows(statement, action)
        and any(kind == "AWS" and principal in ours for kind, principal in principals(statement))
        and any(
            fnmatch.fnmatchcase(f"arn:aws:s3:::{bucket}/{key}", each) for each in as_list(statement.get("Resource"))
        )
        for statement in statements(policy)
    )
