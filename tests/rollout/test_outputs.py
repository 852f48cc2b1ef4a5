"""Outputs of a phase as files of each target."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dms_task
import pytest

from builders import outputs
from builders.aws.calls import Access, ApiCalls
from builders.deployed import stacks
from builders.migration import cli
from builders.rollout.checks.outputs import OutputsView, run_outputs
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.model import DesiredState, PlainStackSpec, Target

from .conftest import PLAN_ROLE, SUFFIX, Administrator, deploy_plain, plain_stack
from .small_phase import LAYERS, REGIONS, SmallPhase, body, layer_set

SHARED = SharedOutputs(tooling={"us-east-1": {"ArtifactsBucket": "near"}, "eu-west-1": {"ArtifactsBucket": "far"}})


@pytest.fixture
def phase(administrator: Administrator, members: list[str]) -> SmallPhase:
    return SmallPhase(administrator, members[:2])


@pytest.fixture
def deployed(phase: SmallPhase) -> SmallPhase:
    phase.run(phase.desired(*sets(phase)))
    return phase


def sets(phase: SmallPhase) -> list[Any]:
    """Two layers; the outputs of `network` are a queue's name and a VpcId."""
    network, database = (json.loads(body(layer)) for layer in ("network", "database"))
    network["Outputs"]["VpcId"] = {"Value": {"Fn::Sub": "vpc-of-${AWS::AccountId}-${AWS::Region}"}}
    for template in (network, database):
        template["Parameters"]["MigrationPhase"] = {"Type": "String", "Default": "dev"}
    return [
        layer_set(layer, phase.targets, json.dumps(template))
        for layer, template in (("network", network), ("database", database))
    ]


def write(phase: SmallPhase, desired: DesiredState, folder: Path) -> tuple[OutputsView, int]:
    return run_outputs(phase.client, desired, SHARED, LAYERS, "0123456789ab", folder)


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_each_target_has_a_file_a_layer_and_a_flat_one(deployed: SmallPhase, tmp_path: Path) -> None:
    _, code = write(deployed, deployed.desired(), tmp_path)

    account = deployed.accounts[0]
    folder = tmp_path / "dev" / account / "eu-west-1"
    assert {path.name for path in folder.iterdir()} == {
        "artifacts.json",
        "database.json",
        "network.json",
        "flat-outputs.json",
    }
    assert read(folder / "network.json")["VpcId"] == f"vpc-of-{account}-eu-west-1"
    flat = read(folder / "flat-outputs.json")
    assert (flat["vpcId"], flat["artifactsBucket"]) == (f"vpc-of-{account}-eu-west-1", "far")
    assert code == 0


def test_the_index_names_every_target_its_files_and_what_is_missing(deployed: SmallPhase, tmp_path: Path) -> None:
    write(deployed, deployed.desired(), tmp_path)

    index = read(tmp_path / "dev" / "index.json")
    first = index["places"][0]
    assert (index["phase"], index["release"], index["unread"]) == ("dev", "0123456789ab", [])
    assert {(each["account"], each["region"]) for each in index["places"]} == set(deployed.targets)
    assert f"{first['account']}/{first['region']}/flat-outputs.json" in first["files"]
    assert first["outputs"] == ["vpcId"]
    assert set(first["missing"]) == set(outputs.RELIED_ON) - {"vpcId"}


def test_a_phase_of_several_targets_has_no_flat_file_of_its_own(deployed: SmallPhase, tmp_path: Path) -> None:
    old = tmp_path / "dev" / "flat-outputs.json"
    outputs.write("dev", {"network": {"VpcId": "vpc-of-old"}}, tmp_path)

    write(deployed, deployed.desired(), tmp_path)

    assert not old.exists()


def test_a_phase_of_one_target_has_the_flat_files_that_everything_reads(
    administrator: Administrator, members: list[str], tmp_path: Path
) -> None:
    alone = SmallPhase(administrator, members[:1], regions=REGIONS[:1])
    alone.run(alone.desired(*sets(alone)))

    write(alone, alone.desired(), tmp_path)

    flat = read(tmp_path / "flat-outputs.json")
    assert flat["vpcId"] == f"vpc-of-{members[0]}-us-east-1"
    assert read(tmp_path / "dev" / "flat-outputs.json") == flat
    assert (tmp_path / "dev" / "index.json").exists()


