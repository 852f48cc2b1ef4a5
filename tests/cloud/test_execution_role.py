"""The layers of a phase, carried by self-managed stack sets with exactly the roles that our own templates make.

The server asks IAM for every request, and the execution role for every resource (docs/embedded-stacksets.md).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from builders import catalog
from builders.cloud.process import running
from builders.scopes import Scope

from .whole_phase import PHASE, TOOLING, WholePhase, layers, name, whole_phase

EXECUTION_ROLE = "stackferry-execution-dev"
REGION = "us-east-1"


class ByStackSets(WholePhase):
    """A phase whose own layers come through stack sets of the tooling account."""

    def make(self, layer: str, template: dict[str, Any], given: dict[str, str]) -> dict[str, str]:
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

    def outputs(self, stack_set: str) -> dict[str, str]:
        """The output of the instance's stack."""
        instance = self.tooling.client("cloudformation").describe_stack_instance(
            StackSetName=stack_set, StackInstanceAccount=PHASE, StackInstanceRegion=REGION
        )["StackInstance"]
        (stack,) = self.client("cloudformation").describe_stacks(StackName=instance["StackId"])["Stacks"]
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
    assert "is not authorized to perform: cloudformation:CreateStack" in reason
    assert TOOLING not in reason.partition("on resource:")[2]


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
