"""The versions of one secret, through Secrets Manager."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from deadline import Deadline
from function_errors import SecretInvalid
from rotation_errors import AwsCallFailed, RotationDisabled, VersionNotStaged

CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"


@dataclass(frozen=True)
class Stages:
    """Versions and the labels that they carry, as DescribeSecret gave it at one moment."""

    rotation_enabled: bool
    labels_of: dict[str, tuple[str, ...]]

    def version_at(self, label: str) -> str | None:
        """The version that carries a label, if one does."""
        return next((version for version, labels in self.labels_of.items() if label in labels), None)

    def carries(self, version: str, label: str) -> bool:
        """Return whether the version carries the label."""
        return label in self.labels_of.get(version, ())

    def is_current(self, version: str) -> bool:
        """Return whether the version is the one that everybody logs in with."""
        return self.carries(version, CURRENT)

    def require_under_rotation(self, version: str) -> None:
        """Raise unless this version is the one that Secrets Manager is rotating to, or has already become current."""
        if not self.rotation_enabled:
            raise RotationDisabled("rotation is not enabled for this secret: enable it before this function is called")
        labels = self.labels_of.get(version, ())
        if CURRENT not in labels and PENDING not in labels:
            carried = f"carries {', '.join(labels)}" if labels else "carries no label"
            raise VersionNotStaged(
                f"version {version} {carried}: {PENDING} is needed. It was taken away, or another rotation took over; "
                "nothing was changed"
            )

    def require_still_pending(self, version: str) -> None:
        """Raise unless the rotation to this version is under way and has not been finished by somebody else."""
        self.require_under_rotation(version)
        if self.is_current(version):
            raise VersionNotStaged(f"version {version} became {CURRENT} meanwhile: nothing was changed")


@dataclass(frozen=True)
class Version:
    """A version as ListSecretVersionIds shows it."""

    identifier: str
    labels: tuple[str, ...]
    created: datetime


class SecretStore:
    """One secret; every call asks the deadline first."""

    def __init__(self, client: Any, secret_id: str, deadline: Deadline) -> None:
        self._client = client
        self._secret_id = secret_id
        self._deadline = deadline

    def stages(self) -> Stages:
        """The labels as they are now."""
        answer = self._call("describe_secret")
        labels = {version: tuple(labels) for version, labels in answer.get("VersionIdsToStages", {}).items()}
        return Stages(bool(answer.get("RotationEnabled")), labels)

    def value(self, version: str) -> str | None:
        """The version's text; None for a version that has a label but no value yet."""
        try:
            answer = self._call("get_secret_value", VersionId=version)
        except AwsCallFailed as error:
            if error.code == "ResourceNotFoundException":
                return None
            raise
        if "SecretBinary" in answer:
            raise SecretInvalid(f"version {version} is binary: it must be a JSON text")
        text = answer.get("SecretString")
        return None if text is None else str(text)

    def put_pending(self, version: str, text: str) -> None:
        """Give the pending version its value, once: when another invocation was faster, its value stays."""
        try:
            self._call("put_secret_value", ClientRequestToken=version, SecretString=text, VersionStages=[PENDING])
        except AwsCallFailed as error:
            if error.code != "ResourceExistsException":
                raise

    def promote(self, version: str, current: str | None) -> None:
        """Move AWSCURRENT from the version that had it; Secrets Manager moves AWSPREVIOUS along."""
        source = {"RemoveFromVersionId": current} if current else {}
        self._call("update_secret_version_stage", VersionStage=CURRENT, MoveToVersionId=version, **source)

    def drop_pending(self, version: str) -> None:
        """Take AWSPENDING away from a version that is current; nothing happens when somebody was faster.

        Left there, the label would stay behind as soon as a person stores another value, and Secrets Manager would take
        it for an unfinished rotation (RotateSecret, in the API Reference).
        """
        try:
            self._call("update_secret_version_stage", VersionStage=PENDING, RemoveFromVersionId=version)
        except AwsCallFailed as error:
            if error.code != "InvalidParameterException":
                raise

    def versions(self) -> list[Version]:
        """All versions that Secrets Manager still keeps, unlabelled ones too, the newest first."""
        found: list[Version] = []
        page: dict[str, str] = {}
        while True:
            answer = self._call("list_secret_version_ids", IncludeDeprecated=True, **page)
            found += [
                Version(entry["VersionId"], tuple(entry.get("VersionStages", ())), entry["CreatedDate"])
                for entry in answer["Versions"]
            ]
            if not answer.get("NextToken"):
                return sorted(found, key=lambda version: version.created, reverse=True)
            page = {"NextToken": answer["NextToken"]}

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        self._deadline.remaining()
        return call(getattr(self._client, operation), operation, SecretId=self._secret_id, **arguments)


def call(method: Callable[..., dict[str, Any]], operation: str, **arguments: Any) -> dict[str, Any]:
    """One AWS call with its failures under our name: the operation and the code, never the arguments."""
    try:
        return method(**arguments)
    except ClientError as error:
        details = error.response.get("Error", {})
        raise AwsCallFailed(operation, str(details.get("Code")), str(details.get("Message"))) from error
    except BotoCoreError as error:
        raise AwsCallFailed(operation, type(error).__name__, "no answer: check the endpoint and its network") from error
