"""The guide docs/own-layer.md, run as it stands: a layer of a project's own, from its file to its rollout."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import warm

from builders import catalog
from builders.cloud.process import Cloud
from builders.rehearsal.accounts import Accounts, create_deploy_roles
from builders.rollout.config.loading import load_rollout_file
from builders.scopes import Scope

PAGE = Path("docs/own-layer.md").read_text(encoding="utf-8")
(MODULE,) = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ (.*)$", PAGE, flags=re.MULTILINE)
TOOLING, TARGET, REGION = "8" * 12, "1" * 12, "us-east-1"

Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose phase has the layer `foundation`, and those that a test adds: others take longer to deploy."""
    folder = tmp_path / "a project"
    (folder / "environments").mkdir(parents=True)
    (folder / "layers").mkdir()
    for name in ("dev", "tooling"):
        text = Path(f"environments/{name}.json").read_text(encoding="utf-8")
        (folder / "environments" / f"{name}.json").write_text(text, encoding="utf-8")
    (folder / ".cfnlintrc").write_text(f"regions: [{REGION}]\n", encoding="utf-8")
    of_phase = [name for name in catalog.layer_names() if catalog.load(name).scope is Scope.PHASE]
    content = {
        "tooling": {"account": TOOLING, "region": REGION, "parameters": "environments/tooling.json"},
        "phases": {
            "dev": {
                "environment": "environments/dev.json",
                "targets": {"accounts": [TARGET]},
                "regions": [REGION],
                "leave_out": [name for name in of_phase if name != "foundation"],
            }
        },
    }
    (folder / "rollout.yaml").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture
def cloud(project: Path) -> Iterator[Cloud]:
    """A cloud that asks IAM for every request, with a deploy role in the phase's account."""
    with warm.running(authorize=True) as cloud:
        create_deploy_roles(Accounts(cloud), load_rollout_file(project / "rollout.yaml"), [TARGET])
        yield cloud


@pytest.fixture
def run(project: Path, cloud: Cloud) -> Run:
    """Runs a command in the project, with the credentials of the tooling account."""

    def run(command: str) -> subprocess.CompletedProcess[str]:
        program, *arguments = shlex.split(command)
        environment = {**os.environ, **cloud.environment(TOOLING, REGION), "XDG_CACHE_HOME": str(warm.cache())}
        del environment["AWS_REGION"]  # so that what test_by_hand.py has linted is known
        return warm.run([str(warm.SCRIPTS / program), *arguments], cwd=project, env=environment)

    return run


def test_the_page_leads_from_the_file_to_the_rollout(project: Path, run: Run) -> None:
    """An account that was bootstrapped before there was the layer refuses it; with the page's commands it is there."""
    templates = shlex.quote(str(Path("templates").absolute()))
    run_all(run, f"rollout-stacksets --templates-dir {templates} bootstrap --phase dev --yes")
    (project / "layers" / "inbox.py").write_text(MODULE, encoding="utf-8")
    first_of_rollout = next(number for number, command in enumerate(COMMANDS) if command.startswith("rollout"))
    run_all(run, *COMMANDS[:first_of_rollout])

    lacking = run("rollout-stacksets doctor --phase dev")
    assert lacking.returncode == 1
    assert "the execution role stackferry-execution-dev may not sqs:CreateQueue, sqs:DeleteQueue" in lacking.stdout
    refused = run("rollout-stacksets apply --phase dev --yes")
    assert refused.returncode == 1
    assert "sqs:createqueue" in refused.stdout.lower()

    run_all(run, *COMMANDS[first_of_rollout:])
    (written,) = project.glob("outputs/dev/*/*/flat-outputs.json")
    assert TARGET in json.loads(written.read_text(encoding="utf-8"))["inboxUrl"]


def run_all(run: Run, *commands: str) -> None:
    for command in commands:
        finished = run(command)
        assert finished.returncode == 0, (command, finished.stdout, finished.stderr)
