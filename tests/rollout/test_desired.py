"""The desired state of a phase: its layers, their order, its accounts, and the stacks of the network account."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders.errors import RolloutError, RolloutFileError, UsageError
from builders.layer_templates import read_template, read_templates
from builders.rollout.config.desired_state import desired_state
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.model import ConcurrencyMode, Permissions, Preferences, Target, Wave

from .phases import FAR, NEAR, ONE, TEXT, THREE, TWO, made, phase, rollout

CONNECTIVITY = {"Connectivity": {"Type": "String", "Default": "None"}}
JOINED = SharedOutputs(network={NEAR: {"TransitGatewayId": "tgw-near"}, FAR: {"TransitGatewayId": "tgw-far"}})
NETWORK = made("network", CONNECTIVITY, outputs=("AttachmentId",))
ROUTES = made("routes", {"AttachmentId": TEXT, "TransitGatewayId": TEXT}, scope="NETWORK_PER_PHASE", needs=("network",))


def test_each_layer_of_the_phase_has_a_set_at_every_target() -> None:
    made_phase = phase([made("network"), made("database_users")])
    assert {layer: (each.name, frozenset(each.overrides)) for layer, each in made_phase.sets.items()} == {
        "network": ("stackferry-network-dev", made_phase.targets),
        "database_users": ("stackferry-database-users-dev", made_phase.targets),
    }
    assert made_phase.targets == {Target(account, region) for account in (ONE, TWO) for region in (NEAR, FAR)}


def test_layers_of_other_scopes_are_left_to_bootstrap() -> None:
    other = [made(scope.lower(), scope=scope) for scope in ("TOOLING", "TOOLING_PER_PHASE", "NETWORK", "ACCOUNT")]
    assert list(phase([made("database"), *other]).sets) == ["database"]


def test_a_layer_waits_for_those_that_it_needs_among_those_that_the_phase_carries() -> None:
    layers = [
        made("account", scope="ACCOUNT"),
        made("network", needs=("account",)),
        made("database", needs=("network",)),
    ]
    assert phase(layers).needs == {"network": frozenset(), "database": frozenset({"network"})}


def test_a_layer_that_is_left_out_has_no_set() -> None:
    layers = [made("network"), made("rotation", needs=("network",))]
    assert phase(layers, {"leave_out": ["rotation"]}).needs == {"network": frozenset()}


def test_a_layer_that_another_needs_cannot_be_left_out() -> None:
    layers = [made("network"), made("database", needs=("network",)), made("access", needs=("network",))]
    with pytest.raises(
        RolloutFileError, match=r"phases.dev.leave_out\[0\]: access, database needs network; leave that"
    ):
        phase(layers, {"leave_out": ["network"]})


def test_a_layer_that_is_none_cannot_be_left_out() -> None:
    with pytest.raises(RolloutFileError, match=r"unknown layer 'netwrok', did you mean 'network'\?"):
        phase([made("network")], {"leave_out": ["netwrok"]})


def test_a_phase_that_the_file_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="unknown phase 'deb', did you mean 'dev'"):
        desired_state(rollout(), "deb", {}, SharedOutputs())


def test_routes_are_plain_stacks_of_the_network_account() -> None:
    made_phase = phase([NETWORK, ROUTES], shared=JOINED)
    assert made_phase.plain["routes"].account == "999999999999"
    assert made_phase.plain["routes"].parameters[Target(TWO, FAR)] == {
        "EnvironmentSuffix": "dev",
        "MigrationPhase": "dev",
        "TransitGatewayId": "tgw-far",
    }
    assert made_phase.needs == {"network": frozenset(), "routes": frozenset({"network"})}


def test_routes_are_made_only_where_the_network_hangs_on_the_transit_gateway() -> None:
    plan = {"account_parameters": {TWO: {"Connectivity": "None"}}}
    assert set(phase([NETWORK, ROUTES], plan, shared=JOINED).plain["routes"].parameters) == {
        Target(ONE, NEAR),
        Target(ONE, FAR),
    }


@pytest.mark.parametrize(
    ("shared", "file"),
    [(SharedOutputs(), {}), (JOINED, {"network": None})],
    ids=["no transit gateway", "no network account"],
)
def test_a_phase_without_transit_gateway_has_no_routes_and_nobody_waits_for_them(
    shared: SharedOutputs, file: dict[str, None]
) -> None:
    layers = [NETWORK, ROUTES, made("connectivity", needs=("routes",))]
    made_phase = phase(layers, shared=shared, **file)
    assert made_phase.plain == {}
    assert made_phase.needs["connectivity"] == frozenset()


def test_waves_without_a_word_are_one() -> None:
    assert phase([made("network")]).waves == (Wave("rest", (ONE, TWO)),)


def test_the_file_s_concurrency_becomes_the_operations_preferences() -> None:
    plan = {"concurrency": {"max_concurrent": "25%", "failure_tolerance": 1, "mode": "SOFT", "regions": "PARALLEL"}}
    assert phase([made("network")], plan).preferences == Preferences("25%", "1", ConcurrencyMode.SOFT, True)


def test_self_managed_sets_act_by_the_roles_of_bootstrap_once_they_exist() -> None:
    arn = "arn:aws:iam::888888888888:role/stackferry-administration-dev"
    layers = [made("network")]
    assert phase(layers).permissions == Permissions()
    assert phase(
        layers, shared=SharedOutputs(administration={"AdministrationRoleArn": arn})
    ).permissions == Permissions(administration_role_arn=arn, execution_role_name="stackferry-execution-dev")


UNITS = {"targets": {"organizational_units": ["ou-ab12-cdef3456", "ou-ab12-cdef9999"]}}
MEMBERS = {"ou-ab12-cdef3456": (TWO, THREE), "ou-ab12-cdef9999": (TWO, ONE)}


def test_service_managed_sets_are_aimed_at_units() -> None:
    managed = {"permission_model": "SERVICE_MANAGED", "call_as": "DELEGATED_ADMIN"}
    made_phase = phase([made("network")], UNITS, members=MEMBERS, stacksets=managed)
    assert made_phase.permissions == Permissions(True, "DELEGATED_ADMIN", units=tuple(MEMBERS))
    assert made_phase.waves == (Wave("rest", (TWO, THREE, ONE)),)


def test_self_managed_sets_may_name_units_too() -> None:
    made_phase = phase([made("network")], UNITS, members=MEMBERS)
    assert {target.account for target in made_phase.targets} == {ONE, TWO, THREE}
    assert made_phase.permissions == Permissions()


def test_a_unit_without_accounts_is_refused() -> None:
    with pytest.raises(RolloutFileError, match="no active account in ou-ab12-cdef3456"):
        phase([made("network")], UNITS, members={})


def test_a_canary_outside_of_the_units_is_refused_once_their_accounts_are_known() -> None:
    waves = [{"name": "canary", "accounts": ["444444444444"]}, {"name": "rest", "rest": True}]
    with pytest.raises(
        RolloutFileError, match=r"phases.dev.waves\[0\].accounts\[0\]: account 444444444444 is not a target"
    ):
        phase([made("network")], {**UNITS, "waves": waves}, members=MEMBERS)


def test_tags_and_packages_come_from_the_values() -> None:
    layers = [made("rotation", {"RotationPackageKey": TEXT, "CostCenter": TEXT})]
    made_phase = phase(layers, values={"RotationPackageKey": "rotation/1.zip", "CostCenter": "payments"})
    assert made_phase.packages == ("rotation/1.zip",)
    assert made_phase.tags == {"Environment": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}


def test_two_phases_with_one_suffix_are_refused(tmp_path: Path) -> None:
    for name in ("dev", "prod"):
        text = f'["EnvironmentSuffix=same", "MigrationPhase={name}"]'
        (tmp_path / f"{name}.json").write_text(text, encoding="utf-8")
    plan = {"targets": {"accounts": [ONE]}, "regions": [NEAR]}
    both = {name: {**plan, "environment": f"{name}.json"} for name in ("dev", "prod")}
    file = rollout(phases=both).located(tmp_path / "rollout.yaml")
    with pytest.raises(RolloutFileError, match="phases dev and prod both have EnvironmentSuffix 'same'"):
        desired_state(file, "dev", {"network": made("network")}, SharedOutputs())


def test_a_mistake_in_the_form_of_the_parameter_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "dev.json").write_text('["EnvironmentSuffix=dev",\n"nonsense"]', encoding="utf-8")
    file = rollout().located(tmp_path / "rollout.yaml")
    with pytest.raises(RolloutFileError, match=r'dev.json, line 2: item 2 is not a "Key=Value" string'):
        desired_state(file, "dev", {"network": made("network")}, SharedOutputs())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("Resources: {}", "the template of network is not JSON; build it again with `build-templates`"),
        ("{", "the template of network cannot be used: the template is neither JSON nor YAML: "),
        ("{}", "the template of network cannot be used: the template has no Resources; build it again"),
        (
            '{"Metadata": [], "Resources": {}}',
            "cannot be used: the template's Metadata must be an object; build it again",
        ),
        ('{"Resources": {}}', "the template of network does not say its scope and needs"),
        (
            '{"Metadata": {"Stackferry": []}, "Resources": {}}',
            "the template of network does not say its scope and needs",
        ),
    ],
)
def test_a_template_that_does_not_describe_itself_is_refused(body: str, message: str) -> None:
    with pytest.raises(RolloutError, match=message):
        read_template("network", body)


def test_a_folder_without_templates_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no templates in .*; run `build-templates`"):
        read_templates(tmp_path)
