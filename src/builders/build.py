"""The command `build-templates`: builds the layers, writes their templates, lints and checks them.

Exit codes: 0 clean, 1 findings or stale templates, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from builders.errors import StackferryError

CLEAN, FINDINGS, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, metavar="[LAYER]...")
@click.option("--check", is_flag=True, help="Write nothing: fail on stale templates and on mistakes in environments.")
@click.option(
    "--format", "form", type=click.Choice(["json", "yaml"]), default="json", help="Language of the templates."
)
@click.option("--report", type=click.Choice(["text", "json", "sarif"]), default="text", help="Form of the findings.")
@click.option("--json", "as_json", is_flag=True, help="The same as --report json.")
@click.option("--lint/--no-lint", default=True, help="Run cfn-lint and the rules of Stackferry; on by default.")
@click.option("--package", is_flag=True, help="Package the functions, and put their keys into environments/.")
@click.option("--upload", multiple=True, metavar="REGION=BUCKET", help="Package, and put the packages into a bucket.")
@click.option("--regions", multiple=True, help="Regions to lint for, with commas; by default those of .cfnlintrc.")
@click.option("--templates-dir", type=click.Path(path_type=Path), default="templates", show_default=True)
@click.option("--environments-dir", type=click.Path(path_type=Path), default="environments", show_default=True)
def command(form: str, as_json: bool, regions: Sequence[str], report: str, **options: Any) -> int:
    """Build the CloudFormation templates of all layers, or of those that are named, and lint them.

    Findings go to stdout, everything else to stderr. Exit code 0: clean; 1: findings or stale templates; 2: wrong use.
    """
    from builders.building import run, templates  # noqa: PLC0415  --help does not wait for troposphere

    request = run.Request(
        form=templates.Format(form),
        regions=[region for group in regions for region in group.replace(",", " ").split()],
        report="json" if as_json else report,
        **options,
    )
    return FINDINGS if run.build_templates(request) else CLEAN


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; an error is one line for the user, never a traceback."""
    try:
        return int(command.main(arguments, standalone_mode=False))
    except (click.Abort, KeyboardInterrupt):
        return _fail("interrupted; every template is whole, the old one or the new one", INTERRUPTED)
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except StackferryError as error:
        return _fail(str(error), WRONG_USE)
    except Exception as error:
        return _fail(f"a defect of build-templates, please report it: {type(error).__name__}: {error}", FINDINGS)


def _fail(message: str, code: int) -> int:
    print(f"build-templates: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
