"""Drift of a phase on the embedded cloud: what detection tells, and what it does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from builders.errors import RolloutError
from builders.rollout.checks.drift import DriftOptions, DriftView, differing_sections, run_drift
from builders.rollout.model import DeployedStack, Instance, StackSet, Status, Target
from builders.rollout.stack_sets import DriftedProperty

from .conftest import PLAN_ROLE, Administrator
from .small_phase import LAYERS, QUICK, SmallPhase, body, layer_set

HERE = "us-east-1"


@pytest.fixture
def phase(administrator: Administrator, members: list[str]) -> SmallPhase:
    phase = SmallPhase(administrator, members[:2], regions=[HERE])
    phase.run(phase.desired(*(layer_set(layer, phase.targets) for layer in ("network", "database"))))
    return phase


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def look(phase: SmallPhase, said: list[str]) -> Callable[..., tuple[DriftView, int]]:
    """Look for drift, quickly."""

    def look(**how: Any) -> tuple[DriftView, int]:
        looking = DriftOptions(poll_interval=QUICK, say=said.append, **how)
        return run_drift(phase.client, phase.desired(), LAYERS, phase.store.overrides(), looking)

    return look


def stack_of(phase: SmallPhase, layer: str, account: str) -> str:
    instances = phase.client.sets.instances(f"stackferry-{layer}-dev")
    return instances[Target(account, HERE)].stack_id


def change_queue(phase: SmallPhase, layer: str, account: str) -> None:
    """Change a queue behind CloudFormation's back."""
    api = phase.administrator.api("cloudformation", account)
    resource = api.describe_stack_resource(StackName=stack_of(phase, layer, account), LogicalResourceId="Queue")
    url = resource["StackResourceDetail"]["PhysicalResourceId"]
    phase.administrator.api("sqs", account).set_queue_attributes(QueueUrl=url, Attributes={"DelaySeconds": "7"})


def test_a_phase_that_nobody_touched_has_not_drifted(look: Callable[..., tuple[DriftView, int]]) -> None:
    view, code = look()

    assert (view.checked, view.drifted, view.unchecked, code) == (4, (), {}, 0)


def test_a_property_that_was_changed_is_reported_with_its_values(
    phase: SmallPhase, look: Callable[..., tuple[DriftView, int]]
) -> None:
    account = phase.accounts[1]
    change_queue(phase, "network", account)

    view, code = look()

    assert view.drifted == (
        DriftedProperty(
            "network", Target(account, HERE), "Queue", "AWS::SQS::Queue", "NOT_EQUAL", "/DelaySeconds", "0", "7"
        ),
    )
    assert code == 1


def test_a_plan_behind_a_detection_still_asks_for_no_instance_by_itself(phase: SmallPhase) -> None:
    known = phase.store.overrides()
    run_drift(phase.client, phase.desired(), LAYERS, known, DriftOptions(poll_interval=QUICK))
    phase.store.save_overrides(known)
    phase.connect()
    phase.plan(phase.desired())
    assert phase.client.calls.counts["cloudformation:DescribeStackInstance"] == 0


def test_only_the_layers_that_are_named_are_looked_at(
    phase: SmallPhase, look: Callable[..., tuple[DriftView, int]]
) -> None:
    change_queue(phase, "network", phase.accounts[0])

    view, code = look(layers=["database"])

    assert (view.checked, view.drifted, code) == (2, (), 0)


def test_a_layer_without_a_stack_set_is_refused(look: Callable[..., tuple[DriftView, int]]) -> None:
    with pytest.raises(RolloutError, match="no stack set of monitoring; it has those of: database, network"):
        look(layers=["monitoring"])


def test_the_operations_are_reported_so_that_they_can_be_found_again(
    phase: SmallPhase, look: Callable[..., tuple[DriftView, int]], said: list[str]
) -> None:
    look(layers=["network"])

    id_ = said[0].removeprefix("network: looking, by operation ")
    found = phase.client.sets.operation("stackferry-network-dev", id_)
    assert found is not None
    assert (found.action, said[-1]) == ("DETECT_DRIFT", "network: SUCCEEDED")


def test_a_set_that_is_busy_is_waited_for_by_name(phase: SmallPhase, said: list[str]) -> None:
    api = phase.administrator.api("cloudformation")
    api.update_stack_set(
        StackSetName="stackferry-network-dev",
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": "EnvironmentSuffix", "UsePreviousValue": True}],
        ManagedExecution={"Active": False},
    )
    phase.wait_until_idle(["network"])
    fleet = phase.administrator.fleet
    fleet.drive(StackSeconds=60, OperationsLagSeconds=0)
    phase.client.sets.detect_drift("stackferry-network-dev", "earlier", phase.desired().preferences)

    def hear(line: str) -> None:
        said.append(line)
        if "waiting for" in line:
            fleet.drive(StackSeconds=0)

    options = DriftOptions(layers=["network"], poll_interval=QUICK, say=hear)
    view, _ = run_drift(phase.client, phase.desired(), LAYERS, phase.store.overrides(), options)

    assert said[0] == "network: waiting for DETECT_DRIFT earlier, which is in progress there"
    assert view.checked == 2


