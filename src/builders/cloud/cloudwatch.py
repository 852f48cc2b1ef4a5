"""CloudWatch: metrics, alarms, log groups, and the events of EventBridge.

A metric that a function or a test publishes moves the alarms of this metric, and no other. Sources: CloudWatch user
guide, "Alarm evaluation" and "Configuring how alarms treat missing data"; "Embedded metric format specification".
"""

from __future__ import annotations

import contextlib
import json
import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ministack.core.responses import error_response_json, get_account_id, get_region, json_response

from builders import service_limits
from builders.cloud.internals import cloudwatch, kms, lambda_, logs
from builders.cloud.patches import patch
from builders.policy_documents import allows, principals
from builders.resource_types import Json

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def check_subscription_filter(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse a filter of a log group that is not there, or to a function that the logs may not call (CloudWatch Logs
    API reference, PutSubscriptionFilter)."""
    if properties["LogGroupName"] not in logs.log_groups:
        raise ValueError("The specified log group does not exist. (Service: CloudWatchLogs, Status Code: 400)")
    arn = str(properties["DestinationArn"])
    if ":lambda:" not in arn:
        return
    function, _, _ = lambda_.find_function(arn)
    callers = {("Service", "logs.amazonaws.com"), ("Service", f"logs.{get_region()}.amazonaws.com"), ("AWS", "*")}
    if function is None or not any(
        allows(each, "lambda:InvokeFunction") and callers & set(principals(each))
        for each in function["policy"]["Statement"]
    ):
        raise ValueError(
            "Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute "
            "your function. (Service: CloudWatchLogs, Status Code: 400)"
        )


_MOST_ACTIONS = 5


def check_alarm(properties: Mapping[str, Json], _physical_id: str | None) -> None:
    """Refuse numbers that do not fit each other (CloudWatch API reference, PutMetricAlarm). Raises ValueError."""
    for query in properties.get("Metrics") or ():
        if refusal := service_limits.refused_period(query):
            raise _of_alarm(refusal)
    _check_metric(properties)
    for name in ("AlarmActions", "OKActions", "InsufficientDataActions"):
        actions = properties.get(name) or []
        if len(actions) > _MOST_ACTIONS:
            raise _of_alarm(f"{name} must have at most {_MOST_ACTIONS} members")
        for arn in actions:
            if not str(arn).startswith("arn:"):
                raise _of_alarm(f"Invalid arn syntax: {arn}")


def _check_metric(properties: Mapping[str, Json]) -> None:
    """Refuse an alarm on no metric, on two kinds of one, or without what its kind needs."""
    metrics, name = properties.get("Metrics"), properties.get("MetricName")
    if bool(metrics) == bool(name):
        raise _of_alarm("Exactly one of MetricName and Metrics must be specified")
    if name:
        statistics = [each for each in ("Statistic", "ExtendedStatistic") if properties.get(each)]
        if len(statistics) != 1:
            raise _of_alarm("Exactly one of Statistic and ExtendedStatistic must be specified")
        if properties.get("Period") is None or not properties.get("Namespace"):
            raise _of_alarm("Period and Namespace must be specified with MetricName")
    bands = str(properties["ComparisonOperator"]).endswith(("UpperThreshold", "LowerOrGreaterThanUpperThreshold"))
    banded = bands or str(properties["ComparisonOperator"]) == "LessThanLowerThreshold"
    if banded != bool(properties.get("ThresholdMetricId")):
        raise _of_alarm("ThresholdMetricId must be specified with an operator of a band, and only with one")
    if not banded and properties.get("Threshold") is None:
        raise _of_alarm("Threshold must be specified")
    treatment = properties.get("TreatMissingData")
    if treatment and treatment not in ("breaching", "notBreaching", "ignore", "missing"):
        raise _of_alarm(f"Option {treatment} for TreatMissingData is not supported")
    returned = [each for each in metrics or () if each.get("ReturnData", True) is not False]
    if metrics and not banded and len(returned) != 1:
        raise _of_alarm("Exactly one element of the metrics list should return data.")


def _of_alarm(sentence: str) -> ValueError:
    return ValueError(f"{sentence} (Service: CloudWatch, Status Code: 400, Error Code: ValidationError)")


MOST_EVENTS = 10_000
"""The events that FilterLogEvents gives at once (CloudWatch Logs API reference)."""


def check_log_group(properties: Mapping[str, Json], physical_id: str | None) -> None:
    """Refuse a taken name and a key that does not exist."""
    name, key = properties.get("LogGroupName"), properties.get("KmsKeyId")
    if name and physical_id is None and name in logs.log_groups:
        identifier = json.dumps({"/properties/LogGroupName": name}, separators=(",", ":"))
        raise ValueError(f"Resource of type 'AWS::Logs::LogGroup' with identifier '{identifier}' already exists.")
    if key and kms.find_key(key) is None:
        raise ValueError(
            "The specified KMS key does not exist or is not allowed to be used with LogGroup "
            f"'arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{name}'"
        )


@patch(
    "ministack.services.cloudformation.provisioners._cw_metric_alarm_record",
    why="alarms over metric math and anomaly bands cannot be made; here they keep their state",
)
def _alarm_record(original: Any, name: str, properties: Mapping[str, Json]) -> Json:
    metrics = properties.get("Metrics")
    if not metrics:
        return original(name, properties)
    plain = {"MetricName": "-", "Namespace": "-", "Threshold": 0, **properties, "Metrics": None}
    record = original(name, plain)
    return {**record, "MetricName": None, "Namespace": None, "Statistic": None, "Metrics": metrics}


@patch(
    "ministack.services.cloudwatch_logs._filter_log_events",
    why="what is past a limit cannot be asked for: no nextToken is given, and none is taken",
)
def _filter_log_events(original: Any, data: Mapping[str, Json]) -> Any:
    limit, token = min(int(data.get("limit") or MOST_EVENTS), MOST_EVENTS), str(data.get("nextToken") or "")
    begin = re.fullmatch(r"(\d+)/(\d+)", token)
    if token and not begin:
        return error_response_json("InvalidParameterException", "The specified nextToken is invalid.", 400)
    # A token is the time of the last event, and how many events of that time have been given.
    skipped = int(begin[2]) if begin else 0
    asked = {**data, "limit": min(limit + skipped + 1, MOST_EVENTS), **({"startTime": int(begin[1])} if begin else {})}
    status, headers, body = original(asked)
    if status >= 400:
        return status, headers, body
    answer = json.loads(body)
    found = answer["events"]
    shown = found[skipped : skipped + limit]
    more = len(found) > skipped + limit or len(found) == MOST_EVENTS > skipped
    if more and shown:
        last = shown[-1]["timestamp"]
        given = sum(1 for each in found[: skipped + len(shown)] if each["timestamp"] == last)
        answer["nextToken"] = f"{last}/{given}"
    return json_response({**answer, "events": shown})


@patch(
    "ministack.services.cloudwatch.record_metric",
    why="alarms are evaluated when PutMetricData is called, and not for the metrics that Lambda itself publishes",
)
def _record_metric(original: Any, *arguments: Any, **options: Any) -> None:
    original(*arguments, **options)
    cloudwatch.evaluate_alarms()


@patch(
    "ministack.services.cloudwatch._describe_alarms",
    why="an alarm without new datapoints stays as it is; its periods are counted back from now here",
)
def _describe_alarms(original: Any, *arguments: Any, **options: Any) -> Any:
    cloudwatch.evaluate_alarms()
    return original(*arguments, **options)


@patch(
    "ministack.services.lambda_svc._emit_lambda_logs",
    why="the lines of a function that are metrics in the embedded format stay text",
)
def _emit_logs(original: Any, function: Json, request_id: str, text: str, *more: Any, **options: Any) -> None:
    original(function, request_id, text, *more, **options)
    for namespace, name, value, unit, dimensions in _embedded(text or ""):
        cloudwatch.record_metric(namespace, name, value, unit, dimensions)


def _embedded(text: str) -> Iterator[tuple[str, str, float, str, dict[str, str]]]:
    """Yield (namespace, name, value, unit, dimensions) of each metric in the lines of a log."""
    for line in text.splitlines():
        start = line.find("{")
        if start < 0 or '"_aws"' not in line:
            continue
        with contextlib.suppress(ValueError, KeyError, TypeError):
            document = json.loads(line[start:])
            for directive in document["_aws"]["CloudWatchMetrics"]:
                for names in directive.get("Dimensions") or [[]]:
                    dimensions = {name: str(document[name]) for name in names}
                    for metric in directive["Metrics"]:
                        values = document[metric["Name"]]
                        for value in values if isinstance(values, list) else [values]:
                            unit = metric.get("Unit", "None")
                            yield directive["Namespace"], metric["Name"], float(value), unit, dimensions


@patch(
    "ministack.services.cloudwatch._evaluate_alarm",
    why="an alarm looks at a metric under all dimensions together, takes all periods as one, and knows no missing data",
)
def _evaluate(_original: Any, alarm: dict[str, Json]) -> None:
    if not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in _BREACHES:
        return
    values = list(_periods(alarm))
    state = _state(alarm, values)
    old = alarm["StateValue"]
    if state == old:
        return
    reason = f"Threshold Crossed: {len(values)} datapoints {values} were evaluated against {alarm['Threshold']}."
    alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(time.time())}
    cloudwatch.record_history(alarm["AlarmName"], old, state, reason)
    cloudwatch.dispatch_alarm_actions(alarm, old, state, reason)
    cloudwatch.evaluate_parent_alarms(alarm)


def _periods(alarm: Mapping[str, Json]) -> Iterator[float | None]:
    """Yield the statistic of each period, the newest first; None where there is no datapoint."""
    dimensions = cloudwatch.dimensions(alarm.get("Dimensions") or [])
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch.dimensions_key(dimensions))
    points = list(cloudwatch.metrics.get(key) or ())
    now, period = time.time(), float(alarm.get("Period") or 60)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    for number in range(int(alarm.get("EvaluationPeriods") or 1)):
        end = now - number * period + (1 if number == 0 else 0)  # timestamps of "now" may lie a moment ahead
        inside = [point for point in points if now - (number + 1) * period <= point["Timestamp"] < end]
        yield cloudwatch.statistic(cloudwatch.calculate(inside), statistic, inside) if inside else None


def _state(alarm: Mapping[str, Json], values: list[float | None]) -> str:
    """Return the state after "Configuring how alarms treat missing data", the table for M out of N."""
    breaches, threshold = _BREACHES[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    present = [breaches(value, threshold) for value in values if value is not None]
    needed = int(alarm.get("DatapointsToAlarm") or len(values))
    missing, treatment = len(values) - len(present), alarm.get("TreatMissingData") or "missing"
    if present.count(True) >= needed or (treatment == "breaching" and present.count(True) + missing >= needed):
        return "ALARM"
    if treatment in ("breaching", "notBreaching") or present.count(False):
        return "OK"
    if treatment == "ignore":
        return str(alarm["StateValue"])
    return "ALARM" if present else "INSUFFICIENT_DATA"


@patch(
    "ministack.services.eventbridge._apply_input_transformer",
    why="an input transformer finds nothing at a path with an index, such as $.resources[0]",
)
def _transform(original: Any, transformer: Mapping[str, Json], rule: Json, view: Any) -> Json:
    paths = transformer.get("InputPathsMap", {})
    indexed = {name: path for name, path in paths.items() if "[" in path}
    # The value at such a path is put beside the event's own members, where a plain path finds it.
    plain = {**paths, **{name: f"$.indexed.{name}" for name in indexed}}
    found = {name: _at(view.event_with_detail(), path) for name, path in indexed.items()}
    return original({**transformer, "InputPathsMap": plain}, rule, _With(view, {"indexed": found}))


class _With:
    """An event's view with more members."""

    def __init__(self, view: Any, more: Mapping[str, Json]) -> None:
        self._view, self._more = view, more

    def event_with_detail(self) -> dict[str, Json]:
        """Return the event, with the members."""
        return {**self._view.event_with_detail(), **self._more}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def _at(node: Json, path: str) -> Json:
    for name, number in re.findall(r"([\w-]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            node = node[name] if name else node[int(number)]
        except (KeyError, IndexError, TypeError):
            return ""
    return node
