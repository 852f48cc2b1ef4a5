"""Throttling, errors, broken connections, lost answers: some pass and are waited for, others are one line."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from builders.aws import change_sets, stacks
from builders.aws.calls import Access, ApiCalls
from builders.aws.errors import (
    AccessDenied,
    InstanceNotFound,
    Refused,
    StackSetModified,
    Throttled,
    TooManyInstances,
    Transient,
    Unreachable,
    translated,
)
from builders.aws.limiter import Limiter
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import Permissions, Target
from builders.rollout.plan.calls import Action

from .conftest import DEPLOY_ROLE, Administrator, Rollout, deploy_plain, plain_stack, spec, template
from .simulation import Instantly


@pytest.fixture
def member(faulty: Administrator, number: Any) -> str:
    return faulty.member(number())


@pytest.fixture
def rollout(faulty: Administrator) -> Rollout:
    return Rollout(faulty.client(), spec())


def struck(administrator: Administrator) -> list[Any]:
    return [fault["struck"] for fault in administrator.cloud.set_faults()]


@pytest.mark.parametrize("kind", ["throttle", "error", "reset"])
def test_an_error_that_passes_is_waited_for(faulty: Administrator, rollout: Rollout, kind: str) -> None:
    faulty.cloud.set_faults({"kind": kind, "operation": "ListStackSets", "count": 2})
    assert rollout.client.sets.names() == []
    assert struck(faulty) == [2]


def test_a_call_is_made_more_often_than_botocore_retries(faulty: Administrator) -> None:
    """Its quota of retries, which all calls of a client share, is used up by a hundred throttles."""
    clock = Instantly()
    client = faulty.client(limiter=Limiter(clock.now, clock.wait))
    faulty.cloud.set_faults({"kind": "throttle", "operation": "ListStackSets", "count": 110})
    assert client.sets.names() == []
    assert struck(faulty) == [110]


def test_a_call_that_hangs_is_made_again(faulty: Administrator) -> None:
    faulty.cloud.set_faults({"kind": "hang", "operation": "ListStackSets", "count": 1})
    begin = time.monotonic()
    assert faulty.client(read_seconds=0.5).sets.names() == []
    assert time.monotonic() - begin < 30, "an answer is waited for twice as long where nobody says how long"


@pytest.mark.parametrize(
    ("kind", "error", "sentence"),
    [
        ("throttle", Unreachable, "throttles ListStackSets for too long"),
        ("error", Unreachable, "refused ListStackSets: InternalFailure"),
        ("reset", Unreachable, "cloudformation does not answer in us-east-1"),
        ("hang", Unreachable, "cloudformation does not answer in us-east-1"),
    ],
)
def test_an_error_that_does_not_pass_is_one_line(
    faulty: Administrator, kind: str, error: type[Exception], sentence: str
) -> None:
    faulty.cloud.set_faults({"kind": kind, "operation": "ListStackSets"})
    with pytest.raises(error, match=sentence) as refused:
        faulty.client(attempts=2, read_seconds=0.2).sets.names()
    assert "\n" not in str(refused.value)


def test_an_endpoint_that_nobody_serves_is_unreachable(faulty: Administrator) -> None:
    access = Access("us-east-1", endpoint_url="http://127.0.0.1:1", keys=("1", "any"), attempts=1)
    client = Client(ApiCalls(access), Permissions(), "dev", "dev", lambda _account: DEPLOY_ROLE)
    with pytest.raises(Unreachable, match="look at the network, the proxy and the region"):
        client.sets.names()


Stranger = Callable[[int, str, bytes], str]


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    """Start a server that gives every request one answer, as a proxy that asks for a login does; returns its URL."""
    servers = []

    def start(status: int, kind: str, body: bytes) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(0.01,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


CALLS: tuple[tuple[str, str, dict[str, Any]], ...] = (  # a protocol each
    ("sts", "GetCallerIdentity", {}),
    ("ec2", "DescribeVpcs", {}),
    ("dms", "DescribeReplicationTasks", {}),
    ("lambda", "GetFunction", {"FunctionName": "it"}),
    ("s3", "ListObjectsV2", {"Bucket": "a-bucket"}),
)


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (200, "text/html", b"<html><body>Log in</body></html>"),
        (200, "text/html; charset=utf-8", b"<!DOCTYPE html><html>Log in</html>"),
        (302, "text/html", b""),
        (401, "text/html", b"<html><body>Log in</body></html>"),
        (403, "text/html", b"<html><body>Blocked</body></html>"),
        (407, "text/html", b"Log in"),
    ],
)
def test_an_answer_that_is_not_of_aws_is_one_line_and_no_defect(
    stranger: Stranger, status: int, kind: str, body: bytes
) -> None:
    access = Access("us-east-1", endpoint_url=stranger(status, kind, body), keys=("1", "any"), attempts=1)
    for service, operation, request in CALLS:
        with pytest.raises(Unreachable) as refused:
            ApiCalls(access).session().ask(service, operation, **request)
        assert str(refused.value) == (
            f"what answers for {service} in us-east-1 is not AWS ({operation}); look at AWS_ENDPOINT_URL, the network "
            "and a proxy that asks for a login, and run the same command again when AWS answers"
        )


@pytest.mark.parametrize(("kind", "body"), [("text/plain", b"{}"), ("text/html", b"<html>Log in<br></html>")])
def test_an_answer_that_cannot_be_read_is_one_line_and_no_defect(stranger: Stranger, kind: str, body: bytes) -> None:
    access = Access("us-east-1", endpoint_url=stranger(200, kind, body), keys=("1", "any"), attempts=1)
    with pytest.raises(Unreachable, match=r"what answers for sts in us-east-1 is not AWS \(GetCallerIdentity\)"):
        ApiCalls(access).session().ask("sts", "GetCallerIdentity")


def test_what_is_denied_names_the_action_and_where_to_read(faulty: Administrator, rollout: Rollout) -> None:
    faulty.cloud.set_faults({"kind": "denied", "operation": "ListStackSets"})
    with pytest.raises(
        AccessDenied,
        match=r"^these credentials may not cloudformation:ListStackSets in us-east-1; .*docs/permissions.md",
    ):
        rollout.client.sets.names()


@pytest.mark.parametrize("action", [Action.CREATE, Action.UPDATE, Action.UPDATE_SET, Action.DELETE])
def test_an_operation_whose_answer_was_lost_is_submitted_once(
    faulty: Administrator, rollout: Rollout, member: str, action: Action
) -> None:
    if action is Action.CREATE:
        rollout.submit(rollout.step(Action.CREATE_SET))
    else:
        rollout.roll_out([member])
    faulty.cloud.set_faults({"kind": "lost", "operation": action.value, "count": 1})
    operation = rollout.run(rollout.step(action, [member]), operation_id="mine")
    assert (operation.status, operation.failed, struck(faulty)) == ("SUCCEEDED", 0, [1])
    ids = [each["OperationId"] for each in faulty.fleet.operations()]
    assert ids.count("mine") == 1


@pytest.mark.parametrize("action", [Action.CREATE_SET, Action.DELETE_SET])
def test_a_set_is_made_and_deleted_once_though_the_answer_was_lost(
    faulty: Administrator, rollout: Rollout, action: Action
) -> None:
    if action is Action.DELETE_SET:
        rollout.submit(rollout.step(Action.CREATE_SET))
    faulty.cloud.set_faults({"kind": "lost", "operation": action.value, "count": 1})
    rollout.submit(rollout.step(action))
    assert struck(faulty) == [1]
    assert rollout.client.sets.names() == ([rollout.spec.name] if action is Action.CREATE_SET else [])


@pytest.mark.parametrize("operation", ["CreateChangeSet", "ExecuteChangeSet", "DeleteChangeSet", "DescribeStacks"])
def test_a_plain_stack_is_deployed_though_an_answer_was_lost(
    faulty: Administrator, rollout: Rollout, member: str, operation: str
) -> None:
    faulty.cloud.set_faults({"kind": "lost", "operation": operation, "count": 1})
    found = deploy_plain(rollout.client, plain_stack(Target(member, "us-east-1")))
    assert (found.status, struck(faulty)) == ("CREATE_COMPLETE", [1])
    assert faulty.api("cloudformation", member).list_change_sets(StackName="routes")["Summaries"] == []


def test_a_preview_whose_answers_were_lost_leaves_no_change_set(
    faulty: Administrator, rollout: Rollout, member: str
) -> None:
    deploy_plain(rollout.client, plain_stack(Target(member, "us-east-1")))
    faulty.cloud.set_faults(
        {"kind": "lost", "operation": "CreateChangeSet", "count": 1},
        {"kind": "lost", "operation": "DeleteChangeSet", "count": 1},
    )
    found = change_sets.preview(rollout.client.reading(Target(member, "us-east-1")), "routes", template("Second"), {})
    assert [each.logical_id for each in found] == ["Second"]
    assert struck(faulty) == [1, 1]
    assert faulty.api("cloudformation", member).list_change_sets(StackName="routes")["Summaries"] == []


def test_a_preview_that_cannot_be_described_leaves_no_change_set_and_says_why(
    faulty: Administrator, rollout: Rollout, member: str
) -> None:
    deploy_plain(rollout.client, plain_stack(Target(member, "us-east-1")))
    faulty.cloud.set_faults({"kind": "denied", "operation": "DescribeChangeSet"})
    with pytest.raises(AccessDenied, match="role stackferry-plan-dev may not cloudformation:DescribeChangeSet"):
        change_sets.preview(rollout.client.reading(Target(member, "us-east-1")), "routes", template("Second"), {})
    faulty.cloud.set_faults()
    assert faulty.api("cloudformation", member).list_change_sets(StackName="routes")["Summaries"] == []


def test_a_suspended_account_is_named_with_its_number(faulty: Administrator, rollout: Rollout, member: str) -> None:
    faulty.cloud.set_faults({"kind": "suspended", "operation": "DescribeStacks"})
    with pytest.raises(AccessDenied, match=f"account {member}, us-east-1.* suspended"):
        stacks.deployed(rollout.client.reading(Target(member, "us-east-1")), "stack")


@pytest.mark.parametrize(
    ("code", "message", "sentence"),
    [
        ("ExpiredToken", "The security token included in the request is expired", "have expired .*; log in again"),
        ("400", "Bad Request", "have expired .*; log in again"),
        ("InvalidClientTokenId", "The security token is invalid", "does not know the credentials .*enable the region"),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and",
            "clock of this machine is wrong .*set it",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261201T1 is now earlier",
            "clock of this machine .*set it, then",
        ),
        ("InvalidSignatureException", "Signature not yet current: 2 is still later", "clock of this machine .*set it"),
        ("InvalidToken", "The provided token is malformed", "does not know the credentials .*enable the region"),
        (
            "AuthFailure",
            "AWS was not able to validate the provided",
            "does not know the credentials .*enable the region",
        ),
        (
            "AccessDenied",
            "User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: cloudformation:GetTemplate on "
            "resource: arn:aws:cloudformation:us-east-1:1:stack/x because no identity-based policy allows it",
            "role plan may not cloudformation:GetTemplate on arn:aws:cloudformation:us-east-1:1:stack/x in account 1",
        ),
        ("403", "Forbidden", "role plan may not s3:GetObject in account 1, us-east-1; allow it"),
        (
            "LimitExceededException",
            "You have reached\n  the limit",
            "LimitExceededException: You have reached the limit$",
        ),
    ],
)
def test_errors_of_botocore_are_translated(code: str, message: str, sentence: str) -> None:
    foreign = ClientError({"Error": {"Code": code, "Message": message}}, "HeadObject")
    with (
        pytest.raises(RolloutError, match=sentence) as refused,
        translated("s3", "HeadObject", "account 1, us-east-1", "plan"),
    ):
        raise foreign
    assert refused.value.__cause__ is foreign


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (
            "LimitExceededException",
            "StackSet operations cannot involve more than 10000 stack instances per region",
            TooManyInstances,
        ),
        ("LimitExceededException", "The quota for the resource has already been reached.", Refused),
        ("CreatedButModifiedException", "The specified resource exists, but has been changed.", StackSetModified),
        ("StackInstanceNotFoundException", "The specified stack instance doesn't exist.", InstanceNotFound),
        ("ThrottlingException", "Rate exceeded", Throttled),
        ("EC2ThrottledException", "Request limit exceeded.", Throttled),
        ("RequestTimeout", "Your socket connection was not read from", Transient),
    ],
)
def test_errors_that_are_answered_differently_are_told_apart(code: str, message: str, kind: type[RolloutError]) -> None:
    with pytest.raises(RolloutError) as refused, translated("cloudformation", "CreateStackInstances", "us-east-1"):
        raise ClientError({"Error": {"Code": code, "Message": message}}, "CreateStackInstances")
    assert type(refused.value) is kind


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("Invalid endpoint: 127.0.0.1", "an endpoint, as in AWS_ENDPOINT_URL, is a URL such as http://127.0.0.1:4566"),
        ("Port out of range 0-65535", "an endpoint, as in AWS_ENDPOINT_URL, is a URL such as http://127.0.0.1:4566"),
        (
            "Expecting value: line 1 column 1 (char 0)",
            r"look at the variables AWS_\.\.\. and the profile in ~/\.aws/config",
        ),
    ],
)
def test_a_value_that_botocore_cannot_read_has_a_next_step(error: str, sentence: str) -> None:
    """The last is that of a credential_process which says something else than JSON."""
    with (
        pytest.raises(RolloutError, match=f"{re.escape(error)}; {sentence}$"),
        translated("sts", "GetCallerIdentity", "x"),
    ):
        raise ValueError(error)


def test_a_stack_set_that_was_changed_behind_its_creation_has_a_next_step() -> None:
    answer = {"Error": {"Code": "CreatedButModifiedException", "Message": "It exists, but has been changed."}}
    with (
        pytest.raises(StackSetModified, match=r"look at it, then plan again$"),
        translated("cloudformation", "CreateStackSet", "us-east-1"),
    ):
        raise ClientError(answer, "CreateStackSet")
