"""The rollout file of a rehearsal: what is left of the given one, and that it can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from builders.errors import UsageError
from builders.rehearsal import rollout_file
from builders.rehearsal.rollout_file import Limits
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import Target

ACCOUNTS = [f"{number:012}" for number in range(1, 6)]

FILE = {
    "tooling": {"account": "888888888888", "parameters": "tooling.json"},
    "network": {
        "account": "999999999999",
        "parameters": "network.json",
        "region_parameters": {"eu-west-1": {"TransitGatewayAsn": "64514"}},
    },
    "phases": {
        "dev": {
            "environment": "dev.json",
            "targets": {"accounts": ["111111111111"]},
            "regions": ["us-east-1", "eu-west-1"],
        },
        "prod": {
            "environment": "prod.json",
            "targets": {"accounts": ACCOUNTS},
            "regions": ["eu-west-1", "us-east-1"],
            "region_parameters": {"eu-west-1": {"VpcCidr": "10.30.0.0/16"}, "us-east-1": {"VpcCidr": "10.31.0.0/16"}},
            "account_parameters": {ACCOUNTS[4]: {"MultiAZ": "true"}},
            "place_parameters": {
                f"{ACCOUNTS[0]}/eu-west-1": {"MultiAZ": "true"},
                f"{ACCOUNTS[0]}/us-east-1": {"MultiAZ": "false"},
            },
            "concurrency": {"failure_tolerance": 3},
            "waves": [
                {"name": "canary", "accounts": [ACCOUNTS[4]], "bake": "10m", "quiet_alarms": ["payments-"]},
                {"name": "rest", "rest": True, "bake": "1h"},
            ],
        },
    },
}


@pytest.fixture
def given(tmp_path: Path) -> RolloutFile:
    path = tmp_path / "given" / "rollout.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(FILE, sort_keys=False))
    for name in ("tooling.json", "network.json", "dev.json", "prod.json"):
        (path.parent / name).write_text(f'["Of={name}"]')
    return load_rollout_file(path)


def limited(given: RolloutFile, tmp_path: Path, limits: Limits) -> RolloutFile:
    """The file after it was limited, written and read again."""
    accounts = {phase: given.accounts(phase) for phase in given.phases}
    path = tmp_path / "limited" / "rollout.yaml"
    path.parent.mkdir(exist_ok=True)
    rollout_file.write_rollout_file(rollout_file.limited_file(given, limits, accounts), path)
    return load_rollout_file(path)


def test_without_limits_only_bake_times_differ(given: RolloutFile, tmp_path: Path) -> None:
    found = limited(given, tmp_path, Limits())
    assert [wave.bake for wave in found.phases["prod"].waves] == ["0s", "0s"]
    same = (
        "environment",
        "targets",
        "regions",
        "region_parameters",
        "account_parameters",
        "place_parameters",
        "concurrency",
    )
    for phase, plan in found.phases.items():
        assert plan.model_dump(include=set(same)) == given.phases[phase].model_dump(include=set(same))


def test_the_parameter_files_are_written_beside_the_file(given: RolloutFile, tmp_path: Path) -> None:
    found = limited(given, tmp_path, Limits())
    named = [found.tooling.parameters, *(plan.environment for plan in found.phases.values())]
    assert {name: found.beside(name).read_text() for name in named} == {name: f'["Of={name}"]' for name in named}


def test_the_alarms_of_a_wave_are_still_read(given: RolloutFile, tmp_path: Path) -> None:
    assert limited(given, tmp_path, Limits()).phases["prod"].waves[0].quiet_alarms == ("payments-",)


def test_fewer_accounts_leave_no_value_and_no_wave_for_those_left_out(given: RolloutFile, tmp_path: Path) -> None:
    plan = limited(given, tmp_path, Limits(accounts=2)).phases["prod"]
    assert plan.targets.accounts == tuple(ACCOUNTS[:2])
    assert plan.account_parameters == {}
    assert [wave.name for wave in plan.waves] == ["rest"]


def test_of_fewer_accounts_one_must_succeed(given: RolloutFile, tmp_path: Path) -> None:
    assert limited(given, tmp_path, Limits(accounts=4)).phases["prod"].concurrency.failure_tolerance == "3"
    assert limited(given, tmp_path, Limits(accounts=2)).phases["prod"].concurrency.failure_tolerance == "1"


def test_fewer_regions_are_the_first_of_each_phase_with_their_own_values(given: RolloutFile, tmp_path: Path) -> None:
    found = limited(given, tmp_path, Limits(regions=1))
    assert found.phases["dev"].regions == ("us-east-1",)
    plan = found.phases["prod"]
    assert plan.regions == ("eu-west-1",)
    assert plan.region_parameters == {"eu-west-1": {"VpcCidr": "10.30.0.0/16"}}
    assert plan.place_parameters == {f"{ACCOUNTS[0]}/eu-west-1": {"MultiAZ": "true"}}


def test_the_home_stays_where_the_first_phase_put_it_though_that_phase_is_left_out(
    given: RolloutFile, tmp_path: Path
) -> None:
    found = limited(given, tmp_path, Limits(phases=("prod",), regions=1))
    assert list(found.phases) == ["prod"]
    assert given.home == found.home == "us-east-1"


def test_values_of_a_region_without_a_phase_are_left_out(given: RolloutFile, tmp_path: Path) -> None:
    found = limited(given, tmp_path, Limits(phases=("dev",), regions=1))
    assert found.network is not None
    assert found.network.region_parameters == {}


def test_values_for_single_targets_override_those_of_the_file(given: RolloutFile, tmp_path: Path) -> None:
    target = Target(ACCOUNTS[0], "eu-west-1")
    found = rollout_file.with_values(given, {"prod": {target: {"MultiAZ": "false", "CpuAlarmPercent": "85"}}})
    own = found.phases["prod"].place_parameters
    assert own[str(target)] == {"MultiAZ": "false", "CpuAlarmPercent": "85"}
    assert own[f"{ACCOUNTS[0]}/us-east-1"] == {"MultiAZ": "false"}


def test_an_unknown_phase_is_refused_with_the_one_that_is_meant(given: RolloutFile, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prod"):
        limited(given, tmp_path, Limits(phases=("prd",)))
