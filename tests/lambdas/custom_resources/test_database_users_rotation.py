"""DMS's role is made while the real rotation function changes the passwords that this takes."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

import index
import ports
import pytest
import secret_value
import users
from credentials import Credentials
from custom_resource import ANSWER_SECONDS, ResourceFailed
from deadline import Deadline
from postgres_login import PostgresRefused
from rotating_secret import KEPT_SECONDS, RotatingSecret

from lambdas.rotation.function import Function
from lambdas.rotation.rig import STEPS
from lambdas.rotation.secrets_manager import ENVIRONMENT, SecretsManager

from .cloudformation import Bucket, Context, bucket
from .conftest import NEWEST, Target, kept
from .test_database_users import SCHEMAS, run

# How the role is made differs by version: test_database_users.py makes it on all. `make harness` does this on all, too.
pytestmark = pytest.mark.sampled(when=lambda case: case["server"] is NEWEST)

PAUSE_SECONDS = 2.9
"""Enough for one pause, of 1 s, however long a look takes on a busy machine, and not for the next, of 2 s; the rest of
a deadline is kept for the work."""

SPLITS = [(0, 2), (0, 4), (1, 1), (1, 3), (2, 0), (2, 2)]
"""(steps before, steps between the reading of AWSCURRENT and the login with it): the password was changed by then, and
the rotation ended or did not. testSecret changes nothing, so it needs no places of its own."""

MASTERS_FAULT = "let the rotation of the master user's password finish"


@dataclass
class Rotation:
    """A secret with the steps that the real function has yet to run on it."""

    secrets_manager: SecretsManager
    function: Function
    arn: str
    token: str = ""
    ahead: tuple[str, ...] = STEPS

    def go(self, steps: int = len(STEPS)) -> None:
        """Run so many of the steps that are ahead."""
        if steps and not self.token:
            self.token = self.secrets_manager.begin_rotation(self.arn)
        for step in self.ahead[:steps]:
            event = {"Step": step, "SecretId": self.arn, "ClientRequestToken": self.token}
            assert self.function.invoke(event).error is None
        self.ahead = self.ahead[steps:]

    def login(self, label: str = "AWSCURRENT") -> Credentials:
        answer = self.secrets_manager.client.get_secret_value(SecretId=self.arn, VersionStage=label)
        return Credentials.parse(answer["SecretString"])

    def secret(self, *, after_current: Sequence[int] = (), after_pending: Sequence[int] = ()) -> RotatingSecret:
        """The secret as the function reads it; after each reading so many steps are run, while they last."""

        def read(reading: Callable[[Any, str], Any], steps: Iterator[int]) -> Any:
            text = reading(self.secrets_manager.client, self.arn)
            self.go(next(steps, 0))
            return text

        current, pending = iter(after_current), iter(after_pending)
        return RotatingSecret(
            lambda: read(secret_value.read, current),
            lambda: read(secret_value.read_pending, pending),
            self.login().dbname,
        )


@pytest.fixture(scope="module")
def function(secrets_manager: SecretsManager, authority: Any) -> Iterator[Function]:
    url = f"http://127.0.0.1:{secrets_manager.port}"
    function = Function({"AWS_ENDPOINT_URL": url, "CA_BUNDLE": str(authority.file)})
    yield function
    function.stop()


@pytest.fixture
def rotation_of(secrets_manager: SecretsManager, function: Function) -> Callable[[Credentials], Rotation]:
    def rotation_of(credentials: Credentials) -> Rotation:
        return Rotation(secrets_manager, function, secrets_manager.create(json.dumps(asdict(credentials))))

    return rotation_of


@pytest.fixture
def master(target: Target, rotation_of: Callable[[Credentials], Rotation]) -> Iterator[Rotation]:
    """The rotation of the master user's password, which is as before after the test."""
    yield rotation_of(target.master)
    target.administer("ALTER ROLE ferry_owner LOGIN PASSWORD 'the master''s'")


@pytest.fixture
def dms(target: Target, rotation_of: Callable[[Credentials], Rotation]) -> Rotation:
    """The rotation of the password of DMS's user, who is there already."""
    users.make(kept(target.master), kept(target.dms), SCHEMAS, Deadline(20))
    return rotation_of(target.dms)


def patient() -> Deadline:
    return Deadline(KEPT_SECONDS + 10)


def hasty() -> Deadline:
    return Deadline(KEPT_SECONDS + PAUSE_SECONDS)


@pytest.mark.parametrize(("before", "at_login"), SPLITS)
def test_the_role_is_made_wherever_the_masters_rotation_stands_and_goes_on(
    target: Target, master: Rotation, before: int, at_login: int
) -> None:
    """The first reading is for the name alone, the second for what an error would say, the third for the login."""
    master.go(before)
    secret = master.secret(after_current=(0, 0, at_login), after_pending=(len(STEPS),))
    users.make(secret, kept(target.dms), SCHEMAS, patient())
    run(target.dms, "SELECT 1")
    master.go()
    run(master.login(), "SELECT 1")


