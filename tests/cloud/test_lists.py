"""Lists end where AWS ends them and go on by a token, filters hold, and an id that is not there is an error.

Sources are beside what answers: `builders.cloud.server.lists`, `builders.cloud.cloudwatch`, `builders.cloud.kms`.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from builders.cloud.process import Cloud

from .conftest import Account

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)


@pytest.fixture(scope="module")
def listed(cloud: Cloud) -> Account:
    """An account with more of everything than one page holds."""
    account = Account(cloud, "510000000001")
    for number in range(101):
        account.client("iam").create_role(RoleName=f"r{number}", AssumeRolePolicyDocument=TRUST)
    for number in range(25):
        account.client("rds").create_db_parameter_group(
            DBParameterGroupName=f"g{number}", DBParameterGroupFamily="postgres17", Description="x"
        )
    for _ in range(5):
        account.client("kms").create_key()
    return account


def pages(account: Account, service: str, operation: str, key: str, size: int, **more: Any) -> list[int]:
    """The number of entries of each page."""
    found = account.client(service).get_paginator(operation).paginate(**more, PaginationConfig={"PageSize": size})
    return [len(page[key]) for page in found]


def refusal(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


def test_a_list_of_iam_ends_at_a_hundred_entries(listed: Account) -> None:
    first = listed.client("iam").list_roles()
    assert (first["IsTruncated"], len(first["Roles"])) == (True, 100)
    rest = listed.client("iam").list_roles(Marker=first["Marker"])
    assert (rest["IsTruncated"], len(rest["Roles"])) == (False, 1)


def test_a_list_of_iam_heeds_max_items(listed: Account) -> None:
    assert pages(listed, "iam", "list_roles", "Roles", 40) == [40, 40, 21]


def test_a_marker_that_no_list_gave_is_refused(listed: Account) -> None:
    assert refusal(listed.client("iam").list_roles, Marker="made-up") == "ValidationError"


def test_a_list_of_rds_heeds_max_records_within_its_bounds(listed: Account) -> None:
    assert pages(listed, "rds", "describe_db_parameter_groups", "DBParameterGroups", 20) == [20, 5]
    assert refusal(listed.client("rds").describe_db_instances, MaxRecords=5) == "InvalidParameterValue"


def test_a_filter_that_rds_does_not_have_is_refused(listed: Account) -> None:
    filters = [{"Name": "colour", "Values": ["red"]}]
    assert refusal(listed.client("rds").describe_db_snapshots, Filters=filters) == "InvalidParameterValue"


def test_a_list_of_ec2_heeds_max_results(listed: Account) -> None:
    for number in range(6):
        listed.client("ec2").create_security_group(GroupName=f"g{number}", Description="x")
    assert pages(listed, "ec2", "describe_security_groups", "SecurityGroups", 5) == [5, 2]


def test_keys_go_on_by_a_marker(listed: Account) -> None:
    assert pages(listed, "kms", "list_keys", "Keys", 2) == [2, 2, 1]


def test_events_of_a_log_go_on_though_they_have_one_time(listed: Account) -> None:
    logs, now = listed.client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    events = [{"timestamp": now, "message": f"m{number}"} for number in range(9)]
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)
    found = logs.get_paginator("filter_log_events").paginate(logGroupName="g", PaginationConfig={"PageSize": 4})
    assert [[each["message"] for each in page["events"]] for page in found] == [
        ["m0", "m1", "m2", "m3"],
        ["m4", "m5", "m6", "m7"],
        ["m8"],
    ]


@pytest.mark.parametrize(
    ("operation", "member", "identifier", "code"),
    [
        ("describe_route_tables", "RouteTableIds", "rtb-0123456789abcdef0", "InvalidRouteTableID.NotFound"),
        ("describe_network_acls", "NetworkAclIds", "acl-0123456789abcdef0", "InvalidNetworkAclID.NotFound"),
        ("describe_nat_gateways", "NatGatewayIds", "nat-0123456789abcdef0", "NatGatewayNotFound"),
        ("describe_addresses", "AllocationIds", "eipalloc-0123456789abcdef0", "InvalidAllocationID.NotFound"),
        ("describe_vpn_gateways", "VpnGatewayIds", "vgw-0123456789abcdef0", "InvalidVpnGatewayID.NotFound"),
    ],
)
def test_an_id_that_is_not_there_is_an_error(
    listed: Account, operation: str, member: str, identifier: str, code: str
) -> None:
    assert refusal(getattr(listed.client("ec2"), operation), **{member: [identifier]}) == code


def test_route_tables_are_filtered_by_their_routes(account: Account) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    found = ec2.describe_route_tables(Filters=[{"Name": "route.gateway-id", "Values": [gateway]}])["RouteTables"]
    assert table in [each["RouteTableId"] for each in found]
    assert all(gateway in [route.get("GatewayId") for route in each["Routes"]] for each in found)


def test_a_static_parameter_is_not_changed_at_once_and_a_dynamic_one_is(listed: Account) -> None:
    rds = listed.client("rds")

    def change(name: str, method: str) -> dict[str, Any]:
        changed = {"ParameterName": name, "ParameterValue": "5", "ApplyMethod": method}
        return {"DBParameterGroupName": "g1", "Parameters": [changed]}

    code = refusal(rds.modify_db_parameter_group, **change("max_connections", "immediate"))
    assert code == "InvalidParameterCombination"
    assert refusal(rds.modify_db_parameter_group, **change("no_such", "immediate")) == "InvalidParameterValue"
    with pytest.raises(ClientError, match="The parameter wal_level cannot be modified"):
        rds.modify_db_parameter_group(**change("wal_level", "pending-reboot"))
    rds.modify_db_parameter_group(**change("max_connections", "pending-reboot"))
    rds.modify_db_parameter_group(**change("log_min_duration_statement", "immediate"))
