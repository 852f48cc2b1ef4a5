"""The command `stackferry-init`: makes a project, with its parameter files, rollout.yaml, lint settings and CI.

Its files are those of Stackferry's repository with placeholders for what is somebody's own. The examples in
`environments/` are about accounts, ranges and hosts that nobody has; what is a choice in them, such as sizes and
retention, is where a project begins.

Exit codes: 0 made; 1 files are there already, and nothing was written; 2 wrong use; 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from builders import command_line, environments, files, progress
from builders.errors import UsageError
from builders.project import data, placeholders
from builders.text import counted_noun, name_list, unknown_name

MADE, THERE_ALREADY = command_line.DONE, command_line.FAILED

DISTRIBUTION = "stackferry"
_FILES = Path(__file__).with_name("project") / "files"
_PHASES = ("dev", "staging", "prod")

_FACTS = {
    "CostCenter": "<cost-center>",
    "OnPremisesCidr1": "<on-premises-cidr>",
    "S3PrefixListId": "<s3-prefix-list>",
    "SourceHost": "<{phase}-source-host>",
    "SourceDatabaseName": "<source-database>",
    "SourceSecretArn": "<{phase}-source-secret-arn>",
    "SourceSecretArns": "<{phase}-source-secret-arn>",
    "SourceCertificatePem": "<source-certificate>",
    "VpcCidr": "<{phase}-vpc-cidr>",
    "DirectConnectConnectionId": "<direct-connect-connection>",
    "VirtualInterfaceVlan": "<virtual-interface-vlan>",
    "OnPremisesAsn": "<on-premises-asn>",
}
"""Parameters whose value is a fact about somebody's network, with the placeholder for it."""

_EXAMPLE_ACCOUNTS = {
    "8" * 12: "<tooling-account>",
    "1" * 12: "<dev-account>",
    "2" * 12: "<staging-account>",
    "3" * 12: "<prod-account>",
}
_EXAMPLE_REGION = "us-east-1"


@click.command(context_settings=command_line.HELP)
@command_line.version_option
@click.argument("directory", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--set",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="A value for a placeholder, such as tooling-account=111122223333; NAME=@FILE takes a file's text.",
)
@click.option("--missing", is_flag=True, help="Write the files that are not there, and leave the others as they are.")
def command(directory: Path, given: Sequence[str], missing: bool) -> int:
    """Make a project in DIR: parameter files, rollout.yaml, settings of the lint, a CI workflow, a README.

    What only you know are placeholders such as <tooling-account>, which README.md in DIR explains and `build-templates
    --check` names. No file is ever overwritten: where some are there, the command says what it would write, and ends
    with exit code 1.
    """
    made = project_files(_values(given))
    there = [path for path in made if (directory / path).exists() or (directory / path).is_symlink()]
    if there and not missing:
        for path in sorted(made):
            state = "is there, and stays" if path in there else "would be written"
            print(f"{directory / path} {state}")
        if len(there) < len(made):
            progress.say("stackferry-init: nothing was written; --missing writes the files that are not there")
        return THERE_ALREADY
    wanted = {path: text for path, text in made.items() if path not in there}
    for path, text in sorted(wanted.items()):
        _write(directory / path, text)
    print(f"{directory}: {counted_noun(len(wanted), 'file')} written")
    left = placeholders.unfilled("".join(text for path, text in wanted.items() if path.name != "README.md"))
    if left:
        print(f"fill in {name_list([f'<{name}>' for name in left])}; {directory / 'README.md'} says how")
    return MADE


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return command_line.run(
        "stackferry-init",
        lambda: command.main(arguments, prog_name="stackferry-init", standalone_mode=False),
        interrupted="every file is whole or not there, and --missing writes the others",
    )


