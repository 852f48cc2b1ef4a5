"""The page of every parameter: complete, current, and of one mind with the plan of a rollout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from builders import environments
from builders.layer_templates import read_template
from builders.rollout.model import DeployedStack, Target
from builders.stack_diff.comparison import compare
from builders.stack_diff.effects import Effect
from tools import parameters, written_files

TEMPLATES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in Path("templates").glob("*.json")}


def test_the_page_is_current() -> None:
    assert written_files.check("tools.parameters", parameters.desired_files()) == []


def test_every_parameter_of_every_layer_has_a_row_in_the_section_of_its_layer() -> None:
    sections = parameters.PAGE.read_text(encoding="utf-8").split("\n## ")
    rows = {section.partition("\n")[0]: section for section in sections}
    missing = [
        (layer, name)
        for layer, template in TEMPLATES.items()
        for name in template["Parameters"]
        if f"\n| `{name}` |" not in rows["All layers" if name in parameters.EVERYWHERE else layer]
    ]
    assert missing == []


def touched(layer: str, name: str) -> parameters.Touched:
    return parameters.touched(TEMPLATES[layer], name)


def test_a_name_that_stays_refuses_the_replacement_of_the_database_and_of_the_task() -> None:
    assert touched("database", "DatabaseName").refused == ("Database",)
    assert touched("migration", "CdcStartPosition").refused == ("ReplicationTask",)


def test_a_value_that_may_be_empty_replaces_and_adds() -> None:
    route = touched("network", "OnPremisesCidr2")
    assert (route.replaced, "OnPremisesRoute2" in route.toggled) == (("OnPremisesRoute2",), True)


def test_costs_are_those_that_the_template_shows() -> None:
    assert touched("database", "MultiAZ").costs == ("a second instance with its storage",)
    assert touched("endpoints", "KmsEndpointEnabled").costs == ("1 interface endpoint, charged for each zone and hour",)
    assert touched("network", "LogRetentionDays").costs == ()


@pytest.mark.parametrize(
    ("layer", "name", "other"),
    [
        ("network", "VpcCidr", "10.99.0.0/16"),
        ("network", "OnPremisesCidr1", "172.20.0.0/16"),
        ("network", "DatabasePort", "5999"),
        ("database", "EngineVersion", "16"),
        ("database", "DatabaseInstanceClass", "db.r7g.large"),
        ("migration", "ReplicationMultiAZ", "true"),
    ],
)
def test_a_plan_replaces_what_the_page_says(layer: str, name: str, other: str) -> None:
    """Of the resources that the values of dev have."""
    body = json.dumps(TEMPLATES[layer])
    template = read_template(layer, body)
    given = environments.read(Path("environments/dev.json")).values | {"TransitGatewayId": "tgw-0123456789abcdef0"}
    values = {key: given.get(key, template.default(key)) or "" for key in template.parameters}
    target = Target("111111111111", "us-east-1")
    stack = DeployedStack(body, values, "CREATE_COMPLETE")
    found = compare(stack, body, {**stack.parameters, name: other}, target)
    effects = {change.logical_id: change.effect for change in found.changes}
    page = touched(layer, name)

    replaced = {key for key, effect in effects.items() if effect is Effect.REPLACE}
    assert found.problem == ""
    assert effects
    assert replaced == {*page.replaced, *page.refused} & found.after.resources.keys()
    assert {key for key, effect in effects.items() if effect is Effect.MODIFY} <= set(page.modified)
