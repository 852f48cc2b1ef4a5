"""Options that several subcommands of `migrate-database` take."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from builders import progress
from builders.command_line import FAILED
from builders.errors import StackferryError, UsageError

PREFIX = "MIGRATE_DATABASE"
"""Options may stand in the environment: MIGRATE_DATABASE_PHASE for --phase."""


class Address(click.ParamType[tuple[str, int]]):
    """HOST:PORT of a tunnel."""

    name = "host:port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return host and port."""
        if isinstance(value, tuple):
            return value
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            self.fail(f"{value!r} is not HOST:PORT, such as 127.0.0.1:15432", param, ctx)
        return host.strip("[]"), int(port)


_PHASE_OPTIONS = (
    click.option("--phase", required=True, envvar=f"{PREFIX}_PHASE", help="The phase that is meant, such as dev."),
    click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True,
                 envvar=f"{PREFIX}_OUTPUTS_DIR", help="Where the outputs of deployed phases are."),
    click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself."),
    click.option("--account", envvar=f"{PREFIX}_ACCOUNT", help="Account of the target, where the phase has several."),
    click.option("--region", envvar=f"{PREFIX}_REGION", help="Region of the target, where the phase has several."),
    click.option("--role", envvar=f"{PREFIX}_ROLE",
                 help="ARN of the role to assume, or none; else the migration role of the phase."),
    click.option("--source-secret", envvar=f"{PREFIX}_SOURCE_SECRET",
                 help="ARN of the secret of the user in the source; else that of DMS's endpoint."),
    click.option("--source-address", type=Address(), envvar=f"{PREFIX}_SOURCE_ADDRESS",
                 help="Address of a tunnel to the source; the certificate is still that of the secret's host."),
    click.option("--target-address", type=Address(), envvar=f"{PREFIX}_TARGET_ADDRESS",
                 help="Address of a tunnel to the target, likewise."),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
)  # fmt: skip


def phase_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options by which it finds its phase, as one value `options`."""

    @functools.wraps(command)
    def with_options(**given: Any) -> int:
        from builders.migration.phase import PhaseOptions  # noqa: PLC0415  --help does not wait for psycopg

        chosen = {each.name: given.pop(each.name) for each in dataclasses.fields(PhaseOptions)}
        return command(options=PhaseOptions(**chosen), **given)

    for option in reversed(_PHASE_OPTIONS):
        with_options = option(with_options)
    return with_options


def every_target(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command, inside its `phase_options`, the option to take all targets of its phase.

    A target that cannot be read does not hide the others; the exit code is the highest.
    """

    @functools.wraps(command)
    def for_each(*, options: Any, all_targets: bool, **own: object) -> int:
        if not all_targets:
            return command(options=options, **own)
        from builders import outputs  # noqa: PLC0415

        codes = []
        for target in outputs.every_target(options.phase, options.outputs_dir, options.account, options.region):
            progress.say(f"{options.phase} in {target.account}, {target.region}:")
            try:
                chosen = dataclasses.replace(options, account=target.account, region=target.region)
                codes.append(command(options=chosen, **own))
            except StackferryError as error:
                progress.say(f"migrate-database: {error}")
                codes.append(FAILED)
        if not codes:
            raise UsageError(
                f"{outputs.unknown_phase(options.phase, options.outputs_dir)}; --all takes the targets whose outputs "
                "rollout-stacksets outputs or write-outputs has written"
            )
        return max(codes)

    return click.option(
        "--all",
        "all_targets",
        is_flag=True,
        help="Take every target of the phase, one after the other; with --json one document for each.",
    )(for_each)


def waiting_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of waiting for the task."""
    for option in (
        click.option("--poll", "poll_seconds", type=click.FloatRange(min=0.05), default=5.0, show_default=True,
                     help="Seconds between two polls of the task."),
        click.option("--timeout", "timeout_seconds", type=click.FloatRange(min=0),
                     help="Wait at most so many seconds."),
    ):  # fmt: skip
        command = option(command)
    return command


def switchover_options(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a cut-over and a fall-back."""
    for option in (
        click.option("--yes", is_flag=True, help="Go on without asking; the preconditions are looked at all the same."),
        click.option("--keep-reads", is_flag=True,
                     help="Let logins and readers be, and end only sessions that are writing."),
        click.option("--max-lag", "most_lag_seconds", type=click.FloatRange(min=0.1), default=10.0, show_default=True,
                     help="Seconds in which a marker has to come through, or nothing is closed."),
        click.option("--abort", is_flag=True, help="Undo a run that was broken off before the opening."),
        click.option("--poll", "poll_seconds", type=click.FloatRange(min=0.05), default=0.3, show_default=True,
                     help="Seconds between two polls of the task: part of the outage."),
    ):  # fmt: skip
        command = option(command)
    return command


report_option = click.option(
    "--report-dir",
    type=click.Path(path_type=Path),
    default=Path("reports"),
    show_default=True,
    help="Where the report is written, as HTML and as JSON; of several targets each has a folder there.",
)
until_option = click.option(
    "--until",
    type=click.Choice(["running", "loaded"]),
    default="loaded",
    show_default=True,
    help="How long to wait: until the task runs, or until the full load is done.",
)

until_ready_option = click.option(
    "--until",
    type=click.Choice(["running", "loaded", "ready"]),
    default="ready",
    show_default=True,
    help="How far to go: until the task runs, the full load is done, or indexes and constraints are built, too.",
)
