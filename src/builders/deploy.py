"""Deploys layers with the real AWS CLI, one `aws cloudformation deploy` after the other, as a person would."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import naming
from builders.errors import DeployError
from builders.outputs import of_stack

Echo = Callable[[str], None]


@dataclass(frozen=True)
class AwsCli:
    """An AWS CLI and the environment that it runs in.

    `command` starts it, such as ("aws",). `endpoint_url` is passed as an option, since version 2.9 does not read
    AWS_ENDPOINT_URL; without one the CLI talks to AWS. `execute` is given what subprocess.run is given.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    endpoint_url: str | None = None
    execute: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run

    def run(self, *arguments: str) -> str:
        """Run one command and return what it prints. Raises `DeployError` with the CLI's own message when it fails."""
        option = ("--endpoint-url", self.endpoint_url) if self.endpoint_url else ()
        try:
            finished = self.execute(
                [*self.command, *option, *arguments],
                env=dict(self.environment),
                capture_output=True,
                text=True,
                check=False,
            )
        except FileNotFoundError as error:
            raise DeployError(f"{self.command[0]} is not there; `make demo` installs the AWS CLI into .venv") from error
        if finished.returncode:
            lines = (finished.stderr.strip() or finished.stdout.strip()).splitlines()
            raise DeployError(f"aws {' '.join(arguments[:2])} failed: {lines[-1] if lines else 'it said nothing'}")
        return finished.stdout

    def json(self, *arguments: str) -> Any:
        """Run one command and return its answer as data."""
        return json.loads(self.run(*arguments, "--output", "json") or "{}")


def deploy(cli: AwsCli, template: Path, suffix: str, parameters: Path, echo: Echo) -> dict[str, str]:
    """Deploy one template, echo the command and the CLI's progress, and return the stack's outputs.

    Raises `DeployError` with the reasons of the stack's failed events.
    """
    name = naming.plain_stack(template.stem, suffix)
    arguments = [
        *("cloudformation", "deploy", "--template-file", str(template), "--stack-name", name),
        *("--capabilities", "CAPABILITY_NAMED_IAM", "--no-fail-on-empty-changeset"),
        *("--parameter-overrides", f"file://{parameters}"),
    ]
    echo(f"$ aws {shlex.join(arguments)}")
    try:
        answer = cli.run(*arguments)
    except DeployError as error:
        reasons = failed_reasons(cli, name)
        raise DeployError("; ".join([str(error), *reasons])) from error
    for line in filter(None, answer.splitlines()):
        echo(line)
    return outputs(cli, name)


def outputs(cli: AwsCli, name: str) -> dict[str, str]:
    """The outputs of a deployed stack."""
    (stack,) = cli.json("cloudformation", "describe-stacks", "--stack-name", name)["Stacks"]
    return of_stack(stack)


def failed_reasons(cli: AwsCli, name: str) -> list[str]:
    """The reasons why resources of a stack failed, the first failure first; none when the stack does not exist."""
    try:
        events = cli.json("cloudformation", "describe-stack-events", "--stack-name", name)["StackEvents"]
    except DeployError:
        return []
    return [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in reversed(events)
        if event["ResourceStatus"].endswith("_FAILED")
        and "cancelled" not in event.get("ResourceStatusReason", "cancelled")
    ]
