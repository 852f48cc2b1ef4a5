"""The network layer: private, in two or three zones, filtered both ways, joined to on-premises in one way or none."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Any

import pytest

from builders.building.templates import Format, text_of
from builders.evaluate import EXAMPLE_ACCOUNT, Evaluated, evaluate
from builders.naming import TEMPLATE_LIMIT_BYTES

Deploy = Callable[..., Evaluated]
Of = Callable[..., list[dict[str, Any]]]

GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "VpcCidr": "10.20.0.0/16",
    "OnPremisesCidr1": "192.168.0.0/16",
    "S3PrefixListId": "pl-0123abcd",
}
FOUR_RANGES = {
    "OnPremisesCidr2": "172.16.0.0/24",
    "OnPremisesCidr3": "172.16.1.0/24",
    "OnPremisesCidr4": "172.16.2.0/24",
}
TRANSIT_GATEWAY = {"Connectivity": "TransitGateway", "TransitGatewayId": "tgw-0123456789abcdef0"}
PRIVATE_GATEWAY = {
    "Connectivity": "VirtualPrivateGateway",
    "DirectConnectGatewayId": "01234567-89ab-cdef-0123-456789abcdef",
}
NAMES = {"OnPremisesDomainName": "corp.internal", "OnPremisesDnsServer1": "192.168.0.10"}
KEY = "arn:of:the:key"


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Deploy:
    """Evaluates the layer with parameters of one's choice."""

    def evaluated(region: str = "us-east-1", **chosen: str) -> Evaluated:
        imports = {"foundation-KmsKeyArn-dev": KEY}
        return evaluate(template("network"), GIVEN | chosen, imports=imports, region=region)

    return evaluated


@pytest.fixture
def properties_of(deploy: Deploy) -> Of:
    """The properties of all resources of a type, with parameters of one's choice."""

    def found(kind: str, **chosen: str) -> list[dict[str, Any]]:
        return [body["Properties"] for body in deploy(**chosen).resources.values() if body["Type"] == kind]

    return found


@pytest.fixture
def pattern(template: Callable[[str], dict[str, Any]]) -> Callable[[str], re.Pattern[str]]:
    """The pattern of a parameter, by its name."""
    return lambda name: re.compile(template("network")["Parameters"][name]["AllowedPattern"])


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("network")


def test_the_file_fits_into_a_request_without_a_bucket(template: Callable[[str], dict[str, Any]]) -> None:
    assert len(text_of(template("network"), Format.JSON).encode()) <= TEMPLATE_LIMIT_BYTES


# Zones and subnets


