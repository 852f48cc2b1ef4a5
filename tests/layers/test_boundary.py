"""The boundary of a phase's roles: what they do is within it, and what an attacker writes into a role is not.

The policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it. The attacks on a
server that evaluates IAM are in tests/cloud/test_execution_role.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from iam_decisions import allows as policies_allow

from builders import catalog, naming
from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate
from builders.scopes import Scope
from tools.permissions.__main__ import SERVICES_ALONE

Deploy = Callable[..., Evaluated]
Within = Callable[..., bool]

SOURCE = f"arn:aws:secretsmanager:*:{HERE}:secret:on-premises-*"
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "CreateDmsVpcRole": "true",
    "CreateDmsLogsRole": "true",
    "ToolingAccountId": "2" * 12,
    "CreateExecutionRole": "true",
    "AdministrationRoleArn": f"arn:aws:iam::{'2' * 12}:role/stackferry-administration-dev",
    "PermissionsBoundary": "stackferry-boundary-dev",
    "SourceSecretArns": SOURCE,
}
FUNCTION = f"arn:aws:lambda:eu-central-1:{HERE}:function:StackSet-stackferry-rot-RotationFunction-1A2B"
BY_FUNCTION = {"lambda:sourcefunctionarn": FUNCTION}
OWN = {"aws:resourcetag/environment": "dev"}
MIGRATION_ROLE = "stackferry-migration-eu-central-1-dev"
BOUNDARY = f"arn:aws:iam::{HERE}:policy/stackferry-boundary-dev"
READ = "secretsmanager:GetSecretValue"
MOST_CHARACTERS = 6144


def arn(service: str, resource: str, account: str = HERE) -> str:
    return f"arn:aws:{service}:eu-central-1:{account}:{resource}"


def secret(name: str) -> str:
    return arn("secretsmanager", f"secret:{name}-AbCdEf")


def allows(document: Any, action: str, resource: str, role: str, context: dict[str, Any]) -> bool:
    return policies_allow([document], action, resource, f"arn:aws:iam::{HERE}:role/{role}", context)


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("account"), GIVEN | chosen)


@pytest.fixture
def within(deploy: Deploy) -> Within:
    """Asks the boundary about a call."""

    def within(action: str, resource: str, *contexts: dict[str, Any], role: str = "any", **chosen: str) -> bool:
        document = deploy(**chosen).resources["PhaseBoundary"]["Properties"]["PolicyDocument"]
        context = {key: value for each in contexts for key, value in each.items()}
        return allows(document, action, resource, role, context)

    return within


# The roles of the layers


def allowed(template: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The permissions of a template's policies: (policy, Sid, action)."""
    for name, body in template["Resources"].items():
        if body["Type"] == "AWS::IAM::ManagedPolicy":
            for statement in body["Properties"]["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    yield from ((name, statement["Sid"], action) for action in statement["Action"])


RESOURCES = {
    "cloudwatch:DescribeAlarms": arn("cloudwatch", "alarm:*"),
    "dms:DescribeTableStatistics": arn("dms", "task:ferry-task-dev"),
    "dms:StartReplicationTask": arn("dms", "task:ferry-task-dev"),
    "dms:StartReplicationTaskAssessmentRun": arn("dms", "task:ferry-task-dev"),
    "dms:StopReplicationTask": arn("dms", "task:ferry-task-dev"),
    "dms:TestConnection": arn("dms", "endpoint:0F1E"),
    "iam:PassRole": f"arn:aws:iam::{HERE}:role/Assessments",
    "kms:Decrypt": arn("kms", "key/0f1e", account="3" * 12),
    "kms:DescribeKey": arn("kms", "key/0f1e", account="3" * 12),
    "kms:GenerateDataKey": arn("kms", "key/0f1e"),
    "lambda:InvokeFunction": arn("lambda", "function:StackSet-stackferry-rotati-DmsRotationFunction-1A2B"),
    "logs:CreateLogStream": arn("logs", "log-group:StackSet-stackferry-1A2B:log-stream:s"),
    "logs:DescribeLogStreams": arn("logs", "log-group:StackSet-stackferry-1A2B"),
    "logs:PutLogEvents": arn("logs", "log-group:StackSet-stackferry-1A2B:log-stream:s"),
    "rds:DescribeDBInstances": arn("rds", "db:stackferry-database-dev"),
    "rds:DescribeDBSnapshots": arn("rds", "snapshot:*"),
    "sns:Publish": arn("sns", "StackSet-stackferry-foundation-dev-NotificationTopic-1A2B"),
}
"""One resource on which the layers' roles do what has a resource level."""


def resource_of(policy: str, sid: str, action: str) -> str:
    if not action.startswith("secretsmanager:"):
        return RESOURCES.get(action, "*")
    if "Application" in sid:
        return secret("stackferry-application-dev-payments")
    if policy.endswith("SecretPolicy") or sid == "RotateSecretOfDms":  # those of DMS
        return secret("DmsSecret-1A2B")
    return secret("DatabaseSecret-1A2B")


@pytest.mark.parametrize("layer", [name for name in catalog.layer_names() if catalog.load(name).scope is Scope.PHASE])
def test_every_role_of_a_phase_does_its_work_within_the_boundary(
    template: Callable[[str], dict[str, Any]], within: Within, layer: str
) -> None:
    """Where it does not, add the action to `_work` of layers/_execution/boundary.py, or see why a role needs it."""
    common = {
        **OWN,
        "kms:viaservice": "secretsmanager.eu-central-1.amazonaws.com",
        "iam:passedtoservice": "dms.amazonaws.com",
    }
    outside = []
    for policy, sid, action in allowed(template(layer)):
        by_person = policy in ("MigrationPolicy", "AssessmentPolicy")
        who = {} if by_person or policy.endswith("SecretPolicy") else BY_FUNCTION
        role = MIGRATION_ROLE if by_person else "any"
        resource = resource_of(policy, sid, action)
        if not within(action, resource, common, who, role=role, CreateMigrationRole="true"):
            outside.append((policy, sid, action))
    assert outside == []


def test_lambda_decrypts_the_environment_of_a_function_within_the_boundary(within: Within) -> None:
    """Lambda does so in a session of the function's role."""
    assert within("kms:Decrypt", arn("kms", "key/0f1e"), {"kms:viaservice": "lambda.eu-central-1.amazonaws.com"})
    assert not within("kms:Decrypt", arn("kms", "key/0f1e"), {"kms:viaservice": "rds.eu-central-1.amazonaws.com"})


def test_the_boundary_fits_into_iam_s_limit_at_its_longest(deploy: Deploy) -> None:
    longest = {
        "EnvironmentSuffix": "s" * naming.SUFFIX_MAX_LENGTH,
        "CreateMigrationRole": "true",
        "SourceSecretArns": ",".join([SOURCE] * 4),
    }
    document = deploy(**longest).resources["PhaseBoundary"]["Properties"]["PolicyDocument"]
    text = json.dumps(document, separators=(",", ":"))
    # A partition of GovCloud is seven characters longer in every ARN.
    assert len(text) + 7 * text.count("arn:aws") <= MOST_CHARACTERS


def test_the_boundary_is_called_as_the_environments_name_it(deploy: Deploy) -> None:
    assert deploy().resources["PhaseBoundary"]["Properties"]["ManagedPolicyName"] == "stackferry-boundary-dev"


# What an attacker's role may not


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:CreateUser", f"arn:aws:iam::{HERE}:user/mallory"),
        ("iam:CreateRole", f"arn:aws:iam::{HERE}:role/mallory"),
        ("iam:PassRole", f"arn:aws:iam::{HERE}:role/Administrator"),
        ("sts:AssumeRole", f"arn:aws:iam::{HERE}:role/Administrator"),
        ("s3:GetObject", "arn:aws:s3:::payroll/salaries.csv"),
        ("rds:ModifyDBInstance", arn("rds", "db:stackferry-database-dev")),
        ("rds:ModifyDBSnapshotAttribute", arn("rds", "snapshot:s")),
        ("rds-db:connect", arn("rds-db", "dbuser:db-1/ferry_owner")),
        ("dms:CreateEndpoint", arn("dms", "endpoint:*")),
        ("kms:PutKeyPolicy", arn("kms", "key/0f1e")),
        ("kms:CreateGrant", arn("kms", "key/0f1e")),
        ("logs:GetLogEvents", arn("logs", "log-group:/aws/rds/instance/stackferry-database-dev/postgresql")),
        ("lambda:UpdateFunctionCode", FUNCTION),
        ("cloudformation:UpdateStack", arn("cloudformation", "stack/account-dev/0f1e")),
        ("secretsmanager:PutResourcePolicy", secret("DatabaseSecret-1A2B")),
        ("secretsmanager:DeleteSecret", secret("DatabaseSecret-1A2B")),
    ],
)
def test_a_role_with_any_policy_stays_within_the_boundary(within: Within, action: str, resource: str) -> None:
    assert not within(action, resource, OWN, BY_FUNCTION)


