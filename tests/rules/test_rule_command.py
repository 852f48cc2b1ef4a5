"""The rules as a user meets them: through the plain `cfn-lint` command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

RULES = Path(__file__).parents[2] / "src" / "builders" / "rules"
CFN_LINT = str(Path(sys.executable).with_name("cfn-lint"))
TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "payments"}}
YAML = "Resources:\n  Topic:\n    Type: AWS::SNS::Topic\n    Properties:\n      TopicName: payments\n"
Command = Callable[..., dict[str, list[tuple[str, int]]]]


@pytest.fixture
def cfn_lint(tmp_path: Path) -> Command:
    """Runs the command in an empty folder on templates; gives (rule id, line) of every finding of each."""

    def run(*arguments: str, **templates: str) -> dict[str, list[tuple[str, int]]]:
        for name, text in templates.items():
            (tmp_path / name).write_text(text)
        command = [CFN_LINT, *arguments, "--format", "json", "--", *templates]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.stderr == ""
        found: dict[str, list[tuple[str, int]]] = {name: [] for name in templates}
        for one in json.loads(told.stdout):
            found[one["Filename"]].append((one["Rule"]["Id"], one["Location"]["Start"]["LineNumber"]))
        return found

    return run


def test_the_module_s_name_appends_the_rules_and_a_resource_s_metadata_silences_one(cfn_lint: Command) -> None:
    silent = {"Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W9001"]}}}}
    templates = {"template.yaml": YAML, "silent.json": json.dumps({"Resources": {"Topic": TOPIC | silent}})}

    found = cfn_lint("--append-rules", "builders.rules", **templates)

    assert found == {"template.yaml": [("W9001", 5)], "silent.json": []}


def test_the_folder_appends_the_same_rules_and_an_option_reaches_its_rule(cfn_lint: Command) -> None:
    templates = {"template.yaml": YAML, "template.json": json.dumps({"Resources": {"Topic": TOPIC}}, indent=1)}

    found = cfn_lint("--append-rules", str(RULES), "-x", "W9030:keys=CostCenter", **templates)

    assert {name: sorted(each) for name, each in found.items()} == {
        "template.yaml": [("W9001", 5), ("W9030", 4)],
        "template.json": [("W9001", 6), ("W9030", 5)],
    }


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("W9501:rows=3", "W9501 cannot take its setting 'rows': it has lines"),
        ("W9501:lines=many", "W9501 cannot take its setting 'lines': 'many' is not a whole number"),
        ("E9701:enabled=maybe", "E9701 cannot take its setting 'enabled': 'maybe' is neither true nor false"),
        ("W9201:days=3", "W9201 cannot take its setting 'days': it has no settings"),
    ],
)
def test_a_setting_that_a_rule_cannot_take_is_a_finding_and_no_silence(tmp_path: Path, setting: str, said: str) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {Topic: {Type: AWS::SNS::Topic}}\n")
    command = [CFN_LINT, "--append-rules", "builders.rules", "-x", setting, "--format", "json", "--", "template.yaml"]

    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (told.stderr, [one["Message"] for one in json.loads(told.stdout)]) == ("", [said])
