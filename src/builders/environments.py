"""Reads parameter files: JSON lists of "Key=Value" strings, the one form that both generations of the AWS CLI take."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.errors import ParameterFileError
from builders.findings import Finding
from builders.scopes import Scope

_SPACE = re.compile(r"[\s,]*")
_FORM = 'it must be a list of strings such as ["VpcCidr=10.20.0.0/16"]'
_KINDS = {dict: "object", str: "string", bool: "truth value", type(None): "null"}
_OTHER_SCOPES = {
    "tooling": frozenset({Scope.TOOLING, Scope.TOOLING_ONCE, Scope.MEMBER}),
    "network": frozenset({Scope.NETWORK}),
}


@dataclass(frozen=True)
class Entry:
    """One "Key=Value" of a file, and the line on which it stands, counted from 1."""

    key: str
    value: str
    line: int


@dataclass(frozen=True)
class ParameterFile:
    """Parameters by key, and what is wrong with the form of their file."""

    path: Path
    entries: dict[str, Entry]
    findings: list[Finding]

    @property
    def scopes(self) -> frozenset[Scope]:
        """Scopes of the layers that need all their parameters from this file: those of a phase, unless the file is
        tooling.json or network.json. Layers of other scopes may take some parameters from it."""
        return _OTHER_SCOPES.get(self.path.stem, frozenset({Scope.PHASE, Scope.ACCOUNT}))

    @property
    def values(self) -> dict[str, str]:
        """The parameters as `aws cloudformation deploy` reads them."""
        return {key: entry.value for key, entry in self.entries.items()}


def read(path: Path) -> ParameterFile:
    """Read one file. Entries that are no "Key=Value" and keys that stand twice are findings.

    Raises `ParameterFileError` where there is no list to read entries from.
    """
    entries: dict[str, Entry] = {}
    findings: list[Finding] = []
    for number, (item, line) in enumerate(_items(path), start=1):
        # The AWS CLI, too, splits at the first "=" and keeps the spaces.
        key, equals, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        if not equals or not key:
            # What stands there is not shown: it may be a password whose key was forgotten.
            message = f'item {number} is no "Key=Value" string; write "Key=Value" in double quotes'
            findings.append(Finding("parameter-file", message, str(path), line))
            continue
        if key in entries:
            message = f"{key} is on line {entries[key].line} too; the AWS CLI takes the last, keep one"
            findings.append(Finding("duplicate-parameter", message, str(path), line))
        entries[key] = Entry(key, value, line)
    return ParameterFile(path, entries, findings)


def _items(path: Path) -> list[tuple[Any, int]]:
    """The items of the file's list, each with its line."""
    try:
        text = path.read_text(encoding="utf-8")
        items = json.loads(text)
    except OSError as error:
        raise ParameterFileError(f"{path} cannot be read: {error.strerror}; make it readable") from error
    except UnicodeDecodeError as error:
        raise ParameterFileError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ParameterFileError(f"{path} is not JSON: {error.msg} in line {error.lineno}; {_FORM}") from error
    except RecursionError as error:
        raise ParameterFileError(f"{path} is nested too deeply; {_FORM}") from error
    if not isinstance(items, list):
        raise ParameterFileError(f"{path} is a JSON {_KINDS.get(type(items), 'number')}, not a list; {_FORM}")
    return list(zip(items, _lines(text), strict=True))


def _lines(text: str) -> list[int]:
    """The line of each item of the list in a text that is valid JSON."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    lines = []
    while text[(position := _space_end(text, position))] != "]":
        lines.append(text.count("\n", 0, position) + 1)
        _, position = decoder.raw_decode(text, position)
    return lines


def _space_end(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