@pytest.mark.parametrize(
    ("region", "count", "zones"),
    [
        ("us-east-1", "3", ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ("us-east-1", "2", ["us-east-1a", "us-east-1b"]),
        ("us-west-1", "2", ["us-west-1a", "us-west-1c"]),
    ],
)
def test_each_zone_has_a_subnet_of_its_own(properties_of: Of, region: str, count: str, zones: list[str]) -> None:
    subnets = properties_of("AWS::EC2::Subnet", region=region, ZoneCount=count)
    assert [subnet["AvailabilityZone"] for subnet in subnets] == zones


def ids_of(*zones: str) -> dict[str, str]:
    return {f"ZoneId{number}": zone for number, zone in enumerate(zones, start=1) if zone}


@pytest.mark.parametrize("ids", [("use1-az6", "use1-az2"), ("use1-az6", "use1-az2", "use1-az4")])
def test_zones_that_are_chosen_by_id_are_taken_for_both_kinds_of_subnets(deploy: Deploy, ids: tuple[str, ...]) -> None:
    network = deploy(ZoneCount=str(len(ids)), **ids_of(*ids), **TRANSIT_GATEWAY)
    assert network.failed_rules == ()
    for number, zone in enumerate(ids, start=1):
        private = network.resources[f"PrivateSubnet{number}"]["Properties"]
        assert (private["AvailabilityZoneId"], "AvailabilityZone" in private) == (zone, False)
        gateway = network.resources[f"TransitGatewaySubnet{number}"]["Properties"]
        assert gateway["AvailabilityZone"] == f"${{PrivateSubnet{number}.AvailabilityZone}}"


def test_without_ids_no_subnet_has_one(properties_of: Of) -> None:
    assert not [each for each in properties_of("AWS::EC2::Subnet", **TRANSIT_GATEWAY) if "AvailabilityZoneId" in each]


@pytest.mark.parametrize(
    ("count", "ids"),
    [
        ("3", ("use1-az1",)),
        ("3", ("use1-az1", "use1-az2")),
        ("2", ("use1-az1", "use1-az2", "use1-az4")),
        ("3", ("", "use1-az2", "use1-az4")),
        ("2", ("", "", "use1-az4")),
        ("2", ("use1-az1", "use1-az1")),
        ("3", ("use1-az1", "use1-az2", "use1-az1")),
    ],
)
def test_some_ids_without_the_others_or_one_twice_are_refused(deploy: Deploy, count: str, ids: tuple[str, ...]) -> None:
    assert deploy(ZoneCount=count, **ids_of(*ids)).failed_rules == (
        "Give ZoneId1, ZoneId2 and, where ZoneCount is 3, ZoneId3, each another zone; or leave all of them empty",
    )


@pytest.mark.parametrize(
    ("zone", "is_taken"),
    [("use1-az1", True), ("usgw1-az3", True), ("", True), ("us-east-1a", False), ("use1-az", False)],
)
def test_a_zone_is_chosen_by_its_id_and_not_by_its_name(
    pattern: Callable[[str], re.Pattern[str]], zone: str, is_taken: bool
) -> None:
    assert bool(pattern("ZoneId1").fullmatch(zone)) is is_taken


@pytest.mark.parametrize("count", ["2", "3"])
def test_the_ranges_of_the_first_zones_do_not_move_when_a_third_is_added(properties_of: Of, count: str) -> None:
    ranges = [subnet["CidrBlock"] for subnet in properties_of("AWS::EC2::Subnet", ZoneCount=count)]
    assert ranges[:2] == ["10.20.0.0/24", "10.20.1.0/24"]


@pytest.mark.parametrize("count", ["2", "3"])
def test_every_subnet_has_our_route_table_and_our_network_acl(deploy: Deploy, count: str) -> None:
    resources = deploy(ZoneCount=count).resources
    subnets = {f"${{{name}}}" for name, body in resources.items() if body["Type"] == "AWS::EC2::Subnet"}
    for kind, key, ours in (
        ("AWS::EC2::SubnetRouteTableAssociation", "RouteTableId", "${PrivateRouteTable}"),
        ("AWS::EC2::SubnetNetworkAclAssociation", "NetworkAclId", "${PrivateNetworkAcl}"),
    ):
        found = [body["Properties"] for body in resources.values() if body["Type"] == kind]
        assert {(item["SubnetId"], item[key]) for item in found} == {(subnet, ours) for subnet in subnets}


@pytest.mark.parametrize(
    ("count", "expected"),
    [("2", "${PrivateSubnet1},${PrivateSubnet2}"), ("3", "${PrivateSubnet1},${PrivateSubnet2},${PrivateSubnet3}")],
)
def test_the_subnets_are_exported_as_far_as_they_exist(deploy: Deploy, count: str, expected: str) -> None:
    assert deploy(ZoneCount=count).exports["network-PrivateSubnetIds-dev"] == expected


@pytest.mark.parametrize(
    ("cidr", "is_taken"),
    [
        ("10.0.0.0/16", True),
        ("10.0.0.0/22", True),
        ("10.0.0.0/15", False),
        ("10.0.0.0/23", False),
        ("10.0.0/16", False),
    ],
)
def test_the_vpc_has_room_for_its_subnets_and_no_more_than_aws_allows(
    pattern: Callable[[str], re.Pattern[str]], cidr: str, is_taken: bool
) -> None:
    assert bool(pattern("VpcCidr").match(cidr)) is is_taken


# Private


def test_nothing_leads_to_the_internet(template: Callable[[str], dict[str, Any]]) -> None:
    kinds = {body["Type"] for body in template("network")["Resources"].values()}
    assert not {kind for kind in kinds if re.search("Internet|Nat|EIP|CarrierGateway|Peering", kind)}


def test_no_subnet_gives_public_addresses(properties_of: Of) -> None:
    assert {subnet["MapPublicIpOnLaunch"] for subnet in properties_of("AWS::EC2::Subnet")} == {False}


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "10.0.0.0/7"])
@pytest.mark.parametrize("slot", ["OnPremisesCidr1", "OnPremisesCidr2", "OnPremisesCidr3", "OnPremisesCidr4"])
def test_a_range_so_wide_that_it_would_carry_the_internet_is_refused(
    pattern: Callable[[str], re.Pattern[str]], slot: str, cidr: str
) -> None:
    assert not pattern(slot).match(cidr)


