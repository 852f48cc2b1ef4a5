"""Reads parameter files: JSON lists of "Key=Value" strings, the one form that both generations of the AWS CLI take."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import files
from builders.errors import ParameterFileError
from builders.findings import Finding
from builders.scopes import Scope

_SPACE = re.compile(r"[\s,]*")
_FORM = 'it must be a list of strings such as ["VpcCidr=10.20.0.0/16"]'
_KINDS = {dict: "object", str: "string", bool: "truth value", type(None): "null"}
OF_A_PHASE = frozenset({Scope.PHASE, Scope.ACCOUNT, Scope.TOOLING_PER_PHASE})
"""Scopes of the layers that are deployed with the parameters of a phase."""
_OTHER_SCOPES = {
    "tooling": frozenset({Scope.TOOLING, Scope.MEMBER}),
    "network": frozenset({Scope.NETWORK}),
}


@dataclass(frozen=True)
class Entry:
    """One "Key=Value" of a file, and the line on which it stands, counted from 1.

    `file` is where it stands, if that is another file than the one whose values it is among.
    """

    key: str
    value: str
    line: int | None
    file: str = ""


@dataclass(frozen=True)
class ParameterFile:
    """Parameters by key, and what is wrong with the form of their file.

    A rollout puts the values of a target together from several files: `region` is the target's, empty for a file.
    """

    path: Path
    entries: dict[str, Entry]
    findings: list[Finding]
    region: str = ""

    @property
    def scopes(self) -> frozenset[Scope]:
        """Scopes of the layers that need all their parameters from this file: those of a phase, unless the file is
        tooling.json or network.json. Layers of other scopes may take some parameters from it."""
        if self.region:
            return OF_A_PHASE
        return _OTHER_SCOPES.get(self.path.stem, OF_A_PHASE)

    def at(self, key: str) -> tuple[str, int | None]:
        """The file and the line of a parameter; the file alone where it is not given."""
        entry = self.entries.get(key)
        return (entry.file or str(self.path), entry.line) if entry else (str(self.path), None)

    @property
    def values(self) -> dict[str, str]:
        """The parameters as `aws cloudformation deploy` reads them."""
        return {key: entry.value for key, entry in self.entries.items()}


def read(path: Path, *, within: Path | None = None) -> ParameterFile:
    """Read one file, with `within` only where it is in that folder. Entries that are no "Key=Value" and keys that
    stand twice are findings.

    Raises `ParameterFileError` where there is no list to read entries from; the message has nothing of the content.
    """
    entries: dict[str, Entry] = {}
    findings: list[Finding] = []
    for number, (item, line) in enumerate(_items(path, within), start=1):
        # The AWS CLI, too, splits at the first "=" and keeps the spaces.
        key, equals, value = item.partition("=") if isinstance(item, str) else ("", "", "")
        if not equals or not key:
            # What stands there is not shown: it may be a password whose key was forgotten.
            message = f'item {number} is not a "Key=Value" string; write "Key=Value" in double quotes'
            findings.append(Finding("parameter-file", message, str(path), line))
            continue
        if key in entries:
            message = f"{key} is on line {entries[key].line} too; the AWS CLI takes the last, keep one"
            findings.append(Finding("duplicate-parameter", message, str(path), line))
        entries[key] = Entry(key, value, line)
    return ParameterFile(path, entries, findings)


def put(path: Path, values: Mapping[str, str]) -> list[str]:
    """Give parameters their values in a file, new ones at its end, and leave every other byte as it is.

    Returns the keys that have changed. Raises `ParameterFileError` as `read` does.
    """
    entries = read(path).entries
    changed = [key for key, value in values.items() if key not in entries or entries[key].value != value]
    text = files.read_bytes(path).decode()  # with the line ends that it has
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    for start, end in reversed(_item_spans(text)):
        key = str(json.loads(text[start:end])).partition("=")[0]
        if key in changed:
            text = text[:start] + _written(key, values[key]) + text[end:]
    for key in changed:
        if key not in entries:
            before = text.rstrip().removesuffix("]").rstrip()
            comma = "" if before.endswith("[") else ","
            text = f"{before}{comma}{end_of_line} {_written(key, values[key])}{end_of_line}]{end_of_line}"
    if changed:
        files.replace(path.resolve(), text.encode())  # a link stays one
    return changed


def _written(key: str, value: str) -> str:
    return json.dumps(f"{key}={value}", ensure_ascii=False)


def _items(path: Path, within: Path | None) -> list[tuple[Any, int]]:
    """The items of the file's list, each with its line."""
    try:
        text = files.read_text(path, within=within)
        items = json.loads(text)
    except OSError as error:
        raise ParameterFileError(f"{path} {files.unreadable(error)}") from error
    except UnicodeDecodeError as error:
        raise ParameterFileError(f"{path} is not UTF-8 text; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        if text.startswith("\ufeff"):
            raise ParameterFileError(f"{path} begins with a byte order mark; save it as UTF-8 without one") from error
        raise ParameterFileError(f"{path} is not JSON: {error.msg} in line {error.lineno}; {_FORM}") from error
    except RecursionError as error:
        raise ParameterFileError(f"{path} is nested too deeply; {_FORM}") from error
    except ValueError as error:  # Python reads at most 4,300 digits
        raise ParameterFileError(f"{path} has a number that is too long; {_FORM}") from error
    if not isinstance(items, list):
        raise ParameterFileError(f"{path} is a JSON {_KINDS.get(type(items), 'number')}, not a list; {_FORM}")
    return list(zip(items, item_lines(text), strict=True))


def item_lines(text: str) -> list[int]:
    """The line of each item of the list in a text that is valid JSON."""
    counted, line = 0, 1
    lines = []
    for start, _ in _item_spans(text):
        line, counted = line + text.count("\n", counted, start), start
        lines.append(line)
    return lines


def _item_spans(text: str) -> list[tuple[int, int]]:
    """Start and end of each item of the list in a text that is valid JSON."""
    decoder = json.JSONDecoder()
    position = text.index("[") + 1
    spans = []
    while text[(start := _space_end(text, position))] != "]":
        _, position = decoder.raw_decode(text, start)
        spans.append((start, position))
    return spans


def _space_end(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position
