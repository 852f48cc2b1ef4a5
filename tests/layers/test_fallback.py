"""The fallback layer: nothing by default, and else the migration turned round, from a slot and by users of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from builders import naming
from builders.evaluate import Evaluated, evaluate
from builders.layers._migration.task import SETTINGS

from .migration_layer import GIVEN, KEY, Imports, evaluated

BACK = "arn:aws:secretsmanager:us-east-1:111111111111:secret:fallback-AbCdEf"
WANTED = {"CreateFallback": "true", "FallbackSecretArn": BACK}

Deployed = Callable[..., Evaluated]


@pytest.fixture
def deployed(template: Callable[[str], dict[str, Any]]) -> Deployed:
    """The layer with the parameters of a test, and others by keyword."""
    built = template("fallback")
    given = {name: value for name, value in GIVEN.items() if name in built["Parameters"]}
    return lambda **more: evaluate(built, given | more, imports=Imports())


@pytest.fixture
def properties(deployed: Deployed) -> Callable[..., dict[str, Any]]:
    """The properties of a resource of the way back."""

    def of(logical_id: str, **more: str) -> dict[str, Any]:
        found: dict[str, Any] = deployed(**(WANTED | more)).resources[logical_id]["Properties"]
        return found

    return of


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("fallback")


@pytest.mark.parametrize(
    "given", [{}, {"CreateFallback": "false", "FallbackSecretArn": BACK, "FallbackSecretKeyArn": KEY}]
)
def test_a_phase_that_does_not_ask_for_it_has_a_handle_that_does_nothing_and_no_output(
    deployed: Deployed, given: dict[str, str]
) -> None:
    """A stack has at least one resource."""
    made = deployed(**given)
    assert {name: each["Type"] for name, each in made.resources.items()} == {
        "Placeholder": "AWS::CloudFormation::WaitConditionHandle"
    }
    assert made.outputs == {}


def test_a_way_back_without_a_user_on_premises_is_refused_with_the_parameter_that_is_missing(
    template: Callable[[str], dict[str, Any]],
) -> None:
    rule = template("fallback")["Rules"]["FallbackHasASecret"]
    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "CreateFallback"}, "true"]}
    (assertion,) = rule["Assertions"]
    assert assertion["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "FallbackSecretArn"}, ""]}]}
    assert "FallbackSecretArn" in assertion["AssertDescription"]


def test_the_ends_are_those_of_the_migration_turned_round(
    template: Callable[[str], dict[str, Any]], properties: Callable[..., Any]
) -> None:
    forth = evaluated(template("migration")).resources
    source, target = properties("SourceEndpoint"), properties("TargetEndpoint")
    for back, other in ((source, "TargetEndpoint"), (target, "SourceEndpoint")):
        there = forth[other]["Properties"]
        for name in ("DatabaseName", "EngineName", "KmsKeyId", "SslMode"):
            assert back[name] == there[name], name
    assert source["CertificateArn"] == "<migration-TargetCertificateArn-dev>"
    assert target["CertificateArn"] == "${SourceCertificate}"
    assert (source["EndpointType"], target["EndpointType"]) == ("source", "target")
    for back, other in ((source, "SourceEndpoint"), (target, "TargetEndpoint")):
        assert back["ExtraConnectionAttributes"] == forth[other]["Properties"]["ExtraConnectionAttributes"]


def test_what_is_read_is_read_from_the_slot_of_the_cut_over_with_a_heartbeat(properties: Callable[..., Any]) -> None:
    assert properties("SourceEndpoint")["PostgreSqlSettings"] == {
        "SecretsManagerSecretId": "${SecretAttachment}",
        "SecretsManagerAccessRoleArn": "${SourceSecretRole.Arn}",
        "PluginName": "test-decoding",
        "SlotName": "stackferry_fallback",
        "MapBooleanAsBoolean": True,
        "FailTasksOnLobTruncation": True,
        "HeartbeatEnable": True,
        "HeartbeatSchema": naming.MARKER_SCHEMA,
        "CaptureDdls": False,
    }


def test_the_target_is_logged_in_to_by_the_secret_that_is_brought_and_no_script_runs_there(
    properties: Callable[..., Any],
) -> None:
    assert properties("TargetEndpoint")["PostgreSqlSettings"] == {
        "SecretsManagerSecretId": BACK,
        "SecretsManagerAccessRoleArn": "${TargetSecretRole.Arn}",
        "MapBooleanAsBoolean": True,
    }


@pytest.mark.parametrize(("mode", "certificate"), [("verify-full", "${SourceCertificate}"), ("require", None)])
def test_the_source_is_verified_on_the_way_back_as_on_the_way_forth(
    properties: Callable[..., Any], mode: str, certificate: str | None
) -> None:
    target = properties("TargetEndpoint", SourceSslMode=mode)
    assert (target["SslMode"], target.get("CertificateArn")) == (mode, certificate)


def test_the_user_in_rds_has_a_generated_password_and_the_address_of_the_instance(
    properties: Callable[..., Any],
) -> None:
    generated = properties("Secret")["GenerateSecretString"]
    assert json.loads(generated["SecretStringTemplate"]) == {"username": "ferry_fallback"}
    assert generated["PasswordLength"] == 32
    assert properties("SecretAttachment") == {
        "SecretId": "${Secret}",
        "TargetId": "<database-DatabaseInstanceIdentifier-dev>",
        "TargetType": "AWS::RDS::DBInstance",
    }


@pytest.mark.parametrize(("key", "policies"), [("", 1), (KEY, 2)])
def test_a_key_of_the_brought_secret_is_used_where_it_has_one(
    properties: Callable[..., Any], deployed: Deployed, key: str, policies: int
) -> None:
    assert len(properties("TargetSecretRole", FallbackSecretKeyArn=key)["ManagedPolicyArns"]) == policies
    assert ("TargetSecretKeyPolicy" in deployed(**WANTED, FallbackSecretKeyArn=key).resources) is bool(key)


@pytest.mark.parametrize(("side", "secret"), [("Source", "${SecretAttachment}"), ("Target", BACK)])
def test_dms_reads_each_secret_by_a_role_for_it_alone(properties: Callable[..., Any], side: str, secret: str) -> None:
    (statement,) = properties(f"{side}SecretPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == (["secretsmanager:GetSecretValue"], [secret])


def test_the_task_follows_and_loads_nothing_from_a_position_that_the_start_gives(
    properties: Callable[..., Any],
) -> None:
    task = properties("ReplicationTask")
    assert task["MigrationType"] == "cdc"
    assert "CdcStartPosition" not in task
    assert task["ReplicationTaskIdentifier"] == "stackferry-fallback-dev"
    assert task["ResourceIdentifier"] == "ferry-fallback-dev"
    assert task["ReplicationInstanceArn"] == "<migration-DmsReplicationInstanceArn-dev>"
    assert (task["SourceEndpointArn"], task["TargetEndpointArn"]) == ("${SourceEndpoint}", "${TargetEndpoint}")


def test_the_way_back_carries_the_same_tables_and_stops_at_the_same_errors(
    template: Callable[[str], dict[str, Any]], properties: Callable[..., Any]
) -> None:
    rule = '{"rule-type":"selection","rule-id":"10"}'
    more = {"SchemaName2": "card_payments", "TableRules": rule}
    forth = evaluated(template("migration"), **more).resources["ReplicationTask"]["Properties"]
    back = properties("ReplicationTask", **more)
    assert back["TableMappings"] == forth["TableMappings"]
    settings = json.loads(back["ReplicationTaskSettings"])
    for section in ("TargetMetadata", "ControlTablesSettings", "ErrorBehavior", "ChangeProcessingDdlHandlingPolicy"):
        assert settings[section] == SETTINGS[section], section


def test_the_way_back_never_touches_the_tables_before_a_load_and_compares_nothing_itself(
    properties: Callable[..., Any],
) -> None:
    settings = json.loads(properties("ReplicationTask")["ReplicationTaskSettings"])
    assert settings["FullLoadSettings"] == {"TargetTablePrepMode": "DO_NOTHING"}
    assert settings["ValidationSettings"] == {"EnableValidation": False}


def test_the_outputs_name_the_task_its_ends_and_the_secret(deployed: Deployed) -> None:
    assert deployed(**WANTED).outputs == {
        "FallbackTaskArn": "${ReplicationTask}",
        "FallbackSourceEndpointArn": "${SourceEndpoint}",
        "FallbackTargetEndpointArn": "${TargetEndpoint}",
        "FallbackUserSecretArn": "${Secret}",
    }


ALARMS = {
    "ReplicationLagAlarm": ("AWS/DMS", "CDCLatencyTarget"),
    "SourceLagAlarm": ("AWS/DMS", "CDCLatencySource"),
    "ReplicationTaskStatusAlarm": ("Stackferry", "ReplicationTaskStatus"),
    "SlotRetainedWalAlarm": ("Stackferry", "SlotRetainedWalBytes"),
    "SlotStatusAlarm": ("Stackferry", "SlotWalStatus"),
}


@pytest.mark.parametrize(("given", "enabled"), [({}, "false"), ({"FallbackExpected": "true"}, "true")])
def test_the_way_back_is_watched_as_the_way_forth_once_it_is_expected(
    template: Callable[[str], dict[str, Any]], deployed: Deployed, given: dict[str, str], enabled: str
) -> None:
    made = deployed(**WANTED, **given).resources
    alarms = {name: each["Properties"] for name, each in made.items() if each["Type"] == "AWS::CloudWatch::Alarm"}
    assert {name: (each["Namespace"], each["MetricName"]) for name, each in alarms.items()} == ALARMS
    forth = template("monitoring")["Resources"]
    for name, alarm in alarms.items():
        assert alarm["ActionsEnabled"] == enabled
        dimensions = {each["Name"] for each in alarm["Dimensions"]}
        assert dimensions == {each["Name"] for each in forth[name]["Properties"]["Dimensions"]}
        for same in ("Statistic", "ComparisonOperator", "Period", "EvaluationPeriods", "TreatMissingData"):
            assert alarm[same] == forth[name]["Properties"][same], (name, same)
