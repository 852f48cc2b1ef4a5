"""The text and JSON of `status`, of `drift` and of the report at the end of a run."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from rich.cells import cell_len

from builders.rollout.checks.drift import DriftView
from builders.rollout.checks.outputs import OutputsView, Written
from builders.rollout.checks.status import AccountRelease, InstanceStatus, InstanceView, StatusView
from builders.rollout.executor.context import Failure, Report
from builders.rollout.lifecycle.bootstrap import StackOutcome, StackState
from builders.rollout.model import Instance, Operation, Status, Target
from builders.rollout.render import results, status
from builders.rollout.stack_sets import DriftedProperty
from builders.rollout.state.journal import Command, Hold, Run, RunStatus
from builders.template_bodies import PlainStack
from rollout.goldens import compare, shown
from rollout.planned import REGIONS, names, some_targets, targets

LAYERS = ("network", "database", "database_users", "monitoring")
ROBOT = "arn:aws:sts::111122223333:assumed-role/deploy/robot"
RUN = Run("20261123T150000Z-ab12", Command.APPLY, "99ffaa001122", "5f3a", "2026-11-23T15:00:00+00:00", by=ROBOT)
BROKEN = "ResourceLogicalId:Database, ResourceStatusReason:the class [db.r6g] is not offered"
EVENT = "2026-11-23T16:01:02Z Database CREATE_FAILED: db.r6g.large is not in us-east-1e"


@pytest.fixture
def assert_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with the one of a name that is committed."""
    return functools.partial(compare, request)


def all_current(accounts: int) -> StatusView:
    """A phase whose instances are all current."""
    instances = {layer: dict.fromkeys(targets(accounts), InstanceView(InstanceStatus.CURRENT)) for layer in LAYERS}
    return StatusView("prod", LAYERS, REGIONS, instances, release="3f2a91bc0d11", released="2026-11-23T16:00:00+00:00")


def troubled(accounts: int) -> StatusView:
    """A phase with a failure, what waits for it, a drift, an account that is new and one that left."""
    view = all_current(accounts)
    here, there, *_ = targets(accounts)
    found = {layer: dict(by_place) for layer, by_place in view.instances.items()}
    found["database"][here] = InstanceView(InstanceStatus.FAILED, BROKEN)
    found["database_users"][here] = InstanceView(InstanceStatus.SKIPPED, "skipped: database did not succeed there")
    found["network"][there] = InstanceView(InstanceStatus.CURRENT, drift="DRIFTED")
    found["monitoring"][here] = InstanceView(InstanceStatus.MISSING)
    found["monitoring"][targets(1, first=9_000)[0]] = InstanceView(
        InstanceStatus.INOPERABLE, "the account is suspended"
    )
    running = ("network", Operation("3f2a91bc0d11-network-ab12", "UPDATE", "RUNNING"))
    return dataclasses.replace(view, instances=found, running=(running,), unfinished=RUN, notes=("a note",))


def failed(accounts: int) -> Report:
    """A report of a database that failed in every account, and a role that one lacks."""
    where = targets(accounts)
    reason = "skipped: database did not succeed there"
    failures = [Failure("database", target, BROKEN, stack_id="arn:stack") for target in where]
    failures += [
        Failure(layer, target, reason, skipped=True) for layer in ("migration", "monitoring") for target in where
    ]
    failures.append(Failure("network", targets(1, first=9_000)[0], "AccessDenied: the role is not there"))
    reached = {"foundation": 2 * accounts + 1, "network": 2 * accounts, "database": 0}
    return Report(12, reached, failures, f"wave canary: {accounts} of {accounts} accounts failed")


def drifted(accounts: int) -> DriftView:
    """Databases that drifted alike everywhere, and a network where a resource is gone."""
    found = [
        DriftedProperty(
            "database", target, "Database", "AWS::RDS::DBInstance", "NOT_EQUAL", "BackupRetentionPeriod", "35", "1"
        )
        for target in targets(accounts)
    ]
    first = targets(1)[0]
    found.append(DriftedProperty("network", first, "FlowLog", "AWS::EC2::FlowLog", "DELETED"))
    found.append(DriftedProperty("network", first, "Vpc", "AWS::EC2::VPC", "ADD", "Tags.0", "", '{"Key":"[a]"}'))
    return DriftView("prod", 8 * accounts, tuple(found), {("monitoring", first): "the role is not there"})


def keys(*found: Mapping[str, object]) -> set[str]:
    """The keys of some objects, which all have the same."""
    assert len({frozenset(each) for each in found}) == 1
    return set(found[0])


@pytest.mark.parametrize("accounts", [3, 1_500])
def test_the_status_reads_as_the_golden_one(accounts: int, assert_golden: Callable[[str, str], None]) -> None:
    assert_golden(f"status-{accounts}-accounts", shown(status.add_status, troubled(accounts)))


@pytest.mark.parametrize("accounts", [2, 1_500])
def test_the_report_reads_as_the_golden_one(accounts: int, assert_golden: Callable[[str, str], None]) -> None:
    assert_golden(f"report-{accounts}-accounts", shown(results.add_report, failed(accounts), {BROKEN: EVENT}, "prod"))


