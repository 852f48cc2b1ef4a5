"""The errors of AWS, and the one mapping of botocore's errors into them.

RolloutError
├── Unreachable                 no credentials, no endpoint, no answer: the same call may succeed later
│   ├── Throttled               AWS has had too many calls: the same call is made again, more slowly
│   └── Transient               a broken connection, or an error of AWS's own: the same call is made again
└── Refused                     AWS answered with an error; `code` is AWS's own
    ├── AccessDenied            names the action that is missing
    │   └── RoleNotAssumed      the role is not there, does not trust us, or we may not
    ├── OperationInProgress     another operation of the set is not over: wait, and submit the same id again
    ├── OperationIdExists       the id came before: ask for the operation, or submit the same id again
    ├── StaleRequest            the set has moved on; also for a fresh id: ask, or submit the same id again
    ├── TooManyInstances        too many instances are under way: wait, and submit the same id again
    ├── StackSetExists
    ├── StackSetModified        a repeated CreateStackSet, whose stack set has been changed since
    ├── StackSetNotFound
    ├── StackSetNotEmpty
    ├── NotFound                something else is not there: an operation, a stack, an object, a role
    │   └── InstanceNotFound
    └── Conflict                a conditional write of S3 came too late
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


class Throttled(Unreachable):
    """AWS answers no more calls of this kind for a moment."""


class Transient(Unreachable):
    """The connection broke, or AWS had an error of its own."""


class Refused(RolloutError):
    """AWS answered with an error. `code` and `reason` are AWS's own."""

    def __init__(self, message: str, code: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class AccessDenied(Refused):
    """The credentials lack an action, or a role cannot be assumed."""


class RoleNotAssumed(AccessDenied):
    """The role with which a call is made cannot be assumed; AWS does not say why."""


class OperationInProgress(Refused):
    """Another operation of the stack set is not over."""


class OperationIdExists(Refused):
    """The operation's id came before."""


class StaleRequest(Refused):
    """Another operation has been performed on the stack set since the request was made, whichever id it has."""


class TooManyInstances(Refused):
    """The operations that are under way leave no room for the instances of this one."""


class StackSetExists(Refused):
    """A stack set of the name is there."""


class StackSetModified(Refused):
    """A stack set of the name was made by the same request, and changed since."""


class StackSetNotFound(Refused):
    """There is no stack set of the name."""


class StackSetNotEmpty(Refused):
    """The stack set has instances, and cannot be deleted."""


class NotFound(Refused):
    """An operation, an instance, a stack, a change set, an object or a resource is not there."""


class InstanceNotFound(NotFound):
    """There is no such instance of the stack set."""


class Conflict(Refused):
    """An object is not what a conditional write expects: somebody else wrote first."""


@dataclass(frozen=True)
class Advice:
    """The user's next step once AWS answers again, and the page that lists a command's permissions."""

    retry: str = "run the same command again"
    permissions: str = "docs/permissions.md"


ROLLOUT = Advice()

_KINDS: Mapping[str, type[Refused]] = {
    "OperationInProgressException": OperationInProgress,
    "OperationIdAlreadyExistsException": OperationIdExists,
    "StaleRequestException": StaleRequest,
    "NameAlreadyExistsException": StackSetExists,
    "CreatedButModifiedException": StackSetModified,
    "StackSetNotFoundException": StackSetNotFound,
    "StackSetNotEmptyException": StackSetNotEmpty,
    "OperationNotFoundException": NotFound,
    "StackInstanceNotFoundException": InstanceNotFound,
    "ChangeSetNotFound": NotFound,
    "InvalidNetworkInterfaceID.NotFound": NotFound,
    "NoSuchEntity": NotFound,
    "NoSuchKey": NotFound,
    "NotFoundException": NotFound,
    "DBSnapshotNotFound": NotFound,
    "ResourceNotFoundException": NotFound,
    "ResourceNotFoundFault": NotFound,
    "404": NotFound,  # HeadObject answers without a body
    "PreconditionFailed": Conflict,
}
_REMEDIES: Mapping[type[Refused], str] = {
    StackSetModified: "; somebody has changed the stack set since it was made here: look at it, then plan again",
}
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
# 400: HeadObject answers without a body, and so without a code (github.com/aws/aws-sdk-js, issue 2219).
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "400")
_INVALID = (
    *("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
    *("InvalidToken", "AuthFailure"),  # S3's and EC2's (S3 API reference, "Error responses"; EC2's, "Error codes")
)
_THROTTLED = (
    *("Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException"),
    *("RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded"),
    "EC2ThrottledException",
)
# IAM user guide, "Troubleshoot Signature Version 4 signed requests"; S3 API reference, "Error responses".
_SKEWED, _SKEWED_SIGNATURES = "RequestTimeTooSkewed", ("Signature expired", "Signature not yet current")
_TRANSIENT = ("RequestTimeout", "RequestTimeoutException")
# Another operation on the object was under way: the write may not have happened, nor that one. "On a 409 failure you
# should retry the upload" (S3 API reference, PutObject, If-None-Match).
_CONFLICTING = "ConditionalRequestConflict"

TOO_MANY_INSTANCES = "StackSet operations cannot involve more than"
"""The beginning of LimitExceeded for instances under way, which passes; the other LimitExceeded are quotas of what
exists."""

# What the API calls otherwise than IAM does (Service Authorization Reference, "Amazon S3").
_ACTIONS = {"s3:HeadObject": "s3:GetObject", "s3:ListObjectsV2": "s3:ListBucket"}


@contextlib.contextmanager
def translated(service: str, operation: str, where: str, role: str = "", advice: Advice = ROLLOUT) -> Iterator[None]:
    """Turn what boto3 raises within into `Unreachable` or `Refused` and its children.

    `where` names the account and region in messages, `role` the role that the call is made with.
    """
    from botocore import exceptions, parsers  # noqa: PLC0415 boto3 is loaded at the first call

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
        if is_page(error.response) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
            raise _foreign(service, operation, where, advice) from error
        raise _refused(error.response, service, operation, where, role, advice) from error
    except (parsers.ResponseParserError, KeyError) as error:  # botocore's, of text without the element that it opens
        raise _foreign(service, operation, where, advice) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        message = (
            f"{service} does not answer in {where} ({operation}): {_line(error)}; "
            f"look at the network, the proxy and the region, and {advice.retry} when it answers again"
        )
        raise Transient(message) from error
    except exceptions.BotoCoreError as error:
        raise RolloutError(f"{service} cannot be asked for {operation} in {where}: {_line(error)}") from error
    except ValueError as error:  # botocore's, of what a variable or a profile has
        remedy = "look at the variables AWS_... and the profile in ~/.aws/config"
        if re.match("Invalid endpoint|Port ", str(error)):
            remedy = "an endpoint, as in AWS_ENDPOINT_URL, is a URL such as http://127.0.0.1:4566"
        raise RolloutError(f"{service} cannot be asked for {operation} in {where}: {_line(error)}; {remedy}") from error


def is_page(answer: Mapping[str, Any]) -> bool:
    """Return whether an answer is a web page, such as a proxy's: no API of AWS sends one but in an error of its own."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return str(headers.get("content-type", "")).startswith("text/html")


def _foreign(service: str, operation: str, where: str, advice: Advice) -> Transient:
    return Transient(
        f"what answers for {service} in {where} is not AWS ({operation}); look at AWS_ENDPOINT_URL, the network and a "
        f"proxy that asks for a login, and {advice.retry} when AWS answers"
    )


def _refused(
    response: Mapping[str, Any], service: str, operation: str, where: str, role: str, advice: Advice
) -> Refused | Unreachable:
    """An error that passes by itself, or by a new login, is `Unreachable`: it says nothing of the request."""
    code = str(response["Error"]["Code"])
    reason = _line(response["Error"].get("Message", ""))
    if code == _SKEWED or reason.startswith(_SKEWED_SIGNATURES):
        wrong = f"the clock of this machine is wrong ({operation}, {service} in {where})"
        return Unreachable(f"{wrong}; set it, then {advice.retry}: {reason}")
    if passing := _passing(response, code, f"{service} in {where}", operation, advice.retry):
        kind, sentence = passing
        return kind(f"{sentence}: {reason}" if reason else sentence)
    if operation == "AssumeRole" and code in _DENIED:
        return RoleNotAssumed(
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
    refusal = _KINDS.get(code, Refused)
    if service == "cloudformation" and code == "ValidationError" and "does not exist" in reason:
        refusal = NotFound  # CloudFormation has no error of its own for a stack that is not there
    if code.startswith("LimitExceeded") and TOO_MANY_INSTANCES.lower() in reason.lower():
        refusal = TooManyInstances
    remedy = _REMEDIES.get(refusal, "")
    return refusal(f"{service} in {where} refused {operation}: {code}: {reason}{remedy}", code, reason)


def _passing(
    response: Mapping[str, Any], code: str, service: str, operation: str, retry: str
) -> tuple[type[Unreachable], str] | None:
    """The step that may let the same call succeed; None where it would be refused again."""
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _EXPIRED:
        return Unreachable, f"the AWS credentials have expired ({operation}, {service}); log in again, then {retry}"
    if code in _THROTTLED or status == 429:
        return Throttled, f"{service} throttles {operation} for too long; let other tools end, then {retry}"
    if code == _CONFLICTING:
        return Transient, f"{service} refused {operation}: others write the same object all the time; {retry} later"
    if status >= 500 or code in _TRANSIENT:
        return Transient, f"{service} refused {operation}: {code}; it is AWS's own error: {retry} when it is over"
    return None


def _denial(reason: str, called: str, where: str, role: str, advice: Advice) -> str:
    """AWS names action and resource in most sentences; where it does not, the call's own name must do."""
    named = re.search(r"perform: (\S+?)(?: on resource: (\S+))?(?: |$)", reason)
    action = named[1] if named else _ACTIONS.get(called, called)
    resource = f" on {named[2]}" if named and named[2] else ""
    caller = f"role {role}" if role else "these credentials"
    return f"{caller} may not {action}{resource} in {where}; allow it ({advice.permissions}); AWS says: {reason}"


def _line(reason: object) -> str:
    return " ".join(str(reason).split())
