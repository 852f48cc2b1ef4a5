"""The rollout.yaml of this repository with its templates and environments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders.layer_templates import Template, read_templates
from builders.naming import ADMINISTRATION_ROLE, EXECUTION_ROLE, with_suffix
from builders.rollout.config.desired_state import bootstrap_stacks, desired_state
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import SharedOutputs, environment_file
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import DesiredState, Target
from builders.scopes import Scope

PHASES = {"dev": "111111111111", "staging": "222222222222", "prod": "333333333333"}
NEAR, FAR = "us-east-1", "eu-west-1"


@pytest.fixture(scope="module")
def rollout() -> RolloutFile:
    return load_rollout_file(Path("rollout.yaml"))


@pytest.fixture(scope="module")
def layers() -> dict[str, Template]:
    return read_templates(Path("templates"))


@pytest.fixture(scope="module")
def shared() -> SharedOutputs:
    """Outputs of the shared stacks, in the forms that AWS gives its ids."""
    return SharedOutputs(
        tooling={region: {"ArtifactsBucket": f"stackferry-888888888888-{region}-tooling"} for region in (NEAR, FAR)},
        administration={"AdministrationRoleArn": "arn:aws:iam::888888888888:role/stackferry-administration-dev"},
        network={
            NEAR: {
                "TransitGatewayId": "tgw-0aaaaaaaaaaaaaaa1",
                "OnPremisesRouteTableId": "tgw-rtb-0aaaaaaaaaaaaaaa1",
                "SharedDirectConnectGatewayId": "5f294f92-bafb-4011-916d-9b0bexample",
                "TransitVirtualInterfaceId": "dxvif-ffabc123",
            },
            FAR: {
                "TransitGatewayId": "tgw-0aaaaaaaaaaaaaaa2",
                "OnPremisesRouteTableId": "tgw-rtb-0aaaaaaaaaaaaaaa2",
            },
        },
    )


@pytest.fixture(params=list(PHASES))
def phase(
    request: pytest.FixtureRequest, rollout: RolloutFile, layers: dict[str, Template], shared: SharedOutputs
) -> DesiredState:
    return desired_state(rollout, request.param, layers, shared)


def test_every_phase_carries_every_layer_in_its_account_and_both_regions(
    phase: DesiredState, layers: dict[str, Template]
) -> None:
    assert set(phase.sets) == {name for name, layer in layers.items() if layer.scope is Scope.PHASE}
    assert phase.targets == {Target(PHASES[phase.phase], NEAR), Target(PHASES[phase.phase], FAR)}


def test_no_value_of_one_region_reaches_the_other(phase: DesiredState) -> None:
    of_one_region = {
        (key, value)
        for layer in phase.sets.values()
        for key, value in layer.values(Target(PHASES[phase.phase], FAR)).items()
        if NEAR in value or value in ("pl-63a5400a", "tgw-0aaaaaaaaaaaaaaa1")
    }
    assert of_one_region == set()


def test_the_networks_of_all_phases_and_regions_are_apart(
    rollout: RolloutFile, layers: dict[str, Template], shared: SharedOutputs
) -> None:
    networks = [desired_state(rollout, phase, layers, shared).sets["network"] for phase in PHASES]
    ranges = [each.values(target)["VpcCidr"] for each in networks for target in each.overrides]
    assert sorted(ranges) == [f"10.{number}.0.0/16" for number in (20, 21, 22, 30, 31, 32)]


def test_the_phase_s_routes_wait_for_its_attachment(phase: DesiredState) -> None:
    routes = phase.plain["phase_routes"].parameters
    assert {target.region: values["TransitGatewayId"] for target, values in routes.items()} == {
        NEAR: "tgw-0aaaaaaaaaaaaaaa1",
        FAR: "tgw-0aaaaaaaaaaaaaaa2",
    }
    assert all("DirectConnectAttachmentId" not in values for values in routes.values())
    assert "phase_routes" in phase.needs["connectivity"]
    assert "network" in phase.needs["phase_routes"]


def test_the_packages_of_all_functions_are_named(phase: DesiredState) -> None:
    assert {key.partition("/")[0] for key in phase.packages} == {
        "connectivity_check",
        "database_users",
        "replication_status",
        "secret_rotation",
    }


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope.TOOLING_PER_PHASE, {(f"administration-{phase}", "888888888888", NEAR) for phase in PHASES}),
        (Scope.TOOLING, {("artifacts-tooling", "888888888888", NEAR), ("artifacts-tooling", "888888888888", FAR)}),
        (
            Scope.NETWORK,
            {("shared-network-network", "999999999999", NEAR), ("shared-network-network", "999999999999", FAR)},
        ),
        (
            Scope.ACCOUNT,
            {(f"account-{phase}", each, NEAR) for phase, own in PHASES.items() for each in (own, "999999999999")},
        ),
    ],
)
def test_bootstrap_has_its_stacks(
    rollout: RolloutFile,
    layers: dict[str, Template],
    shared: SharedOutputs,
    scope: Scope,
    expected: set[tuple[str, str, str]],
) -> None:
    found = [each for phase in PHASES for each in bootstrap_stacks(rollout, phase, scope, layers, shared)]
    assert {(each.name, *each.target) for each in found} == expected


@pytest.mark.parametrize("phase", PHASES)
def test_the_file_of_a_phase_names_its_own_administration_role(rollout: RolloutFile, phase: str) -> None:
    """Whoever deploys by hand takes it from there."""
    given = environment_file(rollout, phase).values
    assert given["AdministrationRoleArn"] == f"arn:aws:iam::{given['ToolingAccountId']}:role/" + with_suffix(
        ADMINISTRATION_ROLE, given["EnvironmentSuffix"]
    )


def test_templates_know_the_scopes_of_the_layers(layers: dict[str, Template]) -> None:
    assert {layer.scope for layer in layers.values()} == set(Scope)


def test_the_execution_role_is_the_one_that_the_account_layer_makes(layers: dict[str, Template]) -> None:
    role = json.loads(layers["account"].body)["Resources"]["ExecutionRole"]["Properties"]["RoleName"]
    assert role == {"Fn::Sub": f"{EXECUTION_ROLE}-${{EnvironmentSuffix}}"}
