"""Work and refusals of each step, on a real PostgreSQL and a real Secrets Manager API."""

from __future__ import annotations

import json

import pytest

from lambdas.rotation.rig import STEPS, Rig, Trial
from lambdas.rotation.servers import others_in_harness

pytestmark = others_in_harness


@pytest.fixture
def trial(rig: Rig) -> Trial:
    return rig.trial()


def test_a_rotation_moves_current_to_a_new_password_that_logs_in(trial: Trial) -> None:
    token = trial.begin()
    assert [outcome.error for outcome in trial.rotate(token)] == [None] * 4
    assert trial.rig.secrets_manager.labels(trial.arn)["AWSCURRENT"] == token
    assert trial.labels_that_log_in() == ["AWSCURRENT"]
    assert trial.password("AWSPREVIOUS") == "first-password"


def test_a_clean_rotation_causes_no_failed_login(trial: Trial) -> None:
    before = trial.rig.server.log_size()
    trial.rotate(trial.begin())
    assert "password authentication failed" not in trial.rig.server.logged(before)


def test_every_step_may_be_repeated(trial: Trial) -> None:
    token = trial.begin()
    for step in STEPS:
        assert [trial.step(step, token).error for _ in range(2)] == [None, None]
    assert [trial.step(step, token).error for step in STEPS] == [None] * 4
    assert trial.labels_that_log_in() == ["AWSCURRENT"]


def test_a_stored_pending_value_is_never_overwritten(trial: Trial) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    value = trial.rig.secrets_manager.value(trial.arn, token)
    trial.step("createSecret", token)
    assert trial.rig.secrets_manager.value(trial.arn, token) == value


def test_no_pending_label_stays_behind_a_finished_rotation(trial: Trial) -> None:
    trial.rotate(trial.begin())
    assert "AWSPENDING" not in trial.rig.secrets_manager.labels(trial.arn)


def test_everything_but_the_password_keeps_every_byte(rig: Rig) -> None:
    trial = rig.trial(note='with "quotes"', number=1.10, deep={"a": [1, 2.50, None]})
    before = trial.fields("AWSCURRENT")
    trial.rotate(trial.begin())
    assert {**trial.fields("AWSCURRENT"), "password": None} == {**before, "password": None}


def test_a_port_given_as_text_works(rig: Rig) -> None:
    trial = rig.trial(port=str(rig.wire.postgres_port))
    assert trial.rotate(trial.begin())[-1].error is None


@pytest.mark.parametrize(
    "username",
    [
        "qu\"o'te",
        "per%cent%s",
        "sp ace",
        "UPPER",
        "x" * 63,
        "ÄÖü-ß-名前",
        "א mixed with latin",
        "private \ue000 use",
        "back\\slash",
    ],
)
def test_any_legal_role_name_works(rig: Rig, username: str) -> None:
    unique = username if len(username) == 63 else f"{username} {rig.server.major}"
    trial = rig.trial(username=unique)
    assert [outcome.error for outcome in trial.rotate(trial.begin())] == [None] * 4


@pytest.mark.parametrize(
    "password", ["Pässwörd", "ﬁ ligature", "nobreak\u00a0space", "\u0007 bell", "emoji 🔑", "א1 ב"]
)
def test_a_current_password_that_people_chose_logs_in(rig: Rig, password: str) -> None:
    trial = rig.trial(password=password)
    assert [outcome.error for outcome in trial.rotate(trial.begin())] == [None] * 4


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("role", "pg_monitor"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "1"),
        ("lock_timeout", "1"),
        ("idle_in_transaction_session_timeout", "1"),
        ("search_path", "nowhere"),
        ("client_encoding", "latin1"),
    ],
)
def test_what_the_role_sets_for_its_sessions_is_survived(rig: Rig, setting: str, value: str) -> None:
    trial = rig.trial(attributes="LOGIN IN ROLE pg_monitor")
    rig.server.admin.run(f'ALTER ROLE "{trial.username}" SET {setting} = "{value}"')
    assert [outcome.error for outcome in trial.rotate(trial.begin())] == [None] * 4


