"""The demo: both generations of the AWS CLI deploy a phase, its rows move while they change, and a command sees both
databases."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cli
import pytest
import warm
from leftovers import gone_in_time, marked

from builders import deploy, outputs
from builders.cloud.process import Cloud
from builders.demo import list_sets_of_cli
from builders.errors import UsageError
from builders.rehearsal import database_login
from builders.rehearsal.deployment import PhaseAccounts, PhaseDeployment, account_ids, source_database
from builders.rollout.config.loading import load_rollout_file

ACCOUNT, REGION = "1" * 12, "us-east-1"
"""Where rollout.yaml has the phase dev first."""


@pytest.fixture(scope="session")
def version_2() -> str:
    """The AWS CLI of the second generation on this machine."""
    if found := _version_2():
        return found
    pytest.skip("the AWS CLI version 2 is not installed; Debian's package is awscli")


def _version_2() -> str | None:
    """An AWS CLI of the second generation on this machine, such as Debian's."""
    candidates = {shutil.which("aws"), "/usr/bin/aws"} - {None}
    for path in sorted(str(candidate) for candidate in candidates):
        if os.access(path, os.X_OK):
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            if version.startswith("aws-cli/2"):
                return path
    return None


def test_version_2_of_the_aws_cli_deploys_a_phase(version_2: str, cloud: Cloud, tmp_path: Path) -> None:
    # It does not read AWS_ENDPOINT_URL, only the option.
    version_1 = PhaseAccounts.on(cloud, "dev")
    command = (version_2,)
    accounts = PhaseAccounts(
        *(
            deploy.AwsCli(command, {**cli.environment, "AWS_ENDPOINT_URL": ""}, cloud.endpoint_url)
            for cli in (version_1.tooling, version_1.network, version_1.phase)
        )
    )
    lines: list[str] = []
    deployment = PhaseDeployment(accounts, "dev", tmp_path, lines.append)
    with source_database(cloud, deployment, lines.append):
        deployment.deploy_shared()
        deployment.deploy_phase()
    proof = database_login.prove(accounts.phase, deployment.stacks["secrets"]["SecretsManagerArn"], cloud.ca_file)
    assert "logged in to PostgreSQL" in proof


