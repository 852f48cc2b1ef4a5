"""The command `rollout-stacksets`: what stands before a command's name, and how an error becomes a line and a code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from builders.aws.calls import Access, ApiCalls
from builders.errors import RolloutFileError, StackferryError, UsageError
from builders.rollout.cli import DONE, FAILED, INTERRUPTED, WRONG_USE, change, inspect
from builders.rollout.cli.options import PATH, GlobalOptions

OpenApi = Callable[[str, str | None], ApiCalls]
"""Makes the calls of a region with the credentials of a profile."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--file", type=PATH, default=Path("rollout.yaml"), show_default=True)
@click.option("--templates-dir", "templates", type=PATH, default=Path("templates"), show_default=True)
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region of the stack sets; else tooling.region of the rollout file.")
@click.pass_context
def command(context: click.Context, file: Path, templates: Path, profile: str | None, region: str | None) -> None:
    """Roll phases out to AWS accounts with CloudFormation StackSets: plan, apply, resume, roll back.

    Credentials are those of the tooling account, by boto3's standard chain.
    """
    open_api: OpenApi = context.obj or _open_api
    context.obj = GlobalOptions(file, templates, region, lambda home: open_api(home, profile))


for each in (
    *(change.plan, change.apply, change.resume, change.rollback, change.remove),
    *(inspect.status, inspect.outputs, inspect.drift, inspect.doctor, inspect.bootstrap),
):
    command.add_command(each)


def _open_api(region: str, profile: str | None) -> ApiCalls:
    return ApiCalls(Access(region, profile))


def main(arguments: Sequence[str] | None = None, open_api: OpenApi | None = None) -> int:
    """Run the command and return its exit code; whatever happens, the user reads a line and no traceback.

    A test or a rehearsal calls another cloud than AWS by `open_api`.
    """
    try:
        return int(command.main(arguments, prog_name="rollout-stacksets", standalone_mode=False, obj=open_api) or DONE)
    except (click.Abort, KeyboardInterrupt):
        return _fail(
            "interrupted; operations that StackSets has begun go on, `rollout-stacksets resume --phase ...` continues "
            "the run",
            INTERRUPTED,
        )
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (RolloutFileError, UsageError) as error:
        return _fail(str(error), WRONG_USE)
    except StackferryError as error:
        return _fail(str(error), FAILED)
    except Exception as error:
        return _fail(f"a defect of rollout-stacksets, please report it: {type(error).__name__}: {error}", FAILED)


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        print(f"rollout-stacksets: {line}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
