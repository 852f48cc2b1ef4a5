"""The shared network: who may attach, that nothing attached reaches anything by itself, and the way to on-premises."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from builders.evaluate import Evaluated, evaluate

Deploy = Callable[..., Evaluated]

MEMBER, SECOND_MEMBER, MANAGEMENT = "2" * 12, "3" * 12, "4" * 12
ORGANIZATION = f"arn:aws:organizations::{MANAGEMENT}:organization/o-a1b2c3d4e5"
UNIT = f"arn:aws:organizations::{MANAGEMENT}:ou/o-a1b2c3d4e5/ou-ab12-cd34ef56"
GIVEN = {
    "EnvironmentSuffix": "network",
    "MigrationPhase": "network",
    "CostCenter": "payments",
    "SharePrincipals": MEMBER,
    "AllowedPrefixes": "10.20.0.0/16,10.21.0.0/16",
}
OWN_GATEWAY = {"CreateDirectConnectGateway": "false", "AllowedPrefixes": ""}
CONNECTION = {"DirectConnectConnectionId": "dxcon-fg1a2b3c", "VirtualInterfaceVlan": "899", "OnPremisesAsn": "65020"}
ADDRESSES = {"OnPremisesPeerCidr": "169.254.0.1/30", "AmazonPeerCidr": "169.254.0.2/30"}
ATTACHMENT = {"DirectConnectGatewayAttachmentId": "tgw-attach-0123456789abcdef0"}


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("shared_network"), GIVEN | chosen)


@pytest.fixture
def takes(template: Callable[[str], dict[str, Any]]) -> Callable[[str, str], bool]:
    """True where a parameter's pattern takes a value."""
    parameters = template("shared_network")["Parameters"]
    return lambda name, value: re.fullmatch(parameters[name]["AllowedPattern"], value) is not None


@pytest.fixture
def transit_gateway(deploy: Deploy) -> dict[str, Any]:
    found: dict[str, Any] = deploy().resources["TransitGateway"]["Properties"]
    return found


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("shared_network")


# The transit gateway and who shares it


def test_what_is_attached_reaches_nothing_by_itself(transit_gateway: dict[str, Any]) -> None:
    defaults = {key: transit_gateway[key] for key in ("DefaultRouteTableAssociation", "DefaultRouteTablePropagation")}
    assert defaults == {"DefaultRouteTableAssociation": "disable", "DefaultRouteTablePropagation": "disable"}


def test_a_phase_s_attachment_is_accepted_without_a_person(transit_gateway: dict[str, Any]) -> None:
    assert transit_gateway["AutoAcceptSharedAttachments"] == "enable"


@pytest.mark.parametrize(
    ("given", "principals"),
    [
        (f"{MEMBER},{SECOND_MEMBER}", [MEMBER, SECOND_MEMBER]),
        (ORGANIZATION, [ORGANIZATION]),
        (f"{UNIT}, {MEMBER}", [UNIT, MEMBER]),
    ],
)
def test_the_transit_gateway_is_shared_with_accounts_an_organization_or_units(
    deploy: Deploy, takes: Callable[[str, str], bool], given: str, principals: list[str]
) -> None:
    share = deploy(SharePrincipals=given).resources["TransitGatewayShare"]["Properties"]
    assert (share["Principals"], share["ResourceArns"]) == (principals, ["${TransitGateway.TransitGatewayArn}"])
    assert all(takes("SharePrincipals", principal) for principal in principals)


@pytest.mark.parametrize("principal", ["", "*", "12345", f"arn:aws:iam::{MEMBER}:root", "o-a1b2c3d4e5"])
def test_nobody_else_can_be_named(takes: Callable[[str, str], bool], principal: str) -> None:
    assert not takes("SharePrincipals", principal)


@pytest.mark.parametrize("outside", ["false", "true"])
def test_accounts_outside_the_organization_need_a_word(deploy: Deploy, outside: str) -> None:
    share = deploy(ShareOutsideOrganization=outside).resources["TransitGatewayShare"]
    assert share["Properties"]["AllowExternalPrincipals"] == outside


def test_the_organization_is_the_border_unless_told_otherwise(deploy: Deploy) -> None:
    share = deploy().resources["TransitGatewayShare"]
    assert share["Properties"]["AllowExternalPrincipals"] == "false"


# ASNs


