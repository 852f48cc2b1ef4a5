"""The options of `rollout-stacksets`: those before a command's name, and those that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from builders.aws.calls import ApiCalls
    from builders.rollout.phase import Phase, PhaseConnection

PATH = click.Path(path_type=Path)

phase_option = click.option("--phase", "phase_name", required=True, help="The phase, such as dev.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
acknowledge_option = click.option(
    "--acknowledge",
    "acknowledged",
    multiple=True,
    metavar="LAYER/RESOURCE",
    help="Accept a hazard that blocks the plan; may be given several times.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask before anything is changed.")
check_option = click.option(
    "--check/--no-check", default=True, help="Whether build-templates --check must be clean; it must."
)
poll_option = click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds until the first look at an operation; later ones come less often.",
)


@dataclass(frozen=True)
class GlobalOptions:
    """The options before the command's name. `open_api` makes the calls of a region; a rehearsal has its own."""

    file: Path
    templates: Path
    region: str | None
    """Of the stack sets, instead of the one in the rollout file."""
    open_api: Callable[[str], ApiCalls]

    def connect_to(self, phase_name: str) -> PhaseConnection:
        """Connect to the accounts of the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415  --help does not wait for pydantic

        connection = phase.connect(self.file, self.templates, phase_name, self.open_api, self.region)
        connection.client.calls.name_sessions(click.get_current_context().info_name or "")
        return connection

    def open_phase(self, phase_name: str) -> Phase:
        """Open the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415

        return phase.open_phase(self.connect_to(phase_name))
