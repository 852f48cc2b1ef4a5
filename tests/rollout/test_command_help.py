"""`rollout-stacksets --help`: every command with its line, and no module of theirs is loaded for it."""

from __future__ import annotations

import json
import subprocess
import sys

import click

from builders.rollout.cli.main import COMMANDS, command

HEAVY = ("troposphere", "boto3", "botocore", "cfnlint", "pydantic", "ruamel", "psycopg", "rich")


def test_help_lists_every_command_and_loads_none_of_what_they_need() -> None:
    script = """
import json, sys
from builders.rehearsal.cli import main
main(["--help"])
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(json.loads(finished.stderr))
    listed = [line.split()[0] for line in finished.stdout.partition("Commands:")[2].splitlines() if line[:3] == "  "
              + line[2:3] and line[2:3].strip()]  # fmt: skip
    assert listed == sorted([*COMMANDS, "rehearse"])


def test_every_command_that_help_lists_is_there_under_its_name() -> None:
    with click.Context(command) as context:
        found = {name: command.get_command(context, name) for name in COMMANDS}
    assert {name: each and each.name for name, each in found.items()} == {name: name for name in COMMANDS}
