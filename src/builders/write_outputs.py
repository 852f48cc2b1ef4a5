"""The command `write-outputs`: outputs of stacks deployed by hand, for the commands and for other accounts' stacks.

It reads the stacks of the account and region whose credentials it is given. With `--phase` it writes the outputs of a
phase to outputs/, where `migrate-database` and the integration suite look; with `--into` it writes outputs into a
parameter file: those that a layer of another account takes as a parameter of the same name.

Exit codes: 0 written; 1 AWS refused or does not answer; 2 wrong use; 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from builders import command_line, deployed, environments, naming, outputs, progress
from builders.aws import networks
from builders.deployed import Deployed
from builders.environments import ParameterFile
from builders.errors import ParameterFileError, RolloutError, UsageError
from builders.layer_templates import Template, read_templates
from builders.scopes import Scope
from builders.text import name_list

if TYPE_CHECKING:
    from builders.aws.calls import Session

_SHARED = (Scope.TOOLING, Scope.NETWORK)
"""Scopes of stacks that all phases use, and which have a suffix of their own."""
_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.command(context_settings=command_line.HELP)
@command_line.version_option
@click.option("--phase", help="Phase whose outputs are written to outputs/.")
@click.option("--into", multiple=True, type=_FILE, help="Parameter file that gets the values; may be given again.")
@click.option("--outputs-dir", type=_FOLDER, default=Path("outputs"), show_default=True, help="Folder for --phase.")
@click.option(
    "--templates-dir", type=_FOLDER, default=Path("templates"), show_default=True, help="Templates that were deployed."
)
@click.option("--profile", help="Profile of the AWS configuration; else what boto3 finds by itself.")
@click.option("--region", help="Region of the stacks; else that of the profile or of AWS_DEFAULT_REGION.")
def command(
    phase: str | None,
    into: tuple[Path, ...],
    outputs_dir: Path,
    templates_dir: Path,
    profile: str | None,
    region: str | None,
) -> int:
    """Write the outputs of stacks that were deployed by hand.

    The stacks are those of the account whose credentials are given, called <layer>-<suffix> as in docs/by-hand.md.
    With --phase the files in outputs/ are written, which migrate-database and the integration suite read. With --into
    a parameter file gets the outputs that layers of other accounts take as parameters.
    """
    if not phase and not into:
        raise UsageError("nothing to write: give --phase, or --into with a parameter file")
    templates = read_templates(templates_dir)
    target, session = deployed.caller(region, profile)
    where = f"account {target.account} in {target.region}"
    stacks = [each for each in deployed.stacks(session) if each.layer in templates]
    if phase:
        found = deployed.of_phase(
            [each for each in stacks if templates[each.layer].scope in (Scope.PHASE, Scope.ACCOUNT)], phase, where
        )
        others = outputs.targets(phase, outputs_dir).keys() - {target}
        for path in outputs.write_targets(phase, {target: found}, outputs_dir, others)[target]:
            print(path)
        missing = [name for name in outputs.RELIED_ON if name not in outputs.flatten(found)]
        if missing:
            progress.say(f"no stack of {phase} in {where} has the outputs {name_list(missing)}")
    for path in into:
        values = _values_for(environments.read(path), stacks, templates, where)
        if naming.DIRECT_CONNECT_ATTACHMENT in _taken(environments.read(path), templates):
            values |= _attachment(stacks, session)
        changed = environments.put(path, values)
        for name in changed:
            print(f"{path}: {name}={values[name]}")
        if not changed:
            has_none = f"no stack of {where} has an output that its layers take as a parameter"
            progress.say(f"{path} stays as it is: {'it has these values already' if values else has_none}")
    return command_line.DONE


def _values_for(
    file: ParameterFile, stacks: Sequence[Deployed], templates: Mapping[str, Template], where: str
) -> dict[str, str]:
    """The outputs that layers of other scopes take from a parameter file, as parameters of the same names.

    Raises `UsageError` where there is none, and where two stacks have the same output.
    """
    taken, suffix = _taken(file, templates), file.values.get(naming.SUFFIX)
    found: dict[str, tuple[str, str]] = {}
    for stack in stacks:
        scope = templates[stack.layer].scope
        if not stack.is_standing or (scope not in _SHARED and stack.suffix != suffix):
            continue
        for name, value in outputs.as_parameters(stack.outputs).items():
            if not taken.get(name, set()) - {scope}:
                continue
            if name in found and found[name] != (value, stack.name):
                raise UsageError(
                    f"{stack.name} and {found[name][1]} of {where} both have the output {name}; write the one that you "
                    f"mean into {file.path}"
                )
            found[name] = (value, stack.name)
    return {name: value for name, (value, _) in found.items()}


def _taken(file: ParameterFile, templates: Mapping[str, Template]) -> dict[str, set[Scope]]:
    """The parameters of the layers that a file serves, and the scopes of the layers that take each."""
    served = file.scopes | ({Scope.NETWORK_PER_PHASE} if Scope.PHASE in file.scopes else set())
    taken: dict[str, set[Scope]] = {}
    for template in templates.values():
        if template.scope in served:
            for name in template.parameters:
                taken.setdefault(name, set()).add(template.scope)
    return taken


def _attachment(stacks: Iterable[Deployed], session: Session) -> dict[str, str]:
    """The attachment of the Direct Connect gateway in the network account, which no stack has as an output.

    Raises `RolloutError` while there is none.
    """
    for stack in stacks:
        if stack.is_standing and stack.outputs.get("SharedDirectConnectGatewayId"):
            found = networks.attachment_of(session, stack.outputs)
            if not found:
                raise RolloutError(
                    f"the Direct Connect gateway of {stack.name} is not attached yet, which takes minutes; run this "
                    "again"
                )
            return {naming.DIRECT_CONNECT_ATTACHMENT: found}
    return {}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; an error is one line for the user, never a traceback."""
    return command_line.run(
        "write-outputs",
        lambda: command.main(arguments, prog_name="write-outputs", standalone_mode=False),
        interrupted="every file is whole, the old one or the new one",
        wrong_use=(UsageError, ParameterFileError),
    )


if __name__ == "__main__":
    sys.exit(main())
