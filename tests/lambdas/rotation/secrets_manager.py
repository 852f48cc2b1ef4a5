"""A Secrets Manager API over HTTP, without the rest of the embedded cloud: ministack with its patches of secrets.

Run as a program, it serves on 127.0.0.1 at the port in GATEWAY_PORT. RotateSecret puts AWSPENDING on a new version
without a value, and refuses while an earlier rotation is unfinished; it does not call the function: the tests do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any

import boto3
import warm
from botocore.config import Config

from .postgres import free_port

REGION = "eu-central-1"
TESTS = Path(__file__).parents[2]
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


MOST_SECRETS = 50
"""The server looks through all secrets at each call, and a harness makes thousands: the oldest goes for a new one."""


class SecretsManager:
    """The served API, and a client for the tests' own use."""

    def __init__(self) -> None:
        self.port = free_port()
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "SERVICES": "secretsmanager,events"}
        with open(os.devnull, "w") as nowhere:
            self._process = warm.start(
                [sys.executable, "-m", "lambdas.rotation.secrets_manager"],
                env={**os.environ, **ENVIRONMENT, **settings, "PYTHONPATH": str(TESTS.parent / "src")},
                cwd=TESTS,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=nowhere,
            )
        self.client: Any = boto3.client(
            "secretsmanager",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._made: deque[str] = deque()
        self._wait()

    def create(self, text: str) -> str:
        """A secret with this value as AWSCURRENT; returns its ARN."""
        arn = str(self.client.create_secret(Name=f"trial-{uuid.uuid4()}", SecretString=text)["ARN"])
        self._made.append(arn)
        if len(self._made) > MOST_SECRETS:
            self.client.delete_secret(SecretId=self._made.popleft(), ForceDeleteWithoutRecovery=True)
        return arn

    def begin_rotation(self, arn: str) -> str:
        """Do what RotateSecret does before it calls the function; return the token."""
        token = str(uuid.uuid4())
        self.client.rotate_secret(SecretId=arn, ClientRequestToken=token)
        return token

    def labels(self, arn: str) -> dict[str, str]:
        """Label to version."""
        versions = self.client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        return {label: version for version, labels in versions.items() for label in labels}

    def take_label(self, arn: str, label: str) -> None:
        """Take a label away, as an operator may, from whichever version has it."""
        version = self.labels(arn)[label]
        self.client.update_secret_version_stage(SecretId=arn, VersionStage=label, RemoveFromVersionId=version)

    def value(self, arn: str, version: str) -> str | None:
        """The version's text, or None while it has none."""
        try:
            return str(self.client.get_secret_value(SecretId=arn, VersionId=version)["SecretString"])
        except self.client.exceptions.ResourceNotFoundException:
            return None

    def stop(self) -> None:
        self._process.stdin.close()
        self._process.wait(20)
        self._process.stdout.close()

    def _wait(self) -> None:
        patience = time.monotonic() + 30
        while time.monotonic() < patience:
            try:
                self.client.list_secrets()
                return
            except Exception:
                assert self._process.poll() is None, "the Secrets Manager API did not start"
                time.sleep(0.1)
        raise AssertionError("the Secrets Manager API did not answer")


def _serve() -> None:
    os.dup2(2, 1)  # nobody reads our stdout
    threading.Thread(target=_end_with_input, daemon=True).start()

    from ministack import app

    from builders.cloud import patches
    from builders.cloud.internals import secretsmanager
    from builders.cloud.secretsmanager import secrets

    @patches.patch("ministack.services.secretsmanager._rotate_secret", why="the tests call the function themselves")
    def rotate(_original: Any, data: dict[str, Any]) -> secrets.Response:
        _, secret = secretsmanager.find(data["SecretId"])
        pending, version = secretsmanager.find_version(secret, "AWSPENDING")
        if pending and "AWSCURRENT" not in version["Stages"]:
            return secrets.error("InvalidRequestException", "a previous rotation isn't complete")
        token = data["ClientRequestToken"]
        secret.update(RotationEnabled=True, RotationLambdaARN="called by the tests themselves")
        no_value = {"SecretString": None, "SecretBinary": None}
        secret["Versions"][token] = {**no_value, "CreatedDate": time.time(), "Stages": []}
        secrets.move_stage(secret, "AWSPENDING", token)
        return secrets.json_answer({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})

    patches.apply([secrets, sys.modules[__name__]])
    app.main()


def _end_with_input() -> None:
    """End when stdin does, which comes by itself when the tests are killed."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    _serve()
