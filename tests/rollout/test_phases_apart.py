"""Whoever holds the policies of one phase reaches nothing of another, by whatever name, role or account he asks for.

Two phases stand on a cloud that evaluates IAM, each with the roles of its layers and a stack set. The operator of dev
has the policies of all commands but bootstrap, which makes roles and belongs to administrators.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from iam_decisions import allows

from builders import naming
from builders.cloud.clients import account_client
from builders.cloud.process import Cloud, running
from tools.permissions.commands import COMMANDS, command_grants, policy
from tools.permissions.grants import Identity, Names

TOOLING, NETWORK, REGION = "8" * 12, "9" * 12, "us-east-1"
ACCOUNTS = {"dev": "1" * 12, "prod": "3" * 12}
BUCKET = f"stackferry-{TOOLING}-{REGION}-tooling"
DEPLOY_ROLE = naming.ORGANIZATION_ROLE
LOOKING_OR_CHANGING = [command for command in COMMANDS if command != "bootstrap"]
BODY = json.dumps({"Resources": {"Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}}})


def names(phase: str) -> Names:
    account = ACCOUNTS[phase]
    role = naming.with_suffix(naming.DEPLOY_ROLE, phase)
    return Names(TOOLING, REGION, phase, account, DEPLOY_ROLE, sets=TOOLING, network=NETWORK, network_role=role)


def administration(phase: str) -> str:
    return f"arn:aws:iam::{TOOLING}:role/stackferry-administration-{phase}"


@dataclass(frozen=True)
class Phases:
    """The cloud, and clients of the operator of dev in the tooling account."""

    cloud: Cloud
    operator: dict[str, str]

    def of(self, service: str) -> Any:
        arguments = self.cloud.client_arguments(TOOLING) | self.operator
        return boto3.client(service, **arguments)

    @property
    def sets(self) -> Any:
        return self.of("cloudformation")

    def own_set(self, name: str, **more: str) -> dict[str, str]:
        """Make a stack set that the operator may make, and return its name."""
        roles = {"AdministrationRoleARN": administration("dev"), "ExecutionRoleName": "stackferry-execution-dev"}
        self.sets.create_stack_set(StackSetName=name, TemplateBody=BODY, **roles | more)
        return {"StackSetName": name}

    def allow(self, document: Any, name: str) -> None:
        iam = account_client(self.cloud, "iam", TOOLING)
        iam.put_user_policy(UserName="operator", PolicyName=name, PolicyDocument=json.dumps(document))

    def deploy_set(self, api: Any, name: str, account: str) -> dict[str, Any]:
        """Make the instance of a set in an account, and return it when the operation is over."""
        begun = api.create_stack_instances(StackSetName=name, Accounts=[account], Regions=[REGION])
        asked = {"StackSetName": name, "OperationId": begun["OperationId"]}
        deadline = time.monotonic() + 60
        while api.describe_stack_set_operation(**asked)["StackSetOperation"]["Status"] in ("QUEUED", "RUNNING"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        instance = {"StackInstanceAccount": account, "StackInstanceRegion": REGION}
        found: dict[str, Any] = api.describe_stack_instance(StackSetName=name, **instance)["StackInstance"]
        return found


@pytest.fixture(scope="module")
def phases() -> Iterator[Phases]:
    with running(authorize=True) as cloud:
        buckets = account_client(cloud, "s3", TOOLING)
        buckets.create_bucket(Bucket=BUCKET)
        for phase in ACCOUNTS:
            stand(cloud, phase)
            buckets.put_object(Bucket=BUCKET, Key=f"rollout/{phase}/run.json", Body=b"{}")
        iam = account_client(cloud, "iam", TOOLING)
        iam.create_user(UserName="operator")
        key = iam.create_access_key(UserName="operator")["AccessKey"]
        keys = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
        made = Phases(cloud, keys)
        for command in LOOKING_OR_CHANGING:
            made.allow(policy(command, names=names("dev")), command)
        owner = account_client(cloud, "cloudformation", TOOLING)
        for phase, account in ACCOUNTS.items():
            name = naming.stack_set("network", phase)
            roles = {
                "AdministrationRoleARN": administration(phase),
                "ExecutionRoleName": f"stackferry-execution-{phase}",
            }
            owner.create_stack_set(StackSetName=name, TemplateBody=BODY, **roles)
            assert made.deploy_set(owner, name, account)["Status"] == "CURRENT"
        yield made


def stand(cloud: Cloud, phase: str) -> None:
    """Make the roles of a phase, by its layers, and a deploy role as Organizations makes it."""
    common = {
        "EnvironmentSuffix": phase,
        "MigrationPhase": phase,
        "CostCenter": "payments",
        "ComplianceScope": "PCI-DSS",
    }
    deploy(cloud, TOOLING, "administration", common)
    without = dict.fromkeys(("CreateDmsVpcRole", "CreateDmsLogsRole"), "false")
    own = {"ToolingAccountId": TOOLING, "CreateExecutionRole": "true", "AdministrationRoleArn": administration(phase)}
    deploy(cloud, ACCOUNTS[phase], "account", common | without | own)
    statement = {"Effect": "Allow", "Principal": {"AWS": TOOLING}, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    account_client(cloud, "iam", ACCOUNTS[phase]).create_role(RoleName=DEPLOY_ROLE, AssumeRolePolicyDocument=trust)


def deploy(cloud: Cloud, account: str, layer: str, values: dict[str, str]) -> None:
    api = account_client(cloud, "cloudformation", account)
    name = naming.plain_stack(layer, values["EnvironmentSuffix"])
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    body = Path(f"templates/{layer}.json").read_text(encoding="utf-8")
    api.create_stack(StackName=name, TemplateBody=body, Parameters=given, Capabilities=["CAPABILITY_NAMED_IAM"])
    api.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


# The table


SHARED = {
    "*",
    "arn:{aws}:cloudformation:*:*:type/resource/*",
    "arn:{aws}:cloudformation:*:{tooling}:stack/artifacts-*/*",
    "arn:{aws}:iam::{network}:role/{network_role}",
    "arn:{aws}:iam::{tooling}:role/*",
    "arn:{aws}:organizations::*:ou/*",
    "arn:{aws}:organizations::*:root/*",
    "arn:{aws}:s3:::stackferry-{tooling}-*",
    "arn:{aws}:s3:::stackferry-{tooling}-*/*.zip",
    "arn:{aws}:s3:::stackferry-{tooling}-*/rollout/content/*",
}
"""Resources of the policies that belong to no phase."""


def is_of_a_phase(resource: str) -> bool:
    return any(f"{{{each}}}" in resource for each in ("suffix", "account", "deploy_role"))


def test_what_all_phases_have_in_common_is_known() -> None:
    named = {
        resource
        for command in COMMANDS
        for grant in command_grants(command, Identity.CALLER)
        for resource in grant.resources
    }
    assert {each for each in named if not is_of_a_phase(each)} == SHARED


@pytest.mark.parametrize("command", COMMANDS)
def test_a_policy_allows_nothing_that_belongs_to_another_phase(command: str) -> None:
    document = policy(command, names=names("dev"))
    crossing = [
        (action, resource)
        for grant in command_grants(command, Identity.CALLER)
        for resource in grant.resources
        if is_of_a_phase(resource)
        for action in grant.actions
        if allows(
            [document], action, names("prod").fill(resource).replace("*", "x"), f"arn:aws:iam::{TOOLING}:user/x", {}
        )
    ]
    assert crossing == []


# What the operator of dev tries on prod


PROD_SET = "stackferry-network-prod"
IN_PROD: dict[str, Any] = {"StackSetName": PROD_SET, "Accounts": [ACCOUNTS["prod"]], "Regions": [REGION]}
OF_PROD = {"StackSetName": PROD_SET, "OperationId": "an-operation"}
WHOLE = {"StackSetName": PROD_SET, "TemplateBody": BODY, "AdministrationRoleARN": administration("prod")}
INSTANCE = {"StackSetName": PROD_SET, "StackInstanceAccount": ACCOUNTS["prod"], "StackInstanceRegion": REGION}
RUN = {"Bucket": BUCKET, "Key": "rollout/prod/run.json"}
ASSUMED = f"arn:aws:iam::{ACCOUNTS['prod']}:role/"

TRIED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cloudformation:CreateStackInstances": ("cloudformation", "create_stack_instances", IN_PROD),
    "cloudformation:CreateStackSet": ("cloudformation", "create_stack_set", WHOLE | {"StackSetName": f"{PROD_SET}-2"}),
    "cloudformation:DeleteStackInstances": (
        "cloudformation",
        "delete_stack_instances",
        IN_PROD | {"RetainStacks": True},
    ),
    "cloudformation:DeleteStackSet": ("cloudformation", "delete_stack_set", {"StackSetName": PROD_SET}),
    "cloudformation:DescribeStackInstance": ("cloudformation", "describe_stack_instance", INSTANCE),
    "cloudformation:DescribeStackSet": ("cloudformation", "describe_stack_set", {"StackSetName": PROD_SET}),
    "cloudformation:DescribeStackSetOperation": ("cloudformation", "describe_stack_set_operation", OF_PROD),
    "cloudformation:DescribeStacks": ("cloudformation", "describe_stacks", {"StackName": "administration-prod"}),
    "cloudformation:DetectStackSetDrift": ("cloudformation", "detect_stack_set_drift", {"StackSetName": PROD_SET}),
    "cloudformation:GetTemplate": ("cloudformation", "get_template", {"StackName": "administration-prod"}),
    "cloudformation:ImportStacksToStackSet": (
        "cloudformation",
        "import_stacks_to_stack_set",
        {"StackSetName": PROD_SET, "StackIds": ["arn:aws:cloudformation:us-east-1:333333333333:stack/network-prod/1"]},
    ),
    "cloudformation:ListStackInstanceResourceDrifts": (
        "cloudformation",
        "list_stack_instance_resource_drifts",
        INSTANCE | {"OperationId": "an-operation"},
    ),
    "cloudformation:ListStackInstances": ("cloudformation", "list_stack_instances", {"StackSetName": PROD_SET}),
    "cloudformation:ListStackSetOperationResults": ("cloudformation", "list_stack_set_operation_results", OF_PROD),
    "cloudformation:ListStackSetOperations": (
        "cloudformation",
        "list_stack_set_operations",
        {"StackSetName": PROD_SET},
    ),
    "cloudformation:UpdateStackInstances": ("cloudformation", "update_stack_instances", IN_PROD),
    "cloudformation:UpdateStackSet": ("cloudformation", "update_stack_set", WHOLE),
    "iam:PassRole": ("cloudformation", "create_stack_set", WHOLE | {"StackSetName": "stackferry-theirs-dev"}),
    "s3:GetObject": ("s3", "get_object", RUN),
    "s3:GetObjectVersion": ("s3", "get_object", RUN | {"VersionId": "an-older-one"}),
    "s3:PutObject": ("s3", "put_object", RUN | {"Body": b"{}"}),
    "sts:AssumeRole": (
        "sts",
        "assume_role",
        {"RoleArn": f"{ASSUMED}stackferry-plan-prod", "RoleSessionName": "mallory"},
    ),
}
"""An attempt of each action: the service, the operation of boto3, and what is asked for."""

NOT_OF_A_PHASE = {
    # Asked of no set, role or object in particular.
    "cloudformation:DescribeOrganizationsAccess",
    "cloudformation:ListStackSets",
    "organizations:DescribeOrganization",
    "organizations:ListAccounts",
    "organizations:ListAccountsForParent",
    "organizations:ListDelegatedAdministrators",
    "organizations:ListOrganizationalUnitsForParent",
    "s3:ListBucket",
    "servicequotas:ListServiceQuotas",
    # doctor reads the roles of the tooling account, which change nothing by being read.
    "iam:GetRole",
    "iam:SimulatePrincipalPolicy",
    # Implied by other actions on the same resources.
    "cloudformation:TagResource",
    "cloudformation:UntagResource",
    "sts:SetSourceIdentity",
}


def refusal(call: Callable[..., Any], **request: Any) -> str:
    """AWS's code and sentence."""
    with pytest.raises(ClientError) as refused:
        call(**request)
    error = refused.value.response["Error"]
    return f"{error['Code']}: {error['Message']}"


