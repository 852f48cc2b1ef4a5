"""What every layer promises, the ones that are yet to be written too: found by walking the catalog."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from builders import catalog
from builders.parameters import SUFFIX_MAX_LENGTH
from builders.stack import TEMPLATE_LIMIT_BYTES

TAGS = {"Name", "Environment", "MigrationPhase", "CostCenter", "ComplianceScope"}

LONGEST_NAME = {
    ("AWS::IAM::Role", "RoleName"): 64,
    ("AWS::KMS::Alias", "AliasName"): 256,
    ("AWS::Lambda::Function", "FunctionName"): 64,
    ("AWS::Logs::LogGroup", "LogGroupName"): 512,
    ("AWS::RDS::DBInstance", "DBInstanceIdentifier"): 63,
    ("AWS::S3::Bucket", "BucketName"): 63,
}
"""Characters that AWS allows, by type and property: the API reference of CreateRole, CreateAlias, CreateFunction,
CreateLogGroup, CreateDBInstance and CreateBucket."""

NAMES_OF_OTHERS = {("AWS::EC2::VPCEndpoint", "ServiceName")}
"""Properties that look like a name and are the name of something that AWS runs."""

KEPT = {
    "AWS::KMS::Key": "Retain",
    "AWS::RDS::DBInstance": "Snapshot",
    "AWS::SecretsManager::Secret": "Retain",
}
"""What holds data, or opens it, and how it outlives its stack."""

REGION = re.compile(r"\b(us|eu|ap|ca|sa|me|af|il|mx)-(gov-)?(north|south|east|west|central)[a-z]*-\d\b")


@pytest.fixture(params=catalog.names())
def layer(request: pytest.FixtureRequest) -> str:
    """Each layer in turn, by its name."""
    name: str = request.param
    return name


@pytest.fixture
def built(layer: str, template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The layer's template."""
    return template(layer)


def given_names(built: dict[str, Any]) -> Iterator[tuple[str, str, str, Any]]:
    """Logical id, type, property and value of the names that the template gives instead of leaving them to AWS."""
    for logical_id, body in built["Resources"].items():
        for name, value in body.get("Properties", {}).items():
            # A reference is a name that another resource or a parameter has.
            is_reference = isinstance(value, dict) and {"Ref", "Fn::GetAtt", "Fn::ImportValue"} & {*value}
            if name in naming_properties(body["Type"]) and not is_reference:
                yield logical_id, body["Type"], name, value


def naming_properties(kind: str) -> set[str]:
    """The properties that name a resource of this type: its sole identifier, or a name that cannot change."""
    schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", kind).schema
    fixed = {path for path in schema.get("createOnlyProperties", []) if path.endswith(("Name", "Identifier"))}
    sole = {*schema["primaryIdentifier"]} if len(schema["primaryIdentifier"]) == 1 else set()
    names = {path.rpartition("/")[2] for path in sole | fixed}
    return {name for name in names if (kind, name) not in NAMES_OF_OTHERS}


def written(value: Any, suffix: str) -> str:
    """A name as AWS would read it, in an environment with `suffix`."""
    match value:
        case {"Fn::Sub": str(text)}:
            return text.replace("${EnvironmentSuffix}", suffix)
        case {"Fn::Join": [separator, parts]}:
            return str(separator).join(written(part, suffix) for part in parts)
        case _:
            return str(value)


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


def test_everything_that_can_carry_tags_carries_all_of_them(built: dict[str, Any]) -> None:
    untagged = {}
    for logical_id, body in built["Resources"].items():
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", body["Type"]).schema
        tags = body.get("Properties", {}).get("Tags", [])
        carried = {tag["Key"] for tag in tags} if isinstance(tags, list) else set(tags)
        if "Tags" in schema["properties"] and not carried >= TAGS:
            untagged[logical_id] = TAGS - carried
    assert untagged == {}


def test_every_given_name_carries_the_suffix_so_that_a_second_environment_fits_beside_it(built: dict[str, Any]) -> None:
    names = {logical_id: written(value, "pr-1234") for logical_id, _, _, value in given_names(built)}
    assert {logical_id: name for logical_id, name in names.items() if "-pr-1234" not in name} == {}


def test_every_given_name_fits_with_the_longest_suffix(built: dict[str, Any]) -> None:
    longest = "s" * SUFFIX_MAX_LENGTH
    too_long = [
        (logical_id, name)
        for logical_id, kind, property_name, value in given_names(built)
        if len(name := written(value, longest)) > LONGEST_NAME[kind, property_name]
    ]
    assert too_long == []


