"""Stacks that were deployed by hand become instances of their stack sets, unchanged; what cannot is said before."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_cli import warm

from builders.aws.calls import ApiCall, Moment
from builders.cloud.process import Cloud
from builders.deploy import AwsCli

from .called import COMMON, CalledPhase
from .conftest import REGION

NOW = ("--yes", "--poll", "0.05")
GUIDE = Path(__file__).parents[2] / "docs" / "rollout.md"
LAYERS = ("network", "database", "monitoring")


@pytest.fixture
def phase(cloud: Cloud, number: Callable[[], str], tmp_path: Path) -> CalledPhase:
    """Two accounts in which a person has deployed three layers by hand, each by its template and values."""
    phase = CalledPhase(cloud, number(), [number(), number()], tmp_path)
    phase.open_accounts()
    for account in phase.accounts:
        allow_by_hand_names(phase, account)
        for layer in LAYERS:
            by_hand(phase, account, layer)
    return phase


def allow_by_hand_names(phase: CalledPhase, account: str) -> None:
    """Let the execution role work on stacks with names of their own, as docs/rollout.md says."""
    policy = "arn:aws:iam::aws:policy/AdministratorAccess"
    phase.api("iam", account).attach_role_policy(RoleName="stackferry-execution-dev", PolicyArn=policy)


def by_hand(phase: CalledPhase, account: str, layer: str, **more: str) -> None:
    """Deploy a layer as the guides do it by hand: its template, and the values of the phase's file."""
    api = phase.api("cloudformation", account)
    body = (phase.templates / f"{layer}.json").read_text(encoding="utf-8")
    values = {**COMMON, **more}
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    present = {each["StackName"] for each in api.describe_stacks()["Stacks"]}
    deploy, done = (
        (api.update_stack, "stack_update_complete")
        if f"{layer}-dev" in present
        else (api.create_stack, "stack_create_complete")
    )
    deploy(StackName=f"{layer}-dev", TemplateBody=body, Parameters=given)
    api.get_waiter(done).wait(StackName=f"{layer}-dev", WaiterConfig={"Delay": 0.05})


def states(phase: CalledPhase, layer: str) -> dict[str, tuple[str, str]]:
    api = phase.api("cloudformation")
    found = api.list_stack_instances(StackSetName=f"stackferry-{layer}-dev")["Summaries"]
    return {each["Account"]: (each["Status"], each["StackId"].split("/")[1]) for each in found}


def test_stacks_are_adopted_unchanged_and_then_planned_updated_rolled_back_and_removed(phase: CalledPhase) -> None:
    phase.layer("network", "2")
    differing = "database", phase.accounts[1]
    by_hand(phase, phase.accounts[1], "database", DisplayName="orders")
    before = {account: phase.stacks(account) for account in phase.accounts}
    adopted = phase.call("adopt", "--phase", "dev", *NOW, "--json")
    assert (adopted.code, adopted.data["reached"]) == (0, dict.fromkeys(LAYERS, 2)), adopted.err
    assert "Topic" in adopted.err, "the plan shows what the next apply changes"
    assert "stackferry-execution-dev must be allowed the same on these stacks" in " ".join(adopted.err.split())
    assert {account: phase.stacks(account) for account in phase.accounts} == before
    for layer in LAYERS:
        assert states(phase, layer) == dict.fromkeys(phase.accounts, ("CURRENT", f"{layer}-dev"))
    first = phase.status()["release"]
    assert {each["status"] for each in phase.status()["instances"]} == {"current"}
    assert phase.call("adopt", "--phase", "dev", *NOW).code == 0, "a second time there is nothing to do"

    planned = phase.call("plan", "--phase", "dev", "--json")
    changed = {
        (each["layer"], target.partition("/")[0], each["kind"]): [one["logical_id"] for one in each["changes"]]
        for each in planned.data["groups"]
        for target in each["places"]
    }
    assert changed == {
        (layer, account, "update"): ["Topic"] if layer == "network" or (layer, account) == differing else []
        for layer in LAYERS
        for account in phase.accounts
    }, "their tags are not those of the phase, so that all are updated"
    assert phase.apply().code == 0
    assert phase.call("plan", "--phase", "dev", "--json").data["nothing_to_do"]

    assert phase.call("rollback", "--phase", "dev", *NOW).code == 0
    assert phase.status()["release"] == first
    (stack,) = phase.api("cloudformation", differing[1]).describe_stacks(StackName="database-dev")["Stacks"]
    assert {"ParameterKey": "DisplayName", "ParameterValue": "orders"} in stack["Parameters"]
    assert phase.call("remove", "--phase", "dev", *NOW).code == 0
    assert not {f"{layer}-dev" for layer in LAYERS} & phase.stacks(phase.accounts[0]).keys()


