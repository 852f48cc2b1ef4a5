"""`rollout-stacksets` from bootstrap to remove, as it is called: exit codes, answers, and what it refuses."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.aws.calls import ApiCall, Moment
from builders.cloud.process import Cloud

from .called import COMMON, OF_ACCOUNTS, QUICK, CalledPhase, Person, Said

SECRET = {"Type": "AWS::SecretsManager::Secret", "DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}


def bootstrapped(cloud: Cloud, numbers: Callable[[], str], folder: Path) -> CalledPhase:
    """A phase of two accounts in one region."""
    phase = CalledPhase(cloud, numbers(), [numbers(), numbers()], folder)
    phase.open_accounts()
    return phase


def with_release(phase: CalledPhase) -> CalledPhase:
    """The same with a release that is deployed."""
    said = phase.apply()
    assert said.code == 0, said.err
    return phase


@pytest.fixture
def phase(cloud: Cloud, number: Callable[[], str], tmp_path: Path) -> CalledPhase:
    return bootstrapped(cloud, number, tmp_path)


@pytest.fixture
def deployed(phase: CalledPhase) -> CalledPhase:
    return with_release(phase)


@pytest.fixture(scope="module")
def standing(cloud: Cloud, number: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> CalledPhase:
    """A phase with a release that is deployed, for tests that change nothing in its accounts."""
    return with_release(bootstrapped(cloud, number, tmp_path_factory.mktemp("standing")))


def test_a_phase_is_planned_applied_changed_rolled_back_and_removed(phase: CalledPhase) -> None:
    planned = phase.call("plan", "--phase", "dev", "--json")
    assert planned.code == 0
    created = {(g["layer"], target) for g in planned.data["groups"] if g["kind"] == "create" for target in g["places"]}
    layers = ("network", "database", "monitoring")
    assert created == {(layer, f"{account}/us-east-1") for layer in layers for account in phase.accounts}

    applied = phase.apply("--json")
    assert (applied.code, applied.data["good"], applied.data["missed"]) == (0, True, [])
    first = phase.status()["release"]

    phase.release("2")
    assert phase.apply().code == 0
    second = phase.status()
    assert second["release"] != first
    assert {each["status"] for each in second["instances"]} == {"current"}

    assert phase.call("rollback", "--phase", "dev", "--yes", "--poll", "0.05").code == 0
    assert phase.status()["release"] == first

    removed = phase.call("remove", "--phase", "dev", "--yes", "--poll", "0.05", "--json")
    assert (removed.code, removed.data["missed"]) == (0, [])
    assert {each["status"] for each in phase.status()["instances"]} == {"missing"}


def test_nothing_to_do_makes_no_operation_and_says_so(standing: CalledPhase) -> None:
    standing.release("1")
    made: list[str] = []
    standing.observe = lambda moment, call: made.append(call.operation) if moment is Moment.BEFORE else None
    again = standing.apply("--json")
    standing.observe = None
    assert (again.code, again.data["nothing_to_do"]) == (0, True)
    changing = [each for each in made if each.startswith(("Create", "Update", "Delete", "Put"))]
    assert changing == ["PutObject", "PutObject"], "the lock, taken and given back"


def test_a_saved_plan_is_applied_where_nothing_has_changed_and_needs_no_yes(deployed: CalledPhase) -> None:
    for release, yes in (("2", ["--yes"]), ("3", [])):
        deployed.release(release)
        assert deployed.call("plan", "--phase", "dev", "--out", deployed.saved).code == 0
        assert deployed.call("apply", deployed.saved, "--phase", "dev", "--no-check", "--poll", "0.05", *yes).code == 0
        assert deployed.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]


def test_credentials_that_expire_under_way_are_one_line_and_resume_goes_on_with_new_ones(
    own_cloud: Cloud, number: Callable[[], str], tmp_path: Path
) -> None:
    phase = CalledPhase(own_cloud, number(), [number()], tmp_path)
    phase.open_accounts()

    def expire(moment: Moment, call: ApiCall) -> None:
        if (moment, call.operation) == (Moment.AFTER, "CreateStackInstances"):
            own_cloud.set_faults({"kind": "expired"})

    phase.observe = expire
    interrupted = phase.apply()
    phase.observe = None
    own_cloud.set_faults()
    assert interrupted.code == 1
    (line,) = [each for each in interrupted.err.splitlines() if "expired" in each]
    assert line.startswith("rollout-stacksets: the AWS credentials have expired (")
    assert "log in again, then run `rollout-stacksets resume --phase dev " in line
    resumed = phase.call("resume", "--phase", "dev", "--poll", "0.05")
    assert resumed.code == 0, resumed.err
    assert {each["status"] for each in phase.status()["instances"]} == {"current"}


def test_change_sets_show_the_changes_that_aws_foresees(standing: CalledPhase) -> None:
    standing.release("2")
    said = standing.call("plan", "--phase", "dev", "--change-sets", "--json")
    assert said.code == 0, said.err
    assert [note for note in said.data["notes"] if "change set" in note or "AWS replaces" in note] == []
    changes = {
        group["layer"]: [(each["logical_id"], each["effect"]) for each in group["changes"]]
        for group in said.data["groups"]
    }
    assert changes == {layer: [("Topic", "modify")] for layer in ("network", "database", "monitoring")}


def _a_template(phase: CalledPhase) -> str:
    phase.layer("database", "another")
    return "release was"


def _an_override(phase: CalledPhase) -> str:
    phase.phase(account_parameters={phase.accounts[1]: {"DisplayName": "own"}})
    return "release was"


def _an_instance(phase: CalledPhase) -> str:
    api = phase.api("cloudformation")
    where = {"StackSetName": "stackferry-monitoring-dev", "Regions": ["us-east-1"], "RetainStacks": True}
    operation = api.delete_stack_instances(Accounts=phase.accounts[1:], **where)["OperationId"]
    phase.wait("stackferry-monitoring-dev", operation)
    return f"monitoring at {phase.accounts[1]}/us-east-1: was update, and is create"


def _a_set_by_hand(phase: CalledPhase) -> str:
    api = phase.api("cloudformation")
    body = (phase.templates / "monitoring.json").read_text(encoding="utf-8")
    values = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments", "DisplayName": "payments"}
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    tags = api.describe_stack_set(StackSetName="stackferry-monitoring-dev")["StackSet"]["Tags"]
    roles = api.describe_stack_set(StackSetName="stackferry-monitoring-dev")["StackSet"]
    operation = api.update_stack_set(
        StackSetName="stackferry-monitoring-dev",
        TemplateBody=body,
        Parameters=given,
        Tags=tags,
        AdministrationRoleARN=roles["AdministrationRoleARN"],
        ExecutionRoleName=roles["ExecutionRoleName"],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )["OperationId"]
    phase.wait("stackferry-monitoring-dev", operation)
    return "monitoring at"


def _a_stack_by_hand(phase: CalledPhase) -> str:
    account = phase.accounts[0]
    api = phase.api("cloudformation", account)
    name = next(
        each["StackName"] for each in api.describe_stacks()["Stacks"] if "stackferry-monitoring-" in each["StackName"]
    )
    content = json.loads((phase.templates / "monitoring.json").read_text(encoding="utf-8"))
    content["Resources"]["Other"] = {"Type": "AWS::SNS::Topic"}
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in content["Parameters"]]
    api.update_stack(StackName=name, TemplateBody=json.dumps(content), Parameters=previous)
    api.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1})
    return f"monitoring at {account}/us-east-1: update changes other resources: Other"


def test_a_saved_plan_is_refused_once_anything_has_changed(deployed: CalledPhase) -> None:
    moves = (_a_template, _a_set_by_hand, _an_instance, _an_override, _a_stack_by_hand)
    for release, move in enumerate(moves, 2):
        deployed.release(str(release))
        assert deployed.call("plan", "--phase", "dev", "--out", deployed.saved).code == 0
        sentence = move(deployed)
        refused = deployed.apply(deployed.saved)
        assert refused.code == 1
        assert sentence in refused.err
        assert f"{deployed.saved} is stale" in refused.err


def test_a_loss_blocks_until_it_is_acknowledged_by_name_and_a_saved_plan_of_it_is_stale_once_it_has_happened(
    deployed: CalledPhase,
) -> None:
    deployed.layer("database", "2", Password=SECRET)
    assert deployed.apply().code == 0
    deployed.layer("database", "3")
    blocked = deployed.apply()
    assert blocked.code == 1
    assert "acknowledge database/Password by --acknowledge" in blocked.err
    assert deployed.call("plan", "--phase", "dev").code == 1
    deployed.call("plan", "--phase", "dev", "--acknowledge", "database/Password", "--out", deployed.saved)
    assert deployed.apply("--acknowledge", "database/Password").code == 0
    refused = deployed.apply(deployed.saved)
    assert refused.code == 1
    assert "is stale" in refused.err


def test_an_interrupted_apply_leaves_a_run_that_resume_finishes(deployed: CalledPhase) -> None:
    deployed.release("2")

    def interrupt(moment: Moment, call: ApiCall) -> None:
        if call.operation == "DescribeStackSetOperation":
            raise KeyboardInterrupt

    deployed.observe = interrupt
    interrupted = deployed.apply()
    assert interrupted.code == 130
    assert "`rollout-stacksets resume --phase dev --file " in interrupted.err
    deployed.observe = None
    refused = deployed.apply()
    assert refused.code == 1
    assert "is not over: apply of release" in refused.err
    resumed = deployed.call("resume", "--phase", "dev", "--poll", "0.05", "--json")
    assert (resumed.code, resumed.data["good"]) == (0, True)
    assert deployed.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]
    assert deployed.call("resume", "--phase", "dev").code == 1


def test_a_colleague_cannot_apply_between_the_plan_and_the_yes(deployed: CalledPhase) -> None:
    """The lock is taken before anything is read; who holds it is named."""
    deployed.release("2")
    others: list[Said] = []
    held: list[dict[str, str]] = []
    shown: list[str] = []

    def meanwhile(moment: Moment, call: ApiCall) -> None:
        if not others and (moment, call.operation) == (Moment.BEFORE, "HeadObject"):  # nothing has begun yet
            deployed.observe = None
            others.extend([deployed.apply(), deployed.call("rollback", "--phase", "dev", "--yes")])
            held.append(deployed.status()["hold"])
            shown.append(deployed.call("status", "--phase", "dev").out)

    deployed.observe = meanwhile
    assert deployed.apply().code == 0
    assert [each.code for each in others] == [1, 1]
    for each in others:
        last = each.err.splitlines()[-1]
        assert last.startswith(f"rollout-stacksets: arn:aws:iam::{deployed.tooling}:root has held dev since 20")
        assert "to plan and agree to apply" in last
    person = f"arn:aws:iam::{deployed.tooling}:root"
    assert [(each["by"], each["command"]) for each in held] == [(person, "apply")]
    assert f"Locked by {person}" in shown[0]
    assert deployed.status()["hold"] is None


def test_a_yes_holds_for_the_plan_that_was_shown_and_no_other_and_without_one_nothing_is_held(
    deployed: CalledPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack that is updated in its own account passes the lock by: the update would now delete a secret."""
    apply = ("apply", "--phase", "dev", "--no-check", "--poll", "0.05")
    deployed.release("2")
    nobody = deployed.call(*apply)
    assert (nobody.code, "there is no terminal to ask at" in nobody.err) == (2, True)

    monkeypatch.setattr(sys, "stdin", Person())
    agreed = deployed.call(*apply)
    assert agreed.code == 0, agreed.err
    assert deployed.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]

    deployed.release("3")
    monkeypatch.setattr(sys, "stdin", Person(lambda: _add_secret(deployed)))
    refused = deployed.call(*apply)
    assert refused.code == 1, refused.err
    assert "new hazard database/Password" in refused.err
    assert "the plan that was agreed to is stale: the phase has changed in " in refused.err
    assert deployed.call("plan", "--phase", "dev", "--json").data["counts"]["update"] == 6


