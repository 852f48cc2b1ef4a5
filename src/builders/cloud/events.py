"""Refusals of EventBridge, its scheduler, SQS and SNS: schedules, targets, queues, topics and their subscriptions.

Sources: EventBridge user guide, "Setting a schedule pattern for scheduled rules"; EventBridge Scheduler user guide,
"Schedule types"; EventBridge API reference, PutRule and PutTargets; SQS API reference, CreateQueue; SNS API
reference, CreateTopic and Subscribe.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ministack.core.responses import get_account_id, get_region

from builders.cloud.internals import sns, sqs
from builders.resource_types import Json

Properties = Mapping[str, Json]

_MONTHS = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
_WEEKDAYS = "SUN|MON|TUE|WED|THU|FRI|SAT"
# The six fields of a cron expression: what a value may be, and its bounds.
_FIELDS: tuple[tuple[str, int, int], ...] = (
    (r"\d+", 0, 59), (r"\d+", 0, 23), (r"\d+W?|LW?", 1, 31), (rf"\d+|{_MONTHS}", 1, 12),
    (rf"(?:\d|{_WEEKDAYS})(?:L|#[1-5])?|L", 1, 7), (r"\d+", 1970, 2199),
)  # fmt: skip
_MOST_TARGETS = 5
_FIFO = ".fifo"


def is_schedule(text: str, *, once: bool = False) -> bool:
    """Return whether a text is rate(...) or cron(...), or with `once` also at(...)."""
    if rate := re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", text):
        return int(rate[1]) > 0 and (int(rate[1]) == 1) == (not rate[3])
    if once and re.fullmatch(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)", text):
        return True
    cron = re.fullmatch(r"cron\((.+)\)", text)
    fields = cron[1].split() if cron else []
    if len(fields) != len(_FIELDS):
        return False
    day, weekday = fields[2], fields[4]
    # "You can't specify the day-of-month and day-of-week fields in the same cron expression": one of them is "?".
    if [day, weekday].count("?") != 1:
        return False
    return all(
        each == "?" if each == "?" and number in (2, 4) else _is_field(each, *_FIELDS[number])
        for number, each in enumerate(fields)
    )


def _is_field(text: str, value: str, least: int, most: int) -> bool:
    for part in text.upper().split(","):
        match = re.fullmatch(rf"(?:\*|({value})(?:-({value}))?)(?:/(\d+))?", part)
        if not match:
            return False
        numbers = [int(found[0]) for each in match.groups()[:2] if each and (found := re.match(r"\d+", each))]
        if any(not least <= number <= most for number in numbers) or (match[3] and int(match[3]) == 0):
            return False
    return True


def check_rule(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a rule without a pattern or schedule, a schedule that is none, and targets that cannot be."""
    schedule, pattern = properties.get("ScheduleExpression"), properties.get("EventPattern")
    if not schedule and not pattern:
        raise _refused("Parameter(s) EventPattern or ScheduleExpression must be specified.")
    if schedule and not is_schedule(str(schedule)):
        raise _refused("Parameter ScheduleExpression is not valid.")
    if schedule and str(properties.get("EventBusName") or "default").rpartition("/")[2] != "default":
        raise _refused("ScheduleExpression is supported only on the default event bus.")
    if isinstance(pattern, str):
        try:
            pattern = json.loads(pattern)
        except ValueError as error:
            raise _refused("Event pattern is not valid. Reason: Invalid JSON") from error
    if pattern is not None and (not isinstance(pattern, dict) or not pattern):
        raise _refused("Event pattern is not valid. Reason: Filter is not an object")
    for key, value in (pattern or {}).items():
        if not isinstance(value, (dict, list)) or not value:
            raise _refused(f"Event pattern is not valid. Reason: '{key}' must be an object or an array")
    targets = properties.get("Targets") or []
    if len(targets) > _MOST_TARGETS:
        raise _refused(f"The requested resource exceeds the maximum number allowed: {_MOST_TARGETS} targets")
    identifiers = [each["Id"] for each in targets]
    if len(set(identifiers)) != len(identifiers):
        raise _refused("Duplicate target ids are not allowed.")
    for each in targets:
        if not re.match(r"arn:aws[\w-]*:[\w-]+:", str(each["Arn"])):
            raise _refused(f"Parameter {each['Arn']} is not valid. Reason: Provided Arn is not in correct format.")