# Security groups and network ACL


def test_every_rule_of_a_group_says_what_it_is_for(properties_of: Of) -> None:
    every_option = TRANSIT_GATEWAY | FOUR_RANGES | NAMES
    rules = [
        rule
        for group in properties_of("AWS::EC2::SecurityGroup", **every_option)
        for rule in group["SecurityGroupEgress"]
    ]
    rules += properties_of("AWS::EC2::SecurityGroupIngress", **every_option)
    # Characters that EC2 takes (EC2 API reference, "AuthorizeSecurityGroupIngress", Description).
    assert [
        rule for rule in rules if not re.fullmatch(r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]+", rule["Description"])
    ] == []


@pytest.mark.parametrize("options", [{}, TRANSIT_GATEWAY | NAMES])
def test_every_group_states_its_egress_since_aws_opens_it_otherwise(properties_of: Of, options: dict[str, str]) -> None:
    groups = properties_of("AWS::EC2::SecurityGroup", **options)
    assert [group["GroupDescription"] for group in groups if not group["SecurityGroupEgress"]] == []


@pytest.mark.parametrize("group", ["${DatabaseSecurityGroup}", "${EndpointSecurityGroup}"])
def test_database_and_endpoints_let_in_dms_and_functions_alone(properties_of: Of, group: str) -> None:
    rules = [rule for rule in properties_of("AWS::EC2::SecurityGroupIngress") if rule["GroupId"] == group]
    sources = {rule["SourceSecurityGroupId"] for rule in rules}
    assert sources == {"${DmsSecurityGroup}", "${FunctionSecurityGroup}"}


@pytest.mark.parametrize("port", ["1150", "5432", "65535"])
def test_the_database_is_entered_on_its_port(properties_of: Of, port: str) -> None:
    rules = properties_of("AWS::EC2::SecurityGroupIngress", DatabasePort=port)
    database = [rule for rule in rules if rule["GroupId"] == "${DatabaseSecurityGroup}"]
    assert {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in database} == {("tcp", port, port)}


@pytest.mark.parametrize("group", ["DmsSecurityGroup", "FunctionSecurityGroup"])
def test_s3_is_reached_by_its_prefix_list(deploy: Deploy, group: str) -> None:
    egress = deploy().resources[group]["Properties"]["SecurityGroupEgress"]
    assert [
        (rule["FromPort"], rule["ToPort"]) for rule in egress if rule.get("DestinationPrefixListId") == "pl-0123abcd"
    ] == [(443, 443)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        (TRANSIT_GATEWAY, ["192.168.0.0/16"]),
        (TRANSIT_GATEWAY | FOUR_RANGES, ["192.168.0.0/16", "172.16.0.0/24", "172.16.1.0/24", "172.16.2.0/24"]),
        (PRIVATE_GATEWAY | {"OnPremisesCidr3": "172.16.1.0/24"}, ["192.168.0.0/16", "172.16.1.0/24"]),
    ],
)
def test_dms_may_call_the_source_in_every_range_that_is_connected(
    deploy: Deploy, options: dict[str, str], expected: list[str]
) -> None:
    egress = deploy(SourcePort="5433", **options).resources["DmsSecurityGroup"]["Properties"]["SecurityGroupEgress"]
    assert [rule["CidrIp"] for rule in egress if rule["FromPort"] == "5433"] == expected


