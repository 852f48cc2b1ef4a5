"""E9305: table mappings that DMS cannot read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from builders.rules._json_text import document_of
from builders.rules._rule import Rule, RuleFinding
from builders.rules._template import Template
from builders.rules._values import ABSENT

_ACTIONS = ("include", "exclude", "explicit")
_TYPES = ("selection", "transformation", "table-settings", "object-mapping")


class TableMappings(Rule):
    """Reports TableMappings that are not JSON, select nothing, or hold a rule without its parts."""

    id = "E9305"
    shortdesc = "Table mappings that DMS cannot read"
    why = "CloudFormation takes any text; DMS refuses the task, or it starts and moves nothing."
    source = "AWS DMS user guide, 'Specifying table selection and transformations rules using JSON'"
    bad = """
    Resources:
      Task:
        Type: AWS::DMS::ReplicationTask
        Properties:
          TableMappings: '{"rules": [{"rule-type": "selection", "rule-id": "1", "rule-action": "include"}]}'
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
                if mappings.value is ABSENT or not template.possible(mappings):
                    continue
                for problem in _problems(document_of(template, mappings)):
                    yield RuleFinding(mappings, f"TableMappings of {task.name} {problem}")


def _problems(document: Any) -> Iterator[str]:
    if isinstance(document, json.JSONDecodeError):
        yield f"is not JSON: {document.msg} at line {document.lineno}, column {document.colno}"
        return
    rules = document.get("rules") if isinstance(document, dict) else None
    if isinstance(document, dict) and not isinstance(rules, list):
        yield 'needs a list "rules"'
    if not isinstance(rules, list):
        return
    known = [rule for rule in rules if isinstance(rule, dict) and isinstance(rule.get("rule-type"), str)]
    selections = [rule for rule in known if rule["rule-type"] == "selection"]
    if len(known) == len(rules) and not any(rule.get("rule-action") != "exclude" for rule in selections):
        yield "selects no table: add a selection rule that includes one"
    for rule in known:
        if rule["rule-type"] not in _TYPES:
            yield f"has rule-type {rule['rule-type']!r}: DMS takes {', '.join(_TYPES)}"
    for rule in selections:
        yield from _selection_problems(rule)


def _selection_problems(rule: dict[str, Any]) -> Iterator[str]:
    name = rule.get("rule-id", "?")
    locator = rule.get("object-locator")
    missing = [key for key in ("schema-name", "table-name") if not isinstance(locator, dict) or key not in locator]
    if missing:
        yield f"has selection rule {name} without {' and '.join(missing)} in its object-locator"
    action = rule.get("rule-action")
    if isinstance(action, str) and action not in _ACTIONS:
        yield f"has selection rule {name} with rule-action {action!r}: DMS takes {', '.join(_ACTIONS)}"
