"""Asks the services about a deployed phase.

    python -m pytest tests/integration --phase dev [--account 111111111111] [--region us-east-1]

The suite finds the phase as `migrate-database` does: by the files in outputs/, else by the stacks of the account whose
credentials are in the environment; account and region choose among several targets. MIGRATE_DATABASE_PHASE and the like
stand for the options. Without a phase it reads `outputs/flat-outputs.json`, and STACKFERRY_OUTPUTS names another file.
It uses the standard AWS variables: with AWS_ENDPOINT_URL it talks to the embedded cloud, without to the real account.
It only reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from builders import deployed, outputs as written
from builders.deployed import Facts
from builders.errors import StackferryError

Client = Callable[[str], Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options by which the phase is found; their defaults are what the demo sets."""
    for name, meaning in (("phase", "The phase."), ("account", "Account of its target."), ("region", "Region of it.")):
        parser.addoption(f"--{name}", default=os.environ.get(f"MIGRATE_DATABASE_{name.upper()}"), help=meaning)


@pytest.fixture(scope="session")
def facts(pytestconfig: pytest.Config) -> Facts:
    """The phase under test: its target and its outputs."""
    file = os.environ.get("STACKFERRY_OUTPUTS")
    phase, account, region = (pytestconfig.getoption(f"--{name}") for name in ("phase", "account", "region"))
    folder = Path(os.environ.get("MIGRATE_DATABASE_OUTPUTS_DIR", "outputs"))
    try:
        if phase and not file:
            return deployed.facts(phase, folder, account, region)
        flat = written.read_flat(Path(file or folder / written.FLAT))
    except StackferryError as error:
        hint = "" if file or phase else "; deploy a phase first (`make demo` writes it), or name one by --phase"
        pytest.fail(f"{error}{hint}", pytrace=False)
    return Facts(written.target_of(flat), flat, str(file))


@pytest.fixture(scope="session")
def outputs(facts: Facts) -> dict[str, str]:
    """The flat outputs of the phase under test."""
    return dict(facts.outputs)


@pytest.fixture(scope="session")
def client(facts: Facts) -> Client:
    """A client of a service in the region of the target, by the standard credentials and endpoint."""
    return lambda service: boto3.client(service, region_name=facts.target.region or None)


@pytest.fixture(scope="session")
def vpc_filter(outputs: dict[str, str]) -> list[dict[str, Any]]:
    """Chooses what lies in the phase's VPC."""
    return [{"Name": "vpc-id", "Values": [outputs["vpcId"]]}]


@pytest.fixture(scope="session")
def database(client: Client, outputs: dict[str, str]) -> dict[str, Any]:
    """The database instance as RDS describes it."""
    (instance,) = client("rds").describe_db_instances(DBInstanceIdentifier=outputs["databaseInstanceIdentifier"])[
        "DBInstances"
    ]
    described: dict[str, Any] = instance
    return described


@pytest.fixture(scope="session")
def secret(client: Client, outputs: dict[str, str]) -> dict[str, Any]:
    """The master user's secret, decoded. Tests compare facts about the password and never print it."""
    text = client("secretsmanager").get_secret_value(SecretId=outputs["secretsManagerArn"])["SecretString"]
    decoded: dict[str, Any] = json.loads(text)
    return decoded
