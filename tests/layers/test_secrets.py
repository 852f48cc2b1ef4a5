"""The secrets layer: generated passwords that every reader takes, that stay the same, and that outlive the stack."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from builders import parameters
from builders.evaluate import Evaluated, evaluate
from builders.layers.secrets import DMS_USERNAME, MASTER_USERNAME

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
def deploy(template: Callable[[str], dict[str, Any]]) -> Callable[[], Evaluated]:
    """Evaluates the layer."""
    return lambda: evaluate(template("secrets"), GIVEN, imports=IMPORTS)


@pytest.fixture(params=list(FROZEN))
def secret(request: pytest.FixtureRequest) -> str:
    """Each secret in turn, by its logical id."""
    logical_id: str = request.param
    return logical_id


def test_the_template_is_the_golden_one(assert_golden: Callable[[str], None]) -> None:
    assert_golden("secrets")


def test_what_generates_the_password_never_changes(deploy: Callable[[], Evaluated], secret: str) -> None:
    assert deploy().resources[secret]["Properties"]["GenerateSecretString"] == FROZEN[secret], WHAT_BREAKS


def test_the_secret_is_encrypted_with_the_key_of_the_phase(deploy: Callable[[], Evaluated], secret: str) -> None:
    assert deploy().resources[secret]["Properties"]["KmsKeyId"] == "arn:of:the:key"


def test_the_secret_outlives_the_stack_without_a_name_that_blocks_the_next(
    deploy: Callable[[], Evaluated], secret: str
) -> None:
    kept = deploy().resources[secret]
    assert (kept["DeletionPolicy"], kept["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert "Name" not in kept["Properties"]


def test_no_secret_holds_a_value_from_the_template(deploy: Callable[[], Evaluated], secret: str) -> None:
    assert "SecretString" not in deploy().resources[secret]["Properties"]


@pytest.mark.parametrize("character", [*";.:+/@\"'\\% "])
def test_the_password_has_no_character_that_a_reader_refuses(
    deploy: Callable[[], Evaluated], secret: str, character: str
) -> None:
    assert character in deploy().resources[secret]["Properties"]["GenerateSecretString"]["ExcludeCharacters"]


def test_no_parameter_can_replace_or_carry_a_password(template: Callable[[str], dict[str, Any]]) -> None:
    assert set(template("secrets")["Parameters"]) == {parameter.title for parameter in parameters.common()}


@pytest.mark.parametrize("username", [MASTER_USERNAME, DMS_USERNAME])
def test_the_users_have_names_that_rds_and_postgresql_take(username: str) -> None:
    assert re.fullmatch(r"(?!rds|pg_)[a-z][a-z0-9_]{0,62}", username)
    assert username not in {"admin", "administrator", "postgres", "public", "root", "user"}


def test_dms_is_not_the_master_user() -> None:
    assert DMS_USERNAME != MASTER_USERNAME


def test_later_layers_find_both_secrets_and_the_outside_world_the_first(deploy: Callable[[], Evaluated]) -> None:
    evaluated = deploy()
    assert evaluated.outputs == {"SecretsManagerArn": "${DatabaseSecret}", "DmsSecretArn": "${DmsSecret}"}
    assert evaluated.exports == {
        "secrets-SecretsManagerArn-dev": "${DatabaseSecret}",
        "secrets-DmsSecretArn-dev": "${DmsSecret}",
    }
