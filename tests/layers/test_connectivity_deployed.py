"""The layers up to `connectivity`, deployed by the real AWS CLI on the embedded cloud, with a source on-premises.

What goes wrong rolls back clean, and the sentence in the stack's events says what to do.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aws_cli import warm

from builders import catalog, deploy, naming, package
from builders.cloud.process import Cloud
from builders.cloud.rds.on_premises import OnPremises, on_premises
from builders.errors import DeployError
from builders.rehearsal import database_login

ROOT = Path(__file__).parents[2]
ACCOUNT, REGION, SUFFIX = "777000000001", "us-east-1", "ways"
HOST = "payments.corp.internal"
BEFORE = ("foundation", "network", "secrets", "endpoints", "database")
STACK, USERS = f"connectivity-{SUFFIX}", f"database-users-{SUFFIX}"


class Phase:
    """A phase under deployment: the CLI, and the parameters that every layer takes."""

    def __init__(self, cloud: Cloud, folder: Path, parameters: Mapping[str, str]) -> None:
        environment = os.environ | cloud.environment(ACCOUNT, REGION)
        self.cli = warm(deploy.AwsCli((sys.executable, "-m", "awscli"), environment))
        self.folder = folder
        self.parameters = dict(parameters)

    def deploy(self, layer: str, **changes: str) -> dict[str, str]:
        """Deploy a layer as it is built now; raises `DeployError` with the reasons of the stack's events."""
        template, parameters = self.folder / f"{layer}.json", self.folder / "parameters.json"
        template.write_text(json.dumps(catalog.load(layer).build().to_dict()))
        parameters.write_text(json.dumps([f"{key}={value}" for key, value in (self.parameters | changes).items()]))
        return deploy.deploy(self.cli, template, SUFFIX, parameters, lambda _line: None)

    def status(self, stack: str) -> str:
        (described,) = self.cli.json("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"]
        return str(described["StackStatus"])

    def delete(self, stack: str) -> None:
        self.cli.run("cloudformation", "delete-stack", "--stack-name", stack)
        self.cli.run("cloudformation", "wait", "stack-delete-complete", "--stack-name", stack)

    def physical_ids(self, stack: str) -> dict[str, str]:
        listed = self.cli.json("cloudformation", "list-stack-resources", "--stack-name", stack)
        return {
            entry["LogicalResourceId"]: entry["PhysicalResourceId"]
            for entry in listed["StackResourceSummaries"]
            if not entry["ResourceStatus"].startswith("DELETE")
        }


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{parameter: package} of both functions."""
    built = tmp_path_factory.mktemp("packages")
    return {
        function.parameter: package.build(function, built, ROOT / "build" / "wheels")
        for function in package.functions(ROOT / "lambda")
        if function.name in ("database_users", "connectivity_check")
    }


@pytest.fixture(scope="module")
def source(cloud: Cloud) -> Iterator[OnPremises]:
    with on_premises(cloud.state_directory, HOST) as running:
        yield running


@pytest.fixture(scope="module")
def phase(
    cloud: Cloud, source: OnPremises, packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Phase]:
    """A phase with a database, and with all that `database_users` and `connectivity` ask for."""
    environment = json.loads((ROOT / "environments" / "dev.json").read_text())
    phase = Phase(cloud, tmp_path_factory.mktemp("phase"), dict(entry.split("=", 1) for entry in environment))
    bucket = f"packages-{ACCOUNT}"
    phase.cli.run("s3api", "create-bucket", "--bucket", bucket)
    for path in packages.values():
        phase.cli.run("s3", "cp", "--quiet", str(path), f"s3://{bucket}/{path.parent.name}/{path.name}")
    phase.parameters |= {
        "EnvironmentSuffix": SUFFIX,
        "Connectivity": "None",  # no transit gateway here
        "PermissionsBoundary": "",  # no `account` here, which makes it
        "ArtifactsBucket": bucket,
        "SchemaName1": "payments",
        "SourceHost": HOST,
        "SourcePort": str(source.port),
        "SourceDatabaseName": source.database_name,
        "SourceSecretArn": new_secret(phase.cli, "source", source.secret()),
        "SourceSslMode": "verify-full",
        "SourceCertificatePem": source.certificate_pem,
        "ConnectivityPatienceSeconds": "0",
        **{parameter: f"{path.parent.name}/{path.name}" for parameter, path in packages.items()},
    }
    for layer in BEFORE:
        phase.deploy(layer)
    phase.deploy("database_users")
    yield phase
    for layer in ("database_users", *reversed(BEFORE)):
        phase.delete(naming.plain_stack(layer, SUFFIX))


def new_secret(cli: deploy.AwsCli, name: str, value: Mapping[str, Any]) -> str:
    answer = cli.json("secretsmanager", "create-secret", "--name", name, "--secret-string", json.dumps(value))
    return str(answer["ARN"])


@pytest.fixture
def refused(phase: Phase) -> Callable[..., str]:
    """Deploys `connectivity` with changed parameters; gives the reason, once all is rolled back and deleted."""

    def attempt(**changes: str) -> str:
        with pytest.raises(DeployError) as failure:
            phase.deploy("connectivity", **changes)
        assert phase.status(STACK) == "ROLLBACK_COMPLETE"
        assert phase.physical_ids(STACK) == {}
        phase.delete(STACK)
        return str(failure.value)

    return attempt


@pytest.fixture
def dms_login(cloud: Cloud, phase: Phase) -> Callable[[], str]:
    """Logs in to the target as DMS does, by its secret; raises `DeployError`."""
    secret = deploy.outputs(phase.cli, f"secrets-{SUFFIX}")["DmsSecretArn"]
    return lambda: database_login.prove(phase.cli, secret, cloud.ca_file)


@pytest.fixture
def connected(phase: Phase) -> Iterator[Phase]:
    phase.deploy("connectivity")
    yield phase
    phase.delete(STACK)


def test_every_way_leads_to_its_end_each_release_proves_it_again_and_the_same_again_changes_nothing(
    connected: Phase, source: OnPremises
) -> None:
    """A release that finds a way closed is taken back, and the next is proven."""
    assert connected.status(STACK) == "CREATE_COMPLETE"

    made = connected.physical_ids(STACK)
    connected.deploy("connectivity", ReleaseId="2")
    assert connected.status(STACK) == "UPDATE_COMPLETE"
    assert connected.physical_ids(STACK) == made

    closed = rf"source {HOST}:{source.port}, connect: .*check SourcePort"
    with stopped(source), pytest.raises(DeployError, match=closed):
        connected.deploy("connectivity", ReleaseId="3")
    assert connected.status(STACK) == "UPDATE_ROLLBACK_COMPLETE"
    connected.deploy("connectivity", ReleaseId="3")
    with stopped(source), pytest.raises(DeployError, match=closed):
        connected.deploy("connectivity", ReleaseId="4")

    events = ("cloudformation", "describe-stack-events", "--stack-name", STACK)
    before = connected.cli.json(*events)
    connected.deploy("connectivity", ReleaseId="3")
    assert connected.cli.json(*events) == before


@contextlib.contextmanager
def stopped(source: OnPremises) -> Iterator[None]:
    source.server.stop()
    try:
        yield
    finally:
        source.server.start()


def test_a_host_that_does_not_resolve(phase: Phase, source: OnPremises, refused: Callable[..., str]) -> None:
    secret = new_secret(
        phase.cli, "elsewhere", {"username": "u", "password": "p", "host": "no.example.com", "port": 5432}
    )
    reason = refused(SourceHost="no.example.com", SourceSecretArn=secret)
    assert "source no.example.com:5432, resolve: the name has no address" in reason
    assert "check SourceHost, and OnPremisesDomainName and OnPremisesDnsServer1 of the layer network" in reason


def test_a_port_that_is_closed(phase: Phase, source: OnPremises, refused: Callable[..., str]) -> None:
    secret = new_secret(phase.cli, "closed", source.secret() | {"port": 5433})
    reason = refused(SourcePort="5433", SourceSecretArn=secret)
    assert f"source {HOST}:5433, connect: 127.0.0.1 was not reached (Connection refused); check SourcePort" in reason


def test_a_certificate_that_does_not_match(cloud: Cloud, refused: Callable[..., str]) -> None:
    reason = refused(SourceCertificatePem=cloud.ca_file.read_text())
    assert f"source {HOST}:5432, TLS: the certificate is not accepted" in reason
    assert "check that SourceCertificatePem is the root authority above the server's certificate" in reason


def test_a_host_that_is_not_the_secrets(refused: Callable[..., str]) -> None:
    reason = refused(SourceHost="other.corp.internal")
    assert "source other.corp.internal:5432, secret: the secret's host is another" in reason
    assert HOST not in reason


def test_a_certificate_is_asked_for_before_anything_is_made(phase: Phase) -> None:
    with pytest.raises(DeployError, match="SourceSslMode verify-full needs SourceCertificatePem"):
        phase.deploy("connectivity", SourceCertificatePem="")


def test_no_password_stands_in_the_stacks_events(phase: Phase, source: OnPremises, refused: Callable[..., str]) -> None:
    secret = new_secret(phase.cli, "wrong", source.secret() | {"password": "not the word"})
    reason = refused(SourceSecretArn=secret)
    assert "log in: PostgreSQL refused with SQLSTATE 28P01" in reason
    assert "not the word" not in reason


def test_the_user_of_dms_stays_when_its_stack_goes_unless_somebody_says_so(
    phase: Phase, dms_login: Callable[[], str]
) -> None:
    phase.delete(USERS)
    assert "as ferry_dms over TLSv1.3, certificate verified" in dms_login()
    phase.deploy("database_users", DropDmsUserOnDelete="true")
    phase.delete(USERS)
    with pytest.raises(DeployError, match="refuses user ferry_dms: 28P01"):
        dms_login()
    phase.deploy("database_users")
