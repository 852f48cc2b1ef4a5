"""The ways to make cfn-lint quicker change no finding: the command `cfn-lint`, which runs as it is, finds the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from cfnlint.context.conditions import _utils as conditions
from cfnlint.context.context import Context, Path as Place
from cfnlint.data import AdditionalSpecs
from cfnlint.rules.jsonschema.CfnLintJsonSchemaRegional import CfnLintJsonSchemaRegional

from builders.building import cfnlint_speed
from builders.building.lint import Linter

STEP = 20
"""Without --whole, every so manieth of the mistakes is tried."""
TEMPLATES = ("connectivity.json", "secrets.json")
"""Without --whole, the templates that are compared: conditions and policies of IAM among them."""
CONDITIONAL = 40
"""The number of templates with conditions, rules and circles by chance; without --whole there are two."""
OURS = """
import json, sys
from pathlib import Path
from builders.building.lint import Linter
linter = Linter()
found = [each for name in sys.argv[1:] for each in linter.lint(name, Path(name).read_text(encoding="utf-8"))]
print(json.dumps([[each.file, each.line, each.column, each.rule, each.message] for each in found]))
assert not {"networkx", "sympy"} & sys.modules.keys()
"""
"""A process of its own: in that of the tests cfn-lint may have been imported in the plain way."""
READ_LATE = """
Resources:
  Database:
    Type: AWS::RDS::DBInstance
    Properties: {Engine: postgres, EngineVersion: "16.3", DBInstanceClass: db.nothing.large}
  OldDatabase:
    Type: AWS::RDS::DBInstance
    Properties: {Engine: postgres, EngineVersion: "16.8", DBInstanceClass: db.c6gd.large}
  Policy:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Action: "sqs:Nothing", Resource: "arn:aws:sqs:*:*:queue"}]
"""
"""Mistakes that are found by schemas of single rules, and by the actions of IAM."""
SAME_ORDER = {"PYTHONHASHSEED": "0"}
"""Some messages of cfn-lint list the members of a set."""


@pytest.fixture
def files(project_root: Path, tmp_path: Path, whole: bool, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of templates with the mistakes that the rules' tests seed, and of ours, in the current directory."""
    cases = sorted((project_root / "tests" / "rules" / "cases").glob("*.yaml"))
    seeded = [case["template"] for file in cases for case in yaml.safe_load(file.read_text(encoding="utf-8"))]
    texts = {f"seeded-{number}.yaml": text for number, text in enumerate(seeded)}
    if not whole:
        texts = dict(list(texts.items())[::STEP])
    texts["read-late.yaml"] = READ_LATE
    texts.update((f"conditional-{seed}.json", conditional(seed)) for seed in range(CONDITIONAL if whole else 2))
    for path in sorted((project_root / "templates").iterdir()):
        if whole or path.name in TEMPLATES:
            texts[path.name] = path.read_text(encoding="utf-8")
    (tmp_path / ".cfnlintrc").write_text((project_root / ".cfnlintrc").read_text(encoding="utf-8"), encoding="utf-8")
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return list(texts)


def conditional(seed: int) -> str:
    """A template whose conditions depend on each other, and whose resources depend on them and on each other."""
    chosen = random.Random(seed)
    parameters = {
        f"Parameter{number}": {"Type": "String", "Default": "a", "AllowedValues": chosen.sample("abc", number + 1)}
        for number in range(3)
    }
    names, topics = [f"Is{number}" for number in range(10)], [f"Topic{number}" for number in range(6)]

    def condition(depth: int, others: list[str]) -> Any:
        kind = chosen.choice(["Fn::And", "Fn::Or", "Fn::Not", "Condition", "Fn::Equals"])
        if kind == "Condition" and others:
            return {kind: chosen.choice(others)}
        if kind in ("Fn::And", "Fn::Or", "Fn::Not") and depth:
            return {kind: [condition(depth - 1, others) for _ in range(1 if kind == "Fn::Not" else 2)]}
        return {"Fn::Equals": [{"Ref": chosen.choice([*parameters, "AWS::Region"])}, chosen.choice(["a", "b", "d"])]}

    def value(depth: int) -> Any:
        if depth and chosen.random() < 0.5:
            return {"Fn::If": [chosen.choice(names), value(depth - 1), value(depth - 1)]}
        return chosen.choice([{"Ref": chosen.choice(topics)}, {"Ref": "AWS::NoValue"}, "text"])

    resources: dict[str, Any] = {
        name: {
            "Type": "AWS::SNS::Topic",
            "Condition": chosen.choice(names),
            "DependsOn": chosen.choice(topics),
            "Properties": {"TopicName": value(2), "DisplayName": value(2)},
        }
        for name in topics
    }
    rule = {"RuleCondition": condition(1, []), "Assertions": [{"Assert": condition(2, [])}]}
    template = {
        "Parameters": parameters,
        "Conditions": {name: condition(2, names[:number]) for number, name in enumerate(names)},
        "Rules": {"Rule": rule},
        "Resources": resources,
        "Outputs": {name: {"Condition": chosen.choice(names), "Value": value(1)} for name in ("One", "Other")},
    }
    return json.dumps(template, indent=1)


