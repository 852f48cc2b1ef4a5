"""Mutations of data and of text, by a source of random numbers: the same source makes the same input.

Data keeps its form: keys go, values change their type or place, and hostile ones come in. A text is cut, repeated,
encoded anew, and spoilt byte by byte.
"""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

DEEP, LONG_NUMBER = "@deep@", "@long number@"
"""They stand for what Python's own writer of JSON refuses: 10,000 levels, and a number of 5,000 digits."""
_WRITTEN = {f'"{DEEP}"': "[" * 10_000 + "]" * 10_000, f'"{LONG_NUMBER}"': "9" * 5_000}

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**18, -(10**300), 1e308, float("inf"), float("-inf"), float("nan"),
    LONG_NUMBER, DEEP, "", " ", "\0", "a\0b", "9" * 5_000, "1e3", "1e999", "-0", "0x10", "1_000", "٣", "NaN",
    "\x1b[2J\x1b]0;x\x07", "\x9b31m", "a\nrollout-stacksets: forged", "a\r\nb", "\u202eback", "\u2066x\u2069",
    "a\u2028b",
    "\ud800", "\udfff\ud800", "\ufeff", "[red]x[/red]", "[/nor]", "[link=https://example.com]x[/link]", "%s%n{0}{x}",
    "a" * 5_000, "é" * 2_000, "../../etc/passwd", "/etc/passwd", "/dev/zero", "file:///etc/passwd", "C:\\x", "~", ".",
    "${", "${}", "${a.b.c}", "${!x}", "${AWS::Nothing}", "=", "=x", "<<", "*", "&", "!!python/object:os.system", "(?P<",
    "(a+)+$", "[", "\\", "2026-13-45T99:99:99", "ou-", "arn:", "10.0.0.0/99", "::/0", "999.1.1.1/8",
    [], {}, [None], [[]], [{}], {"": None}, {"Ref": None}, {"Ref": []}, {"Ref": "Nobody"}, {"Ref": "AWS::NoValue"},
    {"Fn::If": []}, {"Fn::If": "x"}, {"Fn::If": ["Nobody", 1, 2]}, {"Fn::GetAtt": 1}, {"Fn::GetAtt": ["a", "b", "c"]},
    {"Fn::GetAtt": ["a", {"Ref": "b"}]}, {"Fn::Sub": []}, {"Fn::Sub": ["${a}", 1]}, {"Fn::Sub": {"a": 1}},
    {"Fn::Join": ["", {"Ref": "a"}]}, {"Fn::Join": [1, 2, 3]}, {"Fn::Join": [1, [1]]}, {"Fn::Select": ["x", []]},
    {"Fn::Select": [LONG_NUMBER, ["a"]]}, {"Fn::Select": [float("nan"), ["a"]]}, {"Fn::Split": None},
    {"Fn::Split": ["", "x"]}, {"Fn::FindInMap": ["a", "b"]},
    {"Fn::FindInMap": [{}, [], 1]}, {"Fn::Cidr": ["10.0.0.0/8", 10**12, 1]},
    {"Fn::Cidr": ["::/0", 1, 500]}, {"Fn::Cidr": 5}, {"Fn::ImportValue": {}},
    {"Fn::ImportValue": []}, {"Fn::GetAZs": []},
    {"Fn::Equals": [1]}, {"Fn::Not": []}, {"Fn::And": 5}, {"Fn::Contains": [5, "x"]}, {"Fn::EachMemberIn": [5, 5]},
    {"Fn::Transform": {"Name": "AWS::Include"}}, {"Condition": "Nobody"},
    {"Condition": []}, {"Fn::ForEach::a": ["b", [], {}]},
)  # fmt: skip

_KEYS = (
    "",
    "\0",
    "a\nb",
    "\x1b[31m",
    "\ud800",
    "Ref",
    "Fn::If",
    "Fn::Sub",
    "Condition",
    "Properties",
    "<<",
    "[red]",
    "__class__",
)


