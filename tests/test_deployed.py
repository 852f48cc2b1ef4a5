"""A phase that was deployed by hand: found by its stacks, written by write-outputs, and read by every command."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dms_task import resources

from builders import outputs, write_outputs
from builders.cloud.clients import account_client
from builders.cloud.process import Cloud
from builders.errors import UsageError
from builders.migration import cli
from builders.scopes import Target

_accounts = itertools.count(640_000_000_001)
REGIONS = ("us-east-1", "eu-west-1")


@dataclass(frozen=True)
class Account:
    """An account of the embedded cloud in which stacks are deployed by hand."""

    cloud: Cloud
    number: str

    def deploy(
        self, name: str, phase: str, suffix: str, made: dict[str, Any], region: str = REGIONS[0], **values: Any
    ) -> None:
        """Deploy a stack as `aws cloudformation deploy` does, with a template that takes what ours take."""
        template = {
            "Parameters": {"EnvironmentSuffix": {"Type": "String"}, "MigrationPhase": {"Type": "String"}},
            "Resources": made or {"Queue": {"Type": "AWS::SQS::Queue"}},
            "Outputs": {name: {"Value": value} for name, value in values.items()},
        }
        parameters = {"EnvironmentSuffix": suffix, "MigrationPhase": phase}.items()
        client = account_client(self.cloud, "cloudformation", self.number, region)
        client.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters],
        )
        client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1})

    def deploy_task(self, region: str = REGIONS[0]) -> None:
        """Deploy the stacks of the phase blue that a command of the migration needs."""
        self.deploy("migration-bl", "blue", "bl", resources(), region, ReplicationTaskArn={"Ref": "Task"})
        self.deploy("network-bl", "blue", "bl", {}, region, VpcId=f"vpc-of-{region}")


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


Run = Callable[..., Answer]


@pytest.fixture
def account(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Account:
    number = str(next(_accounts))
    for name, value in cloud.environment(number).items():
        monkeypatch.setenv(name, value)
    return Account(cloud, number)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Calls write-outputs, or a subcommand of migrate-database, for the phase blue."""

    def call(word: str, *words: str, phase: str = "blue") -> Answer:
        capsys.readouterr()
        common = ("--phase", phase, "--outputs-dir", str(tmp_path))
        main, first = (write_outputs.main, ()) if word == "write-outputs" else (cli.main, (word,))
        code = main([*first, *common, *words])
        return Answer(code, *capsys.readouterr())

    return call


def test_a_phase_deployed_by_hand_is_found_by_its_stacks_without_a_file(account: Account, run: Run) -> None:
    account.deploy_task()
    account.deploy("somebody-elses", "blue", "bl", {}, VpcId="vpc-of-others")

    answer = run("status", "--role", "none")

    assert (answer.code, "task       arn:aws:dms:us-east-1:" in answer.out) == (0, True), answer.err
    assert f"blue is found by the 2 stacks of account {account.number} in us-east-1" in answer.err


def test_write_outputs_writes_what_every_command_reads(account: Account, run: Run, tmp_path: Path) -> None:
    account.deploy_task()
    account.deploy("administration-bl", "blue", "bl", {}, AdministrationRoleArn="arn")

    answer = run("write-outputs")

    assert answer.code == 0, answer.err
    folder = tmp_path / "blue" / account.number / "us-east-1"
    assert {path.name for path in folder.iterdir()} == {"flat-outputs.json", "migration.json", "network.json"}
    flat = outputs.read_flat(tmp_path / "blue" / outputs.FLAT)
    assert flat == outputs.read_flat(folder / outputs.FLAT) == outputs.read_flat(tmp_path / outputs.FLAT)
    assert flat["vpcId"] == "vpc-of-us-east-1"
    assert "rdsEndpoint" in answer.err
    found = run("status", "--role", "none")
    assert (found.code, "is found by" in found.err) == (0, False)


def test_a_phase_of_two_targets_asks_which_and_shows_all(account: Account, run: Run, tmp_path: Path) -> None:
    for region in REGIONS:
        account.deploy_task(region)
        assert run("write-outputs", "--region", region).code == 0

    undecided = run("status", "--role", "none")
    one = run("status", "--role", "none", "--region", "eu-west-1", "--account", account.number)
    every = run("status", "--role", "none", "--all")
    none = run("status", "--role", "none", "--region", "eu-west-2")

    kept = [path.relative_to(tmp_path).parts for path in tmp_path.rglob("*.json")]
    assert {parts[:2] for parts in kept} == {("blue", account.number)}
    assert undecided.code == 2
    assert f"{account.number} in eu-west-1" in undecided.err
    assert f"{account.number} in us-east-1" in undecided.err
    assert undecided.err.rstrip().endswith("choose one by --account and --region")
    assert (one.code, "arn:aws:dms:eu-west-1:" in one.out, "arn:aws:dms:us-east-1:" in one.out) == (0, True, False)
    assert (every.code, every.out.count("task       arn:aws:dms:")) == (0, 2)
    assert (none.code, "phase blue has no target eu-west-2; its targets are" in none.err) == (2, True)


