"""Which layer goes before which, forwards and backwards."""

from __future__ import annotations

import json

import pytest

from builders.errors import RolloutError
from builders.stack_diff.exports import Graph, Interface, interface, order_by_interfaces

NEEDS = {"database": frozenset({"network"})}


def layers(exports: str, imports: str) -> dict[str, Interface]:
    """`network` that exports some names, `database` that imports some; a name is a letter."""
    return {
        "network": Interface(frozenset(exports), frozenset()),
        "database": Interface(frozenset(), frozenset(imports)),
    }


def first(found: Graph) -> str:
    (layer,) = (layer for layer, waits in found.items() if not waits)
    return layer


def test_a_layer_follows_what_it_needs() -> None:
    assert first(order_by_interfaces(layers("a", "a"), layers("a", "a"), NEEDS, back=False)) == "network"


def test_a_rollback_goes_the_other_way() -> None:
    assert first(order_by_interfaces(layers("a", "a"), layers("a", "a"), NEEDS, back=True)) == "database"


def test_an_export_is_dropped_behind_its_importer() -> None:
    assert first(order_by_interfaces(layers("ab", "ab"), layers("a", "a"), NEEDS, back=False)) == "database"


def test_a_rollback_brings_an_export_back_before_its_importer() -> None:
    assert first(order_by_interfaces(layers("a", "a"), layers("ab", "ab"), NEEDS, back=True)) == "network"


def test_a_layer_that_goes_away_goes_before_what_it_needs() -> None:
    to_be = {"network": Interface(frozenset("a"), frozenset())}
    assert first(order_by_interfaces(layers("a", "a"), to_be, NEEDS, back=False)) == "database"


def test_a_layer_that_comes_back_follows_what_comes_back_with_it() -> None:
    assert first(order_by_interfaces({}, layers("a", "a"), NEEDS, back=True)) == "network"


def test_an_import_that_changes_sides_at_once_is_refused_with_the_way_round() -> None:
    with pytest.raises(RolloutError, match="roll out the new export, then the new import, then drop the old export"):
        order_by_interfaces(layers("a", "a"), layers("b", "b"), NEEDS, back=False)


def test_layers_that_need_each_other_are_refused() -> None:
    both = {**NEEDS, "network": frozenset({"database"})}
    with pytest.raises(RolloutError, match="in a circle"):
        order_by_interfaces({}, layers("a", "a"), both, back=False)


def test_both_sides_of_an_export_are_read_from_the_templates() -> None:
    name = {"Fn::Sub": "network-VpcId-${EnvironmentSuffix}"}
    outputs = {"VpcId": {"Value": "v", "Export": {"Name": name}}, "Other": {"Value": "w"}}
    group = {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": [{"Fn::ImportValue": name}]}}
    exporting = json.dumps({"Resources": {}, "Outputs": outputs})
    importing = json.dumps({"Resources": {"Group": group}})
    assert interface(exporting).exports == interface(importing).imports == {"network-VpcId-${EnvironmentSuffix}"}