def test_the_drift_reads_as_the_golden_one(assert_golden: Callable[[str, str], None]) -> None:
    assert_golden("drift", shown(results.add_drift, drifted(40)))


def test_a_phase_that_is_current_says_so() -> None:
    assert shown(status.add_status, all_current(3)).endswith("24 instances, all current.")
    assert all_current(3).good
    assert not troubled(3).good


def test_a_phase_of_which_nothing_is_deployed_says_so() -> None:
    text = shown(status.add_status, StatusView("prod", (), REGIONS, {}))
    assert text == "Phase prod: no release has been rolled out completely\nNo layer of it is deployed anywhere."


@pytest.mark.parametrize(("run", "next_command"), [(RunStatus.RUNNING, "resume"), (RunStatus.FAILED, "apply")])
def test_a_run_that_did_not_end_names_the_command_that_goes_on(run: RunStatus, next_command: str) -> None:
    view = dataclasses.replace(all_current(1), unfinished=dataclasses.replace(RUN, status=run))
    assert f"continue with rollout-stacksets {next_command} --phase prod" in shown(status.add_status, view)


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        (None, InstanceStatus.MISSING),
        (Instance(targets(1)[0], Status.CURRENT, "SUCCEEDED"), InstanceStatus.CURRENT),
        (Instance(targets(1)[0], Status.OUTDATED, "SUCCEEDED"), InstanceStatus.OUTDATED),
        (Instance(targets(1)[0], Status.OUTDATED, "FAILED"), InstanceStatus.FAILED),
        (Instance(targets(1)[0], Status.OUTDATED, "RUNNING"), InstanceStatus.RUNNING),
        (Instance(targets(1)[0], Status.OUTDATED, "CANCELLED"), InstanceStatus.SKIPPED),
        (Instance(targets(1)[0], Status.INOPERABLE, "INOPERABLE"), InstanceStatus.INOPERABLE),
    ],
)
def test_an_instance_has_the_status_that_stack_sets_gives(instance: Instance | None, expected: InstanceStatus) -> None:
    assert InstanceView.of(instance).status is expected


def test_an_instance_that_the_phase_has_no_more_is_leaving() -> None:
    assert (
        InstanceView.of(Instance(targets(1)[0], Status.CURRENT, "SUCCEEDED"), desired=False).status
        is InstanceStatus.LEAVING
    )


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (None, InstanceStatus.MISSING),
        ("CREATE_COMPLETE", InstanceStatus.CURRENT),
        ("UPDATE_ROLLBACK_COMPLETE", InstanceStatus.FAILED),
        ("CREATE_FAILED", InstanceStatus.FAILED),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", InstanceStatus.RUNNING),
    ],
)
def test_a_plain_stack_has_the_status_that_cloudformation_gives(stack: str | None, expected: InstanceStatus) -> None:
    assert InstanceView.of_plain(stack).status is expected


def test_json_holds_every_instance() -> None:
    view = troubled(3)
    found = json.loads(json.dumps(status.status_data(view)))["instances"]
    assert {(each["layer"], each["account"], each["region"], each["status"], each["drift"]) for each in found} == {
        (layer, target.account, target.region, each.status.value, each.drift)
        for layer, by_place in view.instances.items()
        for target, each in by_place.items()
    }


def test_json_holds_every_instance_that_did_not_succeed_with_its_first_failed_event() -> None:
    found = json.loads(json.dumps(results.report_data(failed(2), {BROKEN: EVENT})))["missed"]
    assert [(each["layer"], each["account"], each["region"], each["held"]) for each in found] == [
        (each.layer, *each.target, each.skipped) for each in failed(2).failures
    ]
    assert {each["first_failed_event"] for each in found if each["layer"] == "database"} == {EVENT}


def test_the_keys_of_json_are_the_documented_ones() -> None:
    shown = status.status_data(troubled(3))
    assert keys(shown) == {
        *("phase", "good", "release", "released", "layers", "regions", "instances", "running", "unfinished", "notes"),
        *("hold", "accounts", "removal"),
    }
    assert keys(*shown["instances"]) == {"layer", "account", "region", "status", "reason", "drift", "stack_id"}
    assert keys(*shown["running"]) == {"layer", "id", "action", "status"}
    assert keys(shown["unfinished"]) == {"id", "command", "release", "owner", "by", "began", "status"}
    reported = results.report_data(failed(2), {})
    assert keys(reported) == {"good", "operations", "reached", "stopped", "missed"}
    assert keys(*reported["missed"]) == {
        *("layer", "account", "region", "held", "reason", "first_failed_event", "stack_id")
    }
    found = results.drift_data(drifted(2))
    assert keys(found) == {"phase", "checked", "drifted", "unchecked"}
    assert keys(*found["drifted"]) == {
        *("layer", "account", "region", "resource", "type", "difference", "property", "expected", "actual"),
        "stack_id",
    }
    assert keys(*found["unchecked"]) == {"layer", "account", "region", "reason"}


