"""A secret that cannot be read is named with what to do, and its value never."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
import secret_value
from botocore.config import Config
from botocore.stub import Stubber
from secret_value import SecretUnreadable

from builders.cloud.process import Cloud
from lambdas.rotation.secrets_manager import SecretsManager

from .sockets import closed_port

ACCOUNT = "777000000002"


@pytest.fixture
def client(cloud: Cloud) -> Any:
    return boto3.client("secretsmanager", **cloud.client_arguments(ACCOUNT))


def refusal(client: Any, arn: str) -> SecretUnreadable:
    with pytest.raises(SecretUnreadable) as failure:
        secret_value.read(client, arn)
    return failure.value


def test_the_current_value_is_read(client: Any) -> None:
    arn = client.create_secret(Name="text", SecretString="the value")["ARN"]
    assert secret_value.read(client, arn) == "the value"


def test_the_pending_value_is_read_where_a_rotation_has_stored_one(client: Any) -> None:
    arn = client.create_secret(Name="rotating", SecretString="the value")["ARN"]
    assert secret_value.read_pending(client, arn) is None
    client.put_secret_value(SecretId=arn, SecretString="the next", VersionStages=["AWSPENDING"])
    assert (secret_value.read(client, arn), secret_value.read_pending(client, arn)) == ("the value", "the next")


def test_a_pending_version_without_a_value_is_none(secrets_manager: SecretsManager) -> None:
    arn = secrets_manager.create("the value")
    secrets_manager.begin_rotation(arn)
    assert secret_value.read_pending(secrets_manager.client, arn) is None


def test_a_refusal_of_the_pending_value_is_told(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException", "no", 400)
        with pytest.raises(SecretUnreadable, match="AccessDeniedException"):
            secret_value.read_pending(client, "arn")


def test_a_secret_that_is_not_there(client: Any) -> None:
    failure = refusal(client, "absent")
    assert str(failure) == (
        "secret absent cannot be read (ResourceNotFoundException): "
        "check the secret's ARN, its region, and that it has a value"
    )
    assert failure.is_final


def test_a_secret_that_is_being_deleted(client: Any) -> None:
    arn = client.create_secret(Name="going", SecretString="the value")["ARN"]
    client.delete_secret(SecretId=arn)
    assert "the secret is being deleted: restore it" in str(refusal(client, arn))


def test_a_binary_secret(client: Any) -> None:
    arn = client.create_secret(Name="binary", SecretBinary=b"the value")["ARN"]
    failure = refusal(client, arn)
    assert str(failure) == f"secret {arn} is binary: it must be a JSON text"


def test_a_refusal_by_policy_is_final(client: Any) -> None:
    with Stubber(client) as stub:
        stub.add_client_error("get_secret_value", "AccessDeniedException", "no", 400)
        failure = refusal(client, "arn")
    assert "for a key of the secret's own give its ARN as SourceSecretKeyArn" in str(failure)
    assert failure.is_final


def test_a_service_that_does_not_answer_may_yet(cloud: Cloud) -> None:
    config = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})
    arguments = cloud.client_arguments(ACCOUNT) | {"endpoint_url": f"http://127.0.0.1:{closed_port()}"}
    failure = refusal(boto3.client("secretsmanager", config=config, **arguments), "arn")
    assert "check its interface endpoint and the security groups of endpoint and function" in str(failure)
    assert not failure.is_final
