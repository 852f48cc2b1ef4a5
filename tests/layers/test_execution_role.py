"""The execution role of `account`: what it may, what it may not, and whom it trusts.

The policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from iam_decisions import allows as policies_allow
from ministack.core import iam_evaluator

from builders import catalog, naming
from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate
from builders.layers._execution import registry
from builders.layers._execution.actions import CONFINED, EVERYWHERE
from builders.scopes import Scope

Deploy = Callable[..., Evaluated]
May = Callable[..., bool]

TOOLING, STRANGER = "2" * 12, "3" * 12
ADMINISTRATION = f"arn:aws:iam::{TOOLING}:role/stackferry-administration-dev"
GATEWAY_ROLE = f"arn:aws:iam::{STRANGER}:role/AcceptsAssociations"
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "CreateDmsVpcRole": "true",
    "CreateDmsLogsRole": "true",
    "ToolingAccountId": TOOLING,
    "CreateExecutionRole": "true",
    "AdministrationRoleArn": ADMINISTRATION,
}
STACK_SET = "StackSet-stackferry"
MOST_CHARACTERS = 6144
"""Of one managed policy, without spaces (IAM user guide, "IAM and AWS STS quotas")."""


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("account"), GIVEN | chosen)


def policies_of(deployed: Evaluated) -> Iterator[tuple[str, dict[str, Any]]]:
    """The names and documents of the policies that the role has."""
    for name, body in deployed.resources.items():
        if body["Type"] == "AWS::IAM::ManagedPolicy" and body["Properties"].get("Roles") == ["${ExecutionRole}"]:
            yield name, body["Properties"]["PolicyDocument"]


@pytest.fixture
def may(deploy: Deploy) -> May:
    """Asks the role's policies about a call."""

    def may(action: str, resource: str, chosen: dict[str, str] | None = None, **context: str) -> bool:
        documents = [document for _, document in policies_of(deploy(**(chosen or {})))]
        named = {key.replace("__", ":"): value for key, value in context.items()}
        session = f"arn:aws:sts::{HERE}:assumed-role/stackferry-execution-dev/session"
        return policies_allow(documents, action, resource, session, named)

    return may


def arn(service: str, resource: str, account: str = HERE, region: str = "eu-central-1") -> str:
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def role(name: str) -> str:
    return f"arn:aws:iam::{HERE}:role/{name}"


# Where it is made


def test_it_is_made_only_where_self_managed_stack_sets_deploy(deploy: Deploy) -> None:
    made = deploy(CreateExecutionRole="false", AdministrationRoleArn="").resources
    assert [name for name in made if name.startswith("Execution")] == []


def test_it_is_called_as_the_administration_role_expects(deploy: Deploy) -> None:
    assert deploy().resources["ExecutionRole"]["Properties"]["RoleName"] == "stackferry-execution-dev"


def test_without_the_role_that_it_trusts_it_is_refused(deploy: Deploy) -> None:
    assert deploy(AdministrationRoleArn="").failed_rules == (
        "CreateExecutionRole=true needs AdministrationRoleArn, the output of administration in the tooling account",
    )


@pytest.mark.parametrize(
    ("caller", "is_trusted"),
    [
        (ADMINISTRATION, True),
        (f"arn:aws:iam::{TOOLING}:role/Developer", False),
        (ADMINISTRATION.replace(TOOLING, STRANGER), False),
        (f"arn:aws:iam::{HERE}:role/Administrator", False),
    ],
)
def test_the_administration_role_assumes_it_and_nobody_else_of_that_account(
    deploy: Deploy, caller: str, is_trusted: bool
) -> None:
    trust = deploy().resources["ExecutionRole"]["Properties"]["AssumeRolePolicyDocument"]
    account = caller.split(":")[4]
    context = iam_evaluator.EvalContext(caller, "AssumedRole", account, "sts:AssumeRole", "*", "")
    assert bool(iam_evaluator.evaluate_trust_policy(trust, caller, context)) is is_trusted


