"""The network and its clients, deployed: who is let in is seen by EC2's own API, and goes again with the parameter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from builders import catalog, environments
from builders.cloud.process import Cloud

from .conftest import Account, Refused, empty

DEV = environments.read(Path("environments/dev.json")).values
ON_PREMISES, OTHER_VPC, OPERATOR = "172.16.4.0/24", "10.99.0.0/20", "172.16.9.10/32"


class Phase:
    """The layers up to the network in an account of their own, which owns the transit gateway, too."""

    def __init__(self, account: Account) -> None:
        self.account = account
        account.deploy({"Gateway": {"Type": "AWS::EC2::TransitGateway"}}, "gateway")
        gateway = account.physical_id("Gateway", "gateway")
        self.parameters = DEV | {
            "Connectivity": "TransitGateway",
            "TransitGatewayId": gateway,
            "PermissionsBoundary": "",
        }

    def deploy(self, layer: str, **chosen: str) -> dict[str, str]:
        sections = catalog.load(layer).build().to_dict()
        resources = sections.pop("Resources")
        given = {key: value for key, value in (self.parameters | chosen).items() if key in sections["Parameters"]}
        return self.account.deploy(resources, layer, given=given, sections=sections)

    def let_in(self, group: str) -> set[tuple[str, int, int]]:
        """The ranges and groups that a group lets in, with their ports."""
        (found,) = self.account.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
        return {
            (peer.get("CidrIp") or peer["GroupId"], rule["FromPort"], rule["ToPort"])
            for rule in found["IpPermissions"]
            for peer in (*rule["IpRanges"], *rule["UserIdGroupPairs"])
        }

    def routes(self, table: str) -> dict[str, str]:
        """The targets of a table's routes by their ranges."""
        (found,) = self.account.client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
        return {
            route["DestinationCidrBlock"]: route.get("TransitGatewayId") or route.get("GatewayId", "")
            for route in found["Routes"]
        }


@pytest.fixture(scope="module")
def phase(cloud: Cloud) -> Iterator[Phase]:
    account = Account(cloud, "500000000777")
    phase = Phase(account)
    phase.deploy("foundation")
    yield phase
    empty(account)


@pytest.fixture(scope="module")
def network(phase: Phase) -> dict[str, str]:
    return phase.deploy("network")


def answered(phase: Phase, acl: str) -> set[str]:
    """The ranges outside the VPC that the private subnets may answer."""
    (found,) = phase.account.client("ec2").describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"]
    numbers = range(400, 500)
    return {entry["CidrBlock"] for entry in found["Entries"] if entry["Egress"] and entry["RuleNumber"] in numbers}


def test_clients_come_and_go_with_their_parameters(phase: Phase, network: dict[str, str]) -> None:
    group, acl, table = (
        network[key] for key in ("DatabaseSecurityGroupId", "PrivateNetworkAclId", "PrivateRouteTableIds")
    )
    alone = phase.let_in(group), phase.routes(table)
    phase.deploy("clients")
    assert (phase.let_in(group), phase.routes(table)) == alone
    assert answered(phase, acl) == set()
    host = phase.account.client("ec2").create_security_group(
        GroupName="host", Description="host", VpcId=network["VpcId"]
    )
    phase.deploy(
        "clients",
        ApplicationCidr1=ON_PREMISES,
        ApplicationCidr2=OTHER_VPC,
        ApplicationRoute2="true",
        OperatorCidr1=OPERATOR,
        OperatorSecurityGroupId1=host["GroupId"],
    )
    clients = {ON_PREMISES, OTHER_VPC, OPERATOR, host["GroupId"]}
    assert phase.let_in(group) - alone[0] == {(client, 5432, 5432) for client in clients}
    assert answered(phase, acl) == {ON_PREMISES, OTHER_VPC, OPERATOR}
    assert phase.routes(table) == alone[1] | {OTHER_VPC: phase.parameters["TransitGatewayId"]}
    phase.deploy("clients")
    assert (phase.let_in(group), phase.routes(table)) == alone
    assert answered(phase, acl) == set()


def test_what_contradicts_itself_is_refused_by_the_template_s_own_sentence(
    phase: Phase, network: dict[str, str]
) -> None:
    assert network
    with pytest.raises((Refused, phase.account.client("cloudformation").exceptions.ClientError)) as refusal:
        phase.deploy("clients", Connectivity="None", ApplicationCidr1=ON_PREMISES)
    assert "Connectivity None reaches no client outside the VPC" in str(refusal.value)


def test_the_gateway_changes_in_place(phase: Phase, network: dict[str, str]) -> None:
    """The route stays the resource that it is: a second one for its range would be refused."""
    table = network["PrivateRouteTableIds"]
    before = phase.routes(table)["172.16.0.0/16"], phase.account.physical_id("OnPremisesRoute1", "network")
    other: dict[str, Any] = {
        "Connectivity": "VirtualPrivateGateway",
        "TransitGatewayId": "",
        "DirectConnectGatewayId": "01234567-89ab-cdef-0123-456789abcdef",
    }
    moved = phase.deploy("network", **other)
    after = phase.routes(table)["172.16.0.0/16"], phase.account.physical_id("OnPremisesRoute1", "network")
    assert (before[0], after[0]) == (phase.parameters["TransitGatewayId"], moved["DirectConnectAttachmentId"])
    assert before[1] == after[1]
    phase.deploy("network")
    assert phase.routes(table)["172.16.0.0/16"] == phase.parameters["TransitGatewayId"]


def test_zones_that_are_chosen_by_id_hold_the_subnets_and_one_of_another_region_is_refused(account: Account) -> None:
    phase = Phase(account)
    phase.deploy("foundation")
    chosen = {"ZoneCount": "2", "ZoneId1": "use1-az5"}
    with pytest.raises(Refused, match="parameter availabilityZoneId is invalid"):
        phase.deploy("network", **chosen, ZoneId2="euw1-az1")
    account.delete("network")
    vpc = phase.deploy("network", **chosen, ZoneId2="use1-az2")["VpcId"]
    subnets = account.client("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    assert sorted(each["AvailabilityZoneId"] for each in subnets) == ["use1-az2", "use1-az2", "use1-az5", "use1-az5"]