def test_the_two_gateways_have_different_asns_by_default(deploy: Deploy) -> None:
    resources = deploy().resources
    asns = [resources[title]["Properties"]["AmazonSideAsn"] for title in ("TransitGateway", "DirectConnectGateway")]
    assert asns == ["64512", "64513"]


@pytest.mark.parametrize("asn", ["64512", "65000", "4200000001"])
def test_equal_asns_are_refused(deploy: Deploy, asn: str) -> None:
    assert deploy(TransitGatewayAsn=asn, DirectConnectGatewayAsn=asn).failed_rules == (
        "TransitGatewayAsn and DirectConnectGatewayAsn must differ, or the two gateways cannot be associated",
    )


@pytest.mark.parametrize(
    ("asn", "is_private"),
    [
        ("64511", False),
        ("64512", True),
        ("65534", True),
        ("65535", False),
        ("4199999999", False),
        ("4200000000", True),
        ("4289999999", True),
        ("4290000000", True),
        ("4294967199", True),
        ("4294967294", True),
        ("4294967295", False),
        ("4299999999", False),
        ("064512", False),
    ],
)
@pytest.mark.parametrize("name", ["TransitGatewayAsn", "DirectConnectGatewayAsn"])
def test_an_asn_is_a_private_one(takes: Callable[[str, str], bool], name: str, asn: str, is_private: bool) -> None:
    assert takes(name, asn) is is_private


@pytest.mark.parametrize(
    ("asn", "is_one"),
    [
        ("", True),
        ("0", False),
        ("1", True),
        ("65010", True),
        ("999999999", True),
        ("3999999999", True),
        ("4199999999", True),
        ("4294967294", True),
        ("4294967295", False),
        ("9999999999", False),
    ],
)
def test_the_asn_of_on_premises_has_up_to_32_bits(takes: Callable[[str, str], bool], asn: str, is_one: bool) -> None:
    assert takes("OnPremisesAsn", asn) is is_one


# Direct Connect


def test_the_gateways_are_associated_and_on_premises_learns_the_prefixes(deploy: Deploy) -> None:
    assert deploy().resources["DirectConnectGatewayAssociation"]["Properties"] == {
        "AssociatedGatewayId": "${TransitGateway}",
        "DirectConnectGatewayId": "${DirectConnectGateway.DirectConnectGatewayId}",
        "AllowedPrefixesToDirectConnectGateway": ["10.20.0.0/16", "10.21.0.0/16"],
    }


def test_who_brings_a_direct_connect_gateway_gets_nothing_of_direct_connect(deploy: Deploy) -> None:
    deployed = deploy(**OWN_GATEWAY)
    kinds = {body["Type"] for body in deployed.resources.values()}
    assert {kind for kind in kinds if kind.startswith("AWS::DirectConnect")} == set()
    assert deployed.outputs.keys() == {"TransitGatewayId", "OnPremisesRouteTableId"}
    assert deployed.failed_rules == ()


def test_a_gateway_without_prefixes_is_refused(deploy: Deploy) -> None:
    assert deploy(AllowedPrefixes="").failed_rules == (
        "CreateDirectConnectGateway=true needs AllowedPrefixes, or on-premises gets no route to any phase",
    )


def test_prefixes_without_a_gateway_are_refused(deploy: Deploy) -> None:
    assert deploy(CreateDirectConnectGateway="false").failed_rules == (
        "AllowedPrefixes belong to the association with our Direct Connect gateway; leave them empty with "
        "CreateDirectConnectGateway=false",
    )


@pytest.mark.parametrize("prefixes", ["0.0.0.0/0", "10.20.0.0", "10.20.0.0/16, 10.21.0.0/16", "10.20.0.0/16,"])
def test_prefixes_are_ranges_joined_by_commas(takes: Callable[[str, str], bool], prefixes: str) -> None:
    assert not takes("AllowedPrefixes", prefixes)


# The virtual interface


def test_without_a_connection_there_is_no_virtual_interface(deploy: Deploy) -> None:
    deployed = deploy()
    assert "TransitVirtualInterface" not in deployed.resources
    assert "TransitVirtualInterfaceId" not in deployed.outputs


