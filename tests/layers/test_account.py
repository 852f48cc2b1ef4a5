"""The account layer: the roles that DMS finds by name, where the account lacks them, and a plan role that only looks.

Policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from iam_decisions import allows as policies_allow
from ministack.core import iam_evaluator

from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

Deploy = Callable[..., Evaluated]

TOOLING, STRANGER = "2" * 12, "3" * 12
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "CreateDmsVpcRole": "true",
    "CreateDmsLogsRole": "true",
    "ToolingAccountId": TOOLING,
}
STACK = "arn:aws:cloudformation:eu-central-1:{account}:stack/{name}/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
OURS = STACK.format(account=HERE, name="StackSet-stackferry-network-dev-1a2b3c")


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("account"), GIVEN | chosen)


@pytest.fixture
def roles(deploy: Deploy) -> dict[str, dict[str, Any]]:
    """The properties of every role, by its logical id."""
    made = deploy().resources.items()
    return {title: body["Properties"] for title, body in made if body["Type"] == "AWS::IAM::Role"}


@pytest.fixture
def may_assume(roles: dict[str, dict[str, Any]]) -> Callable[..., bool]:
    """Asks a role's trust about an account, or about a service that names the account it acts for."""

    def may_assume(title: str, *, account: str = "", service: str | None = None, **context: str) -> bool:
        statements = roles[title]["AssumeRolePolicyDocument"]["Statement"]
        request = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:iam::{account}:role/Planner" if account else "",
            principal_type="AssumedRole",
            principal_account=account,
            action="sts:AssumeRole",
            resource_arn="*",
            region="us-east-1",
            service_context=context,
        )
        # A trust has no resource: it is about the role that carries it.
        about_itself = {"Statement": [{**statement, "Resource": "*"} for statement in statements]}
        decision = iam_evaluator.evaluate_resource_policy(about_itself, request, service=service).decision
        return bool(decision == "Allow")

    return may_assume


@pytest.fixture
def may_plan(deploy: Deploy) -> Callable[..., bool]:
    """Asks the plan role's policy about a call."""

    def may_plan(action: str, resource: str = OURS, **context: str) -> bool:
        document = deploy().resources["PlanPolicy"]["Properties"]["PolicyDocument"]
        session = f"arn:aws:sts::{HERE}:assumed-role/stackferry-plan-dev/session"
        return policies_allow([document], action, resource, session, context)

    return may_plan


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("account")


# The roles of DMS


@pytest.mark.parametrize(
    ("title", "name", "policy"),
    [
        ("DmsVpcRole", "dms-vpc-role", "AmazonDMSVPCManagementRole"),
        ("DmsLogsRole", "dms-cloudwatch-logs-role", "AmazonDMSCloudWatchLogsRole"),
    ],
)
def test_a_role_of_dms_has_exactly_the_name_and_the_policy_that_aws_demands(
    roles: dict[str, dict[str, Any]], title: str, name: str, policy: str
) -> None:
    arns = [f"arn:aws:iam::aws:policy/service-role/{policy}"]
    assert (roles[title]["RoleName"], roles[title]["ManagedPolicyArns"]) == (name, arns)


@pytest.mark.parametrize("suffix", ["dev", "prod"])
def test_the_names_of_the_roles_of_dms_are_the_only_ones_without_the_suffix(deploy: Deploy, suffix: str) -> None:
    made = deploy(EnvironmentSuffix=suffix).resources.values()
    names = {body["Properties"]["RoleName"] for body in made if body["Type"] == "AWS::IAM::Role"}
    assert names == {"dms-vpc-role", "dms-cloudwatch-logs-role", f"stackferry-plan-{suffix}"}


@pytest.mark.parametrize(
    ("vpc_role", "logs_role", "made"),
    [
        ("true", "true", {"DmsVpcRole", "DmsLogsRole"}),
        ("true", "false", {"DmsVpcRole"}),
        ("false", "true", {"DmsLogsRole"}),
        ("false", "false", set()),
    ],
)
def test_each_role_of_dms_is_made_only_where_the_account_lacks_it(
    deploy: Deploy, vpc_role: str, logs_role: str, made: set[str]
) -> None:
    resources = deploy(CreateDmsVpcRole=vpc_role, CreateDmsLogsRole=logs_role).resources
    assert resources.keys() & {"DmsVpcRole", "DmsLogsRole"} == made


@pytest.mark.parametrize("parameter", ["CreateDmsVpcRole", "CreateDmsLogsRole", "ToolingAccountId"])
def test_what_only_the_owner_of_the_account_knows_has_no_default(
    template: Callable[[str], dict[str, Any]], parameter: str
) -> None:
    assert "Default" not in template("account")["Parameters"][parameter]


