"""The regions that AWS has, from the list that botocore carries.

What a single value of rollout.yaml may be, each with the sentence that says so and its part of the JSON schema.

A validator raises `ValueError` with what is wrong, what is allowed and what to do; pydantic gathers them.
"""

from __future__ import annotations

import functools
import json
import re
from importlib import resources
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from builders.naming import SUFFIX_MAX_LENGTH, SUFFIX_PATTERN
from builders.text import suggestion

_NAME = re.compile(r"[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}")


@functools.cache
def known_regions() -> frozenset[str]:
    """The regions of all partitions. The file is read by itself: botocore's loader would start all of botocore."""
    text = (resources.files("botocore") / "data" / "partitions.json").read_text(encoding="utf-8")
    return frozenset(
        region
        for partition in json.loads(text)["partitions"]
        for region in partition["regions"]
        if _NAME.fullmatch(region)
    )


_UNITS = {"s": 1, "m": 60, "h": 3600}
_LONGEST_BAKE_SECONDS = 7 * 24 * 3600
_DURATION = re.compile(r"(\d{1,6})([smh])")
_SHARE = re.compile(r"(\d{1,6})(%?)")
_UNIT_ID = re.compile(r"ou-[0-9a-z]{4,32}-[0-9a-z]{8,32}|r-[0-9a-z]{4,32}")
_PLACE = re.compile(r"\d{12}/[a-z0-9-]+")


def account_id(value: str) -> str:
    """The id itself. Raises `ValueError` for what is none."""
    if not re.fullmatch(r"\d{12}", value, re.ASCII):
        raise ValueError(f'{value!r} is no account id; give its twelve digits in quotes, such as "111111111111"')
    return value


def _region(value: str) -> str:
    if value not in known_regions():
        close = suggestion(value, sorted(known_regions()))
        advice = f"did you mean {close}?" if close else "give a region's code, such as eu-west-1"
        raise ValueError(f"{value!r} is no region that AWS has; {advice}")
    return value


def _unit(value: str) -> str:
    """AWS Organizations API reference, "OrganizationalUnit", "Root"."""
    if not _UNIT_ID.fullmatch(value):
        raise ValueError(f"{value!r} is no organizational unit; give its id, such as ou-ab12-cdef3456, or the root's")
    return value


def _target(value: str) -> str:
    if not _PLACE.fullmatch(value):
        raise ValueError(f'{value!r} is no place; write an account and a region, such as "111111111111/eu-west-1"')
    return value


def _phase_name(value: str) -> str:
    if not re.fullmatch(SUFFIX_PATTERN, value) or len(value) > SUFFIX_MAX_LENGTH:
        allowed = f"up to {SUFFIX_MAX_LENGTH} lower-case letters and digits, joined by hyphens"
        raise ValueError(f"{value!r} is no phase's name; use {allowed}")
    return value


def _role_name(value: str) -> str:
    """IAM API reference, "CreateRole"; a role's path may stand before its name."""
    if not re.fullmatch(r"([\w+=,.@-]+/)*[\w+=,.@-]{1,64}", value, re.ASCII):
        raise ValueError(f"{value!r} is no role's name; give the name alone, not its ARN")
    return value


def seconds(text: str) -> int:
    """The length of a duration such as 90s, 10m or 1h. Raises `ValueError` for anything else and above seven days."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no duration; write a number and its unit, such as 90s, 10m or 1h")
    length = int(match[1]) * _UNITS[match[2]]
    if length > _LONGEST_BAKE_SECONDS:
        raise ValueError(f"{text} is longer than seven days; give a shorter time")
    return length


def _duration(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        raise ValueError(f"{value} has no unit; write {value}s for seconds or {value}m for minutes")
    if isinstance(value, str):
        seconds(value)
    return value


def _share(value: Any) -> Any:
    """A number of accounts or a percentage of them, as a text."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    match = _SHARE.fullmatch(text) if isinstance(text, str) else None
    if not match:
        raise ValueError(f"{value!r} is no share of accounts; write a number such as 5 or a percentage such as 25%")
    if match[2] and int(match[1]) > 100:
        raise ValueError(f"{text} is more than all; write at most 100%")
    return text


def _more_than_nothing(value: str) -> str:
    if int(value.rstrip("%")) == 0:
        raise ValueError(f"{value} deploys to no account at a time; write 1 or more, or a percentage such as 25%")
    return value


def _text_schema(pattern: str, **more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, **more})


_SHARE_SCHEMA = WithJsonSchema(
    {
        "anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": r"^(\d{1,6}|(100|[1-9]?\d)%)$"},
        ]
    }
)

AccountId = Annotated[str, AfterValidator(account_id), _text_schema(r"^\d{12}$")]
Region = Annotated[str, AfterValidator(_region), _text_schema(r"^[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}$")]
Unit = Annotated[str, AfterValidator(_unit), _text_schema(f"^({_UNIT_ID.pattern})$")]
PlaceName = Annotated[str, AfterValidator(_target), _text_schema(r"^\d{12}/[a-z0-9-]+$")]
PhaseName = Annotated[str, AfterValidator(_phase_name), _text_schema(SUFFIX_PATTERN, maxLength=SUFFIX_MAX_LENGTH)]
RoleName = Annotated[str, AfterValidator(_role_name), WithJsonSchema({"type": "string"})]
Duration = Annotated[str, BeforeValidator(_duration), _text_schema(r"^\d{1,6}[smh]$")]
Tolerance = Annotated[str, BeforeValidator(_share), _SHARE_SCHEMA]
Concurrency = Annotated[str, BeforeValidator(_share), AfterValidator(_more_than_nothing), _SHARE_SCHEMA]
Text = Annotated[str, Field(min_length=1)]

# YAML's numbers and truth values have become texts before this is asked (`nodes.py`); an editor sees the file itself.
ParameterValue = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Parameters = dict[Annotated[str, _text_schema("^[A-Za-z0-9]{1,255}$")], ParameterValue]