@pytest.mark.parametrize("egress", [False, True])
def test_the_network_acl_stays_within_the_default_quota(properties_of: Of, egress: bool) -> None:
    every_option = TRANSIT_GATEWAY | FOUR_RANGES | NAMES | {"OnPremisesDnsServer2": "192.168.0.11"}
    entries = properties_of("AWS::EC2::NetworkAclEntry", **every_option)
    ours = [entry for entry in entries if entry["NetworkAclId"] == "${PrivateNetworkAcl}"]
    numbers = [entry["RuleNumber"] for entry in ours if entry["Egress"] is egress]
    # VPC user guide, "Amazon VPC quotas", rules per network ACL.
    assert len(numbers) == len(set(numbers)) <= 20


@pytest.mark.parametrize("egress", [False, True])
def test_routers_may_say_that_a_packet_is_too_large_for_the_way(properties_of: Of, egress: bool) -> None:
    """The VPC sends 9,001 bytes, Direct Connect often takes 1,500, and an ACL keeps no state that an answer fits."""
    entries = properties_of("AWS::EC2::NetworkAclEntry")
    told = [entry for entry in entries if entry["Protocol"] == 1 and entry["Egress"] is egress]
    assert [(entry["Icmp"], entry["CidrBlock"], entry["RuleAction"]) for entry in told] == [
        ({"Type": 3, "Code": 4}, "0.0.0.0/0", "allow")
    ]


# The way to on-premises


@pytest.mark.parametrize(
    ("options", "attachment", "target"),
    [
        (TRANSIT_GATEWAY, "${TransitGatewayAttachment}", {"TransitGatewayId": TRANSIT_GATEWAY["TransitGatewayId"]}),
        (PRIVATE_GATEWAY, "${PrivateGatewayAttachment}", {"GatewayId": "${PrivateGateway}"}),
    ],
)
def test_every_on_premises_range_has_a_route_that_waits_for_the_attachment(
    deploy: Deploy, options: dict[str, str], attachment: str, target: dict[str, str]
) -> None:
    resources = deploy(**options, **FOUR_RANGES).resources
    routes = [body for body in resources.values() if body["Type"] == "AWS::EC2::Route"]
    ranges = {GIVEN["OnPremisesCidr1"], *FOUR_RANGES.values()}
    assert {route["Properties"]["DestinationCidrBlock"] for route in routes} == ranges
    # The reference is what CloudFormation waits for: DependsOn may not name what is not there.
    assert [route["Metadata"] for route in routes] == [{"WaitsFor": attachment}] * len(ranges)
    targets = [{key: route["Properties"].get(key) for key in target} for route in routes]
    assert targets == [target] * len(ranges)


def test_a_route_stays_the_same_resource_when_the_gateway_changes(deploy: Deploy) -> None:
    """A route's range is create-only, and AWS refuses a second route for it while the first still stands."""

    def routes(options: dict[str, str]) -> dict[str, str]:
        return {
            name: body["Properties"]["DestinationCidrBlock"]
            for name, body in deploy(**options, **FOUR_RANGES).resources.items()
            if body["Type"] == "AWS::EC2::Route"
        }

    assert routes(TRANSIT_GATEWAY) == routes(PRIVATE_GATEWAY)


def test_without_connectivity_there_is_no_route_and_no_gateway(deploy: Deploy) -> None:
    kinds = {body["Type"] for body in deploy().resources.values()}
    assert not {kind for kind in kinds if re.search("Route$|Gateway|Propagation|Resolver", kind)}


