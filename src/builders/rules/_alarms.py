"""The metrics that alarms and dashboards measure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from builders.rules._metric_catalog import Facts, facts_of
from builders.rules._metric_math import direction
from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value


@dataclass(frozen=True)
class Metric:
    """One metric that an alarm reads. `alone` says that the alarm compares it directly, without metric math;
    `measured` holds its statistic and its unit.
    """

    alarm: Resource
    namespace: str
    name: Value
    holder: Value
    statistic_name: str
    alone: bool
    measured: Value

    @property
    def facts(self) -> Facts | None:
        """Entry of the metric in the catalog; None where it has none."""
        return facts_of(self.namespace, self.name.value)

    def dimensions(self, template: Template) -> list[tuple[str, Value]] | None:
        """The name of each dimension with each of its values; None where not all names are known."""
        found: list[tuple[str, Value]] = []
        for listed in template.child(self.holder, "Dimensions"):
            if listed.value is ABSENT:
                continue
            if not isinstance(listed.value, list):
                return None
            for entry in template.items(listed):
                name = entry.value.get("Name") if isinstance(entry.value, dict) else None
                if not isinstance(name, str):
                    return None
                found += [(name, value) for value in template.child(entry, "Value")]
        return found


def metrics(template: Template) -> Iterator[Metric]:
    """Every metric of an alarm whose namespace is known."""
    for alarm in template.resources("AWS::CloudWatch::Alarm"):
        whole = Value(alarm.properties, ("Resources", alarm.name, "Properties"), alarm.scenario)
        yield from _metrics_of(template, alarm, whole, whole, alone=True)
        for listed in template.child(whole, "Metrics"):
            queries = list(template.items(listed))
            for query in queries:
                for statistic in template.child(query, "MetricStat") if isinstance(query.value, dict) else []:
                    for metric in template.child(statistic, "Metric") if isinstance(statistic.value, dict) else []:
                        yield from _metrics_of(template, alarm, metric, statistic, alone=len(queries) == 1)


def _metrics_of(
    template: Template, alarm: Resource, holder: Value, measured: Value, *, alone: bool
) -> Iterator[Metric]:
    statistic = "Statistic" if holder is measured else "Stat"
    for namespace in template.constants_in(holder, "Namespace"):
        for name in template.constants_in(holder, "MetricName"):
            texts = isinstance(namespace.value, str) and isinstance(name.value, str)
            if texts and template.possible(namespace, name):
                yield Metric(alarm, namespace.value, name, holder, statistic, alone, measured)


@dataclass(frozen=True)
class Watched:
    """Value that an alarm compares: its name in a message, the direction that is bad, and the metric that it is or, for
    an expression, is made of. `by_band` says that the threshold is a band of anomaly detection.
    """

    alarm: Resource
    said: str
    bad: str
    metric: Metric
    by_band: bool = False


def watched(template: Template) -> Iterator[Watched]:
    """Yield what each alarm compares with its threshold, where its bad direction is known."""
    by_alarm: dict[str, list[Metric]] = {}
    for metric in metrics(template):
        by_alarm.setdefault(metric.alarm.name, []).append(metric)
    for alarm in template.resources("AWS::CloudWatch::Alarm"):
        measured = by_alarm.get(alarm.name, [])
        for metric in measured:
            if metric.alone and metric.facts and metric.facts.bad != "-":
                yield Watched(alarm, metric.name.value, metric.facts.bad, metric)
        queries = alarm.properties.get("Metrics")
        if isinstance(queries, list) and len(queries) > 1:
            yield from _expressions(alarm, [query for query in queries if isinstance(query, dict)], measured)


def _expressions(alarm: Resource, queries: list[dict[str, Any]], measured: list[Metric]) -> Iterator[Watched]:
    """The expression, or the metric beside a band, that an alarm with metric math compares."""
    by_id = {query.get("Id"): query for query in queries}
    band = by_id.get(alarm.properties.get("ThresholdMetricId"), {}).get("Expression")
    inside = _BAND.fullmatch(band) if isinstance(band, str) else None
    returned = [query for query in queries if query.get("ReturnData", True) in (True, "true")]
    compared = inside["of"] if inside else returned[0].get("Id") if len(returned) == 1 else None
    bad = _directions(queries, measured).get(compared) if isinstance(compared, str) else None
    if bad:
        names = sorted({metric.name.value for metric in measured})
        query = by_id.get(compared, {})
        said = names[0] if "MetricStat" in query and len(names) == 1 else f"{compared} of {' and '.join(names)}"
        yield Watched(alarm, said, bad, measured[0], by_band=inside is not None)


def _directions(queries: list[dict[str, Any]], measured: list[Metric]) -> dict[str, str]:
    """The bad direction of each query's id, as far as it is known: of metrics first, then of what is made of them."""
    found: dict[str, str] = {}
    for number_of, query in enumerate(queries):
        own = [one.facts for one in measured if number_of in one.holder.path and "MetricStat" in query]
        if len(own) == 1 and own[0] and own[0].bad != "-":
            found[str(query.get("Id"))] = own[0].bad
    for _ in queries:
        for query in queries:
            if isinstance(query.get("Expression"), str):
                said = direction(query["Expression"], found)
                found |= {str(query.get("Id")): said} if said else {}
    return found


_BAND = re.compile(r"ANOMALY_DETECTION_BAND\(\s*(?P<of>\w+)\s*(?:,[^)]*)?\)", re.IGNORECASE)


def number(value: Any) -> float | None:
    """A threshold as a number; None where it is none that is known."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
