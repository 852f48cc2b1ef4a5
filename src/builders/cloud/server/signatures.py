"""Signatures (`--auth`): every request is signed with the secret of its access key, or refused before it is looked at.

ministack checks those of users and sessions, and believes whoever names an account's number. Here all are checked, in
one place: Signature Version 4 in the header, and in the query of a presigned URL of S3, the only service whose
credentials in a query are believed. The secrets: an account's root user has one that is made of the run's secret and
the account's number, users have that of their access key, sessions what STS gave out, functions one that is made for
them in this run.

Sources: IAM user guide, "AWS Signature Version 4 for API requests", "Create a signed AWS API request" and "Troubleshoot
AWS Signature Version 4"; S3 API reference, "Authenticating Requests: Using the Authorization Header", "... Using Query
Parameters", "Error Responses".

Other than on AWS, what AWS answers without a signature is refused too: public buckets, function URLs and APIs of API
Gateway without authorization, web sockets, sign-in to Cognito, AssumeRoleWithWebIdentity and AssumeRoleWithSAML, whose
tokens nobody here could check.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_evaluator, router, sigv4

from builders.cloud import process
from builders.cloud.internals import server, sts
from builders.cloud.patches import patch
from builders.cloud.server import faults
from builders.cloud.server.faults import Application, Receive, Scope, Send
from builders.resource_types import Json

OPEN = frozenset({"/_ministack/health", process.CA_PATH})
"""Pages that tell nothing that is worth a signature."""

# What CloudFormation gives out as presigned URLs of S3; here the token at their end is what nobody can guess.
_ANSWERS = ("/_ministack/cfn-response/", "/_ministack/cfn-signal/")

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = (sigv4.UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
"""S3 API reference, "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks"."""

_AHEAD = datetime.timedelta(minutes=15)
"""The most by which a client's clock may be ahead."""

_LONGEST_SECONDS = 604_800
"""The longest life of a presigned URL (S3 API reference, X-Amz-Expires)."""


_OWNER = f"{_ALGORITHM} Credential={'0' * 12}/20260101/us-east-1/stackferry/aws4_request".encode()
"""The identity that the owner's requests go on with: the root user of an account that nobody asked for."""


class SignatureRefused(Exception):
    """A request that is not answered: the code by which ministack knows the services' own, and a sentence."""