@pytest.mark.parametrize(
    ("count", "zones"),
    [("2", ["us-east-1a", "us-east-1b"]), ("3", ["us-east-1a", "us-east-1b", "us-east-1c"])],
)
def test_the_transit_gateway_has_an_interface_in_every_zone_in_a_subnet_of_its_own(
    deploy: Deploy, count: str, zones: list[str]
) -> None:
    network = deploy(ZoneCount=count, **TRANSIT_GATEWAY)
    attached = network.resources["TransitGatewayAttachment"]["Properties"]["SubnetIds"]
    subnets = [network.resources[subnet[2:-1]]["Properties"] for subnet in attached]
    assert [subnet["AvailabilityZone"] for subnet in subnets] == zones
    assert set(attached).isdisjoint(network.exports["network-PrivateSubnetIds-dev"].split(","))


@pytest.mark.parametrize(
    ("vpc", "expected"),
    [
        ("10.20.0.0/16", ["10.20.3.0/28", "10.20.3.16/28", "10.20.3.32/28"]),
        ("10.20.4.0/22", ["10.20.7.0/28", "10.20.7.16/28", "10.20.7.32/28"]),
    ],
)
def test_the_subnets_of_the_transit_gateway_lie_behind_the_private_ones_in_any_vpc(
    deploy: Deploy, vpc: str, expected: list[str]
) -> None:
    resources = deploy(VpcCidr=vpc, **TRANSIT_GATEWAY).resources
    ranges = [resources[f"TransitGatewaySubnet{zone}"]["Properties"]["CidrBlock"] for zone in (1, 2, 3)]
    private = [resources[f"PrivateSubnet{zone}"]["Properties"]["CidrBlock"] for zone in (1, 2, 3)]
    assert ranges == expected
    assert all(IPv4Network(cidr).subnet_of(IPv4Network(vpc)) for cidr in ranges)
    assert not any(IPv4Network(one).overlaps(IPv4Network(other)) for one in ranges for other in private)


def test_the_subnets_of_the_transit_gateway_have_an_open_acl_and_a_table_without_routes(deploy: Deploy) -> None:
    resources = deploy(**TRANSIT_GATEWAY).resources
    ours = {f"${{TransitGatewaySubnet{zone}}}" for zone in (1, 2, 3)}
    associated = [body["Properties"] for body in resources.values() if body["Properties"].get("SubnetId") in ours]
    assert {item.get("NetworkAclId") or item["RouteTableId"] for item in associated} == {
        "${TransitGatewayNetworkAcl}",
        "${TransitGatewayRouteTable}",
    }
    routes = [body["Properties"] for body in resources.values() if body["Type"] == "AWS::EC2::Route"]
    assert {route["RouteTableId"] for route in routes} == {"${PrivateRouteTable}"}
    entries = [
        body["Properties"]
        for body in resources.values()
        if body["Properties"].get("NetworkAclId") == "${TransitGatewayNetworkAcl}"
        and "RuleAction" in body["Properties"]
    ]
    assert [
        (entry["Egress"], entry["RuleAction"], entry["Protocol"], entry["CidrBlock"], "PortRange" in entry)
        for entry in entries
    ] == [(False, "allow", -1, "0.0.0.0/0", False), (True, "allow", -1, "0.0.0.0/0", False)]


@pytest.mark.parametrize("options", [{}, PRIVATE_GATEWAY])
def test_without_a_transit_gateway_it_has_no_subnets(deploy: Deploy, options: dict[str, str]) -> None:
    assert [name for name in deploy(**options).resources if "TransitGateway" in name] == []


@pytest.mark.parametrize("role", ["", "arn:aws:iam::" + "2" * 12 + ":role/accept"])
def test_the_private_gateway_joins_the_direct_connect_gateway_of_this_or_another_account(
    properties_of: Of, role: str
) -> None:
    (association,) = properties_of(
        "AWS::DirectConnect::DirectConnectGatewayAssociation", **PRIVATE_GATEWAY, DirectConnectGatewayRoleArn=role
    )
    assert association == {
        "AssociatedGatewayId": "${PrivateGateway}",
        "DirectConnectGatewayId": PRIVATE_GATEWAY["DirectConnectGatewayId"],
        **({"AcceptDirectConnectGatewayAssociationProposalRoleArn": role} if role else {}),
    }


