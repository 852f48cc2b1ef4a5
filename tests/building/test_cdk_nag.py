"""The templates as cdk-nag gets them: values instead of parameters and conditions, references left as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.cdk_nag.__main__ import ACCEPTED, LIBRARIES, PROJECT, Violation, complaints, resolved, run

ENVIRONMENTS = Path("environments")


@pytest.fixture(scope="module")
def templates() -> dict[str, dict[str, Any]]:
    return {
        f"{file}.{layer}": template
        for file in ("prod", "tooling")
        for layer, template in resolved(ENVIRONMENTS / f"{file}.json")
    }


def functions(node: Any) -> Iterator[str]:
    """The functions and conditions that are left in a template."""
    if isinstance(node, dict):
        if len(node) == 1:
            yield from (key for key in node if key == "Ref" or key.startswith("Fn::"))
        for value in node.values():
            yield from functions(value)
    elif isinstance(node, list):
        for value in node:
            yield from functions(value)


def test_nothing_but_references_to_resources_is_left_to_resolve(templates: dict[str, dict[str, Any]]) -> None:
    for name, template in templates.items():
        assert set(functions(template)) <= {"Ref", "Fn::GetAtt", "Fn::Sub"}, name


def test_a_value_of_the_environment_stands_in_the_template(templates: dict[str, dict[str, Any]]) -> None:
    assert templates["prod.database"]["Resources"]["Database"]["Properties"]["BackupRetentionPeriod"] == "35"


def test_a_reference_to_a_resource_stays_one(templates: dict[str, dict[str, Any]]) -> None:
    policy = templates["tooling.artifacts"]["Resources"]["BucketPolicy"]["Properties"]
    assert policy["Bucket"] == {"Ref": "Bucket"}


def test_what_is_not_accepted_and_what_is_no_longer_found_is_told() -> None:
    (accepted, *others) = ACCEPTED
    new = Violation("network", "Vpc", "VPCFlowLogsEnabled")
    assert complaints({"dev.network": [new, *others]}) == [
        "network with environments/dev.json: Vpc breaks VPCFlowLogsEnabled",
        f"{accepted.layer}: {accepted.resource} breaks {accepted.rule} no more; take it out of ACCEPTED",
    ]


def test_the_lock_file_has_a_hash_of_every_package_and_names_no_registry() -> None:
    locked = json.loads((PROJECT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    bundled = {name for name, package in locked.items() if package.get("inBundle")}
    assert [name for name, package in locked.items() if name not in bundled and "integrity" not in package] == [""]
    assert [name for name, package in locked.items() if "resolved" in package] == []


@pytest.mark.skipif(not LIBRARIES.is_dir(), reason="cdk-nag is not installed; make nag does it")
def test_an_open_database_is_found() -> None:
    database = {"Type": "AWS::RDS::DBInstance", "Properties": {"PubliclyAccessible": True, "Engine": "postgres"}}
    (found,) = run({"dev.database": {"Resources": {"Database": database}}}).values()
    assert Violation("database", "Database", "RDSInstancePublicAccess") in found
