"""A Secrets Manager API over HTTP: ministack, with the version rules of AWS where ministack's are looser.

Run as a program, it serves on 127.0.0.1 at the port given. What is corrected, after "PutSecretValue", "GetSecretValue"
and "RotateSecret" in the AWS Secrets Manager API Reference:

- a version's value is written once; the same value again is accepted, another is ResourceExistsException;
- a label that PutSecretValue gives to one version leaves the version that had it;
- a version that has a label but no value is ResourceNotFoundException to GetSecretValue;
- RotateSecret puts AWSPENDING on a new version without a value, and refuses while an earlier rotation is unfinished.
  It does not call the function: the tests do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from .postgres import free_port

REGION = "eu-central-1"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": REGION}


class SecretsManager:
    """The served API, and a client for the tests' own use."""

    def __init__(self) -> None:
        self.port = free_port()
        settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port), "SERVICES": "secretsmanager,events"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lambdas.rotation.secrets_manager"],
            env={**os.environ, **ENVIRONMENT, **settings, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.client: Any = boto3.client(
            "secretsmanager",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self._wait()

    def create(self, text: str) -> str:
        """A secret with this value as AWSCURRENT; returns its ARN."""
        return str(self.client.create_secret(Name=f"trial-{uuid.uuid4()}", SecretString=text)["ARN"])

    def begin_rotation(self, arn: str) -> str:
        """What RotateSecret does before it calls the function; returns the token."""
        token = str(uuid.uuid4())
        self.client.rotate_secret(SecretId=arn, ClientRequestToken=token)
        return token

    def labels(self, arn: str) -> dict[str, str]:
        """Label to version."""
        versions = self.client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        return {label: version for version, labels in versions.items() for label in labels}

    def take_label(self, arn: str, label: str) -> None:
        """What an operator may do: take a label away from whichever version has it."""
        version = self.labels(arn)[label]
        self.client.update_secret_version_stage(SecretId=arn, VersionStage=label, RemoveFromVersionId=version)

    def value(self, arn: str, version: str) -> str | None:
        """The version's text, or None while it has none."""
        try:
            return str(self.client.get_secret_value(SecretId=arn, VersionId=version)["SecretString"])
        except self.client.exceptions.ResourceNotFoundException:
            return None

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

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


def _serve_corrected() -> None:
    from ministack import app
    from ministack.core.responses import error_response_json, json_response
    from ministack.services import secretsmanager as service

    loose_put, loose_get = service._put_secret_value, service._get_secret_value

    def put(data: dict[str, Any]) -> Any:
        _, secret = service._resolve(data["SecretId"])
        version = secret["Versions"].get(data["ClientRequestToken"])
        if version is None or "AWSCURRENT" in data["VersionStages"]:
            for label in data["VersionStages"]:
                service._remove_stage_everywhere(secret, label)
            return loose_put(data)
        if version["SecretString"] not in (None, data["SecretString"]):
            return error_response_json("ResourceExistsException", "this version has another value already", 400)
        version["SecretString"] = data["SecretString"]
        for label in data["VersionStages"]:
            service._remove_stage_everywhere(secret, label, except_version_id=data["ClientRequestToken"])
            service._add_stage(secret, data["ClientRequestToken"], label)
        return json_response({"ARN": secret["ARN"], "VersionId": data["ClientRequestToken"]})

    def get(data: dict[str, Any]) -> Any:
        _, secret = service._resolve(data["SecretId"])
        if not secret:
            return loose_get(data)
        _, staged = service._find_stage_version(secret, data.get("VersionStage", "AWSCURRENT"))
        version = secret["Versions"].get(data["VersionId"]) if "VersionId" in data else staged
        if version and version["SecretString"] is None and version["SecretBinary"] is None:
            return error_response_json("ResourceNotFoundException", "this version has no value yet", 400)
        return loose_get(data)

    def rotate(data: dict[str, Any]) -> Any:
        _, secret = service._resolve(data["SecretId"])
        pending, version = service._find_stage_version(secret, "AWSPENDING")
        if pending and "AWSCURRENT" not in version["Stages"]:
            return error_response_json("InvalidRequestException", "a previous rotation isn't complete", 400)
        service._remove_stage_everywhere(secret, "AWSPENDING")
        token = data["ClientRequestToken"]
        secret["RotationEnabled"] = True
        secret["Versions"][token] = {
            "SecretString": None,
            "SecretBinary": None,
            "CreatedDate": time.time(),
            "Stages": ["AWSPENDING"],
        }
        return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})

    service._put_secret_value, service._get_secret_value, service._rotate_secret = put, get, rotate
    app.main()


if __name__ == "__main__":
    _serve_corrected()
