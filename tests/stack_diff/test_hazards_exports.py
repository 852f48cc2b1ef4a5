"""Exports that another layer imports."""

from __future__ import annotations

from typing import Any

import pytest

from builders.stack_diff.comparison import Comparison, compare
from builders.stack_diff.exports import Imports, imports_of
from builders.stack_diff.hazards import Hazard, HazardKind, hazards_of
from builders.template_bodies import DeployedStack, evaluate_template

from .changing import HERE, deployed, layer, phase_values, released, template

NONE: frozenset[str] = frozenset()
USES = frozenset({"vpc-dev"})


def stack(width: int = 16, **export: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """A VPC whose id is exported, unless told otherwise: the resources and the outputs."""
    resources = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": f"10.0.0.0/{width}"}},
        "Check": {"Type": "Custom::Check", "Properties": {"Width": width}},
    }
    return resources, {"Vpc": {"Value": {"Ref": "Vpc"}, "Export": {"Name": "vpc-dev"}, **export}}


def update(before: tuple[Any, Any], after: tuple[Any, Any]) -> Comparison:
    return compare(deployed(before[0], Outputs=before[1]), template(after[0], Outputs=after[1]), {}, HERE)


def in_use(comparison: Comparison, **neighbours: Imports) -> list[Hazard]:
    found = hazards_of("network", comparison, neighbours=neighbours)
    return [hazard for hazard in found if hazard.kind is HazardKind.EXPORT_IN_USE]


def test_an_export_whose_resource_is_replaced_is_refused_while_it_is_imported() -> None:
    (hazard,) = in_use(update(stack(16), stack(15)), database=Imports(USES, USES), access=Imports(NONE, NONE))
    assert hazard == Hazard(
        HazardKind.EXPORT_IN_USE,
        "network",
        "vpc-dev",
        "export vpc-dev is changed, since Vpc is replaced; imported by database: CloudFormation refuses",
        "two releases: first one that drops the import from database, then this one",
        acknowledgeable=False,
    )


def test_an_export_that_nobody_imports_may_change() -> None:
    assert in_use(update(stack(16), stack(15)), access=Imports(NONE, NONE)) == []


def test_an_importer_that_drops_the_import_in_this_release_goes_first() -> None:
    (hazard,) = in_use(
        update(stack(16), stack(15)),
        database=Imports(USES, NONE),
        migration=Imports(USES, NONE),
        new=Imports(NONE, USES),
    )
    assert hazard.needs_order == ("database", "migration")
    assert hazard.remedy == "deploy database, migration first: this release drops the import"


def test_one_importer_that_stays_makes_two_releases() -> None:
    (hazard,) = in_use(update(stack(16), stack(15)), a=Imports(USES, NONE), b=Imports(USES, USES))
    assert hazard.needs_order == ()
    assert hazard.remedy == "two releases: first one that drops the import from b, then this one"


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ((stack()[0], {}), "is removed"),
        (stack(Export={"Name": "vpc-prod"}), "is removed"),
        (stack(Value="vpc-0"), "is changed from ${Vpc} to vpc-0"),
    ],
)
def test_a_removed_or_changed_export_says_how(after: tuple[Any, Any], reason: str) -> None:
    (hazard,) = in_use(update(stack(), after), database=Imports(USES, USES))
    assert hazard.message.startswith(f"export vpc-dev {reason}; imported by database")


@pytest.mark.parametrize(
    "value",
    [{"Fn::GetAtt": ["Check", "Answer"]}, {"Fn::GetAtt": ["Vpc", "DefaultNetworkAcl"]}],
)
def test_a_value_that_may_come_out_the_same_can_be_acknowledged(value: Any) -> None:
    (hazard,) = in_use(update(stack(16, Value=value), stack(15, Value=value)), database=Imports(USES, USES))
    assert hazard.acknowledgeable


def test_a_stack_that_goes_takes_its_exports_with_it() -> None:
    resources, outputs = stack()
    (hazard,) = in_use(compare(deployed(resources, Outputs=outputs), "", {}, HERE), database=Imports(USES, USES))
    assert hazard.message.startswith("export vpc-dev is removed; imported by database")


def exports_of(name: str) -> set[str]:
    return set(evaluate_template(layer(name), phase_values(), *HERE)[0].exports)


def test_another_range_of_the_network_stops_at_the_layers_above_it() -> None:
    imports = imports_of(layer("database"), phase_values(), HERE)
    neighbours = {"database": Imports(imports, imports)}
    found = in_use(released("network", VpcCidr="10.99.0.0/16"), **neighbours)
    assert {hazard.resource for hazard in found} == {
        "network-DatabaseSecurityGroupId-dev",
        "network-PrivateSubnetIds-dev",
    }


def test_another_port_of_the_database_stops_at_a_layer_that_imports_it() -> None:
    neighbours = {"mine": Imports(frozenset({"database-RdsPort-dev"}), frozenset({"database-RdsPort-dev"}))}
    (hazard,) = in_use(released("database", DatabasePort="6432"), **neighbours)
    assert "is changed, since Port of Database is; imported by mine" in hazard.message


def test_what_layers_import_is_what_other_layers_export() -> None:
    exported = {
        name
        for each in ("foundation", "network", "secrets", "database", "database_users", "rotation", "migration")
        for name in exports_of(each)
    }
    for each in ("network", "database", "connectivity", "migration", "monitoring"):
        assert imports_of(layer(each), phase_values(), HERE) <= exported


def test_the_exports_that_stay_are_no_hazard() -> None:
    values = phase_values()
    same = compare(DeployedStack(layer("network"), values, "UPDATE_COMPLETE"), layer("network"), values, HERE)
    everything = frozenset(exports_of("network"))
    assert in_use(same, database=Imports(everything, everything)) == []
