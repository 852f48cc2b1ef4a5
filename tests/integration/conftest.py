"""Asks the services about a deployed phase.

The suite reads `outputs/flat-outputs.json` (STACKFERRY_OUTPUTS names another file) and uses the standard AWS
variables. With AWS_ENDPOINT_URL it talks to the embedded cloud; without, to the real account whose credentials are in
the environment. It only reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

Client = Callable[[str], Any]


@pytest.fixture(scope="session")
def outputs() -> dict[str, str]:
    """The flat outputs of the phase under test."""
    path = Path(os.environ.get("STACKFERRY_OUTPUTS", "outputs/flat-outputs.json"))
    if not path.exists():
        pytest.fail(f"{path} is not there; deploy a phase first (`make demo` writes it)", pytrace=False)
    flat: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return flat


@pytest.fixture(scope="session")
def client() -> Client:
    """A client of a service, by the standard credentials, region and endpoint."""
    make: Client = boto3.client
    return make


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
