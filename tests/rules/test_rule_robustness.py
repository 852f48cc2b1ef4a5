"""No rule raises, changes a template or speaks twice, whatever stands in the template."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest
from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from cfnlint.template.template import Template
from hypothesis import HealthCheck, given, settings, strategies as st

from builders.rules import Rule, all_rules
from builders.rules._names import schema_of
from builders.rules._template import walk
from rules.rule_templates import changed_template, parsed

RULES = [rule() for rule in all_rules()]
EXAMPLES = [parsed(text) for rule in all_rules() for text in (rule.bad, rule.good)]
ODD: list[Any] = [
    None, [], {}, "", 0, True, -1.5, [None], [[]], {"": None}, {"Ref": None}, {"Ref": ["a"]}, {"Ref": "Nobody"},
    {"Fn::If": []}, {"Fn::If": ["Nobody", 1]}, {"Fn::If": ["Nobody", {"Ref": "AWS::NoValue"}, []]}, {"Fn::If": "a"},
    {"Fn::GetAtt": 1}, {"Fn::GetAtt": ["a"]}, {"Fn::GetAtt": ["a", {"Ref": "b"}]}, {"Fn::Sub": []},
    {"Fn::Sub": ["${a}", 1]}, {"Fn::Sub": {"a": 1}}, {"Fn::Sub": "${"}, {"Fn::Sub": "${a.b.c}${!d}"},
    {"Fn::Join": ["", {"Ref": "a"}]}, {"Fn::Join": [1, 2, 3]}, {"Fn::Select": ["x", []]}, {"Fn::Select": [9, ["a"]]},
    {"Fn::Split": None}, {"Fn::FindInMap": ["a", "b"]}, {"Fn::FindInMap": [{"Ref": "a"}, 1, []]},
    {"Fn::Transform": {"Name": "AWS::Include"}}, {"Fn::ForEach::a": ["b", [], {}]}, {"Condition": "a"},
    {"Statement": 5}, {"Fn::ToJsonString": []}, {"Fn::ToJsonString": {"rules": [5]}}, '{"rules": 5}', '{"widgets": 1}',
]  # fmt: skip


def _paths(template: Any) -> list[tuple[str | int, ...]]:
    return [path for path, _ in walk(template, ()) if path]


def _with(template: Any, path: tuple[str | int, ...], node: Any) -> Any:
    changed = copy.deepcopy(template)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = copy.deepcopy(node)
    return changed


@given(data=st.data())
@settings(max_examples=4 * settings().max_examples, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_rule_raises_on_a_template_with_something_odd_in_it(data: st.DataObject) -> None:
    template = data.draw(st.sampled_from(EXAMPLES))
    for _ in range(data.draw(st.integers(1, 3))):
        paths = _paths(template)
        if paths:
            template = _with(template, data.draw(st.sampled_from(paths)), data.draw(st.sampled_from(ODD)))

    parsed_template = Template(None, template)
    for rule in RULES:
        rule.match(parsed_template)


@pytest.mark.parametrize("section", ["Parameters", "Mappings", "Conditions", "Resources", "Outputs"])
@pytest.mark.parametrize(
    "odd", [None, [], "a", 5, {"A": None}, {"A": []}, {"A": {"Type": 5}}, {"A": {"Properties": []}}]
)
def test_no_rule_raises_on_a_section_that_is_none(section: str, odd: Any) -> None:
    template = Template(None, {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, section: odd})

    assert [rule.match(template) for rule in RULES] == [[] for _ in RULES]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_leaves_the_template_as_it_was(rule: Rule) -> None:
    body = parsed(rule.bad)
    before = json.dumps(body)

    rule.match(Template(None, body))

    assert json.dumps(body) == before


FUNCTION = {"F": {"Type": "AWS::Serverless::Function", "Properties": {}}}
LOOP = {"Fn::ForEach::A": ["B", ["c"], {"Topic${B}": {"Type": "AWS::SNS::Topic"}}]}


@pytest.mark.parametrize(
    "body",
    [
        {"Transform": "AWS::Serverless-2016-10-31", "Resources": FUNCTION},
        {"Transform": "AWS::LanguageExtensions", "Resources": LOOP},
        {"Resources": {"M": {"Type": "Mine::Own::MODULE", "Properties": {"Password": "a"}}}},
        {"Resources": {"Nobody": {"Type": "AWS::Nobody::Knows", "Properties": {"Name": {"Ref": "A"}}}}},
    ],
)
def test_no_rule_raises_on_transforms_modules_loops_and_unknown_types(body: dict[str, Any]) -> None:
    template = Template(None, copy.deepcopy(body))
    template.transform()

    for rule in RULES:
        rule.match(template)


@pytest.mark.sampled(when=lambda given: given["first"] == 0)
@pytest.mark.parametrize("first", range(4))
def test_no_rule_raises_on_any_type_of_the_registry(first: int) -> None:
    """Each property has the next of four odd values; from which on they are counted makes four times as many pairs."""
    values: list[Any] = [{"Ref": "Nobody"}, {"Fn::If": ["Nobody", "a", "b"]}, [{"Ref": "Nobody"}], "a"]
    odd = itertools.cycle(values[first:] + values[:first])
    resources = {}
    for number, kind in enumerate(sorted(PROVIDER_SCHEMA_MANAGER.get_resource_types("us-east-1"))):
        properties = schema_of(kind).get("properties", {})
        resources[f"R{number}"] = {"Type": kind, "Properties": dict(zip(properties, odd, strict=False))}

    template = changed_template(Template(None, {"Resources": {}}), {"Resources": resources})

    for rule in RULES:
        rule.match(template)