def test_json_says_who_holds_the_lock_and_has_no_token_by_which_others_could_write() -> None:
    run = dataclasses.replace(RUN, owner="0123456789abcdef")
    hold = Hold("fedcba9876543210", Command.ROLLBACK, "arn:aws:iam::111122223333:user/ada", "2026-11-23", "2026-11-24")
    releases = {"111111111111": AccountRelease("99ffaa001122", whole=False)}
    shown = status.status_data(dataclasses.replace(all_current(1), unfinished=run, hold=hold, releases=releases))
    assert shown["hold"] == {"by": hold.by, "command": "rollback", "began": "2026-11-23", "until": "2026-11-24"}
    assert shown["accounts"] == [{"account": "111111111111", "release": "99ffaa001122", "whole": False}]
    assert shown["unfinished"]["owner"] == "01234567"
    assert not any(token in json.dumps(shown) for token in (run.owner, hold.owner))


def test_the_keys_of_the_json_of_outputs_and_bootstrap_are_the_documented_ones() -> None:
    target = targets(1)[0]
    written = Written(target, (Path("outputs/prod/network.json"),), ("vpcId",))
    view = OutputsView("prod", "99ffaa001122", Path("outputs/prod/index.json"), (written,), {target: "denied"})
    assert results.outputs_data(view) == {
        "phase": "prod",
        "release": "99ffaa001122",
        "index": "outputs/prod/index.json",
        "places": [{"place": str(target), "files": ["outputs/prod/network.json"], "known": ["vpcId"]}],
        "unread": {str(target): "denied"},
    }
    outcome = StackOutcome(
        PlainStack("account", target, "account-prod", "{}", {}, {}), StackState.CREATED, "", {"A": "b"}
    )
    assert results.bootstrap_data([outcome]) == [
        {
            **target._asdict(),
            "layer": "account",
            "stack": "account-prod",
            "state": StackState.CREATED.value,
            "reason": "",
            "outputs": {"A": "b"},
        }
    ]


def test_json_holds_every_drift() -> None:
    found = json.loads(json.dumps(results.drift_data(drifted(40))))
    assert [(each["layer"], each["account"], each["region"], each["property"]) for each in found["drifted"]] == [
        (each.layer, *each.target, each.property) for each in drifted(40).drifted
    ]
    assert found["unchecked"][0]["reason"] == "the role is not there"


def test_a_rollout_that_succeeded_everywhere_says_so_in_one_line() -> None:
    assert shown(results.add_report, Report(12, {"network": 40, "database": 40}), {}, "prod") == (
        "apply: 80 instances as desired; 12 operations."
    )
    assert shown(results.add_report, Report(0, {"network": 1}), {}, "prod") == (
        "apply: 1 instance as desired; no operation was needed."
    )


def test_a_rollback_that_failed_is_begun_again() -> None:
    text = shown(results.add_report, failed(1), {}, "prod", Command.ROLLBACK)
    assert "rollout-stacksets rollback --phase prod" in text
    assert "rollout-stacksets apply" not in text


def test_accounts_that_were_not_detached_have_to_be_named_again() -> None:
    text = shown(results.add_report, failed(1), {}, "prod", Command.DETACH)
    assert "rollout-stacksets remove --account ACCOUNT --phase prod" in text


def test_nothing_drifted_is_said_in_so_many_words() -> None:
    assert (
        shown(results.add_drift, DriftView("prod", 80, ()))
        == "Drift of phase prod: 80 instances checked\n\nNothing drifted."
    )


instance_views = st.builds(
    InstanceView, st.sampled_from(InstanceStatus), names, st.sampled_from(["DRIFTED", "IN_SYNC", "NOT_CHECKED"])
)


@given(
    st.dictionaries(names, st.dictionaries(some_targets.map(min), instance_views, max_size=4), max_size=4),
    st.integers(40, 160),
)
@settings(deadline=None)
def test_no_line_of_any_status_is_wider_than_asked(found: dict[str, dict[Target, InstanceView]], width: int) -> None:
    text = shown(status.add_status, StatusView("prod", tuple(found), REGIONS, found), width=width)
    assert [line for line in text.split("\n") if cell_len(line) > width] == []


@given(st.lists(st.builds(Failure, names, some_targets.map(min), names, st.booleans()), max_size=5), names)
@settings(deadline=None)
def test_no_line_of_any_report_is_wider_than_asked(failures: list[Failure], stopped: str) -> None:
    text = shown(
        results.add_report,
        Report(1, {"network": 1}, failures, stopped),
        {each.reason: stopped for each in failures},
        "prod",
    )
    assert [line for line in text.split("\n") if cell_len(line) > 80] == []


@given(
    st.lists(
        st.builds(DriftedProperty, names, some_targets.map(min), names, names, names, names, names, names), max_size=5
    )
)
@settings(deadline=None)
def test_no_line_of_any_drift_but_a_command_is_wider_than_asked(found: list[DriftedProperty]) -> None:
    text = shown(results.add_drift, DriftView("prod", 1, tuple(found)))
    wide = [line.split()[:2] for line in text.split("\n") if cell_len(line) > 80]
    assert [each for each in wide if each != ["aws", "cloudformation"]] == []
