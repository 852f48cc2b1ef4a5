"""The layer of clients: only who is given gets in, to the database's port and nowhere else, and is answered."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from builders import catalog
from builders.evaluate import EXAMPLE_ACCOUNT, Evaluated, evaluate
from builders.layers import clients

Deploy = Callable[..., Evaluated]

GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
TRANSIT_GATEWAY = {"Connectivity": "TransitGateway", "TransitGatewayId": "tgw-0123456789abcdef0"}
PRIVATE_GATEWAY = {"Connectivity": "VirtualPrivateGateway"}
RANGES = [f"{kind}Cidr{number}" for kind, count in clients.RANGES.items() for number in range(1, count + 1)]
GROUPS = [f"{kind}SecurityGroupId{number}" for kind, count in clients.GROUPS.items() for number in range(1, count + 1)]
ROUTED = [slot.replace("Cidr", "Route") for slot in RANGES]
GROUP = "sg-0123456789abcdef0"

EXPORTS = {
    "network-DatabaseSecurityGroupId-dev": "sg-database",
    "network-PrivateNetworkAclId-dev": "acl-private",
    "network-PrivateRouteTableIds-dev": "rtb-private",
}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("clients"), GIVEN | chosen, imports=EXPORTS)


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("clients")


# Nobody, and nobody else


@pytest.mark.parametrize("options", [{}, TRANSIT_GATEWAY, PRIVATE_GATEWAY])
def test_empty_means_nobody(deploy: Deploy, options: dict[str, str]) -> None:
    layer = deploy(**options)
    assert list(layer.resources) == ["Placeholder"]
    assert layer.failed_rules == ()


def test_nothing_that_a_parameter_says_changes_the_placeholder_which_cannot_be_updated(
    template: Callable[[str], dict[str, Any]],
) -> None:
    assert template("clients")["Resources"]["Placeholder"] == {"Type": "AWS::CloudFormation::WaitConditionHandle"}


@pytest.mark.parametrize("slot", [RANGES[0], GROUPS[0]])
def test_a_rule_which_can_have_no_tags_says_whose_it_is_in_its_metadata(deploy: Deploy, slot: str) -> None:
    layer = deploy(**TRANSIT_GATEWAY, **{slot: "10.9.0.0/24" if slot in RANGES else GROUP})
    (rule,) = (body for body in layer.resources.values() if body["Type"] == "AWS::EC2::SecurityGroupIngress")
    assert rule["Metadata"]["Tags"]["CostCenter"] == "payments"


@pytest.mark.parametrize("port", ["1150", "6432"])
@pytest.mark.parametrize("slot", RANGES)
def test_a_range_gets_a_rule_and_an_answer_for_the_database_s_port_alone(deploy: Deploy, slot: str, port: str) -> None:
    layer = deploy(**TRANSIT_GATEWAY, **{slot: "10.9.0.0/24"}, DatabasePort=port)
    layer.resources.pop("Placeholder")
    rule, answers = sorted(layer.resources.values(), key=lambda body: body["Type"], reverse=True)
    assert rule["Type"] == "AWS::EC2::SecurityGroupIngress"
    described = rule["Properties"].pop("Description")
    assert re.fullmatch(r"(Application|Operator) range \d", described)
    assert rule["Properties"] == {
        "GroupId": "sg-database",
        "CidrIp": "10.9.0.0/24",
        "IpProtocol": "tcp",
        "FromPort": port,
        "ToPort": port,
    }
    assert answers["Type"] == "AWS::EC2::NetworkAclEntry"
    number = answers["Properties"].pop("RuleNumber")
    assert clients.FIRST_RULE_NUMBER <= number < clients.FIRST_RULE_NUMBER + len(RANGES)
    assert answers["Properties"] == {
        "NetworkAclId": "acl-private",
        "RuleAction": "allow",
        "Egress": True,
        "Protocol": 6,
        "CidrBlock": "10.9.0.0/24",
        "PortRange": {"From": 1024, "To": 65535},
    }
    assert layer.failed_rules == ()


@pytest.mark.parametrize(
    ("value", "owner", "group"),
    [(GROUP, EXAMPLE_ACCOUNT, GROUP), (f"{'9' * 12}/{GROUP}", "9" * 12, GROUP)],
    ids=["of this account", "of another account"],
)
@pytest.mark.parametrize("slot", GROUPS)
def test_a_group_gets_a_rule_for_the_database_s_port_and_needs_no_more(
    deploy: Deploy, slot: str, value: str, owner: str, group: str
) -> None:
    layer = deploy(**{slot: value})
    layer.resources.pop("Placeholder")
    (rule,) = layer.resources.values()
    rule["Properties"].pop("Description")
    assert rule["Properties"] == {
        "GroupId": "sg-database",
        "SourceSecurityGroupId": group,
        "SourceSecurityGroupOwnerId": owner,
        "IpProtocol": "tcp",
        "FromPort": "5432",
        "ToPort": "5432",
    }
    assert layer.failed_rules == ()


def test_the_network_acl_stays_within_the_default_quota_and_the_numbers_of_network_stay_its_own(
    template: Callable[[str], dict[str, Any]],
) -> None:
    bodies = [
        body["Properties"]
        for layer in ("network", "clients")
        for body in template(layer)["Resources"].values()
        if body["Type"] == "AWS::EC2::NetworkAclEntry"
        and "TransitGateway" not in str(body["Properties"]["NetworkAclId"])
    ]
    for egress in (True, False):
        numbers = [body["RuleNumber"] for body in bodies if body["Egress"] is egress]
        # VPC user guide, "Amazon VPC quotas", rules per network ACL.
        assert len(numbers) == len(set(numbers)) <= 20


# Routes


@pytest.mark.parametrize("slot", RANGES)
def test_a_range_outside_on_premises_gets_one_route_over_the_transit_gateway(deploy: Deploy, slot: str) -> None:
    layer = deploy(**TRANSIT_GATEWAY, **{slot: "10.9.0.0/24", slot.replace("Cidr", "Route"): "true"})
    (route,) = [body["Properties"] for body in layer.resources.values() if body["Type"] == "AWS::EC2::Route"]
    assert route == {
        "RouteTableId": "rtb-private",
        "DestinationCidrBlock": "10.9.0.0/24",
        "TransitGatewayId": TRANSIT_GATEWAY["TransitGatewayId"],
    }
    assert layer.failed_rules == ()


def test_a_private_gateway_teaches_the_table_its_routes_itself(deploy: Deploy) -> None:
    layer = deploy(**PRIVATE_GATEWAY, **{RANGES[0]: "10.9.0.0/24", ROUTED[0]: "true"})
    assert "AWS::EC2::Route" not in {body["Type"] for body in layer.resources.values()}
    assert layer.failed_rules == ()


def test_nothing_is_imported_that_a_change_of_the_gateway_would_change() -> None:
    """An export in use cannot change, and one behind a condition may count as used."""
    imported = {export.name for export in catalog.load("clients").build().imports}
    assert imported == {"DatabaseSecurityGroupId", "PrivateNetworkAclId", "PrivateRouteTableIds"}


# Order


def test_clients_come_after_the_network_and_the_database() -> None:
    layers = [catalog.load(name) for name in catalog.layer_names()]
    needed = catalog.needs({layer.name: layer.build() for layer in layers}, layers)
    assert needed["clients"] == {"network", "database"}


# Rules and patterns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ApplicationCidr1": "10.9.0.0/24"}, "Connectivity None reaches no client outside the VPC"),
        ({"OperatorCidr2": "10.9.0.0/24"}, "Connectivity None reaches no client outside the VPC"),
        (TRANSIT_GATEWAY | {"ApplicationRoute4": "true"}, "ApplicationRoute4 is true, and ApplicationCidr4 is empty"),
        (TRANSIT_GATEWAY | {"OperatorRoute1": "true"}, "OperatorRoute1 is true, and OperatorCidr1 is empty"),
        (
            TRANSIT_GATEWAY | {"ApplicationCidr2": "10.9.0.0/24", "OperatorCidr2": "10.9.0.0/24"},
            "ApplicationCidr2 is given again in ApplicationCidr3",
        ),
        (
            TRANSIT_GATEWAY | {"OperatorCidr1": "10.9.0.0/24", "OperatorCidr2": "10.9.0.0/24"},
            "OperatorCidr1 is given again in OperatorCidr2",
        ),
        (
            {"ApplicationSecurityGroupId1": GROUP, "OperatorSecurityGroupId1": GROUP},
            "ApplicationSecurityGroupId1 is given again",
        ),
    ],
)
def test_parameters_that_contradict_each_other_are_refused_in_words(
    deploy: Deploy, options: dict[str, str], message: str
) -> None:
    (sentence,) = deploy(**options).failed_rules
    assert message in sentence


@pytest.mark.parametrize("slot", RANGES)
@pytest.mark.parametrize(
    ("cidr", "is_taken"),
    [
        ("", True),
        ("10.9.0.0/16", True),
        ("10.9.0.4/32", True),
        ("10.8.0.0/15", False),
        ("10.0.0.0/8", False),
        ("0.0.0.0/0", False),
        ("10.9.0.0", False),
        ("10.9.0/24", False),
        ("10.9.0.0/16,10.10.0.0/16", False),
    ],
)
def test_a_range_that_is_none_or_too_wide_to_be_a_client_is_refused(
    template: Callable[[str], dict[str, Any]], slot: str, cidr: str, is_taken: bool
) -> None:
    parameter = template("clients")["Parameters"][slot]
    assert bool(re.match(parameter["AllowedPattern"], cidr)) is is_taken
    assert parameter["ConstraintDescription"] == "an IPv4 range such as 10.0.0.0/16, from /16 to /32, or empty"


@pytest.mark.parametrize("slot", GROUPS)
@pytest.mark.parametrize(
    ("value", "is_taken"),
    [
        ("", True),
        (GROUP, True),
        (f"{'1' * 12}/{GROUP}", True),
        (f"{'1' * 11}/{GROUP}", False),
        (f"/{GROUP}", False),
        ("sg-x", False),
        ("vpc-0123456789abcdef0", False),
    ],
)
def test_a_group_is_an_id_and_may_name_the_account_that_owns_it(
    template: Callable[[str], dict[str, Any]], slot: str, value: str, is_taken: bool
) -> None:
    assert bool(re.match(template("clients")["Parameters"][slot]["AllowedPattern"], value)) is is_taken
