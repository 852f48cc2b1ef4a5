"""The command `python -m builders.demo`."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console
from rich.table import Table

from builders import outputs
from builders.cloud.process import running
from builders.errors import StackferryError, UsageError
from builders.rehearsal import database_login, rollout
from builders.rehearsal.phase import NETWORK, PHASES, REGION, TOOLING, Accounts, Scenario, layers, source_database
from builders.rehearsal.report import NOT_AWS
from builders.scopes import Scope

NOT_PROVEN = (
    "What this shows: the templates deploy through the real AWS CLI, their properties satisfy the registry's schemas, "
    "the references between the stacks resolve, and a real PostgreSQL takes the generated password over verified TLS.",
    NOT_AWS,
)


@click.command()
@click.option("--phase", type=click.Choice(list(PHASES)), default="dev", show_default=True, help="Which to deploy.")
@click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True)
@click.option(
    "--rehearse/--no-rehearse", default=True, show_default=True, help="End with the rollout of rollout.yaml, rehearsed."
)
@click.argument("then", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
def main(phase: str, outputs_dir: Path, rehearse: bool, then: tuple[str, ...]) -> None:
    """Build, lint, deploy a phase on the embedded cloud, use its database, rehearse the rollout, and stop everything.

    With a command behind `--` there is no rehearsal.
    """
    console = Console(highlight=False, emoji=False)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(console, phase, outputs_dir, then)
        if rehearse and not then and code == 0:
            code = rollout.rehearse_and_list(lambda line: console.print(line, markup=False, soft_wrap=True))
        sys.exit(code)
    except KeyboardInterrupt:
        console.print("stopped; nothing is left running")
        sys.exit(130)
    except StackferryError as error:
        Console(stderr=True, highlight=False, emoji=False).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)


def _run(console: Console, phase: str, outputs_dir: Path, then: tuple[str, ...]) -> int:
    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    _check_templates(say)
    with running() as cloud:
        say(f"embedded cloud {cloud.endpoint_url}, {REGION}")
        say(f"accounts: tooling {TOOLING}, network {NETWORK}, {phase} {PHASES[phase]}")
        accounts = Accounts.of(cloud, phase)
        scenario = Scenario(accounts, phase, outputs_dir, say)
        with source_database(cloud, scenario, say):
            scenario.deploy_shared()
            scenario.deploy_phase()
            _use_the_database(scenario, cloud.ca_file, say)
            written = outputs.write(phase, _of_the_phase(scenario), outputs_dir)
            _summary(console, scenario.stacks, written)
            if then:
                return subprocess.run(then, env=dict(accounts.phase.environment), check=False).returncode
    return 0


def _use_the_database(scenario: Scenario, ca_file: Path, say: Callable[[str], None]) -> None:
    secret = scenario.stacks["secrets"]["SecretsManagerArn"]
    say("log in with the generated password")
    say(database_login.prove(scenario.accounts.phase, secret, ca_file))
    say("rotate the password and log in with the new one")
    say(database_login.rotate_and_prove(scenario.accounts.phase, secret, ca_file))


def _of_the_phase(scenario: Scenario) -> dict[str, dict[str, str]]:
    """What the phase's own account answered; the shared stacks belong to no phase."""
    shared = layers(Scope.TOOLING_ONCE, Scope.TOOLING, Scope.NETWORK)
    return {layer: values for layer, values in scenario.stacks.items() if layer not in shared}


def _check_templates(say: Callable[[str], None]) -> None:
    say("$ build-templates --check")
    finished = subprocess.run([sys.executable, "-m", "builders.build", "--check"], check=False)
    if finished.returncode:
        raise UsageError("the templates or the environments are not clean; `build-templates` says what to mend")


def _summary(console: Console, stacks: dict[str, dict[str, str]], written: list[Path]) -> None:
    table = Table("layer", "output", "value", title="Deployed")
    for layer, values in stacks.items():
        for number, (name, value) in enumerate(sorted(values.items()) or [("-", "-")]):
            table.add_row(layer if number == 0 else "", name, value)
    console.print(table)
    console.print(f"Written: {', '.join(str(path) for path in written)}", soft_wrap=True)
    for paragraph in NOT_PROVEN:
        console.print(paragraph, soft_wrap=not console.is_terminal)


def _interrupt(_signal: int, _frame: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
