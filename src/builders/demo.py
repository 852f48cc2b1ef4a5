"""The demo: one phase deployed on the embedded cloud by the real AWS CLI, its rows moved, and all phases rehearsed.

    python -m builders.demo [--phase dev] [--no-rehearse] [--no-check] [--source FILE.sql [--rows N]] [-- COMMAND ...]

The source is a sample database whose application writes while its rows move; with `--source` it is what a file of SQL
makes, and nobody writes to it. A command after `--` runs against the deployed phase before everything stops, instead
of the move and the rehearsal, with both databases as SOURCE_URL and TARGET_URL: the target is empty, the task is not
started, and nobody writes to the source but the command. `make test` runs the integration suite there.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from builders import advice, command_line, outputs, start, terminal
from builders.deploy import AwsCli
from builders.errors import RolloutFileError, UsageError
from builders.naming import stack_set
from builders.scopes import Scope
from builders.text import printable

try:
    from builders.cloud.process import Cloud, running
    from builders.cloud.rds.on_premises import OnPremises
    from builders.rehearsal import cli, database_login, source
    from builders.rehearsal.cloud import RehearsalCloud
    from builders.rehearsal.deployment import (
        ROLLOUT,
        TEMPLATES,
        PhaseAccounts,
        PhaseDeployment,
        account_ids,
        aws_cli,
        layers,
        source_database,
    )
    from builders.rehearsal.moving import Move
    from builders.rehearsal.report import NOT_AWS
    from builders.rehearsal.steps import LAYER
    from builders.rollout.cli.options import check_option
except ModuleNotFoundError as error:
    sys.exit(command_line.missing("builders.demo", error))
except KeyboardInterrupt:
    sys.exit(start.interrupted("builders.demo"))

Say = Callable[[str], None]

NOT_PROVEN = (
    "What this shows: the templates deploy through the real AWS CLI, their properties satisfy the registry's schemas, "
    "the references between the stacks resolve, a real PostgreSQL takes the generated password over verified TLS, and "
    "rows that are written all the time are the same on both sides in the end, with the task's own settings, mappings, "
    "secrets and users.",
    "What moved the rows is a stand-in for DMS, made from its documentation: it carries, changes and refuses what that "
    "says, and its speed means nothing.",
    NOT_AWS,
)


@click.command(context_settings=command_line.HELP)
@command_line.version_option
@click.option("--phase", default="dev", show_default=True, help="Phase of rollout.yaml to deploy.")
@click.option("--outputs-dir", type=click.Path(path_type=Path), default=Path("outputs"), show_default=True)
@click.option(
    "--rehearse/--no-rehearse", default=True, show_default=True, help="End with the rollout of rollout.yaml, rehearsed."
)
@check_option
@click.option(
    "--source",
    "file",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="SQL that psql runs as a superuser to make the source, instead of the sample; the role app gets all of it.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    help="Rows to generate from the definitions for each table that --source leaves empty; a dump of a schema will do.",
)
@click.argument("then", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
def command(
    phase: str,
    outputs_dir: Path,
    rehearse: bool,
    check: bool,
    file: Path | None,
    rows: int | None,
    then: tuple[str, ...],
) -> int:
    """Build, lint, deploy a phase on the embedded cloud, move its rows, rehearse the rollout, and stop everything.

    With a command behind `--` that command runs instead of the move and the rehearsal, with SOURCE_URL and TARGET_URL
    beside the variables of AWS and of migrate-database. With --source there is no rehearsal either.
    """
    console = terminal.console(sys.stdout)

    def say(line: str) -> None:
        console.print(printable(line), soft_wrap=True)

    if importlib.util.find_spec("awscli") is None:
        raise UsageError("the demo deploys with the AWS CLI, which this Python does not have; pip install awscli")
    start.take_signals()
    # Its warnings are about connections that a cut-over has ended.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    code = Demo(console, say, phase, outputs_dir, check).run(file, rows or 0, then)
    return _rehearse(say, check) if rehearse and not file and not then and code == 0 else code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    return command_line.run(
        "builders.demo",
        lambda: command.main(arguments, prog_name="python -m builders.demo", standalone_mode=False),
        interrupted="nothing is left running",
        wrong_use=(UsageError, RolloutFileError),
    )


@dataclass(frozen=True)
class Demo:
    """The input of a demo, and the output to which it reports."""

    console: Console
    say: Say
    phase: str
    outputs_dir: Path
    check: bool

    def run(self, file: Path | None, rows: int, then: Sequence[str]) -> int:
        """Deploy the phase, then move its rows or run a command; return the exit code."""
        (tooling, network, account), region = account_ids(self.phase)
        with running() as cloud:
            accounts = PhaseAccounts.on(cloud, self.phase)
            self.say(f"embedded cloud {cloud.endpoint_url}, {region}")
            self.say(f"accounts: tooling {tooling}, network {network}, {self.phase} {account}")
            deployment = PhaseDeployment(accounts, self.phase, self.outputs_dir, self.say)
            with source_database(cloud, deployment, self.say, file or source.SAMPLE, rows) as on_premises:
                if self.check:
                    _check_templates(self.say)
                if not then:
                    deployment.parameters["TableRules"] = source.table_rules(on_premises, deployment.schemas)
                deployment.deploy_shared()
                deployment.deploy_phase()
                _use_the_database(deployment, cloud.ca_file, self.say)
                written = outputs.write(self.phase, _outputs_of_the_phase(deployment), self.outputs_dir)
                _summary(self.console, deployment.stacks, written)
                target_url = database_login.url(
                    deployment.accounts.phase, deployment.stacks["secrets"]["SecretsManagerArn"], cloud.ca_file
                )
                commands = _of_migrate_database(deployment, on_premises, cloud)
                if then:
                    urls = {"SOURCE_URL": on_premises.application_url, "TARGET_URL": target_url}
                    return _run_command(then, deployment, urls | commands)
                move = Move(deployment, on_premises, target_url, commands, self.console, self.say)
                move.other() if file else move.sample()
                self._say_what_is_not_proven()
        return 0

    def _say_what_is_not_proven(self) -> None:
        self.say("")
        for paragraph in NOT_PROVEN:
            self.console.print(advice.completed(paragraph), soft_wrap=not self.console.is_terminal)


def _run_command(then: Sequence[str], deployment: PhaseDeployment, variables: Mapping[str, str]) -> int:
    """Run a command with the variables of the phase's account and others, and with the commands of this Python in its
    PATH, whether its environment is activated or not; return its exit code."""
    own = {**deployment.accounts.phase.environment, **variables}
    own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), *filter(None, [own.get("PATH")])])
    try:
        return subprocess.run(then, env=own, check=False).returncode
    except OSError as error:
        raise UsageError(f"{then[0]} cannot be run: {error.strerror}") from error


def _of_migrate_database(deployment: PhaseDeployment, source: OnPremises, cloud: Cloud) -> dict[str, str]:
    """The variables by which `migrate-database` runs without an option.

    Nothing here resolves the host of the source, so that its address is given as that of a tunnel is.
    """
    return {
        "MIGRATE_DATABASE_PHASE": deployment.phase,
        "MIGRATE_DATABASE_ACCOUNT": deployment.accounts.phase_id,
        "MIGRATE_DATABASE_REGION": deployment.accounts.region,
        "MIGRATE_DATABASE_OUTPUTS_DIR": str(deployment.outputs_dir.resolve()),
        "MIGRATE_DATABASE_SOURCE_ADDRESS": f"127.0.0.1:{source.server.port}",
        "PGSSLROOTCERT": str(cloud.ca_file),
    }


def _check_templates(say: Say) -> None:
    say("$ build-templates --check")
    finished = subprocess.run([sys.executable, "-m", "builders.build", "--check"], check=False)
    if finished.returncode:
        raise UsageError("the templates or the environments have findings; `build-templates` says what to correct")


def _use_the_database(deployment: PhaseDeployment, ca_file: Path, say: Say) -> None:
    secret = deployment.stacks["secrets"]["SecretsManagerArn"]
    say("log in with the generated password")
    say(database_login.prove(deployment.accounts.phase, secret, ca_file))
    say("rotate the password and log in with the new one")
    say(database_login.rotate_and_prove(deployment.accounts.phase, secret, ca_file))


def _outputs_of_the_phase(deployment: PhaseDeployment) -> dict[str, dict[str, str]]:
    """The outputs of the phase's own stacks; the shared stacks belong to no phase."""
    shared = layers(Scope.TOOLING_PER_PHASE, Scope.TOOLING, Scope.NETWORK)
    return {layer: values for layer, values in deployment.stacks.items() if layer not in shared}