def _interrupted(phase: CalledPhase, release: str) -> None:
    """Begin to apply a release, and kill it in its first layer; then somebody adds a secret to a stack by hand."""
    phase.release(release)

    def interrupt(moment: Moment, call: ApiCall) -> None:
        if call.operation in ("DescribeStackSetOperation", "UpdateStackSet") and moment is Moment.AFTER:
            raise KeyboardInterrupt

    phase.observe = interrupt
    assert phase.apply().code == 130
    phase.observe = None
    _add_secret(phase)


def _add_secret(phase: CalledPhase) -> None:
    """Add a secret to the stack of database in an account, by hand."""
    api = phase.api("cloudformation", phase.accounts[0])
    name = next(each["StackName"] for each in api.describe_stacks()["Stacks"] if "-database-" in each["StackName"])
    content = json.loads(json.dumps(api.get_template(StackName=name)["TemplateBody"]))
    content["Resources"]["Password"] = SECRET
    previous = [{"ParameterKey": key, "UsePreviousValue": True} for key in content["Parameters"]]
    api.update_stack(StackName=name, TemplateBody=json.dumps(content), Parameters=previous)
    api.get_waiter("stack_update_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1})


def test_resume_judges_again_before_it_goes_on_and_ends_a_run_that_shall_not(deployed: CalledPhase) -> None:
    _interrupted(deployed, "2")
    blocked = deployed.call("resume", "--phase", "dev", "--poll", "0.05")
    assert blocked.code == 1
    assert "what is left of the run is blocked in 1 way, shown above; acknowledge database/Password" in blocked.err
    assert "Password (AWS::SecretsManager::Secret) is removed" in blocked.err
    refused = deployed.apply()
    assert "is not over: apply of release" in refused.err
    resumed = deployed.call("resume", "--phase", "dev", "--poll", "0.05", "--acknowledge", "database/Password")
    assert resumed.code == 0, resumed.err

    _interrupted(deployed, "3")
    ended = deployed.call("resume", "--phase", "dev", "--poll", "0.05", "--end", "--json")
    assert (ended.code, ended.data["good"]) == (1, False)
    assert not deployed.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]
    assert deployed.apply("--acknowledge", "database/Password").code == 0