def test_no_login_of_the_masters_fails_while_the_pending_password_is_not_in_force(
    target: Target, master: Rotation
) -> None:
    master.go(1)
    before = target.logged()
    users.make(master.secret(), kept(target.dms), SCHEMAS, patient())
    assert 'password authentication failed for user "ferry_owner"' not in target.logged().removeprefix(before)


def test_the_role_is_dropped_while_the_masters_password_rotates(
    target: Target, master: Rotation, dms: Rotation
) -> None:
    master.go(2)
    users.drop(master.secret(), target.dms.username, patient())
    with pytest.raises(PostgresRefused, match="28P01"):
        run(target.dms, "SELECT 1")


@pytest.fixture
def answers(target: Target, master: Rotation, dms: Rotation) -> Iterator[tuple[Bucket, dict[str, Any]]]:
    """Where answers arrive, and the properties of the resource; the function finds Secrets Manager by its variables."""
    properties = {
        "MasterSecretArn": master.arn,
        "UserSecretArn": dms.arn,
        "DatabaseName": "payments",
        "Port": str(target.server.port),
        "Schemas": SCHEMAS,
        "DropOnDelete": "true",
    }
    url = f"http://127.0.0.1:{master.secrets_manager.port}"
    with bucket() as taken, pytest.MonkeyPatch.context() as environment:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL_SECRETS_MANAGER": url}.items():
            environment.setenv(name, value)
        yield taken, properties


