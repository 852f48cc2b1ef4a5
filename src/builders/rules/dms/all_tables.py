"""W9307: table mappings that take every schema."""

from __future__ import annotations

from collections.abc import Iterator

from builders.rules._json_text import document_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template


class AllTables(Rule):
    """Reports a selection rule that includes the schema %, without any rule that excludes something."""

    id = "W9307"
    shortdesc = "Table mappings that take every schema"
    why = "It takes system and extension tables too, and every schema that somebody adds to the source later."
    source = "AWS DMS user guide, 'Selection rules and actions'"
    bad = """
    Resources:
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties:
          TableMappings: |
            {"rules": [{"rule-type": "selection", "rule-id": "1", "rule-name": "all", "rule-action": "include",
              "object-locator": {"schema-name": "%", "table-name": "%"}}]}
    """
    good = """
    Resources:
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties:
          TableMappings: |
            {"rules": [{"rule-type": "selection", "rule-id": "1", "rule-name": "payments", "rule-action": "include",
              "object-locator": {"schema-name": "payments", "table-name": "%"}}]}
    """

    def _findings(self, template: Template) -> Iterator[RuleFinding]:
        for task in template.resources("AWS::DMS::ReplicationTask"):
            for mappings in template.branches(task, "TableMappings"):
                document = document_of(template, mappings)
                rules = document.get("rules") if isinstance(document, dict) else None
                selections = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
                if any(rule.get("rule-action") == "exclude" for rule in selections):
                    continue
                locators = [rule.get("object-locator") for rule in selections if rule.get("rule-type") == "selection"]
                takes_all = any(isinstance(place, dict) and place.get("schema-name") == "%" for place in locators)
                if takes_all and template.possible(mappings):
                    yield RuleFinding(mappings, f"TableMappings of {task.name} takes the schema %: name the schemas")
