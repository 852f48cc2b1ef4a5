"""The monitoring layer: every alarm on a metric that somebody publishes, and none that stays quiet over a dead task."""

from __future__ import annotations

import ast
import importlib.util
import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from builders import catalog
from builders.evaluate import Evaluated, evaluate

FUNCTIONS = Path(__file__).parents[2] / "lambda"
TASK = "arn:aws:dms:us-east-1:111111111111:task:ferry-task-dev"
TOPIC = "<foundation-NotificationTopicArn-dev>"
GIVEN = {
    "EnvironmentSuffix": "dev",
    "MigrationPhase": "dev",
    "CostCenter": "payments",
    "ArtifactsBucket": "artifacts",
    "ReplicationStatusPackageKey": f"replication_status/{'0' * 32}.zip",
    "SourceSecretArn": "arn:aws:secretsmanager:us-east-1:111111111111:secret:source-AbCdEf",
}

INSTANCE = {"ReplicationInstanceIdentifier": "stackferry-replication-dev"}
OF_TASK = {**INSTANCE, "ReplicationTaskIdentifier": "ferry-task-dev"}
OUR_TASK = {"ReplicationTaskIdentifier": "ferry-task-dev"}
DATABASE = {"DBInstanceIdentifier": "<database-DatabaseInstanceIdentifier-dev>"}
MASTER_SECRET = {"SecretArn": "<secrets-SecretsManagerArn-dev>"}
DMS_SECRET = {"SecretArn": "<secrets-DmsSecretArn-dev>"}

WATCHED = {
    "ReplicationLagAlarm": ("AWS/DMS", "CDCLatencyTarget", OF_TASK, "GreaterThanThreshold", 60),
    "SourceLagAlarm": ("AWS/DMS", "CDCLatencySource", OF_TASK, "GreaterThanThreshold", 60),
    "ReplicationTaskStatusAlarm": ("Stackferry", "ReplicationTaskStatus", OUR_TASK, "LessThanThreshold", 1),
    "SlotRetainedWalAlarm": ("Stackferry", "SlotRetainedWalBytes", OUR_TASK, "GreaterThanThreshold", str(10 * 1024**3)),
    "SlotStatusAlarm": ("Stackferry", "SlotWalStatus", OUR_TASK, "LessThanThreshold", 2),
    "ValidationAlarm": ("Stackferry", "RowsFailedValidation", OUR_TASK, "GreaterThanThreshold", 0),
    "ReplicationCpuAlarm": ("AWS/DMS", "CPUUtilization", INSTANCE, "GreaterThanThreshold", "80"),
    "ReplicationMemoryAlarm": ("AWS/DMS", "AvailableMemory", INSTANCE, "LessThanThreshold", str(512 * 1024**2)),
    "ReplicationStorageAlarm": ("AWS/DMS", "FreeStorageSpace", INSTANCE, "LessThanThreshold", str(5 * 1024**3)),
    "DatabaseCpuAlarm": ("AWS/RDS", "CPUUtilization", DATABASE, "GreaterThanThreshold", "80"),
    "DatabaseStorageAlarm": ("AWS/RDS", "FreeStorageSpace", DATABASE, "LessThanThreshold", str(4 * 1024**3)),
    "DatabaseConnectionsAlarm": ("AWS/RDS", "DatabaseConnections", DATABASE, "GreaterThanThreshold", "60"),
    "DatabaseChangesAlarm": ("Stackferry", "DatabaseChanges-dev", {}, "GreaterThanThreshold", 0),
    "RotationFailedAlarm": ("Stackferry", "RotationFailed", MASTER_SECRET, "GreaterThanThreshold", 0),
    "DmsRotationFailedAlarm": ("Stackferry", "RotationFailed", DMS_SECRET, "GreaterThanThreshold", 0),
    "RotationErrorsAlarm": (
        "AWS/Lambda",
        "Errors",
        {"FunctionName": "rotation-RotationFunctionArn-dev"},
        "GreaterThanThreshold",
        0,
    ),
    "DmsRotationErrorsAlarm": (
        "AWS/Lambda",
        "Errors",
        {"FunctionName": "rotation-DmsRotationFunctionArn-dev"},
        "GreaterThanThreshold",
        0,
    ),
    "ReplicationStatusErrorsAlarm": (
        "AWS/Lambda",
        "Errors",
        {"FunctionName": "${ReplicationStatusFunction}"},
        "GreaterThanThreshold",
        0,
    ),
    "RotationLateAlarm": ("Stackferry", "CurrentVersionAgeDays", MASTER_SECRET, "GreaterThanThreshold", 31),
}
"""Alarm: namespace, metric, dimensions, when it is raised. AWS's own metrics and dimensions are those of the DMS user
guide, "Monitoring AWS DMS tasks", and the RDS user guide, "Amazon CloudWatch metrics for Amazon RDS"."""