def found_by_ours(files: list[str]) -> list[tuple[Any, ...]]:
    command = [sys.executable, "-c", OURS, *files]
    finished = subprocess.run(command, env=os.environ | SAME_ORDER, capture_output=True, text=True, check=True)
    return [tuple(found) for found in json.loads(finished.stdout)]


def found_by_the_command(files: list[str]) -> Iterator[tuple[Any, ...]]:
    command = [sys.executable, "-c", "from cfnlint.runner import main; main()", "--format", "json", *files]
    finished = subprocess.run(command, env=os.environ | SAME_ORDER, capture_output=True, text=True, check=False)
    for found in json.loads(finished.stdout):
        start = found["Location"]["Start"]
        message = " ".join(found["Message"].split())
        yield found["Filename"], start["LineNumber"], start["ColumnNumber"], found["Rule"]["Id"], message


def test_the_findings_are_those_of_cfn_lint_as_it_comes(files: list[str]) -> None:
    ours = found_by_ours(files)
    assert sorted(ours, key=repr) == sorted(found_by_the_command(files), key=repr)
    rules = {rule for *_, rule, _ in ours}
    assert {"E3004", "W1028"} < rules  # circles, and conditions that never hold
    assert {"E3025", "W3037"} < rules  # what schemas and actions say that are read late
    assert "E3062" in rules  # what one of a thousand schemas says


def nested(chosen: random.Random, depth: int) -> Any:
    """A value as properties have them, with choices, and with some that are malformed."""
    kind = chosen.choice(["mapping", "list", "if", "reference", "text"]) if depth else "text"
    if kind in ("mapping", "list"):
        parts = [nested(chosen, depth - 1) for _ in range(chosen.randint(0, 3))]
        return parts if kind == "list" else dict(zip("abc", parts, strict=False))
    if kind == "if":
        condition = chosen.choice(["One", "Other", "Unknown", ["One"]])
        return {"Fn::If": [condition, *(nested(chosen, depth - 1) for _ in range(chosen.choice([1, 2, 2, 2])))]}
    return (
        chosen.choice([{"Ref": "AWS::NoValue"}, {"Ref": "a"}]) if kind == "reference" else chosen.choice(["a", 1, None])
    )


@pytest.mark.parametrize("functions", [["Fn::If", "Ref"], ["Fn::If"], []])
def test_values_have_the_conditions_and_the_choices_that_cfn_lint_finds(functions: list[str]) -> None:
    chosen, context = random.Random(1), Context(functions=functions)
    for _ in range(2000):
        value, is_root = nested(chosen, 4), chosen.random() < 0.7
        expected = conditions.get_conditions_from_property(value, is_root)
        assert cfnlint_speed._conditions_within(value, is_root) == expected, value
        scenario = {"One": chosen.random() < 0.5, "Other": chosen.random() < 0.5}
        made = cfnlint_speed._in_scenario(value, scenario, is_root, context)
        plain = conditions.build_instance_from_scenario(value, scenario, is_root, context)
        assert (made, type(made)) == (plain, type(plain)), value


def test_a_file_that_is_parsed_key_by_key_says_the_same() -> None:
    regional = [
        rule.__dict__["_schema"]
        for rule in Linter()._runner.rules.values()
        if isinstance(rule, CfnLintJsonSchemaRegional)
    ]
    assert all(isinstance(schema, cfnlint_speed._Schema) for schema in regional)
    for package, filename in [*regional, (AdditionalSpecs, "Policies.json")]:
        text = resources.files(package).joinpath(filename).read_text(encoding="utf-8")
        assert dict(cfnlint_speed.ByKey(package, filename)) == json.loads(text), filename


@pytest.mark.parametrize(
    ("engine", "value", "passed"),
    [
        ("postgres", "mysql", True),
        ("postgres", "postgres", False),
        ("postgres", "{{resolve:ssm:engine}}", False),
        ("AWS::Region", "AWS::AccountId", False),
        ("true", "TRUE", False),
        ("postgres", {"Ref": "Engine"}, False),
        ("postgres", None, False),
    ],
)
def test_a_schema_is_passed_over_where_a_text_is_not_what_it_is_for(engine: str, value: Any, passed: bool) -> None:
    engines: Any = {"Engine": {"const": engine, "type": "string"}}
    condition = {"properties": engines, "required": ["Engine"]}
    instance = {"Engine": value, "EngineVersion": {"Ref": "Version"}}
    assert cfnlint_speed._is_for_others({"if": condition, "then": False}, instance) == passed
    assert not cfnlint_speed._is_for_others({"if": condition, "then": False, "else": False}, instance)
    assert not cfnlint_speed._is_for_others({"if": {**condition, "not": {}}, "then": False}, instance)
    unclear = {"properties": {**engines, "EngineVersion": {"anyOf": [{"const": "16"}]}}}
    assert not cfnlint_speed._is_for_others({"if": unclear, "then": False}, instance)


def test_a_step_that_cfn_lint_refuses_is_refused() -> None:
    cfnlint_speed.install()
    path = Place()
    with pytest.raises(ValueError, match="cannot be in 'cfn_path'"):
        path.descend(cfn_path="Fn::If")
    with pytest.raises(TypeError):
        path.descend(nowhere="step")
