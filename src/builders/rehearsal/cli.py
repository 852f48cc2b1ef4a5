"""The command `rollout-stacksets` as installed: the rollout's own subcommands, and `rehearse`, which calls them."""

from __future__ import annotations

import sys
from typing import Any

import click

from builders.rollout.cli.main import GlobalOptions, command, main


@command.command("rehearse")
@click.option("--phase", "phases", multiple=True, help="Rehearse this phase; all where none is named.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    type=click.Choice(["fail", "throttle", "kill", "none"]),
    help="What goes wrong on the way; all of it where nothing is named.",
)
@click.option("--accounts", type=click.IntRange(min=1), help="At most so many accounts of each phase.")
@click.option("--regions", type=click.IntRange(min=1), help="At most so many regions of each phase.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def rehearse(options: GlobalOptions, /, **given: Any) -> int:
    """Carry the rollout out on the embedded cloud, with pretend accounts and without credentials."""
    from builders.rehearsal import run  # noqa: PLC0415  --help does not wait for the embedded cloud

    return run.rehearse(options.file, options.templates, **given)


if __name__ == "__main__":
    sys.exit(main())