def test_the_trust_names_the_account_so_that_a_remade_administration_role_is_no_stranger(deploy: Deploy) -> None:
    """IAM keeps the unique id of a role that a trust names as principal, and the next one has another."""
    (statement,) = deploy().resources["ExecutionRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"AWS": [f"arn:aws:iam::{TOOLING}:root"]}


# What it may


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("cloudformation:CreateStack", arn("cloudformation", f"stack/{STACK_SET}-network-dev-0f1e/2d3c")),
        ("cloudformation:BatchDescribeTypeConfigurations", "*"),
        ("cloudformation:DescribeStacks", "*"),
        ("cloudformation:ListStacks", "*"),
        ("ec2:CreateVpc", arn("ec2", "vpc/*")),
        ("ec2:CreateNetworkInterfacePermission", arn("ec2", "network-interface/eni-0")),
        ("ec2:DescribeNetworkInterfaceAttribute", "*"),
        ("logs:PutLogGroupDeletionProtection", arn("logs", "log-group:/aws/rds/instance/stackferry-database-dev/x")),
        ("ec2:CreateTransitGatewayVpcAttachment", arn("ec2", "transit-gateway/tgw-0", account=STRANGER)),
        ("rds:CreateDBInstance", arn("rds", "db:stackferry-database-dev")),
        ("rds:CreateDBSubnetGroup", arn("rds", "subgrp:stackset-stackferry-database-dev-0f1e-databasesubnets")),
        ("dms:CreateReplicationTask", arn("dms", "task:ferry-task-dev")),
        ("dms:DescribeReplicationInstances", "*"),
        ("lambda:CreateFunction", arn("lambda", f"function:{STACK_SET}-rot-RotationFunction-1A2B")),
        ("iam:CreateRole", role(f"{STACK_SET}-rota-RotationRole-1A2B")),
        ("iam:CreateRole", role("stackferry-operator-eu-central-1-dev")),
        ("iam:CreateRole", role("stackferry-migration-eu-central-1-dev")),
        ("kms:CreateKey", "*"),
        ("kms:CreateAlias", arn("kms", "alias/stackferry-dev")),
        ("logs:CreateLogGroup", arn("logs", "log-group:/aws/rds/instance/stackferry-database-dev/postgresql:*")),
        ("logs:CreateLogGroup", arn("logs", "log-group:dms-tasks-stackferry-replication-dev")),
        ("events:PutRule", arn("events", f"rule/{STACK_SET}-monitoring-dev-Rule-1A2B")),
        ("sns:CreateTopic", arn("sns", f"{STACK_SET}-foundation-dev-NotificationTopic-1A2B")),
        ("cloudwatch:PutMetricAlarm", arn("cloudwatch", f"alarm:{STACK_SET}-monitoring-dev-LagAlarm-1A2B")),
        ("cloudwatch:PutDashboard", f"arn:aws:cloudwatch::{HERE}:dashboard/stackferry-eu-central-1-dev"),
        ("s3:GetObject", f"arn:aws:s3:::stackferry-{TOOLING}-eu-central-1-tooling/secret_rotation/0f1e.zip"),
    ],
)
def test_it_makes_what_a_phase_is_made_of(may: May, action: str, resource: str) -> None:
    assert may(action, resource)


@pytest.mark.parametrize("service", sorted(CONFINED | EVERYWHERE))
def test_every_action_that_the_resources_need_is_granted_somewhere(deploy: Deploy, service: str) -> None:
    granted = {
        action
        for _, document in policies_of(deploy(DirectConnectGatewayRoleArn=GATEWAY_ROLE))
        for statement in document["Statement"]
        for action in statement["Action"]
    }
    needed = {f"{service}:{action}" for action in (*CONFINED.get(service, ()), *EVERYWHERE.get(service, ()))}
    assert needed - granted == set()