@pytest.mark.parametrize("connection", ["dxcon-fg1a2b3c", "dxlag-fg1a2b3c"])
def test_a_virtual_interface_runs_over_the_given_connection(deploy: Deploy, connection: str) -> None:
    deployed = deploy(**CONNECTION | {"DirectConnectConnectionId": connection})
    properties = deployed.resources["TransitVirtualInterface"]["Properties"]
    assert {key: properties[key] for key in ("ConnectionId", "DirectConnectGatewayId", "Vlan", "BgpPeers")} == {
        "ConnectionId": connection,
        "DirectConnectGatewayId": "${DirectConnectGateway.DirectConnectGatewayId}",
        "Vlan": "899",
        "BgpPeers": [{"AddressFamily": "ipv4", "Asn": "65020"}],
    }
    assert deployed.outputs["TransitVirtualInterfaceId"] == "${TransitVirtualInterface.VirtualInterfaceId}"
    assert deployed.failed_rules == ()


def test_the_addresses_of_the_session_may_be_given(deploy: Deploy) -> None:
    (peer,) = deploy(**CONNECTION, **ADDRESSES).resources["TransitVirtualInterface"]["Properties"]["BgpPeers"]
    assert (peer["CustomerAddress"], peer["AmazonAddress"]) == ("169.254.0.1/30", "169.254.0.2/30")


def test_the_key_of_the_session_is_left_to_aws(template: Callable[[str], dict[str, Any]]) -> None:
    """A secret is never a parameter; AWS makes a key where none is given."""
    assert "AuthKey" not in str(template("shared_network"))


@pytest.mark.parametrize(
    "chosen",
    [
        CONNECTION | {"VirtualInterfaceVlan": ""},
        CONNECTION | {"OnPremisesAsn": ""},
        CONNECTION | OWN_GATEWAY,
    ],
)
def test_a_connection_needs_its_session_and_our_gateway(deploy: Deploy, chosen: dict[str, str]) -> None:
    assert deploy(**{"AllowedPrefixes": ""} | chosen).failed_rules[-1:] == (
        "DirectConnectConnectionId needs VirtualInterfaceVlan, OnPremisesAsn and CreateDirectConnectGateway=true",
    )


@pytest.mark.parametrize("chosen", [{"VirtualInterfaceVlan": "899"}, {"OnPremisesAsn": "65020"}, ADDRESSES])
def test_a_session_without_a_connection_is_refused(deploy: Deploy, chosen: dict[str, str]) -> None:
    assert deploy(**chosen).failed_rules == (
        "Without DirectConnectConnectionId there is no virtual interface: leave VirtualInterfaceVlan, OnPremisesAsn, "
        "OnPremisesPeerCidr and AmazonPeerCidr empty",
    )


@pytest.mark.parametrize("address", ["OnPremisesPeerCidr", "AmazonPeerCidr"])
def test_one_address_without_the_other_is_refused(deploy: Deploy, address: str) -> None:
    assert deploy(**CONNECTION, **{address: ADDRESSES[address]}).failed_rules == (
        "Give OnPremisesPeerCidr and AmazonPeerCidr both, or neither, and AWS chooses them",
    )


@pytest.mark.parametrize(("vlan", "is_taken"), [("0", False), ("1", True), ("4094", True), ("4095", False)])
def test_a_vlan_is_one_that_the_connection_can_carry(
    takes: Callable[[str, str], bool], vlan: str, is_taken: bool
) -> None:
    assert takes("VirtualInterfaceVlan", vlan) is is_taken


# The route table of on-premises


@pytest.mark.parametrize(
    ("chosen", "associated"), [({}, []), (ATTACHMENT, [("tgw-attach-0123456789abcdef0", "${OnPremisesRouteTable}")])]
)
def test_on_premises_uses_its_own_table_once_its_attachment_is_known(
    deploy: Deploy, chosen: dict[str, str], associated: list[tuple[str, str]]
) -> None:
    made = deploy(**chosen).resources.values()
    properties = [
        body["Properties"] for body in made if body["Type"] == "AWS::EC2::TransitGatewayRouteTableAssociation"
    ]
    assert [(item["TransitGatewayAttachmentId"], item["TransitGatewayRouteTableId"]) for item in properties] == (
        associated
    )


def test_phases_find_the_gateway_and_the_table_of_on_premises(deploy: Deploy) -> None:
    assert deploy().outputs == {
        "TransitGatewayId": "${TransitGateway}",
        "OnPremisesRouteTableId": "${OnPremisesRouteTable}",
        "SharedDirectConnectGatewayId": "${DirectConnectGateway.DirectConnectGatewayId}",
    }
    assert deploy(**ATTACHMENT).outputs == {**deploy().outputs, **ATTACHMENT}
