"""Foreign errors in our words, once: who was refused what, where, and what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from builders.errors import RolloutError
from builders.rollout.client.refusals import (
    AccessDenied,
    Conflict,
    NotThere,
    OperationExists,
    OperationInProgress,
    Refused,
    SetExists,
    SetNotEmpty,
    SetNotFound,
    StaleRequest,
    Unreachable,
)
from builders.rollout.client.sessions import Where

PERMISSIONS_PAGE = "docs/permissions.md"

_KINDS: Mapping[str, type[Refused]] = {
    "OperationInProgressException": OperationInProgress,
    "OperationIdAlreadyExistsException": OperationExists,
    "StaleRequestException": StaleRequest,
    "NameAlreadyExistsException": SetExists,
    "StackSetNotFoundException": SetNotFound,
    "StackSetNotEmptyException": SetNotEmpty,
    "OperationNotFoundException": NotThere,
    "StackInstanceNotFoundException": NotThere,
    "ChangeSetNotFound": NotThere,
    "NoSuchKey": NotThere,
    "ResourceNotFoundFault": NotThere,
    "404": NotThere,  # HeadObject answers without a body
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
def in_our_words(service: str, operation: str, where: Where) -> Iterator[None]:
    """Turn what boto3 raises within into `Unreachable` or `Refused` and its children."""
    from botocore import exceptions  # noqa: PLC0415 boto3 is loaded at the first call

    try:
        yield
    except RolloutError:
        raise
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise Unreachable("no AWS credentials were found; log in, or name a profile with --profile") from error
    except exceptions.ProfileNotFound as error:
        raise Unreachable(f"{_line(error)}; name one of ~/.aws/config with --profile") from error
    except (exceptions.TokenRetrievalError, exceptions.SSOError) as error:
        raise Unreachable(f"the AWS login cannot be used: {_line(error)}; log in again") from error
    except exceptions.ClientError as error:
        # What a nested call was refused (AssumeRole) is in our words already; this one is the call's own.
        raise _refused(error.response, service, operation, where) from error
    except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
        message = (
            f"{service} does not answer in {where} ({operation}): {_line(error)}; "
            "look at the network, the proxy and the region, and run `resume` when it answers again"
        )
        raise Unreachable(message) from error
    except exceptions.BotoCoreError as error:
        raise RolloutError(f"{service} cannot be asked for {operation} in {where}: {_line(error)}") from error


def _refused(response: Mapping[str, Any], service: str, operation: str, where: Where) -> Refused | Unreachable:
    """What passes by itself, or by a new login, is `Unreachable`: it tells nothing of what was asked for."""
    code = str(response["Error"]["Code"])
    words = _line(response["Error"].get("Message", ""))
    if passing := _passing(response, code, f"{service} in {where}", operation):
        return Unreachable(f"{passing}: {words}" if words else passing)
    if operation == "AssumeRole" and code in _DENIED:
        return AccessDenied(
            f"a role cannot be assumed: {words}; it must be there, trust this account and ask for the external id "
            f"that this phase sends; see {PERMISSIONS_PAGE}",
            code,
            words,
        )
    if code in _DENIED:
        return AccessDenied(_denial(words, service, operation, where), code, words)
    if code in _INVALID:
        # A region that an account has not enabled knows none of its credentials (Account Management guide, "Enable or
        # disable AWS Regions in your account").
        remedy = "log in again, name another profile, or enable the region in that account"
        return Refused(f"AWS does not know the credentials ({operation} in {where}: {words}); {remedy}", code, words)
    kind = _KINDS.get(code, Refused)
    return kind(f"{service} in {where} refused {operation}: {code}: {words}", code, words)


def _passing(response: Mapping[str, Any], code: str, who: str, operation: str) -> str:
    """What to wait for, or to do, before the same call may succeed; empty where it would be refused again."""
    if code in _EXPIRED:
        return f"the AWS credentials have expired ({operation}, {who}); log in again, then `resume`"
    if code in _THROTTLED:
        return f"{who} throttles {operation} for too long; let other tools end, then `resume`"
    if response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return f"{who} refused {operation}: {code}; it is AWS's own error: `resume` when it is over"
    return ""


def _denial(words: str, service: str, operation: str, where: Where) -> str:
    """AWS names action and resource in most sentences; where it does not, the call's own name must do."""
    named = re.search(r"perform: (\S+?)(?: on resource: (\S+))?(?: |$)", words)
    called = f"{service}:{operation}"
    action = named[1] if named else _ACTIONS.get(called, called)
    resource = f" on {named[2]}" if named and named[2] else ""
    who = f"role {where.role.name}" if where.role else "these credentials"
    return f"{who} may not {action}{resource} in {where}; allow it ({PERMISSIONS_PAGE}); AWS says: {words}"


def _line(words: object) -> str:
    return " ".join(str(words).split())
