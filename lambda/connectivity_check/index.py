"""Proves, from DMS's subnets and in its security group, that source, target and AWS's endpoints answer.

Environment: CA_BUNDLE, a file with certificate authorities instead of the RDS roots that are shipped and the system's
own. Region and endpoints come from the variables that boto3 itself reads.
"""

from __future__ import annotations

import functools
from typing import Any

import boto3
import custom_resource
import proof
import secret_value
from botocore.config import Config
from custom_resource import Event
from deadline import Deadline, LambdaContext
from destinations import HTTPS, Database, Endpoint
from way import Way

# A silent call ends after 2 * (2 + 5) s; what fails is tried again with the whole way.
_CALLS = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2})


def handler(event: Event, context: LambdaContext) -> None:
    """Answer one request of CloudFormation.

    Properties: Source and Target (Host, DatabaseName, SecretArn; the source also Port, SslMode and CertificatePem),
    Endpoints (host names), PatienceSeconds.
    """
    custom_resource.answer(event, context, {"Create": _prove, "Update": _prove, "Delete": _forget})


def _prove(event: Event, deadline: Deadline) -> str:
    properties = event["ResourceProperties"]
    endpoints = [Endpoint(Way("endpoint", host, HTTPS)) for host in properties["Endpoints"]]
    databases = [_database(role, properties[role.capitalize()]) for role in ("source", "target")]
    return proof.prove([*endpoints, *databases], float(properties["PatienceSeconds"]), deadline)


def _forget(_event: Event, _deadline: Deadline) -> str:
    return "there is nothing to delete"


def _database(role: str, properties: dict[str, Any]) -> Database:
    way = Way(role, properties["Host"], int(properties.get("Port") or 0))
    return Database(way, properties, lambda arn: secret_value.read(_secrets_manager(), arn))


@functools.cache
def _secrets_manager() -> Any:
    return boto3.client("secretsmanager", config=_CALLS)
