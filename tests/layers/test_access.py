"""The access layer: who becomes an operator of a phase or carries its migration, and what each may touch.

Policies are asked, not read: the emulator's IAM evaluator decides each call as AWS documents it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from ministack.core import iam_evaluator

from builders.evaluate import EXAMPLE_ACCOUNT as HERE, Evaluated, evaluate

Deploy = Callable[..., Evaluated]

OPERATIONS, SECOND_OPERATIONS, STRANGER = "2" * 12, "3" * 12, "4" * 12
ORGANIZATION = "o-a1b2c3d4e5"
SOURCE_SECRET = f"arn:aws:secretsmanager:us-east-1:{HERE}:secret:on-premises-AbCdEf"
MASTER_SECRET = f"arn:aws:secretsmanager:us-east-1:{HERE}:secret:DatabaseSecret-GhIjKl"
KEY, SOURCE_KEY = (f"arn:aws:kms:us-east-1:{HERE}:key/{digit * 8}-0000-0000-0000-000000000000" for digit in "12")
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "SourceSecretArn": SOURCE_SECRET,
}
IMPORTS = {
    "secrets-DmsSecretArn-dev": f"arn:aws:secretsmanager:us-east-1:{HERE}:secret:dms-AbCdEf",
    "rotation-DmsRotationFunctionArn-dev": f"arn:aws:lambda:us-east-1:{HERE}:function:rotates-dms",
    "database-DatabaseInstanceIdentifier-dev": "stackferry-database-dev",
    "secrets-SecretsManagerArn-dev": MASTER_SECRET,
    "foundation-KmsKeyArn-dev": KEY,
}
BACK = {
    name: f"arn:aws:secretsmanager:us-east-1:{HERE}:secret:{name}-AbCdEf"
    for name in ("back-on-premises", "back-in-rds")
}
FALLBACK = {"CreateFallback": "true", "FallbackSecretArn": BACK["back-on-premises"]}
WITH_FALLBACK = {"fallback-FallbackUserSecretArn-dev": BACK["back-in-rds"]}
PASSWORD = f"arn:aws:secretsmanager:us-east-1:{HERE}:secret:stackferry-application-dev-app-AbCdEf"
WRITER = f"arn:aws:iam::{HERE}:role/writes-assessments"
ASSESSED = {"AssessmentRoleArn": WRITER, "AssessmentBucket": "assessments"}
ENDPOINT, INSTANCE = (f"arn:aws:dms:us-east-1:{HERE}:{kind}:ABCDEFGHIJKLMNOPQRSTUVWXYZ" for kind in ("endpoint", "rep"))
TASK = f"arn:aws:dms:us-east-1:{HERE}:task:ABCDEFGHIJKLMNOPQRSTUVWXYZ"
OWN = {"dms:task-tag/environment": "dev"}
OWN_RESOURCE = {"aws:resourcetag/environment": "dev"}
WITH_MFA = {"aws:multifactorauthpresent": "true"}
THROUGH_SECRETS = {"kms:viaservice": "secretsmanager.us-east-1.amazonaws.com"}
WANTED = {"CreateMigrationRole": "true"}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""

    def deployed(**chosen: str) -> Evaluated:
        exported = IMPORTS | (WITH_FALLBACK if chosen.get("CreateFallback") == "true" else {})
        return evaluate(template("access"), GIVEN | chosen, imports=exported)

    return deployed


@pytest.fixture
def pattern(template: Callable[[str], dict[str, Any]]) -> Callable[[str], re.Pattern[str]]:
    """The values that a parameter takes, by its name."""
    return lambda name: re.compile(template("access")["Parameters"][name]["AllowedPattern"])


@pytest.fixture
def may_assume(deploy: Deploy) -> Callable[..., bool]:
    """Asks the role's trust about a person of an account, with what he says and where he belongs."""

    def may_assume(account: str, context: dict[str, str], role: str = "OperatorRole", **chosen: str) -> bool:
        trust = deploy(**chosen).resources[role]["Properties"]["AssumeRolePolicyDocument"]
        request = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:iam::{account}:role/Person",
            principal_type="AssumedRole",
            principal_account=account,
            action="sts:AssumeRole",
            resource_arn="*",
            region="us-east-1",
            service_context=context,
        )
        # A trust has no resource: it is about the role that carries it.
        about_itself = {"Statement": [{**statement, "Resource": "*"} for statement in trust["Statement"]]}
        return bool(iam_evaluator.evaluate_resource_policy(about_itself, request).decision == "Allow")

    return may_assume


