"""The stacks that StackSets cannot carry, deployed from our own templates into three accounts of the embedded cloud."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from warm import running

from builders.cloud.process import Cloud
from builders.errors import RolloutError
from builders.layer_templates import Template, read_templates
from builders.rollout.client import Client
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.schema import RolloutFile
from builders.rollout.lifecycle.bootstrap import StackOutcome, StackState
from builders.rollout.model import Permissions
from builders.rollout.phase import PhaseConnection, readable_outputs, shared_outputs

from .conftest import DEPLOY_ROLE, Administrator, connect, deploy_stacks

TOOLING, NETWORK, FIRST, SECOND = "8" * 12, "9" * 12, "1" * 12, "2" * 12
ENVIRONMENTS = Path("environments")
NO_DIRECT_CONNECT = {
    "TransitGatewayAsn": "64514",
    "CreateDirectConnectGateway": "false",
    "AllowedPrefixes": "",
    "DirectConnectConnectionId": "",
    "VirtualInterfaceVlan": "",
    "OnPremisesAsn": "",
}


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A cloud of a test's own: accounts and names are those of `environments/`."""
    with running() as cloud:
        yield cloud


@pytest.fixture
def administrator(cloud: Cloud) -> Administrator:
    """The tooling account, which may deploy in the others but for `SECOND`."""
    administrator = Administrator(cloud, TOOLING)
    for account in (NETWORK, FIRST):
        administrator.lend(account, DEPLOY_ROLE)
    return administrator


@pytest.fixture
def client(administrator: Administrator) -> Client:
    return connect(administrator.cloud, TOOLING, Permissions())


@pytest.fixture
def layers() -> dict[str, Template]:
    return read_templates(Path("templates"))


@pytest.fixture
def rollout(tmp_path: Path) -> RolloutFile:
    return written(tmp_path, FIRST)


def written(folder: Path, *accounts: str, **tooling: Any) -> RolloutFile:
    """A rollout file whose one phase goes to some accounts, in two regions."""
    # Parameter files of a rollout file lie in its folder.
    shutil.copytree(ENVIRONMENTS, folder / ENVIRONMENTS, dirs_exist_ok=True)
    content = {
        "tooling": {"account": TOOLING, "parameters": str(ENVIRONMENTS / "tooling.json"), **tooling},
        "network": {
            "account": NETWORK,
            "parameters": str(ENVIRONMENTS / "network.json"),
            "region_parameters": {"eu-west-1": NO_DIRECT_CONNECT},
        },
        "phases": {
            "dev": {
                "environment": str(ENVIRONMENTS / "dev.json"),
                "targets": {"accounts": list(accounts)},
                "regions": ["us-east-1", "eu-west-1"],
                "region_parameters": {"eu-west-1": {"VpcCidr": "10.30.0.0/16"}},
            }
        },
    }
    path = folder / "rollout.yaml"
    path.write_text(json.dumps(content))
    return load_rollout_file(path)


def connection(client: Client, rollout: RolloutFile, layers: dict[str, Template]) -> PhaseConnection:
    return PhaseConnection(rollout, layers, "dev", "dev", client)


def states(outcomes: list[StackOutcome]) -> dict[str, str]:
    return {str(outcome.stack): outcome.state.value for outcome in outcomes}


STACKS = {
    f"administration-dev in {TOOLING}/us-east-1",
    f"artifacts-tooling in {TOOLING}/us-east-1",
    f"artifacts-tooling in {TOOLING}/eu-west-1",
    f"shared-network-network in {NETWORK}/us-east-1",
    f"shared-network-network in {NETWORK}/eu-west-1",
    f"account-dev in {FIRST}/us-east-1",
    f"account-dev in {NETWORK}/us-east-1",
}


