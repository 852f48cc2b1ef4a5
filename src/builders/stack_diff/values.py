"""Old and new values of the properties that an update changes, with every secret masked."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builders.evaluate import MASKED, no_echo_parameters
from builders.parameter_validation import as_text
from builders.resource_types import value_at
from builders.scopes import Target
from builders.stack_diff.comparison import Comparison
from builders.stack_diff.effects import differing_values
from builders.template_bodies import parse_template

_WORDS = (
    r"pass(word|phrase|wd|code)|pwd|pgpass|token|credential"
    r"|((private|access|api|auth|secret|pre_?shared|shared)[-_]?key)"
)
_SECRET_NAME = re.compile(rf"({_WORDS}|secret([-_]?string)?)s?([-_]?(\d|new|old|value|text|param(eter)?))*$", re.I)
_NO_SECRETS = ("GenerateSecretString", "ServiceToken")  # what one looks like, and the ARN of a function
_SECRET_TEXT = re.compile(
    # An ARN has `:secret:`, and an action may end in GetRandomPassword.
    rf"({_WORDS}|(?<!:)secret(?!:\w))s?[\\\"']*\s*[=:>]"
    rf"|(?<![\w-])--?[\w-]{{0,40}}({_WORDS}|secret)s?\s"
    r"|://[^/\s:@]*:[^/\s@]+@"
    r"|\bbearer\s|\bauthorization\W+basic\s"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY",
    re.I,
)
_NAMES_OF_PAIRS = re.compile(r"(name|key)$", re.I)


@dataclass(frozen=True)
class ChangedValue:
    """A property of a resource with its old and new value, None where there is none.

    Values are text: scalars as CloudFormation compares them, others as JSON; the account's own number stands as
    ${AWS::AccountId}. `targets` are empty where all targets of the group have these values.
    """

    logical_id: str
    path: str
    before: str | None
    after: str | None
    targets: tuple[Target, ...] = ()


def changed_values(comparison: Comparison, account: str) -> tuple[ChangedValue, ...]:
    """The values that differ between the evaluated resources of both templates.

    Whatever has to do with a NoEcho parameter, or has the name of a secret, is masked. What follows from the
    replacement of another resource has no value yet, and is left out.
    """
    found: list[ChangedValue] = []
    for name, new in comparison.after.resources.items():
        old = comparison.before.resources.get(name)
        if old is None or old is new or old["Type"] != new["Type"]:
            continue
        was, becomes = old.get("Properties", {}), new.get("Properties", {})
        for path, left, right in differing_values(was, becomes):
            parent = path.rpartition(".")[0]
            named = any(_names_a_secret(value_at(side, parent) if parent else side) for side in (was, becomes))
            hidden = named or _hides(comparison.templates, name, path)
            found.append(ChangedValue(name, path, _text(left, account, hidden), _text(right, account, hidden)))
    return tuple(found)


def _hides(templates: tuple[str, str], resource: str, path: str) -> bool:
    """Return whether a property is one of a secret: by its name, or since it takes a NoEcho parameter in a template."""
    if any(map(_is_secret, path.split("."))):
        return True
    return any(_takes_hidden(template, resource, path.partition(".")[0]) for template in templates)


def _takes_hidden(template: str, resource: str, name: str) -> bool:
    if not template or not (hidden := _hidden(template)):
        return False
    value = parse_template(template).get("Resources", {}).get(resource, {}).get("Properties", {})
    if not isinstance(value, Mapping):  # a function that gives all properties
        return True
    return hidden.search(json.dumps(value.get(name, value))) is not None


@functools.lru_cache(maxsize=256)
def _hidden(template: str) -> re.Pattern[str] | None:
    """All ways in which a template writes the value of a NoEcho parameter, None where it has none.

    An attribute that repeats a property, such as the Value of an SSM parameter, has the property's value.
    """
    content = parse_template(template)
    ways = [re.escape(name) for name in no_echo_parameters(content)]
    if not ways:
        return None
    properties = {
        rf"{re.escape(logical_id)}\W+{re.escape(name)}": json.dumps(value)
        for logical_id, body in content.get("Resources", {}).items()
        if isinstance(body.get("Properties"), Mapping)
        for name, value in body["Properties"].items()
    }
    while True:
        pattern = re.compile(rf"\b({'|'.join(ways)})\b")
        more = [way for way, text in properties.items() if pattern.search(text)]
        if not more:
            return pattern
        ways += more
        for way in more:
            del properties[way]


def _is_secret(name: str) -> bool:
    return name not in _NO_SECRETS and _SECRET_NAME.search(name) is not None


def _names_a_secret(value: Any) -> bool:
    """Return whether a value is a pair of a secret's name and the secret, as containers have their environment."""
    return isinstance(value, Mapping) and any(
        isinstance(item, str) and _NAMES_OF_PAIRS.search(str(key)) and _is_secret(item) for key, item in value.items()
    )


def _text(value: Any, account: str, hidden: bool) -> str | None:
    if value is None:
        return None
    shown = MASKED if hidden and not isinstance(value, bool) else _masked(value)
    text = as_text(shown) if isinstance(shown, (str, int, float)) else json.dumps(shown, sort_keys=True)
    return text.replace(account, "${AWS::AccountId}") if account else text


def _masked(value: Any, hidden: bool = False) -> Any:
    """A value with the secrets in it masked: all of it where it is `hidden`."""
    if isinstance(value, Mapping):
        pair = _names_a_secret(value)
        return {
            key: _masked(
                item, (hidden or pair or _is_secret(str(key))) and not (pair and _NAMES_OF_PAIRS.search(str(key)))
            )
            for key, item in value.items()
        }
    if isinstance(value, list):
        options = [isinstance(item, str) and item.startswith("-") and _is_secret(item) for item in value]
        return [_masked(item, hidden or after) for item, after in zip(value, [False, *options], strict=False)]
    if isinstance(value, bool) or value is None:
        return value
    return MASKED if hidden or (isinstance(value, str) and _SECRET_TEXT.search(value)) else value


def shown_value(path: str, text: str) -> str:
    """A value that is a text or JSON, at a path such as /Environment/Variables/NAME, with the secrets in it masked."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text
    masked = _masked(value, hidden=any(map(_is_secret, path.split("/"))))
    if masked == value:
        return text
    return masked if isinstance(masked, str) else json.dumps(masked)


def differing_items(before: str | None, after: str | None) -> tuple[str | None, str | None]:
    """Both values, of two lists only the items that the other lacks."""
    if before == after:  # what differs is masked
        return MASKED, MASKED
    try:
        one, other = json.loads(before or ""), json.loads(after or "")
    except (ValueError, RecursionError):
        return before, after
    if not (isinstance(one, list) and isinstance(other, list)):
        return before, after
    return _lacking(one, other), _lacking(other, one)


def _lacking(items: list[Any], other: list[Any]) -> str | None:
    left = list(other)
    found = []
    for item in items:
        if item in left:
            left.remove(item)
        else:
            found.append(item if isinstance(item, str) else json.dumps(item, sort_keys=True))
    return ", ".join(found) or None
