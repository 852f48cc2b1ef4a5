"""With `--auth` a request without a signature that its access key's secret has made gets nothing."""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import botocore
import pytest
import warm
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from builders.cloud.process import ANY_SECRET, LOG, Cloud

from .conftest import Account, Template, until
from .test_web_pages import asked

IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = "application/x-www-form-urlencoded"


def sent(cloud: Cloud, request: AWSRequest | urllib.request.Request) -> tuple[int, str]:
    """The status and text of an answer to a request as it stands."""
    if isinstance(request, AWSRequest):
        made = request.prepare()
        request = urllib.request.Request(made.url, made.body or None, dict(made.headers), method=made.method)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def signed(account: Account, body: bytes = IDENTITY, **headers: str) -> AWSRequest:
    """A request to STS that the root user of an account has signed."""
    url, given = account.cloud.endpoint_url + "/", {"Content-Type": FORM, **headers}
    request = AWSRequest("POST", url, data=body, headers=given)
    secret = account.cloud.secret_access_key(account.number)
    SigV4Auth(Credentials(account.number, secret), "sts", "us-east-1").add_auth(request)
    return request


def code(text: str) -> str:
    """The code of an error in XML, and of an identity its account."""
    return str(re.findall(r"<(?:Code|Account)>([^<]*)<", text)[0])


def test_a_signed_request_is_answered(strict_account: Account) -> None:
    status, text = sent(strict_account.cloud, signed(strict_account))
    assert (status, code(text)) == (200, strict_account.number)


def replaced(name: str, old: str, new: str) -> Callable[[AWSRequest], None]:
    def change(request: AWSRequest) -> None:
        request.headers.replace_header(name, re.sub(old, new, request.headers[name]))

    return change


def with_another_body(request: AWSRequest) -> None:
    request.data = IDENTITY.replace(b"GetCallerIdentity", b"GetAccessKeyInfo")


def with_another_path(request: AWSRequest) -> None:
    request.url += "other"


def with_another_query(request: AWSRequest) -> None:
    request.url += "?Action=AssumeRole"


def with_a_header_that_is_not_signed(request: AWSRequest) -> None:
    request.headers["X-Amz-Target"] = "AmazonSSM.GetParameter"


def with_credentials_in_the_query(request: AWSRequest) -> None:
    request.url += "?X-Amz-Credential=111111111111/20260101/us-east-1/sts/aws4_request"


def unsigned(request: AWSRequest) -> None:
    del request.headers["Authorization"]


def of_version_2(request: AWSRequest) -> None:
    request.headers.replace_header("Authorization", "AWS 111111111111:c2lnbmVk")


ROOT = "Credential=111111111111/20260101/us-east-1/sts/aws4_request"


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (unsigned, (403, "MissingAuthenticationToken")),
        (of_version_2, (400, "IncompleteSignature")),
        (replaced("Authorization", r"Signature=\w+", "Signature=" + "0" * 64), (403, "SignatureDoesNotMatch")),
        (replaced("Authorization", r"Signature=\w+", "Signature=\u00e4"), (400, "IncompleteSignature")),
        (replaced("Authorization", "Signature=", "Signatures="), (400, "IncompleteSignature")),
        (replaced("Authorization", r"=\d{12}/", "=111111111111/"), (403, "SignatureDoesNotMatch")),
        (replaced("Authorization", r"=\d{12}/", "=AKIAIOSFODNN7EXAMPLE/"), (403, "InvalidClientTokenId")),
        (replaced("Authorization", r"=\d{12}/", "=test/"), (403, "InvalidClientTokenId")),
        (replaced("Authorization", r"=\d{12}/", "=/"), (403, "InvalidClientTokenId")),
        # ministack takes the first key id that a header names, and its parser of signatures the last.
        (replaced("Authorization", "Credential=", f"{ROOT}, Credential="), (400, "IncompleteSignature")),
        (replaced("Authorization", "SignedHeaders=[^,]*host;", "SignedHeaders="), (400, "IncompleteSignature")),
        (replaced("X-Amz-Date", r"^.*$", "whenever"), (400, "IncompleteSignature")),
        (replaced("X-Amz-Date", r"^\d{8}T", "20269999T"), (400, "IncompleteSignature")),
        (replaced("X-Amz-Date", r"^\d{8}", "20200101"), (403, "SignatureDoesNotMatch")),
        (with_another_body, (403, "SignatureDoesNotMatch")),
        (with_another_path, (403, "SignatureDoesNotMatch")),
        (with_another_query, (403, "SignatureDoesNotMatch")),
        (with_a_header_that_is_not_signed, (400, "InvalidSignatureException")),
        (with_credentials_in_the_query, (400, "IncompleteSignature")),
    ],
)  # fmt: skip
def test_what_was_not_signed_so_is_refused(
    strict_account: Account, change: Callable[[AWSRequest], None], answer: tuple[int, str]
) -> None:
    request = signed(strict_account)
    change(request)
    status, text = sent(strict_account.cloud, request)
    found = re.findall(r"<Code>(\w+)<|\"__type\": \"(\w+)\"", text)[0]
    assert (status, "".join(found)) == answer


