"""The templates of this repository say nothing; with any mistake in any place, the rule that is meant for it speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.template.template import Template

from builders.rules import Rule, all_rules
from rules.mistakes import MISTAKES
from rules.mutations import Body
from rules.rule_templates import changed_template, parsed

OPTIONS: dict[str, dict[str, Any]] = {"W9030": {"keys": ["CostCenter"]}, "E9701": {"enabled": True}}
HERE = Path(__file__).parent
LAYERS = sorted((HERE.parents[1] / "templates").glob("*.json"))
WITHOUT_A_PLACE = {"W9702"}
"""The size is the whole file's, and our templates stay under it: its cases show it."""


def _rules() -> dict[str, Rule]:
    rules = {rule.id: rule() for rule in all_rules()}
    for rule_id, options in OPTIONS.items():
        rules[rule_id].configure(options)
    return rules


RULES = _rules()


def _body(file: Path) -> Body:
    content = file.read_text(encoding="utf-8")
    body: Body = json.loads(content) if file.suffix == ".json" else parsed(content)
    return body


FILES = {file.stem: file for file in [*LAYERS, HERE / "good" / "one_of_each.yaml"]}


@pytest.fixture(scope="module")
def templates() -> dict[str, Template]:
    return {name: Template(None, _body(file)) for name, file in FILES.items()}


@pytest.fixture(params=list(FILES))
def template(request: pytest.FixtureRequest, templates: dict[str, Template]) -> Template:
    return templates[request.param]


def test_nothing_is_reported_on_a_good_template(template: Template) -> None:
    told = [
        (rule.id, finding.path_string, finding.message) for rule in RULES.values() for finding in rule.match(template)
    ]

    assert told == []


@pytest.mark.parametrize("mutation", MISTAKES, ids=lambda mutation: f"{mutation.rule} {mutation.mistake}")
def test_every_mistake_is_reported_in_every_place_by_its_rule(mutation: Any, templates: dict[str, Template]) -> None:
    missed, places = [], 0
    for name, template in templates.items():
        for place, mutated in mutation.places(template.template):
            places += 1
            if not RULES[mutation.rule].match(changed_template(template, mutated)):
                missed.append(f"{name}: {place}")

    assert missed == []
    assert places > 0


def test_every_rule_has_a_mistake() -> None:
    assert {mutation.rule for mutation in MISTAKES} == {rule.id for rule in all_rules()} - WITHOUT_A_PLACE
