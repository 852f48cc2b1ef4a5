"""Table mappings of a task: which tables are carried, under which names, without which columns.

Sources: DMS user guide, "Specifying table selection and transformations rules using JSON", "Selection rules and
actions", "Transformation rules and actions", "Table and collection settings rules and operations", "Wildcards in table
mapping". Of transformations those are carried out that `_ACTIONS` lists; of filters none. What is not carried out is
refused, and never left out in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from builders.cloud.dms.faults import invalid
from builders.logical_decoding import Name
from builders.table_mappings import pattern

_SELECTIONS = ("include", "exclude", "explicit")
_TYPES = ("selection", "transformation", "table-settings", "object-mapping", "post-processing")
_TARGETS = ("schema", "table", "column", "table-tablespace", "index-tablespace")
_ACTIONS = {
    "schema": ("rename", "convert-lowercase", "convert-uppercase", "add-prefix", "add-suffix"),
    "table": ("rename", "convert-lowercase", "convert-uppercase", "add-prefix", "add-suffix"),
    "column": ("rename", "convert-lowercase", "convert-uppercase", "remove-column", "include-column"),
}


@dataclass(frozen=True)
class LobSettings:
    """The way that one table's large values travel (table-settings, "lob-settings"); None is the task's setting."""

    mode: str | None = None
    bulk_max_size: int | None = None
    """KiB: what "limited" cuts off at, and what "unlimited" (full LOB mode) carries within the row of the load."""


@dataclass(frozen=True)
class Rule:
    """One rule: its kind, what it is about, and the rest of it unchanged."""

    kind: str
    schema: re.Pattern[str]
    table: re.Pattern[str]
    text: Mapping[str, Any]

    def fits(self, name: Name) -> bool:
        """Return whether the rule's locator names a table."""
        return bool(self.schema.fullmatch(name[0]) and self.table.fullmatch(name[1]))


@dataclass(frozen=True)
class Mappings:
    """All rules of a task."""

    rules: Sequence[Rule] = field(default_factory=tuple)

    def selects(self, name: Name) -> bool:
        """Return whether a table is carried: an explicit rule first, then exclusions before inclusions."""
        fitting = [rule.text["rule-action"] for rule in self.rules if rule.kind == "selection" and rule.fits(name)]
        return "explicit" in fitting or ("include" in fitting and "exclude" not in fitting)

    def order(self, name: Name) -> int:
        """Return a table's load-order; higher ones are loaded first."""
        orders = [int(rule.text.get("load-order", 0)) for rule in self.rules if rule.kind == "selection"
                  and rule.fits(name)]  # fmt: skip
        return max(orders, default=0)

    def target(self, name: Name) -> Name:
        """Return what a table is called in the target."""
        schema, table = name
        for rule in self._transformations("schema", name):
            schema = _renamed(rule.text, schema)
        for rule in self._transformations("table", name):
            table = _renamed(rule.text, table)
        return schema, table

    def column(self, name: Name, column: str) -> str | None:
        """Return what a column is called in the target; None where it is left out."""
        rules = list(self._transformations("column", name))
        included = [rule for rule in rules if rule.text["rule-action"] == "include-column"]
        if included and not any(_is_about(rule, column) for rule in included):
            return None
        found = column
        for rule in rules:
            if rule.text["rule-action"] == "include-column" or not _is_about(rule, column):
                continue
            if rule.text["rule-action"] == "remove-column":
                return None
            found = _renamed(rule.text, found)
        return found

    def lob_settings(self, name: Name) -> LobSettings:
        """Return what is set for a table's large values."""
        for rule in self.rules:
            if rule.kind == "table-settings" and rule.fits(name) and "lob-settings" in rule.text:
                given = rule.text["lob-settings"]
                size = given.get("bulk-max-size")
                return LobSettings(given.get("mode"), None if size is None else int(size))
        return LobSettings()

    def _transformations(self, target: str, name: Name) -> list[Rule]:
        return [
            rule
            for rule in self.rules
            if rule.kind == "transformation" and rule.text["rule-target"] == target and rule.fits(name)
        ]


def check(text: str) -> None:
    """Refuse table mappings that DMS does not take; what the embedded cloud does not carry out is taken.

    Raises InvalidParameterValueException.
    """
    rules = _rules(text)
    selections = [each for each in rules if each.get("rule-type") == "selection"]
    if not selections:
        raise invalid("Invalid table mappings document. At least one selection rule is required")
    identifiers = [str(each.get("rule-id")) for each in rules]
    if len(set(identifiers)) != len(identifiers):
        raise invalid("Invalid table mappings document. Duplicate rule-id")
    for rule in rules:
        kind, action, locator = rule.get("rule-type"), rule.get("rule-action"), rule.get("object-locator")
        if kind not in _TYPES:
            raise invalid(f"Invalid rule-type {kind!r}")
        if kind == "selection" and action not in _SELECTIONS:
            raise invalid(f"Invalid rule-action {action!r} of a selection rule: it is {', '.join(_SELECTIONS)}")
        if kind == "selection" and not (isinstance(locator, dict) and {"schema-name", "table-name"} <= set(locator)):
            raise invalid(f"Rule {rule.get('rule-id')} has no schema-name or table-name in its object-locator")
        if kind == "transformation" and (rule.get("rule-target") not in _TARGETS or not action):
            raise invalid(f"Rule {rule.get('rule-id')} has no rule-target or rule-action of a transformation")


def _rules(text: str) -> list[dict[str, Any]]:
    try:
        rules = json.loads(text)["rules"]
    except (ValueError, KeyError, TypeError) as error:
        raise invalid(f"Invalid table mappings document, malformed json or missing rules: {error}") from error
    if not isinstance(rules, list) or not all(isinstance(each, dict) for each in rules):
        raise invalid("Invalid table mappings document, malformed json or missing rules: rules is no list of objects")
    return rules


def read(text: str) -> Mappings:
    """Read table mappings. Raises InvalidParameterValueException where DMS does not take them, or where the embedded
    cloud cannot carry them out."""
    check(text)
    rules = _rules(text)
    return Mappings(tuple(_rule(each) for each in rules))


def _rule(rule: Mapping[str, Any]) -> Rule:
    kind, action = rule.get("rule-type"), rule.get("rule-action")
    if kind == "selection" and action not in _SELECTIONS:
        raise invalid(f"Invalid rule-action {action!r} of a selection rule: it is {', '.join(_SELECTIONS)}")
    if kind == "transformation" and action not in _ACTIONS.get(str(rule.get("rule-target")), ()):
        raise invalid(f"{rule.get('rule-target')}: {action} is a transformation that the embedded cloud does not make")
    if kind not in ("selection", "transformation", "table-settings"):
        raise invalid(f"Invalid rule-type {kind!r}")
    if rule.get("filters"):
        raise invalid("filters of the source are not carried out by the embedded cloud")
    locator = rule.get("object-locator") or {}
    if "schema-name" not in locator:
        raise invalid(f"Rule {rule.get('rule-id')} has no schema-name in its object-locator")
    return Rule(str(kind), pattern(locator["schema-name"]), pattern(locator.get("table-name", "%")), rule)


def _is_about(rule: Rule, column: str) -> bool:
    return bool(pattern(rule.text["object-locator"].get("column-name", "%")).fullmatch(column))


def _renamed(rule: Mapping[str, Any], name: str) -> str:
    value = str(rule.get("value", ""))
    renamed = {
        "rename": value,
        "convert-lowercase": name.lower(),
        "convert-uppercase": name.upper(),
        "add-prefix": value + name,
        "add-suffix": name + value,
    }
    return renamed[rule["rule-action"]]
