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


OF_PRESENCE = {"E9202", "E9301", "E9401", "E9602", "E9609"}
"""Rules for a property or a key that should not be there, whatever its value."""
BY_NAME = {"W9001", "W9050", "W9205", "W9404"}
"""Rules for a parameter that decides, which also a reference to one more parameter is."""


def _values_reported(rule: Rule, body: Any) -> list[tuple[str | int, ...]]:
    """The paths of findings about a value below a resource's properties."""
    paths = [tuple(finding.path) for finding in rule.match(Template("template", body))]
    return [path for path in paths if "Properties" in path[:-1] and not str(path[-1]).startswith("Fn::")]


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.id not in OF_PRESENCE], ids=lambda rule: rule.id)
@pytest.mark.parametrize("value", ["{{resolve:ssm:/payments/value:1}}", {"Fn::ImportValue": "payments-value"}])
def test_no_rule_reports_a_value_that_stands_elsewhere(rule: Rule, value: Any) -> None:
    body = parsed(rule.bad)
    for path in _values_reported(rule, body):
        left = _values_reported(rule, _with(body, path, value))

        assert path not in left


@pytest.mark.parametrize(
    "rule", [one for one in RULES if one.id not in OF_PRESENCE | BY_NAME], ids=lambda rule: rule.id
)
def test_no_rule_reports_a_side_of_a_condition_that_no_deployment_takes(rule: Rule) -> None:
    body = parsed(rule.bad)
    is_this = {"Fn::Equals": [{"Ref": "Which"}, "this"]}
    body["Parameters"] = {**body.get("Parameters", {}), "Which": {"Type": "String"}}
    body["Conditions"] = {
        **body.get("Conditions", {}),
        "IsThis": is_this,
        "IsOther": {"Fn::Not": [{"Condition": "IsThis"}]},
    }
    for path in _values_reported(rule, body):
        written: Any = body
        for key in path:
            written = written[key]
        unreachable = {"Fn::If": ["IsThis", {"Fn::If": ["IsOther", written, {"Ref": "Which"}]}, {"Ref": "Which"}]}

        found = rule.match(Template("template", _with(body, path, unreachable)))

        assert [one for one in found if tuple(one.path)[: len(path)] == path] == []


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