def test_a_request_of_yesterday_is_refused(strict_account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: before)
    request = signed(strict_account)
    monkeypatch.undo()
    status, text = sent(strict_account.cloud, request)
    assert (status, code(text)) == (403, "SignatureDoesNotMatch")
    assert "Signature expired: " in text


def test_a_body_that_belies_its_hash_is_refused(strict_account: Account) -> None:
    other = hashlib.sha256(b"Action=GetSessionToken").hexdigest()
    status, text = sent(strict_account.cloud, signed(strict_account, IDENTITY, **{"X-Amz-Content-SHA256": other}))
    assert (status, code(text)) == (403, "SignatureDoesNotMatch")


def test_only_s3_takes_a_body_that_is_not_signed(strict_account: Account) -> None:
    request = signed(strict_account, IDENTITY, **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"})
    assert sent(strict_account.cloud, request)[0] == 403


@pytest.mark.parametrize(
    ("service", "operation", "expected"),
    [
        ("sts", "get_caller_identity", ("SignatureDoesNotMatch", "InvalidClientTokenId", "MissingAuthenticationToken")),
        ("cloudformation", "list_stacks",
         ("SignatureDoesNotMatch", "InvalidClientTokenId", "MissingAuthenticationToken")),
        ("ec2", "describe_vpcs", ("AuthFailure", "AuthFailure", "MissingParameter")),
        ("dms", "describe_endpoints",
         ("InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException")),
        ("lambda", "list_functions",
         ("InvalidSignatureException", "UnrecognizedClientException", "MissingAuthenticationTokenException")),
        ("s3", "list_buckets", ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied")),
    ],
)  # fmt: skip
def test_each_protocol_words_it_as_its_service_does(
    strict_account: Account, service: str, operation: str, expected: tuple[str, ...]
) -> None:
    arguments = strict_account.cloud.client_arguments(strict_account.number)
    callers = (
        boto3.client(service, **{**arguments, "aws_secret_access_key": ANY_SECRET}),
        boto3.client(service, **{**arguments, "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE"}),
        boto3.client(service, **arguments, config=Config(signature_version=botocore.UNSIGNED)),
    )
    found = []
    for each in callers:
        with pytest.raises(ClientError) as caught:
            getattr(each, operation)()
        found.append(caught.value.response["Error"]["Code"])
    assert tuple(found) == expected


@pytest.fixture(scope="module")
def bucket(strict_cloud: Cloud) -> Account:
    """An account with a bucket `signed`, in which is an object."""
    account = Account(strict_cloud, "500000000099")
    account.client("s3").create_bucket(Bucket="signed")
    account.client("s3").put_object(Bucket="signed", Key="a b/\u00fc+&.txt", Body=b"content")
    return account


def presigned(account: Account, seconds: int = 60, **more: Any) -> str:
    arguments = {**account.cloud.client_arguments(account.number), **more}
    api = boto3.client("s3", **arguments, config=Config(signature_version="s3v4"))
    url = api.generate_presigned_url("get_object", {"Bucket": "signed", "Key": "a b/\u00fc+&.txt"}, seconds)
    return str(url)


def test_a_presigned_url_of_s3_is_answered(bucket: Account) -> None:
    assert sent(bucket.cloud, urllib.request.Request(presigned(bucket))) == (200, "content")


def test_a_presigned_url_of_another_secret_or_object_is_refused(bucket: Account) -> None:
    forged = (
        presigned(bucket, aws_secret_access_key=ANY_SECRET),
        presigned(bucket).replace("a%20b", "another"),
        presigned(bucket).replace("X-Amz-Expires=60", "X-Amz-Expires=600"),
        re.sub(r"&X-Amz-Expires=\d+", "", presigned(bucket)),
        re.sub(r"&X-Amz-Signature=\w+", "", presigned(bucket)),
        re.sub(r"X-Amz-Algorithm=[\w-]+&", "", presigned(bucket)),
        presigned(bucket).partition("?")[0],
    )
    assert [sent(bucket.cloud, urllib.request.Request(each))[0] for each in forged] == [
        403,
        403,
        403,
        400,
        400,
        403,
        403,
    ]


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_presigned_url_has_its_time(bucket: Account, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    at = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda **_: at)
    url = presigned(bucket)
    monkeypatch.undo()
    status, text = sent(bucket.cloud, urllib.request.Request(url))
    assert (status, "Request has expired" in text) == (403, True)


def test_a_web_socket_is_refused(strict_cloud: Cloud) -> None:
    upgrade = (
        "GET /_aws/execute-api/api/stage HTTP/1.1\nHost: 127.0.0.1:{port}\nUpgrade: websocket\nConnection: Upgrade"
    )
    key = "Sec-WebSocket-Key: c3RhY2tmZXJyeS1jbG91ZA==\nSec-WebSocket-Version: 13"
    assert asked(strict_cloud, f"{upgrade}\n{key}")[0] == 403


def test_credentials_in_the_query_of_another_service_are_not_believed(strict_account: Account) -> None:
    credentials = Credentials(strict_account.number, strict_account.cloud.secret_access_key(strict_account.number))
    for service, sign in (("sts", SigV4QueryAuth), ("s3", S3SigV4QueryAuth)):
        url = f"{strict_account.cloud.endpoint_url}/?{IDENTITY.decode()}"
        request = AWSRequest("GET", url)
        sign(credentials, service, "us-east-1").add_auth(request)
        assert sent(strict_account.cloud, request)[0] == 403


class Signer(S3SigV4Auth):  # type: ignore[misc]
    """Signs a header of S3 with the hash of the payload that the request gives."""

    def payload(self, request: AWSRequest) -> str:
        return str(request.context["payload"])


@pytest.mark.parametrize(
    ("payload", "sent_body", "status"),
    [
        (hashlib.sha256(b"content").hexdigest(), b"content", 200),
        (hashlib.sha256(b"content").hexdigest(), b"another", 403),
        ("UNSIGNED-PAYLOAD", b"another", 200),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"content", 200),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", b"another", 403),
        ("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", b"content", 403),
        ("STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", b"content", 403),
    ],
)
def test_an_object_is_the_one_that_was_signed(bucket: Account, payload: str, sent_body: bytes, status: int) -> None:
    request = AWSRequest("PUT", f"{bucket.cloud.endpoint_url}/signed/object")
    request.context["payload"] = payload
    streaming = payload.startswith("STREAMING")
    if streaming:
        request.headers["X-Amz-Decoded-Content-Length"] = "7"
        request.headers["Content-Encoding"] = "aws-chunked"
    signer = Signer(Credentials(bucket.number, bucket.cloud.secret_access_key(bucket.number)), "s3", "us-east-1")
    signer.add_auth(request)
    request.data = in_chunks(signer, request, sent_body) if streaming else sent_body
    assert sent(bucket.cloud, request)[0] == status
    if status == 200:
        assert bucket.client("s3").get_object(Bucket="signed", Key="object")["Body"].read() == sent_body


def in_chunks(signer: Signer, request: AWSRequest, sent_body: bytes) -> bytes:
    """A body whose chunks are signed as those of `content` are (S3 API reference, "Transferring Payload in Multiple
    Chunks")."""
    before, body = request.headers["Authorization"].rpartition("=")[2], b""
    for chunk, carried in ((b"content", sent_body), (b"", b"")):
        scope = (request.context["timestamp"], signer.credential_scope(request), before)
        hashes = (hashlib.sha256(b"").hexdigest(), hashlib.sha256(chunk).hexdigest())
        before = signer.signature("\n".join(["AWS4-HMAC-SHA256-PAYLOAD", *scope, *hashes]), request)
        body += f"{len(carried):x};chunk-signature={before}\r\n".encode() + carried + b"\r\n"
    return body


def test_the_keys_of_users_and_sessions_are_checked_with_their_own_secrets(strict_account: Account) -> None:
    iam, sts = strict_account.client("iam"), strict_account.client("sts")
    iam.create_user(UserName="person")
    key = iam.create_access_key(UserName="person")["AccessKey"]
    session = sts.get_session_token()["Credentials"]
    good: list[tuple[str, str, str | None]] = [(key["AccessKeyId"], key["SecretAccessKey"], None)]
    good.append((session["AccessKeyId"], session["SecretAccessKey"], session["SessionToken"]))
    bad = [(name, ANY_SECRET, token) for name, _, token in good]
    bad += [(*good[1][:2], None), (*good[1][:2], "another"), (*good[0][:2], "another")]
    assert [identity(strict_account, *each) for each in good] == [strict_account.number] * 2
    assert [identity(strict_account, *each) for each in bad] == [
        *["SignatureDoesNotMatch"] * 2,
        *["InvalidClientTokenId"] * 3,
    ]


def test_a_session_ends(strict_account: Account) -> None:
    def session(seconds: int) -> list[str]:
        request = signed(strict_account, f"Action=GetSessionToken&DurationSeconds={seconds}".encode())
        _, text = sent(strict_account.cloud, request)
        return [re.findall(f"<{name}>(.*?)<", text)[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]

    short, long = session(1), session(900)
    found = until(lambda: (name := identity(strict_account, *short)) != strict_account.number and name)
    assert (found, identity(strict_account, *long)) == ("ExpiredToken", strict_account.number)


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl is installed")
def test_a_signature_of_curl_is_as_good_as_one_of_boto3(strict_account: Account) -> None:
    """Two who read the same pages."""
    secret = strict_account.cloud.secret_access_key(strict_account.number)
    form = ["--aws-sigv4", "aws:amz:us-east-1:sts", "-d", IDENTITY.decode(), strict_account.cloud.endpoint_url]
    answers = [
        subprocess.run(
            ["curl", "-s", "--user", f"{strict_account.number}:{each}", *form], capture_output=True, check=True
        ).stdout.decode()
        for each in (secret, ANY_SECRET)
    ]
    assert [code(each) for each in answers] == [strict_account.number, "SignatureDoesNotMatch"]


def identity(account: Account, key: str, secret: str, token: str | None) -> str:
    """The account that a caller of these credentials is told, or the code of the refusal."""
    api = boto3.client(
        "sts", endpoint_url=account.cloud.endpoint_url, region_name="us-east-1",
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
    )  # fmt: skip
    try:
        return str(api.get_caller_identity()["Account"])
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def test_a_function_has_a_secret_that_its_arn_does_not_give_away(
    strict_account: Account, lambda_role: Template
) -> None:
    code = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    function = {
        "Handler": "index.handler", "Runtime": "python3.12", "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"ZipFile": code},
    }  # fmt: skip
    resources = {**lambda_role, "Function": {"Type": "AWS::Lambda::Function", "Properties": function}}
    outputs = {name: {"Value": {"Fn::GetAtt": [name, "Arn"]}} for name in ("Role", "Function")}
    made = strict_account.deploy(resources, sections={"Outputs": outputs})
    answer = strict_account.client("lambda").invoke(FunctionName=made["Function"])
    assert b":assumed-role/" in answer["Payload"].read()
    # As ministack makes them.
    digest = hashlib.sha256(f"{made['Function']}:{made['Role']}".encode()).hexdigest()
    secret, token = (hashlib.sha256(f"{kind}:{digest}".encode()).hexdigest() for kind in ("secret", "token"))
    assert identity(strict_account, f"ASIA{digest[:16].upper()}", secret, token) == "InvalidClientTokenId"


PAGES = ("/_stackferry/status.json", "/_stackferry/faults", "/_ministack/reset", "/_ministack/config", "/_localstack/x")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "OPTIONS"])
def test_pages_that_aws_does_not_have_are_the_owners(strict_cloud: Cloud, path: str, method: str) -> None:
    headers = {"Authorization": f"Bearer {ANY_SECRET}"}
    for given in ({}, headers):
        request = urllib.request.Request(strict_cloud.endpoint_url + path, headers=given, method=method)
        assert sent(strict_cloud, request)[0] == 403


