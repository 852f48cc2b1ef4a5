"""The demo: both generations of the AWS CLI deploy a phase, and a killed demo leaves nothing running."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from leftovers import gone_in_time, marked, started_by

from builders import deploy
from builders.cloud.process import Cloud
from builders.rehearsal import database_login
from builders.rehearsal.deployment import PHASES, PhaseAccounts, PhaseDeployment, source_database


def version_2() -> str | None:
    """An AWS CLI of the second generation on this machine, such as Debian's."""
    candidates = {shutil.which("aws"), "/usr/bin/aws"} - {None}
    for path in sorted(str(candidate) for candidate in candidates):
        if os.access(path, os.X_OK):
            version = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
            if version.startswith("aws-cli/2"):
                return path
    return None


@pytest.mark.skipif(version_2() is None, reason="the AWS CLI version 2 is not installed; Debian's package is awscli")
def test_version_2_of_the_aws_cli_deploys_a_phase(cloud: Cloud, tmp_path: Path) -> None:
    # It does not read AWS_ENDPOINT_URL, only the option.
    version_1 = PhaseAccounts.on(cloud, "dev")
    command = (str(version_2()),)
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


def react_to_interrupts() -> None:
    """Tests that run in the background ignore Ctrl-C, and so would the processes that they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_no_process_behind(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-m", "builders.demo", "--outputs-dir", str(tmp_path)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=marked(tmp_path),
        preexec_fn=react_to_interrupts,
    ) as child:
        assert child.stdout is not None
        lines = []
        for line in child.stdout:
            lines.append(line)
            if "--stack-name endpoints" in line:  # the database runs by now
                break
        assert started_by(tmp_path) > {child.pid}, "".join(lines)
        child.send_signal(how)
        child.stdout.read()
    assert gone_in_time(tmp_path)


def test_an_unknown_phase_is_refused_with_the_phases_that_there_are() -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "builders.demo", "--phase", "production"], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 2
    assert "'production' is not one of 'dev', 'staging', 'prod'" in finished.stderr


def test_every_phase_has_an_account_that_its_environment_may_share_with() -> None:
    shared = Path("environments/network.json").read_text(encoding="utf-8")
    assert [account for account in PHASES.values() if account not in shared] == []