# What it may not


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("cloudformation:UpdateStack", arn("cloudformation", "stack/payroll/2d3c")),
        ("cloudformation:DeleteStack", arn("cloudformation", "stack/StackSet-payroll-0f1e/2d3c")),
        (
            "cloudformation:UpdateTerminationProtection",
            arn("cloudformation", f"stack/{STACK_SET}-database-prod-0f1e/2d3c"),
        ),
        ("rds:DeleteDBInstance", arn("rds", "db:payroll")),
        ("rds:DeleteDBSnapshot", arn("rds", "snapshot:stackset-stackferry-database-dev")),
        ("lambda:InvokeFunction", arn("lambda", "function:payroll")),
        ("lambda:UpdateFunctionCode", arn("lambda", "function:payroll")),
        ("logs:DeleteLogGroup", arn("logs", "log-group:/aws/cloudtrail")),
        ("events:DeleteRule", arn("events", "rule/payroll")),
        ("sns:SetTopicAttributes", arn("sns", "payroll")),
        ("kms:DeleteAlias", arn("kms", "alias/payroll")),
        ("ec2:AttachInternetGateway", arn("ec2", "internet-gateway/igw-0")),
        ("ec2:CreateVpc", arn("ec2", "vpc/*", account=STRANGER)),
        ("s3:GetObject", f"arn:aws:s3:::stackferry-{TOOLING}-eu-central-1-tooling/rollout/prod/run.json"),
        ("s3:GetObject", "arn:aws:s3:::payroll/code.zip"),
        ("s3:PutObject", f"arn:aws:s3:::stackferry-{TOOLING}-eu-central-1-tooling/secret_rotation/0f1e.zip"),
        ("sts:AssumeRole", GATEWAY_ROLE),
    ],
)
def test_it_touches_nothing_else_of_the_account(may: May, action: str, resource: str) -> None:
    assert not may(action, resource)


@pytest.mark.parametrize(
    "action", ["iam:CreateRole", "iam:UpdateAssumeRolePolicy", "iam:AttachRolePolicy", "iam:DeleteRole", "iam:PassRole"]
)
@pytest.mark.parametrize("name", ["stackferry-execution-dev", "stackferry-plan-dev", "Administrator", "dms-vpc-role"])
def test_it_changes_and_passes_no_role_but_the_phase_s_own(may: May, action: str, name: str) -> None:
    context = {
        "iam__policyarn": f"arn:aws:iam::{HERE}:policy/{STACK_SET}-rotation-dev-Policy-1A2B",
        "iam__passedtoservice": "lambda.amazonaws.com",
    }
    assert not may(action, role(name), **context)


@pytest.mark.parametrize("name", ["ExecutionStacksPolicy", "AdministratorAccess"])
@pytest.mark.parametrize("action", ["iam:CreatePolicyVersion", "iam:DeletePolicy"])
def test_it_does_not_widen_its_own_policies(may: May, action: str, name: str) -> None:
    assert not may(action, f"arn:aws:iam::{HERE}:policy/account-dev-{name}-1A2B")


@pytest.mark.parametrize(
    ("policy", "is_allowed"),
    [
        (f"arn:aws:iam::{HERE}:policy/{STACK_SET}-rotation-dev-Policy-1A2B", True),
        ("arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole", True),
        ("arn:aws:iam::aws:policy/AdministratorAccess", False),
    ],
)
def test_it_gives_roles_only_the_policies_of_the_phase(may: May, policy: str, is_allowed: bool) -> None:
    assert may("iam:AttachRolePolicy", role(f"{STACK_SET}-Role-1A2B"), iam__policyarn=policy) is is_allowed