@pytest.mark.parametrize(
    ("name", "context", "is_read"),
    [
        ("DatabaseSecret-1A2B", {**OWN, **BY_FUNCTION}, True),
        ("DatabaseSecret-1A2B", OWN, False),
        ("DatabaseSecret-1A2B", {**BY_FUNCTION, "aws:resourcetag/environment": "prod"}, False),
        ("DatabaseSecret-1A2B", BY_FUNCTION, False),
        ("DmsSecret-1A2B", OWN, True),
        ("DmsSecret-1A2B", {"aws:resourcetag/environment": "prod"}, False),
        ("payroll", {**OWN, **BY_FUNCTION}, False),
        ("stackferry-application-dev-payments", {**OWN, **BY_FUNCTION}, False),
        ("on-premises-payments", {}, True),
    ],
)
def test_secrets_are_read_as_the_layers_read_them(
    within: Within, name: str, context: dict[str, str], is_read: bool
) -> None:
    """The database's by functions alone: a session of somebody who assumed a role names no function."""
    assert within(READ, secret(name), context) is is_read


@pytest.mark.parametrize(("asked_for", "is_read"), [("true", True), ("false", False)])
def test_the_role_of_the_migration_reads_secrets_where_it_is_asked_for(
    within: Within, asked_for: str, is_read: bool
) -> None:
    name = secret("DatabaseSecret-1A2B")
    assert within(READ, name, OWN, role=MIGRATION_ROLE, CreateMigrationRole=asked_for) is is_read
    assert not within(READ, name, OWN, role=MIGRATION_ROLE.replace("dev", "prod"), CreateMigrationRole=asked_for)