@pytest.mark.parametrize("title", ["DmsVpcRole", "DmsLogsRole"])
def test_a_role_of_dms_outlives_the_stack_since_the_whole_account_replicates_by_it(deploy: Deploy, title: str) -> None:
    role = deploy().resources[title]
    assert (role["DeletionPolicy"], role["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize(("account", "is_trusted"), [(HERE, True), (STRANGER, False), ("", False)])
def test_dms_wears_the_vpc_role_for_this_account_alone(
    may_assume: Callable[..., bool], account: str, is_trusted: bool
) -> None:
    context = {"aws:sourceaccount": account} if account else {}
    assert may_assume("DmsVpcRole", service="dms.amazonaws.com", **context) is is_trusted


def test_dms_wears_the_logs_role_without_saying_for_whom(may_assume: Callable[..., bool]) -> None:
    """With a condition DMS writes no log, and does not say so."""
    assert may_assume("DmsLogsRole", service="dms.amazonaws.com")


@pytest.mark.parametrize("title", ["DmsVpcRole", "DmsLogsRole"])
def test_no_other_service_wears_a_role_of_dms(may_assume: Callable[..., bool], title: str) -> None:
    assert not may_assume(title, service="ec2.amazonaws.com", **{"aws:sourceaccount": HERE})


# The plan role


@pytest.mark.parametrize(
    ("account", "external_id", "is_trusted"),
    [
        (TOOLING, "migration-dev", True),
        (TOOLING, "migration-prod", False),
        (TOOLING, "", False),
        (STRANGER, "migration-dev", False),
        (HERE, "migration-dev", False),
    ],
)
def test_the_tooling_account_plans_with_the_external_id_of_the_phase(
    may_assume: Callable[..., bool], account: str, external_id: str, is_trusted: bool
) -> None:
    context = {"sts:externalid": external_id} if external_id else {}
    assert may_assume("PlanRole", account=account, **context) is is_trusted


@pytest.mark.parametrize(
    "action",
    [
        "DescribeStacks",
        "DescribeEvents",
        "DescribeStackEvents",
        "ListStackResources",
        "GetTemplate",
        "CreateChangeSet",
        "DescribeChangeSet",
        "DeleteChangeSet",
    ],
)
def test_the_plan_role_reads_stacks_and_makes_previews(may_plan: Callable[..., bool], action: str) -> None:
    assert may_plan(f"cloudformation:{action}")


@pytest.mark.parametrize(
    "action",
    [
        "cloudformation:ExecuteChangeSet",
        "cloudformation:CreateStack",
        "cloudformation:UpdateStack",
        "cloudformation:DeleteStack",
        "cloudformation:ContinueUpdateRollback",
        "cloudformation:SetStackPolicy",
        "cloudformation:UpdateTerminationProtection",
        "cloudformation:TagResource",
        "iam:PassRole",
        "s3:GetObject",
        "secretsmanager:GetSecretValue",
    ],
)
def test_the_plan_role_changes_nothing(may_plan: Callable[..., bool], action: str) -> None:
    assert not may_plan(action)


def test_the_plan_role_reads_a_stack_that_was_deployed_by_hand(may_plan: Callable[..., bool]) -> None:
    assert may_plan("cloudformation:GetTemplate", STACK.format(account=HERE, name="network-dev"))


@pytest.mark.parametrize("stack", ["shared-network-network", f"phase-routes-dev-{STRANGER}"])
def test_the_plan_role_of_the_network_account_reads_its_stacks_and_previews_none(
    may_plan: Callable[..., bool], stack: str
) -> None:
    assert may_plan("cloudformation:GetTemplate", STACK.format(account=HERE, name=stack))
    assert not may_plan("cloudformation:CreateChangeSet", STACK.format(account=HERE, name=stack))


@pytest.mark.parametrize("action", ["cloudformation:GetTemplate", "cloudformation:CreateChangeSet"])
@pytest.mark.parametrize(
    "stack",
    [
        STACK.format(account=HERE, name="payroll"),
        STACK.format(account=HERE, name="network-prod"),
        STACK.format(account=HERE, name=f"phase-routes-prod-{STRANGER}"),
        STACK.format(account=HERE, name="StackSet-payroll-1a2b3c"),
        STACK.format(account=STRANGER, name="StackSet-stackferry-network-dev-1"),
    ],
)
def test_the_plan_role_sees_no_stack_but_those_of_the_phase_here(
    may_plan: Callable[..., bool], action: str, stack: str
) -> None:
    assert not may_plan(action, stack)


def test_a_preview_that_would_import_resources_is_refused(may_plan: Callable[..., bool]) -> None:
    context = {"cloudformation:importresourcetypes": "AWS::RDS::DBInstance"}
    assert not may_plan("cloudformation:CreateChangeSet", **context)


def test_a_preview_with_the_rights_of_another_role_is_refused(may_plan: Callable[..., bool]) -> None:
    context = {"cloudformation:rolearn": f"arn:aws:iam::{HERE}:role/Administrator"}
    assert not may_plan("cloudformation:CreateChangeSet", **context)


def test_the_tooling_account_finds_the_plan_role(deploy: Deploy) -> None:
    assert deploy().outputs == {"PlanRoleArn": "${PlanRole.Arn}"}


def test_the_tooling_account_may_say_who_assumes_the_plan_role(roles: dict[str, dict[str, Any]]) -> None:
    statements = roles["PlanRole"]["AssumeRolePolicyDocument"]["Statement"]
    (statement,) = [each for each in statements if each["Action"] == ["sts:SetSourceIdentity"]]
    assert statement["Condition"] == {"StringEquals": {"aws:PrincipalAccount": TOOLING}}
