"""The layers of a phase, carried by self-managed stack sets with exactly the roles that our own templates make.

The server asks IAM for every request, and the execution role for every resource (docs/embedded-stacksets.md).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from warm import running

from builders import catalog
from builders.rehearsal.deployment import layers
from builders.scopes import Scope

from .whole_phase import PHASE, TOOLING, WholePhase, name, whole_phase

EXECUTION_ROLE = "stackferry-execution-dev"
REGION = "us-east-1"


@dataclass
class ByStackSets(WholePhase):
    """A phase whose own layers come through stack sets of the tooling account."""

    given: dict[str, dict[str, str]] = field(default_factory=dict)
    """The parameters of each layer."""

    @staticmethod
    def template(layer: str) -> dict[str, Any]:
        return dict(json.loads(Path(f"templates/{layer}.json").read_text(encoding="utf-8")))

    def make(self, layer: str, template: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
        self.given[layer] = given
        if catalog.load(layer).scope is not Scope.PHASE:
            return super().make(layer, template, given)
        stack_set = f"stackferry-{name(layer)}-dev"
        self.tooling.client("cloudformation").create_stack_set(
            StackSetName=stack_set,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
            AdministrationRoleARN=self.stacks["administration"]["AdministrationRoleArn"],
            ExecutionRoleName=EXECUTION_ROLE,
        )
        assert self.reasons(self.operate("create_stack_instances", stack_set), stack_set) == []
        return self.outputs(stack_set)

    def operate(self, operation: str, stack_set: str, **more: Any) -> str:
        """Run an operation on the set's one instance to its end, and return its id."""
        api = self.tooling.client("cloudformation")
        started = getattr(api, operation)(StackSetName=stack_set, Accounts=[PHASE], Regions=[REGION], **more)
        operation_id = str(started["OperationId"])

        def is_over() -> bool:
            found = api.describe_stack_set_operation(StackSetName=stack_set, OperationId=operation_id)
            return found["StackSetOperation"]["Status"] not in ("QUEUED", "RUNNING", "STOPPING")

        while not is_over():
            time.sleep(0.05)
        return operation_id

    def reasons(self, operation_id: str, stack_set: str) -> list[str]:
        """The reason why the operation failed at its instance; results appear a little later than the end."""
        api = self.tooling.client("cloudformation")
        results: list[dict[str, Any]] = []
        while not results or results[0]["Status"] in ("PENDING", "RUNNING"):
            time.sleep(0.05)
            answer = api.list_stack_set_operation_results(StackSetName=stack_set, OperationId=operation_id)
            results = answer["Summaries"]
        return [result["StatusReason"] for result in results if result["Status"] != "SUCCEEDED"]

    def stack_id(self, stack_set: str) -> str:
        """The instance's stack."""
        instance = self.tooling.client("cloudformation").describe_stack_instance(
            StackSetName=stack_set, StackInstanceAccount=PHASE, StackInstanceRegion=REGION
        )["StackInstance"]
        return str(instance["StackId"])

    def physical_id(self, layer: str, logical_id: str) -> str:
        """A resource of a layer of the phase."""
        return self.account.physical_id(logical_id, self.stack_id(f"stackferry-{name(layer)}-dev"))

    def outputs(self, stack_set: str) -> dict[str, str]:
        """The output of the instance's stack."""
        (stack,) = self.client("cloudformation").describe_stacks(StackName=self.stack_id(stack_set))["Stacks"]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


@pytest.fixture(scope="module")
def phase() -> Iterator[ByStackSets]:
    with running(authorize=True) as cloud, whole_phase(cloud, kind=ByStackSets) as deployed:
        assert isinstance(deployed, ByStackSets)
        yield deployed


@pytest.fixture
def without(phase: ByStackSets) -> Iterator[Callable[..., None]]:
    """Takes actions away from the execution role for the length of a test."""
    iam = phase.client("iam")

    def without(*actions: str) -> None:
        denied = {"Effect": "Deny", "Action": list(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [denied]})
        iam.put_role_policy(RoleName=EXECUTION_ROLE, PolicyName="without", PolicyDocument=document)

    yield without
    iam.delete_role_policy(RoleName=EXECUTION_ROLE, PolicyName="without")


def test_the_role_of_our_templates_carries_a_whole_phase(phase: ByStackSets) -> None:
    api = phase.tooling.client("cloudformation")
    instances = {
        layer: api.list_stack_instances(StackSetName=f"stackferry-{name(layer)}-dev") for layer in layers(Scope.PHASE)
    }
    states = {layer: [each["Status"] for each in answer["Summaries"]] for layer, answer in instances.items()}
    assert states == {layer: ["CURRENT"] for layer in layers(Scope.PHASE)}
    assert phase.stacks["migration"]["ReplicationTaskArn"].startswith(f"arn:aws:dms:{REGION}:{PHASE}:task:")