def test_what_holds_data_outlives_the_stack(built: dict[str, Any]) -> None:
    policies = {
        logical_id: (body["Type"], body.get("DeletionPolicy"), body.get("UpdateReplacePolicy"))
        for logical_id, body in built["Resources"].items()
        if body["Type"] in KEPT
    }
    assert policies == {logical_id: (kind, KEPT[kind], KEPT[kind]) for logical_id, (kind, *_) in policies.items()}


def test_what_is_retained_bears_no_name_that_would_block_the_next_deployment(built: dict[str, Any]) -> None:
    named = {logical_id for logical_id, *_ in given_names(built)}
    retained = {logical_id for logical_id, body in built["Resources"].items() if body.get("DeletionPolicy") == "Retain"}
    assert named & retained == set()


def test_no_account_partition_or_region_is_written_out(built: dict[str, Any]) -> None:
    text = json.dumps(built)
    assert re.findall(r"\b\d{12}\b", text) == []
    assert re.findall(r"arn:aws[a-z-]*:", text) == []
    assert [match.group() for match in REGION.finditer(text)] == []


def test_every_parameter_is_described_and_bounded(built: dict[str, Any]) -> None:
    bounds = ({"AllowedPattern", "ConstraintDescription"}, {"AllowedValues"}, {"MinValue", "MaxValue"})
    loose = [
        name
        for name, body in built["Parameters"].items()
        if not body.get("Description")
        or not (body["Type"].startswith(("AWS::", "List<AWS::")) or any(bound <= {*body} for bound in bounds))
    ]
    assert loose == []


def test_every_default_is_within_its_own_bounds(built: dict[str, Any]) -> None:
    outside = []
    for name, body in built["Parameters"].items():
        default = body.get("Default")
        if default is None:
            continue
        items = str(default).split(",") if "List" in body["Type"] else [str(default)]
        pattern, allowed = body.get("AllowedPattern", ".*"), [str(value) for value in body.get("AllowedValues", items)]
        fits = all(re.fullmatch(pattern, item) and item in allowed for item in items)
        low, high = body.get("MinValue"), body.get("MaxValue")
        if not fits or (low is not None and not low <= int(default) <= high):
            outside.append(name)
    assert outside == []


def test_every_condition_decides_something(built: dict[str, Any]) -> None:
    used = (
        conditions_in(built["Resources"])
        | conditions_in(built.get("Outputs", {}))
        | conditions_in(built.get("Conditions"))
    )
    assert set(built.get("Conditions", {})) - used == set()


def test_every_export_carries_the_suffix(built: dict[str, Any]) -> None:
    exported = {name: body["Export"]["Name"] for name, body in built.get("Outputs", {}).items() if "Export" in body}
    assert [name for name, export in exported.items() if not written(export, "pr-1234").endswith("-pr-1234")] == []


def test_the_template_fits_into_one_call_without_a_bucket(built: dict[str, Any]) -> None:
    assert len(json.dumps(built, indent=1).encode()) < TEMPLATE_LIMIT_BYTES


def test_a_stack_set_can_carry_the_template(built: dict[str, Any]) -> None:
    """Service-managed stack sets refuse transforms, macros and nested stacks."""
    assert "Transform" not in built
    assert "Fn::Transform" not in json.dumps(built)
    assert "AWS::CloudFormation::Stack" not in {body["Type"] for body in built["Resources"].values()}


@pytest.mark.parametrize("suffix", ["", "Dev", "1st", "-dev", "dev-", "de--v", "dev_1", "dev.1", "dev stage"])
def test_a_suffix_that_would_spoil_a_name_is_refused(built: dict[str, Any], suffix: str) -> None:
    assert not re.fullmatch(built["Parameters"]["EnvironmentSuffix"]["AllowedPattern"], suffix)


@pytest.mark.parametrize("suffix", ["d", "dev", "pr-1234", "s" * SUFFIX_MAX_LENGTH])
def test_an_ordinary_suffix_is_taken(built: dict[str, Any], suffix: str) -> None:
    parameter = built["Parameters"]["EnvironmentSuffix"]
    assert re.fullmatch(parameter["AllowedPattern"], suffix)
    assert len(suffix) <= parameter["MaxLength"]