@pytest.mark.parametrize(
    ("service", "is_allowed"),
    [
        ("lambda.amazonaws.com", True),
        ("monitoring.rds.amazonaws.com", True),
        ("vpc-flow-logs.amazonaws.com", True),
        ("dms.eu-central-1.amazonaws.com", True),
        ("ec2.amazonaws.com", False),
        ("cloudformation.amazonaws.com", False),
    ],
)
def test_it_passes_roles_only_to_the_services_of_a_phase(may: May, service: str, is_allowed: bool) -> None:
    assert may("iam:PassRole", role(f"{STACK_SET}-Role-1A2B"), iam__passedtoservice=service) is is_allowed


def test_every_service_that_a_phase_s_roles_trust_can_be_given_them(
    may: May, template: Callable[[str], dict[str, Any]]
) -> None:
    phase = [name for name in catalog.layer_names() if catalog.load(name).scope is Scope.PHASE]
    trusted = {
        service if isinstance(service, str) else service["Fn::Sub"].replace("${AWS::Region}", "eu-central-1")
        for layer in phase
        for body in template(layer)["Resources"].values()
        if body["Type"] == "AWS::IAM::Role"
        for statement in body["Properties"]["AssumeRolePolicyDocument"].get("Statement", [])  # else no service's role
        for service in statement["Principal"].get("Service", [])
    }
    passed = role(f"{STACK_SET}-Role-1A2B")
    assert [name for name in trusted if not may("iam:PassRole", passed, iam__passedtoservice=name)] == []


@pytest.mark.parametrize(("suffix", "is_allowed"), [("dev", True), ("prod", False), ("", False)])
def test_it_reads_the_secrets_that_bear_the_tag_of_its_phase(may: May, suffix: str, is_allowed: bool) -> None:
    """The secret that opens the source on-premises bears none."""
    context = {"aws__resourcetag/environment": suffix} if suffix else {}
    secret = arn("secretsmanager", "secret:DatabaseSecret-1A2B3C-AbCdEf")
    assert may("secretsmanager:GetSecretValue", secret, **context) is is_allowed


def test_it_looks_at_the_secrets_that_endpoints_of_dms_name_and_reads_none_that_was_brought(may: May) -> None:
    """DMS asks for the secret of an endpoint as whoever makes the endpoint; the source's has a name of its own."""
    assert "secretsmanager:DescribeSecret" in set(registry.handler_actions("AWS::DMS::Endpoint"))
    source = arn("secretsmanager", "secret:on-premises-payments-AbCdEf")
    assert may("secretsmanager:DescribeSecret", source)
    assert not may("secretsmanager:GetSecretValue", source)


@pytest.mark.parametrize(
    ("service", "is_allowed"),
    [("secretsmanager.eu-central-1.amazonaws.com", True), ("s3.eu-central-1.amazonaws.com", False), ("", False)],
)
def test_it_uses_keys_through_the_services_of_a_phase_alone(may: May, service: str, is_allowed: bool) -> None:
    context = {"kms__viaservice": service} if service else {}
    assert may("kms:Decrypt", arn("kms", "key/0f1e2d3c"), **context) is is_allowed


OWN, FOREIGN = {"aws__resourcetag/environment": "dev"}, {"aws__resourcetag/environment": "prod"}


