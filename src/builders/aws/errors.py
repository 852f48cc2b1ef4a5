"""The errors of AWS, and the one mapping of botocore's errors into them.

RolloutError
├── Unreachable               no credentials, no endpoint, no answer, throttled for too long: the same call may succeed
└── Refused                   AWS answered with an error; `code` is AWS's own
    ├── AccessDenied          names the action that is missing
    ├── OperationInProgress   another operation of the set is not over: wait, and submit the same id again
    ├── OperationIdExists     the id came before: re-attach to it
    ├── StaleRequest          the id came before, and the set has moved on since
    ├── StackSetExists
    ├── StackSetNotFound
    ├── StackSetNotEmpty
    ├── NotFound              something else is not there: an operation, a stack, an object, a role
    └── Conflict              a conditional write of S3 came too late
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders.errors import RolloutError


class Unreachable(RolloutError):
    """AWS cannot be asked now: no valid credentials, no endpoint, no answer in time, or none but "later"."""


class Refused(RolloutError):
    """AWS answered with an error. `code` and `reason` are AWS's own."""

    def __init__(self, message: str, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class AccessDenied(Refused):
    """The credentials lack an action, or a role cannot be assumed."""


class OperationInProgress(Refused):
    """Another operation of the stack set is not over."""


class OperationIdExists(Refused):
    """The operation's id came before: the caller re-attaches to it."""


class StaleRequest(Refused):
    """The operation's id came before, and other operations since."""


class StackSetExists(Refused):
    """A stack set of the name is there."""


class StackSetNotFound(Refused):
    """There is no stack set of the name."""


class StackSetNotEmpty(Refused):
    """The stack set has instances, and cannot be deleted."""


class NotFound(Refused):
    """An operation, an instance, a stack, a change set, an object or a resource is not there."""


class Conflict(Refused):
    """An object is not what a conditional write expects: somebody else wrote first."""


@dataclass(frozen=True)
class Advice:
    """The user's next step once AWS answers again, and the page that lists a command's permissions."""

    retry: str = "run `resume`"
    permissions: str = "docs/permissions.md"


ROLLOUT = Advice()

_KINDS: Mapping[str, type[Refused]] = {
    "OperationInProgressException": OperationInProgress,
    "OperationIdAlreadyExistsException": OperationIdExists,
    "StaleRequestException": StaleRequest,
    "NameAlreadyExistsException": StackSetExists,
    "StackSetNotFoundException": StackSetNotFound,
    "StackSetNotEmptyException": StackSetNotEmpty,
    "OperationNotFoundException": NotFound,
    "StackInstanceNotFoundException": NotFound,
    "ChangeSetNotFound": NotFound,
    "NoSuchEntity": NotFound,
    "NoSuchKey": NotFound,
    "NotFoundException": NotFound,
    "DBSnapshotNotFound": NotFound,
    "ResourceNotFoundException": NotFound,
    "ResourceNotFoundFault": NotFound,
    "404": NotFound,  # HeadObject answers without a body
    "PreconditionFailed": Conflict,
    "ConditionalRequestConflict": Conflict,  # S3 user guide, "How to prevent object overwrites with conditional writes"
}
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
_INVALID = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_THROTTLED = ("Throttling", "ThrottlingException", "SlowDown", "RequestLimitExceeded", "TooManyRequestsException")

# What the API calls otherwise than IAM does (Service Authorization Reference, "Amazon S3").
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}


@contextlib.contextmanager
def translated(service: str, operation: str, where: str, role: str = "", advice: Advice = ROLLOUT) -> Iterator[None]:
    """Turn what boto3 raises within into `Unreachable` or `Refused` and its children.

    `where` names the account and region in messages, `role` the role that the call is made with.
    """
    from botocore import exceptions  # noqa: PLC0415 boto3 is loaded at the first call

    try:
        yield
    except RolloutError:  # of a call within this one (AssumeRole): translated already
        raise
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise Unreachable("no AWS credentials were found; log in, or name a profile with --profile") from error
    except exceptions.ProfileNotFound as error:
        raise Unreachable(f"{_line(error)}; name one of ~/.aws/config with --profile") from error
    except (exceptions.TokenRetrievalError, exceptions.SSOError) as error:
        raise Unreachable(f"the AWS login cannot be used: {_line(error)}; log in again") from error
    except exceptions.ClientError as error:
        raise _refused(error.response, service, operation, where, role, advice) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        message = (
            f"{service} does not answer in {where} ({operation}): {_line(error)}; "
            f"look at the network, the proxy and the region, and {advice.retry} when it answers again"
        )
        raise Unreachable(message) from error
    except exceptions.BotoCoreError as error:
        raise RolloutError(f"{service} cannot be asked for {operation} in {where}: {_line(error)}") from error


def _refused(
    response: Mapping[str, Any], service: str, operation: str, where: str, role: str, advice: Advice
) -> Refused | Unreachable:
    """An error that passes by itself, or by a new login, is `Unreachable`: it says nothing of the request."""
    code = str(response["Error"]["Code"])
    reason = _line(response["Error"].get("Message", ""))
    if passing := _passing(response, code, f"{service} in {where}", operation, advice.retry):
        return Unreachable(f"{passing}: {reason}" if reason else passing)
    if operation == "AssumeRole" and code in _DENIED:
        return AccessDenied(
            f"a role cannot be assumed: {reason}; it must be there, trust this account and ask for the external id "
            f"that this phase sends; see {advice.permissions}",
            code,
            reason,
        )
    if code in _DENIED:
        return AccessDenied(_denial(reason, f"{service}:{operation}", where, role, advice), code, reason)
    if code in _INVALID:
        # A region that an account has not enabled knows none of its credentials (Account Management guide, "Enable or
        # disable AWS Regions in your account").
        remedy = "log in again, name another profile, or enable the region in that account"
        return Refused(f"AWS does not know the credentials ({operation} in {where}: {reason}); {remedy}", code, reason)
    kind = _KINDS.get(code, Refused)
    if service == "cloudformation" and code == "ValidationError" and "does not exist" in reason:
        kind = NotFound  # CloudFormation has no error of its own for a stack that is not there
    return kind(f"{service} in {where} refused {operation}: {code}: {reason}", code, reason)


def _passing(response: Mapping[str, Any], code: str, service: str, operation: str, retry: str) -> str:
    """The step that may let the same call succeed; empty where it would be refused again."""
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({operation}, {service}); log in again, then {retry}"
    if code in _THROTTLED:
        return f"{service} throttles {operation} for too long; let other tools end, then {retry}"
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return f"{service} refused {operation}: {code}; it is AWS's own error: {retry} when it is over"
    return ""


def _denial(reason: str, called: str, where: str, role: str, advice: Advice) -> str:
    """AWS names action and resource in most sentences; where it does not, the call's own name must do."""
    named = re.search(r"perform: (\S+?)(?: on resource: (\S+))?(?: |$)", reason)
    action = named[1] if named else _ACTIONS.get(called, called)
    resource = f" on {named[2]}" if named and named[2] else ""
    caller = f"role {role}" if role else "these credentials"
    return f"{caller} may not {action}{resource} in {where}; allow it ({advice.permissions}); AWS says: {reason}"


def _line(reason: object) -> str:
    return " ".join(str(reason).split())
