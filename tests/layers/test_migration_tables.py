"""The table mappings of the migration layer: the schemas that are named, and what rules of single tables take out."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from .migration_layer import matches, properties_of


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("migration")


@pytest.fixture
def properties(built: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The properties of a resource with the parameters of a test."""
    return functools.partial(properties_of, built)


MARKER = {
    "rule-type": "selection",
    "rule-id": "6",
    "rule-name": "marker",
    "object-locator": {"schema-name": "stackferry", "table-name": "marker"},
    "rule-action": "include",
}


def every_rule(properties: Callable[..., Any], **given: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = json.loads(properties("ReplicationTask", **given)["TableMappings"])["rules"]
    return rules


def mappings(properties: Callable[..., Any], **given: str) -> list[dict[str, Any]]:
    """The rules beside that of the marker."""
    return [rule for rule in every_rule(properties, **given) if rule != MARKER]


def test_the_task_carries_all_tables_of_the_schema_that_is_named(properties: Callable[..., Any]) -> None:
    assert mappings(properties) == [
        {
            "rule-type": "selection",
            "rule-id": "1",
            "rule-name": "schema-1",
            "object-locator": {"schema-name": "payments", "table-name": "%"},
            "rule-action": "include",
        }
    ]


def test_the_marker_travels_with_the_schemas_under_a_number_that_none_of_them_has(
    properties: Callable[..., Any],
) -> None:
    names = {f"SchemaName{number}": f"schema{number}" for number in range(1, 6)}
    assert every_rule(properties, **names)[-1] == MARKER
    assert every_rule(properties)[1:] == [MARKER]


def test_every_further_schema_has_a_rule_of_its_own_number(properties: Callable[..., Any]) -> None:
    names = {f"SchemaName{number}": f"schema{number}" for number in range(1, 6)}
    rules = mappings(properties, **names)
    assert [rule["object-locator"]["schema-name"] for rule in rules] == list(names.values())
    assert [rule["rule-id"] for rule in rules] == ["1", "2", "3", "4", "5"]
    assert len({rule["rule-name"] for rule in rules}) == 5


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_a_schema_that_is_not_given_has_no_rule(properties: Callable[..., Any], number: int) -> None:
    rules = mappings(properties, **{f"SchemaName{number}": "ledger"})
    assert [rule["object-locator"]["schema-name"] for rule in rules] == ["payments", "ledger"]
    assert [rule["rule-id"] for rule in rules] == ["1", str(number)]


def test_an_underscore_in_a_schemas_name_is_no_wildcard(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="card_payments")
    assert rule["object-locator"]["schema-name"] == "card[_]payments"


@pytest.mark.parametrize("parameter", [f"SchemaName{number}" for number in range(1, 6)])
@pytest.mark.parametrize(
    "name",
    [
        *("%", "pay%", "pg_catalog", "pg_temp", "information_schema", "a.b", 'a"b', "a b", "1st", "x" * 64),
        *("a\\b", "a[b]", "a,b", "a\nb", "-a", "$a"),
    ],
)
def test_a_schema_that_takes_more_than_itself_is_refused(built: dict[str, Any], parameter: str, name: str) -> None:
    assert not matches(built, parameter, name)


@pytest.mark.parametrize(
    "name",
    [
        *("payments", "Payments", "card_payments", "pgbouncer", "information_schemas", "a-b$1"),
        *("_archive", "__", "zählung", "платежи", "支払"),
    ],
)
def test_an_ordinary_schema_is_taken(built: dict[str, Any], name: str) -> None:
    assert matches(built, "SchemaName1", name)


def test_the_first_schema_has_to_be_named_and_the_others_may_stay_empty(built: dict[str, Any]) -> None:
    assert [matches(built, f"SchemaName{number}", "") for number in range(1, 6)] == [False, True, True, True, True]


def test_an_underscore_at_the_beginning_of_a_schemas_name_is_no_wildcard_either(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="_archive")
    assert rule["object-locator"]["schema-name"] == "[_]archive"


def test_a_schema_beyond_ascii_stands_in_the_mapping_as_it_is_called(properties: Callable[..., Any]) -> None:
    (rule,) = mappings(properties, SchemaName1="платежи")
    assert rule["object-locator"]["schema-name"] == "платежи"


# The rules of single tables

AUDIT = {"schema-name": "payments", "table-name": "audit[_]archive"}
DOCUMENTS = {"schema-name": "payments", "table-name": "documents"}
EXCLUDE = {
    "rule-type": "selection",
    "rule-id": "10",
    "rule-name": "no audit archive",
    "object-locator": AUDIT,
    "rule-action": "exclude",
}
LIMITED = {
    "rule-type": "table-settings",
    "rule-id": "11",
    "rule-name": "documents",
    "object-locator": DOCUMENTS,
    "lob-settings": {"mode": "limited", "bulk-max-size": "192"},
}
UNLIMITED = LIMITED | {"lob-settings": {"mode": "unlimited", "bulk-max-size": "0"}}
GENERATED = {
    "rule-type": "transformation",
    "rule-id": "12",
    "rule-name": "counters.twice",
    "rule-target": "column",
    "object-locator": {"schema-name": "payments", "table-name": "counters", "column-name": "twice"},
    "rule-action": "remove-column",
}


def joined(*rules: dict[str, Any], compact: bool = False) -> str:
    """Rules as the parameter has them."""
    return json.dumps(rules, separators=(",", ":") if compact else None)[1:-1]


@pytest.mark.parametrize("compact", [True, False])
def test_rules_of_single_tables_follow_those_of_the_schemas(
    built: dict[str, Any], properties: Callable[..., Any], compact: bool
) -> None:
    given = joined(EXCLUDE, LIMITED, GENERATED, compact=compact)
    assert matches(built, "TableRules", given)
    assert mappings(properties, TableRules=given)[1:] == [EXCLUDE, LIMITED, GENERATED]


def test_a_table_may_have_its_large_values_whole_whatever_their_size(built: dict[str, Any]) -> None:
    assert matches(built, "TableRules", joined(UNLIMITED))


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(EXCLUDE | {"rule-action": "include"}, id="schemas_say_what_is_included"),
        pytest.param(EXCLUDE | {"rule-id": "5"}, id="the_id_of_a_schemas_rule"),
        pytest.param(EXCLUDE | {"rule-id": 10}, id="an_id_that_is_no_text"),
        pytest.param(EXCLUDE | {"object-locator": {"schema-name": "payments"}}, id="no_table"),
        pytest.param({key: EXCLUDE[key] for key in EXCLUDE if key != "rule-name"}, id="no_name"),
        pytest.param(LIMITED | {"lob-settings": {"mode": "limited", "bulk-max-size": "0"}}, id="limited_to_nothing"),
        pytest.param(LIMITED | {"lob-settings": {"mode": "limited"}}, id="limited_without_a_size"),
        pytest.param(GENERATED | {"rule-action": "rename", "value": "x"}, id="another_transformation"),
        pytest.param(GENERATED | {"rule-target": "table"}, id="a_whole_table_removed"),
        pytest.param(GENERATED | {"object-locator": {**AUDIT, "column-name": 'a"b'}}, id="a_quote_in_a_name"),
    ],
)
def test_a_rule_that_does_something_else_is_refused_before_dms_reads_it(
    built: dict[str, Any], rule: dict[str, Any]
) -> None:
    assert not matches(built, "TableRules", joined(rule))
    assert not matches(built, "TableRules", joined(EXCLUDE, rule))


@pytest.mark.parametrize(
    "text", ["payments.audit", json.dumps([EXCLUDE]), joined(EXCLUDE) + ",", joined(EXCLUDE) + joined(LIMITED)]
)
def test_what_is_no_list_of_rules_is_refused(built: dict[str, Any], text: str) -> None:
    assert not matches(built, "TableRules", text)


def test_the_longest_parameter_of_rules_is_read_in_no_time(built: dict[str, Any]) -> None:
    rules = [EXCLUDE | {"rule-id": str(number)} for number in range(10, 34)]
    assert matches(built, "TableRules", joined(*rules))
    assert not matches(built, "TableRules", joined(*rules, EXCLUDE | {"rule-action": "include"}))
    assert len(joined(*rules)) > 3600
