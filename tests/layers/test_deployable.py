"""That every layer deploys: beside other environments, by stack sets, with its defaults, and again after a deletion.

What the resources themselves promise is in test_promises.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from builders import catalog
from builders.naming import SUFFIX_MAX_LENGTH

KEPT = {
    "AWS::KMS::Key": "Retain",
    "AWS::RDS::DBInstance": "Snapshot",
    "AWS::SecretsManager::Secret": "Retain",
}
"""Types that hold data, or open it, and how they outlive their stack."""


@pytest.fixture(params=catalog.layer_names())
def built(request: pytest.FixtureRequest, template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The template of each layer in turn."""
    return template(request.param)


def conditions_in(node: Any) -> set[str]:
    """The conditions that a part of a template refers to."""
    match node:
        case {"Fn::If": [name, *rest]}:
            return {name} | conditions_in(rest)
        case dict():
            own = {node["Condition"]} if isinstance(node.get("Condition"), str) else set()
            return own.union(*(conditions_in(part) for part in node.values()))
        case list():
            return set().union(*(conditions_in(part) for part in node))
        case _:
            return set()


def fits(parameter: dict[str, Any]) -> bool:
    """True where the default of a parameter, if it has one, is a value that the parameter takes."""
    if "Default" not in parameter:
        return True
    text = str(parameter["Default"])
    items = text.split(",") if "List" in parameter["Type"] else [text]
    allowed = [str(value) for value in parameter.get("AllowedValues", items)]
    in_range = "MinValue" not in parameter or parameter["MinValue"] <= int(text) <= parameter["MaxValue"]
    return in_range and all(
        re.fullmatch(parameter.get("AllowedPattern", ".*"), item) and item in allowed for item in items
    )


def test_every_default_is_within_its_own_bounds(built: dict[str, Any]) -> None:
    assert [name for name, parameter in built["Parameters"].items() if not fits(parameter)] == []


def test_every_condition_decides_something(built: dict[str, Any]) -> None:
    conditions = built.get("Conditions", {})
    used = conditions_in(built["Resources"]) | conditions_in(built.get("Outputs")) | conditions_in(conditions)
    assert set(conditions) - used == set()


def test_every_export_carries_the_suffix_so_that_environments_share_an_account(built: dict[str, Any]) -> None:
    exports = {name: body["Export"]["Name"] for name, body in built.get("Outputs", {}).items() if "Export" in body}
    assert [name for name, export in exports.items() if not export["Fn::Sub"].endswith("-${EnvironmentSuffix}")] == []


def test_what_holds_data_outlives_the_stack(built: dict[str, Any]) -> None:
    lost = [
        logical_id
        for logical_id, body in built["Resources"].items()
        if {body.get("DeletionPolicy"), body.get("UpdateReplacePolicy")} != {KEPT.get(body["Type"])}
        and body["Type"] in KEPT
    ]
    assert lost == []


def test_a_stack_set_can_carry_the_template(built: dict[str, Any]) -> None:
    """Service-managed stack sets refuse transforms, macros and nested stacks."""
    assert "Transform" not in built
    assert "Fn::Transform" not in json.dumps(built)
    assert "AWS::CloudFormation::Stack" not in {body["Type"] for body in built["Resources"].values()}


@pytest.mark.parametrize("suffix", ["", "Dev", "1st", "-dev", "dev-", "de--v", "eu-dev", "dev_1", "dev.1", "dev stage"])
def test_a_suffix_that_would_spoil_a_name_is_refused(built: dict[str, Any], suffix: str) -> None:
    assert not re.fullmatch(built["Parameters"]["EnvironmentSuffix"]["AllowedPattern"], suffix)


def test_a_suffix_that_is_too_long_for_a_name_is_refused(built: dict[str, Any]) -> None:
    assert built["Parameters"]["EnvironmentSuffix"]["MaxLength"] == SUFFIX_MAX_LENGTH


@pytest.mark.parametrize("suffix", ["d", "dev", "pr1234", "s" * SUFFIX_MAX_LENGTH])
def test_an_ordinary_suffix_is_taken(built: dict[str, Any], suffix: str) -> None:
    assert re.fullmatch(built["Parameters"]["EnvironmentSuffix"]["AllowedPattern"], suffix)