@pytest.mark.parametrize(
    ("layer", "parameter", "value", "action"),
    [
        ("secrets", "CostCenter", "other", "secretsmanager:UpdateSecret"),
        ("network", "CostCenter", "other", "cloudformation:UpdateStack"),
        ("monitoring", "CpuAlarmPercent", "71", "cloudwatch:PutMetricAlarm"),
    ],
)
def test_an_update_fails_with_iam_s_sentence_when_a_permission_is_taken_away(
    phase: ByStackSets, without: Callable[..., None], layer: str, parameter: str, value: str, action: str
) -> None:
    without(action)
    stack_set = f"stackferry-{name(layer)}-dev"
    overrides = [{"ParameterKey": parameter, "ParameterValue": value}]
    (reason,) = phase.reasons(
        phase.operate("update_stack_instances", stack_set, ParameterOverrides=overrides), stack_set
    )
    assert f"assumed-role/{EXECUTION_ROLE}/" in reason
    assert f"is not authorized to perform: {action}" in reason


def test_a_new_type_of_resource_needs_a_permission_of_its_own(phase: ByStackSets) -> None:
    """The role has what a phase is made of today, and no more."""
    api = phase.tooling.client("cloudformation")
    api.create_stack_set(
        StackSetName="stackferry-queue-dev",
        TemplateBody='{"Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}}',
        AdministrationRoleARN=phase.stacks["administration"]["AdministrationRoleArn"],
        ExecutionRoleName=EXECUTION_ROLE,
    )
    (reason,) = phase.reasons(phase.operate("create_stack_instances", "stackferry-queue-dev"), "stackferry-queue-dev")
    assert "is not authorized to perform: sqs:CreateQueue" in reason


def test_stack_sets_of_other_names_do_not_come_in(phase: ByStackSets) -> None:
    api = phase.tooling.client("cloudformation")
    api.create_stack_set(
        StackSetName="payroll",
        TemplateBody='{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}',
        AdministrationRoleARN=phase.stacks["administration"]["AdministrationRoleArn"],
        ExecutionRoleName=EXECUTION_ROLE,
    )
    (reason,) = phase.reasons(phase.operate("create_stack_instances", "payroll"), "payroll")
    assert (
        "should have 'stackferry-administration-dev' role with trust relationship to CloudFormation service" in reason
    )
    assert TOOLING not in reason.partition("on resource:")[2]


# Attacks: whoever holds the tooling account wears the execution role, and calls what it likes.

BOUNDARY = f"arn:aws:iam::{PHASE}:policy/stackferry-boundary-dev"
ANYBODY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": TOOLING}, "Action": "sts:AssumeRole"}],
    }
)
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})

Clients = Callable[[str], Any]


def session_of(phase: ByStackSets, by: Clients | None, arn: str) -> Clients:
    """Clients with a role's session: assumed by the tooling account itself, or by other clients."""
    sts = by("sts") if by else phase.tooling.client("sts")
    given = sts.assume_role(RoleArn=arn, RoleSessionName="mallory")["Credentials"]
    return lambda service: boto3.client(
        service,
        endpoint_url=phase.tooling.cloud.endpoint_url,
        region_name=REGION,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )


@pytest.fixture(scope="module")
def mallory(phase: ByStackSets) -> Clients:
    """The execution role, in the hands of the tooling account's master: the administration role is his to change."""
    administration = phase.stacks["administration"]["AdministrationRoleArn"]
    name = administration.rsplit("/", 1)[-1]
    iam = phase.tooling.client("iam")
    before = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
    opened = {**before, "Statement": [*before["Statement"], *json.loads(ANYBODY)["Statement"]]}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(opened))
    return session_of(phase, session_of(phase, None, administration), f"arn:aws:iam::{PHASE}:role/{EXECUTION_ROLE}")


def refused(call: Callable[..., Any], **request: Any) -> str:
    """The action that IAM refuses."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    found = re.search(r"is not authorized to perform: (\S+)", str(caught.value))
    assert found, caught.value
    return found[1]


@pytest.fixture(scope="module")
def bounded(mallory: Clients, phase: ByStackSets) -> Clients:
    """A role of the attacker's making, as far as he gets: any trust and any policy, within the boundary."""
    iam = mallory("iam")
    name = "StackSet-stackferry-mallory"
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=ANYBODY, PermissionsBoundary=BOUNDARY)["Role"]
    policy = iam.create_policy(PolicyName="StackSet-stackferry-everything", PolicyDocument=EVERYTHING)["Policy"]
    iam.attach_role_policy(RoleName=name, PolicyArn=policy["Arn"])
    return session_of(phase, None, role["Arn"])


