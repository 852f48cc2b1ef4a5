"""The plain stacks that a phase needs: their targets, names and values. No cloud is needed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders.errors import RolloutFileError
from builders.evaluate import evaluate
from builders.layer_templates import Template, read_templates
from builders.rollout.config.desired_state import bootstrap_stacks
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.config.schema import RolloutFile
from builders.rollout.lifecycle.bootstrap import ROUNDS, route_stacks
from builders.rollout.model import DesiredState, Permissions, PlainStackSpec, Preferences, Target
from builders.scopes import Scope
from builders.template_bodies import PlainStack

ENVIRONMENTS = Path("environments").resolve()
ROLE = "arn:aws:iam::888888888888:role/stackferry-administration-dev"
ATTACHMENT = "tgw-attach-0123456789abcdef0"

TOOLING = {"account": "888888888888", "parameters": "environments/tooling.json"}
NETWORK = {"account": "999999999999", "parameters": "environments/network.json"}

Steps = Callable[..., list[PlainStack]]


def phase(name: str, *accounts: str, regions: tuple[str, ...] = ("us-east-1",), **more: Any) -> dict[str, Any]:
    return {
        "environment": f"environments/{name}.json",
        "targets": {"accounts": list(accounts)},
        "regions": list(regions),
        **more,
    }


@pytest.fixture
def rollout(tmp_path: Path) -> Callable[..., RolloutFile]:
    """Writes a rollout file of two phases, dev in two accounts, and reads it."""

    def rollout(**more: Any) -> RolloutFile:
        content = {
            "tooling": TOOLING,
            "network": NETWORK,
            "phases": {
                "dev": phase("dev", "111111111111", "111111111112", regions=("eu-central-1", "us-east-1")),
                "prod": phase("prod", "333333333333", regions=("us-east-1", "eu-west-1")),
            },
        }
        content = {key: value for key, value in {**content, **more}.items() if value is not None}
        shutil.copytree(ENVIRONMENTS, tmp_path / "environments", dirs_exist_ok=True)
        path = tmp_path / "rollout.yaml"
        path.write_text(json.dumps(content))
        return load_rollout_file(path)

    return rollout


@pytest.fixture(scope="module")
def layers() -> dict[str, Template]:
    return read_templates(Path("templates"))


@pytest.fixture
def steps(rollout: Callable[..., RolloutFile], layers: dict[str, Template]) -> Steps:
    """The steps of one round of the phase dev."""

    def steps(scope: Scope, shared: SharedOutputs | None = None, **more: Any) -> list[PlainStack]:
        return bootstrap_stacks(rollout(**more), "dev", scope, layers, shared or SharedOutputs())

    return steps


def targets(steps: list[PlainStack]) -> list[tuple[str, str]]:
    return [(step.name, str(step.target)) for step in steps]


def test_the_tooling_account_gets_the_administration_role_of_the_phase(steps: Steps) -> None:
    assert targets(steps(Scope.TOOLING_PER_PHASE)) == [("administration-dev", "888888888888/eu-central-1")]


def test_the_principals_of_stacksets_stand_once_for_all_phases(steps: Steps, tmp_path: Path) -> None:
    principals = "cloudformation.amazonaws.com,cloudformation.ap-east-1.amazonaws.com"
    entries = [*json.loads(Path("environments/tooling.json").read_text()), f"StackSetsPrincipals={principals}"]
    (tmp_path / "tooling.json").write_text(json.dumps(entries))
    (step,) = steps(Scope.TOOLING_PER_PHASE, tooling=TOOLING | {"parameters": "tooling.json"})
    assert (step.values["StackSetsPrincipals"], step.values["EnvironmentSuffix"]) == (principals, "dev")


def test_organizations_bring_roles_of_their_own(steps: Steps) -> None:
    phases = {"dev": {**phase("dev"), "targets": {"organizational_units": ["ou-ab12-cdef3456"]}}}
    assert steps(Scope.TOOLING_PER_PHASE, stacksets={"permission_model": "SERVICE_MANAGED"}, phases=phases) == []


def test_every_region_of_any_phase_has_a_bucket_and_a_transit_gateway(steps: Steps) -> None:
    regions = ["eu-central-1", "us-east-1", "eu-west-1"]
    assert targets(steps(Scope.TOOLING)) == [("artifacts-tooling", f"888888888888/{region}") for region in regions]
    assert targets(steps(Scope.NETWORK)) == [("shared-network-network", f"999999999999/{region}") for region in regions]


def test_a_region_has_parameters_of_its_own(steps: Steps) -> None:
    network = NETWORK | {"region_parameters": {"eu-west-1": {"TransitGatewayAsn": "64514"}}}
    numbers = {step.target.region: step.values["TransitGatewayAsn"] for step in steps(Scope.NETWORK, network=network)}
    assert numbers == {"eu-central-1": "64512", "us-east-1": "64512", "eu-west-1": "64514"}


def test_without_a_network_account_there_is_no_shared_network(steps: Steps) -> None:
    assert steps(Scope.NETWORK, network=None) == []


def test_each_account_of_the_phase_gets_its_roles_in_one_region_and_other_phases_are_left_alone(steps: Steps) -> None:
    assert targets(steps(Scope.ACCOUNT)) == [
        ("account-dev", "111111111111/eu-central-1"),
        ("account-dev", "111111111112/eu-central-1"),
        ("account-dev", "999999999999/eu-central-1"),
    ]


def test_the_network_account_gets_the_plan_role_alone(steps: Steps) -> None:
    shared = SharedOutputs(administration={"AdministrationRoleArn": ROLE})
    *_, network = steps(Scope.ACCOUNT, shared)
    made = evaluate(json.loads(network.template), network.values).resources
    assert {name for name, each in made.items() if each["Type"] == "AWS::IAM::Role"} == {"PlanRole"}


@pytest.mark.parametrize("account", ["888888888888", "111111111112"])
def test_a_network_account_that_reads_itself_or_has_a_plan_role_gets_no_second_one(steps: Steps, account: str) -> None:
    found = steps(Scope.ACCOUNT, network=NETWORK | {"account": account})
    assert [each.target.account for each in found] == ["111111111111", "111111111112"]


def test_accounts_trust_the_administration_role_that_is_deployed(steps: Steps) -> None:
    shared = SharedOutputs(administration={"AdministrationRoleArn": ROLE})
    (first, *_) = steps(Scope.ACCOUNT, shared)
    assert (first.values["AdministrationRoleArn"], first.values["CreateExecutionRole"]) == (ROLE, "true")


def test_stacks_carry_the_tags_of_their_resources(steps: Steps) -> None:
    (step,) = steps(Scope.TOOLING_PER_PHASE)
    assert step.tags == {
        "Environment": "dev",
        "MigrationPhase": "dev",
        "CostCenter": "payments-migration",
        "ComplianceScope": "PCI-DSS",
    }


def test_layers_go_after_those_that_they_need(layers: dict[str, Template]) -> None:
    """A round may use what earlier ones have put out, and no later one."""
    before: set[str] = set()
    for scope in ROUNDS:
        own = {layer for layer, template in layers.items() if template.scope is scope}
        assert {need for layer in own for need in layers[layer].needs} <= before | own
        before |= own


def test_what_is_wrong_with_a_value_names_its_file(steps: Steps) -> None:
    phases = {"dev": phase("dev", "111111111111", parameters={"CreateDmsVpcRole": "perhaps"})}
    with pytest.raises(RolloutFileError, match=r"phases\.dev\.parameters\.CreateDmsVpcRole"):
        steps(Scope.ACCOUNT, phases=phases)


@pytest.fixture
def desired(layers: dict[str, Template]) -> DesiredState:
    """A phase with routes for two targets."""
    own = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments", "ComplianceScope": "PCI"}
    own |= {"TransitGatewayId": "tgw-0123456789abcdef0", "OnPremisesRouteTableId": "tgw-rtb-0123456789abcdef0"}
    at = {Target(account, "us-east-1"): own for account in ("111111111111", "111111111112")}
    plain = {"phase_routes": PlainStackSpec("phase_routes", "999999999999", layers["phase_routes"].body, at)}
    needs = {"phase_routes": frozenset({"network"})}
    return DesiredState("dev", "dev", {}, plain, needs, (), ("us-east-1",), Preferences(), Permissions(), {})


def test_routes_are_made_where_the_network_of_the_phase_has_its_attachment(desired: DesiredState) -> None:
    outputs = {
        ("network", Target("111111111111", "us-east-1")): {"DirectConnectAttachmentId": ATTACHMENT, "VpcId": "vpc-0"},
        ("network", Target("111111111112", "us-east-1")): {"VpcId": "vpc-1"},
    }
    (step,) = route_stacks(desired, outputs)
    assert (step.name, str(step.target)) == ("phase-routes-dev-111111111111", "999999999999/us-east-1")
    assert step.values["DirectConnectAttachmentId"] == ATTACHMENT
    assert "VpcId" not in step.values


def test_before_the_network_is_deployed_there_are_no_routes(desired: DesiredState) -> None:
    assert route_stacks(desired, {}) == []
