"""The roles of the layer access, deployed and assumed: each runs migrate-database under IAM, and reads what it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from dms_task import DeployedTask, deploy
from warm import running

from builders import catalog
from builders.migration.cli import main

from .conftest import Account

ACCOUNT = "630000000002"
OPERATOR, MIGRATION = "stackferry-operator-us-east-1-dev", "stackferry-migration-us-east-1-dev"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    """An account of a cloud that asks IAM about every request, with a task, secrets and both roles."""
    with running(authorize=True) as cloud:
        account = Account(cloud, ACCOUNT)
        account.deploy(secrets(), "secrets", sections={"Outputs": exports()})
        template = catalog.load("access").build().to_dict()
        given = {
            "EnvironmentSuffix": "dev",
            "MigrationPhase": "dev",
            "CostCenter": "payments",
            "OperatorAccountIds": ACCOUNT,
            "CreateMigrationRole": "true",
            "SourceSecretArn": account.physical_id("Source", "secrets"),
        }
        account.deploy(template.pop("Resources"), "access", given=given, sections=template)
        yield account


def secrets() -> dict[str, Any]:
    """The phase's key, the secrets of both databases, and one that is none of theirs."""
    key = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}]}
    properties = {"KmsKeyId": {"Fn::GetAtt": ["Key", "Arn"]}, "SecretString": "opened"}
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": properties}
    return {
        "Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": key}},
        **dict.fromkeys(("Master", "Source", "Dms"), secret),
    }


def exports() -> dict[str, Any]:
    """The values that access imports."""
    values = {
        "secrets-SecretsManagerArn-dev": {"Ref": "Master"},
        "secrets-DmsSecretArn-dev": {"Ref": "Dms"},
        "rotation-DmsRotationFunctionArn-dev": "arn:aws:lambda:us-east-1:630000000002:function:rotate",
        "foundation-KmsKeyArn-dev": {"Fn::GetAtt": ["Key", "Arn"]},
        "database-DatabaseInstanceIdentifier-dev": "stackferry-database-dev",
    }
    return {name.replace("-", ""): {"Value": value, "Export": {"Name": name}} for name, value in values.items()}


@pytest.fixture(scope="module")
def replication(account: Account) -> DeployedTask:
    """A task whose resources bear the tag of the phase."""
    return deploy(account.cloud, account.number)


Session = Callable[[str], dict[str, str]]


@pytest.fixture(scope="module")
def session(account: Account) -> Session:
    """Assumes a role as its people do, and returns the variables by which tools speak as it."""

    def session(role: str) -> dict[str, str]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        answer = account.client("sts").assume_role(RoleArn=arn, RoleSessionName="test", ExternalId="migration-dev")
        credentials = answer["Credentials"]
        return {
            "AWS_ENDPOINT_URL": account.cloud.endpoint_url,
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
        }

    return session


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(
    replication: DeployedTask,
    session: Session,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Calls migrate-database as a role."""
    flat = tmp_path / "dev" / "flat-outputs.json"
    flat.parent.mkdir()
    flat.write_text(json.dumps({"replicationTaskArn": replication.arn}))

    def call(role: str, *words: str) -> tuple[int, str]:
        for name, value in session(role).items():
            monkeypatch.setenv(name, value)
        waiting = () if words[0] == "status" else ("--poll", "0.05", "--timeout", "120")
        code = main([*words, "--phase", "dev", "--outputs-dir", str(tmp_path), *waiting])
        return code, capsys.readouterr().err

    return call


@pytest.mark.parametrize("role", [OPERATOR, MIGRATION])
def test_a_role_takes_the_task_through_all_that_the_task_is_asked(
    replication: DeployedTask, run: Run, role: str
) -> None:
    for words in (["start", "--until", "loaded"], ["status"], ["stop"], ["reload", "--yes"], ["stop"]):
        code, err = run(role, *words)
        assert (code, words, err if code else "") == (0, words, "")


def test_a_right_that_is_missing_is_named(replication: DeployedTask, run: Run, account: Account) -> None:
    """The account's administrator takes the operator's policy away, and gives it back."""
    iam = account.client("iam")
    (policy,) = iam.list_attached_role_policies(RoleName=OPERATOR)["AttachedPolicies"]
    iam.detach_role_policy(RoleName=OPERATOR, PolicyArn=policy["PolicyArn"])
    try:
        code, err = run(OPERATOR, "status")
    finally:
        iam.attach_role_policy(RoleName=OPERATOR, PolicyArn=policy["PolicyArn"])
    assert (code, "dms:DescribeReplicationTasks" in err) == (1, True)


@pytest.mark.parametrize(
    ("role", "secret", "is_opened"),
    [
        (MIGRATION, "Master", True),
        (MIGRATION, "Source", True),
        (MIGRATION, "Dms", False),
        (OPERATOR, "Master", False),
        (OPERATOR, "Source", False),
    ],
)
def test_only_whoever_carries_the_migration_reads_secrets_and_only_those_of_the_two_databases(
    account: Account, session: Session, role: str, secret: str, is_opened: bool
) -> None:
    variables = session(role)
    reader = boto3.client(
        "secretsmanager",
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=variables["AWS_SESSION_TOKEN"],
    )
    arn = account.physical_id(secret, "secrets")
    if is_opened:
        assert reader.get_secret_value(SecretId=arn)["SecretString"] == "opened"
        return
    with pytest.raises(ClientError, match="is not authorized to perform: secretsmanager:GetSecretValue"):
        reader.get_secret_value(SecretId=arn)


@pytest.mark.parametrize("role", [OPERATOR, MIGRATION])
@pytest.mark.parametrize("said", [{}, {"ExternalId": "migration-prod"}])
def test_a_listed_account_that_does_not_say_the_phase_is_turned_away(
    account: Account, role: str, said: dict[str, str]
) -> None:
    sts = account.client("sts")
    with pytest.raises(ClientError, match="is not authorized to perform: sts:AssumeRole"):
        sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="test", **said)