def test_what_the_first_run_makes_is_read_by_its_outputs_and_the_next_runs_make_what_is_missing(
    administrator: Administrator, client: Client, rollout: RolloutFile, layers: dict[str, Template]
) -> None:
    with pytest.raises(
        RolloutError,
        match=r"^there is no stack administration-dev in 8{12}/us-east-1, .*; "
        r"run `rollout-stacksets bootstrap --phase dev` first$",
    ):
        shared_outputs(client, rollout, "dev")

    reported: list[StackOutcome] = []
    outcomes = deploy_stacks(connection(client, rollout, layers), report=reported.append)
    assert states(outcomes) == dict.fromkeys(STACKS, "created")
    assert reported == outcomes
    assert_on_premises_is_reached(administrator, client, rollout)
    assert_outputs_are_read(client, rollout)

    before = client.calls.counts["cloudformation:ExecuteChangeSet"]
    assert states(deploy_stacks(connection(client, rollout, layers))) == dict.fromkeys(STACKS, "unchanged")
    assert client.calls.counts["cloudformation:ExecuteChangeSet"] == before

    # As where all was deployed before plan roles came to the network account.
    administrator.api("cloudformation", NETWORK).delete_stack(StackName="account-dev")
    with pytest.raises(
        RolloutError, match=r"stackferry-plan-dev.* run `rollout-stacksets bootstrap --phase dev` first$"
    ):
        shared_outputs(administrator.client(), rollout, "dev")
    readable, _ = readable_outputs(administrator.client(), rollout, "dev")  # for doctor, which says so
    assert (sorted(readable.tooling), readable.network) == (["eu-west-1", "us-east-1"], {})
    assert states(deploy_stacks(connection(administrator.client(), rollout, layers))) == {
        each: "created" if each == f"account-dev in {NETWORK}/us-east-1" else "unchanged" for each in STACKS
    }

    assert_routes_follow_the_network(administrator, client, rollout, layers)


def assert_outputs_are_read(client: Client, rollout: RolloutFile) -> None:
    """The outputs of the shared stacks are those of their accounts and regions."""
    found = shared_outputs(client, rollout, "dev")
    assert found.administration == {
        "AdministrationRoleArn": f"arn:aws:iam::{TOOLING}:role/stackferry-administration-dev"
    }
    assert {region: outputs["ArtifactsBucket"] for region, outputs in found.tooling.items()} == {
        region: f"stackferry-{TOOLING}-{region}-tooling" for region in ("us-east-1", "eu-west-1")
    }
    assert found.network["us-east-1"]["TransitGatewayId"] != found.network["eu-west-1"]["TransitGatewayId"]


def assert_routes_follow_the_network(
    administrator: Administrator, client: Client, rollout: RolloutFile, layers: dict[str, Template]
) -> None:
    """Routes are made where the network of the phase is deployed, and only once."""
    shared = shared_outputs(client, rollout, "dev")
    api = administrator.api("cloudformation")
    api.create_stack_set(
        StackSetName="stackferry-network-dev",
        TemplateBody=json.dumps(attached_network(shared.network["us-east-1"]["TransitGatewayId"])),
        AdministrationRoleARN=shared.administration["AdministrationRoleArn"],
        ExecutionRoleName="stackferry-execution-dev",
    )
    operation = api.create_stack_instances(
        StackSetName="stackferry-network-dev", Accounts=[FIRST], Regions=["us-east-1"]
    )
    administrator.fleet.over(operation["OperationId"])
    routes = f"phase-routes-dev-{FIRST} in {NETWORK}/us-east-1"
    outcomes = deploy_stacks(connection(client, rollout, layers))
    assert states(outcomes) == dict.fromkeys(STACKS, "unchanged") | {routes: "created"}
    (made,) = [outcome for outcome in outcomes if outcome.state is StackState.CREATED]
    assert made.stack.values["DirectConnectAttachmentId"].startswith("tgw-attach-")
    learning = administrator.api("ec2", NETWORK).get_transit_gateway_attachment_propagations(
        TransitGatewayAttachmentId=shared.network["us-east-1"]["DirectConnectGatewayAttachmentId"]
    )["TransitGatewayAttachmentPropagations"]
    assert [each["TransitGatewayRouteTableId"] for each in learning] == [made.outputs["PhaseRouteTableId"]]
    assert states(deploy_stacks(connection(client, rollout, layers))) == dict.fromkeys([*STACKS, routes], "unchanged")


