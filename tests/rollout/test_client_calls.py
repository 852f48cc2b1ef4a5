"""Every call is counted, observed and bounded in number, and is made with the right credentials."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders.aws import stacks
from builders.aws.boto_clients import BotoClients
from builders.aws.calls import MOST_AT_ONCE, Access, ApiCall, ApiCalls, Moment, Role, concurrently, session_text
from builders.aws.errors import Unreachable
from builders.aws.limiter import Limiter
from builders.cloud.process import Cloud
from builders.errors import RolloutError
from builders.rollout.client import Client
from builders.rollout.model import Permissions, Target
from builders.rollout.plan.calls import Action

from .conftest import DEPLOY_ROLE, PLAN_ROLE, Administrator, Rollout, Watch


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any credentials or configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return monkeypatch


def connect(profile: str | None = None) -> Client:
    return Client(ApiCalls(Access("us-east-1", profile)), Permissions(), "dev", "dev", lambda _account: DEPLOY_ROLE)


def test_the_standard_chain_of_credentials_is_used(bare: pytest.MonkeyPatch, cloud: Cloud) -> None:
    for name, value in cloud.environment("700999999999").items():
        bare.setenv(name, value)
    assert connect().calls.account() == "700999999999"


def test_a_profile_is_used(bare: pytest.MonkeyPatch, cloud: Cloud, tmp_path: Path) -> None:
    lines = ["[profile payments]", "aws_access_key_id = 700888888888", "aws_secret_access_key = any"]
    (tmp_path / "config").write_text("\n".join([*lines, f"endpoint_url = {cloud.endpoint_url}"]))
    bare.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert connect("payments").calls.account() == "700888888888"


def test_without_credentials_the_remedy_is_given(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match=r"^no AWS credentials were found; log in, or name a profile with --profile$"):
        connect().calls.account()


def test_a_profile_that_is_not_there_is_named(bare: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable, match=r"payments.*; name one of ~/.aws/config with --profile"):
        connect("payments").calls.account()


def test_keys_are_never_shown() -> None:
    assert "secret" not in repr(Access("us-east-1", keys=("id", "secret")))


def test_whoever_only_names_the_client_loads_no_boto3() -> None:
    program = "import sys, builders.rollout.client, builders.rollout.state.store; print('boto3' in sys.modules)"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "False\n"


def test_each_call_is_observed_before_and_after(administrator: Administrator, member: str) -> None:
    watch = Watch()
    client = administrator.client(observe=watch)
    stacks.outputs(client.reading(Target(member, "eu-west-1")), "never")
    ours = ApiCall("sts", "AssumeRole", "", "us-east-1")
    theirs = ApiCall("cloudformation", "DescribeStacks", member, "eu-west-1", PLAN_ROLE)
    assert watch.calls == [
        (Moment.BEFORE, theirs),
        (Moment.BEFORE, ours),
        (Moment.AFTER, ours),
    ]  # the stack is not there, so the call has no answer
    assert client.calls.counts == Counter({"sts:AssumeRole": 1, "cloudformation:DescribeStacks": 1})


def test_what_an_observer_raises_goes_through_and_the_call_is_not_made(
    administrator: Administrator, rollout: Rollout
) -> None:
    class Killed(Exception):
        pass

    def kill(_moment: Moment, _call: ApiCall) -> None:
        raise Killed

    with pytest.raises(Killed):
        Rollout(administrator.client(observe=kill), rollout.spec).submit(rollout.step(Action.CREATE_SET))
    assert rollout.client.sets.names() == []


def test_credentials_of_a_role_are_renewed_before_they_end(administrator: Administrator, member: str) -> None:
    assumed: list[Any] = []
    sts = administrator.api("sts")

    def assume(request: Any) -> Any:
        assumed.append(request)
        given = sts.assume_role(**request)["Credentials"]
        return {**given, "Expiration": datetime.now(UTC) + timedelta(minutes=5)}

    sessions = BotoClients(administrator.access(), assume)
    role = Role(member, "stackferry-plan-dev", "migration-dev")
    for _ in range(2):
        with sessions.acting(role):
            found = sessions.client("sts", "us-east-1").get_caller_identity()
        assert found["Account"] == member
    assert len(assumed) > 1
    assert assumed[0]["RoleArn"] == f"arn:aws:iam::{member}:role/stackferry-plan-dev"


def test_one_client_serves_many_accounts_at_once(administrator: Administrator, members: list[str]) -> None:
    sessions = BotoClients(
        administrator.access(), lambda request: administrator.api("sts").assume_role(**request)["Credentials"]
    )

    def account(number: str) -> Any:
        with sessions.acting(Role(number, "stackferry-plan-dev", "migration-dev")):
            return sessions.client("sts", "us-east-1").get_caller_identity()["Account"]

    for number, found in concurrently(account, members * 10):
        assert found == number


def test_calls_under_way_are_never_more_than_allowed(faulty: Administrator, number: Callable[[], str]) -> None:
    faulty.cloud.set_faults({"kind": "slow", "service": "cloudformation", "seconds": 0.05})
    lock, under_way, most = threading.Lock(), Counter[str](), Counter[str]()

    def watch(moment: Moment, call: ApiCall) -> None:
        with lock:
            under_way[call.service] += 1 if moment is Moment.BEFORE else -1
            most[call.service] = max(most[call.service], under_way[call.service])

    client = faulty.client(observe=watch)

    def many() -> None:
        list(concurrently(lambda _: client.sets.names(), range(20)))

    threads = [threading.Thread(target=many) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most["cloudformation"] == MOST_AT_ONCE


def test_many_at_once_take_up_items_only_as_there_is_room() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for each in range(1000):
            taken.append(each)
            yield each

    found = concurrently(lambda each: each * 2, items())
    assert next(found)[1] % 2 == 0
    assert len(taken) <= 2 * MOST_AT_ONCE
    found.close()  # type: ignore[attr-defined]


def test_what_goes_wrong_with_one_of_many_ends_them() -> None:
    def fail(each: int) -> int:
        if each == 5:
            raise RolloutError("five")
        return each

    with pytest.raises(RolloutError, match="five"):
        list(concurrently(fail, range(100)))


def test_sessions_say_which_run_it_is_and_who_began_it(administrator: Administrator, member: str) -> None:
    client = administrator.client()
    assert client.calls.caller().endswith(":root")
    target = Target(member, "us-east-1")
    arns = []
    for name in ("plan", "apply-20261129T120000Z-a1b2c3"):
        client.calls.name_sessions(name)
        arns.append(client.reading(target).ask("sts", "GetCallerIdentity")["Arn"])
    role = f"arn:aws:sts::{member}:assumed-role/stackferry-plan-dev"
    assert arns == [f"{role}/stackferry-plan", f"{role}/stackferry-apply-20261129T120000Z-a1b2c3"]


def test_a_role_whose_trust_takes_no_source_identity_is_assumed_without_and_that_is_said(
    administrator: Administrator, member: str
) -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": administrator.number}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    administrator.api("iam", member).update_assume_role_policy(RoleName=PLAN_ROLE, PolicyDocument=document)
    said: list[str] = []
    client = administrator.client(limiter=Limiter(say=said.append))
    client.calls.account()
    for name in ("plan", "apply"):
        client.calls.name_sessions(name)
        assert client.reading(Target(member, "us-east-1")).ask("sts", "GetCallerIdentity")["Account"] == member
    assert client.calls.counts["sts:AssumeRole"] == 3, "refused once, taken without, and not tried again"
    assert [line for line in said if "sts:SetSourceIdentity" in line] == said
    assert len(said) == 1


@pytest.mark.parametrize(
    ("arn_end", "expected"),
    [("Anna Müller", "Anna-M-ller"), ("anna@example.com", "anna@example.com"), ("x" * 70, "x" * 64)],
)
def test_names_of_sessions_have_the_letters_that_sts_takes(arn_end: str, expected: str) -> None:
    assert session_text(arn_end) == expected