@pytest.mark.parametrize("word", ["check", "verify", "report"])
def test_all_targets_are_taken_by_each_command_that_reads(word: str, account: Account, run: Run) -> None:
    for region in REGIONS:
        account.deploy_task(region)
        assert run("write-outputs", "--region", region).code == 0

    every = run(word, "--role", "none", "--all")

    begun = [line for line in every.err.splitlines() if line.startswith("blue in ")]
    assert begun == [f"blue in {account.number}, {region}:" for region in sorted(REGIONS)]
    assert every.code == 1  # there are no databases


def test_the_reports_of_several_targets_stand_in_a_folder_for_each(tmp_path: Path) -> None:
    task = "arn:aws:dms:us-east-1:640000000000:task:one"
    stacks: outputs.Stacks = {"migration": {"ReplicationTaskArn": task}}
    outputs.write_targets("blue", {Target("640000000000", "us-east-1"): stacks}, tmp_path)
    assert cli.report_folder("blue", tmp_path, Path("reports"), task) == Path("reports")
    elsewhere = {Target("640000000001", "us-east-1"): stacks}
    outputs.write_targets("blue", elsewhere, tmp_path, others=outputs.targets("blue", tmp_path))
    assert cli.report_folder("blue", tmp_path, Path("reports"), task) == Path("reports/640000000000/us-east-1")


def test_status_takes_no_options_of_waiting(run: Run) -> None:
    answer = run("status", "--poll", "1")
    assert (answer.code, "No such option" in answer.err) == (2, True)


def test_a_target_that_cannot_be_read_does_not_hide_the_others(account: Account, run: Run, tmp_path: Path) -> None:
    account.deploy_task()
    assert run("write-outputs").code == 0
    outputs.write_targets("blue", {Target("640999999999", "us-east-1"): {"network": {"VpcId": "vpc"}}}, tmp_path,
                          others=outputs.targets("blue", tmp_path))  # fmt: skip

    answer = run("status", "--role", "none", "--all")

    assert (answer.code, answer.out.count("task       arn:aws:dms:")) == (1, 1)
    assert "deploy the layer migration of blue, then run write-outputs" in answer.err


@pytest.mark.parametrize("cut", ["blue/network.json", "blue/640000000000/us-east-1/network.json", "flat-outputs.json"])
def test_files_that_were_written_in_part_are_of_one_target_and_none_is_older_than_what_it_is_read_for(
    cut: str, tmp_path: Path
) -> None:
    target, folder = Target("640000000000", "us-east-1"), tmp_path / "blue" / "640000000000" / "us-east-1"
    arn = "arn:aws:dms:us-east-1:640000000000:task:one"
    states: list[outputs.Stacks] = [
        {"migration": {"ReplicationTaskArn": arn}, "network": {"VpcId": vpc}} for vpc in ("vpc-1", "vpc-2")
    ]
    outputs.write_targets("blue", {target: states[0]}, tmp_path)
    (tmp_path / cut).unlink()
    (tmp_path / cut / "in-the-way").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        outputs.write_targets("blue", {target: states[1]}, tmp_path)
    found = outputs.find("blue", tmp_path, *target)
    assert found is not None
    assert found[1]["vpcId"] >= outputs.read_flat(folder / outputs.FLAT)["vpcId"]