def test_a_stack_that_trusts_a_role_that_was_not_deployed_is_skipped_and_an_account_out_of_reach_stops_no_other(
    administrator: Administrator, client: Client, rollout: RolloutFile, layers: dict[str, Template], tmp_path: Path
) -> None:
    """Accounts without the role of an earlier run would lose it."""
    trust = '{"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}'
    role = {"RoleName": "stackferry-administration-dev"}
    administrator.api("iam").create_role(**role, AssumeRolePolicyDocument=trust)
    outcomes = deploy_stacks(connection(client, rollout, layers))
    (failed, *skipped) = [outcome for outcome in outcomes if not outcome.succeeded]
    assert (failed.stack.layer, failed.state) == ("administration", StackState.FAILED)
    assert {str(outcome) for outcome in skipped} == {
        f"account-dev in {account}/us-east-1: skipped, since administration-dev in {TOOLING}/us-east-1 was not deployed"
        for account in (FIRST, NETWORK)
    }

    administrator.api("iam").delete_role(**role)
    made = {str(outcome.stack) for outcome in outcomes if outcome.succeeded}
    outcomes = deploy_stacks(connection(client, written(tmp_path, SECOND, FIRST), layers))
    out_of_reach = f"account-dev in {SECOND}/us-east-1"
    expected = {each: "unchanged" if each in made else "created" for each in STACKS}
    assert states(outcomes) == expected | {out_of_reach: "failed"}
    (outcome,) = [outcome for outcome in outcomes if not outcome.succeeded]
    assert DEPLOY_ROLE in outcome.reason


def attachments(administrator: Administrator) -> list[dict[str, Any]]:
    """The attachments of Direct Connect gateways in the network account."""
    found: list[dict[str, Any]] = administrator.api("ec2", NETWORK).describe_transit_gateway_attachments(
        Filters=[{"Name": "resource-type", "Values": ["direct-connect-gateway"]}]
    )["TransitGatewayAttachments"]
    return found


def test_a_first_bootstrap_waits_for_the_attachment_of_direct_connect_and_the_next_one_continues_it(
    administrator: Administrator, client: Client, rollout: RolloutFile, layers: dict[str, Template]
) -> None:
    administrator.cloud.set_faults({"kind": "slow-attachment", "seconds": 3, "account": NETWORK})
    stopped = deploy_stacks(connection(client, rollout, layers), association_seconds=0.2)
    (failed,) = [outcome for outcome in stopped if not outcome.succeeded]
    assert re.match(
        r"Direct Connect gateway \S+ is not attached in account 9{12}, us-east-1 after 0 seconds", failed.reason
    )
    network = f"shared-network-network in {NETWORK}/us-east-1"
    assert states(deploy_stacks(connection(client, rollout, layers)))[network] == "updated"
    assert_on_premises_is_reached(administrator, client, rollout)
    assert states(deploy_stacks(connection(client, rollout, layers))) == dict.fromkeys(STACKS, "unchanged")
    assert_on_premises_is_reached(administrator, client, rollout)


def assert_on_premises_is_reached(administrator: Administrator, client: Client, rollout: RolloutFile) -> None:
    """The attachment of the Direct Connect gateway uses the table of on-premises, and its id is handed on."""
    (attachment,) = administrator.api("ec2", NETWORK).describe_transit_gateway_attachments(
        Filters=[{"Name": "resource-type", "Values": ["direct-connect-gateway"]}]
    )["TransitGatewayAttachments"]
    outputs = shared_outputs(client, rollout, "dev").network["us-east-1"]
    table = attachment["Association"]["TransitGatewayRouteTableId"]
    assert (table, attachment["TransitGatewayAttachmentId"]) == (
        outputs["OnPremisesRouteTableId"],
        outputs["DirectConnectGatewayAttachmentId"],
    )


def attached_network(transit_gateway_id: str) -> dict[str, Any]:
    """A small template that puts out what `network` does."""
    vpc, subnet = {"Ref": "Vpc"}, {"Ref": "Subnet"}
    attachment = {"TransitGatewayId": transit_gateway_id, "VpcId": vpc, "SubnetIds": [subnet]}
    return {
        "Resources": {
            "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.30.0.0/16"}},
            "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": vpc, "CidrBlock": "10.30.0.0/24"}},
            "Attachment": {"Type": "AWS::EC2::TransitGatewayAttachment", "Properties": attachment},
        },
        "Outputs": {"DirectConnectAttachmentId": {"Value": {"Ref": "Attachment"}}},
    }
