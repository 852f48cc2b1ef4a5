"""Proves that a secret opens its database: logs in over verified TLS, before and after a rotation."""

from __future__ import annotations

import json
import ssl
import time
import urllib.parse
from pathlib import Path
from typing import Any

import pg8000.native

from builders.deploy import AwsCli
from builders.errors import DeployError

ROTATION_SECONDS = 60


def prove(cli: AwsCli, secret_arn: str, ca_file: Path) -> str:
    """Log in with the current password, and return the user and the encryption. The password is in no message.

    Waits for a rotation in progress, such as the one that a new schedule begins with.
    """
    _wait_until_settled(cli, secret_arn)
    return _login(_current(cli, secret_arn), ca_file)


def rotate_and_prove(cli: AwsCli, secret_arn: str, ca_file: Path) -> str:
    """Rotate the secret, wait until the new version is current, and log in with it.

    Raises `DeployError` when the rotation does not end in a minute, the password stays the same, or the old one
    still works.
    """
    _wait_until_settled(cli, secret_arn)
    before = _current(cli, secret_arn)
    version = cli.json("secretsmanager", "rotate-secret", "--secret-id", secret_arn)["VersionId"]
    if "AWSCURRENT" not in _wait_until_settled(cli, secret_arn).get(version, []):
        raise DeployError(f"version {version} of {secret_arn} did not become current; the function's log says why")
    after = _current(cli, secret_arn)
    if after["password"] == before["password"]:
        raise DeployError(f"the rotation of {secret_arn} ended without a new password")
    proof = _login(after, ca_file)
    try:
        _login(before, ca_file)
    except DeployError:
        return f"{proof}; the old password is refused"
    raise DeployError(f"the old password of {secret_arn} still logs in after its rotation")


def url(cli: AwsCli, secret_arn: str, ca_file: Path) -> str:
    """Return a secret's database as a URL for any client of PostgreSQL; the password is in it."""
    _wait_until_settled(cli, secret_arn)
    secret = _current(cli, secret_arn)
    user, password, name = (urllib.parse.quote(str(secret[key]), safe="") for key in ("username", "password", "dbname"))
    trusted = urllib.parse.urlencode({"sslmode": "verify-full", "sslrootcert": str(ca_file)}, safe="/")
    return f"postgresql://{user}:{password}@{secret['host']}:{secret['port']}/{name}?{trusted}"


def _current(cli: AwsCli, secret_arn: str) -> dict[str, Any]:
    answer = cli.json("secretsmanager", "get-secret-value", "--secret-id", secret_arn)
    secret: dict[str, Any] = json.loads(answer["SecretString"])
    return secret


def _wait_until_settled(cli: AwsCli, secret_arn: str) -> dict[str, list[str]]:
    """Wait until no version is pending and not current, and return the stages by version."""
    deadline = time.monotonic() + ROTATION_SECONDS
    while time.monotonic() < deadline:
        stages: dict[str, list[str]] = cli.json("secretsmanager", "describe-secret", "--secret-id", secret_arn)[
            "VersionIdsToStages"
        ]
        if ["AWSPENDING"] not in stages.values():
            return stages
        time.sleep(0.5)
    raise DeployError(f"a rotation of {secret_arn} does not end in {ROTATION_SECONDS} s; the function's log says why")


def _login(secret: dict[str, Any], ca_file: Path) -> str:
    where = f"{secret['host']}:{secret['port']}"
    try:
        connection = pg8000.native.Connection(
            secret["username"],
            password=secret["password"],
            host=secret["host"],
            port=int(secret["port"]),
            database=secret["dbname"],
            ssl_context=ssl.create_default_context(cafile=str(ca_file)),
            timeout=10,
        )
    except (pg8000.native.Error, OSError) as error:
        state = error.args[0].get("C") if error.args and isinstance(error.args[0], dict) else error
        raise DeployError(f"{where} refuses user {secret['username']}: {state}") from None
    try:
        ((user, version, encryption),) = connection.run(
            "SELECT current_user, current_setting('server_version'), version"
            " FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        )
    finally:
        connection.close()
    return f"logged in to PostgreSQL {version} at {where} as {user} over {encryption}, certificate verified"