def test_a_failed_account_is_reported_with_its_cause(deployed: CalledPhase) -> None:
    broken, before = deployed.accounts[1], deployed.status()["release"]
    iam = deployed.api("iam", broken)
    role = deployed.api("cloudformation").describe_stack_set(StackSetName="stackferry-network-dev")["StackSet"]
    name = role["ExecutionRoleName"]
    trust = {"Version": "2012-10-17", "Statement": []}
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
    deployed.release("2")
    failed = deployed.apply("--json")
    assert failed.code == 1
    tried = {(each["account"], each["layer"]) for each in failed.data["missed"] if not each["held"]}
    assert tried == {(broken, "network")}
    assert name in next(each["reason"] for each in failed.data["missed"] if not each["held"])

    # One truth: status counts as apply did, and knows which account has which release.
    status = deployed.status()
    current = [each for each in status["instances"] if each["status"] == "current"]
    assert len(current) == sum(failed.data["reached"].values())
    assert len(status["instances"]) == len(current) + len(failed.data["missed"])
    new = status["unfinished"]["release"]
    assert status["unfinished"]["by"] == f"arn:aws:iam::{deployed.tooling}:root"
    assert status["accounts"] == [
        {"account": deployed.accounts[0], "release": new, "whole": True},
        {"account": broken, "release": before, "whole": True},
    ]
    shown = deployed.call("status", "--phase", "dev").out
    assert shown.count("trust") == 1, "a reason is printed once"
    assert f"{new}: {deployed.accounts[0]}" in shown
    assert f"begun {status['unfinished']['began']} by arn:aws:iam::{deployed.tooling}:root" in shown


