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
Command = Callable[..., list[tuple[str, int]]]


@pytest.fixture
def cfn_lint(tmp_path: Path) -> Command:
    """Runs the command in an empty folder on one template; gives (rule id, line) of every finding."""

    def run(name: str, text: str, *arguments: str) -> list[tuple[str, int]]:
        (tmp_path / name).write_text(text)
        command = [CFN_LINT, *arguments, "--format", "json", "--", name]
        told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert told.stderr == ""
        return [(one["Rule"]["Id"], one["Location"]["Start"]["LineNumber"]) for one in json.loads(told.stdout)]

    return run


def test_the_module_s_name_appends_the_rules_to_a_yaml_template(cfn_lint: Command) -> None:
    assert cfn_lint("template.yaml", YAML, "--append-rules", "builders.rules") == [("W9001", 5)]


def test_the_folder_appends_the_same_rules_to_a_json_template(cfn_lint: Command) -> None:
    text = json.dumps({"Resources": {"Topic": TOPIC}}, indent=1)

    assert cfn_lint("template.json", text, "--append-rules", str(RULES)) == [("W9001", 6)]


def test_an_option_reaches_its_rule(cfn_lint: Command) -> None:
    arguments = ["--append-rules", "builders.rules", "-x", "W9030:keys=CostCenter", "-i", "W9001"]

    assert cfn_lint("template.yaml", YAML, *arguments) == [("W9030", 4)]


def test_a_resource_s_metadata_silences_a_rule(cfn_lint: Command) -> None:
    silent = {"Metadata": {"cfn-lint": {"config": {"ignore_checks": ["W9001"]}}}}
    text = json.dumps({"Resources": {"Topic": TOPIC | silent}})

    assert cfn_lint("template.json", text, "--append-rules", "builders.rules") == []