def test_every_action_of_the_operator_is_tried_on_the_other_phase() -> None:
    allowed = {
        action
        for command in LOOKING_OR_CHANGING
        for grant in command_grants(command, Identity.CALLER)
        for action in grant.actions
    }
    assert set(TRIED) == allowed - NOT_OF_A_PHASE


@pytest.mark.parametrize("action", TRIED)
def test_the_operator_is_refused_by_the_other_phase(phases: Phases, action: str) -> None:
    service, operation, request = TRIED[action]
    told = refusal(getattr(phases.of(service), operation), **request)
    assert told.startswith("AccessDenied: ")
    assert f"not authorized to perform: {action}" in told


@pytest.mark.parametrize(
    "role",
    [
        f"{ASSUMED}stackferry-plan-dev",
        f"{ASSUMED}stackferry-execution-prod",
        f"{ASSUMED}stackferry-execution-dev",
        f"{ASSUMED}{DEPLOY_ROLE}",
        f"{ASSUMED}stackferry-plan-dev/../stackferry-plan-prod",
        administration("dev"),
        administration("prod"),
        f"arn:aws:iam::{NETWORK}:role/stackferry-deploy-prod",
    ],
)
def test_the_operator_assumes_no_role_of_the_other_phase_by_any_name(phases: Phases, role: str) -> None:
    told = refusal(phases.of("sts").assume_role, RoleArn=role, RoleSessionName="mallory")
    assert "not authorized to perform: sts:AssumeRole" in told or told.startswith("ValidationError")