class RunSecret:
    """The secret of the running server, of which those of root users and functions are made."""

    _secret = ""

    def open(self, state_directory: Path) -> None:
        """Make a new secret, where signatures are checked, and leave it where the owner of the directory finds it."""
        file = state_directory / process.SECRET_FILE
        file.unlink(missing_ok=True)
        if app.AUTH:
            self._secret = secrets.token_hex(32)
            file.touch(mode=0o600)
            file.write_text(self._secret)

    def secret_access_key(self, name: str) -> str:
        """Return the secret of an account's root user, by the account's number, or of a function, by its key's id."""
        return process.derived_secret(self._secret, name)

    def is_owner(self, authorization: str) -> bool:
        """Return whether a header has the run's secret itself, by which `Cloud` asks for pages."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._secret}".encode())


run = RunSecret()


@patch(
    "ministack.core.lambda_runtime.execution_credentials",
    why="the secret of a function is made of its ARN and its role's, which anybody can do",
)
def _of_function(original: Any, config: Mapping[str, Json]) -> dict[str, str]:
    credentials: dict[str, str] = original(config)
    key = credentials["AWS_ACCESS_KEY_ID"]
    if session := sts.sessions.get(key):
        session["SecretAccessKey"] = credentials["AWS_SECRET_ACCESS_KEY"] = run.secret_access_key(key)
        session["SessionToken"] = credentials["AWS_SESSION_TOKEN"] = run.secret_access_key(f"{key} token")
    return credentials


@patch(
    "ministack.services.s3._verify_presigned_sigv4",
    why="the secret of an account's root user is one for all accounts",
)
def _presigned(original: Any, *request: Any) -> Any:
    return None if app.AUTH else original(*request)  # checked below


def checked(application: Application) -> Application:
    """Return an ASGI application that answers what is signed, and refuses all else as the services do."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if not app.AUTH or scope["type"] == "lifespan" or _is_open(scope):
            await application(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: 403
            return
        body = await faults.read(receive)
        try:
            scope = _authenticated(scope, body)
        except SignatureRefused as refused:
            await _refuse(scope, body, refused, send)
            return
        await application(scope, faults.again(body), send)

    return answer


def _is_open(scope: Scope) -> bool:
    path, method = str(scope["path"]), scope.get("method")  # none of a web socket
    return (path in OPEN and method == "GET") or (path.startswith(_ANSWERS) and method == "PUT")


def _authenticated(scope: Scope, body: bytes) -> Scope:
    """Return the request as it may go on. Raises `SignatureRefused`."""
    headers = _headers(scope)
    query = _query(scope)
    authorization = headers.get("authorization", "")
    if run.is_owner(authorization):
        kept = [each for each in scope["headers"] if each[0].lower() != b"authorization"]
        return {**scope, "headers": [*kept, (b"authorization", _OWNER)]}
    if scope["path"].startswith("/_"):
        raise SignatureRefused("MissingAuthenticationToken", "Request is missing Authentication Token")
    in_query = {name.lower() for name in query} & {"x-amz-credential", "x-amz-signature", "x-amz-algorithm"}
    if {"awsaccesskeyid", "signature"} & {name.lower() for name in query} or (authorization and in_query):
        raise SignatureRefused("UnsupportedSignature", "The request signature does not conform to AWS standards.")
    if not authorization and not in_query:
        raise SignatureRefused("MissingAuthenticationToken", "Request is missing Authentication Token")
    if authorization and not authorization.startswith(f"{_ALGORITHM} "):
        raise SignatureRefused("UnsupportedSignature", "The request signature does not conform to AWS standards.")
    parse: Any = sigv4.parse_header_signature if authorization else sigv4.parse_query_signature
    signature = parse(headers if authorization else query)
    if not isinstance(signature, sigv4.HeaderSignature):
        raise SignatureRefused(*signature)
    # What follows sees one key id, and it must be this one: a header may name several.
    if router.extract_access_key_id(headers, query) != signature.access_key_id or not signature.signature.isascii():
        raise SignatureRefused("IncompleteSignature", "The request signature does not conform to AWS standards.")
    _check_scope(scope, signature, headers, query, presigned=not authorization)
    token = headers.get("x-amz-security-token", "") if authorization else _first(query, "X-Amz-Security-Token")
    secret = _secret_of(signature.access_key_id, token)
    if authorization:
        _check_payload(signature, headers, body)
    failure = sigv4.header_signature_failure(
        signature, secret, scope["method"], scope["raw_path"].decode("latin-1"), query, headers, body,
        presigned=not authorization,
    )  # fmt: skip
    if failure:
        raise SignatureRefused(*failure)
    return scope


def _check_scope(
    scope: Scope, signature: Any, headers: Mapping[str, str], query: Mapping[str, list[str]], *, presigned: bool
) -> None:
    """Refuse a signature of another time, and one that leaves out what says where a request goes and what it does."""
    signed_at = _time(signature.amz_date)
    signed = signature.signed_headers.split(";")
    if "host" not in signed:
        raise SignatureRefused("IncompleteSignature", "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    left_out = sorted(name for name in headers if name.startswith("x-amz-") and name not in signed)
    if left_out:
        raise SignatureRefused(
            "SignatureDoesNotMatch", f"There were headers present in the request which were not signed: {left_out[0]}"
        )
    if presigned:
        if signature.service != "s3" or _first(query, "X-Amz-Algorithm") != _ALGORITHM or _service(scope) != "s3":
            raise SignatureRefused("MissingAuthenticationToken", "Request is missing Authentication Token")
        seconds = _first(query, "X-Amz-Expires")
        if not re.fullmatch(r"\d{1,6}", seconds, re.ASCII) or not 1 <= int(seconds) <= _LONGEST_SECONDS:
            raise SignatureRefused("IncompleteSignature", "X-Amz-Expires must be between 1 and 604800 seconds")
        now = datetime.datetime.now(datetime.UTC)
        if not signed_at - _AHEAD <= now <= signed_at + datetime.timedelta(seconds=int(seconds)):
            raise SignatureRefused("RequestExpired", "Request has expired")
    elif failure := sigv4.request_time_failure(signature):
        raise SignatureRefused(*failure)


def _time(text: str) -> datetime.datetime:
    """Return the time of a signature. Raises `SignatureRefused` for what is not one, which ministack takes for any."""
    try:
        if re.fullmatch(r"\d{8}T\d{6}Z", text, re.ASCII):
            return datetime.datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    except ValueError:
        pass
    raise SignatureRefused("IncompleteSignature", f"Date must be in ISO-8601 'basic format'. Got '{text}'.")


def _secret_of(key: str, token: str) -> str:
    """Return the secret of an access key. Raises `SignatureRefused` for one that is unknown, inactive or over."""
    unknown = SignatureRefused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if re.fullmatch(r"\d{12}", key, re.ASCII):
        if token:
            raise SignatureRefused("InvalidToken", "The security token included in the request is invalid")
        return run.secret_access_key(key)
    if iam_evaluator.is_root_access_key(key):
        raise unknown  # ministack's words for anybody
    try:
        account = server.account_of_session(key) or server.account_of(key)
        found = iam_evaluator.resolve_credential(key, account, token)
    except iam_evaluator.AmbiguousAccessKeyError:
        raise unknown from None
    if isinstance(found, iam_evaluator.CredentialResolutionError):
        if found.code == "InvalidToken" and not token:
            raise unknown  # a session's key without its token
        raise SignatureRefused(found.code, found.message)
    return str(found.secret_access_key)


def _check_payload(signature: Any, headers: Mapping[str, str], body: bytes) -> None:
    """Refuse a body that is not the one that was signed; S3 alone takes one that is not signed, or in chunks."""
    given = headers.get("x-amz-content-sha256", "")
    if not given or (signature.service == "s3" and (given in _UNSIGNED or given == _CHUNKS)):
        return  # hashed, or checked chunk by chunk, with the signature
    if not hmac.compare_digest(given.encode(), hashlib.sha256(body).hexdigest().encode()):
        raise SignatureRefused("SignatureDoesNotMatch", sigv4.SIGNATURE_MISMATCH)


def _headers(scope: Scope) -> dict[str, str]:
    """Return the signed headers, those of one name joined. Raises `SignatureRefused` for two authorizations."""
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name, text = raw.decode("latin-1").lower(), sigv4.decode_header_value(value)
        if name in headers and name in ("authorization", "x-amz-date", "x-amz-security-token", "x-amz-target"):
            raise SignatureRefused("IncompleteSignature", "The request signature does not conform to AWS standards.")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    return headers


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(scope["query_string"].decode("utf-8", "replace"), keep_blank_values=True)


def _first(query: Mapping[str, list[str]], name: str) -> str:
    return query.get(name, [""])[0]


def _service(scope: Scope, body: bytes = b"") -> str:
    """Return the service that will answer, as ministack's router sees it."""
    headers = {name.decode("latin-1").lower(): sigv4.decode_header_value(value) for name, value in scope["headers"]}
    method, path = scope["method"], scope["path"]
    routing = server.parameters(method, path, headers, body, _query(scope))
    return str(router.detect_service(method, path, headers, routing))


async def _refuse(scope: Scope, body: bytes, refused: SignatureRefused, send: Send) -> None:
    headers = {name.decode("latin-1").lower(): sigv4.decode_header_value(value) for name, value in scope["headers"]}
    service, (code, sentence), number = _service(scope, body), refused.args, str(uuid.uuid4())
    failure = iam_evaluator.AuthError(code, sentence)
    status, answered, text = server.credential_failure(service, "", number, failure, headers)
    raw = [(name.encode(), value.encode()) for name, value in {**answered, "x-amzn-requestid": number}.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else text})