def test_where_nothing_is_deployed_a_look_at_it_finds_nothing_and_says_so(phase: CalledPhase) -> None:
    for command, sentence in (
        (("drift",), "phase dev has no stack set, and nothing to look at; `rollout-stacksets apply --phase dev"),
        (("outputs", "--outputs-dir", phase.folder / "outputs"), ""),
        (("status",), ""),
    ):
        said = phase.call(*command, "--phase", "dev")
        assert (said.code, sentence in said.err) == (1, True), command
    published = phase.call("publish", "--phase", "dev")
    assert (published.code, published.err) == (0, "no function of dev has a package: there is nothing to publish\n")


def test_drift_says_what_to_do_about_it(deployed: CalledPhase) -> None:
    account = deployed.accounts[0]
    topics = deployed.api("sns", account)
    arn = next(each["TopicArn"] for each in topics.list_topics()["Topics"] if "-network-" in each["TopicArn"])
    topics.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="by hand")
    said = deployed.call("drift", "--phase", "dev", "--poll", "0.05")
    assert said.code == 1
    instances = deployed.status()["instances"]
    stack = next(each["stack_id"] for each in instances if (each["layer"], each["account"]) == ("network", account))
    assert "Keep the change: write it into the layer or its parameters, and apply." in said.out
    assert "--use-previous-template" in said.out
    assert "--deployment-mode REVERT_DRIFT" in said.out
    assert f"STACK: {stack}\n" in said.out, "in a pipe no line is broken"
    assert deployed.call("drift", "--phase", "dev", "--poll", "0.05", "--json").data["drifted"][0]["stack_id"] == stack


def test_a_full_disk_keeps_the_plan_that_was_there(standing: CalledPhase) -> None:
    """A limit on the size of files is as full as a disk can be."""
    standing.saved.write_text("before", encoding="utf-8")
    # Compiled modules would be cut off, too, and nobody could import them any more.
    compiles_nothing = {"PYTHONDONTWRITEBYTECODE": "1"}
    environment = {**os.environ, **standing.cloud.environment(standing.tooling), **compiles_nothing}
    arguments = ["--file", str(standing.file), "--templates-dir", str(standing.templates)]
    said = subprocess.run(
        [
            sys.executable,
            "-m",
            "builders.rollout.cli.main",
            *arguments,
            "plan",
            "--phase",
            "dev",
            "--out",
            standing.saved,
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16)),
    )
    assert said.returncode == 1
    assert said.stderr.splitlines()[-1].startswith(f"rollout-stacksets: {standing.saved}: the plan cannot be saved")
    assert standing.saved.read_text(encoding="utf-8") == "before"
    assert [each.name for each in standing.folder.glob(".plan*")] == []