def _summary(console: Console, stacks: dict[str, dict[str, str]], written: list[Path]) -> None:
    table = Table("layer", "output", "value", title="Deployed")
    for layer, values in stacks.items():
        for number, (name, value) in enumerate(sorted(values.items()) or [("-", "-")]):
            table.add_row(layer if number == 0 else "", name, value)
    console.print(table)
    console.print(f"Written: {', '.join(str(path) for path in written)}", soft_wrap=True)


def _rehearse(say: Say, check: bool) -> int:
    """Rehearse the rollout of all phases, and let the AWS CLI list a part of the result."""
    say("$ rollout-stacksets rehearse")

    def list_sets(prepared: RehearsalCloud) -> None:
        tooling = aws_cli(prepared.cloud, prepared.rollout.tooling.account, prepared.rollout.home)
        list_sets_of_cli(tooling, prepared.rollout.stacksets.call_as, say)

    return cli.rehearse(ROLLOUT, TEMPLATES, check=check, afterwards=list_sets)


def list_sets_of_cli(aws: AwsCli, call_as: str, say: Say) -> None:
    """List the stack sets, and of one of them the instances and the operations."""

    def listed(*arguments: str) -> str:
        whole = (*arguments, *(() if call_as == "SELF" else ("--call-as", call_as)))
        say(f"$ aws cloudformation {shlex.join(whole)} --output text")
        return aws.run("cloudformation", *whole, "--output", "text").strip()

    say("the result in the AWS CLI:")
    names = listed("list-stack-sets", "--status", "ACTIVE", "--query", "sort(Summaries[].StackSetName)").split()
    for name in names:
        say(f"  {name}")
    shown = [name for name in names if name.startswith(stack_set(LAYER, ""))] or names
    for arguments in (
        ("list-stack-instances", "--query", "Summaries[].[Account, Region, Status]"),
        ("list-stack-set-operations", "--query", "reverse(Summaries)[].[OperationId, Action, Status]"),
    ):
        for line in listed(arguments[0], "--stack-set-name", shown[0], *arguments[1:]).splitlines() if shown else ():
            say(f"  {line}")


if __name__ == "__main__":
    sys.exit(main())
