"""Values of all phases judged together, before anything is made: no cloud is needed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytest

from builders.building import environment_check
from builders.errors import RolloutFileError
from builders.layer_templates import Template, read_templates
from builders.rollout.checks.values import PhaseValues, address_mistakes, require_sound, unconnected
from builders.rollout.client import Client
from builders.rollout.config.loading import load_rollout_file
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.phase import PhaseConnection

ENVIRONMENTS = Path("environments").resolve()
ONE, TWO = "1" * 12, "2" * 12
SHARED = SharedOutputs(
    tooling={"us-east-1": {"ArtifactsBucket": "stackferry-888888888888-us-east-1-tooling"}},
    network={"us-east-1": {"TransitGatewayId": "tgw-0123456789abcdef0"}},
)

Values = Callable[..., PhaseValues]


@pytest.fixture(scope="module")
def layers() -> dict[str, Template]:
    return read_templates(Path("templates"))


@pytest.fixture
def values(layers: dict[str, Template], tmp_path: Path) -> Values:
    """The values of dev beside staging, with changes to dev in the rollout file and to parameter files."""

    def values(
        files: dict[str, dict[str, str | None]] | None = None,
        *accounts: str,
        shared: SharedOutputs = SHARED,
        elsewhere: str = "us-east-1",
        **dev: Any,
    ) -> PhaseValues:
        shutil.copytree(ENVIRONMENTS, tmp_path / "environments", dirs_exist_ok=True)
        for name, changed in (files or {}).items():
            path = tmp_path / "environments" / f"{name}.json"
            kept = [each for each in json.loads(path.read_text()) if each.partition("=")[0] not in changed]
            path.write_text(
                json.dumps(
                    [*kept, *(f"{key}={value}" for key, value in changed.items() if value is not None)], indent=1
                )
            )
        phases = {
            "dev": {
                "environment": "environments/dev.json",
                "targets": {"accounts": list(accounts) or [ONE]},
                "regions": ["us-east-1"],
                **dev,
            },
            "staging": {
                "environment": "environments/staging.json",
                "targets": {"accounts": [TWO]},
                "regions": [elsewhere],
            },
        }
        owners = {"tooling": "8" * 12, "network": "9" * 12}
        content = {
            name: {"account": account, "parameters": f"environments/{name}.json"} for name, account in owners.items()
        }
        file = tmp_path / "rollout.yaml"
        file.write_text(json.dumps({**content, "phases": phases}, indent=1))
        connection = PhaseConnection(load_rollout_file(file), layers, "dev", "dev", cast("Client", None))
        return PhaseValues.of(connection, shared)

    return values


def plain(values: PhaseValues, lines: Iterable[object]) -> list[str]:
    """Lines without the folder of the test, and without the numbers of lines in files."""
    folder = f"{values.rollout.path.parent}/"
    return [re.sub(r"line \d+", "line N", str(each).replace(folder, "")) for each in lines]


def said(values: PhaseValues) -> list[str]:
    """The mistakes across targets."""
    return plain(values, address_mistakes(values))


def test_the_committed_environments_are_connected_and_sound(values: Values) -> None:
    found = values()
    require_sound(found)
    assert list(unconnected(found)) == []
    assert [group.given("TransitGatewayId") for group in found.connected] == ["tgw-0123456789abcdef0"]


def test_values_in_which_nothing_was_found_are_not_judged_again(
    values: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    require_sound(values())
    monkeypatch.delattr(environment_check, "refused_values")  # the next call must do without it
    require_sound(values())
    with pytest.raises(AttributeError, match="refused_values"):
        require_sound(values({"dev": {"SourcePort": "5433"}}))


def test_values_with_a_mistake_are_refused_again(
    values: Values, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):
        with pytest.raises(RolloutFileError, match="SourcePort='none' is not a number"):
            require_sound(values({"dev": {"SourcePort": "none"}}))


def test_two_accounts_with_one_range_are_told_apart_from_those_that_have_their_own(values: Values) -> None:
    three = "4" * 12
    own = {three: {"VpcCidr": "10.21.128.0/17"}}
    listed = {
        "network": {"SharePrincipals": f"{ONE},{TWO},{three}"},
        "tooling": {"ReaderAccountIds": f"{ONE},{TWO},{three}"},
    }
    assert said(values(listed, ONE, TWO, three, account_parameters=own)) == [
        "environments/staging.json, line N: VpcCidr=10.21.0.0/16 overlaps VpcCidr=10.21.128.0/17 of rollout.yaml line "
        "N; two phases behind one Direct Connect need ranges that do not overlap",
        "environments/dev.json, line N: VpcCidr=10.20.0.0/16 is the range of 2 VPCs behind one Direct Connect: "
        f"{ONE}/us-east-1 and {TWO}/us-east-1; give each its own in rollout.yaml: region_parameters, "
        "account_parameters, place_parameters",
    ]


def test_before_bootstrap_the_outputs_of_shared_stacks_are_known_by_their_names(values: Values) -> None:
    """For doctor and bootstrap; a phase that says nothing of its way will have that of the network account."""
    require_sound(values(shared=SharedOutputs()))
    silent = {"dev": {"Connectivity": None, "VpcCidr": "10.21.0.0/20"}, "staging": {"Connectivity": None}}
    found = values(silent, shared=SharedOutputs())
    assert [group.given("TransitGatewayId") for group in found.connected] == ["${shared_network.TransitGatewayId}"]
    assert [each.partition(";")[0] for each in said(found)] == [
        "environments/staging.json, line N: VpcCidr=10.21.0.0/16 overlaps VpcCidr=10.21.0.0/20 of "
        "environments/dev.json line N"
    ]


def test_a_phase_in_another_region_that_says_nothing_of_its_way_is_behind_direct_connect_too(values: Values) -> None:
    """The outputs of the network account are read in this phase's regions alone."""
    silent = {"dev": {"Connectivity": None, "VpcCidr": "10.21.0.0/20"}, "staging": {"Connectivity": None}}
    assert [each.partition(";")[0] for each in said(values(silent, elsewhere="eu-west-1"))] == [
        "environments/staging.json, line N: VpcCidr=10.21.0.0/16 overlaps VpcCidr=10.21.0.0/20 of "
        "environments/dev.json line N"
    ]


