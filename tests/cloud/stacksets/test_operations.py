"""Operations in the background: accounts at a time, tolerance, order of regions, statuses on the way, stop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ACTIVE, Fleet, Key

SLOW_SECONDS = 60
"""The time of a stack that a test does not wait for: it lets it end."""
CANCELLED = ("OUTDATED", "CANCELLED")
DONE = ("CURRENT", "SUCCEEDED")
FAILED = ("OUTDATED", "FAILED")


@dataclass(frozen=True)
class Moment:
    """The instances at one time: how many run, and how many have failed, by region."""

    running: dict[str, int]
    failed: int


def watch(fleet: Fleet, accounts: list[str], *regions: str, **preferences: Any) -> list[Moment]:
    """Deploy, let one account end after the other, and return the moments between."""
    fleet.drive(StackSeconds=SLOW_SECONDS)
    request = {"Accounts": accounts, "Regions": list(regions or ("us-east-1",)), "OperationPreferences": preferences}
    operation = fleet.call("create_stack_instances", **request)["OperationId"]
    moments = []
    while fleet.operation(operation)["Status"] in ACTIVE:
        states = fleet.states()
        running: dict[str, int] = {}
        for (_, region), state in states.items():
            running[region] = running.get(region, 0) + (state[1] == "RUNNING")
        moments.append(Moment(running, list(states.values()).count(FAILED)))
        if under_way := at_work(states):
            # Only this one: where it has another region before it, it is slow again there.
            fleet.drive(Accounts={under_way[0]: {"StackSeconds": 0}})
            while under_way[0] in at_work(fleet.states()):
                time.sleep(0.01)
    fleet.drive(StackSeconds=0, Accounts={})
    return moments


def at_work(states: dict[Key, tuple[str, str]]) -> list[str]:
    """The accounts that have an instance which is RUNNING."""
    return [account for (account, _), state in states.items() if state[1] == "RUNNING"]


def most(moments: list[Moment], region: str = "us-east-1") -> int:
    return max(moment.running[region] for moment in moments)


def test_an_operation_answers_before_it_is_over(fleet: Fleet, member: str) -> None:
    fleet.make()
    fleet.drive(StackSeconds=SLOW_SECONDS)
    operation = fleet.call("create_stack_instances", Accounts=[member], Regions=["us-east-1"])["OperationId"]
    described = fleet.operation(operation)
    assert (described["Status"], "EndTimestamp" in described) == ("RUNNING", False)
    assert fleet.states() in ({(member, "us-east-1"): ("OUTDATED", "RUNNING")},)
    assert fleet.finish(operation)["EndTimestamp"] > described["CreationTimestamp"]
    assert fleet.states() == {(member, "us-east-1"): DONE}


def test_instances_are_outdated_and_pending_until_their_turn(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    fleet.drive(StackSeconds=SLOW_SECONDS)
    operation = fleet.call("create_stack_instances", Accounts=members[:2], Regions=["us-east-1"])["OperationId"]
    assert sorted(fleet.states().values()) == [("OUTDATED", "PENDING"), ("OUTDATED", "RUNNING")]
    fleet.finish(operation)


def test_without_preferences_one_account_goes_at_a_time(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    assert most(watch(fleet, members[:3])) == 1


def test_strict_tolerance_narrows_the_width_to_one_more_than_itself(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    assert most(watch(fleet, members, MaxConcurrentCount=4, FailureToleranceCount=1)) == 2


def test_strict_tolerance_narrows_further_with_each_failure(fleet: Fleet, members: list[str]) -> None:
    fleet.shut_out(members[0])
    fleet.make()
    moments = watch(fleet, members, MaxConcurrentCount=4, FailureToleranceCount=1)
    assert most([moment for moment in moments if not moment.failed]) == 2
    assert most([moment for moment in moments if moment.failed]) == 1


def test_soft_tolerance_keeps_the_width(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE", "MaxConcurrentCount": 4, "FailureToleranceCount": 0}
    assert most(watch(fleet, members, **soft)) == 4


def test_a_percentage_of_accounts_is_rounded_down_to_at_least_one(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE"}
    assert most(watch(fleet, members, MaxConcurrentPercentage=50, **soft)) == 2
    fleet.run("delete_stack_instances", Accounts=members, Regions=["us-east-1"], RetainStacks=False)
    assert most(watch(fleet, members[:3], MaxConcurrentPercentage=10, **soft)) == 1


def test_what_is_past_the_tolerance_is_cancelled(fleet: Fleet, members: list[str]) -> None:
    fleet.shut_out(members[1])
    fleet.make()
    operation = fleet.deploy(members[:4])
    assert operation["Status"] == "FAILED"
    assert list(fleet.states().values()) == [DONE, FAILED, CANCELLED, CANCELLED]
    assert fleet.instance(members[2])["StatusReason"] == "Cancelled since failure tolerance has exceeded"


def test_within_the_tolerance_an_operation_succeeds_and_counts_its_failures(fleet: Fleet, members: list[str]) -> None:
    fleet.shut_out(members[0])
    fleet.make()
    operation = fleet.deploy(members[:3], OperationPreferences={"FailureToleranceCount": 1})
    assert (operation["Status"], operation["StatusDetails"]) == ("SUCCEEDED", {"FailedStackInstancesCount": 1})
    assert list(fleet.states().values()) == [FAILED, DONE, DONE]


@pytest.mark.parametrize(("percentage", "status"), [(39, "FAILED"), (40, "SUCCEEDED")])
def test_a_tolerated_percentage_is_rounded_down(fleet: Fleet, members: list[str], percentage: int, status: str) -> None:
    for each in members[:2]:
        fleet.shut_out(each)
    fleet.make()
    operation = fleet.deploy(members, OperationPreferences={"FailureTolerancePercentage": percentage})
    assert operation["Status"] == status


def test_soft_tolerance_lets_what_runs_end_and_starts_nothing_more(fleet: Fleet, members: list[str]) -> None:
    fleet.shut_out(members[0])
    fleet.make()
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE", "MaxConcurrentCount": 3}
    fleet.deploy(members, OperationPreferences=soft)
    assert list(fleet.states().values()) == [FAILED, DONE, DONE, CANCELLED, CANCELLED]


def test_regions_go_one_after_the_other_in_the_order_that_is_given(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    order = ["eu-west-1", "us-east-1"]
    moments = watch(fleet, members[:2], "us-east-1", "eu-west-1", RegionOrder=order)
    assert all(sum(moment.running.values()) <= 1 for moment in moments)
    busy = [region for moment in moments for region, running in moment.running.items() if running]
    assert list(dict.fromkeys(busy)) == order


def test_parallel_regions_go_together_each_with_its_own_width(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    moments = watch(fleet, members[:2], "us-east-1", "eu-west-1", RegionConcurrencyType="PARALLEL")
    assert {"us-east-1": 1, "eu-west-1": 1} in [moment.running for moment in moments]


def test_a_region_past_its_tolerance_cancels_those_after_it(fleet: Fleet, member: str) -> None:
    fleet.shut_out(member)
    fleet.make()
    fleet.deploy([member], "us-east-1", "eu-west-1")
    assert fleet.states() == {(member, "us-east-1"): FAILED, (member, "eu-west-1"): CANCELLED}


def test_the_tolerance_is_for_each_region(fleet: Fleet, members: list[str]) -> None:
    fleet.shut_out(members[0])
    fleet.make()
    operation = fleet.deploy(members[:2], "us-east-1", "eu-west-1", OperationPreferences={"FailureToleranceCount": 1})
    assert (operation["Status"], operation["StatusDetails"]["FailedStackInstancesCount"]) == ("SUCCEEDED", 2)


def test_a_stopped_operation_ends_what_runs_and_cancels_the_rest(fleet: Fleet, members: list[str]) -> None:
    fleet.make()
    fleet.drive(StackSeconds=SLOW_SECONDS)
    operation = fleet.call("create_stack_instances", Accounts=members[:2], Regions=["us-east-1"])["OperationId"]
    fleet.call("stop_stack_set_operation", OperationId=operation)
    assert fleet.operation(operation)["Status"] == "STOPPING"
    assert fleet.finish(operation)["Status"] == "STOPPED"
    assert list(fleet.states().values()) == [DONE, CANCELLED]


def test_an_operation_that_is_over_cannot_be_stopped(deployed: Fleet) -> None:
    (operation,) = deployed.call("list_stack_set_operations")["Summaries"]
    with pytest.raises(ClientError, match="InvalidOperationException"):
        deployed.call("stop_stack_set_operation", OperationId=operation["OperationId"])


def test_an_operation_that_never_was_is_not_found(deployed: Fleet) -> None:
    with pytest.raises(ClientError, match="OperationNotFoundException"):
        deployed.operation("never")


@pytest.mark.parametrize("name", ["FailureTolerance", "MaxConcurrent"])
def test_a_count_beside_a_percentage_is_refused(fleet: Fleet, member: str, name: str) -> None:
    fleet.make()
    both = {f"{name}Count": 1, f"{name}Percentage": 10}
    with pytest.raises(ClientError, match=f"either {name}Count or {name}Percentage"):
        fleet.call("create_stack_instances", Accounts=[member], Regions=["us-east-1"], OperationPreferences=both)
