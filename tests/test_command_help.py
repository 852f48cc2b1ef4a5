"""Help of every command comes before anything heavy is loaded, and JSON of `migrate-database` before rich is."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

HEAVY = {"awacs", "boto3", "botocore", "cfnlint", "psycopg", "troposphere"}
FOR_A_SUBCOMMAND = {"pydantic", "rich", "ruamel", "yaml"}
"""A subcommand of `rollout-stacksets` stands beside its work, which reads and shows with these."""

WALK = """
import contextlib, importlib, io, json, sys
import click

module, attribute = sys.argv[1].split(":")
command = getattr(importlib.import_module(module), attribute)
loaded = {}

def ask(command, arguments):
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        command.main([*arguments, "--help"], prog_name="command", standalone_mode=False)
    assert "Usage:" in shown.getvalue(), arguments
    loaded[" ".join(arguments)] = sorted({name.partition(".")[0] for name in sys.modules})

def walk(node, path):
    ask(command, path)
    if isinstance(node, click.Group):
        context = click.Context(node)
        for name in node.list_commands(context):
            walk(node.get_command(context, name), [*path, name])

walk(command, [])
print(json.dumps(loaded))
"""


@pytest.mark.parametrize(
    "command",
    [
        "builders.build:command",
        "builders.migration.cli:command",
        "builders.rehearsal.cli:command",
        "builders.write_outputs:command",
    ],
)
def test_help_loads_nothing_heavy(command: str) -> None:
    finished = subprocess.run([sys.executable, "-c", WALK, command], capture_output=True, text=True, check=True)
    loaded = {arguments: set(names) for arguments, names in json.loads(finished.stdout).items()}
    assert loaded[""].isdisjoint(FOR_A_SUBCOMMAND)
    assert {arguments: HEAVY & names for arguments, names in loaded.items() if HEAVY & names} == {}


JSON = """
import sys
from builders.command_line import show
from builders.migration import cli, start, status
from builders.migration.check import running
from builders.migration.report import model
from builders.migration.schema import schema
from builders.migration.switchover import command
from builders.migration.task import showing
from builders.migration.verify import command

show(dict, lambda page: None, as_json=True)
print(sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


def test_json_of_a_migration_does_not_wait_for_rich() -> None:
    finished = subprocess.run([sys.executable, "-c", JSON], capture_output=True, text=True, check=True)
    assert finished.stdout == "{}\n"
    loaded = set(ast.literal_eval(finished.stderr))
    assert "psycopg" in loaded
    assert "rich" not in loaded
