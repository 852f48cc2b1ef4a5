"""CloudFormation gets one answer in time, whatever becomes of the work and of the first attempts to tell."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import custom_resource
import pytest
from custom_resource import AnswerNotDelivered, Event, ResourceFailed
from deadline import Deadline

from .cloudformation import Bucket, Context, bucket


@pytest.fixture
def cloudformation() -> Iterator[Bucket]:
    with bucket() as opened:
        yield opened


def works(work: Any) -> dict[str, Any]:
    return dict.fromkeys(("Create", "Update", "Delete"), work)


def succeed(_event: Event, _deadline: Deadline) -> str:
    return "done"


def fail_with(error: Exception) -> Any:
    def work(_event: Event, _deadline: Deadline) -> str:
        raise error

    return work


def answered(cloudformation: Bucket, work: Any, event: Event | None = None, seconds: float = 25) -> dict[str, Any]:
    """The one answer to an event."""
    custom_resource.answer(event or cloudformation.event(), Context(seconds), works(work))
    (answer,) = cloudformation.answers
    return answer


def test_work_that_is_done_is_a_success_that_echoes_the_request(cloudformation: Bucket) -> None:
    assert answered(cloudformation, succeed) == {
        "Status": "SUCCESS",
        "PhysicalResourceId": "DmsUser-5f0c",
        "StackId": cloudformation.event()["StackId"],
        "RequestId": "request",
        "LogicalResourceId": "DmsUser",
        "NoEcho": True,
    }


def test_the_answer_has_no_content_type_for_which_the_url_is_not_signed(cloudformation: Bucket) -> None:
    answered(cloudformation, succeed)
    assert cloudformation.content_types == [""]


def test_a_failure_gives_its_reason(cloudformation: Bucket) -> None:
    answer = answered(cloudformation, fail_with(ResourceFailed("the port\nis closed")))
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "the port is closed")


def test_an_unforeseen_error_is_told_by_its_place_and_never_by_its_words(cloudformation: Bucket) -> None:
    answer = answered(cloudformation, fail_with(ValueError("the word of DMS")))
    assert answer["Reason"].startswith("ValueError in test_custom_resource.py, line ")
    assert "the word of DMS" not in answer["Reason"]


def test_work_that_hangs_is_answered_before_the_function_ends(cloudformation: Bucket) -> None:
    never = threading.Event()

    def hang(_event: Event, _deadline: Deadline) -> str:
        never.wait(60)
        return "late"

    answer = answered(cloudformation, hang, seconds=20.3)
    never.set()
    assert answer["Reason"].startswith("Create did not end in the function's time")


@pytest.mark.parametrize("kind", ["Update", "Delete"])
def test_what_exists_keeps_its_identifier_also_in_a_failure(cloudformation: Bucket, kind: str) -> None:
    event = cloudformation.event(kind, PhysicalResourceId="DmsUser-5f0c")
    answer = answered(cloudformation, fail_with(ResourceFailed("no")), event)
    assert answer["PhysicalResourceId"] == "DmsUser-5f0c"


def test_what_was_never_made_is_deleted_without_work(cloudformation: Bucket) -> None:
    failed = answered(cloudformation, fail_with(ResourceFailed("no")))
    cloudformation.bodies.clear()
    event = cloudformation.event("Delete", PhysicalResourceId=failed["PhysicalResourceId"])
    assert answered(cloudformation, fail_with(AssertionError()), event)["Status"] == "SUCCESS"


def update(cloudformation: Bucket, old: str, new: str) -> Event:
    return cloudformation.event("Update", PhysicalResourceId="DmsUser-5f0c", ResourceProperties={"ReleaseId": new},
                                OldResourceProperties={"ReleaseId": old})  # fmt: skip


def test_a_failed_update_is_taken_back_without_work(cloudformation: Bucket) -> None:
    fails = fail_with(ResourceFailed("no"))
    custom_resource.answer(update(cloudformation, "1", "2"), Context(), works(fails))
    custom_resource.answer(update(cloudformation, "2", "1"), Context(), works(fails))
    assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED", "SUCCESS"]


def test_an_update_from_what_failed_once_and_was_made_later_is_work_again(cloudformation: Bucket) -> None:
    fails = fail_with(ResourceFailed("no"))
    custom_resource.answer(update(cloudformation, "1", "2"), Context(), works(fails))
    custom_resource.answer(update(cloudformation, "2", "1"), Context(), works(fails))
    custom_resource.answer(update(cloudformation, "1", "2"), Context(), works(succeed))
    custom_resource.answer(update(cloudformation, "2", "3"), Context(), works(fails))
    assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED", "SUCCESS", "SUCCESS", "FAILED"]


def test_an_update_from_what_failed_to_something_new_is_work_and_no_rollback(cloudformation: Bucket) -> None:
    """Without a rollback (`--disable-rollback`) the next deployment may come from the properties that failed."""
    fails = fail_with(ResourceFailed("no"))
    custom_resource.answer(update(cloudformation, "1", "2"), Context(), works(fails))
    custom_resource.answer(update(cloudformation, "2", "3"), Context(), works(fails))
    custom_resource.answer(update(cloudformation, "2", "2"), Context(), works(fails))
    assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED"] * 3


@pytest.mark.parametrize("character", ["x", '"', "\u00e9", "\U0001f40c"])
def test_a_reason_gives_way_to_the_limit_of_the_answer(cloudformation: Bucket, character: str) -> None:
    answer = answered(cloudformation, fail_with(ResourceFailed("source: " + character * 9000)))
    assert 3000 < len(cloudformation.bodies[0]) <= 4096
    assert answer["Reason"].startswith("source: ")
    assert answer["Reason"].endswith("...")


@pytest.mark.parametrize("lost", [[500], [503, None]])
def test_an_answer_that_is_lost_is_sent_again(cloudformation: Bucket, lost: list[int | None]) -> None:
    cloudformation.statuses = list(lost)
    assert answered(cloudformation, succeed)["Status"] == "SUCCESS"


def test_a_url_that_has_expired_is_not_tried_again(cloudformation: Bucket) -> None:
    cloudformation.statuses = [403]
    with pytest.raises(AnswerNotDelivered, match="HTTP 403: it has expired, or the policy of the S3 gateway endpoint"):
        custom_resource.answer(cloudformation.event(), Context(), works(succeed))
    assert cloudformation.answers == []


def test_no_way_to_s3_is_told_with_what_to_check(cloudformation: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    event = {**cloudformation.event(), "ResponseURL": "http://127.0.0.1:1/answer"}
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(AnswerNotDelivered, match="S3 gateway endpoint"):
        custom_resource.answer(event, Context(5), works(succeed))


def test_only_cloudformation_calls(cloudformation: Bucket) -> None:
    with pytest.raises(ResourceFailed, match=r"the event lacks .*ResponseURL"):
        custom_resource.answer({"RequestType": "Create"}, Context(), works(succeed))


def test_reasons_are_in_the_log(cloudformation: Bucket, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        answered(cloudformation, fail_with(ResourceFailed("the port is closed")))
    assert "Create of DmsUser-5f0c failed: the port is closed" in caplog.text


def test_requests_of_the_sdk_are_never_in_the_log() -> None:
    assert not logging.getLogger("botocore").isEnabledFor(logging.DEBUG)


BUCKET = "cloudformation-custom-resource-response-useast1"


@pytest.mark.parametrize(
    "url",
    [
        f"https://{BUCKET}.s3.amazonaws.com/arn%3Aaws?X-Amz-Signature=x",
        f"https://{BUCKET}.s3.eu-central-1.amazonaws.com/key",
        f"https://{BUCKET}.s3-us-west-2.amazonaws.com/key",
        f"https://{BUCKET}.s3.dualstack.eu-west-1.amazonaws.com/key",
        f"https://{BUCKET}.s3-fips.us-gov-west-1.amazonaws.com/key",
        f"https://{BUCKET}.s3-fips.dualstack.us-east-1.amazonaws.com/key",
        f"https://{BUCKET}.s3.cn-north-1.amazonaws.com.cn/key",
        f"https://{BUCKET}.s3.eusc-de-east-1.amazonaws.eu/key",
        f"https://s3.us-gov-east-1.amazonaws.com/{BUCKET}/key",
    ],
)
def test_every_form_of_s3_is_a_place_for_answers(url: str) -> None:
    """No answer is sent: the event is refused for its next mistake, before anybody is called."""
    event = {**Bucket().event(), "ResponseURL": url, "StackId": "x" * 4096}
    with pytest.raises(ResourceFailed, match="leave no room"):
        custom_resource.answer(event, Context(), works(succeed))


@pytest.mark.parametrize(
    "url",
    [
        f"http://{BUCKET}.s3.amazonaws.com/key",
        "file:///etc/passwd",
        "ftp://s3.amazonaws.com/key",
        "https://example.com/key",
        "https://example.com/.s3.amazonaws.com/key",
        "https://example.com?.s3.amazonaws.com/key",
        "https://example.com#.s3.amazonaws.com/key",
        "https://x.s3.amazonaws.com@example.com/key",
        "https://example.com\\@x.s3.amazonaws.com/key",
        "https://x.s3.amazonaws.com.example.com/key",
        "https://s3.example.com/key",
        "https://s3xamazonaws.com/key",
        "https://x.s3.amazonaws.com:8443/key",
        "https://x.s3.amazonaws.com/key\r\nHost: example.com",
        "https://x.s3.amazonaws.com/key with spaces",
        "https://x.ec2.amazonaws.com/key",
        "https://s3-website-us-east-1.amazonaws.com/key",
        "https://169.254.169.254/latest/api/token",
        "http://127.0.0.1:80",
        "https://[::1",
        "\u202ehttps://x.s3.amazonaws.com/key",
    ],
)
@pytest.mark.parametrize("endpoint", ["", "http://127.0.0.1:4566"])
def test_an_answer_goes_to_s3_over_https_alone(url: str, endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    done: list[str] = []

    def work(_event: Event, _deadline: Deadline) -> str:
        done.append("work")
        return "done"

    with pytest.raises(ResourceFailed, match="ResponseURL is not one of S3 over https") as refused:
        custom_resource.answer({**Bucket().event(), "ResponseURL": url}, Context(), works(work))
    assert done == []
    assert url not in str(refused.value)


@pytest.mark.parametrize("name", ["StackId", "RequestId", "LogicalResourceId", "PhysicalResourceId"])
def test_ids_that_fit_into_no_answer_end_before_the_work(cloudformation: Bucket, name: str) -> None:
    with pytest.raises(ResourceFailed, match="ids leave no room in an answer of 4,096 bytes"):
        answered(cloudformation, succeed, cloudformation.event(**{name: "\U0001f40c" * 400}))
    assert cloudformation.bodies == []


def test_ids_that_barely_fit_leave_room_for_a_reason(cloudformation: Bucket) -> None:
    event = cloudformation.event(StackId="s" * 1600, PhysicalResourceId="p" * 1024)
    answer = answered(cloudformation, fail_with(ResourceFailed("x" * 9000)), event)
    assert len(cloudformation.bodies[0]) <= 4096
    assert answer["Reason"].endswith("x...")


@pytest.mark.parametrize(
    "event",
    [None, [], "Create", {"RequestType": ["Create"]}, dict.fromkeys(Bucket().event(), 1), {"RequestType": None}],
)
def test_what_is_no_event_is_refused(event: Any) -> None:
    with pytest.raises(ResourceFailed, match="the event lacks"):
        custom_resource.answer(event, Context(), works(succeed))


def test_a_request_of_an_unknown_type_is_refused(cloudformation: Bucket) -> None:
    with pytest.raises(ResourceFailed, match="RequestType is not one of Create, Update, Delete"):
        answered(cloudformation, succeed, cloudformation.event("Drop"))


def test_a_failure_without_words_is_still_a_failure(cloudformation: Bucket) -> None:
    answer = answered(cloudformation, fail_with(ResourceFailed(" \n")))
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "ResourceFailed")


def test_a_message_of_others_forges_no_line_and_steers_no_terminal(
    cloudformation: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = "no\n[INFO] Create done\r\x1b[2K\x9b1m\u202etxt\u2028x\ud800"
    with caplog.at_level(logging.INFO):
        answer = answered(cloudformation, fail_with(ResourceFailed(hostile)))
    told = r"no [INFO] Create done \x1b[2K\x9b1m\u202etxt x\ud800"
    assert answer["Reason"] == told
    assert caplog.messages == [f"Create of DmsUser-5f0c failed: {told}"]


def test_what_a_function_found_and_the_ids_of_an_event_forge_no_line_of_the_log(
    cloudformation: Bucket, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = "id\n[INFO] Create done\x1b[2K"
    with caplog.at_level(logging.INFO):
        answered(cloudformation, lambda *_: "PostgreSQL\n17\x07", cloudformation.event(PhysicalResourceId=hostile))
    assert caplog.messages == [r"Create of id [INFO] Create done\x1b[2K: PostgreSQL 17\x07"]
