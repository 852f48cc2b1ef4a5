"""Everything that is needed can be reached, nothing else can, and whatever is taken away or changed shows."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from builders import environments, reachability
from builders.evaluate import Evaluated, evaluate
from builders.layers._network.attachment import WAITS_FOR

ENVIRONMENTS = Path(__file__).parents[2] / "environments"

Layers = dict[str, Evaluated]
Findings = Callable[..., list[reachability.FlowFinding]]

GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "VpcCidr": "10.20.0.0/16",
    "OnPremisesCidr1": "192.168.0.0/16",
    "S3PrefixListId": "pl-0123abcd",
}
NAMES = {
    "OnPremisesDomainName": "corp.internal",
    "OnPremisesDnsServer1": "192.168.0.10",
    "OnPremisesDnsServer2": "172.16.0.10",
}
TRANSIT_GATEWAY = {"Connectivity": "TransitGateway", "TransitGatewayId": "tgw-0123456789abcdef0"}
PRIVATE_GATEWAY = {
    "Connectivity": "VirtualPrivateGateway",
    "DirectConnectGatewayId": "01234567-89ab-cdef-0123-456789abcdef",
}
SCENARIOS: dict[str, dict[str, str]] = {
    "nothing connected": {},
    "two zones, every endpoint, a port of one's own": {
        "ZoneCount": "2",
        "DatabasePort": "6432",
        "MonitoringEndpointEnabled": "true",
        "LogsEndpointEnabled": "true",
        "KmsEndpointEnabled": "true",
        "StsEndpointEnabled": "true",
    },
    "transit gateway to four ranges, with names, and a source below port 1024": {
        **TRANSIT_GATEWAY,
        **NAMES,
        "SourcePort": "1000",
        "OnPremisesCidr2": "172.16.0.0/24",
        "OnPremisesCidr3": "172.16.1.0/24",
        "OnPremisesCidr4": "172.16.2.0/24",
    },
    "private gateway with names": PRIVATE_GATEWAY | NAMES | {"OnPremisesCidr2": "172.16.0.0/24"},
}
WITH_CLIENTS: dict[str, dict[str, str]] = {
    "transit gateway, clients on-premises and in another VPC, two groups": TRANSIT_GATEWAY
    | {
        "ApplicationCidr1": "192.168.4.0/24",
        "ApplicationCidr3": "10.99.0.0/20",
        "ApplicationRoute3": "true",
        "OperatorCidr1": "192.168.9.10/32",
        "ApplicationSecurityGroupId2": "sg-0123456789abcdef0",
        "OperatorSecurityGroupId1": "9" * 12 + "/sg-0123456789abcdef1",
    },
    "private gateway, every slot of the clients": PRIVATE_GATEWAY
    | {f"ApplicationCidr{slot}": f"10.99.{slot}.0/24" for slot in (1, 2, 3, 4)}
    | {"OperatorCidr1": "192.168.9.0/28", "OperatorCidr2": "10.98.0.0/16", "OperatorRoute2": "true"}
    | {"ApplicationSecurityGroupId1": "sg-01234567", "ApplicationSecurityGroupId2": "sg-01234568"},
}

in_every_scenario = pytest.mark.parametrize("options", SCENARIOS.values(), ids=SCENARIOS)
with_clients = pytest.mark.parametrize("options", WITH_CLIENTS.values(), ids=WITH_CLIENTS)
with_clients_too = pytest.mark.parametrize(
    "options", [*SCENARIOS.values(), *WITH_CLIENTS.values()], ids=[*SCENARIOS, *WITH_CLIENTS]
)


class AnyImport(dict[str, Any]):
    """Exports of the layers that take no part stand for themselves."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        return f"import:{name}"


