"""Template files: their text in JSON or YAML, and how they differ from what the layers make."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Collection, Mapping
from itertools import zip_longest
from json.encoder import encode_basestring_ascii
from pathlib import Path
from typing import Any

from builders import files, naming
from builders.findings import Finding

_ABSENT = object()
_PLAIN_KEY = r"^[A-Za-z_][A-Za-z0-9_]*$"
_SHOWN_CHARACTERS = 120
_LINE_CHARACTERS = 120
_LINE_LEVELS = 4
"""The limits of one line of a JSON template: a tag or a condition fits, a whole resource does not."""


class Format(enum.Enum):
    """The language of a template file; the value is the file's suffix."""

    JSON = "json"
    YAML = "yaml"


def text_of(template: Mapping[str, Any], form: Format) -> str:
    """The file's content: keys sorted, so that the same template has the same bytes on every Python.

    JSON has a reference or a tag on one line: a line for each brace would take a fifth of the 51,200 bytes that a
    template may have. One that would have more is written without spaces.
    """
    if form is Format.YAML:
        return _yaml_text(template)
    text = _written(template, 0)[0] + "\n"
    if len(text) > naming.TEMPLATE_LIMIT_BYTES:
        return json.dumps(template, sort_keys=True, separators=(",", ":")) + "\n"
    return text


class _Keys(dict[str, str]):
    """Keys as they are written, with the colon: most are those of other resources, too."""

    def __missing__(self, key: str) -> str:
        self[key] = written = f"{encode_basestring_ascii(key)}:"
        return written


_KEYS = _Keys()


def _written(node: Any, depth: int) -> tuple[str, int]:
    """A value's text behind an indentation of `depth`, and the levels of lists and mappings in it.

    What takes several lines has as many levels as no line has, so that every value is written once. A build writes
    some ten thousand: the most common ones, texts, are not worth a call.
    """
    parts, levels = [], 0
    if isinstance(node, dict):
        opening, closing = "{}"
        for key in sorted(node) if len(node) > 1 else node:
            value = node[key]
            if type(value) is str:
                parts.append(_KEYS[key] + encode_basestring_ascii(value))
                continue
            text, below = _written(value, depth + 1)
            parts.append(_KEYS[key] + text)
            if below > levels:  # noqa: PLR1730  `max` takes longer than all the rest of the turn
                levels = below
    elif isinstance(node, list):
        opening, closing = "[]"
        for value in node:
            if type(value) is str:
                parts.append(encode_basestring_ascii(value))
                continue
            text, below = _written(value, depth + 1)
            parts.append(text)
            if below > levels:  # noqa: PLR1730  `max` takes longer than all the rest of the turn
                levels = below
    else:
        return str(node) if type(node) is int else json.dumps(node), 0
    if levels < _LINE_LEVELS:
        line = f"{opening}{','.join(parts)}{closing}"
        if depth + len(line) <= _LINE_CHARACTERS:
            return line, levels + 1
    space = "\n" + " " * depth
    return f"{opening}{space} {f',{space} '.join(parts)}{space}{closing}", _LINE_LEVELS


def parse(text: str, form: Format) -> Any:
    """The content of a template file as plain data. Raises `ValueError` when it is not of this form."""
    if form is Format.JSON:
        return json.loads(text)
    import yaml  # noqa: PLC0415  only YAML templates pay for it

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def stale_finding(path: Path, expected: Mapping[str, Any], form: Format) -> Finding | None:
    """The finding about a template file that does not say what is expected; None when it does."""
    try:
        content = files.read_bytes(path)
    except FileNotFoundError:
        what = "is missing"
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
    else:
        text = text_of(expected, form)
        if content == text.encode():
            return None
        what = _difference(content, text, form)
    message = f"{path.stem}: {path} {what}; run build-templates and commit what it writes"
    return Finding("stale-template", message, str(path))


def _difference(content: bytes, text: str, form: Format) -> str:
    try:
        difference = first_difference(parse(content.decode(), form), parse(text, form))
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    except (ValueError, RecursionError) as error:
        return f"is not {form.name} ({error})"
    return f"differs first at {difference}" if difference else "says the same in another layout"


def orphaned(folder: Path, layers: Collection[str], form: Format) -> list[Path]:
    """Templates of layers that no longer exist. Files that `build-templates` did not make are none of them."""
    return [path for path in sorted(folder.glob(f"*.{form.value}")) if path.stem not in layers and _is_ours(path, form)]


def _is_ours(path: Path, form: Format) -> bool:
    """Every template that a layer makes describes itself (builders.stack); one that a person wrote does not."""
    try:
        return naming.METADATA in parse(files.read_text(path), form)["Metadata"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def first_difference(found: Any, expected: Any, path: str = "$") -> str | None:
    """The first difference in reading order: its JSON path, what is found there, what is expected; None if equal.

    Keys are read in sorted order, as the template files have them.
    """
    if isinstance(found, dict) and isinstance(expected, dict):
        keys = sorted(found.keys() | expected.keys(), key=str)
        members = [(_member(path, key), found.get(key, _ABSENT), expected.get(key, _ABSENT)) for key in keys]
    elif isinstance(found, list) and isinstance(expected, list):
        pairs = enumerate(zip_longest(found, expected, fillvalue=_ABSENT))
        members = [(f"{path}[{number}]", *pair) for number, pair in pairs]
    elif found == expected and type(found) is type(expected):
        return None
    else:
        return f"{path}: the file has {_shown(found)}, the layer makes {_shown(expected)}"
    return next(filter(None, (first_difference(one, other, where) for where, one, other in members)), None)


def _member(path: str, key: Any) -> str:
    return f"{path}.{key}" if re.match(_PLAIN_KEY, str(key)) else f"{path}[{json.dumps(str(key))}]"


def _shown(value: Any) -> str:
    if value is _ABSENT:
        return "nothing"
    text = json.dumps(value, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _yaml_text(template: Mapping[str, Any]) -> str:
    import yaml  # noqa: PLC0415

    class Dumper(yaml.SafeDumper):
        """Writes every use of a value out, and quotes texts that begin with a digit.

        CloudFormation takes no aliases from every tool's hand, and YAML 1.1 and 1.2 disagree on what is a number.
        """

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="'" if text[:1].isdigit() else None)

    Dumper.add_representer(str, represent_text)
    return yaml.dump(dict(template), Dumper=Dumper, sort_keys=True, width=120)
