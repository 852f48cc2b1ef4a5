"""Reasons for which the function stops, what it then has said, and how soon."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from lambdas.rotation import false_servers
from lambdas.rotation.certificates import Authority
from lambdas.rotation.function import Outcome
from lambdas.rotation.postgres import HOST, PostgresServer, available
from lambdas.rotation.rig import Rig, Trial
from lambdas.rotation.servers import on_newest_server, others_in_harness

pytestmark = others_in_harness


@pytest.fixture
def trial(rig: Rig) -> Trial:
    return rig.trial()


def set_against(rig: Rig, port: int, host: str = HOST, seconds: float = 30.0, **extra: Any) -> Outcome:
    """setSecret of a secret that points at this server."""
    fields = {"engine": "postgres", "username": "the-user", "password": "the-password", "host": host, "port": port}
    trial = Trial(rig, "the-user", rig.secrets_manager.create(json.dumps({**fields, **extra})))
    token = trial.begin()
    assert trial.step("createSecret", token).error is None
    return trial.step("setSecret", token, seconds)


@on_newest_server
def test_a_server_without_tls_is_told_nothing(rig: Rig) -> None:
    with false_servers.listening(false_servers.without_tls) as (port, heard):
        assert set_against(rig, port).error == "TlsRefused"
    assert bytes(heard) == bytes.fromhex("0000000804d2162f")


@on_newest_server
@pytest.mark.parametrize("field", [{"ssl": False}, {"ssl": "false"}, {"sslmode": "disable"}])
def test_no_field_of_the_secret_lowers_tls(rig: Rig, field: dict[str, Any]) -> None:
    with false_servers.listening(false_servers.without_tls) as (port, heard):
        assert set_against(rig, port, **field).error == "TlsRefused"
    assert bytes(heard) == bytes.fromhex("0000000804d2162f")


@on_newest_server
def test_a_server_of_an_unknown_authority_gets_no_user_name(rig: Rig, tmp_path: Path) -> None:
    files = Authority.make(tmp_path, "unknown").issue(tmp_path, HOST)
    with false_servers.listening(false_servers.with_certificate(*files)) as (port, heard):
        assert set_against(rig, port).error == "TlsRefused"
    assert heard == b""


@on_newest_server
def test_a_server_with_a_wrong_name_gets_no_user_name(rig: Rig, authority: Authority, tmp_path: Path) -> None:
    files = authority.issue(tmp_path, "elsewhere.test")
    with false_servers.listening(false_servers.with_certificate(*files)) as (port, heard):
        assert set_against(rig, port).error == "TlsRefused"
    assert heard == b""


@on_newest_server
@pytest.mark.parametrize("sqlstate", ["53300", "57P03", "3D000", "28000", "XX000", "08P01", "0A000"])
def test_only_a_wrong_password_moves_on_to_another_version(
    rig: Rig, authority: Authority, tmp_path: Path, sqlstate: str
) -> None:
    behave = false_servers.answering(false_servers.error_message(sqlstate))
    files = authority.issue(tmp_path, HOST)
    with false_servers.listening(false_servers.with_certificate(*files, then=behave)) as (port, heard):
        outcome = set_against(rig, port)
    assert (outcome.error, sqlstate in outcome.message) == ("DatabaseRefused", True)
    assert bytes(heard).count(b"the-user") == 1


def test_a_wrong_password_tries_current_pending_and_previous_and_then_names_the_way_back(trial: Trial) -> None:
    trial.rotate(trial.begin())
    trial.rig.server.set_password(trial.username, "changed elsewhere")
    token = trial.begin()
    trial.step("createSecret", token)
    before = trial.rig.server.log_size()
    outcome = trial.step("setSecret", token)
    assert (outcome.error, "docs/rotation.md" in outcome.message) == ("LockedOut", True)
    assert trial.rig.server.logged(before).count("FATAL:  password authentication failed") == 3
    assert "ALTER ROLE" not in trial.rig.server.logged(before)


@pytest.mark.parametrize(
    ("attributes", "changes", "sqlstate"),
    [("LOGIN CONNECTION LIMIT 0", {}, "53300"), ("NOLOGIN", {}, "28000"), ("LOGIN", {"dbname": "absent"}, "3D000")],
)
def test_what_the_server_refuses_is_named_and_no_alter_is_sent(
    rig: Rig, attributes: str, changes: dict[str, str], sqlstate: str
) -> None:
    trial = rig.trial(attributes=attributes, **changes)
    token = trial.begin()
    trial.step("createSecret", token)
    before = rig.server.log_size()
    outcome = trial.step("setSecret", token)
    assert (outcome.error, sqlstate in outcome.message) == ("DatabaseRefused", True)
    assert "ALTER ROLE" not in rig.server.logged(before)


@on_newest_server
def test_a_standby_is_named_with_what_the_secret_must_name_in_its_place(rig: Rig, authority: Authority) -> None:
    server = PostgresServer(available()[-1], authority)
    try:
        server.create_role("the-user", "the-password")
        server.stand_by()
        outcome = set_against(rig, server.port)
    finally:
        server.stop()
    assert outcome.error == "DatabaseRefused"
    assert outcome.message.endswith("the server is a standby, which takes no writes: the secret must name the writer")


@pytest.mark.parametrize("name", ["asked for nothing", "asked for the clear"])
def test_a_server_that_wants_the_clear_password_or_none_is_refused(rig: Rig, name: str) -> None:
    rig.server.admin.run(f'DROP ROLE IF EXISTS "{name}"')
    trial = rig.trial(username=name)
    token = trial.begin()
    trial.step("createSecret", token)
    assert trial.step("setSecret", token).error == "AuthenticationUnsafe"


def test_a_role_with_an_md5_password_is_moved_to_scram(rig: Rig) -> None:
    rig.server.admin.run('DROP ROLE IF EXISTS "asked for md5"; SET password_encryption = md5')
    trial = rig.trial(username="asked for md5")
    rig.server.admin.run("RESET password_encryption")
    assert [outcome.error for outcome in trial.rotate(trial.begin())] == [None] * 4
    assert rig.server.stored_verifier("asked for md5").startswith("SCRAM-SHA-256$4096:")


def test_an_expired_role_is_reported_with_the_cause(rig: Rig) -> None:
    trial = rig.trial(attributes="LOGIN VALID UNTIL '2001-01-01'")
    token = trial.begin()
    trial.step("createSecret", token)
    outcome = trial.step("setSecret", token)
    assert (outcome.error, "VALID UNTIL" in outcome.message) == ("LockedOut", True)


def test_a_lock_held_by_another_session_is_named_in_time(trial: Trial) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    admin = trial.rig.server.admin
    admin.run("BEGIN")
    trial.rig.server.set_password(trial.username, "first-password")
    outcome = trial.step("setSecret", token)
    admin.run("ROLLBACK")
    assert (outcome.error, "55P03" in outcome.message) == ("DatabaseRefused", True)


def test_a_session_that_holds_the_lock_of_the_rotation_is_to_be_found_and_changes_nothing(trial: Trial) -> None:
    """Any role that may connect can take an advisory lock, and keep it."""
    token = trial.begin()
    trial.step("createSecret", token)
    digest = hashlib.sha256(f"stackferry rotation {trial.username}".encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    admin = trial.rig.server.admin
    admin.run("SELECT pg_advisory_lock(:key)", key=key)
    outcome = trial.step("setSecret", token)
    admin.run("SELECT pg_advisory_unlock(:key)", key=key)
    assert (outcome.error, "pg_locks" in outcome.message) == ("RotationBusy", True)
    assert trial.labels_that_log_in() == ["AWSCURRENT"]
    assert trial.step("setSecret", token).error is None


@on_newest_server
def test_a_refused_name_is_reported_before_the_timeout(rig: Rig) -> None:
    outcome = set_against(rig, 5432, host="no-such-host.invalid", seconds=4)
    assert outcome.error in ("Unreachable", "OutOfTime")
    assert outcome.seconds < 4


@on_newest_server
@pytest.mark.parametrize("behave", [false_servers.silent, false_servers.stalling_after_ssl_request])
def test_a_server_that_falls_silent_before_tls_ends_the_step_in_time(rig: Rig, behave: false_servers.Behaviour) -> None:
    with false_servers.listening(behave) as (port, _):
        outcome = set_against(rig, port, seconds=2.5)
    assert outcome.error in ("Unreachable", "OutOfTime")
    assert outcome.seconds < 2.5


@on_newest_server
@pytest.mark.parametrize("then", [false_servers.record, false_servers.trickling])
def test_a_server_that_falls_silent_after_tls_ends_the_step_in_time(
    rig: Rig, authority: Authority, tmp_path: Path, then: false_servers.Behaviour
) -> None:
    files = authority.issue(tmp_path, HOST)
    with false_servers.listening(false_servers.with_certificate(*files, then=then)) as (port, _):
        outcome = set_against(rig, port, seconds=2.5)
    assert outcome.error in ("Unreachable", "OutOfTime")
    assert outcome.seconds < 2.5


@on_newest_server
@pytest.mark.parametrize("unit", [3, 8, 11, 12, 14])
def test_a_connection_that_falls_silent_anywhere_ends_the_step_in_time(trial: Trial, unit: int) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    invocation = trial.start("setSecret", token, seconds=2.5)
    for _ in range(unit):
        if not (link := trial.rig.wire.next_unit(invocation)):
            break  # a busy machine takes all its time before this unit
        trial.rig.wire.pass_on(link)
    outcome = invocation.outcome()
    trial.rig.wire.cut(invocation)
    assert outcome.error in ("Unreachable", "OutOfTime", "DatabaseRefused")
    assert outcome.seconds < 2.5


@on_newest_server
def test_a_secrets_manager_that_says_nothing_ends_the_step_in_time(trial: Trial) -> None:
    token = trial.begin()
    invocation = trial.start("createSecret", token, seconds=2.5)
    outcome = invocation.outcome()
    trial.rig.wire.cut(invocation)
    assert (outcome.error, outcome.seconds < 2.5) == ("OutOfTime", True)


def test_pending_taken_away_before_the_commit_changes_nothing(trial: Trial) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    before = trial.rig.server.stored_verifier(trial.username)
    invocation = trial.start("setSecret", token)
    wire = trial.rig.wire
    for _ in range(13):  # All but the last look at the labels, the COMMIT and the farewell.
        link = wire.next_unit(invocation)
        assert link is not None
        wire.pass_on(link)
    wire.next_unit(invocation)
    trial.rig.secrets_manager.take_label(trial.arn, "AWSPENDING")
    wire.run(invocation)
    assert invocation.outcome().error == "VersionNotStaged"
    assert trial.rig.server.stored_verifier(trial.username) == before


@on_newest_server
@pytest.mark.parametrize(
    ("status", "error"),
    [
        ("running", "TaskRunning"),
        ("starting", "TaskRunning"),
        ("stopping", "TaskRunning"),
        ("stopped", None),
        ("ready", None),
        ("failed", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("task", ["arn:aws:dms:eu-central-1:123456789012:task:ABC", "dev-task"])
def test_the_password_of_dms_changes_only_while_its_task_is_at_rest(
    trial: Trial, status: str | None, error: str | None, task: str
) -> None:
    token = trial.begin()
    with false_servers.dms_with_task(status) as url:
        settings: dict[str, Any] = {"REPLICATION_TASK": task, "AWS_ENDPOINT_URL_DATABASE_MIGRATION_SERVICE": url}
        assert trial.step("createSecret", token, **settings).error == error
        trial.step("createSecret", token)
        assert trial.step("setSecret", token, **settings).error == error
    assert trial.logs_in("first-password") == (error is not None)


def test_recover_makes_current_log_in_again_after_a_restore_to_two_rotations_back(trial: Trial) -> None:
    for _ in range(2):
        trial.rotate(trial.begin())
    trial.rig.server.set_password(trial.username, "first-password")
    assert trial.labels_that_log_in() == []
    assert trial.by_hand("recover").error is None
    assert trial.labels_that_log_in() == ["AWSCURRENT"]


def with_another_database(trial: Trial, **changes: str) -> None:
    """AWSCURRENT as a deployment writes it after the database has moved: older versions name the place that it had."""
    text = json.dumps({**trial.fields("AWSCURRENT"), "dbname": "template1", **changes})
    trial.rig.secrets_manager.client.put_secret_value(SecretId=trial.arn, SecretString=text)


def test_recover_finds_the_password_in_a_version_from_before_the_database_moved(trial: Trial) -> None:
    for _ in range(2):
        trial.rotate(trial.begin())
    with_another_database(trial)
    trial.rig.server.set_password(trial.username, "first-password")
    assert trial.by_hand("recover").error is None
    assert trial.labels_that_log_in() == ["AWSCURRENT", "AWSPREVIOUS"]


def test_recover_takes_a_pending_password_that_is_in_force_and_can_never_become_current(trial: Trial) -> None:
    token = trial.begin()
    assert [trial.step(step, token).error for step in ("createSecret", "setSecret")] == [None, None]
    with_another_database(trial)
    assert trial.step("finishSecret", token).error == "IdentityChanged"
    assert trial.by_hand("recover").error is None
    assert trial.labels_that_log_in() == ["AWSCURRENT", "AWSPREVIOUS"]


def test_the_previous_password_is_tried_where_the_current_version_names_the_database(trial: Trial) -> None:
    with_another_database(trial, password="of nobody")
    assert [outcome.error for outcome in trial.rotate(trial.begin())] == [None] * 4
    assert trial.labels_that_log_in() == ["AWSCURRENT"]


def test_no_password_of_another_user_is_tried(trial: Trial) -> None:
    with_another_database(trial, password="of nobody", username="somebody")
    assert trial.by_hand("recover").error == "LockedOut"
    token = trial.begin()
    assert [trial.step(step, token).error for step in ("createSecret", "setSecret")] == [None, "IdentityChanged"]


def test_recover_leaves_a_password_alone_that_logs_in(trial: Trial) -> None:
    before = trial.rig.server.stored_verifier(trial.username)
    assert trial.by_hand("recover").error is None
    assert trial.rig.server.stored_verifier(trial.username) == before


def test_recover_says_so_when_no_version_logs_in(trial: Trial) -> None:
    trial.rig.server.set_password(trial.username, "changed elsewhere")
    outcome = trial.by_hand("recover")
    assert (outcome.error, "docs/rotation.md" in outcome.message) == ("LockedOut", True)