def project_files(given: Mapping[str, str]) -> dict[Path, str]:
    """The files of a new project, by their paths in it, with the values that are given for placeholders."""
    version = importlib.metadata.version(DISTRIBUTION)
    made = {
        Path("rollout.yaml"): placeholders.fill_in(_text("rollout.yaml"), given),
        Path(".gitignore"): _text("gitignore"),
        Path(".cfnlintrc"): _lint_settings(given.get("region")),
        Path("requirements.txt"): _text("requirements.txt").replace("{{version}}", version),
        Path(".github/workflows/stackferry.yaml"): _text("stackferry.yaml"),
        Path("rollout.schema.json"): data.bundled("docs/rollout.schema.json").read_text(encoding="utf-8"),
    }
    made |= {path: _list(entries, given) for path, entries in _environments().items()}
    left = placeholders.unfilled("".join(made.values()))
    readme = _text("README.md").replace("{{version}}", version)
    return made | {Path("README.md"): readme.replace("{{placeholders}}", "\n".join(_table(left)))}


def _names() -> list[str]:
    """The placeholders of a project."""
    entries = (value for each in _environments().values() for value in each)
    return placeholders.unfilled("".join([_text("rollout.yaml"), *entries]))


def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _lint_settings(region: str | None) -> str:
    """The settings of this repository's lint; for a region that is given, and else for those that they name."""
    text = data.bundled(".cfnlintrc").read_text(encoding="utf-8")
    return (
        re.sub(r"(?<=^regions:\n)(  - .*\n)+", lambda _: f"  - {region}\n", text, flags=re.MULTILINE)
        if region
        else text
    )


def _environments() -> dict[Path, list[str]]:
    """The "Key=Value" strings of each parameter file."""
    examples = {
        path.stem: environments.read(path).values for path in sorted(data.bundled("environments").glob("*.json"))
    }
    replaced = _EXAMPLE_ACCOUNTS | {_EXAMPLE_REGION: "<region>"}
    replaced |= {examples[phase]["VpcCidr"]: f"<{phase}-vpc-cidr>" for phase in _PHASES}
    example = re.compile("|".join(map(re.escape, replaced)))

    def of_a_project(phase: str, key: str, value: str) -> str:
        if key in _FACTS:
            return _FACTS[key].format(phase=phase)
        return example.sub(lambda found: replaced[found[0]], value)

    return {
        Path("environments", f"{name}.json"): [
            f"{key}={of_a_project(name, key, value)}" for key, value in values.items()
        ]
        for name, values in examples.items()
    }


def _list(entries: list[str], given: Mapping[str, str]) -> str:
    filled = [placeholders.fill_in(entry, given) for entry in entries]
    return json.dumps(filled, indent=1, ensure_ascii=False) + "\n"


def _table(left: list[str]) -> Iterator[str]:
    if not left:
        yield "All of them have been given."
        return
    yield "| placeholder | value | command |"
    yield "|---|---|---|"
    for name in left:
        note = placeholders.note(name)
        command = f"`{note.command.replace('|', chr(92) + '|')}`" if note.command else ""
        yield f"| `<{name}>` | {note.meaning} | {command} |"


def _values(given: Sequence[str]) -> Mapping[str, str]:
    """The values of --set by placeholder. Raises `UsageError`."""
    values = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or not value:
            raise UsageError(f"--set {each} is not NAME=VALUE; write, for example, tooling-account=111122223333")
        if name not in _names():
            raise UsageError(unknown_name("placeholder", name, _names()))
        if name in values:
            raise UsageError(f"--set {name} is given twice; give it once")
        values[name] = _file(value[1:]).rstrip("\n") if value.startswith("@") else value
        if not values[name].replace("\n", "").isprintable():
            raise UsageError(f"--set {name} has characters that cannot be printed; give a value without them")
        if f"<{name}>" in _text("rollout.yaml") and not re.fullmatch(r"[\w-]+", values[name], re.ASCII):
            raise UsageError(f"--set {name}={values[name]!r} is not the {placeholders.note(name).meaning}")
    return values


def _file(name: str) -> str:
    try:
        return files.read_text(Path(name))
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text; name another file") from error
    except OSError as error:
        raise UsageError(f"{name} {files.unreadable(error)}") from error


def _write(path: Path, text: str) -> None:
    """Write a file that is not there. Raises `UsageError` where that fails."""
    try:
        files.create(path, text.encode())
    except FileExistsError as error:
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: {error.strerror}; name another directory") from error
        raise UsageError(f"{path} has been written meanwhile by somebody else, and stays") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}; name another directory") from error


if __name__ == "__main__":
    sys.exit(main())
