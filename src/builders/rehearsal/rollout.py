"""The end of the demo: the rollout file rehearsed, and what the real AWS CLI lists of it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from builders.deploy import AwsCli
from builders.naming import stack_set
from builders.rehearsal import run
from builders.rehearsal.cloud import RehearsalCloud
from builders.rehearsal.phase import TEMPLATES, command_line
from builders.rehearsal.script import LAYER

ROLLOUT = Path("rollout.yaml")


def rehearse_and_list(say: Callable[[str], None]) -> int:
    """Rehearse the rollout of all phases; return 0 when every act came as expected."""
    say("$ rollout-stacksets rehearse")

    def listed(current: RehearsalCloud) -> None:
        _list(command_line(current.cloud, current.rollout.tooling.account), next(iter(current.rollout.phases)), say)

    return run.rehearse(ROLLOUT, TEMPLATES, afterwards=listed)


def _list(cli: AwsCli, phase: str, say: Callable[[str], None]) -> None:
    """Let the AWS CLI list the stack sets, and of one of them the instances and the operations."""
    of_set = ("--stack-set-name", stack_set(LAYER, phase))
    say("what the AWS CLI says of it:")
    for arguments in (
        ("list-stack-sets", "--status", "ACTIVE", "--query", "sort(Summaries[].StackSetName)"),
        ("list-stack-instances", *of_set, "--query", "Summaries[].[Account, Region, Status]"),
        ("list-stack-set-operations", *of_set, "--query", "reverse(Summaries)[].[OperationId, Action, Status]"),
    ):
        say(f"$ aws cloudformation {shlex.join(arguments)} --output text")
        answer = cli.run("cloudformation", *arguments, "--output", "text").strip()
        # A list of single values comes in one line.
        for line in answer.replace("\t", "\n").splitlines() if "sort" in arguments[-1] else answer.splitlines():
            say(f"  {line}")
