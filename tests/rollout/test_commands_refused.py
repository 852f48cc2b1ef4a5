"""`rollout-stacksets` refuses wrong calls, with an exit code and no traceback."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from warm import running

from builders.cloud.process import Cloud
from builders.rollout.plan.calls import Action, Call
from builders.rollout.state.journal import Command, Entry, EntryState, Run
from builders.rollout.state.serialization import to_json

from .called import CalledPhase

_numbers = itertools.count(770_000_000_001)

PHASE = ("--phase", "dev")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CalledPhase]:
    """A deployed phase, which none of these tests changes."""
    with running() as cloud:
        phase = CalledPhase(cloud, str(next(_numbers)), [str(next(_numbers))], tmp_path_factory.mktemp("phase"))
        phase.open_accounts()
        assert phase.apply().code == 0
        yield phase


@pytest.fixture
def apart(deployed: CalledPhase, tmp_path: Path) -> CalledPhase:
    """The same accounts, as a folder of a test's own describes them."""
    return CalledPhase(deployed.cloud, deployed.tooling, deployed.accounts, tmp_path)


@dataclass(frozen=True)
class Bucket:
    """The state of a phase's rollouts, as somebody who may write it does."""

    phase: CalledPhase
    name: str

    def get(self, key: str) -> bytes:
        body: bytes = self.phase.api("s3").get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def put(self, key: str, body: bytes, **more: str) -> None:
        self.phase.api("s3").put_object(Bucket=self.name, Key=key, Body=body, **more)

    def forge(self, layer: str, account: str) -> str:
        """Store a release like the deployed one with a stack of another layer beside, and return its id."""
        manifest = json.loads(self.get(f"rollout/dev/releases/{self.phase.status()['release']}.json"))
        text = json.dumps({"Description": layer, "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}).encode()
        digest = hashlib.sha256(text).hexdigest()
        self.put(f"rollout/content/{digest}", text, IfNoneMatch="*")
        targets = [{"values": {}, "places": {"us-east-1": self.phase.accounts}}]
        manifest["plain"][layer] = {"account": account, "template": digest, "parameters": targets}
        manifest["needs"][layer] = []
        body = json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
        release = hashlib.sha256(body).hexdigest()[:32]
        self.put(f"rollout/dev/releases/{release}.json", body, IfNoneMatch="*")
        return release


@pytest.fixture
def bucket(deployed: CalledPhase) -> Bucket:
    (found,) = deployed.api("s3").list_buckets()["Buckets"]
    return Bucket(deployed, found["Name"])


def test_a_forged_release_is_not_put_back_with_the_permissions_of_who_puts_it_back(
    deployed: CalledPhase, bucket: Bucket
) -> None:
    """Whoever is confined to the phase cannot deploy in the tooling account; an administrator who rolls back can."""
    forged = bucket.forge("rolled_back", deployed.tooling)
    before = deployed.stacks(deployed.tooling)
    agreed = ("--to", forged, "--acknowledge", f"release/{forged}")
    said = deployed.call("rollback", *PHASE, *agreed, "--yes", "--poll", "0.05")
    assert f"it has stacks of rolled_back in account {deployed.tooling}, which the files here do not name" in said.err
    assert (said.code, deployed.stacks(deployed.tooling)) == (1, before)


def test_a_forged_run_is_not_continued_although_an_operation_of_it_is_known(
    deployed: CalledPhase, bucket: Bucket
) -> None:
    forged, journal = bucket.forge("resumed", deployed.tooling), "rollout/dev/run.json"
    before, stacks = bucket.get(journal), deployed.stacks(deployed.tooling)
    run = Run("forged", Command.APPLY, forged, "mallory", "2026-11-30T00:00:00+00:00")
    name, operation = "stackferry-network-dev", f"{run.id_prefix}-network-0123456789abcdef"
    targets = {"Accounts": deployed.accounts, "Regions": ["us-east-1"]}
    deployed.api("cloudformation").update_stack_instances(StackSetName=name, OperationId=operation, **targets)
    deployed.wait(name, operation)
    entry = Entry(operation, Call(Action.UPDATE, "network", name), EntryState.OVER)
    stored = json.loads(before) | {"run": json.loads(to_json(replace(run, entries=(entry,))))}
    bucket.put(journal, json.dumps(stored).encode())
    try:
        said = deployed.call("resume", *PHASE, "--poll", "0.05")
    finally:
        bucket.put(journal, before)
    assert f"it has stacks of resumed in account {deployed.tooling}, which the files here do not name" in said.err
    assert (said.code, deployed.stacks(deployed.tooling)) == (1, stacks)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["plan"], 2, "Missing option '--phase'"),
        (["plan", "--phase", "prod"], 2, "unknown phase 'prod'; phases are dev"),
        (["plan", *PHASE, "--acknowledge", "database/Nothing"], 2, "the plan has no such block; it blocks on"),
        (["apply", *PHASE, "--poll", "0"], 2, "Invalid value for '--poll'"),
        (["apply", *PHASE, "--no-check", "missing.json"], 2, "missing.json: the plan cannot be read"),
        (["apply", *PHASE, "--no-check", "/dev/null"], 2, "/dev/null: the plan cannot be read: it is not a regular"),
        (["frobnicate"], 2, "No such command 'frobnicate'"),
        (["resume", *PHASE], 1, "no rollout of dev is under way"),
        (["rollback", *PHASE], 1, "no earlier release that ended well"),
        (["rollback", *PHASE, "--to", "0123456789ab"], 1, "0123456789ab"),
        (["rollback", *PHASE, "--to", "../../etc/passwd"], 1, "../../etc/passwd"),
        (["rollback", *PHASE, "--to", ""], 1, "release"),
        (["remove", *PHASE], 2, "there is no terminal to ask at; give --yes"),
        (["remove", *PHASE, "--account", "123", "--yes"], 2, "phase dev has no instance in 123"),
        (["plan", *PHASE, "--out", "/proc/plan.json"], 1, "/proc/plan.json: the plan cannot be saved"),
        (["--region", "mars-north-1", "plan", *PHASE], 1, "mars-north-1"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else None,
)
def test_a_wrong_call_is_refused(deployed: CalledPhase, arguments: list[str], code: int, sentence: str) -> None:
    said = deployed.call(*arguments)
    assert said.code == code, said.err
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert "a defect of rollout-stacksets" not in said.err


def test_a_change_that_nobody_confirms_is_not_made(apart: CalledPhase) -> None:
    apart.release("2")
    said = apart.call("apply", *PHASE, "--no-check")
    assert (said.code, said.err.splitlines()[-1]) == (
        2,
        "rollout-stacksets: there is no terminal to ask at; give --yes, or a plan that --out has saved",
    )
    assert apart.call("plan", *PHASE, "--json").data["nothing_to_do"] is False


Spoil = Callable[[CalledPhase], object]


def _file(text: str) -> Spoil:
    return lambda phase: phase.file.write_text(text, encoding="utf-8")


def _template(text: str) -> Spoil:
    return lambda phase: (phase.templates / "network.json").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda phase: phase.file.unlink(), 2),
        (_file(""), 2),
        (_file("phases: ["), 2),
        (_file("[]"), 2),
        (_file("tooling: {account: 12}"), 2),
        (_template(""), 1),
        (_template("[]"), 1),
        (_template('{"Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": []}}, "Parameters": []}'), 1),
        (_template('{"Metadata": {"Stackferry": {"Scope": "PHASE", "Needs": ["database"]}}, "Resources": {}}'), 1),
        (lambda phase: phase.environment("dev"), 2),
        (lambda phase: phase.environment("dev", EnvironmentSuffix="../x"), 2),
        (lambda phase: (phase.folder / "dev.json").write_text("{"), 2),
        (lambda phase: (phase.folder / "dev.json").unlink(), 2),
        (lambda phase: phase.phase(regions=["eu-west-1"]), 1),
        (lambda phase: phase.phase(targets={"accounts_file": "nowhere.txt"}), 2),
    ],
)
def test_a_file_that_cannot_be_read_is_reported(apart: CalledPhase, spoil: Spoil, code: int) -> None:
    spoil(apart)
    said = apart.call("plan", *PHASE)
    assert said.code == code, said.err
    assert said.err.startswith("rollout-stacksets: ")
    assert "a defect of rollout-stacksets" not in said.err