def changed(source: Random, data: Any, words: tuple[str, ...] = ()) -> Any:
    """The data with one to four mutations; `words` are keys of its kind, which come in where others go."""
    made = copy.deepcopy(data)
    for _ in range(source.choice((1, 1, 1, 2, 2, 3, 4))):
        places = [place for place, _ in _places(made)]
        if not places:
            return source.choice(HOSTILE)
        made = _changed_at(source, made, source.choice(places), words)
    return made


def _places(node: Any, place: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    found: list[tuple[tuple[Any, ...], Any]] = []
    waiting = [(place, node)]
    while waiting:
        here, each = waiting.pop()
        found.append((here, each))
        if isinstance(each, dict):
            waiting += [((*here, key), value) for key, value in each.items()]
        elif isinstance(each, list):
            waiting += [((*here, number), value) for number, value in enumerate(each)]
    return found


def _at(data: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        data = data[key]
    return data


def _changed_at(source: Random, data: Any, place: tuple[Any, ...], words: tuple[str, ...]) -> Any:
    hostile = copy.deepcopy(source.choice(HOSTILE))
    if not place:
        return hostile if source.random() < 0.1 else data
    parent, key = _at(data, place[:-1]), place[-1]
    value = parent[key]
    kind = source.randrange(9)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[source.choice(words) if words and source.random() < 0.5 else source.choice(_KEYS)] = parent.pop(key)
    elif kind == 2:
        parent[key] = [copy.deepcopy(value)] * source.choice((1, 2, 50))
    elif kind == 3:
        parent[key] = {source.choice([*words, *_KEYS]): copy.deepcopy(value)}
    elif kind == 4:
        parent[key] = copy.deepcopy(_at(data, source.choice([each for each, _ in _places(data)])))
    elif kind == 5 and isinstance(value, str):
        cut = source.randrange(len(value) + 1)
        parent[key] = value[:cut] + (hostile if isinstance(hostile, str) else str(source.random())) + value[cut:]
    elif kind == 6 and isinstance(value, list):
        value.extend(copy.deepcopy(value) or [hostile])
    elif kind == 7 and isinstance(value, dict):
        value[source.choice([*words, *_KEYS])] = hostile
    else:
        parent[key] = hostile
    return data


def as_json(source: Random, data: Any) -> str:
    """The data as JSON, in one of the ways in which it is written."""
    text = json.dumps(data, indent=source.choice((None, 1)), ensure_ascii=source.random() < 0.7, allow_nan=True)
    for placeholder, written in _WRITTEN.items():
        text = text.replace(placeholder, written)
    return text


def as_bytes(source: Random, text: str) -> bytes:  # noqa: PLR0911  a return for each way
    """The text as bytes: mostly in UTF-8, sometimes spoilt."""
    content = text.encode("utf-8", "surrogatepass" if source.random() < 0.5 else "replace")
    kind = source.randrange(40)
    if kind == 0:
        return b"\xef\xbb\xbf" + content
    if kind == 1:
        return text.encode("utf-16", "replace")
    if kind == 2:
        return content[: source.randrange(len(content) + 1)]
    if kind == 3 and content:
        start = source.randrange(len(content))
        return content[:start] + source.randbytes(source.randrange(1, 5)) + content[start + source.randrange(5) :]
    if kind == 4:
        lines = content.splitlines(keepends=True)
        at = source.randrange(len(lines) + 1)
        return b"".join([*lines[:at], *lines[max(0, at - 2) : at], *lines[at:]])
    if kind == 5:
        return content.replace(b" ", source.choice((b"\t", b"\0", b"\r", b"\x0c", "\u2028".encode())), 3)
    if kind == 6:
        return source.choice(
            (b"", b"\n", b"null", b"[]", b"{}", b'""', b"0", b"[" * 50_000, b'{"a":' * 20_000, b"9" * 5_000)
        )
    return content
