"""Where the clear password must not be found: the server's log, the function's output, errors and tracebacks."""

from __future__ import annotations

import json

import pytest

from lambdas.rotation.rig import STEPS, Rig, Trial
from lambdas.rotation.servers import others_in_harness

pytestmark = others_in_harness


@pytest.fixture
def trial(rig: Rig) -> Trial:
    return rig.trial(password="Current-Passw0rd-In-Clear", note="a-note-of-the-secret")


def test_no_password_reaches_the_servers_log_although_it_logs_all_statements(trial: Trial) -> None:
    before = trial.rig.server.log_size()
    trial.rotate(trial.begin())
    logged = trial.rig.server.logged(before)
    assert "ALTER ROLE SESSION_USER PASSWORD 'SCRAM-SHA-256$4096:" in logged
    assert [label for label in ("AWSCURRENT", "AWSPREVIOUS") if trial.password(label) in logged] == []  # type: ignore[operator]


def test_no_secret_reaches_the_output_even_at_log_level_debug(trial: Trial) -> None:
    token = trial.begin()
    output = "".join(trial.step(step, token, LOG_LEVEL="DEBUG").output for step in STEPS)
    assert "finishSecret" in output
    hidden = [trial.password("AWSCURRENT"), trial.password("AWSPREVIOUS"), "a-note-of-the-secret"]
    assert [text for text in hidden if text in output] == []  # type: ignore[operator]


def test_a_failure_at_any_unit_shows_no_secret(trial: Trial) -> None:
    token = trial.begin()
    trial.step("createSecret", token)
    hidden = [trial.password("AWSCURRENT"), trial.password("AWSPENDING"), "a-note-of-the-secret"]
    shown = []
    for step in ("setSecret", "testSecret"):
        for unit in range(1, 12):
            invocation = trial.start(step, token, seconds=20, LOG_LEVEL="DEBUG")
            wire = trial.rig.wire
            for _ in range(unit):
                link = wire.next_unit(invocation)
                assert link is not None
                wire.pass_on(link)
            wire.hang_up(invocation)
            wire.run(invocation)
            outcome = invocation.outcome()
            assert outcome.error in ("Unreachable", "AwsCallFailed", None), outcome
            shown += [text for text in hidden if text in outcome.output + outcome.message]  # type: ignore[operator]
    assert shown == []


@pytest.mark.parametrize("text", ['{"password": "Half-A-Secret", "username": ', '["Half-A-Secret"]', '"Half-A-Secret"'])
def test_a_secret_that_is_not_json_is_not_quoted(rig: Rig, text: str) -> None:
    trial = Trial(rig, "nobody", rig.secrets_manager.create(text))
    outcome = trial.step("createSecret", trial.begin(), LOG_LEVEL="DEBUG")
    assert outcome.error == "SecretInvalid"
    assert "Half-A-Secret" not in outcome.output + outcome.message


def test_an_identity_that_changed_is_named_by_its_field_alone(trial: Trial) -> None:
    token = trial.begin()
    text = json.dumps({**trial.fields("AWSCURRENT"), "password": "Planted-In-Clear", "host": "elsewhere.test"})
    trial.rig.secrets_manager.client.put_secret_value(
        SecretId=trial.arn, SecretString=text, VersionStages=["AWSPENDING"], ClientRequestToken=token
    )
    outcome = trial.step("setSecret", token, LOG_LEVEL="DEBUG")
    assert "the versions of the secret disagree on host; " in outcome.message
    assert "elsewhere.test" not in outcome.output + outcome.message
    assert "In-Clear" not in outcome.output.replace("Planted-In-Clear-", "")
