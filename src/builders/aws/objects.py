"""S3 in the administrator's account: objects, their versions and digests, and conditional writes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.aws import errors
from builders.aws.calls import Session
from builders.aws.errors import AccessDenied, Conflict, NotFound, RoleNotAssumed, Unreachable

ATTEMPTS = 3
"""Attempts to read an object whose connection breaks within its body: those of the call end where the body begins."""

ABSENT = "*"
"""Expected by a conditional write instead of an ETag: the object must not be there yet."""


@dataclass(frozen=True)
class StoredObject:
    """A version of an object: its id, empty where the bucket keeps none, and its SHA-256 in hexadecimal."""

    version: str
    sha256: str


class Objects:
    """The buckets of one region.

    With an `owner` those of that account alone: after a bucket is deleted, anybody may make one of its name (S3 user
    guide, "Verifying bucket ownership with bucket owner condition").
    """

    def __init__(self, session: Session, owner: str = "") -> None:
        self._session = session
        self._owner = {"ExpectedBucketOwner": owner} if owner else {}

    def _ask(self, operation: str, **request: Any) -> Any:
        return self._session.ask("s3", operation, **request, **self._owner)

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None when it is not there."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._ask("GetObject", Bucket=bucket, Key=key)
                with errors.translated("s3", "GetObject", str(self._session)):
                    return answer["Body"].read(), answer["ETag"]
            except NotFound:
                return None
            except Unreachable:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def put(self, bucket: str, key: str, body: bytes, expected: str | None = None) -> str:
        """Write an object and return its ETag. Raises `Conflict` when it is not as `expected`: an ETag, or ABSENT.

        A put whose answer was lost is made again, and can then conflict with itself: the caller looks.
        """
        condition = {} if expected is None else {"IfNoneMatch" if expected == ABSENT else "IfMatch": expected}
        try:
            return str(self._ask("PutObject", Bucket=bucket, Key=key, Body=body, **condition)["ETag"])
        except NotFound as error:
            raise Conflict(f"{key} is no longer in {bucket}", error.code, error.reason) from error

    def exists(self, bucket: str, key: str) -> bool:
        """True when an object is there."""
        try:
            self._ask("HeadObject", Bucket=bucket, Key=key)
        except NotFound:
            return False
        return True

    def readable(self, bucket: str, key: str, version: str = "") -> bool:
        """True when the account may read a version of an object, the current one where none is named."""
        which = {"VersionId": version} if version else {}
        try:
            self._ask("HeadObject", Bucket=bucket, Key=key, **which)
        except RoleNotAssumed:
            raise
        except (AccessDenied, NotFound):
            return False
        return True

    def stored(self, bucket: str, key: str, version: str = "") -> StoredObject | None:
        """A version of an object, the current one where none is named; None when it is not there.

        S3 tells the digest of an object that was written with one. That of a multipart upload is made of its parts'
        digests, and what was written without has none (S3 user guide, "Checking object integrity in Amazon S3"): the
        content of such an object is read.
        """
        which = {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})
        try:
            head = self._ask("HeadObject", ChecksumMode="ENABLED", **which)
        except NotFound:
            return None
        found = _version(head)
        if "ChecksumSHA256" in head and head.get("ChecksumType", _WHOLE) == _WHOLE:
            digest = base64.b64decode(head["ChecksumSHA256"]).hex()
        else:
            answer = self._ask("GetObject", **which | ({"VersionId": found} if found else {}))
            with errors.translated("s3", "GetObject", str(self._session)):
                digest = hashlib.sha256(answer["Body"].read()).hexdigest()
        return StoredObject(found, digest)

    def create(self, bucket: str, key: str, body: bytes) -> StoredObject:
        """Write an object that must not be there yet; S3 checks its SHA-256, and keeps it. Raises `Conflict`."""
        digest = hashlib.sha256(body)
        answer = self._ask(
            "PutObject",
            Bucket=bucket,
            Key=key,
            Body=body,
            IfNoneMatch=ABSENT,
            ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
        )
        return StoredObject(_version(answer), digest.hexdigest())


_WHOLE = "FULL_OBJECT"


def _version(answer: Mapping[str, Any]) -> str:
    """The version in an answer; "null" is what was there before a bucket kept versions."""
    version = str(answer.get("VersionId", ""))
    return "" if version == "null" else version