def test_a_role_with_any_trust_and_any_policy_reads_no_secret_of_the_database(
    bounded: Clients, phase: ByStackSets
) -> None:
    secrets = bounded("secretsmanager")
    database = phase.stacks["secrets"]["SecretsManagerArn"]
    assert refused(secrets.get_secret_value, SecretId=database) == "secretsmanager:GetSecretValue"
    policy = {"ResourcePolicy": EVERYTHING.replace('"Action"', '"Principal": "*", "Action"')}
    assert refused(secrets.put_resource_policy, SecretId=database, **policy) == "secretsmanager:PutResourcePolicy"
    other = phase.client("secretsmanager").create_secret(Name="payroll", SecretString="s")["ARN"]
    assert refused(secrets.get_secret_value, SecretId=other) == "secretsmanager:GetSecretValue"


def test_a_role_with_any_policy_takes_nothing_else(bounded: Clients) -> None:
    iam = bounded("iam")
    assert refused(iam.create_user, UserName="mallory") == "iam:CreateUser"
    assert refused(iam.delete_role_permissions_boundary, RoleName="StackSet-stackferry-mallory") == (
        "iam:DeleteRolePermissionsBoundary"
    )
    assert refused(bounded("rds").describe_db_clusters) == "rds:DescribeDBClusters"
    assert refused(bounded("s3").list_buckets) == "s3:ListAllMyBuckets"
    assert refused(bounded("lambda").list_functions) == "lambda:ListFunctions"
    assert refused(bounded("sts").assume_role, RoleArn=f"arn:aws:iam::{PHASE}:role/{EXECUTION_ROLE}",
                   RoleSessionName="mallory") == "sts:AssumeRole"  # fmt: skip


def test_no_role_is_made_without_the_boundary_or_with_another(mallory: Clients) -> None:
    create = mallory("iam").create_role
    request = {"RoleName": "StackSet-stackferry-free", "AssumeRolePolicyDocument": ANYBODY}
    assert refused(create, **request) == "iam:CreateRole"
    other = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert refused(create, PermissionsBoundary=other, **request) == "iam:CreateRole"


def test_the_boundary_is_neither_removed_nor_replaced_nor_rewritten(mallory: Clients, bounded: Clients) -> None:
    iam, role = mallory("iam"), "StackSet-stackferry-mallory"
    other = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert refused(iam.delete_role_permissions_boundary, RoleName=role) == "iam:DeleteRolePermissionsBoundary"
    assert refused(iam.put_role_permissions_boundary, RoleName=role, PermissionsBoundary=other) == (
        "iam:PutRolePermissionsBoundary"
    )
    version = {"PolicyArn": BOUNDARY, "PolicyDocument": EVERYTHING, "SetAsDefault": True}
    assert refused(iam.create_policy_version, **version) == "iam:CreatePolicyVersion"
    assert refused(iam.delete_policy, PolicyArn=BOUNDARY) == "iam:DeletePolicy"


def test_policies_of_others_are_not_attached_and_trusts_of_others_not_rewritten(
    mallory: Clients, bounded: Clients, phase: ByStackSets
) -> None:
    phase.client("iam").create_role(RoleName="payroll", AssumeRolePolicyDocument=ANYBODY)
    iam = mallory("iam")
    administrator = "arn:aws:iam::aws:policy/AdministratorAccess"
    assert refused(iam.attach_role_policy, RoleName="StackSet-stackferry-mallory", PolicyArn=administrator) == (
        "iam:AttachRolePolicy"
    )
    for role in ("payroll", EXECUTION_ROLE, "stackferry-plan-dev"):
        assert refused(iam.update_assume_role_policy, RoleName=role, PolicyDocument=ANYBODY) == (
            "iam:UpdateAssumeRolePolicy"
        )


def test_a_function_s_role_that_trusts_the_attacker_reads_no_secret_for_him(
    mallory: Clients, phase: ByStackSets
) -> None:
    """The trust of the phase's own roles is his to write; a session of his is none of the function's."""
    role = phase.physical_id("rotation", "RotationFunctionRole")
    iam = mallory("iam")
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=ANYBODY)
    session = session_of(phase, None, f"arn:aws:iam::{PHASE}:role/{role}")
    database = phase.stacks["secrets"]["SecretsManagerArn"]
    assert refused(session("secretsmanager").get_secret_value, SecretId=database) == "secretsmanager:GetSecretValue"