def test_an_account_that_cannot_be_checked_is_reported_with_the_reason(
    phase: SmallPhase, look: Callable[..., tuple[DriftView, int]]
) -> None:
    phase.administrator.fleet.shut_out(phase.accounts[0])

    view, code = look(layers=["network"])

    ((layer, target),) = view.unchecked
    assert (layer, target) == ("network", Target(phase.accounts[0], HERE))
    assert "AWSCloudFormationStackSetExecutionRole" in view.unchecked[layer, target]
    assert (view.checked, code) == (1, 1)


def update_directly(phase: SmallPhase, account: str) -> None:
    """Update the stack in its own account, as somebody with the console does."""
    api = phase.administrator.api("cloudformation", account)
    stack = stack_of(phase, "network", account)
    api.update_stack(
        StackName=stack,
        TemplateBody=body("network", version="theirs"),
        Parameters=[
            {"ParameterKey": "EnvironmentSuffix", "UsePreviousValue": True},
            {"ParameterKey": "DelaySeconds", "ParameterValue": "9"},
        ],
    )
    while api.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"].endswith("IN_PROGRESS"):
        time.sleep(0.02)


def test_a_direct_update_is_seen_only_deeply(phase: SmallPhase, look: Callable[..., tuple[DriftView, int]]) -> None:
    account = phase.accounts[0]
    update_directly(phase, account)

    shallow, _ = look(layers=["network"])
    deep, code = look(layers=["network"], deep=True)

    assert shallow.drifted == ()
    assert {(each.target.account, each.property, each.expected, each.actual) for each in deep.drifted} == {
        (account, "Parameters/DelaySeconds", "0", "9"),
        (account, "Template/Resources/Queue", "as the set has it", "otherwise"),
    }
    assert code == 1


def test_a_stack_that_cannot_be_read_is_reported(phase: SmallPhase, look: Callable[..., tuple[DriftView, int]]) -> None:
    iam = phase.administrator.api("iam", phase.accounts[1])
    iam.detach_role_policy(RoleName=PLAN_ROLE, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role(RoleName=PLAN_ROLE)
    phase.connect()

    view, code = run_drift(
        phase.client,
        phase.desired(),
        LAYERS,
        phase.store.overrides(),
        DriftOptions(["network"], deep=True, poll_interval=QUICK),
    )

    ((key, reason),) = view.unchecked.items()
    assert key == ("network", Target(phase.accounts[1], HERE))
    assert reason.startswith("its stack cannot be read: ")
    assert code == 1


def state(template: str, **values: str) -> tuple[StackSet, Instance]:
    """A set with one instance that overrides a value."""
    target = Target("111111111111", HERE)
    instance = Instance(target, Status.CURRENT, "SUCCEEDED", overrides={"Size": "large"})
    return StackSet("network", "stackferry-network-dev", template, values, {}, {target: instance}), instance


SIZE, ZONE = {"Type": "String", "Default": "small", "NoEcho": True}, {"Type": "String", "Default": "a"}
TEMPLATE = json.dumps({"Parameters": {"Size": SIZE, "Zone": ZONE}, "Resources": {}})


def test_an_override_is_the_desired_value() -> None:
    found = list(
        differing_sections(*state(TEMPLATE), DeployedStack(TEMPLATE, {"Size": "large", "Zone": "a"}, "UPDATE_COMPLETE"))
    )

    assert found == []


def test_a_value_that_is_hidden_is_not_compared() -> None:
    found = list(differing_sections(*state(TEMPLATE), DeployedStack(TEMPLATE, {"Size": "****"}, "UPDATE_COMPLETE")))

    assert found == []


def test_a_parameter_that_is_called_like_a_secret_is_masked() -> None:
    body = TEMPLATE.replace("Zone", "DbPassword")
    deployed = DeployedStack(body, {"Size": "large", "DbPassword": "hunter2"}, "UPDATE_COMPLETE")
    (found,) = differing_sections(*state(body), deployed)
    assert (found.property, found.expected, found.actual) == ("Parameters/DbPassword", "****", "****")


def test_what_only_one_of_two_templates_has_is_absent_in_the_other() -> None:
    theirs = json.dumps(
        {**json.loads(TEMPLATE), "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}}, "Description": "ours no more"}
    )

    found = differing_sections(*state(TEMPLATE), DeployedStack(theirs, {"Size": "large"}, "UPDATE_COMPLETE"))

    assert [(each.property, each.expected, each.actual) for each in found] == [
        ("Template/Description", "", "otherwise"),
        ("Template/Resources/Queue", "", "otherwise"),
    ]