@pytest.mark.parametrize(
    ("action", "resource", "context", "is_allowed"),
    [
        ("secretsmanager:CreateSecret", "secret:DmsSecret-1A2B", {}, True),
        ("secretsmanager:CreateSecret", "secret:payroll", {}, False),
        ("secretsmanager:TagResource", "secret:DatabaseSecret-1A2B", {"aws__requesttag/environment": "dev"}, True),
        ("secretsmanager:TagResource", "secret:DatabaseSecret-1A2B", {"aws__requesttag/environment": "prod"}, False),
        ("secretsmanager:TagResource", "secret:DatabaseSecret-1A2B", FOREIGN, False),
        ("secretsmanager:TagResource", "secret:payroll", OWN, False),
        ("secretsmanager:UpdateSecret", "secret:DatabaseSecret-1A2B", OWN, True),
        ("secretsmanager:UpdateSecret", "secret:DatabaseSecret-1A2B", FOREIGN, False),
        ("secretsmanager:DeleteSecret", "secret:DatabaseSecret-1A2B", OWN, False),
        ("kms:PutKeyPolicy", "key/0f1e", OWN, True),
        ("kms:PutKeyPolicy", "key/0f1e", {**OWN, "kms__bypasspolicylockoutsafetycheck": "false"}, True),
        ("kms:PutKeyPolicy", "key/0f1e", {**OWN, "kms__bypasspolicylockoutsafetycheck": "true"}, False),
        ("kms:PutKeyPolicy", "key/0f1e", {**FOREIGN, "kms__bypasspolicylockoutsafetycheck": "false"}, False),
        ("kms:PutKeyPolicy", "key/0f1e", {"kms__bypasspolicylockoutsafetycheck": "false"}, False),
        ("kms:TagResource", "key/0f1e", {"aws__requesttag/environment": "dev"}, True),
        ("kms:TagResource", "key/0f1e", {**FOREIGN, "aws__requesttag/environment": "dev"}, False),
        ("kms:UntagResource", "key/0f1e", FOREIGN, False),
        ("kms:ScheduleKeyDeletion", "key/0f1e", OWN, False),
        ("kms:DisableKey", "key/0f1e", OWN, False),
    ],
)
def test_secrets_and_keys_are_the_phase_s_own_and_none_is_deleted(
    may: May, action: str, resource: str, context: dict[str, str], is_allowed: bool
) -> None:
    assert may(action, arn(action.partition(":")[0], resource), **context) is is_allowed


DELETED_BY = {"AWS::KMS::Key": "kms:ScheduleKeyDeletion", "AWS::SecretsManager::Secret": "secretsmanager:DeleteSecret"}


def test_what_the_role_may_not_delete_no_template_deletes(template: Callable[[str], dict[str, Any]]) -> None:
    """RetainExceptOnCreate would, after a first creation that failed, and the rollback would fail, too."""
    assert set(DELETED_BY.values()) <= registry.WITHHELD
    phase = [name for name in catalog.layer_names() if catalog.load(name).scope is Scope.PHASE]
    deleted = [
        f"{layer}: {name}"
        for layer in phase
        for name, body in template(layer)["Resources"].items()
        if body["Type"] in DELETED_BY and body.get("DeletionPolicy") != "Retain"
    ]
    assert deleted == []


def test_it_assumes_the_one_role_that_accepts_the_association_with_a_direct_connect_gateway(may: May) -> None:
    given = {"DirectConnectGatewayRoleArn": GATEWAY_ROLE}
    assert may("sts:AssumeRole", GATEWAY_ROLE, given)
    assert not may("sts:AssumeRole", GATEWAY_ROLE.replace("Accepts", "Other"), given)


# IAM's limits


def test_every_policy_fits_into_iam_s_limit_at_its_longest(deploy: Deploy) -> None:
    longest = "s" * naming.SUFFIX_MAX_LENGTH
    sizes = {
        name: len(json.dumps(document, separators=(",", ":")))
        for name, document in policies_of(deploy(EnvironmentSuffix=longest))
    }
    # A partition of GovCloud is seven characters longer in every ARN.
    reserve = {name: 7 * json.dumps(document).count("arn:aws") for name, document in policies_of(deploy())}
    assert {name: size for name, size in sizes.items() if size + reserve[name] > MOST_CHARACTERS} == {}


def test_a_role_takes_all_of_the_policies(deploy: Deploy) -> None:
    """Ten at most (IAM user guide, "IAM and AWS STS quotas")."""
    names = [name for name, _ in policies_of(deploy(DirectConnectGatewayRoleArn=GATEWAY_ROLE))]
    assert names == names[:10]
    assert {"ExecutionStacksPolicy", "ExecutionNetworkPolicy"} < set(names)