def test_an_empty_pending_version_is_tested_with_the_current_password(trial: Trial) -> None:
    assert trial.step("testSecret", trial.begin()).error is None


def test_a_pending_version_left_empty_by_a_failure_is_taken_up_again(trial: Trial) -> None:
    token = trial.begin()
    assert trial.step("setSecret", token).error == "ValueMissing"
    assert [outcome.error for outcome in trial.rotate(token)] == [None] * 4


def test_a_pending_label_left_on_an_older_version_does_not_stop_the_rotation(trial: Trial) -> None:
    trial.rotate(token := trial.begin())
    client = trial.rig.secrets_manager.client
    client.update_secret_version_stage(SecretId=trial.arn, VersionStage="AWSPENDING", MoveToVersionId=token)
    fields = {**trial.fields("AWSCURRENT"), "password": "set by a person"}
    trial.rig.server.set_password(trial.username, "set by a person")
    client.put_secret_value(
        SecretId=trial.arn,
        SecretString=json.dumps(fields),
        VersionStages=["AWSCURRENT"],
        ClientRequestToken="22222222-2222-2222-2222-222222222222",
    )
    assert [outcome.error for outcome in trial.rotate(token)] == [None] * 4
    assert trial.rotate(trial.begin())[-1].error is None
    assert trial.labels_that_log_in() == ["AWSCURRENT"]


def test_finish_refuses_a_password_that_does_not_log_in(trial: Trial) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    assert trial.step("finishSecret", token).error == "WrongPassword"
    assert trial.labels_that_log_in() == ["AWSCURRENT"]


def test_an_unknown_step_is_refused(trial: Trial) -> None:
    assert trial.step("dropSecret", trial.begin()).error == "EventError"


def test_an_event_without_a_token_is_refused(trial: Trial) -> None:
    assert trial.by_hand("createSecret").error == "EventError"


@pytest.mark.parametrize("step", STEPS)
def test_a_token_that_is_not_staged_is_refused(trial: Trial, step: str) -> None:
    trial.begin()
    assert trial.step(step, "11111111-1111-1111-1111-111111111111").error == "VersionNotStaged"


@pytest.mark.parametrize("step", STEPS)
def test_a_secret_whose_rotation_is_disabled_is_refused(trial: Trial, step: str) -> None:
    assert trial.step(step, trial.rig.secrets_manager.labels(trial.arn)["AWSCURRENT"]).error == "RotationDisabled"


@pytest.mark.parametrize(
    ("field", "value"), [("username", "other"), ("host", "127.0.0.1"), ("port", 1), ("dbname", "template1")]
)
def test_a_pending_version_for_another_login_is_refused_and_nothing_is_altered(
    trial: Trial, field: str, value: object
) -> None:
    token = trial.begin()
    text = json.dumps({**trial.fields("AWSCURRENT"), "password": "planted", field: value})
    trial.rig.secrets_manager.client.put_secret_value(
        SecretId=trial.arn, SecretString=text, VersionStages=["AWSPENDING"], ClientRequestToken=token
    )
    before = trial.rig.server.log_size()
    assert [trial.step(step, token).error for step in STEPS[1:]] == ["IdentityChanged"] * 3
    assert "ALTER ROLE" not in trial.rig.server.logged(before)


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        '["a list"]',
        "{}",
        '{"username": "u", "password": "p"}',
        '{"username": "u", "host": "h"}',
        '{"password": "p", "host": "h"}',
        '{"username": "nul\\u0000", "password": "p", "host": "h"}',
        '{"username": "half \\ud800", "password": "p", "host": "h"}',
        '{"username": "u", "password": "p", "host": "h", "port": "many"}',
        '{"username": "u", "password": "p", "host": "h", "engine": "mysql"}',
    ],
)
def test_a_secret_that_cannot_log_in_is_refused_before_anything_is_written(rig: Rig, text: str) -> None:
    arn = rig.secrets_manager.create(text)
    trial = Trial(rig, "nobody", arn)
    token = trial.begin()
    assert trial.step("createSecret", token).error == "SecretInvalid"
    assert rig.secrets_manager.value(arn, token) is None
