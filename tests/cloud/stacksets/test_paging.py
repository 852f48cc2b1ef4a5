"""Pages of every list: sizes, tokens that lead on, tokens that belong to one list."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .conftest import Fleet, queue


@pytest.fixture
def wide(fleet: Fleet, members: list[str]) -> Fleet:
    """Two sets; the first has five instances in two regions, from two operations."""
    fleet.make()
    soft = {"ConcurrencyMode": "SOFT_FAILURE_TOLERANCE", "MaxConcurrentCount": 5, "RegionConcurrencyType": "PARALLEL"}
    fleet.deploy(members, OperationPreferences=soft)
    fleet.deploy(members, "eu-west-1", OperationPreferences=soft)
    fleet.api.create_stack_set(StackSetName="orders", TemplateBody=json.dumps(queue()))
    return fleet


def pages(fleet: Fleet, operation: str, **request: Any) -> list[list[Any]]:
    paginator = fleet.api.get_paginator(operation)
    found = paginator.paginate(**request, PaginationConfig={"PageSize": 2})
    return [page["Summaries"] for page in found]


def test_instances_come_in_pages_without_gap_or_repetition(wide: Fleet, members: list[str]) -> None:
    found = pages(wide, "list_stack_instances", StackSetName="payments")
    assert [len(page) for page in found] == [2, 2, 2, 2, 2]
    keys = [(each["Account"], each["Region"]) for page in found for each in page]
    assert keys == [(account, region) for account in members for region in ("eu-west-1", "us-east-1")]


def test_results_come_in_pages(wide: Fleet, members: list[str]) -> None:
    operation = wide.call("list_stack_set_operations")["Summaries"][0]["OperationId"]
    found = pages(wide, "list_stack_set_operation_results", StackSetName="payments", OperationId=operation)
    assert [each["Account"] for page in found for each in page] == members


def test_sets_and_operations_come_in_pages(wide: Fleet) -> None:
    names = [each["StackSetName"] for each in wide.api.list_stack_sets(MaxResults=1)["Summaries"]]
    token = wide.api.list_stack_sets(MaxResults=1)["NextToken"]
    names += [each["StackSetName"] for each in wide.api.list_stack_sets(NextToken=token)["Summaries"]]
    assert names == ["orders", "payments"]
    first = wide.call("list_stack_set_operations", MaxResults=1)
    rest = wide.call("list_stack_set_operations", NextToken=first["NextToken"])
    assert len({each["OperationId"] for each in first["Summaries"] + rest["Summaries"]}) == 2


def test_a_page_begins_where_the_last_ended_whatever_went_in_between(wide: Fleet, members: list[str]) -> None:
    first = wide.call("list_stack_instances", MaxResults=2)
    wide.run("delete_stack_instances", Accounts=members[:1], Regions=["us-east-1"], RetainStacks=True)
    second = wide.call("list_stack_instances", MaxResults=1, NextToken=first["NextToken"])
    assert (second["Summaries"][0]["Account"], second["Summaries"][0]["Region"]) == (members[1], "eu-west-1")


def test_a_token_of_another_list_is_refused(wide: Fleet) -> None:
    token = wide.call("list_stack_instances", MaxResults=2)["NextToken"]
    for foreign in (token, "garbage"):
        with pytest.raises(ClientError, match="NextToken"):
            wide.call("list_stack_set_operations", NextToken=foreign)


@pytest.mark.parametrize("size", [0, 101])
def test_a_page_has_one_to_a_hundred_items(cloud_client: Any, size: int) -> None:
    with pytest.raises(ClientError, match="at 'maxResults' failed to satisfy constraint: Member must have value"):
        cloud_client.list_stack_sets(MaxResults=size)


@pytest.fixture
def cloud_client(fleet: Fleet) -> Any:
    """A client that sends what the service must refuse."""
    arguments = fleet.cloud.client_arguments(fleet.administrator.number)
    return boto3.client("cloudformation", config=Config(parameter_validation=False), **arguments)


def test_instances_are_filtered_by_account_region_status_and_operation(wide: Fleet, members: list[str]) -> None:
    assert set(wide.instances(StackInstanceAccount=members[0])) == {
        (members[0], "us-east-1"),
        (members[0], "eu-west-1"),
    }
    assert {region for _, region in wide.instances(StackInstanceRegion="eu-west-1")} == {"eu-west-1"}
    wide.shut_out(members[0])
    last = wide.run("update_stack_instances", Accounts=members[:1], Regions=["us-east-1"])["OperationId"]
    failed = [{"Name": "DETAILED_STATUS", "Values": "FAILED"}, {"Name": "LAST_OPERATION_ID", "Values": last}]
    assert list(wide.instances(Filters=failed)) == [(members[0], "us-east-1")]


def test_results_are_filtered_by_status(wide: Fleet, members: list[str]) -> None:
    wide.shut_out(members[1])
    operation = wide.run("update_stack_instances", Accounts=members, Regions=["us-east-1"])["OperationId"]
    status = {"Name": "OPERATION_RESULT_STATUS", "Values": "CANCELLED"}
    found = wide.call("list_stack_set_operation_results", OperationId=operation, Filters=[status])["Summaries"]
    assert [each["Account"] for each in found] == members[2:]