@pytest.mark.parametrize(
    "given",
    [
        "arn:aws:secretsmanager:*:111111111111:secret:*",
        "arn:aws:secretsmanager:*:*:secret:on-premises",
        "on-premises-payments",
        f"{SOURCE}, {SOURCE}",
    ],
)
def test_secrets_of_the_source_are_named_and_not_all_of_an_account(
    template: Callable[[str], dict[str, Any]], given: str
) -> None:
    pattern = template("account")["Parameters"]["SourceSecretArns"]["AllowedPattern"]
    assert re.fullmatch(pattern, given) is None
    assert re.fullmatch(pattern, f"{SOURCE},{SOURCE}")


def test_a_boundary_without_the_secrets_of_the_source_is_refused(deploy: Deploy) -> None:
    assert deploy(SourceSecretArns="").failed_rules == (
        "PermissionsBoundary needs SourceSecretArns, the secrets that the phase's roles may read beside its own",
    )


# What holds the execution role to the boundary


def refuses(deployed: Evaluated, title: str, action: str, resource: str, **context: str) -> bool:
    """True where a policy denies a call that another one allows."""
    denying = deployed.resources[title]["Properties"]["PolicyDocument"]["Statement"]
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = {"Version": "2012-10-17", "Statement": [everything, *denying]}
    return not allows(document, action, resource, "stackferry-execution-dev", context)


