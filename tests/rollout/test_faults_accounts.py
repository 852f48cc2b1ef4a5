"""Accounts that fail, are suspended, shut us out or are slow; stacks that somebody deleted; waves that wait for all."""

from __future__ import annotations

from typing import Any

import pytest
from cloud.stacksets.organization import Organization

from builders.rollout.executor import executor
from builders.rollout.lifecycle.rollback import detach_calls
from builders.rollout.model import ConcurrencyMode, DesiredState, Target, Wave
from builders.rollout.state.journal import Command

from .conftest import Administrator
from .small_phase import LAYERS, SmallPhase, body, layer_set


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    """Three accounts in one region, where the first release is deployed."""
    small = SmallPhase(administrator, members, regions=("us-east-1",))
    assert small.run(release(small, "1")).good
    return small


def release(small: SmallPhase, version: str, **more: Any) -> DesiredState:
    return small.desired(*(layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS), **more)


def deployed_versions(small: SmallPhase, version: str, *but: str) -> dict[tuple[str, Target], str]:
    return {(layer, target): version for layer in LAYERS for target in small.targets if target.account not in but}


def at(small: SmallPhase, account: str) -> set[str]:
    return {version for (_, target), version in small.versions().items() if target.account == account}


@pytest.mark.parametrize("mode", ConcurrencyMode)
def test_as_many_may_fail_as_are_borne_and_the_others_get_everything(small: SmallPhase, mode: ConcurrencyMode) -> None:
    broken, *others = small.accounts
    small.administrator.fleet.drive(Accounts={broken: {"Failure": "Rate exceeded"}, others[0]: {"StackSeconds": 0.3}})
    report = small.run(release(small, "2", failure_tolerance="1", mode=mode))
    assert report.stopped == ""
    assert {each.target.account for each in report.failures} == {broken}
    (reason,) = report.causes()
    assert "Rate exceeded" in reason
    assert {at(small, account).pop() for account in others} == {"2"}


@pytest.mark.parametrize("mode", ConcurrencyMode)
def test_one_failure_more_than_is_borne_stops_what_comes_behind(small: SmallPhase, mode: ConcurrencyMode) -> None:
    broken = small.accounts[:2]
    small.administrator.fleet.drive(Accounts={account: {"Failure": "Rate exceeded"} for account in broken})
    waves = (Wave("first", tuple(broken)), Wave("rest", (small.accounts[2],)))
    report = small.run(release(small, "2", failure_tolerance="1", mode=mode, waves=waves))
    assert "wave first" in report.stopped
    assert small.versions() == deployed_versions(small, "1")
    small.administrator.fleet.drive(Accounts={account: {} for account in broken})
    assert small.run(release(small, "2", waves=waves)).good
    assert small.versions() == deployed_versions(small, "2")


def test_a_slow_account_holds_up_its_own_wave_and_nothing_is_given_up(small: SmallPhase) -> None:
    slow, *others = small.accounts
    small.administrator.fleet.drive(Accounts={slow: {"StackSeconds": 0.5}})
    assert small.run(release(small, "2", waves=(Wave("slow", (slow,)), Wave("rest", tuple(others))))).good
    assert small.versions() == deployed_versions(small, "2")


def test_an_account_without_the_role_is_named_and_others_are_done(small: SmallPhase) -> None:
    broken = small.accounts[1]
    small.shut_out(broken)
    report = small.run(release(small, "2", failure_tolerance="1"))
    (reason,) = report.causes()
    assert f"Account {broken} should have" in reason
    assert at(small, broken) == {"1"}
    small.let_in(broken)
    assert small.run(release(small, "2")).good
    assert small.versions() == deployed_versions(small, "2")


def test_a_suspended_account_is_no_success_although_stacksets_calls_it_none_of_a_failure(small: SmallPhase) -> None:
    suspended, *others = small.accounts
    organization = Organization(small.administrator.cloud, small.administrator.number)
    organization.admit(suspended)
    organization.api.close_account(AccountId=suspended)
    report = small.run(release(small, "2"))
    assert not report.good
    assert {(each.target.account, each.layer) for each in report.failed} >= {(suspended, "network")}
    assert any("SUSPENDED" in each.reason for each in report.failures)
    assert {at(small, account).pop() for account in others} == {"2"}


def test_a_stack_that_somebody_deleted_is_made_again_by_the_next_release(small: SmallPhase) -> None:
    account = small.accounts[0]
    api = small.administrator.api("cloudformation", account)
    name = next(
        each["StackName"] for each in api.describe_stacks()["Stacks"] if "stackferry-monitoring-" in each["StackName"]
    )
    api.delete_stack(StackName=name)
    api.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1})
    assert small.run(release(small, "2")).good
    assert small.versions() == deployed_versions(small, "2")


def test_an_inoperable_instance_is_detached_and_made_again(small: SmallPhase) -> None:
    broken, *others = small.accounts
    staying = [target for target in small.targets if target.account != broken]
    smaller = [layer_set(layer, staying if layer == "monitoring" else small.targets) for layer in LAYERS]
    small.shut_out(broken)
    small.run(small.desired(*smaller, failure_tolerance="1"))
    small.let_in(broken)
    report = small.run(release(small, "2", failure_tolerance="1"))
    assert [(each.layer, each.target.account) for each in report.failures] == [("monitoring", broken)]
    assert f"remove --account {broken}" in report.failures[0].reason
    assert {at(small, account).pop() for account in others} == {"2"}

    services = small.services()
    calls = detach_calls(small.current().sets, {broken}, {broken}, ("us-east-1",))
    assert executor.carry_out(
        services, executor.begin_run(services, Command.DETACH, "", ()), release(small, "2"), calls
    ).good
    assert small.run(release(small, "2")).good
    assert small.plan(release(small, "2")).nothing_to_do