@pytest.fixture
def ask(deploy: Deploy) -> Callable[..., bool]:
    """Asks a policy about a call."""

    def ask(policy: str, action: str, resource: str, context: dict[str, str] | None = None, **chosen: str) -> bool:
        document = deploy(**chosen).resources[policy]["Properties"]["PolicyDocument"]
        request = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{HERE}:assumed-role/Role/person",
            principal_type="AssumedRole",
            principal_account=HERE,
            action=action,
            resource_arn=resource,
            region="us-east-1",
            service_context=context or {},
        )
        parsed = iam_evaluator.parse_policy_document(document)
        return bool(iam_evaluator.evaluate(request, [parsed]).decision == "Allow")

    return ask


@pytest.fixture
def may(ask: Callable[..., bool]) -> Callable[..., bool]:
    """Asks the operator's policy about a call."""
    return functools.partial(ask, "OperatorPolicy")


@pytest.fixture
def may_migrate(ask: Callable[..., bool]) -> Callable[..., bool]:
    """Asks the policy of whoever carries the migration about a call."""
    return functools.partial(ask, "MigrationPolicy", **WANTED)


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("access")


# Who becomes an operator


@pytest.mark.parametrize(
    ("listed", "account", "is_trusted"),
    [
        ("", HERE, True),
        ("", OPERATIONS, False),
        (f"{OPERATIONS},{SECOND_OPERATIONS}", OPERATIONS, True),
        (f"{OPERATIONS},{SECOND_OPERATIONS}", SECOND_OPERATIONS, True),
        (OPERATIONS, STRANGER, False),
        (OPERATIONS, HERE, False),
    ],
)
def test_operators_come_from_the_listed_accounts_and_from_this_one_where_none_is_listed(
    may_assume: Callable[..., bool], listed: str, account: str, is_trusted: bool
) -> None:
    assert may_assume(account, {"sts:externalid": "migration-dev"}, OperatorAccountIds=listed) is is_trusted


@pytest.mark.parametrize("said", [{}, {"sts:externalid": "migration-prod"}, {"sts:externalid": "dev"}])
def test_who_does_not_say_the_phase_s_external_id_is_turned_away(
    may_assume: Callable[..., bool], said: dict[str, str]
) -> None:
    assert not may_assume(HERE, said)


@pytest.mark.parametrize("phase", ["dev", "prod"])
def test_the_external_id_names_the_phase(may_assume: Callable[..., bool], phase: str) -> None:
    assert may_assume(HERE, {"sts:externalid": f"migration-{phase}"}, MigrationPhase=phase)


@pytest.mark.parametrize(
    ("belongs_to", "is_trusted"),
    [
        ({"aws:principalorgid": ORGANIZATION}, True),
        ({"aws:principalorgid": "o-z9y8x7w6v5"}, False),
        ({}, False),
    ],
)
def test_with_an_organization_only_its_members_are_operators(
    may_assume: Callable[..., bool], belongs_to: dict[str, str], is_trusted: bool
) -> None:
    context = {"sts:externalid": "migration-dev"} | belongs_to
    assert may_assume(HERE, context, OrganizationId=ORGANIZATION) is is_trusted


@pytest.mark.parametrize(
    "listed", ["12345", f"arn:aws:iam::{OPERATIONS}:root", f"{OPERATIONS}, {STRANGER}", f"{OPERATIONS},"]
)
def test_what_is_no_account_id_is_refused_before_anybody_is_trusted(
    pattern: Callable[[str], re.Pattern[str]], listed: str
) -> None:
    assert not pattern("OperatorAccountIds").fullmatch(listed)


def test_a_person_elsewhere_can_tell_the_role_s_arn(deploy: Deploy) -> None:
    assert deploy().resources["OperatorRole"]["Properties"]["RoleName"] == "stackferry-operator-us-east-1-dev"


# What an operator does


@pytest.mark.parametrize(
    "action", ["dms:StartReplicationTask", "dms:StopReplicationTask", "dms:DescribeTableStatistics"]
)
@pytest.mark.parametrize(
    ("tags", "is_allowed"), [(OWN, True), ({"dms:task-tag/environment": "prod"}, False), ({}, False)]
)
def test_an_operator_runs_the_task_that_bears_the_phase_s_tag_and_no_other(
    may: Callable[..., bool], action: str, tags: dict[str, str], is_allowed: bool
) -> None:
    assert may(action, TASK, tags) is is_allowed