def test_the_owner_sets_faults(strict_cloud: Cloud) -> None:
    strict_cloud.set_faults({"kind": "denied", "service": "sqs", "account": "500000000098"})
    assert [each["kind"] for each in strict_cloud.set_faults()] == ["denied"]


@pytest.fixture
def server() -> Iterator[Cloud]:
    """A server of the test's own."""
    os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"] = "AKIAIOSFODNN7EXAMPLE", "of-ones-own"
    try:
        with warm.running(authorize=True) as cloud:
            yield cloud
    finally:
        del os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]


def test_a_persons_own_credentials_are_nobodys_here(server: Cloud, strict_cloud: Cloud) -> None:
    account = Account(server, "500000000097")
    assert identity(account, "AKIAIOSFODNN7EXAMPLE", "of-ones-own", None) == "InvalidClientTokenId"
    # Nor are the secrets those of another run.
    assert identity(account, account.number, strict_cloud.secret_access_key(account.number), None) == (
        "SignatureDoesNotMatch"
    )


def test_the_command_tells_the_credentials_of_a_run(strict_cloud: Cloud) -> None:
    log = (strict_cloud.state_directory / LOG).read_text()
    told = log.partition("credentials: python ")[2].splitlines()[0].replace("ACCOUNT", "500000000096")
    answer = subprocess.run(
        [sys.executable, *shlex.split(told)], capture_output=True, text=True, check=True, timeout=30
    )
    secret = strict_cloud.secret_access_key("500000000096")
    assert answer.stdout.splitlines() == [
        "export AWS_ACCESS_KEY_ID=500000000096",
        f"export AWS_SECRET_ACCESS_KEY={secret}",
    ]
