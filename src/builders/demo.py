"""The demo: one phase deployed on the embedded cloud by the real AWS CLI, and its database used.

    python -m builders.demo [--phase dev] [--then COMMAND ...]

`--then` runs a command against the deployed phase before everything stops; `make test` runs the integration suite so.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from builders import catalog, database_login, deploy, outputs, package
from builders.cloud.process import Cloud, running
from builders.errors import StackferryError, UsageError
from builders.stack import Scope

ACCOUNT = "1" * 12
REGION = "us-east-1"
PACKAGES = Path("build/packages")
WHEELS = Path("build/wheels")

NOT_PROVEN = """\
What this shows: the templates deploy through the real AWS CLI, their properties satisfy the registry's schemas, the
references between the stacks resolve, and a real PostgreSQL takes the generated password over verified TLS.
What it does not show: AWS itself. Packets do not pass through the security groups and network ACLs (the reachability
test reads them instead), nothing is really encrypted by KMS, and the database's address and port are this machine's
(on RDS: <identifier>.<id>.<region>.rds.amazonaws.com and the port that you chose). The whole list stands in
docs/embedded-cloud.md."""


@click.command()
@click.option("--phase", default="dev", show_default=True, help="Which environments/<phase>.json to deploy.")
@click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True)
@click.argument("then", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
def main(phase: str, outputs_dir: Path, then: tuple[str, ...]) -> None:
    """Build, lint, deploy a phase on the embedded cloud, log in to its database, and stop everything."""
    console = Console(highlight=False, emoji=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(_run(console, phase, outputs_dir, then))
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        sys.exit(130)
    except StackferryError as error:
        Console(stderr=True, highlight=False, emoji=False).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


def _run(console: Console, phase: str, outputs_dir: Path, then: tuple[str, ...]) -> int:
    say = _narrator(console)
    environment_file = Path("environments", f"{phase}.json")
    if not environment_file.exists():
        raise UsageError(
            f"{environment_file} is not there; phases are {', '.join(_phases())}, run from the project's root"
        )
    _check_templates(say)
    with running() as cloud:
        console.print(f"[bold]Embedded cloud[/] {cloud.endpoint_url}, account {ACCOUNT}, region {REGION}")
        cli = command_line(cloud)
        publish_packages(cli, environment_file, say)
        stacks = deploy_phase(cli, environment_file, say)
        console.print("[bold]Log in[/] to the database with the generated password")
        say(database_login.prove(cli, stacks["secrets"]["SecretsManagerArn"], cloud.ca_file))
        if "rotation" in stacks:
            console.print("[bold]Rotate[/] the password and log in with the new one")
            say(database_login.rotate_and_prove(cli, stacks["secrets"]["SecretsManagerArn"], cloud.ca_file))
        written = outputs.write(phase, stacks, outputs_dir)
        _summary(console, stacks, written)
        if then:
            return subprocess.run(then, env=dict(cli.environment), check=False).returncode
    return 0


def command_line(cloud: Cloud, account: str = ACCOUNT) -> deploy.AwsCli:
    """The AWS CLI of this Python environment, speaking for `account` to the embedded cloud.

    It is started as a module: the script that pip installs does not run from a directory with a space in its name.
    """
    return deploy.AwsCli((sys.executable, "-m", "awscli"), os.environ | cloud.environment(account, REGION))


def publish_packages(cli: deploy.AwsCli, environment_file: Path, say: Callable[[str], None]) -> None:
    """Package the functions and put them into the bucket that the environment names."""
    functions = package.functions(Path("lambda"))
    if not functions:
        return
    bucket = _environment(environment_file)["ArtifactsBucket"]
    cli.run("s3api", "create-bucket", "--bucket", bucket)
    for function in functions:
        path = package.build(function, PACKAGES, WHEELS)
        cli.run("s3", "cp", "--quiet", str(path), f"s3://{bucket}/{function.key}")
        say(f"packaged {function.name}: {path.stat().st_size / 1024:.0f} KiB, s3://{bucket}/{function.key}")


def deploy_phase(cli: deploy.AwsCli, environment_file: Path, say: Callable[[str], None]) -> dict[str, dict[str, str]]:
    """Deploy every layer of a phase in order, and return {layer: {output: value}}."""
    suffix = _environment(environment_file)["EnvironmentSuffix"]
    return {
        layer: deploy.deploy(cli, Path("templates", f"{layer}.json"), suffix, environment_file, say)
        for layer in phase_layers()
    }


def phase_layers() -> list[str]:
    """The layers of a phase's own account, in the order in which they deploy."""
    layers = [catalog.load(name) for name in catalog.names()]
    order = catalog.deploy_order({layer.name: layer.build() for layer in layers}, layers)
    in_phase = {layer.name for layer in layers if layer.scope is Scope.PHASE}
    return [name for name in order if name in in_phase]


def _environment(path: Path) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in json.loads(path.read_text(encoding="utf-8")))


def _phases() -> Iterator[str]:
    return (path.stem for path in sorted(Path("environments").glob("*.json")))


def _check_templates(say: Callable[[str], None]) -> None:
    say("$ build-templates --check")
    finished = subprocess.run([sys.executable, "-m", "builders.build", "--check"], check=False)
    if finished.returncode:
        raise UsageError("the templates or the environments are not clean; `build-templates` says what to mend")


def _summary(console: Console, stacks: dict[str, dict[str, str]], written: list[Path]) -> None:
    table = Table("layer", "output", "value", title="Deployed")
    for layer, values in stacks.items():
        for number, (name, value) in enumerate(sorted(values.items())):
            table.add_row(layer if number == 0 else "", name, value)
    console.print(table)
    console.print(f"Written: {', '.join(str(path) for path in written)}", soft_wrap=True)
    console.print(NOT_PROVEN)


def _narrator(console: Console) -> Callable[[str], None]:
    return lambda line: console.print(line, markup=False, soft_wrap=True)


def _interrupt(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
