"""The deploy role: enough for the plain stacks and the commands that use it, and for the tooling account alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from iam_decisions import allows as policies_allow
from ministack.core import iam_evaluator

from builders import catalog
from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate
from builders.layers._execution import registry
from builders.scopes import Scope
from tools.permissions import grants
from tools.permissions.commands import COMMANDS, command_grants
from tools.permissions.grants import Identity, Names

Deploy = Callable[..., Evaluated]
May = Callable[..., bool]

TOOLING, STRANGER = "2" * 12, "3" * 12
GIVEN = {
    "EnvironmentSuffix": "tooling",
    "MigrationPhase": "shared",
    "CostCenter": "payments",
    "ToolingAccountId": TOOLING,
}
PLAIN = (Scope.ACCOUNT, Scope.NETWORK, Scope.NETWORK_PER_PHASE)
NOT_NEEDED = {
    "ec2:ModifyTransitGatewayOptions",  # of the registry; IAM knows no such action
    "sts:AssumeRole",  # where a Direct Connect gateway is another account's, which `shared_network` does not offer
}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("deploy_role"), GIVEN | chosen)


@pytest.fixture
def may(deploy: Deploy) -> May:
    """Asks the role's policies about a call."""

    def may(action: str, resource: str, *, chosen: dict[str, str] | None = None, **context: str) -> bool:
        made = deploy(**(chosen or {})).resources.values()
        documents = [body["Properties"]["PolicyDocument"] for body in made if body["Type"].endswith("ManagedPolicy")]
        return policies_allow(
            documents, action, resource, f"arn:aws:iam::{HERE}:role/stackferry-deploy-tooling", context
        )

    return may


def trusts(deployed: Evaluated, caller: str, **context: str) -> bool:
    trust = deployed.resources["DeployRole"]["Properties"]["AssumeRolePolicyDocument"]
    account = caller.split(":")[4]
    request = iam_evaluator.EvalContext(
        caller, "AssumedRole", account, "sts:AssumeRole", "*", "", service_context=context
    )
    return bool(iam_evaluator.evaluate_trust_policy(trust, caller, request))


def granted(deployed: Evaluated) -> set[str]:
    return {
        action
        for body in deployed.resources.values()
        if body["Type"] == "AWS::IAM::ManagedPolicy"
        for statement in body["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
    }


def test_it_may_what_the_resources_of_plain_stacks_need(
    deploy: Deploy, template: Callable[[str], dict[str, Any]]
) -> None:
    plain = [template(name) for name in catalog.layer_names() if catalog.load(name).scope in PLAIN]
    derived = registry.derive(plain)
    needed = {f"{service}:{verb}" for service, verbs in derived.items() for verb in verbs}
    assert needed - granted(deploy()) - NOT_NEEDED == set()


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("directconnect:CreateTransitVirtualInterface", "dxcon/dxcon-fgq1a2b3"),
        ("directconnect:CreateTransitVirtualInterface", "dxlag/dxlag-fgq1a2b3"),
        ("directconnect:AssociateVirtualInterface", "dxlag/dxlag-fgq1a2b3"),
    ],
)
def test_a_virtual_interface_runs_over_a_connection_or_a_link_aggregation_group(
    may: May, template: Callable[[str], dict[str, Any]], action: str, kind: str
) -> None:
    taken = template("shared_network")["Parameters"]["DirectConnectConnectionId"]["AllowedPattern"]
    assert re.fullmatch(taken, kind.partition("/")[2])
    assert may(action, f"arn:aws:directconnect:eu-central-1:{HERE}:{kind}")


@pytest.mark.parametrize(
    "action",
    [
        "ec2:AssociateTransitGatewayRouteTable",
        "ec2:DisassociateTransitGatewayRouteTable",
        "ec2:EnableTransitGatewayRouteTablePropagation",
        "ec2:DisableTransitGatewayRouteTablePropagation",
    ],
)
def test_the_attachment_of_another_account_s_network_is_given_its_route_table(may: May, action: str) -> None:
    """It belongs to the phase's account; the table is one of this account, which no other can use."""
    owners = {
        owner
        for owner in (HERE, STRANGER)
        if may(action, f"arn:aws:ec2:eu-central-1:{owner}:transit-gateway-attachment/tgw-attach-0f1e2d3c")
    }
    assert owners == {HERE, STRANGER}
    assert may(action, f"arn:aws:ec2:eu-central-1:{HERE}:transit-gateway-route-table/tgw-rtb-0f1e2d3c")
    assert not may(action, f"arn:aws:ec2:eu-central-1:{STRANGER}:transit-gateway-route-table/tgw-rtb-0f1e2d3c")


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_it_may_what_each_command_asks_the_deploy_role_for(may: May, command: str) -> None:
    names = Names(TOOLING, "eu-central-1", "dev", "stackferry-deploy-tooling", sets=TOOLING)
    lacking = [
        (action, resource)
        for grant in command_grants(command, Identity.DEPLOY)
        for action in grant.actions
        for resource in (names.fill(each).replace("iam::*", f"iam::{HERE}") for each in grant.resources)
        if not may(action, resource.replace(":*:*:", f":eu-central-1:{HERE}:"), chosen={"AllowPurge": "true"})
    ]
    assert lacking == []


