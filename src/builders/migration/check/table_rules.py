"""The rules of single tables: which tables and columns a task leaves out, and the rules that a remedy offers.

Source: DMS user guide, "Using table mapping to specify task settings", wildcards and rule types.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.table_mappings import exactly, pattern

NUMBER = "N"
"""Stands for the rule's number in a remedy: a person gives each rule one of its own, from 10 on."""


@dataclass(frozen=True)
class Excluded:
    """Tables and columns that a task's mapping leaves out, as regular expressions."""

    tables: Sequence[tuple[str, str]] = ()
    columns: Sequence[tuple[str, str, str]] = ()
    limited: Mapping[tuple[str, str], int] | None = None
    """{(schema, table): KiB up to which a large value travels with its row}."""

    def parameters(self) -> dict[str, list[str]]:
        """The parameters of the checks' queries."""
        return {
            "excluded_schemas": [schema for schema, _ in self.tables],
            "excluded_tables": [table for _, table in self.tables],
            "removed_schemas": [schema for schema, _, _ in self.columns],
            "removed_tables": [table for _, table, _ in self.columns],
            "removed_columns": [column for _, _, column in self.columns],
        }


def excluded(rules: Iterable[Mapping[str, Any]]) -> Excluded:
    """Read the rules of a task's table mapping."""
    tables: list[tuple[str, str]] = []
    columns: list[tuple[str, str, str]] = []
    limited: dict[tuple[str, str], int] = {}
    for rule in rules:
        locator = rule.get("object-locator", {})
        schema, table = str(locator.get("schema-name", "")), str(locator.get("table-name", ""))
        if rule.get("rule-type") == "selection" and rule.get("rule-action") == "exclude":
            tables.append((_regular(schema), _regular(table)))
        if rule.get("rule-type") == "transformation" and rule.get("rule-action") == "remove-column":
            columns.append((_regular(schema), _regular(table), _regular(str(locator.get("column-name", "")))))
        if rule.get("rule-type") == "table-settings" and rule.get("lob-settings", {}).get("mode") == "limited":
            limited[schema, table] = int(rule["lob-settings"]["bulk-max-size"])
    return Excluded(tables, columns, limited)


def _regular(name: str) -> str:
    """A name with wildcards as PostgreSQL takes it: a regular expression of the whole name."""
    return f"^{pattern(name).pattern}$"


def exclude_table(schema: str, table: str, *, number: str = NUMBER) -> str:
    """The rule that leaves a table out."""
    locator = {"schema-name": exactly(schema), "table-name": exactly(table)}
    return _rule(number, {"rule-type": "selection"}, {"object-locator": locator, "rule-action": "exclude"})


def remove_column(schema: str, table: str, column: str, *, number: str = NUMBER) -> str:
    """The rule that leaves a column out."""
    locator = {"schema-name": exactly(schema), "table-name": exactly(table), "column-name": exactly(column)}
    rest = {"rule-target": "column", "object-locator": locator, "rule-action": "remove-column"}
    return _rule(number, {"rule-type": "transformation"}, rest)


def limit_large_values(schema: str, table: str, kibibytes: int, *, number: str = NUMBER) -> str:
    """The rule by which large values up to a size travel with their rows."""
    locator = {"schema-name": schema, "table-name": table}
    settings = {"mode": "limited", "bulk-max-size": str(kibibytes)}
    return _rule(number, {"rule-type": "table-settings"}, {"object-locator": locator, "lob-settings": settings})


def _rule(number: str, kind: Mapping[str, Any], rest: Mapping[str, Any]) -> str:
    rule = {**kind, "rule-id": number, "rule-name": number, **rest}
    return json.dumps(rule, separators=(",", ":"), ensure_ascii=False)
