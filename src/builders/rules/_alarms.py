"""The metrics that alarms and dashboards measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from builders.rules._template import Resource, Template
from builders.rules._values import ABSENT, Value


@dataclass(frozen=True)
class Metric:
    """One metric that an alarm reads. `alone` says that the alarm compares it directly, without metric math."""

    alarm: Resource
    namespace: str
    name: Value
    holder: Value
    statistic_name: str
    alone: bool

    def dimensions(self, template: Template) -> list[tuple[str, Value]] | None:
        """Name and value of each dimension; None where not all of them are known."""
        found: list[tuple[str, Value]] = []
        for listed in template.child(self.holder, "Dimensions"):
            if listed.value is ABSENT:
                continue
            if not isinstance(listed.value, list):
                return None
            for entry in template.items(listed):
                name = entry.value.get("Name") if isinstance(entry.value, dict) else None
                values = template.child(entry, "Value")
                if not isinstance(name, str) or len(values) != 1:
                    return None
                found.append((name, values[0]))
        return found


def metrics(template: Template) -> Iterator[Metric]:
    """Every metric of an alarm whose namespace is known."""
    for alarm in template.resources("AWS::CloudWatch::Alarm"):
        whole = Value(alarm.properties, ("Resources", alarm.name, "Properties"), alarm.scenario)
        yield from _metrics_of(template, alarm, whole, "Statistic", alone=True)
        for listed in template.child(whole, "Metrics"):
            queries = list(template.items(listed))
            for query in queries:
                for statistic in template.child(query, "MetricStat") if isinstance(query.value, dict) else []:
                    for metric in template.child(statistic, "Metric") if isinstance(statistic.value, dict) else []:
                        yield from _metrics_of(template, alarm, metric, "Stat", alone=len(queries) == 1)


def _metrics_of(template: Template, alarm: Resource, holder: Value, statistic: str, *, alone: bool) -> Iterator[Metric]:
    for namespace in _constants(template, holder, "Namespace"):
        for name in _constants(template, holder, "MetricName"):
            texts = isinstance(namespace.value, str) and isinstance(name.value, str)
            if texts and template.possible(namespace, name):
                yield Metric(alarm, namespace.value, name, holder, statistic, alone)


def _constants(template: Template, holder: Value, key: str) -> list[Value]:
    return [
        constant
        for value in template.child(holder, key)
        for constant in template.resolver.constants(value.value, value.path, value.when)
    ]


def number(value: Any) -> float | None:
    """A threshold as a number; None where it is none that is known."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return float(value)
    except ValueError:
        return None