@pytest.mark.parametrize("task", [TASK.replace(HERE, STRANGER), TASK.replace("us-east-1", "eu-central-1")])
def test_an_operator_runs_no_task_elsewhere(may: Callable[..., bool], task: str) -> None:
    assert not may("dms:StartReplicationTask", task, OWN)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("dms:DescribeReplicationTasks", "*"),
        ("dms:DescribeReplicationInstances", "*"),
        ("dms:DescribeConnections", "*"),
        ("cloudwatch:DescribeAlarms", f"arn:aws:cloudwatch:us-east-1:{HERE}:alarm:lag"),
        ("rds:DescribeDBInstances", f"arn:aws:rds:us-east-1:{HERE}:db:stackferry-database-dev"),
        ("rds:DescribeDBSnapshots", f"arn:aws:rds:us-east-1:{HERE}:db:stackferry-database-dev"),
        ("rds:DescribeDBSnapshots", f"arn:aws:rds:us-east-1:{HERE}:snapshot:rds:stackferry-database-dev-2026"),
    ],
)
def test_an_operator_sees_how_the_migration_does(may: Callable[..., bool], action: str, resource: str) -> None:
    assert may(action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("secretsmanager:GetSecretValue", "*"),
        ("kms:Decrypt", "*"),
        ("dms:AddTagsToResource", TASK),
        ("dms:DeleteReplicationTask", TASK),
        ("dms:ModifyReplicationTask", TASK),
        ("dms:MoveReplicationTask", TASK),
        ("dms:ReloadTables", TASK),
        ("dms:TestConnection", TASK),
        ("cloudwatch:DisableAlarmActions", f"arn:aws:cloudwatch:us-east-1:{HERE}:alarm:lag"),
        ("rds:DeleteDBSnapshot", f"arn:aws:rds:us-east-1:{HERE}:snapshot:final"),
        ("rds:RestoreDBInstanceFromDBSnapshot", f"arn:aws:rds:us-east-1:{HERE}:snapshot:final"),
        ("rds:DescribeDBInstances", f"arn:aws:rds:us-east-1:{HERE}:db:stackferry-database-prod"),
        ("rds:DescribeDBSnapshots", f"arn:aws:rds:us-east-1:{HERE}:db:stackferry-database-prod"),
        ("iam:PassRole", "*"),
    ],
)
def test_an_operator_reads_no_secret_and_changes_nothing_but_whether_the_task_runs(
    may: Callable[..., bool], action: str, resource: str
) -> None:
    assert not may(action, resource, OWN)


def test_the_phase_tells_its_operators_the_role(deploy: Deploy) -> None:
    assert deploy().outputs == {"OperatorRoleArn": "${OperatorRole.Arn}"}


@pytest.mark.parametrize("role", ["OperatorPolicy", "MigrationPolicy"])
@pytest.mark.parametrize("resource", [ENDPOINT, INSTANCE])
@pytest.mark.parametrize(
    ("tags", "is_allowed"), [(OWN_RESOURCE, True), ({"aws:resourcetag/environment": "prod"}, False), ({}, False)]
)
def test_connections_are_tested_between_what_bears_the_phase_s_tag(
    ask: Callable[..., bool], role: str, resource: str, tags: dict[str, str], is_allowed: bool
) -> None:
    """DMS starts no task whose connections were not tested, and asks for the right on either."""
    assert ask(role, "dms:TestConnection", resource, tags, **WANTED) is is_allowed


# Who rotates the password of DMS's user


@pytest.mark.parametrize(
    ("action", "resource", "is_allowed"),
    [
        *((f"secretsmanager:{each}", IMPORTS["secrets-DmsSecretArn-dev"], True)
          for each in ("RotateSecret", "CancelRotateSecret", "DescribeSecret")),
        ("secretsmanager:GetSecretValue", IMPORTS["secrets-DmsSecretArn-dev"], False),
        ("secretsmanager:PutSecretValue", IMPORTS["secrets-DmsSecretArn-dev"], False),
        ("secretsmanager:RotateSecret", IMPORTS["secrets-SecretsManagerArn-dev"], False),
        ("lambda:InvokeFunction", IMPORTS["rotation-DmsRotationFunctionArn-dev"], True),
        ("lambda:InvokeFunction", f"arn:aws:lambda:us-east-1:{HERE}:function:another", False),
    ],
)  # fmt: skip
def test_whoever_migrates_rotates_the_password_of_dms_and_does_not_read_it(
    may_migrate: Callable[..., bool], action: str, resource: str, is_allowed: bool
) -> None:
    assert may_migrate(action, resource) is is_allowed


# Who carries the migration


def test_nobody_reads_secrets_unless_the_role_is_asked_for(deploy: Deploy) -> None:
    assert [name for name in deploy().resources if name.startswith("Migration")] == []
    assert "MigrationRoleArn" not in deploy().outputs
    assert deploy(**WANTED).outputs["MigrationRoleArn"] == "${MigrationRole.Arn}"


