"""The values of a secret, or why they cannot be read."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from custom_resource import ResourceFailed

_ADVICE = {
    "AccessDeniedException": "the function's role, the secret's policy, or the key's policy refuses; "
    "for a key of the secret's own give its ARN as SourceSecretKeyArn",
    "ResourceNotFoundException": "check the secret's ARN, its region, and that it has a value",
    "InvalidRequestException": "the secret is being deleted: restore it, or give another",
    "DecryptionFailure": "the secret's key refuses; for a key of its own give its ARN as SourceSecretKeyArn",
}


class SecretUnreadable(ResourceFailed):
    """Secrets Manager gave no value; `is_final` where asking again does not help."""

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class _NoSuchVersion(SecretUnreadable):
    """There is no such secret, no version with that label, or one without a value: Secrets Manager tells no more."""


def read(client: Any, arn: str) -> str:
    """The text of the secret's current version. Raises SecretUnreadable; no message quotes a value."""
    return str(_read(client, arn, "AWSCURRENT")["SecretString"])


def read_version(client: Any, arn: str) -> tuple[str, str]:
    """The current version's identifier and its text. Raises as `read` does."""
    answer = _read(client, arn, "AWSCURRENT")
    return str(answer["VersionId"]), str(answer["SecretString"])


def read_pending(client: Any, arn: str) -> str | None:
    """The text of the version that a rotation has made; None while there is none. Raises as `read` does."""
    try:
        return str(_read(client, arn, "AWSPENDING")["SecretString"])
    except _NoSuchVersion:
        return None


def _read(client: Any, arn: str, label: str) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = client.get_secret_value(SecretId=arn, VersionStage=label)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code"))
        advice = _ADVICE.get(code, "see the function's log")
        kind = _NoSuchVersion if code == "ResourceNotFoundException" else SecretUnreadable
        raise kind(f"secret {arn} cannot be read ({code}): {advice}", is_final=code in _ADVICE) from error
    except BotoCoreError as error:
        raise SecretUnreadable(
            f"Secrets Manager did not answer for secret {arn} ({type(error).__name__}): "
            "check its interface endpoint and the security groups of endpoint and function",
            is_final=False,
        ) from error
    if "SecretString" not in answer:
        raise SecretUnreadable(f"secret {arn} is binary: it must be a JSON text", is_final=True)
    return answer