@pytest.fixture(scope="session")
def deploy(template: Callable[[str], dict[str, Any]]) -> Callable[[Mapping[str, str]], Layers]:
    """Evaluates network, endpoints, database and clients, the latter three with the exports of the first."""

    def evaluated(options: Mapping[str, str]) -> Layers:
        given = GIVEN | dict(options)
        network = evaluate(template("network"), given, imports=AnyImport())
        imports = AnyImport(network.exports)
        others = {
            layer: evaluate(template(layer), given, imports=imports) for layer in ("endpoints", "database", "clients")
        }
        return {"network": network, **others}

    return evaluated


@pytest.fixture(scope="session")
def wanted(template: Callable[[str], dict[str, Any]]) -> Callable[[Mapping[str, str]], reachability.Demands]:
    """The needs that the parameters state of the network."""
    templates = {layer: template(layer) for layer in ("network", "endpoints", "database", "clients")}
    return lambda options: reachability.demands(templates, GIVEN | dict(options))


@pytest.fixture
def findings_after(
    deploy: Callable[[Mapping[str, str]], Layers], wanted: Callable[[Mapping[str, str]], reachability.Demands]
) -> Callable[..., list[reachability.FlowFinding]]:
    """The findings after `change`, which is given the resources of a layer to spoil."""

    def found(
        change: Callable[[dict[str, Any]], Any], layer: str = "network", **options: str
    ) -> list[reachability.FlowFinding]:
        layers = deploy(options)
        spoilt = copy.deepcopy(layers[layer].resources)
        change(spoilt)
        return reachability.check(layers | {layer: with_resources(layers[layer], spoilt)}, wanted(options))

    return found


def with_resources(layer: Evaluated, resources: Mapping[str, Any]) -> Evaluated:
    return dataclasses.replace(layer, resources=dict(resources))


@with_clients_too
def test_everything_that_is_needed_is_reached_and_nothing_else(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands], options: dict[str, str]
) -> None:
    assert reachability.check(deploy(options), wanted(options)) == []


@pytest.mark.parametrize("path", sorted(ENVIRONMENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_phases_of_this_repository_reach_what_they_need(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands], path: Path
) -> None:
    values = environments.read(path).values
    assert reachability.check(deploy(values), wanted(values)) == []


@settings(deadline=None)  # the first example builds the templates
@given(
    database_port=st.integers(1150, 65535),
    source_port=st.integers(1, 65535),
    vpc=st.tuples(st.integers(0, 255), st.integers(16, 22)),
    thirds=st.lists(st.integers(0, 255), min_size=1, max_size=4, unique=True),
    zones=st.sampled_from(["2", "3"]),
    gateway=st.sampled_from([TRANSIT_GATEWAY, PRIVATE_GATEWAY]),
)
def test_any_ports_and_ranges_that_the_parameters_take_work_alike(
    deploy: Callable[..., Layers],
    wanted: Callable[..., reachability.Demands],
    database_port: int,
    source_port: int,
    vpc: tuple[int, int],
    thirds: list[int],
    zones: str,
    gateway: dict[str, str],
) -> None:
    options = {
        **gateway,
        "DatabasePort": str(database_port),
        "SourcePort": str(source_port),
        "VpcCidr": f"10.{vpc[0]}.0.0/{vpc[1]}",
        "ZoneCount": zones,
        **{f"OnPremisesCidr{slot}": f"172.16.{third}.0/24" for slot, third in enumerate(thirds, start=1)},
        **{f"ApplicationCidr{slot}": f"172.16.{third}.0/28" for slot, third in enumerate(thirds, start=1)},
    }
    layers = deploy(options)
    assert layers["network"].failed_rules + layers["clients"].failed_rules == ()
    assert reachability.check(layers, wanted(options)) == []


@with_clients_too
def test_no_permission_is_superfluous(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands], options: dict[str, str]
) -> None:
    assert reachability.superfluous(deploy(options), wanted(options)) == []


# Whatever is taken away or changed shows. The ways to spoil a layer are enumerated over all that it holds, so that a
# rule, entry, route or statement that comes later is covered without being named here.

