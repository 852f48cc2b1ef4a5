"""The values of a phase: which source holds, what is an override, and what CloudFormation would refuse."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from builders.errors import RolloutFileError
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.model import Target

from .phases import FAR, NEAR, ONE, TEXT, TWO, made, phase

SIZE = {"Size": {"Type": "String", "Default": "default"}}
PLACES = [Target(account, region) for account in (ONE, TWO) for region in (NEAR, FAR)]
SIZES = st.sampled_from(["small", "large"])


def one_of(*keys: str) -> st.SearchStrategy[dict[str, dict[str, str]]]:
    return st.dictionaries(st.sampled_from(keys), SIZES.map(lambda size: {"Size": size}))


@given(
    environment=st.none() | SIZES,
    artifacts=one_of(NEAR, FAR),
    wide=st.none() | SIZES,
    regions=one_of(NEAR, FAR),
    accounts=one_of(ONE, TWO),
    targets=one_of(*map(str, PLACES)),
)
def test_the_most_specific_source_holds(
    environment: str | None,
    artifacts: dict[str, dict[str, str]],
    wide: str | None,
    regions: dict[str, dict[str, str]],
    accounts: dict[str, dict[str, str]],
    targets: dict[str, dict[str, str]],
) -> None:
    plan: dict[str, Any] = {
        "parameters": {} if wide is None else {"Size": wide},
        "region_parameters": regions,
        "account_parameters": accounts,
        "place_parameters": targets,
    }
    values = {} if environment is None else {"Size": environment}
    layer = phase([made("network", SIZE)], plan, values, shared=SharedOutputs(tooling=artifacts)).sets["network"]
    for target in PLACES:
        candidates = [
            targets.get(str(target), {}).get("Size"),
            accounts.get(target.account, {}).get("Size"),
            regions.get(target.region, {}).get("Size"),
            wide,
            artifacts.get(target.region, {}).get("Size"),
            environment,
            "default",
        ]
        assert layer.values(target)["Size"] == next(size for size in candidates if size is not None)
        assert "Size" not in layer.overrides[target] or layer.overrides[target]["Size"] != layer.parameters["Size"]


def test_the_set_has_the_phase_s_value_and_overrides_what_differs() -> None:
    plan = {"region_parameters": {FAR: {"Size": "large"}}, "account_parameters": {TWO: {"Size": "large"}}}
    layer = phase([made("network", SIZE)], plan, {"Size": "small"}).sets["network"]
    assert layer.parameters["Size"] == "small"
    assert layer.overrides == {
        Target(ONE, NEAR): {},
        Target(ONE, FAR): {"Size": "large"},
        Target(TWO, NEAR): {"Size": "large"},
        Target(TWO, FAR): {"Size": "large"},
    }


def test_without_a_value_of_the_phase_the_set_has_the_most_common_one() -> None:
    plan = {
        "region_parameters": {NEAR: {"Id": "a"}, FAR: {"Id": "b"}},
        "place_parameters": {f"{ONE}/{NEAR}": {"Id": "b"}},
    }
    layer = phase([made("network", {"Id": TEXT})], plan).sets["network"]
    assert layer.parameters["Id"] == "b"
    assert [target for target, own in layer.overrides.items() if own] == [Target(TWO, NEAR)]


def test_of_equally_common_values_the_first_region_s_is_the_set_s() -> None:
    plan = {"region_parameters": {FAR: {"Id": "b"}, NEAR: {"Id": "a"}}}
    assert phase([made("network", {"Id": TEXT})], plan).sets["network"].parameters["Id"] == "a"


def test_only_declared_parameters_are_passed() -> None:
    made_phase = phase([made("network", {"Cidr": TEXT}), made("database", SIZE)], values={"Cidr": "10.0.0.0/16"})
    assert {layer: set(each.parameters) for layer, each in made_phase.sets.items()} == {
        "network": {"EnvironmentSuffix", "MigrationPhase", "Cidr"},
        "database": {"EnvironmentSuffix", "MigrationPhase", "Size"},
    }


@pytest.mark.parametrize(("default", "given"), [(True, "true"), (5432, "5432"), (1.5, "1.5"), ("", "")])
def test_a_default_is_passed_as_the_text_that_cloudformation_makes_of_it(default: object, given: str) -> None:
    layer = made("network", {"Key": {"Type": "String", "Default": default}})
    assert phase([layer]).sets["network"].parameters["Key"] == given


GATEWAYS = {
    "Connectivity": {"Type": "String", "Default": "None"},
    "TransitGatewayId": {"Type": "String", "Default": ""},
    "DirectConnectVirtualInterfaceId": {"Type": "String", "Default": ""},
}
SHARED_NETWORK = SharedOutputs(network={NEAR: {"TransitGatewayId": "tgw-1", "TransitVirtualInterfaceId": "dxvif-1"}})


def test_where_the_shared_network_exists_a_phase_is_connected_to_it_unless_a_file_says_otherwise() -> None:
    layer = phase([made("network", GATEWAYS)], shared=SHARED_NETWORK).sets["network"]
    near, far = layer.values(Target(ONE, NEAR)), layer.values(Target(ONE, FAR))
    assert [near[key] for key in GATEWAYS] == ["TransitGateway", "tgw-1", "dxvif-1"]
    assert [far[key] for key in GATEWAYS] == ["None", "", ""]


@pytest.mark.parametrize("given", ["VirtualPrivateGateway", "None"])
@pytest.mark.parametrize("where", ["rollout file", "environment"])
def test_a_phase_that_wants_another_connectivity_gets_no_ids_of_the_shared_network(given: str, where: str) -> None:
    values = {"Connectivity": given}
    plan, file = ({"parameters": values}, {}) if where == "rollout file" else ({}, values)
    layer = phase([made("network", GATEWAYS)], plan, file, shared=SHARED_NETWORK).sets["network"]
    assert [layer.values(Target(ONE, NEAR))[key] for key in GATEWAYS] == [given, "", ""]


def mistakes(*arguments: Any, **options: Any) -> list[str]:
    with pytest.raises(RolloutFileError) as caught:
        phase(*arguments, **options)
    return str(caught.value).splitlines()


def test_a_parameter_that_no_layer_declares_is_reported_with_the_closest() -> None:
    layers = [made("network", {"VpcCidr": {**TEXT, "Default": "x"}})]
    assert mistakes(layers, {"account_parameters": {TWO: {"VpcCdr": "y"}}}, {"Nonsense": "1"}) == [
        "dev.json, line 4, Nonsense: Nonsense is a parameter of no layer here, so it would be dropped in silence; "
        "remove it",
        "rollout.yaml, phases.dev.account_parameters.222222222222.VpcCdr: VpcCdr is a parameter of no layer "
        "here, so it would be dropped in silence; did you mean VpcCidr?",
    ]


def test_a_parameter_of_the_account_layer_may_be_given_to_a_phase() -> None:
    account = made("account", {"CreateDmsVpcRole": TEXT}, scope="ACCOUNT")
    plan = {"account_parameters": {TWO: {"CreateDmsVpcRole": "false"}}}
    assert "CreateDmsVpcRole" not in phase([made("network"), account], plan).sets["network"].parameters


def test_a_parameter_of_the_tooling_account_is_none_of_a_phase() -> None:
    artifacts = made("artifacts", {"AccessLogsBucket": TEXT}, scope="TOOLING")
    assert mistakes([made("network"), artifacts], {"parameters": {"AccessLogsBucket": "x"}}) == [
        "rollout.yaml, phases.dev.parameters.AccessLogsBucket: AccessLogsBucket is a parameter of no layer here, "
        "so it would be dropped in silence; remove it"
    ]


def test_a_wrong_value_is_reported_once_with_its_source_and_its_layers() -> None:
    port = {"Port": {"Type": "Number", "MinValue": 1150, "Default": 5432}}
    layers = [made("network", port), made("database", port)]
    assert mistakes(layers, {"region_parameters": {FAR: {"Port": "80"}}}, {"Port": "web"}) == [
        "dev.json, line 4, Port: Port='web' is not a number (database, network)",
        "rollout.yaml, phases.dev.region_parameters.eu-west-1.Port: Port='80' is 80, at least 1150 are allowed "
        "(database, network)",
    ]


def test_a_wrong_output_of_a_shared_stack_is_reported() -> None:
    layer = made("network", {"TransitGatewayId": {"Type": "String", "AllowedPattern": "tgw-.*"}})
    shared = SharedOutputs(network={region: {"TransitGatewayId": "nothing"} for region in (NEAR, FAR)})
    assert mistakes([layer], shared=shared)[0] == (
        "outputs of shared_network in us-east-1, TransitGatewayId: TransitGatewayId='nothing' does not match "
        "tgw-.* (network)"
    )


def test_a_parameter_without_a_value_is_reported_with_its_targets() -> None:
    layers = [made("network", {"Id": {**TEXT, "Description": "The prefix list of S3"}}), made("access", {"Id": TEXT})]
    assert mistakes(layers, {"place_parameters": {f"{ONE}/{NEAR}": {"Id": "x"}}}) == [
        "111111111111/eu-west-1, 222222222222/eu-west-1 and 222222222222/us-east-1: Id has no value, and no "
        "default in access, network; give it in dev.json, or in rollout.yaml under phases.dev: The prefix list of S3"
    ]


def test_of_very_many_targets_without_a_value_three_are_named() -> None:
    accounts = [f"{number:012d}" for number in range(1000)]
    (line,) = mistakes([made("network", {"Id": TEXT})], {"targets": {"accounts": accounts}})
    assert line.startswith("000000000000/eu-west-1, 000000000000/us-east-1, 000000000001/eu-west-1 and 1,997 more: Id")


@pytest.mark.parametrize("key", ["EnvironmentSuffix", "MigrationPhase"])
def test_the_names_of_the_phase_are_the_same_everywhere(key: str) -> None:
    (line,) = mistakes([made("network")], {"account_parameters": {ONE: {key: "other"}}})
    assert line.startswith(f"rollout.yaml, phases.dev.account_parameters.{ONE}.{key}: must be the same in the whole")


def test_the_migration_phase_is_the_phase_s_name() -> None:
    (line,) = mistakes([made("network")], {}, {"MigrationPhase": "prod"})
    assert line.startswith("dev.json, line 3, MigrationPhase: is 'prod', but the phase is called 'dev'")


def test_every_region_needs_a_bucket_of_its_own() -> None:
    layer = made("rotation", {"ArtifactsBucket": TEXT})
    shared = SharedOutputs(tooling={NEAR: {"ArtifactsBucket": "near"}})
    assert mistakes([layer], {}, {"ArtifactsBucket": "near"}, shared=shared) == [
        "eu-west-1: the tooling account has no bucket for packages there; run `rollout-stacksets bootstrap`"
    ]


RULES = {
    "Exclusive": {
        "RuleCondition": {"Fn::Equals": [{"Ref": "Connectivity"}, "None"]},
        "Assertions": [
            {
                "Assert": {"Fn::Equals": [{"Ref": "TransitGatewayId"}, ""]},
                "AssertDescription": "Connectivity None takes no TransitGatewayId",
            }
        ],
    }
}


def test_a_rule_that_does_not_hold_is_reported_with_its_targets_and_where_the_values_come_from() -> None:
    layer = made("network", GATEWAYS, rules=RULES)
    plan = {"account_parameters": {TWO: {"TransitGatewayId": "tgw-1"}}}
    assert mistakes([layer], plan, {"Connectivity": "None"}) == [
        "222222222222/eu-west-1 and 222222222222/us-east-1, network: Connectivity None takes no TransitGatewayId "
        "(given: Connectivity='None' from dev.json, line 4, Connectivity; TransitGatewayId='tgw-1' from rollout.yaml, "
        "phases.dev.account_parameters.222222222222.TransitGatewayId)"
    ]


def test_what_rds_refuses_of_one_account_s_value_is_reported_before_anything_is_deployed() -> None:
    instance = {"AllocatedStorage": {"Ref": "SizeGiB"}, "MaxAllocatedStorage": {"Ref": "MostGiB"}}
    layer = made(
        "database",
        {"SizeGiB": {"Type": "Number", "Default": 100}, "MostGiB": {"Type": "Number", "Default": 1000}},
        resources={"Database": {"Type": "AWS::RDS::DBInstance", "Properties": instance}},
    )
    assert mistakes([layer], {"account_parameters": {TWO: {"MostGiB": "109"}}}) == [
        "222222222222/eu-west-1 and 222222222222/us-east-1, database: The maximum allocated storage must be increased "
        "by at least 10 percent. (given: MostGiB='109' from rollout.yaml, "
        "phases.dev.account_parameters.222222222222.MostGiB)"
    ]


def test_equal_overrides_of_many_accounts_are_one_object() -> None:
    accounts = [f"{number:012d}" for number in range(2000)]
    plan = {
        "targets": {"accounts": accounts},
        "region_parameters": {FAR: {"Size": "large"}},
        "account_parameters": {account: {"Size": "large"} for account in accounts[:1000]},
    }
    layer = phase([made("network", SIZE)], plan, {"Size": "small"}).sets["network"]
    assert sorted({id(own): own["Size"] for own in layer.overrides.values() if own}.values()) == ["large"]


def test_the_same_inputs_give_the_same_state_in_the_same_order() -> None:
    plan = {"region_parameters": {FAR: {"Size": "large"}}, "account_parameters": {TWO: {"Size": "small"}}}
    layers = [made("network", SIZE), made("database", SIZE, needs=("network",))]
    assert repr(phase(layers, plan)) == repr(phase(layers[::-1], plan))


def test_the_rules_of_the_phase_s_routes_are_judged_before_anything_is_made() -> None:
    """The attachment is an output that comes while rolling out: rules over it are judged with a name in its place."""

    def another(one: str, other: str) -> dict[str, Any]:
        unequal = {"Fn::Not": [{"Fn::Equals": [{"Ref": one}, {"Ref": other}]}]}
        return {"Assertions": [{"Assert": unequal, "AssertDescription": f"{one} and {other} are the same"}]}

    ids = {key: {**TEXT, "Default": ""} for key in ("TableId1", "TableId2")}
    rules = {"Tables": another("TableId1", "TableId2"), "Own": another("TableId1", "DirectConnectAttachmentId")}
    network = made("network", GATEWAYS, outputs=("DirectConnectAttachmentId",))
    routes = made(
        "phase_routes",
        {**ids, "DirectConnectAttachmentId": TEXT},
        scope="NETWORK_PER_PHASE",
        needs=("network",),
        rules=rules,
    )
    apart = phase([network, routes], values={"TableId1": "rtb-1", "TableId2": "rtb-2"}, shared=SHARED_NETWORK)
    assert set(apart.plain) == {"phase_routes"}
    assert mistakes([network, routes], values={"TableId1": "rtb-1", "TableId2": "rtb-1"}, shared=SHARED_NETWORK) == [
        f"{ONE}/{NEAR} and {TWO}/{NEAR}, phase_routes: TableId1 and TableId2 are the same "
        "(given: TableId1='rtb-1' from dev.json, line 4, TableId1; TableId2='rtb-1' from dev.json, line 5, TableId2)"
    ]