def test_its_name_tells_the_region_and_the_environment(deploy: Deploy) -> None:
    made = deploy(**WANTED).resources["MigrationRole"]["Properties"]
    assert made["RoleName"] == "stackferry-migration-us-east-1-dev"
    assert made["MaxSessionDuration"] == 12 * 60 * 60


@pytest.mark.parametrize(
    ("account", "context", "is_trusted"),
    [
        (HERE, WITH_MFA, True),
        (HERE, {}, False),
        (HERE, {"aws:multifactorauthpresent": "false"}, False),
        (HERE, {"sts:externalid": "migration-dev"}, False),
        (OPERATIONS, WITH_MFA | {"sts:externalid": "migration-dev"}, False),
    ],
)
def test_with_no_account_listed_it_takes_people_of_this_one_who_logged_in_with_a_second_factor(
    may_assume: Callable[..., bool], account: str, context: dict[str, str], is_trusted: bool
) -> None:
    """The console's Switch Role passes no external id."""
    assert may_assume(account, context, "MigrationRole", **WANTED) is is_trusted


@pytest.mark.parametrize(
    ("account", "context", "is_trusted"),
    [
        (OPERATIONS, {"sts:externalid": "migration-dev", "aws:principalorgid": ORGANIZATION}, True),
        (OPERATIONS, {"sts:externalid": "migration-dev"}, False),
        (OPERATIONS, {"sts:externalid": "migration-prod", "aws:principalorgid": ORGANIZATION}, False),
        (OPERATIONS, WITH_MFA | {"aws:principalorgid": ORGANIZATION}, False),
        (HERE, WITH_MFA | {"sts:externalid": "migration-dev", "aws:principalorgid": ORGANIZATION}, False),
    ],
)
def test_listed_accounts_say_the_external_id_and_belong_to_the_organization(
    may_assume: Callable[..., bool], account: str, context: dict[str, str], is_trusted: bool
) -> None:
    chosen = WANTED | {"OperatorAccountIds": OPERATIONS, "OrganizationId": ORGANIZATION}
    assert may_assume(account, context, "MigrationRole", **chosen) is is_trusted


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("dms:StartReplicationTask", TASK, OWN),
        ("dms:StopReplicationTask", TASK, OWN),
        ("dms:DescribeTableStatistics", TASK, OWN),
        ("dms:DescribeReplicationTasks", "*", {}),
        ("dms:DescribeConnections", "*", {}),
        ("dms:DescribeEndpoints", "*", {}),
        ("dms:DescribeCertificates", "*", {}),
        ("cloudwatch:GetMetricData", "*", {}),
        ("secretsmanager:GetSecretValue", MASTER_SECRET, {}),
        ("secretsmanager:GetSecretValue", SOURCE_SECRET, {}),
        ("secretsmanager:CreateSecret", PASSWORD, {}),
        ("secretsmanager:PutSecretValue", PASSWORD, {}),
        ("secretsmanager:TagResource", PASSWORD, {}),
        ("kms:Decrypt", KEY, THROUGH_SECRETS),
        ("kms:GenerateDataKey", KEY, THROUGH_SECRETS),
    ],
)
def test_whoever_carries_the_migration_runs_the_task_and_reads_the_secrets_of_both_databases(
    may_migrate: Callable[..., bool], action: str, resource: str, context: dict[str, str]
) -> None:
    assert may_migrate(action, resource, context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("secretsmanager:GetSecretValue", MASTER_SECRET.replace("Database", "Dms"), {}),
        ("secretsmanager:GetSecretValue", MASTER_SECRET.replace("us-east-1", "eu-central-1"), {}),
        ("secretsmanager:PutSecretValue", MASTER_SECRET, {}),
        ("secretsmanager:UpdateSecretVersionStage", MASTER_SECRET, {}),
        ("secretsmanager:CreateSecret", PASSWORD.replace("-dev-", "-prod-"), {}),
        ("secretsmanager:CreateSecret", PASSWORD.replace("application-dev", "other"), {}),
        ("secretsmanager:DeleteSecret", PASSWORD, {}),
        ("secretsmanager:PutResourcePolicy", PASSWORD, {}),
        ("secretsmanager:GetSecretValue", BACK["back-on-premises"], {}),
        ("kms:Decrypt", KEY, {}),
        ("kms:Decrypt", KEY, {"kms:viaservice": "rds.us-east-1.amazonaws.com"}),
        ("kms:Decrypt", SOURCE_KEY, THROUGH_SECRETS),
        ("kms:GenerateDataKey", KEY, {}),
        ("kms:GenerateDataKey", SOURCE_KEY, THROUGH_SECRETS),
        ("dms:StartReplicationTaskAssessmentRun", TASK, OWN),
        ("dms:StartReplicationTask", TASK, {"dms:task-tag/environment": "prod"}),
        ("dms:ModifyReplicationTask", TASK, OWN),
        ("dms:DeleteReplicationTask", TASK, OWN),
        ("dms:ModifyEndpoint", ENDPOINT, OWN_RESOURCE),
        ("dms:AddTagsToResource", TASK, OWN),
        ("rds:ModifyDBInstance", f"arn:aws:rds:us-east-1:{HERE}:db:stackferry-database-dev", {}),
        ("iam:PassRole", "*", {}),
    ],
)
def test_whoever_carries_the_migration_does_nothing_more(
    may_migrate: Callable[..., bool], action: str, resource: str, context: dict[str, str]
) -> None:
    assert not may_migrate(action, resource, context)