RECORDERS = (
    *("AWS::EC2::FlowLog", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role", "AWS::Logs::LogGroup"),
    "AWS::CloudFormation::WaitConditionHandle",
)
"""They watch the traffic, or do nothing; none of it passes through them."""

WITHOUT_EFFECT = {
    "Description": "for people",
    "GroupDescription": "for people",
    "RuleNumber": "the order decides, and no two of our entries contradict each other",
    "Sid": "for people",
    "Tags": "for people",
    "Type": "a virtual private gateway has one",
    "Version": "the language of the policy, a promise of every layer",
}


def spoilt_resources(resources: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the resources with one of them missing, or one item or value in them missing or different."""
    for name, body in resources.items():
        if body["Type"] in RECORDERS:
            continue
        yield f"{name} removed", {other: kept for other, kept in resources.items() if other != name}
        parts = {key: body[key] for key in ("Properties", "DependsOn") if key in body}
        if WAITS_FOR in body.get("Metadata", {}):
            parts["Metadata"] = body["Metadata"]
        for what, spoilt in spoilt_values(parts):
            yield f"{name}: {what}", {**resources, name: body | spoilt}


def spoilt_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of plain data in which one thing is missing or different, each with what was done to it."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key not in WITHOUT_EFFECT:
                for what, spoilt in spoilt_values(part):
                    yield f"{key} {what}", {**value, key: spoilt}
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield f"[{index}] removed", [*value[:index], *value[index + 1 :]]
            for what, spoilt in spoilt_values(part):
                yield f"[{index}] {what}", [*value[:index], spoilt, *value[index + 1 :]]
    else:
        different = something_else(value)
        yield f"{value!r} became {different!r}", different


def something_else(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    text = str(value)
    if text.isdigit():
        return type(value)(7)
    try:
        IPv4Network(text)
    except ValueError:
        return {"allow": "deny", "Allow": "Deny", "*": "none"}.get(text, f"{text}-other")
    return "203.0.113.0/24" if "/" in text else "203.0.113.7"


@in_every_scenario
@pytest.mark.parametrize("layer", ["network", "endpoints"])
def test_whatever_is_removed_or_changed_is_found(
    deploy: Callable[..., Layers],
    wanted: Callable[..., reachability.Demands],
    options: dict[str, str],
    layer: str,
) -> None:
    assert unnoticed(deploy(options), layer, wanted(options)) == []


@with_clients
def test_whatever_is_removed_or_changed_of_what_lets_clients_in_is_found(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands], options: dict[str, str]
) -> None:
    assert unnoticed(deploy(options), "clients", wanted(options)) == []


def unnoticed(layers: Layers, layer: str, demands: reachability.Demands) -> list[str]:
    return [
        what
        for what, resources in spoilt_resources(layers[layer].resources)
        if not any(reachability.findings(layers | {layer: with_resources(layers[layer], resources)}, demands))
    ]


@pytest.mark.parametrize(
    ("resource", "change"),
    [
        ("Database", {"Port": "5433"}),
        ("Database", {"PubliclyAccessible": True}),
        ("Database", {"VPCSecurityGroups": ["${FunctionSecurityGroup}"]}),
        ("Database", {"DBSubnetGroupName": "default"}),
        ("DatabaseSubnets", {"SubnetIds": ["${PrivateSubnet1}", "${PrivateSubnet2}"]}),
    ],
)
def test_a_database_that_stands_or_listens_elsewhere_is_found(
    findings_after: Findings, resource: str, change: dict[str, Any]
) -> None:
    assert findings_after(lambda database: database[resource]["Properties"].update(change), layer="database")


def test_a_finding_says_which_flow_is_stopped_where_and_by_what(findings_after: Findings) -> None:
    findings = findings_after(lambda network: network.pop("DatabaseFromDms"))
    assert findings == [
        reachability.FlowFinding(
            flow="DMS to database Database on tcp 5432",
            where="security group ${DatabaseSecurityGroup}, ingress",
            missing="no rule lets it in",
        )
    ]


# The order of an ACL's entries


def entry(number: int, action: str, **properties: Any) -> dict[str, Any]:
    """An entry for all addresses and protocols; `properties` narrow it."""
    body = {
        "NetworkAclId": "${PrivateNetworkAcl}",
        "RuleNumber": number,
        "RuleAction": action,
        "Egress": True,
        "Protocol": -1,
        "CidrBlock": "0.0.0.0/0",
    }
    return {"Type": "AWS::EC2::NetworkAclEntry", "Properties": body | properties}


@pytest.mark.parametrize(
    ("number", "is_found"), [(50, True), (150, False)], ids=["before the entries that allow", "after them"]
)
def test_an_entry_that_denies_counts_only_before_those_that_allow(
    findings_after: Findings, number: int, is_found: bool
) -> None:
    findings = findings_after(lambda network: network.update(Denied=entry(number, "deny")))
    assert bool(findings) is is_found


def test_a_denial_of_a_few_ports_and_addresses_inside_an_open_range_is_found(findings_after: Findings) -> None:
    few = {"Protocol": 6, "CidrBlock": "10.20.1.8/30", "PortRange": {"From": 40000, "To": 40007}}
    findings = findings_after(lambda network: network.update(Denied=entry(50, "deny", **few)))
    assert {finding.where for finding in findings} == {
        "network ACL of ${PrivateSubnet1}, egress",
        "network ACL of ${PrivateSubnet3}, egress",
    }


# Who uses the database

CLIENTS = WITH_CLIENTS["transit gateway, clients on-premises and in another VPC, two groups"]


def test_an_application_range_that_the_acl_shuts_is_found(findings_after: Findings) -> None:
    shut = entry(50, "deny", Protocol=6, CidrBlock="10.99.8.0/24", PortRange={"From": 1024, "To": 65535})
    findings = findings_after(lambda network: network.update(Shut=shut), **CLIENTS)
    assert {(finding.flow, finding.missing) for finding in findings} == {
        (
            "application 10.99.0.0/20 to database Database on tcp 5432",
            "the answer: tcp 1024-65535 with 10.99.0.0/20 does not pass",
        )
    }


def test_clients_that_the_parameters_ask_for_and_nothing_lets_in_are_found(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands]
) -> None:
    layers = deploy(CLIENTS)
    layers.pop("clients")
    findings = reachability.check(layers, wanted(CLIENTS))
    shut = [finding for finding in findings if finding.where == "security group ${DatabaseSecurityGroup}, ingress"]
    assert {finding.flow.split(" to ")[0] for finding in shut} == {
        "application 192.168.4.0/24",
        "application 10.99.0.0/20",
        "application 111111111111/sg-0123456789abcdef0",
        "operator 192.168.9.10/32",
        "operator 999999999999/sg-0123456789abcdef1",
    }


def test_a_range_outside_on_premises_without_a_route_is_found_with_the_parameter_that_makes_one(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands]
) -> None:
    options = CLIENTS | {"ApplicationRoute3": "false"}
    assert reachability.check(deploy(options), wanted(options)) == [
        reachability.FlowFinding(
            flow="application 10.99.0.0/20 to database Database on tcp 5432",
            where="route table ${PrivateRouteTable}",
            missing="no route to 10.99.0.0/20; ApplicationRoute3=true makes one",
        )
    ]


def test_a_route_to_a_range_that_on_premises_holds_already_is_superfluous(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands]
) -> None:
    options = CLIENTS | {"ApplicationRoute1": "true"}
    found = reachability.superfluous(deploy(options), wanted(options))
    assert [finding.where for finding in found] == ["RouteToApplicationRange1"]


def test_the_fallback_writes_to_the_source_by_the_way_that_replication_reads_it(findings_after: Findings) -> None:
    """DMS opens both connections, so one that is shut is found once, under the name of the flow."""
    findings = findings_after(lambda network: network.pop("AclSourceOut1"), **CLIENTS)
    assert {finding.flow for finding in findings} == {"DMS to on-premises 192.168.0.0/16 on tcp 5432"}


# A transit gateway


def in_the_private_subnets(network: dict[str, Any]) -> None:
    """Take the gateway's own subnets away and put its interfaces where the rest stands."""
    for name in [name for name in network if "TransitGatewaySubnet" in name]:
        network.pop(name)
    network["TransitGatewayAttachment"]["Properties"]["SubnetIds"] = [f"${{PrivateSubnet{zone}}}" for zone in (1, 2, 3)]


def shut_at_the_acl(findings: list[reachability.FlowFinding]) -> set[tuple[str, str]]:
    return {
        (finding.flow, finding.missing)
        for finding in findings
        if finding.where.startswith("network ACL of ${PrivateSubnet") and finding.where.endswith("ingress")
    }


@pytest.mark.parametrize(
    ("options", "shut"),
    [
        ({"SourcePort": "1023"}, {("DMS to on-premises 192.168.0.0/16 on tcp 1023", "tcp 1023-1023")}),
        ({"SourcePort": "1024"}, set()),
        (
            {"OnPremisesDomainName": "corp.internal", "OnPremisesDnsServer1": "192.168.0.10"},
            {
                ("ResolverEndpoint to name server 192.168.0.10/32 on tcp 53", "tcp 53-53"),
                ("ResolverEndpoint to name server 192.168.0.10/32 on udp 53", "udp 53-53"),
            },
        ),
    ],
    ids=["a port below 1024", "a port from 1024 on", "the resolver's port"],
)
def test_a_closed_acl_at_the_gateway_s_interfaces_drops_low_ports(
    findings_after: Findings, options: dict[str, str], shut: set[tuple[str, str]]
) -> None:
    """VPC Transit Gateways guide, "Network ACLs for transit gateways", same subnet: inbound rules see the source."""
    found = shut_at_the_acl(findings_after(in_the_private_subnets, **TRANSIT_GATEWAY, **options))
    expected = {
        (flow, f"the request, as it enters the transit gateway: {ports} with {cidr} does not pass")
        for flow, ports in shut
        for cidr in ("10.20.0.0/24", "10.20.1.0/24", "10.20.2.0/24")
        # The resolver has an address in two zones.
        if "Resolver" not in flow or cidr != "10.20.2.0/24"
    }
    assert found == expected


def test_what_comes_out_of_the_gateway_into_its_own_subnet_meets_no_acl(findings_after: Findings) -> None:
    """The same page: from the gateway to an instance of the same subnet neither side is evaluated."""

    def one_zone(network: dict[str, Any]) -> None:
        in_the_private_subnets(network)
        network["TransitGatewayAttachment"]["Properties"]["SubnetIds"] = ["${PrivateSubnet1}"]
        network.update(Shut=entry(50, "deny", Egress=False, CidrBlock="192.168.0.0/16"))

    found = [finding for finding in findings_after(one_zone, **TRANSIT_GATEWAY) if "192.168" in finding.flow]
    assert {finding.where for finding in found if "network ACL of" in finding.where} == {
        "network ACL of ${PrivateSubnet2}, ingress",
        "network ACL of ${PrivateSubnet3}, ingress",
    }


def test_a_route_out_of_the_gateway_s_own_subnets_is_found(findings_after: Findings) -> None:
    back = {
        "Type": "AWS::EC2::Route",
        "Properties": {
            "RouteTableId": "${TransitGatewayRouteTable}",
            "DestinationCidrBlock": "192.168.0.0/16",
            "TransitGatewayId": TRANSIT_GATEWAY["TransitGatewayId"],
        },
    }
    findings = findings_after(lambda network: network.update(Back=back), **TRANSIT_GATEWAY)
    assert {(finding.where, finding.missing) for finding in findings} == {("route Back", "leads out of the VPC again")}


def test_an_open_acl_counts_as_open_where_something_stands(findings_after: Findings) -> None:
    def opened(network: dict[str, Any]) -> None:
        network["PrivateSubnet1NetworkAcl"]["Properties"]["NetworkAclId"] = "${TransitGatewayNetworkAcl}"

    found = {finding.where for finding in findings_after(opened, **TRANSIT_GATEWAY)}
    assert found == {
        "network ACL ${TransitGatewayNetworkAcl}, egress, entry 100",
        "network ACL ${TransitGatewayNetworkAcl}, ingress, entry 100",
    }


# What must not be reachable


def group_rule(**properties: Any) -> dict[str, Any]:
    body = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "Description": "too much"}
    return {"Type": "AWS::EC2::SecurityGroupIngress", "Properties": body | properties}


@pytest.mark.parametrize(
    "opening",
    [
        group_rule(GroupId="${DatabaseSecurityGroup}", CidrIp="192.168.0.0/16"),
        group_rule(GroupId="${DatabaseSecurityGroup}", CidrIp="0.0.0.0/0"),
        group_rule(GroupId="${DatabaseSecurityGroup}", CidrIpv6="::/0"),
        group_rule(GroupId="${DatabaseSecurityGroup}", SourceSecurityGroupId="${EndpointSecurityGroup}"),
        group_rule(GroupId="${DatabaseSecurityGroup}", SourceSecurityGroupId="${DmsSecurityGroup}", FromPort=1),
        group_rule(GroupId="${FunctionSecurityGroup}", CidrIp="0.0.0.0/0") | {"Type": "AWS::EC2::SecurityGroupEgress"},
        entry(900, "allow"),
        entry(900, "allow", Egress=False),
        entry(900, "allow", Protocol=6, CidrBlock="192.168.0.0/16", PortRange={"From": 22, "To": 22}),
        {"Type": "AWS::EC2::InternetGateway", "Properties": {}},
        {"Type": "AWS::EC2::NatGateway", "Properties": {"SubnetId": "${PrivateSubnet1}"}},
        {
            "Type": "AWS::EC2::Route",
            "Properties": {
                "RouteTableId": "${PrivateRouteTable}",
                "DestinationCidrBlock": "0.0.0.0/0",
                "GatewayId": "${Gateway}",
            },
        },
    ],
    ids=lambda body: f"{body['Type']} {sorted(body['Properties'].items(), key=str)}",
)
@in_every_scenario
def test_an_opening_that_nothing_needs_is_found(
    findings_after: Findings, options: dict[str, str], opening: dict[str, Any]
) -> None:
    assert findings_after(lambda network: network.update(Opening=opening), **options)


def test_functions_have_no_way_to_on_premises(findings_after: Findings) -> None:
    to_source = group_rule(GroupId="${FunctionSecurityGroup}", CidrIp="192.168.0.0/16")
    opening = to_source | {"Type": "AWS::EC2::SecurityGroupEgress"}
    options = SCENARIOS["private gateway with names"]
    (finding,) = findings_after(lambda network: network.update(Opening=opening), **options)
    assert finding.where == "security group ${FunctionSecurityGroup}, egress"


def test_a_group_without_egress_is_found_since_aws_opens_it(findings_after: Findings) -> None:
    findings = findings_after(lambda network: network["EndpointSecurityGroup"]["Properties"].pop("SecurityGroupEgress"))
    assert [finding.missing for finding in findings] == ["states no egress, which AWS reads as all"]


def test_a_second_entry_for_the_same_packets_is_superfluous(
    deploy: Callable[..., Layers], wanted: Callable[..., reachability.Demands]
) -> None:
    layers = deploy({})
    again = entry(120, "allow", Protocol=6, PortRange={"From": 443, "To": 443})
    doubled = with_resources(layers["network"], layers["network"].resources | {"Again": again})
    found = reachability.superfluous(layers | {"network": doubled}, wanted({}))
    assert {finding.where for finding in found} == {"AclHttpsOut", "Again"}