def test_a_suffix_that_is_a_folder_of_all_phases_is_refused(apart: CalledPhase) -> None:
    apart.environment("dev", EnvironmentSuffix="rollout", MigrationPhase="dev")
    said = apart.call("plan", *PHASE)
    assert said.code == 2
    assert "dev.json: EnvironmentSuffix is 'rollout', a folder that all phases share in the bucket" in said.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stackferry_plan": 1}', '{"stackferry_plan": 99}', "\x00"])
def test_a_file_that_is_not_a_plan_is_refused(apart: CalledPhase, text: str) -> None:
    apart.saved.write_text(text, encoding="utf-8")
    said = apart.apply(apart.saved)
    assert said.code == 1
    assert str(apart.saved) in said.err
    assert "a defect of rollout-stacksets" not in said.err


def test_credentials_of_another_account_are_refused_with_both_numbers(apart: CalledPhase) -> None:
    meant, apart.tooling = apart.tooling, apart.accounts[0]
    said = apart.call("plan", *PHASE)
    assert said.code == 1
    assert f"the credentials are of account {apart.accounts[0]}" in said.err
    assert f"is {meant}" in said.err


def test_a_phase_without_bootstrap_is_refused_with_the_command_to_run(cloud: Cloud, tmp_path: Path) -> None:
    said = CalledPhase(cloud, str(next(_numbers)), [str(next(_numbers))], tmp_path).call("plan", *PHASE)
    assert said.code == 1
    assert f"run `rollout-stacksets bootstrap --phase dev --file {tmp_path}/rollout.yaml --templates-dir" in said.err