@pytest.mark.parametrize("phase", ["..", "../../elsewhere", "/elsewhere", ""])
def test_a_phase_whose_name_leads_elsewhere_is_neither_written_nor_read(phase: str, tmp_path: Path) -> None:
    found = {Target("640000000000", "us-east-1"): {"network": {"VpcId": "vpc"}}}
    with pytest.raises(UsageError, match="is not the name of a phase"):
        outputs.write_targets(phase, found, tmp_path / "outputs" / "deeper")
    with pytest.raises(UsageError, match="is not the name of a phase"):
        outputs.find(phase, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_file_holds_no_command_up_and_hides_no_other_target(tmp_path: Path) -> None:
    outputs.write("blue", {"network": {"VpcId": "vpc"}}, tmp_path)
    other = tmp_path / "blue" / "640000000000" / "us-east-1" / outputs.FLAT
    other.parent.mkdir(parents=True)
    os.mkfifo(other)
    with pytest.raises(UsageError, match="has several targets"):
        outputs.find("blue", tmp_path)


@pytest.mark.parametrize("value", ["null", "NaN", '{"a": 1}', "7"])
def test_a_flat_file_has_strings_alone(value: str, tmp_path: Path) -> None:
    (tmp_path / outputs.FLAT).write_text(f'{{"vpcId": {value}}}', encoding="utf-8")
    with pytest.raises(UsageError, match="has vpcId with a value that is not a string; write it again by"):
        outputs.read_flat(tmp_path / outputs.FLAT)


@pytest.mark.parametrize("words", [("status",), ("write-outputs",)])
def test_a_phase_that_stands_nowhere_is_one_line_with_what_stands(
    account: Account, run: Run, words: tuple[str, ...]
) -> None:
    account.deploy("network-bl", "blue", "bl", {}, VpcId="vpc")
    answer = run(*words, phase="bleu")
    assert answer.code == 2
    assert (
        f"no stack of phase 'bleu' stands in account {account.number} in us-east-1; did you mean 'blue'?" in answer.err
    )


def test_two_environments_of_one_phase_are_told_apart(account: Account, run: Run) -> None:
    account.deploy("network-bl", "blue", "bl", {}, VpcId="vpc")
    account.deploy("network-b2", "blue", "b2", {}, VpcId="vpc")
    answer = run("write-outputs")
    assert (answer.code, "several values of EnvironmentSuffix: b2 and bl" in answer.err) == (2, True)


def test_values_of_other_accounts_come_into_the_parameter_file(account: Account, run: Run, tmp_path: Path) -> None:
    """Of the account's own suffix, and of shared stacks; not what a layer of the same scope takes, nor what is off."""
    file = tmp_path / "blue.json"
    file.write_text('[\n "EnvironmentSuffix=bl",\n "AdministrationRoleArn="\n]\n')
    account.deploy("administration-bl", "blue", "bl", {}, AdministrationRoleArn="arn:of:ours")
    account.deploy("administration-gr", "green", "gr", {}, AdministrationRoleArn="arn:of:others")
    account.deploy("artifacts-tools", "shared", "tools", {}, ArtifactsBucket="packages", AccessLogsBucket="logs")
    account.deploy(
        "shared-network-net", "shared", "net", {}, TransitGatewayId="tgw-1", TransitVirtualInterfaceId="dxvif-1"
    )

    code = write_outputs.main(["--into", str(file)])

    assert code == 0
    assert json.loads(file.read_text()) == [
        "EnvironmentSuffix=bl",
        "AdministrationRoleArn=arn:of:ours",
        "ArtifactsBucket=packages",
        "TransitGatewayId=tgw-1",
        "DirectConnectVirtualInterfaceId=dxvif-1",
    ]


def test_a_parameter_file_that_stays_as_it_is_is_told_of_with_the_reason(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "blue.json"
    file.write_text('["EnvironmentSuffix=bl"]')
    codes = [write_outputs.main(["--into", str(file)])]
    account.deploy("artifacts-tools", "shared", "tools", {}, ArtifactsBucket="packages")
    codes += [write_outputs.main(["--into", str(file)]) for _ in range(2)]

    assert codes == [0, 0, 0]
    assert capsys.readouterr().err.splitlines() == [
        f"{file} stays as it is: no stack of account {account.number} in {REGIONS[0]} has an output that its layers "
        "take as a parameter",
        f"{file} stays as it is: it has these values already",
    ]


def test_two_stacks_with_the_same_value_are_not_chosen_between(
    account: Account, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "blue.json"
    file.write_text('["EnvironmentSuffix=bl"]')
    for suffix in ("tools", "more"):
        account.deploy(f"artifacts-{suffix}", "shared", suffix, {}, ArtifactsBucket=f"packages-{suffix}")

    code = write_outputs.main(["--into", str(file)])

    assert (
        code,
        "both have the output ArtifactsBucket; write the one that you mean into" in capsys.readouterr().err,
    ) == (
        2,
        True,
    )
    assert file.read_text() == '["EnvironmentSuffix=bl"]'


def test_nothing_to_write_and_no_region_are_wrong_use(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_outputs.main([]) == 2
    assert "give --phase, or --into" in capsys.readouterr().err
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    assert write_outputs.main(["--phase", "blue"]) == 2
    assert "no region is known; give --region" in capsys.readouterr().err
