"""The network that was really made."""

from __future__ import annotations

from typing import Any

EVERYWHERE = {"0.0.0.0/0", "::/0"}


def test_the_private_subnets_lie_in_zones_of_their_own(client: Any, outputs: dict[str, str]) -> None:
    ids = outputs["privateSubnetIds"].split(",")
    subnets = client("ec2").describe_subnets(SubnetIds=ids)["Subnets"]
    zones = {subnet["AvailabilityZone"] for subnet in subnets}
    assert len(ids) >= 2
    assert len(zones) == len(ids)
    assert {subnet["VpcId"] for subnet in subnets} == {outputs["vpcId"]}
    assert not any(subnet["MapPublicIpOnLaunch"] for subnet in subnets)


def test_no_way_leads_to_the_internet(client: Any, outputs: dict[str, str], vpc_filter: list[Any]) -> None:
    ec2 = client("ec2")
    attached = [{"Name": "attachment.vpc-id", "Values": [outputs["vpcId"]]}]
    assert ec2.describe_internet_gateways(Filters=attached)["InternetGateways"] == []
    assert ec2.describe_nat_gateways(Filter=vpc_filter)["NatGateways"] == []
    routes = [
        route for table in ec2.describe_route_tables(Filters=vpc_filter)["RouteTables"] for route in table["Routes"]
    ]
    assert not [route for route in routes if route.get("DestinationCidrBlock") == "0.0.0.0/0"]


def test_every_subnet_is_guarded_by_our_own_network_acl(
    client: Any, outputs: dict[str, str], vpc_filter: list[Any]
) -> None:
    acls = client("ec2").describe_network_acls(Filters=vpc_filter)["NetworkAcls"]
    guarded = {association["SubnetId"] for acl in acls if not acl["IsDefault"] for association in acl["Associations"]}
    subnets = client("ec2").describe_subnets(Filters=vpc_filter)["Subnets"]
    assert guarded == {subnet["SubnetId"] for subnet in subnets} >= set(outputs["privateSubnetIds"].split(","))


def test_the_database_group_lets_in_dms_functions_and_clients_on_one_port_alone(
    client: Any, outputs: dict[str, str]
) -> None:
    (group,) = client("ec2").describe_security_groups(GroupIds=[outputs["databaseSecurityGroupId"]])["SecurityGroups"]
    # Not held against the database's port: the embedded cloud's PostgreSQL listens where the machine has a port free.
    (ports,) = {(rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) for rule in group["IpPermissions"]}
    assert ports == ("tcp", ports[1], ports[1])
    peers = [peer for rule in group["IpPermissions"] for peer in (*rule["UserIdGroupPairs"], *rule["IpRanges"])]
    others = {
        peer.get("GroupId") or peer["CidrIp"]
        for peer in peers
        if not peer.get("Description", "").startswith(("Application", "Operator"))  # the layer `clients`
    }
    assert others == {outputs["dmsSecurityGroupId"], outputs["functionSecurityGroupId"]}


def test_nothing_uses_the_default_group_which_cloudformation_cannot_empty(client: Any, vpc_filter: list[Any]) -> None:
    by_name = [*vpc_filter, {"Name": "group-name", "Values": ["default"]}]
    (group,) = client("ec2").describe_security_groups(Filters=by_name)["SecurityGroups"]
    by_group = [{"Name": "group-id", "Values": [group["GroupId"]]}]
    interfaces = client("ec2").describe_network_interfaces(Filters=by_group)["NetworkInterfaces"]
    assert [each["NetworkInterfaceId"] for each in interfaces] == []


def test_no_group_may_send_everywhere(client: Any, vpc_filter: list[Any]) -> None:
    groups = client("ec2").describe_security_groups(Filters=vpc_filter)["SecurityGroups"]
    open_groups = [
        group["GroupName"]
        for group in groups
        if group["GroupName"] != "default"  # CloudFormation cannot empty it; nothing wears it
        for rule in group["IpPermissionsEgress"]
        if EVERYWHERE & {item.get("CidrIp") or item.get("CidrIpv6") for item in rule["IpRanges"] + rule["Ipv6Ranges"]}
    ]
    assert open_groups == []


def test_secrets_manager_and_dms_have_interface_endpoints_and_s3_a_gateway(client: Any, vpc_filter: list[Any]) -> None:
    endpoints = client("ec2").describe_vpc_endpoints(Filters=vpc_filter)["VpcEndpoints"]
    kinds = {(endpoint["ServiceName"].rsplit(".", 1)[1], endpoint["VpcEndpointType"]) for endpoint in endpoints}
    assert {("secretsmanager", "Interface"), ("dms", "Interface"), ("s3", "Gateway")} <= kinds


def test_traffic_of_the_vpc_is_logged(client: Any, outputs: dict[str, str]) -> None:
    by_vpc = [{"Name": "resource-id", "Values": [outputs["vpcId"]]}]
    (log,) = client("ec2").describe_flow_logs(Filters=by_vpc)["FlowLogs"]
    assert (log["TrafficType"], log["LogDestinationType"]) == ("ALL", "cloud-watch-logs")
