"""Settings of StackSets for a test or a rehearsal: slow and failing accounts, results that lag."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ..conftest import until
from .conftest import Fleet

DONE = ("CURRENT", "SUCCEEDED")
FAILED = ("OUTDATED", "FAILED")


def test_an_account_fails_on_request_until_it_is_let_go(fleet: Fleet, member: str) -> None:
    fleet.make()
    fleet.drive(Accounts={member: {"Failure": "Rate exceeded"}})
    fleet.deploy([member])
    assert (fleet.states(), fleet.instance(member)["StatusReason"]) == (
        {(member, "us-east-1"): FAILED},
        "Rate exceeded",
    )
    fleet.drive(Accounts={})
    fleet.deploy([member])
    assert fleet.states() == {(member, "us-east-1"): DONE}


def test_an_account_is_slower_than_the_others_on_request(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    fleet.drive(Accounts={members[0]: {"StackSeconds": 60}})
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE", "MaxConcurrentCount": 2}
    request = {"Accounts": members[:2], "Regions": ["us-east-1"], "OperationPreferences": soft}
    operation = fleet.call("create_stack_instances", **request)["OperationId"]
    until(lambda: fleet.states()[members[1], "us-east-1"] == DONE)
    assert fleet.states()[members[0], "us-east-1"] == ("OUTDATED", "RUNNING")
    fleet.drive(Accounts={})
    assert fleet.over(operation)["Status"] == "SUCCEEDED"


def test_results_lag_behind_what_is_true(fleet: Fleet, member: str) -> None:
    fleet.make()
    fleet.drive(ResultsLagSeconds=60)
    operation = fleet.deploy([member])["OperationId"]

    def listed() -> list[str]:
        results = fleet.call("list_stack_set_operation_results", OperationId=operation)["Summaries"]
        return [each["Status"] for each in results]

    assert fleet.states() == {(member, "us-east-1"): DONE}
    assert listed() == []
    fleet.drive(ResultsLagSeconds=0.5)
    until(lambda: listed() == ["SUCCEEDED"])


def topic(version: str) -> dict[str, Any]:
    """A template with one topic, whose name for display changes with the version."""
    return {"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": version}}}}


def test_an_update_of_instances_may_leave_template_and_tags_as_they_were(fleet: Fleet, members: list[str]) -> None:
    """All that the API reference promises of UpdateStackInstances is an update of parameters."""
    fleet.make(topic("1"))
    fleet.deploy(members[:2])
    new = {"TemplateBody": json.dumps(topic("2")), "Tags": [{"Key": "Owner", "Value": "payments"}]}
    fleet.drive(UpdateInstancesCarry=False)
    fleet.run("update_stack_set", Accounts=members[:1], Regions=["us-east-1"], **new)
    fleet.run("update_stack_instances", Accounts=members[1:2], Regions=["us-east-1"])
    assert set(fleet.states().values()) == {DONE}
    found = {}
    for account in members[:2]:
        (stack,) = fleet.stacks(account)
        (deployed,) = (
            fleet.member(account).get_template(StackName=stack["StackName"])["TemplateBody"]["Resources"].values()
        )
        found[account] = deployed["Properties"]["DisplayName"], stack["Tags"]
    assert found == {members[0]: ("2", new["Tags"]), members[1]: ("1", [])}
    fleet.drive(UpdateInstancesCarry=True)
    fleet.run("update_stack_instances", Accounts=members[1:2], Regions=["us-east-1"])
    (stack,) = fleet.stacks(members[1])
    assert stack["Tags"] == new["Tags"]


@pytest.mark.parametrize("leaves", [True, False])
def test_an_update_of_tags_alone_may_leave_the_status_of_the_others(
    fleet: Fleet, members: list[str], leaves: bool
) -> None:
    fleet.make(topic("1"))
    fleet.deploy(members[:2])
    fleet.drive(SameTemplateLeavesStatus=leaves)
    where = {"Accounts": members[:1], "Regions": ["us-east-1"], "TemplateBody": json.dumps(topic("1"))}
    fleet.run("update_stack_set", **where, Tags=[{"Key": "Owner", "Value": "payments"}])
    other = fleet.states()[members[1], "us-east-1"]
    assert other == (DONE if leaves else ("OUTDATED", "PENDING"))
