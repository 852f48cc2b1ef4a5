"""The endpoints layer: services that have a caller, narrow policies, and custom resources that can always answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders import catalog
from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

Deploy = Callable[..., Evaluated]

GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
IMPORTS = {
    "network-VpcId-dev": "vpc-1",
    "network-PrivateSubnetIds-dev": "subnet-a,subnet-b,subnet-c",
    "network-PrivateRouteTableIds-dev": "rtb-a,rtb-b",
    "network-EndpointSecurityGroupId-dev": "sg-endpoints",
}
ELSEWHERE = "2" * 12
AWS_ITSELF = "0" * 12
OPTIONAL = {
    "MonitoringEndpoint": "monitoring",
    "LogsEndpoint": "logs",
    "KmsEndpoint": "kms",
    "StsEndpoint": "sts",
}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda region="us-east-1", **chosen: evaluate(
        template("endpoints"), GIVEN | chosen, imports=IMPORTS, region=region
    )


@pytest.fixture
def s3_lets(deploy: Deploy) -> Callable[..., bool]:
    """Asks the emulator's IAM evaluator whether the policy of the S3 gateway lets a call of `caller` pass."""

    def lets(action: str, resource: str, *, caller: str, region: str = "us-east-1") -> bool:
        policy = deploy(region).resources["S3Endpoint"]["Properties"]["PolicyDocument"]
        request = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{caller}:assumed-role/Anybody/session",
            principal_type="AssumedRole",
            principal_account=caller,
            action=action,
            resource_arn=resource,
            region=region,
        )
        return bool(iam_evaluator.evaluate_resource_policy(policy, request).decision == "Allow")

    return lets


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("endpoints")


def test_secrets_manager_and_dms_are_always_there_and_s3_is_a_gateway(deploy: Deploy) -> None:
    kinds = {
        (body["Properties"]["ServiceName"], body["Properties"]["VpcEndpointType"])
        for body in deploy().resources.values()
    }
    assert kinds == {
        ("com.amazonaws.us-east-1.secretsmanager", "Interface"),
        ("com.amazonaws.us-east-1.dms", "Interface"),
        ("com.amazonaws.us-east-1.s3", "Gateway"),
    }


@pytest.mark.parametrize(("title", "service"), OPTIONAL.items())
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_another_service_has_an_endpoint_where_the_parameter_asks_for_it(
    deploy: Deploy, title: str, service: str, wanted: str
) -> None:
    services = [body["Properties"]["ServiceName"] for body in deploy(**{f"{title}Enabled": wanted}).resources.values()]
    assert (f"com.amazonaws.us-east-1.{service}" in services) is (wanted == "true")


@pytest.mark.parametrize("title", ["SecretsManagerEndpoint", "DmsEndpoint", *OPTIONAL])
def test_an_interface_endpoint_stands_in_every_zone_under_the_service_s_own_name(deploy: Deploy, title: str) -> None:
    properties = deploy(**{f"{other}Enabled": "true" for other in OPTIONAL}).resources[title]["Properties"]
    assert properties["SubnetIds"] == ["subnet-a", "subnet-b", "subnet-c"]
    assert properties["SecurityGroupIds"] == ["sg-endpoints"]
    assert properties["PrivateDnsEnabled"] is True


@pytest.mark.parametrize("title", ["SecretsManagerEndpoint", "DmsEndpoint", *OPTIONAL])
def test_the_policy_of_an_interface_names_this_account_and_actions_without_a_wildcard(
    deploy: Deploy, title: str
) -> None:
    resources = deploy(**{f"{other}Enabled": "true" for other in OPTIONAL}).resources
    for statement in resources[title]["Properties"]["PolicyDocument"]["Statement"]:
        assert statement["Principal"] == {"AWS": [f"arn:aws:iam::{HERE}:root"]}
        assert [action for action in statement["Action"] if "*" in action] == []