EVENTS = {
    "DatabaseChangesAlarm",
    "ValidationAlarm",
    "RotationFailedAlarm",
    "DmsRotationFailedAlarm",
    "RotationErrorsAlarm",
    "DmsRotationErrorsAlarm",
    "ReplicationStatusErrorsAlarm",
}
"""Events that are over at once, so that their end would say nothing."""

LOGGED = "DatabaseChangesAlarm"
"""Counted by filters of the database's log (`database`), which has no dimensions."""

ONLY_WHEN_EXPECTED = (
    *("ReplicationLagAlarm", "SourceLagAlarm", "ReplicationTaskStatusAlarm"),
    *("SlotRetainedWalAlarm", "SlotStatusAlarm"),
)


class Imports(dict[str, str]):
    """The task's ARN and its functions' as they are on AWS, and every other export as a text that names it."""

    def __contains__(self, _name: object) -> bool:
        return True

    def __missing__(self, name: str) -> str:
        if name == "migration-ReplicationTaskArn-dev":
            return TASK
        if "FunctionArn" in name:
            return f"arn:aws:lambda:us-east-1:111111111111:function:{name}"
        return f"<{name}>"


@pytest.fixture
def built(template: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    return template("monitoring")


@pytest.fixture
def with_parameters(built: dict[str, Any]) -> Callable[..., Evaluated]:
    def given(**more: str) -> Evaluated:
        return evaluate(built, GIVEN | more, imports=Imports())

    return given


@pytest.fixture
def resources(with_parameters: Callable[..., Evaluated]) -> dict[str, Any]:
    return with_parameters().resources


@pytest.fixture
def alarms(resources: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: body["Properties"] for name, body in resources.items() if body["Type"] == "AWS::CloudWatch::Alarm"}


def dimensions(listed: list[dict[str, str]]) -> dict[str, str]:
    return {each["Name"]: each["Value"] for each in listed}


def test_nothing_changed(assert_golden: Callable[[str], None]) -> None:
    assert_golden("monitoring")


def test_every_alarm_is_known_here(alarms: dict[str, dict[str, Any]]) -> None:
    assert set(alarms) == set(WATCHED)


@pytest.mark.parametrize("name", WATCHED)
def test_an_alarm_watches_a_metric_that_is_published_under_its_dimensions(
    alarms: dict[str, dict[str, Any]], name: str
) -> None:
    alarm = alarms[name]
    found = (alarm["Namespace"], alarm["MetricName"], dimensions(alarm.get("Dimensions", [])))
    assert (*found, alarm["ComparisonOperator"], alarm["Threshold"]) == WATCHED[name]


def test_every_alarm_tells_the_topic_when_it_is_raised_and_when_nothing_comes(
    alarms: dict[str, dict[str, Any]],
) -> None:
    actions = ("AlarmActions", "InsufficientDataActions")
    silent = [name for name, alarm in alarms.items() if any(alarm.get(action) != [TOPIC] for action in actions)]
    assert silent == []


def test_an_alarm_on_a_state_that_lasts_tells_when_it_is_over(alarms: dict[str, dict[str, Any]]) -> None:
    assert {name for name, alarm in alarms.items() if alarm.get("OKActions") == [TOPIC]} == set(alarms) - EVENTS


def test_every_alarm_says_what_to_do(alarms: dict[str, dict[str, Any]]) -> None:
    assert [name for name, alarm in alarms.items() if ":" not in alarm["AlarmDescription"]] == []


@pytest.mark.parametrize("name", ONLY_WHEN_EXPECTED)
@pytest.mark.parametrize(("given", "enabled"), [({}, "false"), ({"TaskExpected": "true"}, "true")])
def test_a_task_that_is_silent_calls_a_person_once_it_is_expected_to_run(
    with_parameters: Callable[..., Evaluated], name: str, given: dict[str, str], enabled: str
) -> None:
    alarm = with_parameters(**given).resources[name]["Properties"]
    assert alarm["ActionsEnabled"] == enabled
    assert alarm["TreatMissingData"] == "breaching"


def test_every_other_alarm_acts_from_the_start_and_takes_silence_for_no_alarm(
    alarms: dict[str, dict[str, Any]],
) -> None:
    others = {name: alarm for name, alarm in alarms.items() if name not in ONLY_WHEN_EXPECTED}
    assert [name for name, alarm in others.items() if "ActionsEnabled" in alarm] == [LOGGED]
    assert {alarm["TreatMissingData"] for alarm in others.values()} == {"missing", "notBreaching"}


@pytest.mark.parametrize(("given", "enabled"), [({}, "false"), ({"AlarmOnDatabaseChanges": "true"}, "true")])
def test_a_change_of_roles_or_definitions_calls_a_person_once_the_migration_makes_none(
    with_parameters: Callable[..., Evaluated], given: dict[str, str], enabled: str
) -> None:
    assert with_parameters(**given).resources[LOGGED]["Properties"]["ActionsEnabled"] == enabled


def test_the_changes_that_the_alarm_watches_are_counted_by_filters_of_the_exported_log(
    with_parameters: Callable[..., Evaluated],
) -> None:
    database = catalog.load("database").build().to_dict()
    resources = evaluate(database, GIVEN, imports=Imports()).resources
    filters = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::Logs::MetricFilter"]
    watched = with_parameters().resources[LOGGED]["Properties"]
    for each in filters:
        (counted,) = each["MetricTransformations"]
        assert (counted["MetricNamespace"], counted["MetricName"]) == (watched["Namespace"], watched["MetricName"])
        assert each["LogGroupName"] == "${PostgresqlLogs}"


def test_machines_and_the_daily_age_that_fall_silent_are_told_as_too_little_data(
    alarms: dict[str, dict[str, Any]],
) -> None:
    told = {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "missing"}
    machines = {name for name in WATCHED if WATCHED[name][0] in ("AWS/DMS", "AWS/RDS")} - set(ONLY_WHEN_EXPECTED)
    assert told == machines | {"RotationLateAlarm"}


def test_the_age_that_is_reported_daily_is_asked_for_over_a_day(alarms: dict[str, dict[str, Any]]) -> None:
    assert alarms["RotationLateAlarm"]["Period"] == 86_400
    days = re.findall(r"\d+", catalog.load("rotation").build().to_dict()["Resources"]["RotationSchedule"]
                      ["Properties"]["RotationRules"]["ScheduleExpression"])  # fmt: skip
    assert alarms["RotationLateAlarm"]["Threshold"] == int(days[0]) + 1


@pytest.mark.parametrize(
    ("parameter", "alarm"),
    [
        ("CpuAlarmPercent", "DatabaseCpuAlarm"),
        ("CpuAlarmPercent", "ReplicationCpuAlarm"),
        ("DatabaseConnectionsAlarmCount", "DatabaseConnectionsAlarm"),
        ("DatabaseFreeStorageAlarmBytes", "DatabaseStorageAlarm"),
        ("ReplicationFreeMemoryAlarmBytes", "ReplicationMemoryAlarm"),
        ("ReplicationFreeStorageAlarmBytes", "ReplicationStorageAlarm"),
        ("SlotRetainedWalAlarmBytes", "SlotRetainedWalAlarm"),
    ],
)
def test_a_threshold_is_what_an_environment_says(
    with_parameters: Callable[..., Evaluated], parameter: str, alarm: str
) -> None:
    assert with_parameters(**{parameter: "42"}).resources[alarm]["Properties"]["Threshold"] == "42"


def test_what_should_never_happen_is_counted_and_called_at_its_first_time(alarms: dict[str, dict[str, Any]]) -> None:
    for name in EVENTS:
        alarm = alarms[name]
        assert (alarm["EvaluationPeriods"], alarm["TreatMissingData"]) == (1, "notBreaching"), name
        assert alarm["Statistic"] == ("Sum" if alarm["Namespace"] == "AWS/Lambda" or name == LOGGED else "Maximum"), (
            name
        )


def texts_in(folder: str) -> set[str]:
    """The texts in a function's source, among them the names of metrics, dimensions and operations."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (FUNCTIONS / folder).glob("*.py")]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    return {text for text in texts if isinstance(text, str)}


def measured() -> set[str]:
    """The metrics that lambda/replication_status publishes of a task that has begun."""
    path = FUNCTIONS / "replication_status" / "replication.py"
    spec = importlib.util.spec_from_file_location("replication_status_replication", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    task = {"Status": "running", "ReplicationTaskStats": {"FullLoadProgressPercent": 1}}
    return set(module.measure(task)) | set(module.count([{"TableName": "orders"}]))


def test_the_metrics_of_ours_are_published_by_functions_of_ours() -> None:
    of_task = {name for namespace, name, of, *_ in WATCHED.values() if namespace == "Stackferry" and of == OUR_TASK}
    of_secrets = {
        name for namespace, name, of, *_ in WATCHED.values() if namespace == "Stackferry" and "SecretArn" in of
    }
    of_slots = {"SlotRetainedWalBytes", "SlotWalStatus"}  # tests/lambdas/test_replication_slots.py
    assert of_slots <= texts_in("replication_status")
    assert of_task <= measured() | of_slots
    assert "ReplicationTaskIdentifier" in texts_in("replication_status")
    assert of_secrets | {"SecretArn"} <= texts_in("secret_rotation")


def test_a_task_that_fails_or_stops_is_told_to_the_topic_at_once(resources: dict[str, Any]) -> None:
    properties = resources["TaskEnded"]["Properties"]
    assert properties["EventPattern"] == {
        "source": ["aws.dms"],
        "detail-type": ["DMS Replication Task State Change"],
        "resources": [TASK],
        "detail": {"eventId": ["DMS-EVENT-0078", "DMS-EVENT-0079"]},
    }
    (target,) = properties["Targets"]
    assert target["Arn"] == TOPIC
    sentence = json.loads(target["InputTransformer"]["InputTemplate"])
    names = set(re.findall("<([a-z]+)>", sentence))
    assert names == set(target["InputTransformer"]["InputPathsMap"])


@pytest.fixture
def widgets(resources: dict[str, Any]) -> list[dict[str, Any]]:
    parsed: dict[str, Any] = json.loads(resources["Dashboard"]["Properties"]["DashboardBody"])
    assert set(parsed) == {"widgets"}
    found: list[dict[str, Any]] = parsed["widgets"]
    return found


Graphed = tuple[str, str, dict[str, str]]


@pytest.fixture
def graphed(widgets: list[dict[str, Any]]) -> list[Graphed]:
    """Namespace, name and dimensions of every metric on the dashboard; a dot repeats what stands above it."""
    found = []
    for widget in widgets:
        above: list[str] = []
        for row in widget["properties"]["metrics"]:
            above = [old if text == "." else text for text, old in itertools.zip_longest(row, above)]
            namespace, name, *rest = above
            found.append((namespace, name, dict(zip(rest[::2], rest[1::2], strict=True))))
    return found


def test_the_dashboard_has_a_name_that_a_person_finds(resources: dict[str, Any]) -> None:
    assert resources["Dashboard"]["Properties"]["DashboardName"] == "stackferry-us-east-1-dev"


def test_no_widget_of_the_dashboard_covers_another_or_leaves_the_grid(widgets: list[dict[str, Any]]) -> None:
    cells: list[tuple[int, int]] = []
    for widget in widgets:
        assert widget["type"] == "metric"
        columns = range(widget["x"], widget["x"] + widget["width"])
        rows = range(widget["y"], widget["y"] + widget["height"])
        assert columns.stop <= 24
        cells += [(column, row) for column in columns for row in rows]
    assert len(cells) == len(set(cells))


def test_every_graph_has_a_title_a_region_and_a_statistic(widgets: list[dict[str, Any]]) -> None:
    for widget in widgets:
        assert {"title", "region", "stat", "period"} <= set(widget["properties"])
        assert widget["properties"]["region"] == "us-east-1"


def test_the_dashboard_shows_progress_lag_throughput_and_both_machines(graphed: list[Graphed]) -> None:
    wanted = [
        (
            "Stackferry",
            "FullLoadProgressPercent TablesLoaded TablesLoading TablesQueued TablesErrored RowsLoaded RowsChanged"
            " RowsFailedValidation ReplicationTaskStatus SlotRetainedWalBytes",
            OUR_TASK,
        ),
        (
            "AWS/DMS",
            "CDCLatencySource CDCLatencyTarget CDCThroughputRowsSource CDCThroughputRowsTarget"
            " FullLoadThroughputRowsTarget CDCChangesMemoryTarget CDCChangesDiskTarget",
            OF_TASK,
        ),
        ("AWS/DMS", "CPUUtilization AvailableMemory FreeStorageSpace", INSTANCE),
        (
            "AWS/RDS",
            "CPUUtilization DatabaseConnections FreeableMemory FreeStorageSpace ReadLatency WriteLatency"
            " OldestReplicationSlotLag",
            DATABASE,
        ),
    ]
    expected = [(namespace, name, of) for namespace, names, of in wanted for name in names.split()]
    assert sorted(graphed, key=str) == sorted(expected, key=str)


def test_what_the_dashboard_shows_of_ours_is_published(graphed: list[Graphed]) -> None:
    assert {name for namespace, name, _ in graphed if namespace == "Stackferry"} == measured() | {
        "SlotRetainedWalBytes"
    }


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["Sid"]: item for item in policy["Properties"]["PolicyDocument"]["Statement"]}


def test_the_function_may_call_exactly_what_it_calls_and_read_the_tables_of_its_task_alone(
    resources: dict[str, Any],
) -> None:
    found = statements(resources["ReplicationStatusFunctionPolicy"])
    allowed = {action for sid in ("FindTask", "ReadProgress") for action in found[sid]["Action"]}
    operations = {
        re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower(): f"dms:{operation}"
        for operation in Session().get_service_model("dms").operation_names
    }
    called = {operations[text] for text in texts_in("replication_status") if text in operations}
    assert allowed == called
    assert found["ReadProgress"]["Resource"] == [TASK]


def test_the_function_is_told_its_task_and_called_every_minute(resources: dict[str, Any]) -> None:
    function = resources["ReplicationStatusFunction"]["Properties"]
    assert function["Environment"]["Variables"] == {"REPLICATION_TASK_ARN": TASK}
    rule = resources["ReplicationStatusSchedule"]["Properties"]
    assert rule["ScheduleExpression"] == "rate(1 minute)"
    assert [target["Arn"] for target in rule["Targets"]] == ["${ReplicationStatusFunction.Arn}"]
    permission = resources["ReplicationStatusPermission"]["Properties"]
    assert permission["FunctionName"] == "${ReplicationStatusFunction}"
    assert permission["SourceArn"] == "${ReplicationStatusSchedule.Arn}"


def test_a_dms_that_does_not_answer_raises_one_alarm_and_sends_no_message_a_minute(resources: dict[str, Any]) -> None:
    failed = resources["ReplicationStatusFunctionFailedEvents"]["Properties"]
    assert (failed["MaximumRetryAttempts"], failed.get("DestinationConfig")) == (0, None)
    assert "ReportFailedEvents" not in statements(resources["ReplicationStatusFunctionPolicy"])
    alarm = resources["ReplicationStatusErrorsAlarm"]["Properties"]
    assert (alarm["AlarmActions"], alarm["Dimensions"][0]["Value"]) == ([TOPIC], "${ReplicationStatusFunction}")


def test_the_function_stands_where_dms_reaches_the_source(resources: dict[str, Any]) -> None:
    vpc = resources["ReplicationStatusFunction"]["Properties"]["VpcConfig"]
    assert vpc["SecurityGroupIds"] == ["<network-DmsSecurityGroupId-dev>"]


@pytest.mark.parametrize("key", ["", "arn:aws:kms:us-east-1:111111111111:key/0123abcd-0123-0123-0123-0123456789ab"])
def test_the_function_reads_the_secret_of_the_source_and_its_key(
    with_parameters: Callable[..., Evaluated], key: str
) -> None:
    found = statements(with_parameters(SourceSecretKeyArn=key).resources["ReplicationStatusFunctionPolicy"])
    assert found["ReadSecrets"]["Resource"] == [GIVEN["SourceSecretArn"]]
    assert found["DecryptSecrets"]["Resource"] == ["<foundation-KmsKeyArn-dev>", *([key] if key else [])]


def test_the_way_back_is_asked_about_where_there_is_one(with_parameters: Callable[..., Evaluated]) -> None:
    back = "<fallback-FallbackTaskArn-dev>"
    resources = with_parameters(CreateFallback="true", FallbackSecretArn=GIVEN["SourceSecretArn"]).resources
    function = resources["ReplicationStatusFunction"]["Properties"]
    assert function["Environment"]["Variables"] == {"REPLICATION_TASK_ARN": TASK, "FALLBACK_TASK_ARN": back}
    found = statements(resources["ReplicationStatusFunctionPolicy"])
    assert found["ReadProgress"]["Resource"] == [TASK, back]
    assert found["ReadSecrets"]["Resource"] == [GIVEN["SourceSecretArn"], "<fallback-FallbackUserSecretArn-dev>"]
    assert resources["TaskEnded"]["Properties"]["EventPattern"]["resources"] == [TASK, back]


def test_the_output_is_the_alarm_on_the_lag_of_the_whole_way(with_parameters: Callable[..., Evaluated]) -> None:
    assert with_parameters().outputs == {"ReplicationLagAlarmArn": "${ReplicationLagAlarm.Arn}"}
