"""Metrics and alarms: what a function or a test publishes moves the alarms that look at it, and no other.

Sources: CloudWatch user guide, "Alarm evaluation" and "Configuring how alarms treat missing data"; "Embedded metric
format specification".

What a rule of EventBridge hands to its targets.
"""

from __future__ import annotations

import contextlib
import json
import operator
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ministack.services import cloudwatch, eventbridge, lambda_svc

from builders.resource_types import Json

_BREACHES: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def alarms_of_their_own_metric() -> None:
    """ministack's alarms look at a metric under all dimensions together, take all periods as one, and do not know
    missing data; they are evaluated when PutMetricData is called, and not for what Lambda itself publishes.

    Here they are evaluated then, too, and whenever alarms are described; periods are counted back from now.
    """
    record_before, describe_before = cloudwatch.record_metric, cloudwatch._describe_alarms

    def record(*arguments: Any, **options: Any) -> None:
        record_before(*arguments, **options)
        cloudwatch._evaluate_all_alarms()

    def describe(*arguments: Any, **options: Any) -> Any:
        cloudwatch._evaluate_all_alarms()
        return describe_before(*arguments, **options)

    cloudwatch._evaluate_alarm = _evaluate
    cloudwatch.record_metric, cloudwatch._describe_alarms = record, describe


def metrics_embedded_in_logs() -> None:
    """ministack keeps the lines of a function that are metrics in the embedded format as text and no more."""
    before = lambda_svc._emit_lambda_logs

    def emit(function: Json, request_id: str, text: str, *more: Any, **options: Any) -> None:
        before(function, request_id, text, *more, **options)
        for namespace, name, value, unit, dimensions in _embedded(text or ""):
            cloudwatch.record_metric(namespace, name, value, unit, dimensions)

    lambda_svc._emit_lambda_logs = emit


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


def _evaluate(alarm: dict[str, Json]) -> None:
    """Move an alarm of one metric to the state that its last periods say."""
    if not alarm.get("MetricName") or alarm.get("ComparisonOperator") not in _BREACHES:
        return
    values = list(_periods(alarm))
    state = _state(alarm, values)
    old = alarm["StateValue"]
    if state == old:
        return
    reason = f"Threshold Crossed: {len(values)} datapoints {values} were evaluated against {alarm['Threshold']}."
    alarm |= {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": int(time.time())}
    cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _periods(alarm: Mapping[str, Json]) -> Iterator[float | None]:
    """Yield the statistic of each period, the newest first; None where there is no datapoint."""
    dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    points = list(cloudwatch._metrics.get(key) or ())
    now, period = time.time(), float(alarm.get("Period") or 60)
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic") or "Average"
    for number in range(int(alarm.get("EvaluationPeriods") or 1)):
        end = now - number * period + (1 if number == 0 else 0)  # timestamps of "now" may lie a moment ahead
        inside = [point for point in points if now - (number + 1) * period <= point["Timestamp"] < end]
        yield cloudwatch._stat_value(cloudwatch._calc_stats(inside), statistic, inside) if inside else None


def _state(alarm: Mapping[str, Json], values: list[float | None]) -> str:
    """Return the state after "Configuring how alarms treat missing data", the table for M out of N."""
    breaches, threshold = _BREACHES[alarm["ComparisonOperator"]], float(alarm["Threshold"])
    present = [breaches(value, threshold) for value in values if value is not None]
    wanted = int(alarm.get("DatapointsToAlarm") or len(values))
    missing, treatment = len(values) - len(present), alarm.get("TreatMissingData") or "missing"
    if present.count(True) >= wanted or (treatment == "breaching" and present.count(True) + missing >= wanted):
        return "ALARM"
    if treatment in ("breaching", "notBreaching") or present.count(False):
        return "OK"
    if treatment == "ignore":
        return str(alarm["StateValue"])
    return "ALARM" if present else "INSUFFICIENT_DATA"


def paths_into_lists() -> None:
    """ministack's input transformers find nothing at a path with an index, such as `$.resources[0]`."""
    before = eventbridge._apply_input_transformer

    def apply(transformer: Mapping[str, Json], rule: Json, view: Any) -> Json:
        paths = transformer.get("InputPathsMap", {})
        indexed = {name: path for name, path in paths.items() if "[" in path}
        # What such a path finds is put beside the event's own members, where a plain path finds it.
        plain = {**paths, **{name: f"$.indexed.{name}" for name in indexed}}
        found = {name: _at(view.event_with_detail(), path) for name, path in indexed.items()}
        return before({**transformer, "InputPathsMap": plain}, rule, _With(view, {"indexed": found}))

    eventbridge._apply_input_transformer = apply


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
