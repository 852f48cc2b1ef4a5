"""S3 in the administrator's account: objects, and conditional writes."""

from __future__ import annotations

from builders.aws import errors
from builders.aws.calls import Session
from builders.aws.errors import Conflict, NotFound, Unreachable

ATTEMPTS = 3
"""Of reading an object whose connection breaks while its body comes: those of the call end where the body begins."""

ABSENT = "*"
"""Expected by a conditional write instead of an ETag: the object must not be there yet."""


class Objects:
    """The buckets of one region."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """An object and its ETag; None when it is not there."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._session.ask("s3", "GetObject", Bucket=bucket, Key=key)
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
            return str(self._session.ask("s3", "PutObject", Bucket=bucket, Key=key, Body=body, **condition)["ETag"])
        except NotFound as error:
            raise Conflict(f"{key} is no longer in {bucket}", error.code, error.reason) from error

    def exists(self, bucket: str, key: str) -> bool:
        """True when an object is there."""
        try:
            self._session.ask("s3", "HeadObject", Bucket=bucket, Key=key)
        except NotFound:
            return False
        return True