def test_the_private_gateway_teaches_the_route_table_once_it_is_attached(deploy: Deploy) -> None:
    propagation = deploy(**PRIVATE_GATEWAY).resources["PrivateGatewayRoutePropagation"]
    assert propagation["DependsOn"] == "PrivateGatewayAttachment"
    assert propagation["Properties"] == {
        "RouteTableIds": ["${PrivateRouteTable}"],
        "VpnGatewayId": "${PrivateGateway}",
    }


@pytest.mark.parametrize(
    ("second", "expected"),
    [("", [{"Ip": "192.168.0.10"}]), ("192.168.0.11", [{"Ip": "192.168.0.10"}, {"Ip": "192.168.0.11"}])],
)
def test_names_of_on_premises_are_asked_of_the_servers_that_are_given(
    properties_of: Of, second: str, expected: list[dict[str, str]]
) -> None:
    (rule,) = properties_of(
        "AWS::Route53Resolver::ResolverRule", **TRANSIT_GATEWAY, **NAMES, OnPremisesDnsServer2=second
    )
    assert (rule["RuleType"], rule["DomainName"], rule["TargetIps"]) == ("FORWARD", "corp.internal", expected)


# Outputs


def test_the_acl_is_exported_for_entries_of_others(deploy: Deploy) -> None:
    assert deploy().exports["network-PrivateNetworkAclId-dev"] == "${PrivateNetworkAcl}"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, None),
        (TRANSIT_GATEWAY, "${TransitGatewayAttachment}"),
        (PRIVATE_GATEWAY, "${PrivateGateway}"),
    ],
)
def test_the_attachment_is_an_output_only_where_there_is_one(
    deploy: Deploy, options: dict[str, str], expected: str | None
) -> None:
    assert deploy(**options).outputs.get("DirectConnectAttachmentId") == expected


@pytest.mark.parametrize("given", [None, "dxvif-fgputw0j"])
def test_the_virtual_interface_is_an_output_only_where_it_was_given(deploy: Deploy, given: str | None) -> None:
    chosen = {"DirectConnectVirtualInterfaceId": given} if given else {}
    assert deploy(**TRANSIT_GATEWAY, **chosen).outputs.get("DirectConnectVirtualInterfaceId") == given


# Rules


@pytest.mark.parametrize(
    "options",
    [{}, TRANSIT_GATEWAY, PRIVATE_GATEWAY, TRANSIT_GATEWAY | NAMES, PRIVATE_GATEWAY | FOUR_RANGES],
)
def test_parameters_that_fit_together_are_taken(deploy: Deploy, options: dict[str, str]) -> None:
    assert deploy(**options).failed_rules == ()