@pytest.mark.parametrize(
    "action",
    ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"],
)
@pytest.mark.parametrize(
    ("boundary", "is_refused"),
    [(BOUNDARY, False), (None, True), ("arn:aws:iam::aws:policy/AdministratorAccess", True), (BOUNDARY + "x", True)],
)
def test_no_role_is_made_or_widened_without_the_boundary(
    deploy: Deploy, action: str, boundary: str | None, is_refused: bool
) -> None:
    context = {"iam:permissionsboundary": boundary} if boundary else {}
    role = f"arn:aws:iam::{HERE}:role/StackSet-stackferry-x"
    assert refuses(deploy(), "ExecutionBoundaryPolicy", action, role, **context) is is_refused


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("iam:DeleteRolePermissionsBoundary", f"arn:aws:iam::{HERE}:role/StackSet-stackferry-x"),
        ("iam:CreatePolicyVersion", BOUNDARY),
        ("iam:DeletePolicy", BOUNDARY),
        ("iam:SetDefaultPolicyVersion", BOUNDARY),
    ],
)
def test_the_boundary_stays_on_its_roles_and_as_it_is(deploy: Deploy, action: str, resource: str) -> None:
    context = {"iam:permissionsboundary": BOUNDARY}
    assert refuses(deploy(), "ExecutionBoundaryPolicy", action, resource, **context)


def test_without_a_boundary_none_is_demanded(deploy: Deploy) -> None:
    made = deploy(PermissionsBoundary="", SourceSecretArns="").resources
    assert "ExecutionBoundaryPolicy" not in made
    assert "PhaseBoundary" in made


@pytest.mark.parametrize(
    "action",
    [
        "iam:UpdateAssumeRolePolicy",
        "iam:CreatePolicyVersion",
        "iam:PassRole",
        "kms:PutKeyPolicy",
        "lambda:UpdateFunctionCode",
        "secretsmanager:GetSecretValue",
        "rds:ModifyDBInstance",
    ],
)
def test_a_sealed_role_changes_nothing_that_reaches_a_secret(deploy: Deploy, action: str) -> None:
    assert "ExecutionSealPolicy" not in deploy().resources
    assert refuses(deploy(SealExecutionRole="true"), "ExecutionSealPolicy", action, "*")


def test_a_sealed_role_still_changes_networks_and_alarms(deploy: Deploy) -> None:
    for action in ("ec2:CreateRoute", "cloudwatch:PutMetricAlarm", "cloudformation:UpdateStack", "iam:TagRole"):
        assert not refuses(deploy(SealExecutionRole="true"), "ExecutionSealPolicy", action, "*")


@pytest.mark.parametrize(
    ("role", "service", "is_refused"),
    [
        ("StackSet-stackferry-mallory", "false", True),
        ("StackSet-stackferry-migr-SourceSecretRole-1A2B", "true", False),
        ("stackferry-operator-eu-central-1-dev", "false", False),
    ],
)
def test_the_organization_s_policy_lets_services_alone_assume_a_phase_s_roles(
    role: str, service: str, is_refused: bool
) -> None:
    """As docs/permissions.md has it: an attacker's role for DMS's secrets is of no use to him."""
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    denying = {key: value for key, value in SERVICES_ALONE["Statement"][0].items() if key != "Principal"}
    document = {"Version": "2012-10-17", "Statement": [everything, denying]}
    resource = f"arn:aws:iam::{HERE}:role/{role}"
    context = {"aws:principalisawsservice": service}
    assert allows(document, "sts:AssumeRole", resource, "any", context) is not is_refused
