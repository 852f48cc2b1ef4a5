"""What all commands share with the command line: how they are called, how they answer, how a person agrees."""

from __future__ import annotations

import functools
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from builders.errors import RolloutError, UsageError
from builders.rollout import opening
from builders.rollout.client import Client
from builders.rollout.commands.changing import Manner
from builders.rollout.opening import Opened, Options
from builders.rollout.pace import Patience, WallClock
from builders.rollout.plan.values import Plan
from builders.rollout.showing import page
from builders.rollout.showing.live import watching

LONGEST_POLLS = 15
"""The longest pause between two looks, as a multiple of the first."""

Called = Mapping[str, Any]
"""The options before the command's name."""


def options(called: Called) -> Options:
    """The options as `opening` takes them."""
    connect = functools.partial(called["connect"] or Client.connect, profile=called["profile"])
    return Options(Path(called["rollout"]), Path(called["templates"]), connect, called["region"])


def phase(called: Called, name: str) -> Opened:
    """Open the phase that a command is called for."""
    return opening.phase(options(called), name)


def manner(title: str, poll_seconds: float, plan: Plan | None = None) -> Manner:
    """How a run goes when a person, or a pipe, looks on."""
    clock = WallClock()
    patience = Patience(poll_seconds, LONGEST_POLLS * poll_seconds)
    return Manner(functools.partial(watching, title, plan, clock), clock, patience)


def answer(data: Callable[[], Any], text: Callable[[int], Text], as_json: bool) -> None:
    """Print a result to stdout, for a machine or a person."""
    if as_json:
        click.echo(json.dumps(data(), indent=1, sort_keys=True))
    else:
        page.show(text(width()))


def width() -> int:
    """How wide a text may be: the terminal, or 100 columns in a pipe."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def agree(question: str, yes: bool) -> None:
    """Ask, unless the answer was given. Raises `UsageError` where nobody can be asked, `RolloutError` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to agree; give --yes, or apply a plan that `plan --out` has saved")
    if not click.confirm(question, err=True):
        raise RolloutError("nothing was changed")
