"""Generated passwords, version stages, dynamic references."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import Account, Refused, Template


def secret(**generate: Any) -> Template:
    return {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": {"GenerateSecretString": generate}}}


def value(account: Account, identifier: str | None = None) -> str:
    found = account.client("secretsmanager").get_secret_value(SecretId=identifier or account.physical_id("Secret"))
    return str(found["SecretString"])


def test_ref_of_a_secret_is_its_arn(account: Account) -> None:
    account.deploy(secret())
    arn = account.client("secretsmanager").list_secrets()["SecretList"][0]["ARN"]
    assert account.physical_id("Secret") == arn


def test_a_generated_password_keeps_to_what_was_asked(account: Account) -> None:
    excluded = string.ascii_lowercase + "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{"
    account.deploy(secret(PasswordLength=20, ExcludeCharacters=excluded, ExcludeNumbers=True))
    password = value(account)
    assert len(password) == 20
    assert set(password) <= set(string.ascii_uppercase + "|}~")
    assert set(password) & set("|}~"), "one of each included type is required by default"


def test_a_generated_password_goes_into_the_template_of_the_string(account: Account) -> None:
    account.deploy(secret(SecretStringTemplate='{"username": "owner"}', GenerateStringKey="password"))
    fields = json.loads(value(account))
    assert fields["username"] == "owner"
    assert len(fields["password"]) == 32


def test_an_unchanged_secret_keeps_its_password(account: Account) -> None:
    account.deploy(secret(PasswordLength=20))
    before = value(account)
    account.deploy({**secret(PasswordLength=20), "Queue": {"Type": "AWS::SQS::Queue"}})
    assert value(account) == before


def test_any_change_in_generate_secret_string_makes_a_new_password(account: Account) -> None:
    account.deploy(secret(PasswordLength=20))
    before = value(account)
    account.deploy(secret(PasswordLength=20, ExcludeCharacters="x"))
    assert value(account) != before


def test_the_same_named_secret_twice_is_refused(account: Account) -> None:
    named = secret(PasswordLength=20)
    named["Secret"]["Properties"]["Name"] = "mine"
    account.deploy(named)
    with pytest.raises(Refused, match="the secret mine already exists"):
        account.deploy(named, stack="other")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{{resolve:secretsmanager:nowhere:SecretString:username}}", "secret nowhere not found"),
        ("{{resolve:secretsmanager:${Secret}:SecretString:nothing}}", "key nothing not found in the secret"),
    ],
)
def test_a_dynamic_reference_to_nothing_is_refused(account: Account, reference: str, reason: str) -> None:
    queue = {"Queue": {"Type": "AWS::SQS::Queue", "DependsOn": "Secret",
                       "Properties": {"QueueName": {"Fn::Sub": reference}}}}  # fmt: skip
    account.deploy({**secret(SecretStringTemplate='{"username": "u"}', GenerateStringKey="password")}, stack="one")
    with pytest.raises(Refused, match=reason):
        account.deploy({**secret(SecretStringTemplate='{"username": "u"}', GenerateStringKey="password"), **queue})


def test_a_dynamic_reference_is_resolved_while_deploying(account: Account) -> None:
    reference = {"Fn::Sub": "{{resolve:secretsmanager:${Secret}:SecretString:username}}"}
    queue = {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": reference}}}
    account.deploy({**secret(SecretStringTemplate='{"username": "owner"}', GenerateStringKey="password"), **queue})
    assert account.physical_id("Queue").endswith("/owner")


@pytest.fixture
def stored(account: Account) -> tuple[Any, str]:
    """A Secrets Manager client and the ARN of a secret with one version."""
    api = account.client("secretsmanager")
    return api, api.create_secret(Name="plain", SecretString="first")["ARN"]


TOKEN = "11111111-2222-3333-4444-555555555555"
OTHER = "66666666-7777-8888-9999-000000000000"


def test_a_pending_value_can_be_put_twice_alike_but_not_otherwise(stored: tuple[Any, str]) -> None:
    api, arn = stored
    put = {"SecretId": arn, "ClientRequestToken": TOKEN, "VersionStages": ["AWSPENDING"]}
    api.put_secret_value(**put, SecretString="second")
    assert api.put_secret_value(**put, SecretString="second")["VersionStages"] == ["AWSPENDING"]
    with pytest.raises(api.exceptions.ResourceExistsException):
        api.put_secret_value(**put, SecretString="third")


def test_a_label_moves_to_the_version_that_is_put_with_it(stored: tuple[Any, str]) -> None:
    api, arn = stored
    for token in (TOKEN, OTHER):
        api.put_secret_value(SecretId=arn, ClientRequestToken=token, SecretString=token, VersionStages=["AWSPENDING"])
    stages = api.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert [version for version, labels in stages.items() if "AWSPENDING" in labels] == [OTHER]


def test_moving_awscurrent_moves_awsprevious_after_it(stored: tuple[Any, str]) -> None:
    api, arn = stored
    (first,) = api.describe_secret(SecretId=arn)["VersionIdsToStages"]
    api.put_secret_value(SecretId=arn, ClientRequestToken=TOKEN, SecretString="2", VersionStages=["AWSPENDING"])
    api.update_secret_version_stage(
        SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=TOKEN, RemoveFromVersionId=first
    )
    stages = api.describe_secret(SecretId=arn)["VersionIdsToStages"]
    assert stages[first] == ["AWSPREVIOUS"]
    assert "AWSCURRENT" in stages[TOKEN]


def test_a_version_that_lost_its_last_label_is_still_there_when_asked_for(stored: tuple[Any, str]) -> None:
    api, arn = stored
    for text in ("second", "third"):
        api.put_secret_value(SecretId=arn, SecretString=text)
    labelled = {each["VersionId"] for each in api.list_secret_version_ids(SecretId=arn)["Versions"]}
    everything = api.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
    (forgotten,) = {each["VersionId"] for each in everything} - labelled
    assert api.get_secret_value(SecretId=arn, VersionId=forgotten)["SecretString"] == "first"


def test_a_stage_that_is_not_on_the_version_is_refused(stored: tuple[Any, str]) -> None:
    api, arn = stored
    (first,) = api.describe_secret(SecretId=arn)["VersionIdsToStages"]
    with pytest.raises(api.exceptions.InvalidRequestException):
        api.get_secret_value(SecretId=arn, VersionId=first, VersionStage="AWSPENDING")


def test_a_token_is_the_version_and_the_same_request_is_the_same_secret(account: Account) -> None:
    secrets = account.client("secretsmanager")
    asked = {"Name": "tokens", "SecretString": "x", "ClientRequestToken": "a" * 32}
    first = secrets.create_secret(**asked)
    assert first["VersionId"] == "a" * 32
    assert secrets.create_secret(**asked)["ARN"] == first["ARN"]
    with pytest.raises(ClientError, match="that value is already in use for a version of secret"):
        secrets.create_secret(**{**asked, "SecretString": "y"})
    changed = secrets.update_secret(SecretId="tokens", SecretString="y", ClientRequestToken="b" * 32)
    assert changed["VersionId"] == "b" * 32


def test_a_name_that_waits_for_its_deletion_is_not_given_again(account: Account) -> None:
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="gone", SecretString="x")
    secrets.delete_secret(SecretId="gone", RecoveryWindowInDays=7)
    with pytest.raises(ClientError, match="a secret with this name is already scheduled for deletion"):
        secrets.create_secret(Name="gone", SecretString="x")
    for _ in range(2):  # AWS does not mind that it is gone
        secrets.delete_secret(SecretId="gone", ForceDeleteWithoutRecovery=True)


@pytest.mark.parametrize("name", ["with space", "with:colon", "with#number"])
def test_a_name_has_the_characters_that_aws_takes(account: Account, name: str) -> None:
    with pytest.raises(ClientError, match="Invalid name"):
        account.client("secretsmanager").create_secret(Name=name, SecretString="x")


def test_a_secret_that_never_had_a_rotation_does_not_tell_of_one(account: Account) -> None:
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="plain", SecretString="x")
    function = f"arn:aws:lambda:us-east-1:{account.number}:function:not-there"
    with pytest.raises(ClientError, match="Secrets Manager cannot invoke the specified Lambda function"):
        secrets.rotate_secret(SecretId="plain", RotationLambdaARN=function)
    assert "RotationEnabled" not in secrets.describe_secret(SecretId="plain")


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("no JSON", "contains invalid Json"),
        ('{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}', "contains no principal"),
        ('{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]}', "broad access"),
    ],
)
def test_a_resource_policy_that_means_nothing_or_too_much_is_refused(
    account: Account, policy: str, reason: str
) -> None:
    secrets = account.client("secretsmanager")
    secrets.create_secret(Name="guarded", SecretString="x")
    with pytest.raises(ClientError, match=reason):
        secrets.put_resource_policy(SecretId="guarded", ResourcePolicy=policy, BlockPublicPolicy=True)
