"""Alarms: each says in its description what is wrong and what to do first, and notifies the topic."""

from __future__ import annotations

from typing import Any

from troposphere import cloudwatch

from builders.layers.foundation import TOPIC_ARN
from builders.stack import Stack

MINUTE, FIVE_MINUTES, DAY = 60, 300, 86_400
"""Periods in seconds."""


def add(stack: Stack, title: str, description: str, **properties: Any) -> cloudwatch.Alarm:
    """An alarm that tells the topic when it is raised, and when its metric is gone."""
    topic = stack.import_value(TOPIC_ARN)
    return stack.add(
        cloudwatch.Alarm(
            title, AlarmDescription=description, AlarmActions=[topic], InsufficientDataActions=[topic], **properties
        )
    )


def add_with_end(stack: Stack, title: str, description: str, **properties: Any) -> cloudwatch.Alarm:
    """An alarm that tells the topic when it is over, too: on a state that lasts, and not on something that happened."""
    return add(stack, title, description, OKActions=[stack.import_value(TOPIC_ARN)], **properties)


def add_for_event(stack: Stack, title: str, description: str, statistic: str, **metric: Any) -> None:
    """An alarm on something that should never happen; nothing comes while it does not."""
    add(
        stack,
        title,
        description,
        Statistic=statistic,
        ComparisonOperator="GreaterThanThreshold",
        Threshold=0,
        Period=FIVE_MINUTES,
        EvaluationPeriods=1,
        TreatMissingData="notBreaching",
        **metric,
    )


def high(stack: Stack, title: str, description: str, threshold: Any, **metric: Any) -> None:
    """An alarm on much of something."""
    _sustained(stack, title, description, "GreaterThanThreshold", threshold, metric)


def low(stack: Stack, title: str, description: str, threshold: Any, **metric: Any) -> None:
    """An alarm on little of something."""
    _sustained(stack, title, description, "LessThanThreshold", threshold, metric)


def _sustained(
    stack: Stack, title: str, description: str, comparison: str, threshold: Any, metric: dict[str, Any]
) -> None:
    """A quarter of an hour beyond the threshold; a machine that says nothing has too little data, which is reported."""
    add_with_end(
        stack,
        title,
        description,
        Statistic="Average",
        ComparisonOperator=comparison,
        Threshold=threshold,
        Period=FIVE_MINUTES,
        EvaluationPeriods=3,
        TreatMissingData="missing",
        **metric,
    )