@pytest.mark.parametrize("suffix", ["prod", "dev2", "dev-prod", "devprod", "eu-prod"])
def test_the_operator_makes_no_set_whose_name_ends_otherwise(phases: Phases, suffix: str) -> None:
    roles = {"AdministrationRoleARN": administration("dev"), "ExecutionRoleName": "stackferry-execution-dev"}
    name = f"stackferry-network-{suffix}"
    told = refusal(phases.sets.create_stack_set, StackSetName=name, TemplateBody=BODY, **roles)
    assert "not authorized to perform: cloudformation:CreateStackSet" in told


@pytest.mark.parametrize(
    "role",
    [
        administration("prod"),
        administration("tooling"),
        f"arn:aws:iam::{TOOLING}:role/{naming.DEFAULT_ADMINISTRATION_ROLE}",
        "",
    ],
)
@pytest.mark.parametrize("operation", ["create_stack_set", "update_stack_set"])
def test_the_operator_passes_no_other_administration_role(phases: Phases, operation: str, role: str) -> None:
    name = "stackferry-network-dev" if operation == "update_stack_set" else "stackferry-theirs-dev"
    given = {"AdministrationRoleARN": role} if role else {}
    told = refusal(getattr(phases.sets, operation), StackSetName=name, TemplateBody=BODY, **given)
    assert "not authorized to perform: iam:PassRole" in told