def test_without_being_asked_it_deletes_nothing_that_templates_retain(deploy: Deploy) -> None:
    deleted = {"kms:ScheduleKeyDeletion", "rds:DeleteDBSnapshot", "secretsmanager:DeleteSecret", "logs:DeleteLogGroup"}
    assert deleted <= {action for grant in grants.PURGE for action in grant.actions}
    assert granted(deploy()) & deleted == set()
    assert granted(deploy(AllowPurge="true")) >= deleted


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateRole", f"arn:aws:iam::{HERE}:role/Administrator"),
        ("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{HERE}:role/OrganizationAccountAccessRole"),
        ("iam:CreatePolicyVersion", f"arn:aws:iam::{HERE}:policy/deploy-role-tooling-StacksPolicy-1A2B"),
        ("iam:PutRolePolicy", f"arn:aws:iam::{HERE}:role/stackferry-execution-dev"),
        ("cloudformation:UpdateStack", f"arn:aws:cloudformation:eu-central-1:{HERE}:stack/payroll/1"),
        ("cloudformation:ExecuteChangeSet", f"arn:aws:cloudformation:eu-central-1:{HERE}:stack/deploy-role-tooling/1"),
        ("ec2:CreateVpc", f"arn:aws:ec2:eu-central-1:{HERE}:vpc/*"),
        ("s3:GetObject", "arn:aws:s3:::payroll/salaries.csv"),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:eu-central-1:{HERE}:secret:payroll-AbCdEf"),
        ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/Administrator"),
    ],
)
def test_it_touches_nothing_else_and_not_itself(may: May, action: str, resource: str) -> None:
    assert not may(action, resource, chosen={"AllowPurge": "true"})


@pytest.mark.parametrize(
    ("policy", "is_allowed"),
    [
        (f"arn:aws:iam::{HERE}:policy/account-dev-ExecutionDataPolicy-1A2B", True),
        ("arn:aws:iam::aws:policy/service-role/AmazonDMSVPCManagementRole", True),
        ("arn:aws:iam::aws:policy/AdministratorAccess", False),
    ],
)
def test_it_attaches_the_policies_of_account_alone(may: May, policy: str, is_allowed: bool) -> None:
    role = f"arn:aws:iam::{HERE}:role/stackferry-execution-dev"
    assert may("iam:AttachRolePolicy", role, **{"iam:policyarn": policy}) is is_allowed


@pytest.mark.parametrize(
    ("caller", "is_trusted"),
    [
        (f"arn:aws:iam::{TOOLING}:role/Rollout", True),
        (f"arn:aws:iam::{TOOLING}:user/rollout", True),
        (f"arn:aws:iam::{STRANGER}:role/Rollout", False),
        (f"arn:aws:iam::{HERE}:role/Administrator", False),
    ],
)
def test_the_tooling_account_is_trusted_without_an_external_id(deploy: Deploy, caller: str, is_trusted: bool) -> None:
    assert trusts(deploy(), caller) is is_trusted


def test_of_the_tooling_account_those_who_are_listed(deploy: Deploy) -> None:
    deployed = deploy(DeployerArns=f"arn:aws:iam::{TOOLING}:role/ci/*,arn:aws:iam::{TOOLING}:user/oncall")
    assert trusts(deployed, f"arn:aws:iam::{TOOLING}:role/ci/rollout")
    assert not trusts(deployed, f"arn:aws:iam::{TOOLING}:role/developer")


def test_deployers_are_arns_of_one_account(template: Callable[[str], dict[str, Any]]) -> None:
    pattern = template("deploy_role")["Parameters"]["DeployerArns"]["AllowedPattern"]
    assert re.fullmatch(pattern, "*") is None
    assert re.fullmatch(pattern, f"arn:aws:iam::{TOOLING}:role/*")


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("deploy_role")


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("cloudformation:ExecuteChangeSet", f"arn:aws:cloudformation:eu-central-1:{HERE}:stack/account-{{}}/1"),
        ("cloudformation:DeleteStack", f"arn:aws:cloudformation:eu-central-1:{HERE}:stack/phase-routes-{{}}-1/1"),
        ("iam:UpdateAssumeRolePolicy", f"arn:aws:iam::{HERE}:role/stackferry-execution-{{}}"),
        ("iam:CreatePolicyVersion", f"arn:aws:iam::{HERE}:policy/account-{{}}-PlanPolicy-1"),
        ("iam:DeletePolicy", f"arn:aws:iam::{HERE}:policy/stackferry-boundary-{{}}"),
    ],
)
def test_a_role_of_one_phase_deploys_no_other(may: May, action: str, resource: str) -> None:
    of_dev = {"DeployedSuffix": "dev"}
    assert may(action, resource.format("dev"), chosen=of_dev)
    assert [each for each in ("prod", "dev2", "eu-dev") if may(action, resource.format(each), chosen=of_dev)] == []
    assert may(action, resource.format("prod"))
