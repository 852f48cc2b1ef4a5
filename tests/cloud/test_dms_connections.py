"""A test of a connection connects: as the secret's user, with the role's rights, over the TLS that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .dms_rig import Pair, Site


def outcome(pair: Pair, side: str = "source", **properties: Any) -> tuple[str, str]:
    """The result of the test of an endpoint with other properties: its status and its message."""
    ends: dict[str, Any] = {side: properties}
    found = pair.task(**ends).connections()[side]
    return found["Status"], found["LastFailureMessage"]


def test_both_ends_are_reached_as_the_secrets_say(pair: Pair) -> None:
    assert outcome(pair) == ("successful", "")
    assert outcome(pair, "target") == ("successful", "")


@pytest.fixture
def secret(ground: Site) -> Iterator[Any]:
    """Changes the source's secret for a test."""
    client = ground.account.client("secretsmanager")
    before = client.get_secret_value(SecretId=ground.secrets["Source"])["SecretString"]

    def change(**members: Any) -> None:
        kept = {name: value for name, value in {**json.loads(before), **members}.items() if value is not None}
        client.put_secret_value(SecretId=ground.secrets["Source"], SecretString=json.dumps(kept))

    yield change
    client.put_secret_value(SecretId=ground.secrets["Source"], SecretString=before)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"password": "wrong"}, "password authentication failed"),
        ({"password": None}, "lacks password"),
        ({"port": 5433}, "Connection refused"),
        ({"host": "LOCALHOST."}, None),
    ],
    ids=["a wrong password", "no password", "a port where nobody listens", "a name that is not on the map"],
)
def test_a_test_says_what_is_wrong_with_the_secret(
    pair: Pair, secret: Any, members: dict[str, Any], reason: str | None
) -> None:
    secret(**members)
    status, message = outcome(pair)
    if reason is None:  # nothing stands behind the endpoint: nothing is tried
        assert status == "successful"
        return
    assert status == "failed"
    assert message.startswith("Test Endpoint failed: Application-Status: 1020912")
    assert reason in message


def test_a_server_of_another_authority_is_not_trusted(pair: Pair, ground: Site) -> None:
    status, message = outcome(pair, CertificateArn=ground.certificates["Target"])
    assert (status, "certificate verify failed" in message) == ("failed", True)


def test_a_server_that_wants_tls_refuses_an_endpoint_without_it(pair: Pair) -> None:
    status, message = outcome(pair, "target", SslMode="none")
    assert (status, "no encryption" in message) == ("failed", True)


def test_a_database_that_is_not_there_is_told(pair: Pair) -> None:
    status, message = outcome(pair, DatabaseName="nowhere")
    assert (status, 'database "nowhere" does not exist' in message) == ("failed", True)


def test_a_role_reads_its_own_secret_only(pair: Pair, ground: Site) -> None:
    status, message = outcome(pair, PostgreSqlSettings={"SecretsManagerAccessRoleArn": ground.roles["Target"]})
    assert status == "failed"
    assert "is not authorized to perform: secretsmanager:GetSecretValue" in message


def test_a_role_that_does_not_trust_dms_in_its_region_reads_nothing(pair: Pair, ground: Site) -> None:
    iam = ground.account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": "dms.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="global", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    status, message = outcome(pair, PostgreSqlSettings={"SecretsManagerAccessRoleArn": role})
    assert status == "failed"
    assert "does not trust dms.us-east-1.amazonaws.com" in message
    iam.delete_role(RoleName="global")
