"""`rollout-stacksets rehearse`, as a person calls it: from a clone, without credentials."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aws_cli
import pytest
import warm
import yaml
from leftovers import end_when

REHEARSE = (sys.executable, "-m", "builders.rehearsal.cli")


def rehearse(
    *options: str,
    before: tuple[str, ...] = (),
    variables: Mapping[str, str] | None = None,
) -> tuple[int, dict[str, Any], str]:
    """The exit code, the report and the progress of a rehearsal without any AWS configuration of a user."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    command = [*REHEARSE, *before, "rehearse", "--json", *options]
    own = {"HOME": "/nonexistent", "XDG_CACHE_HOME": str(warm.cache())}
    finished = warm.run(
        command, env={**environment, **own, **(variables or {})}, modules=os.environ.get("PYTHONPATH", "")
    )
    return finished.returncode, json.loads(finished.stdout or "{}"), finished.stderr


def step(report: dict[str, Any], title: str) -> dict[str, Any]:
    """The step of this title."""
    return next(each for each in report["acts"] if title in each["title"])


def test_a_phase_in_two_regions_that_is_killed_and_resumed_ends_as_expected() -> None:
    variables = {**aws_cli.variables(), **warm.programs("builders.build"), **warm.linted()}
    code, report, progress = rehearse("--phase", "dev", "--fault", "kill", variables=variables)
    assert code == 0, progress
    assert [each["title"] for each in report["acts"] if not each["as_expected"]] == []
    assert step(report, "are the templates clean?")["came"] == "no findings"
    assert "not over" in step(report, "which is killed (SIGKILL)")["came"]
    assert "each once" in step(report, "resume in another process")["came"]
    assert "stacks as before" in step(report, "rollback")["came"]
    assert {"CREATE", "UPDATE"} <= report["operations"]["dev"].keys()
    assert report["calls"]["cloudformation:CreateStackInstances"] > 0
    assert "AWS itself" in report["not_proven"][0]


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    """A rollout file like the project's, with parameter files of its own beside it."""
    shutil.copytree("environments", tmp_path / "environments")
    return Path(shutil.copy("rollout.yaml", tmp_path))


def test_an_unexpected_result_ends_it_with_the_reason(own_file: Path) -> None:
    """The accounts may not read the functions' packages, which the doctor finds once the buckets exist."""
    path = own_file.parent / "environments" / "tooling.json"
    given = [each for each in json.loads(path.read_text(encoding="utf-8")) if not each.startswith("ReaderAccountIds=")]
    path.write_text(json.dumps(given), encoding="utf-8")
    code, report, progress = rehearse(
        "--phase", "dev", "--regions", "1", "--fault", "none", "--no-check", before=("--file", str(own_file))
    )
    assert code == 1, progress
    last = report["acts"][-1]
    assert (last["title"], last["as_expected"], report["as_expected"]) == ("dev: bootstrap", False, False)
    assert "ReaderAccountIds" in last["came"]


def test_a_phase_with_a_way_back_is_rehearsed_with_secrets_of_the_embedded_cloud(own_file: Path) -> None:
    """Those of a user's files are in AWS: the doctor, who looks for them, would end the rehearsal."""
    path = own_file.parent / "environments" / "dev.json"
    brought = "arn:aws:secretsmanager:us-east-1:111111111111:secret:brought-a1b2c3"
    names = ("FallbackSecretArn", "MigratorSecretArn")
    own = ["CreateFallback=true", "CreateMigrationRole=true", *(f"{name}={brought}" for name in names)]
    path.write_text(json.dumps([*json.loads(path.read_text(encoding="utf-8")), *own]), encoding="utf-8")
    code, report, progress = rehearse(
        "--phase", "dev", "--regions", "1", "--fault", "none", "--no-check", before=("--file", str(own_file))
    )
    assert code == 0, progress
    assert "SourceSecretArn, FallbackSecretArn, MigratorSecretArn, " in report["remarks"][-1]


def test_service_managed_sets_are_rehearsed_in_an_organization_that_is_made_up(own_file: Path) -> None:
    file = yaml.safe_load(own_file.read_text(encoding="utf-8"))
    file["stacksets"] = {"permission_model": "SERVICE_MANAGED", "call_as": "DELEGATED_ADMIN"}
    file["phases"] = {"dev": {**file["phases"]["dev"], "targets": {"organizational_units": ["ou-ab12-cdef3456"]}}}
    own_file.write_text(yaml.safe_dump(file), encoding="utf-8")
    options = ("--regions", "1", "--accounts", "1", "--fault", "fail", "--no-check")
    code, report, progress = rehearse(*options, before=("--file", str(own_file)))
    assert code == 0, progress
    assert "are the templates clean?" not in {each["title"] for each in report["acts"]}
    assert "only what was missing" in step(report, "access was restored")["expected"]
    assert report["remarks"][0].startswith("The units of dev and their 1 account are made up")


def test_without_the_extra_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['ministack'] = None; from builders.rehearsal.cli import main; "
        "sys.exit(main(['rehearse']))"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == (
        "rollout-stacksets: the rehearsal runs on the embedded cloud, and ministack is not installed; "
        "pip install 'stackferry[cloud]'\n"
    )


def test_an_unknown_phase_is_refused_before_anything_starts() -> None:
    code, _, progress = rehearse("--phase", "production")
    assert code == 2
    assert "'production'" in progress
    assert "prod" in progress.replace("'production'", "")


@pytest.mark.parametrize(
    ("how", "code", "when", "start"),
    [
        (signal.SIGTERM, 130, "dev: bootstrap", warm.start),  # the database on-premises runs
        (signal.SIGINT, 130, "which is killed", warm.start),  # an apply in a process of its own begins
        (signal.SIGKILL, -9, "which is killed", subprocess.Popen),
    ],
)
def test_a_rehearsal_that_is_ended_leaves_no_process_behind(
    tmp_path: Path, how: signal.Signals, code: int, when: str, start: Callable[..., Any]
) -> None:
    command = [*REHEARSE, "rehearse", "--phase", "dev", "--regions", "1", "--fault", "kill", "--no-check"]
    assert end_when(when, how, command, tmp_path, start=start) == code
