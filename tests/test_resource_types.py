"""Answers of the registry's schemas about a type."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from builders.resource_types import ResourceType, load, value_at


def kind(name: str) -> ResourceType:
    found = load(name)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("AWS::S3::Bucket", "BucketName"),
        ("AWS::RDS::DBInstance", "DBInstanceIdentifier"),
        ("AWS::IAM::ManagedPolicy", "ManagedPolicyName"),
        ("AWS::DMS::ReplicationTask", "ReplicationTaskIdentifier"),
        # Its table and its range say where a route is; nothing names it.
        ("AWS::EC2::Route", ""),
        ("AWS::EC2::TransitGatewayRouteTableAssociation", ""),
        ("AWS::EC2::VPC", ""),
    ],
)
def test_the_name_of_a_resource_is_the_property_that_only_names(name: str, expected: str) -> None:
    assert kind(name).name_property == expected


def test_every_property_that_is_said_to_name_a_type_is_there() -> None:
    from builders.resource_types import NAME_PROPERTIES

    for name, path in NAME_PROPERTIES.items():
        assert kind(name).definition(path)["type"] == "string"


def test_what_replaces_a_database_and_what_may() -> None:
    database = kind("AWS::RDS::DBInstance")
    assert {"DBName", "KmsKeyId", "StorageEncrypted"} <= set(database.create_only)
    assert {"Engine", "MultiAZ"} <= set(database.conditional_create_only)


def test_a_replacement_that_deletes_first_is_known() -> None:
    assert kind("AWS::EC2::SubnetRouteTableAssociation").deleted_first
    assert not kind("AWS::EC2::Subnet").deleted_first


def test_a_type_that_the_registry_lacks_is_none() -> None:
    assert load("Own::Registry::Type") is None


def test_a_region_without_the_type_falls_back_to_the_one_that_has_most() -> None:
    assert load("AWS::EC2::VPC", "xx-nowhere-1") is not None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("A", {"B": 1, "L": [{"C": 2}, {}, 3]}),
        ("A.B", 1),
        ("A.L.*", [{"C": 2}, {}, 3]),
        ("A.L.*.C", [2, None, None]),
        ("A.B.*", None),
        ("A.B.C", None),
        ("Gone.B", None),
    ],
)
def test_a_value_is_found_by_its_path(path: str, expected: Any) -> None:
    assert value_at({"A": {"B": 1, "L": [{"C": 2}, {}, 3]}}, path) == expected


def test_importing_the_module_does_not_wait_for_the_linter() -> None:
    program = "import sys, builders.resource_types; sys.exit('cfnlint' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_properties_that_broke_nothing_say_nothing_of_others_that_look_alike() -> None:
    queue = kind("AWS::SQS::Queue")
    for _ in range(2):
        assert queue.violations({"DelaySeconds": 1, "FifoQueue": True}) == []
        sentences = [each.sentence for each in queue.violations({"DelaySeconds": "1", "FifoQueue": 1})]
        assert sentences == [
            "#/DelaySeconds: expected type: Integer, found: String",
            "#/FifoQueue: expected type: Boolean, found: Integer",
        ]
