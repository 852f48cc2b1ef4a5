"""The administration layer: a role that only a phase's stack sets wear, and that leads only to the phase's accounts.

The policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
STRANGER = "3" * 12
OUR_SET = f"arn:aws:cloudformation:eu-central-1:{HERE}:stackset/stackferry-network-dev:0f1e2d3c"


@pytest.fixture
def deployed(template: Callable[[str], dict[str, Any]]) -> Evaluated:
    return evaluate(template("administration"), GIVEN)


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("administration")


def test_every_phase_has_its_own_in_the_tooling_account(template: Callable[[str], dict[str, Any]]) -> None:
    assert template("administration")["Metadata"] == {"Stackferry": {"Scope": "TOOLING_PER_PHASE", "Needs": []}}


@pytest.mark.parametrize(
    ("service", "account", "stack_set", "is_trusted"),
    [
        ("cloudformation.amazonaws.com", HERE, OUR_SET, True),
        ("cloudformation.amazonaws.com", STRANGER, OUR_SET.replace(HERE, STRANGER), False),
        ("cloudformation.amazonaws.com", HERE, OUR_SET.replace("stackferry-", "payroll-"), False),
        ("cloudformation.amazonaws.com", HERE, OUR_SET.replace("-dev:", "-prod:"), False),
        ("cloudformation.amazonaws.com", HERE, OUR_SET.replace("-dev:", "-dev2:"), False),
        ("cloudformation.amazonaws.com", HERE, OUR_SET.replace("-dev:", "-dev-prod:"), False),
        ("cloudformation.amazonaws.com", HERE, OUR_SET.replace("stackset/", "stack/"), False),
        ("cloudformation.amazonaws.com", STRANGER, OUR_SET, False),
        ("cloudformation.amazonaws.com", "", "", False),
        ("ec2.amazonaws.com", HERE, OUR_SET, False),
    ],
)
def test_cloudformation_wears_the_role_for_the_phase_s_stack_sets_of_this_account_alone(
    deployed: Evaluated, service: str, account: str, stack_set: str, is_trusted: bool
) -> None:
    trust = deployed.resources["AdministrationRole"]["Properties"]["AssumeRolePolicyDocument"]
    request = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="AssumedRole",
        principal_account="",
        action="sts:AssumeRole",
        resource_arn="*",
        region="us-east-1",
        service_context={"aws:sourceaccount": account, "aws:sourcearn": stack_set} if account else {},
    )
    # A trust has no resource: it is about the role that carries it.
    about_itself = {"Statement": [{**statement, "Resource": "*"} for statement in trust["Statement"]]}
    decision = iam_evaluator.evaluate_resource_policy(about_itself, request, service=service).decision
    assert (decision == "Allow") is is_trusted


def test_regions_that_are_disabled_by_default_have_principals_of_their_own(
    template: Callable[[str], dict[str, Any]],
) -> None:
    principals = ["cloudformation.amazonaws.com", "cloudformation.ap-east-1.amazonaws.com"]
    deployed = evaluate(template("administration"), GIVEN | {"StackSetsPrincipals": ",".join(principals)})
    (statement,) = deployed.resources["AdministrationRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": principals}


@pytest.mark.parametrize(
    ("principal", "is_taken"),
    [
        ("cloudformation.us-gov-west-1.amazonaws.com", True),
        ("ec2.amazonaws.com", False),
        ("cloudformation.amazonaws.com.example.org", False),
        ("*", False),
    ],
)
def test_no_other_service_can_be_let_in(
    template: Callable[[str], dict[str, Any]], principal: str, is_taken: bool
) -> None:
    pattern = template("administration")["Parameters"]["StackSetsPrincipals"]["AllowedPattern"]
    assert bool(re.fullmatch(pattern, principal)) is is_taken


@pytest.mark.parametrize(
    ("action", "resource", "is_allowed"),
    [
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/stackferry-execution-dev", True),
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/stackferry-execution-prod", False),
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/stackferry-execution-dev2", False),
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/stackferry-execution-eu-dev", False),
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/stackferry-plan-dev", False),
        ("sts:AssumeRole", f"arn:aws:iam::{STRANGER}:role/OrganizationAccountAccessRole", False),
        ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/Administrator", False),
        ("iam:PassRole", f"arn:aws:iam::{STRANGER}:role/stackferry-execution-dev", False),
        ("s3:GetObject", "arn:aws:s3:::stackferry-1/rollout/dev/run.json", False),
    ],
)
def test_the_role_assumes_execution_roles_of_its_phase_and_does_nothing_else(
    deployed: Evaluated, action: str, resource: str, is_allowed: bool
) -> None:
    request = iam_evaluator.EvalContext(
        principal_arn=f"arn:aws:sts::{HERE}:assumed-role/stackferry-administration-dev/session",
        principal_type="AssumedRole",
        principal_account=HERE,
        action=action,
        resource_arn=resource,
        region="us-east-1",
    )
    document = deployed.resources["AdministrationPolicy"]["Properties"]["PolicyDocument"]
    decision = iam_evaluator.evaluate(request, [iam_evaluator.parse_policy_document(document)]).decision
    assert (decision == "Allow") is is_allowed


def test_accounts_are_told_of_the_role_under_their_parameter_s_name(
    deployed: Evaluated, template: Callable[[str], dict[str, Any]]
) -> None:
    assert deployed.outputs == {"AdministrationRoleArn": "${AdministrationRole.Arn}"}
    assert "AdministrationRoleArn" in template("account")["Parameters"]