GATEWAY_ID = PRIVATE_GATEWAY["DirectConnectGatewayId"]
TRANSIT_ID = TRANSIT_GATEWAY["TransitGatewayId"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Connectivity": "TransitGateway"}, "Connectivity TransitGateway needs TransitGatewayId"),
        (TRANSIT_GATEWAY | {"DirectConnectGatewayId": GATEWAY_ID}, "takes no DirectConnectGatewayId"),
        (TRANSIT_GATEWAY | {"DirectConnectGatewayRoleArn": "arn:of:a:role"}, "or DirectConnectGatewayRoleArn"),
        ({"Connectivity": "VirtualPrivateGateway"}, "needs DirectConnectGatewayId"),
        (PRIVATE_GATEWAY | {"TransitGatewayId": TRANSIT_ID}, "takes no TransitGatewayId"),
        ({"TransitGatewayId": TRANSIT_ID}, "Connectivity None takes no TransitGatewayId"),
        ({"DirectConnectGatewayId": GATEWAY_ID}, "Connectivity None takes no"),
        ({"DirectConnectGatewayRoleArn": "arn:of:a:role"}, "Connectivity None takes no"),
        ({"DirectConnectVirtualInterfaceId": "dxvif-fgputw0j"}, "Connectivity None takes no"),
        (NAMES, "Connectivity None takes no"),
        (TRANSIT_GATEWAY | {"OnPremisesDomainName": "corp.internal"}, "needs OnPremisesDnsServer1"),
        (TRANSIT_GATEWAY | {"OnPremisesDnsServer1": "192.168.0.10"}, "need OnPremisesDomainName"),
        (TRANSIT_GATEWAY | {"OnPremisesDnsServer2": "192.168.0.10"}, "need OnPremisesDomainName"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused_in_words(
    deploy: Deploy, options: dict[str, str], message: str
) -> None:
    (sentence,) = deploy(**options).failed_rules
    assert message in sentence


@pytest.mark.parametrize(
    ("name", "value", "is_taken"),
    [
        ("TransitGatewayId", "tgw-0123456789abcdef0", True),
        ("TransitGatewayId", "tgw-attach-0123456789abcdef0", False),
        ("DirectConnectGatewayId", GATEWAY_ID, True),
        ("DirectConnectGatewayId", "dxgw-1", False),
        ("DirectConnectVirtualInterfaceId", "dxvif-fgputw0j", True),
        ("DirectConnectVirtualInterfaceId", "vif-1", False),
        ("S3PrefixListId", "pl-63a5400a", True),
        ("S3PrefixListId", "", False),
        ("OnPremisesCidr1", "", False),
        ("OnPremisesCidr2", "", True),
        ("OnPremisesDnsServer1", "192.168.0.256", False),
        ("OnPremisesDomainName", "corp.internal", True),
        ("OnPremisesDomainName", "-corp.internal", False),
        ("OnPremisesDomainName", "corp example", False),
    ],
)
def test_ids_addresses_and_names_have_their_form(
    pattern: Callable[[str], re.Pattern[str]], name: str, value: str, is_taken: bool
) -> None:
    assert bool(pattern(name).match(value)) is is_taken


# Flow logs


def test_all_traffic_is_logged_in_an_encrypted_group_that_outlives_a_stack_that_was_made(deploy: Deploy) -> None:
    resources = deploy(LogRetentionDays="731").resources
    log, group = resources["FlowLog"], resources["FlowLogGroup"]
    assert (log["Properties"]["ResourceId"], log["Properties"]["TrafficType"]) == ("${Vpc}", "ALL")
    assert log["Properties"]["LogGroupName"] == "${FlowLogGroup}"
    assert (group["Properties"]["KmsKeyId"], group["Properties"]["RetentionInDays"]) == (KEY, "731")
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_flow_logs_wait_until_their_role_may_write(deploy: Deploy) -> None:
    resources = deploy().resources
    policy = resources[resources["FlowLog"]["DependsOn"]]
    assert policy["Properties"]["Roles"] == ["${FlowLogRole}"]


def test_the_flow_log_role_serves_flow_logs_of_this_account_and_region_alone(deploy: Deploy) -> None:
    (statement,) = deploy().resources["FlowLogRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": ["vpc-flow-logs.amazonaws.com"]}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": EXAMPLE_ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:ec2:us-east-1:{EXAMPLE_ACCOUNT}:vpc-flow-log/*"},
    }


def test_the_flow_log_role_writes_to_its_own_group_alone(deploy: Deploy) -> None:
    statements = deploy().resources["FlowLogPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    granted = {action: statement["Resource"] for statement in statements for action in statement["Action"]}
    assert granted == {
        "logs:CreateLogStream": ["${FlowLogGroup.Arn}"],
        "logs:PutLogEvents": ["${FlowLogGroup.Arn}"],
        "logs:DescribeLogStreams": ["${FlowLogGroup.Arn}"],
        "logs:DescribeLogGroups": ["*"],
    }