def test_the_commands_of_the_guide_adopt_a_layer(phase: CalledPhase, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = re.findall(r"^## adopt\n.*?^```sh\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)
    values = json.dumps([f"{key}={value}" for key, value in {**COMMON, "DisplayName": "orders"}.items()])
    (phase.folder / "environments").mkdir()
    (phase.folder / "environments" / "dev.json").write_text(values, encoding="utf-8")
    monkeypatch.chdir(phase.folder)
    account = phase.accounts[0]
    cli = warm(AwsCli((sys.executable, "-m", "awscli"), phase.cloud.environment(account, REGION)))
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        if program == "aws":
            cli.run(*arguments)
        else:
            said = phase.call(*arguments)
            assert said.code == 0, said.err
    assert states(phase, "network") == dict.fromkeys(phase.accounts, ("CURRENT", "network-dev"))
    assert re.search(r"network: 2 update", said.out)


def test_a_saved_adoption_is_carried_out_and_refused_once_a_stack_has_changed(phase: CalledPhase) -> None:
    out = ("--out", phase.saved)
    assert phase.call("adopt", "--phase", "dev", *out).code == 0
    assert phase.api("cloudformation").list_stack_sets()["Summaries"] == []
    by_hand(phase, phase.accounts[0], "network", DisplayName="orders")
    stale = phase.call("adopt", phase.saved, "--phase", "dev", "--poll", "0.05")
    assert (stale.code, "is stale" in stale.err) == (1, True)
    assert phase.apply(phase.saved).code == 2, "a plan to adopt is none to apply"
    asked = phase.call("adopt", "--phase", "dev")
    assert (asked.code, "there is no terminal to ask at" in asked.err) == (2, True)
    assert phase.call("adopt", "--phase", "dev", *out).code == 0
    assert phase.call("adopt", phase.saved, "--phase", "dev", "--poll", "0.05").code == 0
    assert states(phase, "network").keys() == set(phase.accounts)


def test_an_interrupted_adoption_holds_the_phase_until_resume_has_ended_it(phase: CalledPhase) -> None:
    def interrupt(moment: Moment, call: ApiCall) -> None:
        if moment is Moment.AFTER and call.operation == "ImportStacksToStackSet":
            raise KeyboardInterrupt

    phase.observe = interrupt
    assert phase.call("adopt", "--phase", "dev", *NOW).code == 130
    phase.observe = None
    refused = phase.call("adopt", "--phase", "dev", *NOW)
    assert (refused.code, "adopt of release" in refused.err) == (1, True)
    resumed = phase.call("resume", "--phase", "dev", "--poll", "0.05")
    assert resumed.code == 0, resumed.err
    for layer in LAYERS:
        assert states(phase, layer) == dict.fromkeys(phase.accounts, ("CURRENT", f"{layer}-dev"))
    api = phase.api("cloudformation")
    operations = api.list_stack_set_operations(StackSetName="stackferry-network-dev")["Summaries"]
    assert len(operations) == 1, "nothing was submitted twice"


def test_stacks_that_cannot_be_imported_block_with_what_to_do_and_are_left_out_when_acknowledged(
    phase: CalledPhase,
) -> None:
    one, other = phase.accounts
    phase.layer("network", "2")
    by_hand(phase, other, "network")
    phase.layer("network")
    api = phase.api("cloudformation", other)
    api.delete_stack(StackName="database-dev")
    api.get_waiter("stack_delete_complete").wait(StackName="database-dev", WaiterConfig={"Delay": 0.05})
    broken = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {"Nonsense": 1}}}}'
    api.create_stack(StackName="database-dev", TemplateBody=broken)
    with pytest.raises(Exception, match="Waiter"):
        api.get_waiter("stack_create_complete").wait(StackName="database-dev", WaiterConfig={"Delay": 0.05})

    refused = phase.call("adopt", "--phase", "dev", *NOW)
    assert refused.code == 1
    said = " ".join(refused.err.split())
    assert "database-dev is ROLLBACK_COMPLETE, and cannot be imported" in said
    assert "the template of network-dev is not that of most of the others" in said
    assert "aws cloudformation deploy --stack-name network-dev" in said
    accepted = ("--acknowledge", "network/adopt", "--acknowledge", "database/adopt")
    assert phase.call("adopt", "--phase", "dev", *accepted, *NOW).code == 0
    assert states(phase, "network").keys() == {one}

    by_hand(phase, other, "network")
    assert phase.call("adopt", "--phase", "dev", *accepted[2:], *NOW).code == 0
    assert states(phase, "network") == dict.fromkeys(phase.accounts, ("CURRENT", "network-dev"))


def test_an_import_that_fails_says_why_and_is_tried_again_when_its_cause_is_gone(phase: CalledPhase) -> None:
    one, _ = sorted(phase.accounts)
    iam = phase.api("iam", one)
    role = {"RoleName": "stackferry-execution-dev", "PolicyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}
    iam.detach_role_policy(**role)
    said = phase.call("adopt", "--phase", "dev", *NOW, "--json")
    assert said.code == 1
    assert {each["layer"] for each in said.data["missed"]} == set(LAYERS)
    assert "FAILED_IMPORT: " in said.out
    assert "cloudformation:GetTemplate" in said.out
    planned = phase.call("plan", "--phase", "dev")
    assert "delete nothing, and `rollout-stacksets adopt --phase dev" in " ".join(planned.out.split())
    iam.attach_role_policy(**role)
    assert phase.call("adopt", "--phase", "dev", *NOW).code == 0
    assert states(phase, "monitoring") == dict.fromkeys(phase.accounts, ("CURRENT", "monitoring-dev"))


def test_where_nothing_stands_there_is_nothing_to_adopt(
    cloud: Cloud, number: Callable[[], str], tmp_path: Path
) -> None:
    phase = CalledPhase(cloud, number(), [number()], tmp_path)
    phase.open_accounts()
    said = phase.call("adopt", "--phase", "dev", *NOW)
    assert (said.code, "no stack of phase dev stands" in said.err) == (1, True)
    assert phase.apply().code == 0
    assert "Nothing to do" in phase.call("adopt", "--phase", "dev", *NOW).out