def test_the_key_of_the_source_s_secret_is_used_through_secrets_manager_where_it_has_one_of_its_own(
    may_migrate: Callable[..., bool],
) -> None:
    given = {"SourceSecretKeyArn": SOURCE_KEY}
    assert may_migrate("kms:Decrypt", SOURCE_KEY, THROUGH_SECRETS, **given)
    assert not may_migrate("kms:Decrypt", SOURCE_KEY, **given)


@pytest.mark.parametrize("secret", BACK.values(), ids=list(BACK))
def test_the_secrets_of_the_way_back_are_read_where_there_is_one(may_migrate: Callable[..., bool], secret: str) -> None:
    assert may_migrate("secretsmanager:GetSecretValue", secret, **FALLBACK)
    assert not may_migrate("secretsmanager:GetSecretValue", secret, CreateFallback="false")


@pytest.mark.parametrize(
    ("parameter", "key"), [("FallbackSecretArn", "FallbackSecretKeyArn"), ("MigratorSecretArn", "MigratorSecretKeyArn")]
)
def test_a_secret_that_is_brought_is_read_with_its_own_key(
    may_migrate: Callable[..., bool], parameter: str, key: str
) -> None:
    given = FALLBACK | {parameter: BACK["back-on-premises"], key: SOURCE_KEY}
    assert may_migrate("secretsmanager:GetSecretValue", BACK["back-on-premises"], **given)
    assert may_migrate("kms:Decrypt", SOURCE_KEY, THROUGH_SECRETS, **given)
    assert not may_migrate("kms:Decrypt", SOURCE_KEY, THROUGH_SECRETS, **FALLBACK)


@pytest.mark.parametrize(
    ("action", "resource", "context", "is_allowed"),
    [
        ("dms:StartReplicationTaskAssessmentRun", TASK, OWN, True),
        ("dms:StartReplicationTaskAssessmentRun", TASK, {"dms:task-tag/environment": "prod"}, False),
        ("dms:DescribeReplicationTaskAssessmentRuns", "*", {}, True),
        ("dms:DescribeReplicationTaskIndividualAssessments", "*", {}, True),
        ("dms:DeleteReplicationTaskAssessmentRun", "*", {}, False),
        ("iam:PassRole", WRITER, {"iam:passedtoservice": "dms.amazonaws.com"}, True),
        ("iam:PassRole", WRITER, {"iam:passedtoservice": "ec2.amazonaws.com"}, False),
        ("iam:PassRole", f"{WRITER}-else", {"iam:passedtoservice": "dms.amazonaws.com"}, False),
    ],
)
def test_an_assessment_is_started_on_the_phase_s_own_task_with_the_role_that_is_named(
    ask: Callable[..., bool], action: str, resource: str, context: dict[str, str], is_allowed: bool
) -> None:
    assert ask("AssessmentPolicy", action, resource, context, **WANTED, **ASSESSED) is is_allowed


@pytest.mark.parametrize("chosen", [WANTED, ASSESSED])
def test_without_the_role_of_either_nobody_starts_an_assessment(deploy: Deploy, chosen: dict[str, str]) -> None:
    made = deploy(**chosen)
    assert "AssessmentPolicy" not in made.resources
    assert "AssessmentRoleArn" not in made.outputs


def test_the_outputs_name_the_role_and_the_bucket_of_assessments(deploy: Deploy) -> None:
    outputs = deploy(**WANTED, **ASSESSED).outputs
    assert (outputs["AssessmentRoleArn"], outputs["AssessmentBucket"]) == (WRITER, "assessments")
