"""A mistake in rollout.yaml as a value, and the line that a person reads.

Turns the text of rollout.yaml into plain data, by way of YAML's node graph: each value keeps its line.

What YAML would change behind a person's back is a mistake here: account ids and numbers that it reads in another base,
words that it takes for truth values, keys that stand twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from builders.errors import RolloutFileError
from builders.rollout.config.schema import KeyPath

_TOLD_AT_ONCE = 100


class Mistake(NamedTuple):
    """What is wrong with the value at a path of keys. `file` is told where it is not rollout.yaml itself.

    `line` is known where the mistake is no key's, such as one of YAML's own or of another file.
    """

    path: KeyPath
    message: str
    line: int | None = None
    file: str = ""


def refusal(file: Path, lines: Mapping[KeyPath, int], mistakes: Iterable[Mistake]) -> RolloutFileError:
    """One error with a line for each mistake, in the order of the file."""
    placed = [(_line(mistake, lines), mistake) for mistake in mistakes]
    placed.sort(key=lambda found: (found[1].file, found[0] or 0))
    return all_at_once(_sentence(file, line, mistake) for line, mistake in placed)


def all_at_once(sentences: Iterable[str]) -> RolloutFileError:
    """One error with a line for each sentence, each once; of very many only the first, since nobody reads on."""
    lines = list(dict.fromkeys(sentences))
    more = len(lines) - _TOLD_AT_ONCE
    return RolloutFileError("\n".join([*lines[:_TOLD_AT_ONCE], *([f"and {more:,} more mistakes"] if more > 0 else [])]))


def _line(mistake: Mistake, lines: Mapping[KeyPath, int]) -> int | None:
    return mistake.line if mistake.line or mistake.file else line_of(mistake.path, lines)


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a value; of the one that it is missing in when it is not there."""
    for length in range(len(path), -1, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def dotted(path: KeyPath) -> str:
    """The keys as a person writes them: phases.dev.regions[0]."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _sentence(file: Path, line: int | None, mistake: Mistake) -> str:
    target = [mistake.file or str(file), f"line {line}" if line else "", dotted(mistake.path)]
    return f"{', '.join(part for part in target if part)}: {mistake.message}"


_REPEATED_VALUES = 10_000
"""How many values aliases may repeat: a file of a few lines could otherwise stand for billions."""

_YAML = "tag:yaml.org,2002:"
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+", re.ASCII)
_TABLES = {"region_parameters", "account_parameters", "place_parameters"}


@dataclass
class Document:
    """What a file says: its data, the line of each key and item, and what cannot be read.

    A value that cannot be read stands in the data as None; its path is among those of the mistakes.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)


def read_document(text: str) -> Document:
    """Read a text as YAML. Never raises: what is wrong is among the mistakes."""
    found = Document()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            found.mistakes.append(Mistake((), "the file is empty; begin with tooling: and phases:"))
        elif not isinstance(root, MappingNode):
            found.mistakes.append(Mistake((), "the file must be keys and values, such as tooling: and phases:", 1))
        else:
            _Reader(found).read(root)
    except yaml.YAMLError as error:
        found.mistakes.append(_of_yaml(error, text))
    except RecursionError:
        found.mistakes.append(Mistake((), "the file is nested too deeply; rollout.yaml needs six levels"))
    except ValueError as error:  # PyYAML on escapes for characters that do not exist, such as "\U00110000"
        found.mistakes.append(Mistake((), f"the file is no YAML: {error}"))
    return found


def _of_yaml(error: yaml.YAMLError, text: str) -> Mistake:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    position = getattr(error, "position", None)
    line = mark.line + 1 if mark else text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    if "'\\t'" in problem:
        return Mistake((), "a tab stands where YAML wants spaces; indent with two spaces", line)
    return Mistake((), f"the file is no YAML: {problem}", line)


class _Reader:
    """Walks the nodes of one document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._repeated = 0

    def read(self, root: Node) -> None:
        self._document.data = self._value(root, ())

    def _value(self, node: Node, path: KeyPath) -> Any:
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        if self._is_too_much(node, path):
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        try:
            if isinstance(node, MappingNode):
                return dict(self._entries(node, path))
            return [self._value(item, (*path, number)) for number, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))

    def _is_too_much(self, node: Node, path: KeyPath) -> bool:
        """An alias is the same node once more. One that stands in itself would never end, nested ones almost never."""
        if id(node) in self._open:
            self._wrong(path, "the alias stands in what it repeats; write the value out")
            return True
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated == _REPEATED_VALUES:
                self._wrong(path, f"aliases repeat more than {_REPEATED_VALUES:,} values; write them out")
        self._seen.add(id(node))
        return self._repeated >= _REPEATED_VALUES

    def _entries(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Any]]:
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = self._key(key_node, path, line)
            if key is None:
                continue
            if key in lines:
                self._wrong((*path, key), f"the key stands on line {lines[key]} too; keep one of them", line)
                continue
            lines[key] = self._document.lines[*path, key] = line
            yield key, self._value(value_node, (*path, key))

    def _key(self, node: Node, path: KeyPath, line: int) -> str | None:
        if not isinstance(node, ScalarNode):
            self._wrong(path, "a key must be a word, not a list or keys of its own", line)
            return None
        if node.tag == f"{_YAML}merge":
            self._wrong(path, "<< is not read here; write the keys out", line)
            return None
        if node.tag != f"{_YAML}str":
            self._wrong(
                (*path, node.value), f'YAML reads the key {_kind(node)}; put it in quotes: "{node.value}"', line
            )
        return str(node.value)

    def _scalar(self, node: ScalarNode, path: KeyPath) -> Any:
        text, kind = str(node.value), node.tag.removeprefix(_YAML)
        parameter = "parameters" in path[-2:-1] or not _TABLES.isdisjoint(map(str, path[-3:-2]))
        if kind == "str":
            return text
        if kind == "null" and not parameter and not text:
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() if parameter else text.lower() == "true"
        if kind == "int" and _WHOLE.fullmatch(text) and (parameter or not _is_account(text)):
            return text if parameter else int(text)
        if kind == "float" and parameter and _DECIMAL.fullmatch(text):
            return text
        self._wrong(path, _advice(node, text))
        return None

    def _wrong(self, path: KeyPath, message: str, line: int | None = None) -> None:
        self._document.mistakes.append(Mistake(path, message, line))


def _advice(node: ScalarNode, text: str) -> str:
    if _is_account(text):
        return f'quote account ids: write "{text}", or YAML reads a number and drops leading zeros'
    if node.tag == f"{_YAML}null":
        return 'there is no value; write "" for an empty one'
    return f'YAML reads {text} {_kind(node)}; put it in quotes: "{text}"'


def _is_account(text: str) -> bool:
    return bool(re.fullmatch(r"\d{12}", text, re.ASCII))


def _kind(node: ScalarNode) -> str:
    """How YAML 1.1 understands a plain word."""
    kinds = {
        "int": "as a number",
        "float": "as a number",
        "bool": "as a truth value",
        "null": "as nothing",
        "timestamp": "as a date",
    }
    return kinds.get(node.tag.removeprefix(_YAML), f"as {node.tag}")
