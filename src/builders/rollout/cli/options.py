"""The options of `rollout-stacksets`: those that all commands have, and those that several have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builders import advice
from builders.command_line import Interrupted

if TYPE_CHECKING:
    from builders.aws.calls import ApiCalls
    from builders.rollout.phase import Phase, PhaseConnection

PATH = click.Path(path_type=Path)

NOTHING_CHANGED = "nothing was changed"

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
    "--check/--no-check", default=True, help="Whether templates and values must be clean, by build-templates --check."
)
poll_option = click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds until the first look at an operation; later ones come less often.",
)


OpenApi = Callable[[str, str | None], "ApiCalls"]
"""Makes the calls of a region with the credentials of a profile; a rehearsal has its own."""


@dataclass(frozen=True)
class GlobalOptions:
    """The options that stand before or behind a command's name."""

    open_api: OpenApi
    file: Path = Path("rollout.yaml")
    templates: Path = Path("templates")
    profile: str | None = None
    region: str | None = None
    """Of the stack sets, instead of the one in the rollout file."""

    def connect_to(self, phase_name: str) -> PhaseConnection:
        """Connect to the accounts of the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415  --help does not wait for pydantic

        connection = phase.connect(
            self.file, self.templates, phase_name, lambda home: self.open_api(home, self.profile), self.region
        )
        connection.client.calls.name_sessions(click.get_current_context().info_name or "")
        return connection

    def open_phase(self, phase_name: str) -> Phase:
        """Open the phase that a command is called for."""
        from builders.rollout import phase  # noqa: PLC0415

        return phase.open_phase(self.connect_to(phase_name))


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep an option in the `GlobalOptions` of this command, over what stood before its name."""
    if value is not None and context.obj is not None:
        context.obj = dataclasses.replace(context.obj, **{str(option.name): value})
        advice.give({option.opts[0]: value})


_GLOBAL = {
    "file": ("--file", "The rollout file; rollout.yaml by default.", PATH),
    "templates": ("--templates-dir", "The folder of the templates; templates by default.", PATH),
    "profile": ("--profile", "Profile of the AWS configuration; else what boto3 finds by itself.", None),
    "region": ("--region", "Region of the stack sets; else tooling.region of the rollout file.", None),
}


def global_options() -> list[click.Parameter]:
    """Make the options of `GlobalOptions`."""
    return [
        click.Option([text, name], type=kind, help=line, expose_value=False, callback=_keep)
        for name, (text, line, kind) in _GLOBAL.items()
    ]


class RolloutCommand(click.Command):
    """A command that takes the global options, too, and says what an interrupt of it leaves."""

    def __init__(
        self, name: str | None, *, params: list[click.Parameter], interrupted: str = NOTHING_CHANGED, **more: Any
    ) -> None:
        super().__init__(name, params=[*params, *global_options()], **more)
        self.interrupted = interrupted

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        if phase := ctx.params.get("phase_name"):
            advice.give({"--phase": phase})
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt) as error:
            if isinstance(error, Interrupted):
                raise
            raise Interrupted(self.interrupted) from error
