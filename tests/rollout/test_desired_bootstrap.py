"""The values of the stacks that StackSets cannot carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from builders.errors import RolloutFileError
from builders.layer_templates import Template
from builders.rollout.config.desired_state import bootstrap_stacks
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import Target
from builders.scopes import Scope
from builders.template_bodies import PlainStack

from .phases import FAR, NEAR, ONE, TEXT, TWO, made, rollout

NETWORK = "999999999999"
ARN = "arn:aws:iam::888888888888:role/stackferry-administration-dev"
ACCOUNT = made(
    "account",
    {
        "ToolingAccountId": TEXT,
        "CreateExecutionRole": {"Type": "String", "Default": "false"},
        "AdministrationRoleArn": {"Type": "String", "Default": ""},
    },
    scope="ACCOUNT",
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the parameter files that rollout files name."""
    contents = {
        "dev": ["EnvironmentSuffix=dev", "MigrationPhase=dev"],
        "prod": ["EnvironmentSuffix=prod", "MigrationPhase=prod"],
        "tooling": ["EnvironmentSuffix=tooling", "MigrationPhase=shared"],
        "network": ["EnvironmentSuffix=network", "MigrationPhase=shared"],
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def stacks(
    scope: Scope,
    templates: list[Template],
    file: RolloutFile,
    folder: Path,
    shared: SharedOutputs | None = None,
    phase: str = "dev",
) -> list[PlainStack]:
    there, by_layer = file.located(folder / "rollout.yaml"), {each.layer: each for each in templates}
    return bootstrap_stacks(there, phase, scope, by_layer, shared or SharedOutputs())


def suffix(stack: PlainStack) -> str:
    return stack.values["EnvironmentSuffix"]


def phase(stack: PlainStack) -> str:
    return stack.values["MigrationPhase"]


def both(**prod: Any) -> RolloutFile:
    """Two phases."""
    dev = {"environment": "dev.json", "targets": {"accounts": [ONE]}, "regions": [NEAR]}
    more = {"environment": "prod.json", "targets": {"accounts": [TWO]}, "regions": [FAR, NEAR], **prod}
    return rollout(phases={"dev": dev, "prod": more})


def test_the_tooling_account_has_its_stacks_in_every_region_of_any_phase(files: Path) -> None:
    found = stacks(Scope.TOOLING, [made("artifacts", scope="TOOLING"), ACCOUNT], both(), files)
    assert [(each.layer, each.target, suffix(each), phase(each)) for each in found] == [
        ("artifacts", Target("888888888888", NEAR), "tooling", "shared"),
        ("artifacts", Target("888888888888", FAR), "tooling", "shared"),
    ]


def test_what_the_tooling_account_has_for_each_phase_is_in_its_home_region(files: Path) -> None:
    layers = [made("administration", scope="TOOLING_PER_PHASE")]
    found = [
        each for name in ("dev", "prod") for each in stacks(Scope.TOOLING_PER_PHASE, layers, both(), files, phase=name)
    ]
    home = Target("888888888888", NEAR)
    assert [(phase(each), suffix(each), each.target) for each in found] == [
        ("dev", "dev", home),
        ("prod", "prod", home),
    ]


def test_a_region_of_the_network_account_may_have_values_of_its_own(files: Path) -> None:
    layer = made("shared_network", {"Asn": {"Type": "Number", "Default": 64512}}, scope="NETWORK")
    network = {
        "account": "999999999999",
        "parameters": "network.json",
        "region_parameters": {FAR: {"Asn": "64514"}},
    }
    found = stacks(Scope.NETWORK, [layer], rollout(network=network), files)
    assert {each.target.region: each.values["Asn"] for each in found} == {NEAR: "64512", FAR: "64514"}


def test_the_rules_of_a_template_are_judged_by_the_values_of_every_region(files: Path) -> None:
    one = {"Assert": {"Fn::Equals": [{"Ref": "Asn"}, "64512"]}, "AssertDescription": "Asn is 64512"}
    asn = {"Asn": {"Type": "Number", "Default": 64512}}
    layer = made("shared_network", asn, scope="NETWORK", rules={"Ours": {"Assertions": [one]}})
    network = {"account": NETWORK, "parameters": "network.json", "region_parameters": {FAR: {"Asn": "64514"}}}
    with pytest.raises(RolloutFileError, match="Asn is 64512"):
        stacks(Scope.NETWORK, [layer], rollout(network=network), files)


def test_without_a_network_account_there_is_no_stack_of_it(files: Path) -> None:
    assert stacks(Scope.NETWORK, [made("shared_network", scope="NETWORK")], rollout(network=None), files) == []


def test_every_account_of_every_phase_and_the_network_account_have_their_stacks_in_the_phase_s_first_region(
    files: Path,
) -> None:
    shared = SharedOutputs(administration={"AdministrationRoleArn": ARN})
    found = [
        each for name in ("dev", "prod") for each in stacks(Scope.ACCOUNT, [ACCOUNT], both(), files, shared, phase=name)
    ]
    assert [(phase(each), each.target, suffix(each)) for each in found] == [
        ("dev", Target(ONE, NEAR), "dev"),
        ("dev", Target(NETWORK, NEAR), "dev"),
        ("prod", Target(TWO, FAR), "prod"),
        ("prod", Target(NETWORK, FAR), "prod"),
    ]
    assert found[0].values == {
        "EnvironmentSuffix": "dev",
        "MigrationPhase": "dev",
        "ToolingAccountId": "888888888888",
        "CreateExecutionRole": "true",
        "AdministrationRoleArn": ARN,
    }


def test_service_managed_sets_need_no_execution_role(files: Path) -> None:
    file = rollout(
        {"targets": {"organizational_units": ["ou-ab12-cdef3456"]}}, stacksets={"permission_model": "SERVICE_MANAGED"}
    ).located(files / "rollout.yaml")
    shared, members = SharedOutputs(administration={"AdministrationRoleArn": ARN}), {"ou-ab12-cdef3456": (ONE,)}
    found, _ = bootstrap_stacks(file, "dev", Scope.ACCOUNT, {"account": ACCOUNT}, shared, members)
    assert found.values["CreateExecutionRole"] == "false"


def test_an_account_may_have_values_of_its_own(files: Path) -> None:
    layer = made("account", {"CreateDmsVpcRole": {"Type": "String", "Default": "true"}}, scope="ACCOUNT")
    file = rollout({"account_parameters": {TWO: {"CreateDmsVpcRole": "false"}}})
    found = stacks(Scope.ACCOUNT, [layer], file, files)
    made_there = {each.target.account: each.values["CreateDmsVpcRole"] for each in found}
    assert made_there == {ONE: "true", TWO: "false", NETWORK: "false"}


def test_layers_of_a_scope_go_in_the_order_of_their_needs(files: Path) -> None:
    layers = [made("alpha", scope="TOOLING", needs=("zeta", "network")), made("zeta", scope="TOOLING")]
    assert [each.layer for each in stacks(Scope.TOOLING, layers, rollout({"regions": [NEAR]}), files)] == [
        "zeta",
        "alpha",
    ]


def test_what_is_wrong_is_reported_at_once(files: Path) -> None:
    layer = made("shared_network", {"Asn": {"Type": "Number"}, "Vlan": TEXT}, scope="NETWORK")
    network = {
        "account": "999999999999",
        "parameters": "network.json",
        "region_parameters": {FAR: {"Asn": "many", "Vlam": "1"}},
    }
    with pytest.raises(RolloutFileError) as caught:
        stacks(Scope.NETWORK, [layer], rollout(network=network), files)
    where = f"{files}/rollout.yaml"
    assert str(caught.value).splitlines() == [
        f"{where}, network.region_parameters.eu-west-1.Vlam: Vlam is a parameter of no layer here, so it would be "
        "dropped in silence; did you mean Vlan?",
        f"{where}, network.region_parameters.eu-west-1.Asn: Asn='many' is not a number (shared_network)",
        "999999999999/us-east-1: Asn has no value, and no default in shared_network; give it in "
        f"{files}/network.json, or in {where} under network.region_parameters: its layers say no more",
        "999999999999/eu-west-1 and 999999999999/us-east-1: Vlan has no value, and no default in shared_network; give "
        f"it in {files}/network.json, or in {where} under network.region_parameters: its layers say no more",
    ]
