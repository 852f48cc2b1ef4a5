"""The routes of three phases at one transit gateway: each reaches on-premises and no phase reaches another."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from builders.evaluate import Evaluated, evaluate

Template = Callable[[str], dict[str, Any]]

GATEWAY, ON_PREMISES_TABLE = "tgw-0123456789abcdef0", "tgw-rtb-0123456789abcdef0"
ON_PREMISES = "tgw-attach-0000000000000000f"
PHASES = {
    "dev": "tgw-attach-00000000000000001",
    "staging": "tgw-attach-00000000000000002",
    "prod": "tgw-attach-00000000000000003",
}
ASSOCIATION = "AWS::EC2::TransitGatewayRouteTableAssociation"
PROPAGATION = "AWS::EC2::TransitGatewayRouteTablePropagation"
ROUTE = "AWS::EC2::TransitGatewayRoute"


def deployed(built: Mapping[str, Any], phase: str, on_premises: str = ON_PREMISES, **chosen: str) -> Evaluated:
    """The layer as one phase deploys it, its resources' names apart from those of the other phases."""
    given = {
        "EnvironmentSuffix": phase,
        "MigrationPhase": phase,
        "CostCenter": "payments",
        "TransitGatewayId": GATEWAY,
        "DirectConnectAttachmentId": PHASES[phase],
        "OnPremisesRouteTableId": ON_PREMISES_TABLE,
        "DirectConnectGatewayAttachmentId": on_premises,
    }
    return evaluate(built, given | chosen, namespace=phase)


def pairs(stacks: Iterable[Evaluated], *types: str) -> set[tuple[str, str]]:
    """Attachment and route table of every resource of these types."""
    return {
        (body["Properties"]["TransitGatewayAttachmentId"], body["Properties"]["TransitGatewayRouteTableId"])
        for stack in stacks
        for body in stack.resources.values()
        if body["Type"] in types
    }


def reached_from(attachment: str, stacks: list[Evaluated]) -> set[str]:
    """Where a packet that enters by an attachment can leave: by those that are routed to in the table it uses."""
    tables = {table for owner, table in pairs(stacks, ASSOCIATION) if owner == attachment}
    return {target for target, table in pairs(stacks, PROPAGATION, ROUTE) if table in tables} - {attachment}


@pytest.fixture
def shared(template: Template) -> Evaluated:
    """The shared network, its table of on-premises associated and under the id that the phases were given."""
    given = {
        "EnvironmentSuffix": "network",
        "MigrationPhase": "network",
        "CostCenter": "payments",
        "SharePrincipals": "2" * 12,
        "AllowedPrefixes": "10.20.0.0/14",
        "DirectConnectGatewayAttachmentId": ON_PREMISES,
    }
    text = json.dumps(evaluate(template("shared_network"), given).resources)
    return Evaluated(json.loads(text.replace("${OnPremisesRouteTable}", ON_PREMISES_TABLE)), {}, {}, {}, ())


@pytest.fixture
def three_phases(template: Template, shared: Evaluated) -> list[Evaluated]:
    return [shared, *(deployed(template("phase_routes"), phase) for phase in PHASES)]


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("phase_routes")


CLIENT, CLIENT_TABLE = "tgw-attach-0000000000000000c", "tgw-rtb-0000000000000000c"


def test_a_client_s_vpc_and_its_phase_reach_each_other_and_no_other_phase(
    template: Template, shared: Evaluated
) -> None:
    """The client's attachment uses a table of its own account's making."""
    given = {"dev": {"ClientAttachmentId1": CLIENT, "ClientRouteTableId2": CLIENT_TABLE}}
    phases = [deployed(template("phase_routes"), phase, **given.get(phase, {})) for phase in PHASES]
    ids = {"TransitGatewayAttachmentId": CLIENT, "TransitGatewayRouteTableId": CLIENT_TABLE}
    association = {"Type": ASSOCIATION, "Properties": ids}
    stacks = [shared, *phases, Evaluated({"ClientAssociation": association}, {}, {}, {}, ())]
    assert reached_from(CLIENT, stacks) == {PHASES["dev"]}
    assert reached_from(PHASES["dev"], stacks) == {ON_PREMISES, CLIENT}
    assert reached_from(PHASES["prod"], stacks) == {ON_PREMISES}