def check_schedule(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a schedule of EventBridge Scheduler that is none."""
    if not is_schedule(str(properties["ScheduleExpression"]), once=True):
        raise ValueError(f"Invalid Schedule Expression {properties['ScheduleExpression']}. (Service: Scheduler, Status "
                         "Code: 400)")  # fmt: skip
    window = properties.get("FlexibleTimeWindow") or {}
    if (window.get("Mode") == "FLEXIBLE") != (window.get("MaximumWindowInMinutes") is not None):
        raise ValueError(
            "FlexibleTimeWindow needs MaximumWindowInMinutes with Mode FLEXIBLE, and only with it. (Service: "
            "Scheduler, Status Code: 400)"
        )


# {attribute of a queue: (the least and the most)}; SQS API reference, SetQueueAttributes.
_BOUNDS = {
    "DelaySeconds": (0, 900), "MaximumMessageSize": (1024, 1_048_576), "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20), "VisibilityTimeout": (0, 43_200),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
}  # fmt: skip
_MOST_RECEIVES = 1000


def check_queue(properties: Properties, physical_id: str | None) -> None:
    """Refuse numbers out of bounds, names and settings of the other kind of queue, and a dead-letter queue that is
    not there or of the other kind."""
    for name, (least, most) in _BOUNDS.items():
        if properties.get(name) is not None and not least <= int(properties[name]) <= most:
            raise _of_queue(f"Invalid value for the parameter {name}.")
    given, fifo = properties.get("QueueName"), properties.get("FifoQueue") is True
    if given and fifo != str(given).endswith(_FIFO):
        raise _of_queue(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with "
            ".fifo suffix and be 1 to 80 in length"
            if fifo
            else "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
        )
    for each in ("ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"):
        if properties.get(each) and not fifo:
            raise _of_queue(f"Unknown Attribute {each}.")
    if properties.get("SqsManagedSseEnabled") is True and properties.get("KmsMasterKeyId"):
        raise _of_queue(
            "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS "
            "SSE."
        )
    redrive = properties.get("RedrivePolicy")
    if redrive:
        _check_redrive(json.loads(redrive) if isinstance(redrive, str) else redrive, fifo)


def _check_redrive(policy: Properties, fifo: bool) -> None:
    shown = f"Value {json.dumps(policy)} for parameter RedrivePolicy is invalid. Reason: "
    arn, receives = str(policy.get("deadLetterTargetArn") or ""), policy.get("maxReceiveCount")
    if not arn or receives is None:
        missing = "deadLetterTargetArn" if not arn else "maxReceiveCount"
        raise _of_queue(f"{shown}Redrive policy does not contain mandatory attribute: {missing}.")
    if not str(receives).isdigit() or not 1 <= int(receives) <= _MOST_RECEIVES:
        raise _of_queue(f"{shown}Invalid value for maxReceiveCount: {receives}, valid values are from 1 to "
                        f"{_MOST_RECEIVES} both inclusive.")  # fmt: skip
    queue = next((each for each in sqs.queues.values() if each["attributes"].get("QueueArn") == arn), None)
    if queue is None:
        raise _of_queue(f"{shown}Dead letter target does not exist.")
    if arn.endswith(_FIFO) != fifo:
        raise _of_queue(f"{shown}Dead-letter queue must be same type of queue as the source.")


# {protocol of a subscription: the form of its endpoint}
_ENDPOINTS = {
    "email": r"[^@\s]+@[^@\s]+", "email-json": r"[^@\s]+@[^@\s]+", "firehose": r"arn:aws[\w-]*:firehose:.+",
    "http": r"http://.+", "https": r"https://.+", "lambda": r"arn:aws[\w-]*:lambda:.+", "sms": r"\+?[\d\s()-]+",
    "sqs": r"arn:aws[\w-]*:sqs:.+", "application": r"arn:aws[\w-]*:sns:.+",
}  # fmt: skip


def check_topic(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a name of the other kind of topic, and subscriptions that cannot be."""
    name, fifo = properties.get("TopicName"), properties.get("FifoTopic") is True
    if name and fifo != str(name).endswith(_FIFO):
        raise _of_topic("Invalid parameter: Topic Name")
    if properties.get("ContentBasedDeduplication") and not fifo:
        raise _of_topic(
            "Invalid parameter: Attributes Reason: Content-based deduplication can only be set for FIFO topics"
        )
    for each in properties.get("Subscription") or ():
        _check_endpoint(str(each["Protocol"]), str(each["Endpoint"]))


def check_subscription(properties: Properties, _physical_id: str | None) -> None:
    """Refuse a subscription to a topic that is not there, and an endpoint that does not fit the protocol."""
    arn = str(properties["TopicArn"])
    if not re.fullmatch(r"arn:aws[\w-]*:sns:[a-z0-9-]+:\d{12}:[\w.-]+", arn):
        raise _of_topic("Invalid parameter: TopicArn")
    here = arn.split(":")[3:5] == [str(get_region()), str(get_account_id())]
    if here and arn not in sns.topics:
        raise _of_topic("Topic does not exist", 404)
    _check_endpoint(str(properties["Protocol"]), str(properties.get("Endpoint") or ""))


def _check_endpoint(protocol: str, endpoint: str) -> None:
    form = _ENDPOINTS.get(protocol)
    if form is None:
        raise _of_topic(f"Invalid parameter: Amazon SNS does not support this protocol string: {protocol}")
    if not re.fullmatch(form, endpoint):
        raise _of_topic(f"Invalid parameter: {protocol.upper()} endpoint {endpoint}")


def _of_topic(sentence: str, status: int = 400) -> ValueError:
    return ValueError(f"{sentence} (Service: Sns, Status Code: {status})")


def _of_queue(sentence: str) -> ValueError:
    return ValueError(f"{sentence} (Service: Sqs, Status Code: 400)")


def _refused(sentence: str) -> ValueError:
    return ValueError(f"{sentence} (Service: EventBridge, Status Code: 400, Error Code: ValidationException)")
