"""Checks that AWS's services answer through the endpoints: there, under their usual names, with policies that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from builders.evaluate import partition_of
from builders.reachability.endpoint_policies import Request, allows
from builders.reachability.flows import Demands
from builders.reachability.routes import FlowFinding
from builders.reachability.topology import Topology

STRANGER = "9" * 12
AWS_ITSELF = "0" * 12
"""The account of AWS that signs the answers' URLs and owns their bucket."""

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
        ("dms:DescribeCertificates", "*"),
        ("dms:DescribeEndpoints", "*"),
        ("dms:DescribeReplicationTasks", "*"),
        ("dms:DescribeTableStatistics", "task:ANY"),
    ),
    "monitoring": (("cloudwatch:PutMetricData", "*"),),
    "logs": (
        ("logs:CreateLogStream", "log-group:any:log-stream:any"),
        ("logs:PutLogEvents", "log-group:any:log-stream:any"),
    ),
    "kms": (("kms:Decrypt", "key/any"), ("kms:GenerateDataKey", "key/any")),
    "sts": (("sts:AssumeRole", "role/any"),),
}
"""The calls of the functions and of DMS, by service: the action, and the resource after the account in its ARN."""


def findings(topology: Topology, demands: Demands) -> Iterator[FlowFinding]:
    """Services that nobody in the VPC can call, and calls that should not pass."""
    there = {(properties["VpcEndpointType"], properties["ServiceName"]) for _, properties in _endpoints(topology)}
    for kind, service in (("Gateway", "s3"), *(("Interface", service) for service in demands.services)):
        if (kind, f"com.amazonaws.{demands.region}.{service}") not in there:
            yield FlowFinding(f"calls of {service}", "endpoints", f"there is no {kind.lower()} endpoint for it")
    for name, properties in _endpoints(topology):
        if properties["VpcEndpointType"] == "Interface":
            yield from _placement(name, properties, topology)
        yield from _requests(name, properties, demands)


def _endpoints(topology: Topology) -> Iterator[tuple[str, Mapping[str, Any]]]:
    return topology.of_type("AWS::EC2::VPCEndpoint")


def _placement(name: str, properties: Mapping[str, Any], topology: Topology) -> Iterator[FlowFinding]:
    flow = f"calls of {properties['ServiceName']}"
    if properties.get("PrivateDnsEnabled") is not True:
        yield FlowFinding(
            flow, f"endpoint {name}", "private DNS is off, so the service's name leads to its public address"
        )
    if topology.of_workload - set(properties.get("SubnetIds", ())):
        yield FlowFinding(flow, f"endpoint {name}", "has no interface in some zone")
    for vpc, switches in topology.of_type("AWS::EC2::VPC"):
        for switch in ("EnableDnsSupport", "EnableDnsHostnames"):
            if switches.get(switch) is not True:
                yield FlowFinding(flow, f"VPC {vpc}", f"{switch} is off, and private DNS needs it")


def _requests(name: str, properties: Mapping[str, Any], demands: Demands) -> Iterator[FlowFinding]:
    at_gateway = properties["VpcEndpointType"] == "Gateway"
    service = properties["ServiceName"].rsplit(".", 1)[-1]
    passing = _answers(demands) if service == "s3" else _calls(service, demands)
    refused = _strange_s3_calls(demands) if service == "s3" else _strange_calls(service, demands)
    policy = properties.get("PolicyDocument", {})
    for request in passing:
        if not allows(policy, request, at_gateway=at_gateway):
            yield FlowFinding(
                f"{request.action} on {request.resource}", f"policy of {name}", "no statement lets it pass"
            )
    for request in refused:
        if allows(policy, request, at_gateway=at_gateway):
            account = request.principal_account
            yield FlowFinding(
                f"{request.action} on {request.resource}", f"policy of {name}", f"lets account {account} pass"
            )


def _calls(service: str, demands: Demands, caller: str = "", owner: str = "") -> list[Request]:
    caller, owner = caller or demands.account, owner or demands.account
    return [
        Request(action, _arn(service, resource, owner, demands.region), caller, owner)
        for action, resource in CALLS.get(service, ())
    ]


def _strange_calls(service: str, demands: Demands) -> list[Request]:
    """Another account's credentials, carried into the VPC to take data out; and our own on its secrets and keys."""
    outward = [
        request
        for request in _calls(service, demands, owner=STRANGER)
        if request.resource != "*"  # without a resource level nobody can tell whose it is
    ]
    return [*_calls(service, demands, caller=STRANGER, owner=STRANGER), *outward]


def _answers(demands: Demands) -> list[Request]:
    """Calls of S3: results into a bucket of our own, and the answers of custom resources."""
    result = Request("s3:PutObject", _bucket("any/any", demands), demands.account, demands.account)
    return [result, _answer(demands)]


def _answer(demands: Demands) -> Request:
    bucket = f"cloudformation-custom-resource-response-{demands.region.replace('-', '')}"
    return Request("s3:PutObject", _bucket(f"{bucket}/any", demands), AWS_ITSELF, AWS_ITSELF)


def _strange_s3_calls(demands: Demands) -> list[Request]:
    """Data leaves by a bucket of somebody else as well as by somebody else's credentials."""
    own = demands.account
    return [
        *_bucket_calls("strange", own, STRANGER, demands),
        *_bucket_calls("strange", STRANGER, STRANGER, demands),
        *_bucket_calls("any", STRANGER, own, demands),
    ]


def _bucket_calls(bucket: str, caller: str, owner: str, demands: Demands) -> list[Request]:
    return [
        Request("s3:GetObject", _bucket(f"{bucket}/any", demands), caller, owner),
        Request("s3:PutObject", _bucket(f"{bucket}/any", demands), caller, owner),
        Request("s3:ListBucket", _bucket(bucket, demands), caller, owner),
    ]


def _bucket(path: str, demands: Demands) -> str:
    return f"arn:{partition_of(demands.region)}:s3:::{path}"


def _arn(service: str, resource: str, account: str, region: str) -> str:
    if resource == "*":
        return resource
    if service == "sts":
        return f"arn:{partition_of(region)}:iam::{account}:{resource}"
    return f"arn:{partition_of(region)}:{service}:{region}:{account}:{resource}"
