"""Tables that a task's table mapping carries, and which of their columns.

Sources: DMS user guide, "Selection rules and actions", "Transformation rules and actions".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from builders.migration.definitions import Table
from builders.table_mappings import pattern


@dataclass(frozen=True)
class Mappings:
    """The rules of a task's table mapping; without rules all is carried."""

    rules: Sequence[Mapping[str, Any]] = ()

    def carries(self, table: Table) -> bool:
        """Return whether a table is carried: an explicit rule first, then exclusions before inclusions."""
        actions = {rule.get("rule-action") for rule in self._fitting("selection", table)}
        return not self.rules or "explicit" in actions or ("include" in actions and "exclude" not in actions)

    def left_out(self, tables: Iterable[Table]) -> dict[str, frozenset[str]]:
        """The columns that are removed on the way, by the name of their table."""
        found = {}
        for table in tables:
            patterns = [
                pattern(rule["object-locator"].get("column-name", "%"))
                for rule in self._fitting("transformation", table)
                if (rule.get("rule-target"), rule.get("rule-action")) == ("column", "remove-column")
            ]
            columns = {each.name for each in table.columns if any(known.fullmatch(each.name) for known in patterns)}
            if columns:
                found[str(table)] = frozenset(columns)
        return found

    def _fitting(self, kind: str, table: Table) -> list[Mapping[str, Any]]:
        return [
            rule
            for rule in self.rules
            if rule.get("rule-type") == kind
            and pattern(rule["object-locator"].get("schema-name", "%")).fullmatch(table.schema)
            and pattern(rule["object-locator"].get("table-name", "%")).fullmatch(table.name)
        ]


EVERYTHING = Mappings()
