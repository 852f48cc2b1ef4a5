"""Whether AWS's services answer through the endpoints: there, under their usual names, and with policies that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builders.evaluate import partition_of
from builders.reachability.endpoint_policies import Request, allows
from builders.reachability.flows import Demands
from builders.reachability.topology import Topology
from builders.reachability.ways import Finding

STRANGER = "9" * 12
AWS_ITSELF = "0" * 12
"""Stands for the account of AWS that signs the answers' URLs and owns their bucket."""

CALLS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "secretsmanager": tuple(
        (f"secretsmanager:{action}", "secret:any-AbCdEf")
        for action in (
            "DescribeSecret",
            "GetSecretValue",
            "ListSecretVersionIds",
            "PutSecretValue",
            "UpdateSecretVersionStage",
        )
    ),
    "dms": (
        ("dms:DescribeReplicationInstances", "*"),
        ("dms:DescribeReplicationTasks", "*"),
        ("dms:DescribeTableStatistics", "task:ANY"),
    ),
    "monitoring": (("cloudwatch:PutMetricData", "*"),),
    "logs": (
        ("logs:CreateLogStream", "log-group:any:log-stream:any"),
        ("logs:PutLogEvents", "log-group:any:log-stream:any"),
    ),
    "kms": (("kms:Decrypt", "key/any"), ("kms:GenerateDataKey", "key/any"), ("kms:DescribeKey", "key/any")),
    "sts": (("sts:AssumeRole", "role/any"),),
}
"""What functions and DMS call, by service: the action, and the resource after the account in its ARN."""


def findings(topology: Topology, wanted: Demands) -> Iterator[Finding]:
    """Services that nobody in the VPC can call, and calls that should not pass."""
    there = {(properties["VpcEndpointType"], properties["ServiceName"]) for _, properties in _endpoints(topology)}
    for kind, service in (("Gateway", "s3"), *(("Interface", service) for service in wanted.services)):
        if (kind, f"com.amazonaws.{wanted.region}.{service}") not in there:
            yield Finding(f"calls of {service}", "endpoints", f"there is no {kind.lower()} endpoint for it")
    for name, properties in _endpoints(topology):
        if properties["VpcEndpointType"] == "Interface":
            yield from _placement(name, properties, topology)
        yield from _requests(name, properties, wanted)


def _endpoints(topology: Topology) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return topology.of_type("AWS::EC2::VPCEndpoint")


def _placement(name: str, properties: Mapping[str, Any], topology: Topology) -> Iterator[Finding]:
    flow = f"calls of {properties['ServiceName']}"
    if properties.get("PrivateDnsEnabled") is not True:
        yield Finding(flow, f"endpoint {name}", "private DNS is off, so the service's name leads to its public address")
    if topology.of_workload - set(properties.get("SubnetIds", ())):
        yield Finding(flow, f"endpoint {name}", "has no interface in some zone")
    for vpc, switches in topology.of_type("AWS::EC2::VPC"):
        for switch in ("EnableDnsSupport", "EnableDnsHostnames"):
            if switches.get(switch) is not True:
                yield Finding(flow, f"VPC {vpc}", f"{switch} is off, and private DNS needs it")


def _requests(name: str, properties: Mapping[str, Any], wanted: Demands) -> Iterator[Finding]:
    at_gateway = properties["VpcEndpointType"] == "Gateway"
    service = properties["ServiceName"].rsplit(".", 1)[-1]
    passing = _answers(wanted) if service == "s3" else _calls(service, wanted)
    refused = _strange_s3_calls(wanted) if service == "s3" else _strange_calls(service, wanted)
    policy = properties.get("PolicyDocument", {})
    for request in passing:
        if not allows(policy, request, at_gateway=at_gateway):
            yield Finding(f"{request.action} on {request.resource}", f"policy of {name}", "no statement lets it pass")
    for request in refused:
        if allows(policy, request, at_gateway=at_gateway):
            account = request.principal_account
            yield Finding(
                f"{request.action} on {request.resource}", f"policy of {name}", f"lets account {account} pass"
            )


def _calls(service: str, wanted: Demands, caller: str = "", owner: str = "") -> list[Request]:
    caller, owner = caller or wanted.account, owner or wanted.account
    return [
        Request(action, _arn(service, resource, owner, wanted.region), caller, owner)
        for action, resource in CALLS.get(service, ())
    ]


def _strange_calls(service: str, wanted: Demands) -> list[Request]:
    """Another account's credentials, carried into the VPC to take data out; and our own on its secrets and keys."""
    outward = [
        request
        for request in _calls(service, wanted, owner=STRANGER)
        if request.resource != "*"  # without a resource level nobody can tell whose it is
    ]
    return [*_calls(service, wanted, caller=STRANGER, owner=STRANGER), *outward]


def _answers(wanted: Demands) -> list[Request]:
    """Calls of S3: our own buckets, and the bucket that custom resources answer into."""
    return [*_bucket_calls("any", wanted.account, wanted.account, wanted), _answer(wanted)]


def _answer(wanted: Demands) -> Request:
    bucket = f"cloudformation-custom-resource-response-{wanted.region.replace('-', '')}"
    return Request("s3:PutObject", _bucket(f"{bucket}/any", wanted), AWS_ITSELF, AWS_ITSELF)


def _strange_s3_calls(wanted: Demands) -> list[Request]:
    """Data leaves by a bucket of somebody else as well as by somebody else's credentials."""
    own = wanted.account
    return [
        *_bucket_calls("strange", own, STRANGER, wanted),
        *_bucket_calls("strange", STRANGER, STRANGER, wanted),
        *_bucket_calls("any", STRANGER, own, wanted),
    ]


def _bucket_calls(bucket: str, caller: str, owner: str, wanted: Demands) -> list[Request]:
    return [
        Request("s3:GetObject", _bucket(f"{bucket}/any", wanted), caller, owner),
        Request("s3:PutObject", _bucket(f"{bucket}/any", wanted), caller, owner),
        Request("s3:ListBucket", _bucket(bucket, wanted), caller, owner),
    ]


def _bucket(path: str, wanted: Demands) -> str:
    return f"arn:{partition_of(wanted.region)}:s3:::{path}"


def _arn(service: str, resource: str, account: str, region: str) -> str:
    if resource == "*":
        return resource
    if service == "sts":
        return f"arn:{partition_of(region)}:iam::{account}:{resource}"
    return f"arn:{partition_of(region)}:{service}:{region}:{account}:{resource}"