def test_secrets_and_keys_of_others_are_not_claimed_by_tags_or_policies(mallory: Clients, phase: ByStackSets) -> None:
    mine = [{"Key": "Environment", "Value": "dev"}]
    secrets = mallory("secretsmanager")
    there = phase.client("secretsmanager").create_secret(Name="wages", SecretString="s")["ARN"]
    assert refused(secrets.tag_resource, SecretId=there, Tags=mine) == "secretsmanager:TagResource"
    other = [{"Key": "Environment", "Value": "prod"}]
    taken = phase.client("secretsmanager").create_secret(Name="DatabaseSecret-x", SecretString="s", Tags=other)["ARN"]
    assert refused(secrets.tag_resource, SecretId=taken, Tags=mine) == "secretsmanager:TagResource"
    assert refused(secrets.get_secret_value, SecretId=taken) == "secretsmanager:GetSecretValue"
    assert refused(secrets.delete_secret, SecretId=phase.stacks["secrets"]["SecretsManagerArn"]) == (
        "secretsmanager:DeleteSecret"
    )
    kms = mallory("kms")
    tags = [{"TagKey": "Environment", "TagValue": "prod"}]
    key = phase.client("kms").create_key(Tags=tags)["KeyMetadata"]["KeyId"]
    policy = EVERYTHING.replace('"Action"', '"Principal": {"AWS": "*"}, "Action"')
    assert refused(kms.put_key_policy, KeyId=key, PolicyName="default", Policy=policy) == "kms:PutKeyPolicy"
    assert refused(kms.tag_resource, KeyId=key, Tags=[{"TagKey": "Environment", "TagValue": "dev"}]) == (
        "kms:TagResource"
    )
    own = phase.stacks["foundation"]["KmsKeyId"]
    assert refused(kms.schedule_key_deletion, KeyId=own) == "kms:ScheduleKeyDeletion"
    assert refused(kms.disable_key, KeyId=own) == "kms:DisableKey"


def test_a_sealed_role_changes_no_function_that_reads_a_secret_and_reads_none(
    mallory: Clients, bounded: Clients, phase: ByStackSets
) -> None:
    """Open it can, since that is how a release comes; sealed is how a phase stands between two releases."""
    given = dict(phase.given["account"])
    phase.make("account", phase.template("account"), given | {"SealExecutionRole": "true"})
    try:
        name = phase.physical_id("rotation", "RotationFunction")
        attacks = mallory("lambda")
        assert refused(attacks.update_function_code, FunctionName=name, ZipFile=b"x") == "lambda:UpdateFunctionCode"
        assert refused(attacks.update_function_configuration, FunctionName=name, Handler="x") == (
            "lambda:UpdateFunctionConfiguration"
        )
        database = phase.stacks["secrets"]["SecretsManagerArn"]
        secrets = mallory("secretsmanager")
        assert refused(secrets.get_secret_value, SecretId=database) == "secretsmanager:GetSecretValue"
        trust = {"RoleName": "StackSet-stackferry-mallory", "PolicyDocument": ANYBODY}
        assert refused(mallory("iam").update_assume_role_policy, **trust) == "iam:UpdateAssumeRolePolicy"
        policy = {"KeyId": phase.stacks["foundation"]["KmsKeyId"], "PolicyName": "default", "Policy": EVERYTHING}
        assert refused(mallory("kms").put_key_policy, **policy) == "kms:PutKeyPolicy"
        overrides = [{"ParameterKey": "CostCenter", "ParameterValue": "sealed"}]
        operation = phase.operate("update_stack_instances", "stackferry-network-dev", ParameterOverrides=overrides)
        assert phase.reasons(operation, "stackferry-network-dev") == []
    finally:
        phase.make("account", phase.template("account"), given)


def test_a_remade_administration_role_is_no_stranger(phase: ByStackSets) -> None:
    """Other than a trust that names the role, which IAM turns into the unique id of the one that is gone."""
    iam = phase.tooling.client("iam")
    arn = phase.stacks["administration"]["AdministrationRoleArn"]
    phase.tooling.delete("administration")
    assert "AdministrationRole" not in str(iam.list_roles()["Roles"])
    phase.make("administration", phase.template("administration"), dict(phase.given["administration"]))
    overrides = [{"ParameterKey": "CpuAlarmPercent", "ParameterValue": "72"}]
    operation = phase.operate("update_stack_instances", "stackferry-monitoring-dev", ParameterOverrides=overrides)
    assert phase.reasons(operation, "stackferry-monitoring-dev") == []
    assert phase.stacks["administration"]["AdministrationRoleArn"] == arn


def test_the_role_takes_a_phase_away_again(phase: ByStackSets) -> None:
    """The last test: what keeps data is retained, everything else goes."""
    phase.network.delete(name("phase_routes"))
    reasons = {}
    for layer in reversed(layers(Scope.PHASE)):
        stack_set = f"stackferry-{name(layer)}-dev"
        reasons[layer] = phase.reasons(
            phase.operate("delete_stack_instances", stack_set, RetainStacks=False), stack_set
        )
    assert reasons == {layer: [] for layer in layers(Scope.PHASE)}