@pytest.mark.parametrize("layer", catalog.layer_names())
def test_what_functions_in_the_vpc_may_call_passes_the_endpoints(
    template: Callable[[str], dict[str, Any]], deploy: Deploy, layer: str
) -> None:
    endpoints = deploy().resources
    passing = {
        action
        for title in ("SecretsManagerEndpoint", "DmsEndpoint")
        for statement in endpoints[title]["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    called = {
        action for action in granted_to_functions(template(layer)) if action.startswith(("secretsmanager:", "dms:"))
    }
    assert called - passing == set()


def test_each_right_in_a_policy_of_an_endpoint_has_a_caller(
    template: Callable[[str], dict[str, Any]], deploy: Deploy
) -> None:
    """A right that nobody uses is a way out that nobody watches."""
    optional = {f"{title}Enabled": "true" for title in OPTIONAL}
    passing = {
        action
        for body in deploy(**optional).resources.values()
        for statement in body["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }
    of_functions = {action for layer in catalog.layer_names() for action in granted_to_functions(template(layer))}
    of_others = {
        "s3:PutObject",  # the answers of custom resources, and DMS with the results of an assessment
        # What the parameters MonitoringEndpointEnabled and StsEndpointEnabled ask for, for functions of the user's own.
        "cloudwatch:PutMetricData",
        "sts:AssumeRole",
    }
    assert passing - of_functions == of_others


def granted_to_functions(template: dict[str, Any]) -> set[str]:
    """The actions that a template's policies allow to roles that functions take."""
    bodies = template["Resources"]
    roles = {
        name
        for name, body in bodies.items()
        if body["Type"] == "AWS::IAM::Role" and "lambda.amazonaws.com" in json.dumps(body["Properties"])
    }
    return {
        action
        for body in bodies.values()
        if body["Type"] == "AWS::IAM::ManagedPolicy"
        and roles & {role["Ref"] for role in body["Properties"].get("Roles", [])}
        for statement in body["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }


def test_s3_is_routed_from_every_private_table(deploy: Deploy) -> None:
    assert deploy().resources["S3Endpoint"]["Properties"]["RouteTableIds"] == ["rtb-a", "rtb-b"]


def test_the_policy_of_the_gateway_names_no_principal_since_that_would_mean_root_alone(deploy: Deploy) -> None:
    statements = deploy().resources["S3Endpoint"]["Properties"]["PolicyDocument"]["Statement"]
    assert [statement["Principal"] for statement in statements] == ["*", "*"]


@pytest.mark.parametrize(
    ("region", "bucket"),
    [
        ("us-east-1", "cloudformation-custom-resource-response-useast1"),
        ("ap-southeast-2", "cloudformation-custom-resource-response-apsoutheast2"),
    ],
)
def test_a_custom_resource_answers_by_a_url_that_aws_signed(
    s3_lets: Callable[..., bool], region: str, bucket: str
) -> None:
    answer = f"arn:aws:s3:::{bucket}/stack/resource"
    assert s3_lets("s3:PutObject", answer, caller=AWS_ITSELF, region=region)


def test_the_bucket_for_answers_gives_nothing_away(s3_lets: Callable[..., bool]) -> None:
    answer = "arn:aws:s3:::cloudformation-custom-resource-response-useast1/stack/resource"
    assert not s3_lets("s3:GetObject", answer, caller=AWS_ITSELF)


@pytest.mark.parametrize(
    ("caller", "owner", "passes"),
    [(HERE, HERE, True), (HERE, ELSEWHERE, False), (ELSEWHERE, HERE, False), (ELSEWHERE, ELSEWHERE, False)],
)
def test_results_of_assessments_go_from_this_account_into_its_own_buckets_alone(
    s3_lets: Callable[..., bool], caller: str, owner: str, passes: bool
) -> None:
    # The evaluator takes a resource's owner from its ARN, where S3's have no account.
    assert s3_lets("s3:PutObject", f"arn:aws:s3::{owner}:some-bucket/key", caller=caller) is passes


def test_nothing_is_read_from_a_bucket_through_the_gateway(s3_lets: Callable[..., bool]) -> None:
    assert not s3_lets("s3:GetObject", f"arn:aws:s3::{HERE}:some-bucket/key", caller=HERE)