def test_two_phases_do_not_touch_each_other(deployed: CalledPhase, number: Callable[[], str]) -> None:
    before = {account: deployed.stacks(account) for account in deployed.accounts}
    other = number()
    deployed.add_account(other)
    deployed.environment(
        "prod",
        EnvironmentSuffix="prod",
        MigrationPhase="prod",
        CostCenter="payments",
        CreateDmsVpcRole="false",
        CreateDmsLogsRole="false",
    )
    deployed.phase("prod", targets={"accounts": [other]})
    assert deployed.call("bootstrap", "--phase", "prod", "--yes").code == 0
    assert deployed.apply(phase="prod").code == 0
    deployed.release("2")
    assert deployed.apply(phase="prod").code == 0
    assert deployed.call("rollback", "--phase", "prod", *QUICK[:1], *QUICK[2:]).code == 0
    assert deployed.call("remove", "--phase", "prod", *QUICK[:1], *QUICK[2:]).code == 0
    assert {account: deployed.stacks(account) for account in deployed.accounts} == before


def test_the_instances_of_an_account_that_denies_access_are_detached(deployed: CalledPhase) -> None:
    gone, staying = deployed.accounts
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    deployed.api("iam", gone).update_assume_role_policy(RoleName="stackferry-plan-dev", PolicyDocument=trust)
    said = deployed.call("remove", "--phase", "dev", "--account", gone, "--yes", "--poll", "0.05", "--json")
    assert (said.code, said.data["reached"]) == (0, {"network": 1, "database": 1, "monitoring": 1}), said.err
    assert {each["account"] for each in deployed.status()["instances"]} - {gone} == {staying}
    api = deployed.api("cloudformation")
    left = api.list_stack_instances(StackSetName="stackferry-network-dev")["Summaries"]
    assert [each["Account"] for each in left] == [staying]


def test_a_parameter_that_only_accounts_set_has_a_value_in_the_set_and_one_without_it_is_named(
    phase: CalledPhase,
) -> None:
    """cdklabs/cdk-stacksets#115: CreateStackSet asks for a value of every parameter without a default."""
    own = {account: {"VpcCidr": f"10.{number}.0.0/16"} for number, account in enumerate(phase.accounts)}
    phase.layer("network", parameters={"VpcCidr": {"Type": "String"}})
    phase.phase(account_parameters={phase.accounts[0]: own[phase.accounts[0]]})
    refused = phase.apply()
    assert refused.code == 2
    assert f"{phase.accounts[1]}/us-east-1: VpcCidr has no value, and no default in network" in refused.err
    assert phase.api("cloudformation").list_stack_sets(Status="ACTIVE")["Summaries"] == []

    phase.phase(account_parameters=own)
    assert phase.apply().code == 0
    for account in phase.accounts:
        stacks = phase.api("cloudformation", account).describe_stacks()["Stacks"]
        (values,) = [each["Parameters"] for each in stacks if "-network-" in each["StackName"]]
        assert {"ParameterKey": "VpcCidr", "ParameterValue": own[account]["VpcCidr"]} in values


def test_a_value_that_is_taken_out_goes_back_to_the_template_s_default(deployed: CalledPhase) -> None:
    """aws-control-tower-customizations#112: what is not sent keeps its value, so every parameter is sent."""
    deployed.environment("dev", **COMMON, **OF_ACCOUNTS, DisplayName="own")
    assert deployed.apply().code == 0
    deployed.environment("dev", **COMMON, **OF_ACCOUNTS)
    planned = deployed.call("plan", "--phase", "dev", "--json").data
    changed = {
        (group["layer"], target): [(each["logical_id"], each["causes"]) for each in group["changes"]]
        for group in planned["groups"]
        for target in group["places"]
    }
    topic = [("Topic", ["DisplayName"])]
    assert changed == {
        (layer, f"{account}/us-east-1"): topic
        for layer in ("network", "database", "monitoring")
        for account in deployed.accounts
    }
    assert deployed.apply().code == 0
    for account in deployed.accounts:
        topics = deployed.api("sns", account).list_topics()["Topics"]
        names = [deployed.api("sns", account).get_topic_attributes(**each)["Attributes"] for each in topics]
        assert {each["DisplayName"] for each in names} == {"payments"}