def test_a_rotation_that_never_ends_fails_the_stack_in_time_and_tells_no_password(
    master: Rotation, answers: tuple[Bucket, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    """AWSPENDING was taken away after setSecret: the password that works has no label any more."""
    taken, properties = answers
    master.go(2)
    lost = master.login("AWSPENDING")
    master.secrets_manager.take_label(master.arn, "AWSPENDING")
    seconds = KEPT_SECONDS + PAUSE_SECONDS + ANSWER_SECONDS
    began = time.monotonic()
    with caplog.at_level(logging.DEBUG, "database_users"):
        index.handler(taken.event(ResourceProperties=properties), Context(seconds))
    assert 1 <= time.monotonic() - began < seconds - ANSWER_SECONDS
    (answer,) = taken.answers
    assert answer["Status"] == "FAILED"
    assert "28P01" in answer["Reason"]
    assert answer["Reason"].endswith(MASTERS_FAULT)
    told = answer["Reason"] + caplog.text
    assert "looking again" in told
    assert not [word for word in (lost.password, master.login().password) if word in told]


def test_the_function_reads_both_versions_itself(master: Rotation, answers: tuple[Bucket, dict[str, Any]]) -> None:
    taken, properties = answers
    master.go(3)
    index.handler(taken.event(ResourceProperties=properties), Context(60))
    index.handler(taken.event("Delete", ResourceProperties=properties), Context(60))
    assert [answer["Status"] for answer in taken.answers] == ["SUCCESS"] * 2


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def name_port(rotation: Rotation, port: int) -> None:
    """As the attachment wrote it before the database took another port."""
    text = json.dumps(asdict(replace(rotation.login(), port=port)))
    rotation.secrets_manager.client.put_secret_value(SecretId=rotation.arn, SecretString=text)


def test_the_port_of_the_stack_is_written_into_both_secrets_once_the_database_answers_there(
    target: Target, master: Rotation, dms: Rotation, answers: tuple[Bucket, dict[str, Any]]
) -> None:
    taken, properties = answers
    for rotation in (master, dms):
        name_port(rotation, closed_port())
    index.handler(taken.event("Update", ResourceProperties=properties), Context(60))
    assert [answer["Status"] for answer in taken.answers] == ["SUCCESS"]
    assert (master.login(), dms.login()) == (target.master, target.dms)


def test_a_port_at_which_nothing_answers_is_not_written(
    target: Target, master: Rotation, dms: Rotation, answers: tuple[Bucket, dict[str, Any]]
) -> None:
    """So an update that is taken back succeeds while the database stays at its new port."""
    taken, properties = answers
    name_port(dms, closed_port())
    index.handler(taken.event("Update", ResourceProperties={**properties, "Port": str(closed_port())}), Context(60))
    assert [answer["Status"] for answer in taken.answers] == ["SUCCESS"]
    assert (master.login().port, dms.login().port) == (target.server.port, target.server.port)


class Overtaken:
    """A client that is held up before it writes: until a rotation has come and gone."""

    def __init__(self, rotation: Rotation) -> None:
        self._rotation = rotation

    def __getattr__(self, operation: str) -> Any:
        if operation == "put_secret_value":
            self._rotation.go()
        return getattr(self._rotation.secrets_manager.client, operation)


def test_a_port_that_is_written_late_brings_no_old_password_back(target: Target, master: Rotation) -> None:
    """Lambda freezes a function between invocations, and what was under way goes on at the next one."""
    with pytest.raises(ResourceFailed, match=r"InvalidParameterException\): deploy again"):
        ports.write(Overtaken(master), master.arn, closed_port())
    assert run(master.login(), "SELECT 1") == [[1]]
    assert set(master.secrets_manager.labels(master.arn)) == {"AWSCURRENT", "AWSPREVIOUS"}
    ports.write(master.secrets_manager.client, master.arn, closed_port())
    assert set(master.secrets_manager.labels(master.arn)) == {"AWSCURRENT", "AWSPREVIOUS"}


def test_the_port_is_not_written_under_a_rotation_which_would_bring_the_old_one_back(
    master: Rotation, answers: tuple[Bucket, dict[str, Any]]
) -> None:
    taken, properties = answers
    old = closed_port()
    name_port(master, old)
    token = master.secrets_manager.begin_rotation(master.arn)
    event = {"Step": "createSecret", "SecretId": master.arn, "ClientRequestToken": token}
    assert master.function.invoke(event).error is None
    index.handler(taken.event("Update", ResourceProperties=properties), Context(60))
    (answer,) = taken.answers
    assert "is under way" in answer["Reason"]
    assert master.login().port == old


def test_a_password_that_no_rotation_changed_is_told_as_before_when_time_is_up(
    target: Target, master: Rotation
) -> None:
    target.administer("ALTER ROLE ferry_owner PASSWORD 'by hand'")
    with pytest.raises(ResourceFailed, match=rf"^the master user in database payments: .*28P01.*{MASTERS_FAULT}"):
        users.make(master.secret(), kept(target.dms), SCHEMAS, hasty())


def test_a_password_that_is_put_right_meanwhile_is_taken(target: Target, master: Rotation) -> None:
    target.administer("ALTER ROLE ferry_owner PASSWORD 'by hand'")
    right = replace(target.master, password="by hand")
    texts = iter([target.master, target.master, target.master])
    secret = RotatingSecret(lambda: json.dumps(asdict(next(texts, right))), lambda: None, "payments")
    users.make(secret, kept(target.dms), SCHEMAS, patient())
    run(target.dms, "SELECT 1")


def test_nothing_but_a_wrong_password_is_waited_for(target: Target, master: Rotation) -> None:
    target.administer("ALTER ROLE ferry_owner NOLOGIN")
    before = target.logged()
    with pytest.raises(ResourceFailed, match="28000"):
        users.make(master.secret(), kept(target.dms), SCHEMAS, patient())
    assert target.logged().removeprefix(before).count("is not permitted to log in") == 1


def test_a_pending_version_for_another_server_is_not_tried(target: Target, master: Rotation) -> None:
    target.administer("ALTER ROLE ferry_owner PASSWORD 'by hand'")
    with closing(socket.create_server(("127.0.0.1", 0))) as stranger:
        elsewhere = replace(target.master, port=stranger.getsockname()[1], password="of the stranger")
        master.secrets_manager.client.put_secret_value(
            SecretId=master.arn,
            ClientRequestToken=master.secrets_manager.begin_rotation(master.arn),
            SecretString=json.dumps(asdict(elsewhere)),
            VersionStages=["AWSPENDING"],
        )
        with pytest.raises(ResourceFailed, match=MASTERS_FAULT):
            users.make(master.secret(), kept(target.dms), SCHEMAS, Deadline(KEPT_SECONDS))
        stranger.settimeout(0)
        with pytest.raises(BlockingIOError):
            stranger.accept()


@pytest.mark.parametrize(("before", "at_login"), SPLITS)
def test_the_password_of_dms_is_never_set_back_behind_its_rotation(
    target: Target, dms: Rotation, before: int, at_login: int
) -> None:
    """However far the rotation is at the first look: it ends, and its new password logs in."""
    dms.go(before)
    secret = dms.secret(after_current=(0, at_login), after_pending=(0, len(STEPS)))
    report = users.make(kept(target.master), secret, SCHEMAS, patient())
    assert report.endswith("all as it should be")
    dms.go()
    assert run(dms.login(), "SELECT session_user::text") == [["ferry_dms"]]


def test_a_rotation_of_dms_that_does_not_end_is_told_and_can_still_be_finished(target: Target, dms: Rotation) -> None:
    dms.go(2)
    with pytest.raises(ResourceFailed, match=r"a rotation of the password of DMS's user .*finish that rotation"):
        users.make(kept(target.master), dms.secret(), SCHEMAS, hasty())
    dms.go()
    assert run(dms.login(), "SELECT session_user::text") == [["ferry_dms"]]


def test_a_pending_password_that_is_not_in_force_keeps_nobody_from_setting_the_current_one(
    target: Target, dms: Rotation
) -> None:
    dms.go(1)
    target.administer("ALTER ROLE ferry_dms PASSWORD 'by hand'")
    assert users.make(kept(target.master), dms.secret(), SCHEMAS, patient()).endswith("password set")
    dms.go()
    assert run(dms.login(), "SELECT session_user::text") == [["ferry_dms"]]
