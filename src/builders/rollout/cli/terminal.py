"""The side of a command that its caller sees: the phase that it is called for, its result, its question."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from builders.errors import RolloutError, UsageError
from builders.rollout import phase
from builders.rollout.phase import Phase, PhaseConnection
from builders.rollout.render import page

if TYPE_CHECKING:
    from builders.rollout.cli.main import GlobalOptions


def connect(options: GlobalOptions, name: str) -> PhaseConnection:
    """Connect to the accounts of the phase that a command is called for."""
    return phase.connect(options.file, options.templates, name, options.connect, options.region)


def open_phase(options: GlobalOptions, name: str) -> Phase:
    """Open the phase that a command is called for."""
    return phase.open_phase(connect(options, name))


def print_result(data: Callable[[], Any], text: Callable[[int], Text], as_json: bool) -> None:
    """Print a result to stdout, for a machine or a person."""
    if as_json:
        click.echo(json.dumps(data(), indent=1, sort_keys=True))
    else:
        page.print_page(text(width()))


def width() -> int:
    """The most columns of a text: the terminal's, or 100 in a pipe."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100


def confirm(question: str, yes: bool) -> None:
    """Ask, unless the answer was given. Raises `UsageError` where nobody can be asked, `RolloutError` for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is here to agree; give --yes, or apply a plan that `plan --out` has saved")
    if not click.confirm(question, err=True):
        raise RolloutError("nothing was changed")
