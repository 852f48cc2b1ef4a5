"""The secrets layer: generated passwords that every reader takes, that stay the same, and that outlive the stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from builders.evaluate import Evaluated, evaluate

GIVEN = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", "CostCenter": "payments"}
IMPORTS = {"foundation-KmsKeyArn-dev": "arn:of:the:key"}

FROZEN = {
    "DatabaseSecret": {
        "SecretStringTemplate": '{"username": "ferry_owner"}',
        "GenerateStringKey": "password",
        "PasswordLength": 32,
        "ExcludeCharacters": ";.:+/@\"'\\% ",
        "RequireEachIncludedType": True,
    },
    "DmsSecret": {
        "SecretStringTemplate": '{"username": "ferry_dms"}',
        "GenerateStringKey": "password",
        "PasswordLength": 32,
        "ExcludeCharacters": ";.:+/@\"'\\% ",
        "RequireEachIncludedType": True,
    },
}

WHAT_BREAKS = (
    "GenerateSecretString changed. On the next deployment CloudFormation writes a new password into every live secret: "
    "the database keeps the old one and refuses every login, and the host and port that were attached are gone. Make "
    "a second secret instead, or rotate."
)


@pytest.fixture
def deploy(template: Callable[[str], dict[str, Any]]) -> Callable[..., Evaluated]:
    """Evaluates the layer with parameters of one's choice."""
    return lambda **chosen: evaluate(template("secrets"), GIVEN | chosen, imports=IMPORTS)


@pytest.fixture(params=list(FROZEN))
def secret(request: pytest.FixtureRequest) -> str:
    """Each secret in turn, by its logical id."""
    logical_id: str = request.param
    return logical_id


@pytest.fixture(params=["MasterUsername", "DmsUsername"])
def username_pattern(request: pytest.FixtureRequest, template: Callable[[str], dict[str, Any]]) -> re.Pattern[str]:
    """What each user name has to match."""
    return re.compile(template("secrets")["Parameters"][request.param]["AllowedPattern"])


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("secrets")


def test_what_generates_the_password_never_changes(deploy: Callable[..., Evaluated], secret: str) -> None:
    assert deploy().resources[secret]["Properties"]["GenerateSecretString"] == FROZEN[secret], WHAT_BREAKS


def test_the_secret_is_encrypted_with_the_key_of_the_phase(deploy: Callable[..., Evaluated], secret: str) -> None:
    assert deploy().resources[secret]["Properties"]["KmsKeyId"] == "arn:of:the:key"


def test_the_secret_outlives_the_stack_without_a_name_that_blocks_the_next(
    deploy: Callable[..., Evaluated], secret: str
) -> None:
    kept = deploy().resources[secret]
    assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert "Name" not in kept["Properties"]


def test_no_secret_holds_a_value_from_the_template(deploy: Callable[..., Evaluated], secret: str) -> None:
    assert "SecretString" not in deploy().resources[secret]["Properties"]


@pytest.mark.parametrize("character", [*";.:+/@\"'\\% "])
def test_the_password_has_no_character_that_a_reader_refuses(
    deploy: Callable[..., Evaluated], secret: str, character: str
) -> None:
    assert character in deploy().resources[secret]["Properties"]["GenerateSecretString"]["ExcludeCharacters"]


def test_no_parameter_takes_a_password(template: Callable[[str], dict[str, Any]]) -> None:
    parameters = template("secrets")["Parameters"]
    assert [name for name, body in parameters.items() if "NoEcho" in body or "password" in name.lower()] == []


def test_the_secrets_hold_the_names_that_were_chosen(deploy: Callable[..., Evaluated]) -> None:
    resources = deploy(MasterUsername="owner", DmsUsername="replicator").resources
    templates = {
        name: body["Properties"]["GenerateSecretString"]["SecretStringTemplate"] for name, body in resources.items()
    }
    assert templates == {"DatabaseSecret": '{"username": "owner"}', "DmsSecret": '{"username": "replicator"}'}


@pytest.mark.parametrize(
    "name",
    [
        "postgres",
        "admin",
        "public",
        "user",
        "rdsadmin",
        "rds_superuser",
        "rdsrepladmin",
        "pg_monitor",
        "1st",
        "_owner",
        "Owner",
        "own-er",
        'own"er',
        "a" * 64,
        "",
    ],
)
def test_a_reserved_or_malformed_user_name_is_refused(username_pattern: re.Pattern[str], name: str) -> None:
    assert not username_pattern.fullmatch(name)


@pytest.mark.parametrize("name", ["ferry_owner", "administrators", "a", "a" * 63, "users"])
def test_an_ordinary_user_name_is_taken(username_pattern: re.Pattern[str], name: str) -> None:
    assert username_pattern.fullmatch(name)


def test_dms_may_not_be_the_master_user(deploy: Callable[..., Evaluated]) -> None:
    (message,) = deploy(DmsUsername="ferry_owner").failed_rules
    assert message.startswith("MasterUsername and DmsUsername are the same")


def test_two_users_are_taken(deploy: Callable[..., Evaluated]) -> None:
    assert deploy().failed_rules == ()


def test_later_layers_find_both_secrets_and_the_outside_world_the_first(deploy: Callable[..., Evaluated]) -> None:
    evaluated = deploy()
    assert evaluated.outputs == {"SecretsManagerArn": "${DatabaseSecret}", "DmsSecretArn": "${DmsSecret}"}
    assert evaluated.exports == {
        "secrets-SecretsManagerArn-dev": "${DatabaseSecret}",
        "secrets-DmsSecretArn-dev": "${DmsSecret}",
    }
