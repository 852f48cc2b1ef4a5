"""The tables that the task carries: all of the named schemas, less what the rules of single tables take out."""

from __future__ import annotations

import json
from typing import Any

from troposphere import Equals, If, Join, Not, NoValue, Parameter, Ref, Split, Sub

from builders import naming, parameters
from builders.layers._migration import choices
from builders.stack import Stack

_ID = r"[1-9]\d{1,5}"
"""Ids of two digits at least: 1 to MOST_SCHEMAS are those of the schemas' own rules, and the next is the marker's."""
_NAME = r'"[^"\\]{1,130}"'
_KIBIBYTES = r"[1-9]\d{0,5}"


def table_rules() -> Parameter:
    """Rules of single tables, in DMS's own words, so that its guide explains them and DMS shows them as they stand.

    CloudFormation has no loop that could make them from a list of names. Three kinds are taken, and no rule that
    includes: what is migrated is named by its schema. The sizes of large values are strings there (DMS user guide,
    "Table and collection settings rules and operations").
    """
    return parameters.string(
        "TableRules",
        "DMS table-mapping rules of single tables, joined by commas, or empty: exclude a table, set how its large "
        "values travel, leave a column out; docs/migration.md has one of each",
        pattern=f"^$|^{_RULE}(, ?{_RULE})*$",
        explanation="JSON objects as docs/migration.md shows them, their keys in that order and rule-id from 10 on: "
        "selection with exclude, table-settings with lob-settings, transformation with remove-column",
        default="",
        max_length=naming.PARAMETER_LIMIT_BYTES,
    )


def mappings(stack: Stack) -> Join:
    """A selection rule for each schema that is named: all its tables; then the marker's, and the single tables.

    Never the schema `%`, which takes system tables, too.
    """
    rules: list[Any] = [_selection(1, _literal(stack.parameter(choices.schema_name(1)).ref()))]
    for number in range(2, choices.MOST_SCHEMAS + 1):
        name = stack.parameter(choices.schema_name(number)).ref()
        given = stack.condition(f"HasSchemaName{number}", Not(Equals(name, "")))
        rules.append(If(given, _selection(number, _literal(name)), NoValue))
    rules.append(_MARKER)
    single = stack.parameter(table_rules()).ref()
    rules.append(If(stack.condition("HasTableRules", Not(Equals(single, ""))), single, NoValue))
    return Join("", ['{"rules":[', Join(",", rules), "]}"])


def _selection(number: int, schema: Any) -> Sub:
    return Sub(_include(number, f"schema-{number}", "${Schema}", "%"), {"Schema": schema})


def _include(number: int, name: str, schema: str, table: str) -> str:
    rule = {
        "rule-type": "selection",
        "rule-id": str(number),
        "rule-name": name,
        "object-locator": {"schema-name": schema, "table-name": table},
        "rule-action": "include",
    }
    return json.dumps(rule, separators=(",", ":"))


_MARKER = _include(choices.MOST_SCHEMAS + 1, "marker", naming.MARKER_SCHEMA, naming.MARKER_TABLE)
"""The table that shows what has arrived. A database without it, before `migrate-database schema`, has nothing there."""


def _literal(name: Ref) -> Join:
    """The name with its underscores kept from matching any character (DMS user guide, "Wildcards in table mapping")."""
    return Join("[_]", Split("_", name))


def _object(*members: tuple[str, str]) -> str:
    """The pattern of a JSON object with these members, in this order; a space may follow each mark."""
    return r"\{" + ", ?".join(f'"{key}": ?{value}' for key, value in members) + r"\}"


def _rule(kind: str, *members: tuple[str, str]) -> str:
    heading = (("rule-type", f'"{kind}"'), ("rule-id", f'"{_ID}"'), ("rule-name", _NAME))
    return _object(*heading, *members)


_TABLE = (("schema-name", _NAME), ("table-name", _NAME))
_LIMITED = _object(("mode", '"limited"'), ("bulk-max-size", f'"{_KIBIBYTES}"'))
_UNLIMITED = _object(("mode", '"unlimited"'), ("bulk-max-size", '"0"'))
_EXCLUDE = _rule("selection", ("object-locator", _object(*_TABLE)), ("rule-action", '"exclude"'))
_LARGE_VALUES = _rule(
    "table-settings", ("object-locator", _object(*_TABLE)), ("lob-settings", f"({_LIMITED}|{_UNLIMITED})")
)
_REMOVE_COLUMN = _rule(
    "transformation",
    ("rule-target", '"column"'),
    ("object-locator", _object(*_TABLE, ("column-name", _NAME))),
    ("rule-action", '"remove-column"'),
)
_RULE = f"({_EXCLUDE}|{_LARGE_VALUES}|{_REMOVE_COLUMN})"
