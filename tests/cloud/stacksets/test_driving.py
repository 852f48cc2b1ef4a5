"""What a test or a rehearsal decides about StackSets: slow and failing accounts, results that lag."""

from __future__ import annotations

import time

from .conftest import Fleet

STEP = 0.12
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
    fleet.drive(Accounts={members[0]: {"StackSeconds": STEP}})
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE", "MaxConcurrentCount": 2}
    request = {"Accounts": members[:2], "Regions": ["us-east-1"], "OperationPreferences": soft}
    operation = fleet.call("create_stack_instances", **request)["OperationId"]
    while fleet.states()[members[1], "us-east-1"] != DONE:
        time.sleep(STEP / 20)
    assert fleet.states()[members[0], "us-east-1"] == ("OUTDATED", "RUNNING")
    fleet.over(operation)


def test_results_lag_behind_what_is_true(fleet: Fleet, member: str) -> None:
    fleet.make()
    fleet.drive(ResultsLagSeconds=0.5)
    operation = fleet.deploy([member])["OperationId"]
    assert fleet.states() == {(member, "us-east-1"): DONE}
    assert fleet.call("list_stack_set_operation_results", OperationId=operation)["Summaries"] == []
    time.sleep(0.5)
    (result,) = fleet.call("list_stack_set_operation_results", OperationId=operation)["Summaries"]
    assert result["Status"] == "SUCCEEDED"