def test_a_target_that_cannot_be_read_is_reported_and_keeps_its_files(deployed: SmallPhase, tmp_path: Path) -> None:
    write(deployed, deployed.desired(), tmp_path)
    shut = deployed.accounts[1]
    before = (tmp_path / "dev" / shut / "us-east-1" / "network.json").read_bytes()
    iam = deployed.administrator.api("iam", shut)
    iam.detach_role_policy(RoleName=PLAN_ROLE, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam.delete_role(RoleName=PLAN_ROLE)
    deployed.connect()

    view, code = write(deployed, deployed.desired(), tmp_path)

    assert {target.account for target in view.unread} == {shut}
    assert {each.target.account for each in view.written} == {deployed.accounts[0]}
    assert (tmp_path / "dev" / shut / "us-east-1" / "network.json").read_bytes() == before
    assert {each["account"] for each in read(view.index)["unread"]} == {shut}
    assert code == 1


def test_a_target_of_which_one_stack_cannot_be_read_is_not_written_at_all(
    deployed: SmallPhase, number: Callable[[], str], tmp_path: Path
) -> None:
    target = Target(deployed.accounts[0], "us-east-1")
    routes = PlainStackSpec("phase_routes", number(), body("network"), {target: {}})

    view, _ = write(deployed, dataclasses.replace(deployed.desired(), plain={"phase_routes": routes}), tmp_path)

    assert set(view.unread) == {target}
    assert not (tmp_path / "dev" / target.account / target.region).exists()


def test_the_file_of_a_layer_that_is_gone_is_deleted(deployed: SmallPhase, tmp_path: Path) -> None:
    write(deployed, deployed.desired(), tmp_path)
    deployed.run(dataclasses.replace(deployed.desired(sets(deployed)[0])))

    write(deployed, deployed.desired(), tmp_path)

    folder = tmp_path / "dev" / deployed.accounts[0] / "us-east-1"
    assert {path.name for path in folder.iterdir()} == {"artifacts.json", "network.json", "flat-outputs.json"}


def test_the_stacks_of_the_network_account_are_among_those_of_their_target(
    deployed: SmallPhase, administrator: Administrator, number: Callable[[], str], tmp_path: Path
) -> None:
    network = administrator.deployable(number())
    target = Target(deployed.accounts[0], "us-east-1")
    template = json.dumps(
        {
            "Resources": {"Queue": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {"PhaseRouteTableId": {"Value": "tgw-rtb-of-it"}},
        }
    )
    name = f"phase-routes-{SUFFIX}-{target.account}"
    deploy_plain(deployed.client, plain_stack(Target(network, target.region), template, {}, name))
    routes = PlainStackSpec("phase_routes", network, template, {target: {}})

    write(deployed, dataclasses.replace(deployed.desired(), plain={"phase_routes": routes}), tmp_path)

    written = read(tmp_path / "dev" / target.account / target.region / "phase_routes.json")
    assert written == {"PhaseRouteTableId": "tgw-rtb-of-it"}


def test_a_target_that_is_gone_has_no_files_that_a_command_would_take_for_it(
    deployed: SmallPhase, tmp_path: Path
) -> None:
    write(deployed, deployed.desired(), tmp_path)
    left = deployed.accounts[1]
    deployed.run(
        deployed.desired(
            *[dataclasses.replace(each, overrides={Target(left, "us-east-1"): {}}) for each in sets(deployed)]
        )
    )

    write(deployed, deployed.desired(), tmp_path)

    assert list(outputs.targets("dev", tmp_path)) == [Target(left, "us-east-1")]
    path, flat = outputs.find("dev", tmp_path) or (tmp_path, {})
    assert (path, flat["vpcId"]) == (tmp_path / "dev" / "flat-outputs.json", f"vpc-of-{left}-us-east-1")


def test_the_stacks_of_stack_sets_are_found_in_their_account_by_their_names(deployed: SmallPhase) -> None:
    """As those are that somebody deployed by hand: without rollout.yaml, and without a file."""
    account = deployed.accounts[0]
    cloud = deployed.administrator.cloud
    access = Access("eu-west-1", endpoint_url=cloud.endpoint_url, keys=(account, cloud.secret_access_key(account)))

    found = {each.layer: each for each in stacks(ApiCalls(access).session())}

    assert set(found) == {"database", "network"}
    assert (found["network"].phase, found["network"].suffix, found["network"].is_standing) == ("dev", SUFFIX, True)
    assert found["network"].outputs["VpcId"] == f"vpc-of-{account}-eu-west-1"


def test_migrate_database_finds_the_task_of_each_target_after_a_rollout(
    phase: SmallPhase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    template = json.loads(body("network"))
    template["Resources"] |= dms_task.resources()
    template["Outputs"] = {"ReplicationTaskArn": {"Value": {"Ref": "Task"}}}
    phase.run(phase.desired(layer_set("network", phase.targets, json.dumps(template))))
    write(phase, phase.desired(), tmp_path)
    target = phase.targets[-1]
    for name, value in phase.administrator.cloud.environment(target.account).items():
        monkeypatch.setenv(name, value)
    common = ["status", "--phase", "dev", "--outputs-dir", str(tmp_path), "--role", "none"]

    undecided = cli.main(common), capsys.readouterr().err
    decided = cli.main([*common, "--account", target.account, "--region", target.region]), capsys.readouterr().out

    assert (undecided[0], "dev has several targets" in undecided[1]) == (2, True)
    assert (decided[0], f"task       arn:aws:dms:{target.region}:{target.account}:" in decided[1]) == (0, True)


def test_outputs_ask_one_call_a_stack(deployed: SmallPhase, tmp_path: Path) -> None:
    client = deployed.connect()

    write(deployed, deployed.desired(), tmp_path)

    assert client.calls.counts["cloudformation:DescribeStacks"] == 2 * len(deployed.targets)
    assert client.calls.counts["cloudformation:ListStackInstances"] == 2
