"""Records docs/stacksets-transcript.md: a stack set's whole life with the real AWS CLI.

    python tests/cloud/stacksets/transcript.py

Commands run in bash, on an embedded cloud of their own. Times and random ids are written as fixed ones, so that two
recordings differ only where something changed; tests/cloud/stacksets/test_transcript.py compares them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from builders.cloud.process import Cloud, running

DOCUMENT = Path(__file__).parents[3] / "docs" / "stacksets-transcript.md"

WALK = Path(__file__).with_name("walk.md")
"""The document without what commands print: each line that begins with "$ " is one command."""

# As a module: the script that pip installs does not run from a directory with a space in its name.
_AWS = 'aws() { "$PYTHON" -m awscli "$@"; }; export -f aws'


@dataclass(frozen=True)
class _Shell:
    """Bash with the two functions, in a directory with the files that the commands name."""

    directory: Path
    cloud: Cloud
    functions: str
    variables: Mapping[str, str]

    def run(self, command: str) -> str:
        """Return what a command prints, errors included."""
        own = {"PYTHON": sys.executable, "ENDPOINT": self.cloud.endpoint_url, "COLUMNS": "120"}
        done = subprocess.run(
            ["bash", "-c", f"{_AWS}\n{self.functions}\n{command}"],
            cwd=self.directory,
            env={**os.environ, **self.cloud.environment("111111111111"), **own, **self.variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.strip()


def record(**variables: str) -> str:
    """Run all steps and return the document; `variables` are those of a person who records it."""
    with tempfile.TemporaryDirectory() as name, running() as cloud:
        for file, content in _files().items():
            (Path(name) / file).write_text(json.dumps(content))
        # Results lag by 0.3 s otherwise, which is longer than a command of the warm CLI takes.
        _drive(cloud, {"Administrator": "111111111111", "ResultsLagSeconds": 0})
        _enroll(cloud, "111111111111", "Administration", {"Service": "cloudformation.amazonaws.com"})
        _enroll(cloud, "222222222222", "Execution", {"AWS": "111111111111"})
        functions = WALK.read_text().partition("```bash\n")[2].partition("```")[0]
        text = "\n".join(_walked(_Shell(Path(name), cloud, functions, variables)))
        return _steady(text.replace(cloud.endpoint_url, "http://127.0.0.1:4566"))


def _walked(shell: _Shell) -> Iterator[str]:
    commands: list[str] = []
    for line in WALK.read_text().splitlines():
        if line.startswith("$ "):
            commands += [f"{_folded(line)}\n{shell.run(line[2:])}".strip()]
            continue
        if commands:
            yield "```console\n" + "\n".join(commands) + "\n```"
            commands = []
        yield line
    yield "```console\n" + "\n".join(commands) + "\n```\n"


def _folded(line: str) -> str:
    """Break a long command before its options, as one would type it."""
    folded, width = "", 0
    for word in re.split(r" (?=--)", line):
        if folded and width + len(word) > 110:
            folded, width = f"{folded} \\\n    {word}", 4 + len(word)
        else:
            folded, width = f"{folded} {word}".lstrip(), width + 1 + len(word)
    return folded


def _steady(text: str) -> str:
    """Number random ids by their first use, and fix times."""
    known: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return known.setdefault(match[0], f"00000000-0000-0000-0000-{len(known) + 1:012}")

    text = re.sub(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", numbered, text)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)", "2026-01-01T00:00:00+00:00", text)


def _files() -> dict[str, Any]:
    delay = {"Type": "Number", "Default": 0}
    queue = {
        "Parameters": {"DelaySeconds": delay},
        "Resources": {
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "Properties": {"QueueName": "payments", "DelaySeconds": {"Ref": "DelaySeconds"}},
            }
        },
    }
    return {
        "queue.json": queue,
        "delayed.json": {**queue, "Parameters": {"DelaySeconds": {**delay, "Default": 5}}},
        "broken.json": {"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Delay": 5}}}},
        "execution-trust.json": _trust({"AWS": "111111111111"}),
    }


def _trust(principal: dict[str, str]) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def _drive(cloud: Cloud, decided: dict[str, Any]) -> None:
    headers = {"X-Amz-Target": "StackferryStackSets.Drive", "Content-Type": "application/x-amz-json-1.1"}
    cloud.ask("/", json.dumps(decided).encode(), **headers)


def _enroll(cloud: Cloud, account: str, kind: str, principal: dict[str, str]) -> None:
    """Make one of the two roles, which the walk finds in place."""
    iam, name = boto3.client("iam", **cloud.client_arguments(account)), f"AWSCloudFormationStackSet{kind}Role"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(_trust(principal)))
    iam.attach_role_policy(RoleName=name, PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")


if __name__ == "__main__":
    DOCUMENT.write_text(record())
