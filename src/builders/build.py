"""The command `build-templates`: builds the layers, writes their templates, lints and checks them.

Exit codes: 0 clean, and the end of --watch; 1 findings or stale templates; 2 wrong use; 130 interrupted.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from builders import command_line, layers, progress
from builders.command_line import DONE, FAILED
from builders.errors import StackferryError, UsageError

if TYPE_CHECKING:
    from builders.building.cache import Memory


@click.command(context_settings=command_line.HELP)
@command_line.version_option
@click.argument("names", nargs=-1, metavar="[LAYER]...")
@click.option("--check", is_flag=True, help="Write nothing: fail on stale templates and on mistakes in environments.")
@click.option(
    "--format", "form", type=click.Choice(["json", "yaml"]), default="json", help="Language of the templates."
)
@click.option("--report", type=click.Choice(["text", "json", "sarif"]), default="text", help="Form of the findings.")
@click.option("--json", "as_json", is_flag=True, help="The same as --report json.")
@click.option("--lint/--no-lint", default=True, help="Run cfn-lint and the rules of Stackferry; on by default.")
@click.option("--second-opinion", is_flag=True, help="Ask cloudformation-validate, AWS's own linter, as well.")
@click.option("--watch", is_flag=True, help="Stay, and build and lint again whenever a source is saved.")
@click.option("--package", is_flag=True, help="Package the functions, and put their keys into environments/.")
@click.option("--upload", multiple=True, metavar="REGION=BUCKET", help="Package, and put the packages into a bucket.")
@click.option("--regions", multiple=True, help="Regions to lint for, with commas; by default those of .cfnlintrc.")
@click.option(
    "--cache/--no-cache", default=True, help="Take what earlier runs found where nothing changed; on by default."
)
@click.option("--environments/--no-environments", default=True, help="Check the parameter files, too; on by default.")
@click.option("--templates-dir", type=click.Path(path_type=Path), default="templates", show_default=True)
@click.option(
    "--layers-dir",
    type=click.Path(path_type=Path),
    default="layers",
    show_default=True,
    help="Folder of layers of your own, which join those of Stackferry.",
)
@click.option("--environments-dir", type=click.Path(path_type=Path), default="environments", show_default=True)
def command(as_json: bool, regions: Sequence[str], report: str, cache: bool, watch: bool, **options: Any) -> int:
    """Build the CloudFormation templates of all layers, or of those that are named, and lint them.

    Findings go to stdout, everything else to stderr. Exit code 0: clean; 1: findings or stale templates; 2: wrong use.
    """
    options["regions"] = [region for group in regions for region in group.replace(",", " ").split()]
    options["report"] = "json" if as_json else report
    layers.include(options["layers_dir"])
    if watch:
        return _watch(options, cache)
    memory = _memory(options) if cache else None
    known = memory.recall() if memory and not options["package"] and not options["upload"] else None
    if known:
        output, line, had_findings = known
        if line:
            progress.say(line)
        sys.stdout.write(output)
        return FAILED if had_findings else DONE
    from builders.building import troposphere_speed  # noqa: PLC0415  neither --help nor a recall waits for troposphere

    with _without_collector(), troposphere_speed.installed():
        from builders.building import run, templates  # noqa: PLC0415

        form = templates.Format(options.pop("form"))
        return FAILED if run.build_templates(run.Request(form=form, memory=memory, **options)) else DONE


def _memory(options: Mapping[str, Any]) -> Memory:
    from builders.building import cache  # noqa: PLC0415

    return cache.Memory(cache.of_user(), _plain(options), list(layers.__path__))


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return plain | {"lambda_dir": "lambda"}


def _watch(options: Mapping[str, Any], cached: bool) -> int:
    """Watch until an interrupt, which is how it ends; without the user's cache, with one for the time being."""
    if options["package"] or options["upload"]:
        raise UsageError("--watch neither packages nor uploads; run build-templates --package when you are done")
    import tempfile  # noqa: PLC0415

    from builders.building import cache, watch  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="stackferry-") as folder, contextlib.suppress(KeyboardInterrupt):
        watch.watch(_plain(options), list(layers.__path__), cache.of_user().folder if cached else folder)
    return DONE


@contextlib.contextmanager
def _without_collector() -> Iterator[None]:
    """Look for no circles among objects: a seventh of a build's time. The lint looks for them rarely.

    All that a build made counts as old afterwards, or the very next object would have Python look at the whole of it.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; an error is one line for the user, never a traceback."""
    code = command_line.run(
        "build-templates",
        lambda: command.main(arguments, prog_name="build-templates", standalone_mode=False),
        interrupted="every template is whole, the old one or the new one",
        wrong_use=(StackferryError,),
    )
    if arguments is None:
        gc.freeze()  # the process ends: Python's last search for circles would find nothing that matters
    return code


if __name__ == "__main__":
    sys.exit(main())
