"""The options of `rollout-stacksets`: those that all commands have, and those that several have."""

from __future__ import annotations

import dataclasses
import functools
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
    from builders.rollout.render.plan_file import SavedPlan

PATH = click.Path(path_type=Path)

NOTHING_CHANGED = "nothing was changed"

Decorator = Callable[..., Any]

OpenApi = Callable[[str, str | None], "ApiCalls"]
"""Makes the calls of a region with the credentials of a profile; a rehearsal has its own."""


def _open_api(region: str, profile: str | None) -> ApiCalls:
    from builders.aws.calls import Access, ApiCalls  # noqa: PLC0415  --help does not wait for it

    return ApiCalls(Access(region, profile))


@dataclass(frozen=True)
class Options:
    """The options that several commands have; the first ones may stand before a command's name, too."""

    open_api: OpenApi = _open_api
    file: Path = Path("rollout.yaml")
    templates: Path = Path("templates")
    profile: str | None = None
    region: str | None = None
    """Region of the stack sets, instead of the one in the rollout file."""
    phase_name: str = ""
    acknowledged: tuple[str, ...] = ()
    yes: bool = False
    poll_seconds: float = 1.0
    as_json: bool = False
    saved: Path | None = None
    """The plan that a command is given."""
    out: Path | None = None
    """The file for a plan that is only saved."""

    @functools.cached_property
    def saved_plan(self) -> SavedPlan | None:
        """The plan that was given. Raises `RolloutError` where it cannot be read."""
        from builders.rollout.render import plan_file  # noqa: PLC0415  --help does not wait for pydantic

        return plan_file.load_plan(self.saved) if self.saved else None

    @property
    def agreed(self) -> tuple[str, ...]:
        """The names that were acknowledged when the plan was saved."""
        return tuple(self.saved_plan.acknowledged) if self.saved_plan else ()

    def connect(self) -> PhaseConnection:
        """Connect to the accounts of the phase."""
        from builders.rollout import phase  # noqa: PLC0415

        connection = phase.connect(
            self.file, self.templates, self.phase_name, lambda home: self.open_api(home, self.profile), self.region
        )
        connection.client.calls.name_sessions(click.get_current_context().info_name or "")
        return connection

    def open_phase(self) -> Phase:
        """Open the phase."""
        from builders.rollout import phase  # noqa: PLC0415

        return phase.open_phase(self.connect())


_ADVISED = ("--phase", "--file", "--templates-dir", "--profile", "--region")
"""Options that the commands which messages advise have to repeat."""


def _keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep an option in the `Options` of this command, over what stood before its name."""
    if value is not None and context.obj is not None:
        context.obj = dataclasses.replace(context.obj, **{str(option.name): value})
        if option.opts[0] in _ADVISED:
            advice.give({option.opts[0]: value})


KEPT: dict[str, Any] = {"expose_value": False, "callback": _keep}
"""The attributes of an option whose value a command has in its `Options`."""

saved_argument = click.argument("saved", required=False, type=PATH, metavar="[PLAN]", **KEPT)
phase_option = click.option("--phase", "phase_name", required=True, help="The phase, such as dev.", **KEPT)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.", **KEPT)
acknowledge_option = click.option(
    "--acknowledge",
    "acknowledged",
    multiple=True,
    metavar="LAYER/RESOURCE",
    help="Accept a hazard that blocks the plan; may be given several times.",
    **KEPT,
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask before anything is changed.", **KEPT)
out_option = click.option("--out", type=PATH, help="Save the plan, and change nothing.", **KEPT)
poll_option = click.option(
    "--poll",
    "poll_seconds",
    type=click.FloatRange(min=0.05),
    default=1.0,
    show_default=True,
    help="Seconds until the first look at an operation; later ones come less often.",
    **KEPT,
)
check_option = click.option(
    "--check/--no-check", default=True, help="Require templates and values that pass build-templates --check."
)

GLOBAL_OPTIONS: list[click.Parameter] = [
    click.Option(["--file"], type=PATH, help="The rollout file; rollout.yaml by default.", **KEPT),
    click.Option(
        ["--templates-dir", "templates"], type=PATH, help="The folder of the templates; templates by default.", **KEPT
    ),
    click.Option(["--profile"], help="Profile of the AWS configuration; else what boto3 finds by itself.", **KEPT),
    click.Option(["--region"], help="Region of the stack sets; else tooling.region of the rollout file.", **KEPT),
]
"""The options that all commands have, and that may stand before a command's name."""


class RolloutCommand(click.Command):
    """A command that takes the global options, too, and says what an interrupt of it leaves."""

    def __init__(
        self, name: str | None, *, params: list[click.Parameter], interrupted: str = NOTHING_CHANGED, **more: Any
    ) -> None:
        super().__init__(name, params=[*params, *GLOBAL_OPTIONS], **more)
        self.interrupted = interrupted

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (click.Abort, KeyboardInterrupt) as error:
            if isinstance(error, Interrupted):
                raise
            raise Interrupted(self.interrupted) from error


def phase_command(*options: Decorator, interrupted: str = NOTHING_CHANGED) -> Callable[[Decorator], click.Command]:
    """Make a command for one phase; its function takes the `Options`, and the values of its own options by name."""

    def command(work: Decorator) -> click.Command:
        decorators: tuple[Decorator, ...] = (*reversed(options), phase_option, click.pass_obj)
        for each in decorators:
            work = each(work)
        return click.command(cls=RolloutCommand, interrupted=interrupted)(work)

    return command


ANSWERS = (saved_argument, acknowledge_option, yes_option, poll_option, json_option)
"""The options of a command that plans, asks and carries the plan out."""