@pytest.mark.parametrize("name", ["stackferry-monitoring-uat1", "stackferry-foundation-dev"])
@pytest.mark.parametrize("call_as", ["SELF", "DELEGATED_ADMIN"])
def test_the_stack_sets_that_are_there_are_listed_whatever_suffix_and_layers_a_phase_has(
    name: str, call_as: str
) -> None:
    asked: list[list[str]] = []

    def answer(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        asked.append(command)
        return subprocess.CompletedProcess(command, 0, f"{name}\n", "")

    list_sets_of_cli(deploy.AwsCli(("aws",), {}, execute=answer), call_as, lambda _line: None)
    sets = [command[command.index("--stack-set-name") + 1] for command in asked if "--stack-set-name" in command]
    assert sets == [name, name]
    as_whom = [command[command.index("--call-as") + 1] for command in asked if "--call-as" in command]
    assert as_whom == ([] if call_as == "SELF" else [call_as] * 3)


Demo = subprocess.CompletedProcess[str]


def run_cold(command: Sequence[str], env: Mapping[str, str]) -> Demo:
    """Run a program as a person would start it."""
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def run_warm(command: Sequence[str], env: Mapping[str, str]) -> Demo:
    """Run a program that is forked; only what it starts finds the AWS CLI of the tests."""
    return warm.run(command, env=env, modules=os.environ.get("PYTHONPATH", ""))


def demo(
    folder: Path, *options: str, variables: Mapping[str, str] | None = None, run: Callable[..., Demo] = run_warm
) -> Demo:
    command = [sys.executable, "-m", "builders.demo", "--outputs-dir", str(folder), *options]
    started = warm.programs("builders.build", "builders.migration", "pytest")
    return run(command, env={**marked(folder), **aws_cli.variables(), **started, **(variables or {})})


def test_the_demo_carries_a_database_and_its_writer_to_the_target_and_back_and_loses_nothing(tmp_path: Path) -> None:
    finished = demo(tmp_path, "--no-rehearse", variables=warm.linted(), run=run_cold)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    commands = re.findall(r"^\$ migrate-database (\w+)", finished.stdout, flags=re.MULTILINE)
    assert list(dict.fromkeys(commands)) == [
        "check", "schema", "start", "verify", "cutover", "status", "fallback", "report",
    ]  # fmt: skip
    moves = re.findall(r"the application writes to (the \w+) now; it could not write for ([\d.]+) s", finished.stdout)
    assert [side for side, _ in moves] == ["the target", "the source"]
    assert len(re.findall(r"outage +[\d.]+ s without writes", finished.stdout)) == 2
    assert re.search(r"the source was read all the while: [\d,]+ answers, no error", finished.stdout)
    more = re.findall(r"([\d,]+) more transactions acknowledged there", finished.stdout)
    assert [int(count.replace(",", "")) > 10 for count in more] == [True, True]
    assert re.search(r"all [\d,]+ payments that the application wrote on both sides are in the source", finished.stdout)
    report = json.loads((tmp_path / "dev" / "migration-dev.json").read_text(encoding="utf-8"))
    runs = [(run["kind"], run["state"]) for run in report["runs"]]
    assert [run for run in runs if run[0] in ("cutover", "fallback")] == [("cutover", "done"), ("fallback", "done")]
    assert "a stand-in for DMS" in finished.stdout
    assert "\x1b" not in finished.stdout
    assert gone_in_time(tmp_path)


OWN = """
CREATE SCHEMA "Sales";
CREATE SCHEMA "größe_über";
CREATE TABLE "Sales"."Order Items" ("Id" integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Größe" text NOT NULL);
CREATE TABLE "größe_über"."Ereignis" (id bigserial, am date NOT NULL, PRIMARY KEY (id, am)) PARTITION BY RANGE (am);
CREATE TABLE "größe_über"."Ereignis_2024" PARTITION OF "größe_über"."Ereignis"
    FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO "Sales"."Order Items" ("Größe") SELECT 'ß' || n FROM generate_series(1, 100) AS n;
"""

LOOK = """
import json, os, pathlib, shutil, subprocess, sys
import psycopg

def asked(url, query):
    if shutil.which("psql"):
        return subprocess.run(["psql", url, "-XAtc", query], capture_output=True, text=True, check=True).stdout.strip()
    with psycopg.connect(url) as session:
        return "|".join(str(value).lower()[:1] if isinstance(value, bool) else str(value)
                        for value in session.execute(query).fetchone())

source, target = os.environ["SOURCE_URL"], os.environ["TARGET_URL"]
rights = (
    "SELECT current_user, rolsuper, ssl FROM pg_roles, pg_stat_ssl "
    "WHERE rolname = current_user AND pid = pg_backend_pid()"
)
found = {
    "source": asked(source, rights),
    "target": asked(target, rights),
    "rows": asked(source, 'SELECT count(*) FROM "Sales"."Order Items"'),
    "owner": asked(source, "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname IN ('Sales', 'größe_über')"),
    "account": os.environ["AWS_ACCESS_KEY_ID"],
    "passwords": [psycopg.conninfo.conninfo_to_dict(url)["password"] for url in (source, target)],
    "modes": [psycopg.conninfo.conninfo_to_dict(url)["sslmode"] for url in (source, target)],
    "own": {name: value for name, value in os.environ.items() if name.startswith("MIGRATE_DATABASE_")},
    "command": shutil.which("migrate-database"),
    "trusted": os.environ["PGSSLROOTCERT"] == psycopg.conninfo.conninfo_to_dict(target)["sslrootcert"],
    "source port": psycopg.conninfo.conninfo_to_dict(source)["port"],
}
suite = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration"]
finished = subprocess.run(suite, capture_output=True, text=True)
found["integration suite"] = [finished.returncode, finished.stdout]
pathlib.Path(sys.argv[1]).write_text(json.dumps(found))
sys.exit(7)
"""


@dataclass(frozen=True)
class Ended:
    """A demo of somebody's own schemas that is over, and what a command found that ran behind it."""

    process: subprocess.CompletedProcess[str]
    folder: Path
    found: dict[str, Any]


@pytest.fixture(scope="module")
def own_schemas(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("own")
    file, script, found = folder / "own.sql", folder / "look.py", folder / "found.json"
    file.write_text(OWN, encoding="utf-8")
    script.write_text(LOOK, encoding="utf-8")
    options = ("--no-check", "--source", str(file), "--", sys.executable, str(script), str(found))
    finished = demo(folder, *options, variables={"STACKFERRY_OUTPUTS": str(folder / outputs.FLAT)})
    assert finished.returncode == 7, finished.stdout + finished.stderr
    return Ended(finished, folder, json.loads(found.read_text()))


def test_the_integration_suite_holds_for_the_phase_of_the_demo(own_schemas: Ended) -> None:
    code, report = own_schemas.found["integration suite"]
    assert (code, " passed" in report) == (0, True), report


def test_a_command_reaches_both_databases_of_somebodys_own_schemas(own_schemas: Ended) -> None:
    """Mixed case, letters beyond ASCII, identity and partitions; the exit code is the command's."""
    passwords = own_schemas.found["passwords"]
    told = {name: own_schemas.found[name] for name in ("source", "target", "rows", "owner", "account", "modes")}
    said = own_schemas.process.stdout + own_schemas.process.stderr
    assert told == {
        "source": "app|f|t",
        "target": "ferry_owner|f|t",
        "rows": "100",
        "owner": "app",
        "account": ACCOUNT,
        "modes": ["verify-full", "verify-full"],
    }
    assert [each for each in passwords if each in said] == []
    parameters = (own_schemas.folder / "dev" / "parameters.json").read_text()
    assert '"SchemaName1=Sales"' in parameters
    assert json.dumps("SchemaName2=größe_über") in parameters
    assert gone_in_time(own_schemas.folder)


def test_a_command_is_told_of_the_phase_and_of_the_ways_to_both_databases(own_schemas: Ended) -> None:
    assert own_schemas.found["own"] == {
        "MIGRATE_DATABASE_PHASE": "dev",
        "MIGRATE_DATABASE_ACCOUNT": ACCOUNT,
        "MIGRATE_DATABASE_REGION": REGION,
        "MIGRATE_DATABASE_OUTPUTS_DIR": str(own_schemas.folder),
        "MIGRATE_DATABASE_SOURCE_ADDRESS": f"127.0.0.1:{own_schemas.found['source port']}",
    }
    assert own_schemas.found["trusted"]
    assert own_schemas.found["command"] == str(Path(sys.executable).with_name("migrate-database"))


def test_a_file_that_fails_is_one_line_with_psqls_error_and_leaves_nothing_running(tmp_path: Path) -> None:
    file = tmp_path / "bad.sql"
    file.write_text("CREATE TABLE a (id int);\n\nSELECT * FRM a;\n")
    finished = demo(tmp_path, "--source", str(file), "--", "true")
    assert finished.returncode == 2
    assert finished.stderr == f'builders.demo: psql:{file}:3: ERROR:  syntax error at or near "FRM"\n'
    assert gone_in_time(tmp_path)


def test_a_file_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    finished = demo(tmp_path, "--source", str(tmp_path / "none.sql"), "--", "true")
    assert finished.returncode == 2
    assert "none.sql' does not exist" in finished.stderr
    assert finished.stdout == ""


def test_an_unknown_phase_is_refused_with_the_phases_that_there_are() -> None:
    finished = warm.run([sys.executable, "-m", "builders.demo", "--phase", "production"])
    assert finished.returncode == 2
    assert finished.stderr == "builders.demo: unknown phase 'production'; phases are dev, staging, prod\n"


def test_the_accounts_and_the_region_are_those_of_rollout_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project of one's own has others than the examples here."""
    phase = {"environment": "uat.json", "targets": {"accounts": ["444455556666"]}, "regions": ["eu-central-1"]}
    content = {"tooling": {"account": "1" * 12, "parameters": "tooling.json"}, "phases": {"uat": phase}}
    monkeypatch.chdir(tmp_path)
    Path("rollout.yaml").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UsageError, match="name a network account"):
        account_ids("uat")
    content["network"] = {"account": "2" * 12, "parameters": "network.json"}
    Path("rollout.yaml").write_text(json.dumps(content), encoding="utf-8")
    assert account_ids("uat") == (("1" * 12, "2" * 12, "444455556666"), "eu-central-1")


def test_every_phase_has_an_account_that_its_environment_may_share_with() -> None:
    shared = Path("environments/network.json").read_text(encoding="utf-8")
    rollout = load_rollout_file(Path("rollout.yaml"))
    accounts = [account for phase in rollout.phases for account in rollout.accounts(phase)]
    assert [account for account in accounts if account not in shared] == []
