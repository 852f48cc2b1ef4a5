"""Metrics for the alarms, and the life of the shipped authorities."""

from __future__ import annotations

import datetime
import json
import warnings

import pytest
from cryptography import x509

from lambdas.rotation.function import SHARED, Outcome
from lambdas.rotation.rig import Rig, Trial
from lambdas.rotation.servers import on_newest_server

NOTICE_DAYS = 365


@pytest.fixture
def trial(rig: Rig) -> Trial:
    return rig.trial()


def metrics_of(outcome: Outcome) -> list[dict[str, object]]:
    """The metrics that CloudWatch would find in the output: those of each line, with their dimension."""
    found: list[dict[str, object]] = []
    for line in outcome.output.splitlines():
        if line.startswith('{"_aws"'):
            fields = json.loads(line)
            (definition,) = fields.pop("_aws")["CloudWatchMetrics"]
            assert (definition["Namespace"], definition["Dimensions"]) == ("Stackferry", [["SecretArn"]])
            assert [metric["Name"] for metric in definition["Metrics"]] == [
                name for name in fields if name != "SecretArn"
            ]
            found.append(fields)
    return found


@on_newest_server
def test_a_finished_rotation_reports_that_it_did_not_fail(trial: Trial) -> None:
    outcomes = trial.rotate(trial.begin())
    assert [metrics_of(outcome) for outcome in outcomes] == [
        [],
        [],
        [],
        [{"SecretArn": trial.arn, "RotationFailed": 0}],
    ]


@on_newest_server
def test_a_step_that_failed_is_reported(trial: Trial) -> None:
    outcome = trial.step("setSecret", trial.begin())
    assert metrics_of(outcome) == [{"SecretArn": trial.arn, "RotationFailed": 1}]


@on_newest_server
def test_the_age_of_the_current_version_is_reported_without_a_rotation(trial: Trial) -> None:
    (metric,) = metrics_of(trial.by_hand("reportAge"))
    assert metric["SecretArn"] == trial.arn
    assert metric["CurrentVersionAgeDays"] == pytest.approx(0, abs=0.01)


@pytest.mark.filterwarnings("default::UserWarning")
def test_the_shipped_authorities_are_roots_and_one_that_expires_soon_is_only_a_warning() -> None:
    roots = x509.load_pem_x509_certificates((SHARED / "transport" / "rds-ca.pem").read_bytes())
    assert [root.subject for root in roots if root.subject != root.issuer] == []
    assert any("eu-central-1 Root CA RSA2048 G1" in root.subject.rfc4514_string() for root in roots)
    limit = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=NOTICE_DAYS)
    for root in roots:
        if root.not_valid_after_utc < limit:
            warnings.warn(f"{root.subject.rfc4514_string()} ends on {root.not_valid_after_utc:%F}", stacklevel=1)