@pytest.mark.parametrize("execution", ["dev", "prod"])
def test_a_set_of_the_operator_reaches_no_account_of_the_other_phase(phases: Phases, execution: str) -> None:
    own = phases.own_set(f"stackferry-reach{execution}-dev", ExecutionRoleName=f"stackferry-execution-{execution}")
    told = refusal(phases.sets.create_stack_instances, **own, Accounts=[ACCOUNTS["prod"]], Regions=[REGION])
    assert "not authorized to perform: cloudformation:CreateStackInstances" in told


@pytest.mark.parametrize("execution", ["dev", "prod"])
def test_where_a_policy_names_no_targets_the_administration_role_stops_at_its_own_phase(
    phases: Phases, execution: str
) -> None:
    """Self-managed sets alone: those of Organizations use no role of ours."""
    target = f"arn:aws:cloudformation:*:{TOOLING}:stackset-target/stackferry-*-dev:*"
    allowed = {"Effect": "Allow", "Action": "cloudformation:CreateStackInstances", "Resource": target}
    phases.allow({"Version": "2012-10-17", "Statement": [allowed]}, "targets")
    name = f"stackferry-wide{execution}-dev"
    phases.own_set(name, ExecutionRoleName=f"stackferry-execution-{execution}")
    instance = phases.deploy_set(phases.sets, name, ACCOUNTS["prod"])
    account_client(phases.cloud, "iam", TOOLING).delete_user_policy(UserName="operator", PolicyName="targets")
    assert instance["Status"] == "OUTDATED"
    role = f"stackferry-execution-{execution}"
    assert f"Account {ACCOUNTS['prod']} should have '{role}' role with trust relationship" in instance["StatusReason"]


def test_a_set_of_organizations_is_confined_by_the_targets_of_the_policy(phases: Phases) -> None:
    """StackSets' own roles have AdministratorAccess in every account of the organization."""
    document = policy("apply", names=names("dev"))
    target = f"arn:aws:cloudformation:us-east-1:{TOOLING}:stackset-target/stackferry-theirs-dev:1"
    principal = f"arn:aws:iam::{TOOLING}:user/operator"
    reached = [
        each
        for each in (ACCOUNTS["dev"], ACCOUNTS["prod"], "r-ab12", "ou-ab12-cdef3456")
        if allows([document], "cloudformation:CreateStackInstances", f"{target}/{each}", principal, {})
    ]
    assert reached == [ACCOUNTS["dev"]]