def test_a_mistake_of_other_phases_alone_is_theirs(values: Values) -> None:
    assert said(values({"staging": {"VpcCidr": "172.16.0.0/16", "OnPremisesCidr1": "172.16.0.0/16"}})) == []


def test_a_range_that_on_premises_does_not_learn_is_found(values: Values) -> None:
    (found,) = said(values({"dev": {"VpcCidr": "10.40.0.0/16"}}))
    assert found == (
        "environments/dev.json, line N: VpcCidr=10.40.0.0/16 is not within AllowedPrefixes (environments/network.json"
        ", line N, AllowedPrefixes): on-premises gets no route to it; add it there, then bootstrap"
    )
    wider = {"dev": {"VpcCidr": "10.40.0.0/16"}, "network": {"AllowedPrefixes": "10.0.0.0/8"}}
    assert said(values(wider)) == []


def test_accounts_that_nothing_is_shared_with_are_found(values: Values) -> None:
    assert said(values({"network": {"SharePrincipals": TWO}, "tooling": {"ReaderAccountIds": TWO}})) == [
        f"environments/tooling.json, line N, ReaderAccountIds: {ONE} is not listed, and cannot read packages in "
        "us-east-1; add to ReaderAccountIds, then bootstrap",
        f"environments/network.json, line N, SharePrincipals: {ONE} is not listed, and cannot attach to the transit "
        "gateway in us-east-1; add to SharePrincipals, then bootstrap",
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"network": {"SharePrincipals": "arn:aws:organizations::777777777777:organization/o-abcdefghij"}},
        {"tooling": {"ReaderAccountIds": "", "OrganizationId": "o-abcdefghij"}},
    ],
)
def test_an_organization_may_mean_any_account(values: Values, files: dict[str, dict[str, str]]) -> None:
    assert said(values(files)) == []


def test_a_phase_without_a_way_needs_no_address_plan_and_is_told_so(values: Values) -> None:
    found = values({"dev": {"Connectivity": "None", "VpcCidr": "10.21.0.0/16"}}, ONE, TWO)
    assert said(found) == []
    assert plain(found, unconnected(found)) == [
        "environments/dev.json, line N, Connectivity: Connectivity=None: the transit gateway of the network account "
        f"does not join {ONE}/us-east-1 and {TWO}/us-east-1; leave it out there, or write TransitGateway, "
        "unless that is wanted"
    ]


def test_what_a_template_refuses_of_a_value_in_the_rollout_file_is_found_there(values: Values) -> None:
    found = values(None, ONE, region_parameters={"us-east-1": {"ZoneId1": "euw1-az1", "ZoneId2": "euw1-az2"}})
    with pytest.raises(RolloutFileError) as refused:
        require_sound(found)
    assert plain(found, str(refused.value).splitlines())[:2] == [
        f"rollout.yaml, line N: ZoneId{number}=euw1-az{number} is a zone of eu-west-1, and it is deployed in "
        "us-east-1; choose zones of one region"
        for number in (1, 2)
    ]


def test_a_secret_that_the_phase_s_boundary_denies_is_found(values: Values) -> None:
    """The file lists the secrets of one account, and a second one has joined the phase."""
    secret = f"arn:aws:secretsmanager:us-east-1:{TWO}:secret:on-premises-payments-AbCdEf"
    found = values(None, ONE, account_parameters={ONE: {"SourceSecretArn": secret}})
    with pytest.raises(RolloutFileError) as refused:
        require_sound(found)
    assert plain(found, str(refused.value).splitlines()) == [
        f"rollout.yaml, line N: SourceSecretArn={secret} is not in SourceSecretArns: the boundary denies it to the "
        "phase's roles; add it there, then deploy account"
    ]
    wider = f"arn:aws:secretsmanager:*:{ONE}:secret:on-premises-*,arn:aws:secretsmanager:*:{TWO}:secret:on-premises-*"
    require_sound(
        values({"dev": {"SourceSecretArns": wider}}, ONE, account_parameters={ONE: {"SourceSecretArn": secret}})
    )