def test_without_clients_there_is_no_propagation_of_theirs(template: Template) -> None:
    assert not [name for name in deployed(template("phase_routes"), "dev").resources if "Client" in name]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"ClientAttachmentId1": PHASES["dev"]}, "is the phase's own attachment"),
        ({"ClientAttachmentId2": PHASES["dev"]}, "is the phase's own attachment"),
        ({"ClientRouteTableId1": ON_PREMISES_TABLE}, "is the route table of on-premises"),
        ({"ClientAttachmentId1": CLIENT, "ClientAttachmentId2": CLIENT}, "are the same"),
        ({"ClientRouteTableId1": CLIENT_TABLE, "ClientRouteTableId2": CLIENT_TABLE}, "are the same"),
    ],
)
def test_what_is_known_already_or_twice_is_refused_in_words(
    template: Template, chosen: dict[str, str], message: str
) -> None:
    (sentence,) = deployed(template("phase_routes"), "dev", **chosen).failed_rules
    assert message in sentence


def test_two_clients_are_taken(template: Template) -> None:
    two = {"ClientAttachmentId1": CLIENT, "ClientAttachmentId2": f"{CLIENT[:-1]}d", "ClientRouteTableId1": CLIENT_TABLE}
    layer = deployed(template("phase_routes"), "dev", **two)
    assert layer.failed_rules == ()
    assert {name for name in layer.resources if "Client" in name} == {
        "ClientPropagation1",
        "ClientPropagation2",
        "PhaseToClientPropagation1",
    }


@pytest.mark.parametrize("phase", PHASES)
def test_no_route_leads_from_one_phase_to_another(three_phases: list[Evaluated], phase: str) -> None:
    assert reached_from(PHASES[phase], three_phases) == {ON_PREMISES}


def test_on_premises_reaches_every_phase(three_phases: list[Evaluated]) -> None:
    assert reached_from(ON_PREMISES, three_phases) == set(PHASES.values())


def test_every_phase_has_a_table_of_its_own(three_phases: list[Evaluated]) -> None:
    used = dict(pairs(three_phases, ASSOCIATION))
    assert {used[attachment] for attachment in PHASES.values()} == {f"${{{phase}/PhaseRouteTable}}" for phase in PHASES}


def test_an_attachment_uses_one_table_or_the_gateway_would_refuse_it(three_phases: list[Evaluated]) -> None:
    attachments = sorted(attachment for attachment, _ in pairs(three_phases, ASSOCIATION))
    assert attachments == sorted({*PHASES.values(), ON_PREMISES})


@pytest.mark.parametrize(
    ("title", "key", "value"),
    [
        ("PhaseAssociation", "TransitGatewayRouteTableId", {"Ref": "OnPremisesRouteTableId"}),
        ("OnPremisesPropagation", "TransitGatewayAttachmentId", PHASES["prod"]),
    ],
)
def test_a_table_that_phases_share_or_a_foreign_propagation_would_be_seen(
    template: Template, shared: Evaluated, title: str, key: str, value: Any
) -> None:
    """The proof above would notice these mistakes."""
    mistaken = template("phase_routes")
    mistaken["Resources"][title]["Properties"][key] = value
    stacks = [shared, *(deployed(mistaken, phase) for phase in PHASES)]
    assert PHASES["prod"] in reached_from(PHASES["dev"], stacks)


def test_the_first_deployment_goes_without_the_attachment_of_direct_connect(template: Template) -> None:
    first = deployed(template("phase_routes"), "dev", on_premises="")
    assert reached_from(PHASES["dev"], [first]) == set()
    assert (PHASES["dev"], ON_PREMISES_TABLE) in pairs([first], PROPAGATION)


def test_a_phase_s_own_range_stays_out_of_a_wider_one_that_on_premises_announces(
    three_phases: list[Evaluated],
) -> None:
    assert (PHASES["dev"], "${dev/PhaseRouteTable}") in pairs(three_phases, PROPAGATION)


@pytest.mark.parametrize(
    ("parameter", "layer"),
    [
        ("TransitGatewayId", "shared_network"),
        ("OnPremisesRouteTableId", "shared_network"),
        ("DirectConnectAttachmentId", "network"),
    ],
)
def test_what_another_stack_puts_out_is_taken_under_the_same_name_and_has_no_default(
    template: Template, parameter: str, layer: str
) -> None:
    assert parameter in template(layer)["Outputs"]
    assert "Default" not in template("phase_routes")["Parameters"][parameter]


def test_the_network_account_finds_the_table_of_the_phase(template: Template) -> None:
    assert deployed(template("phase_routes"), "dev").outputs == {"PhaseRouteTableId": "${dev/PhaseRouteTable}"}
