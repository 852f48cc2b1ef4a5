"""rollout.yaml as plain data with the line of each value, and mistakes in it with the lines that people read.

A value that YAML would change without notice is a mistake: account ids and numbers that it reads in another base, words
that it takes for truth values, keys that are given twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from builders.errors import RolloutFileError
from builders.rollout.config.schema import KeyPath

_MISTAKES_SHOWN = 100
_MOST_DEPTH = 50
"""Levels that ruamel.yaml reads: its time grows with their square, and a file needs six."""
_REPEATED_VALUES = 10_000
"""The number of values that aliases may repeat: a file of a few lines could otherwise stand for billions."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {
    "int": "as a number",
    "float": "as a number",
    "bool": "as a truth value",
    "null": "as nothing",
    "timestamp": "as a date",
}
_TEXT = re.compile(
    r"[yYnN]|[-+]?(\d[\d_]*[eE][-+]?\d+|[\d_]*\.[\d_]*[eE]\d+|\._[\d_]*([eE][-+]?\d+)?)|[-+]_[\d_]*", re.ASCII
)
"""Texts to PyYAML, by which many tools write YAML, that ruamel takes for truth values and numbers."""

_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+", re.ASCII)
_PARAMETERS_BY_TARGET = {"region_parameters", "account_parameters", "place_parameters"}


class Mistake(NamedTuple):
    """A mistake in the value at a path of keys, or in another `file` that rollout.yaml names.

    `line` is given where the path does not lead to it, such as a mistake of syntax or one in another file.
    """

    path: KeyPath
    message: str
    line: int | None = None
    file: str = ""


@dataclass
class Document:
    """The data of a file, the line of each key and item, and what cannot be read.

    A value that cannot be read is None in the data; its path is among those of the mistakes.
    """

    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    _open: set[int] = field(default_factory=set)
    _seen: set[int] = field(default_factory=set)
    _repeated: int = 0

    @classmethod
    def of(cls, text: str) -> Document:
        """Read a text as YAML 1.1, as most tools do. Never raises: what is wrong is among the mistakes."""
        loader = YAML()
        loader.version = (1, 1)
        loader.max_depth = _MOST_DEPTH
        found = cls()
        try:
            root = loader.compose(text)
            if root is None:
                found._wrong((), "the file is empty; begin with tooling: and phases:")
            elif not isinstance(root, MappingNode):
                found._wrong((), "the file must be keys and values, such as tooling: and phases:", 1)
            else:
                found.lines[()] = _line(root)
                found.data = found._value(root, ())
        except (MaxDepthExceededError, RecursionError):  # the latter by aliases of aliases
            found._wrong((), "the file is nested too deeply; rollout.yaml needs six levels")
        except YAMLError as error:
            found.mistakes.append(_syntax_mistake(error, text))
        except (ValueError, AssertionError) as error:  # a character, or a version of YAML, that does not exist
            found._wrong((), f"the file is not YAML: {error}")
        return found

    def _value(self, node: Node, path: KeyPath) -> Any:
        if id(node) in self._open:
            self._wrong(path, "the alias is inside of what it repeats; write the value out")
            return None
        if self._repeats_too_much(node, path):
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node, path)
        self._open.add(id(node))
        if isinstance(node, SequenceNode):
            self.lines |= {(*path, number): _line(item) for number, item in enumerate(node.value)}
            found: Any = [self._value(item, (*path, number)) for number, item in enumerate(node.value)]
        else:
            found = dict(self._entries(node, path))
        self._open.remove(id(node))
        return found

    def _repeats_too_much(self, node: Node, path: KeyPath) -> bool:
        """An alias is the same node once more; aliases of aliases can stand for more values than memory holds."""
        if id(node) in self._seen:
            self._repeated += 1
            if self._repeated == _REPEATED_VALUES:
                self._wrong(path, f"aliases repeat more than {_REPEATED_VALUES:,} values; write them out")
        self._seen.add(id(node))
        return self._repeated >= _REPEATED_VALUES

    def _entries(self, node: Node, path: KeyPath) -> Iterator[tuple[str, Any]]:
        kept: dict[str, tuple[Node, Node]] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._wrong(path, "a key must be a word, not a list or keys of its own", _line(key))
            elif _kind(key) == "merge":
                self._wrong(path, "<< is not read here; write the keys out", _line(key))
            elif key.value in kept:
                message = f"the key is on line {_line(kept[key.value][0])} too; keep one of them"
                self._wrong((*path, key.value), message, _line(key))
            else:
                kept[key.value] = key, value
        for name, (key, value) in kept.items():
            here = (*path, name)
            self.lines[here] = _line(key)
            if _kind(key) != "str":
                self._wrong(here, f'YAML reads the key {_reading(key)}; put it in quotes: "{name}"', _line(key))
            yield name, self._value(value, here)

    def _scalar(self, node: Node, path: KeyPath) -> Any:
        text, kind, is_account = node.value, _kind(node), _ACCOUNT.fullmatch(node.value)
        parameter = "parameters" in path[-2:-1] or not _PARAMETERS_BY_TARGET.isdisjoint(map(str, path[-3:-2]))
        if kind == "str":
            return text
        if kind == "null" and not parameter and not text:
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() if parameter else text.lower() == "true"
        if kind == "int" and _WHOLE.fullmatch(text) and (parameter or not is_account):
            return text if parameter else int(text)
        if kind == "float" and parameter and _DECIMAL.fullmatch(text):
            return text
        if is_account:
            self._wrong(path, f'quote account ids: write "{text}", or YAML reads a number and drops leading zeros')
        elif kind == "null":
            self._wrong(path, 'there is no value; write "" for an empty one')
        else:
            self._wrong(path, f'YAML reads {text} {_reading(node)}; put it in quotes: "{text}"')
        return None

    def _wrong(self, path: KeyPath, message: str, line: int | None = None) -> None:
        self.mistakes.append(Mistake(path, message, line))


def refusal(file: Path, lines: Mapping[KeyPath, int], mistakes: Iterable[Mistake]) -> RolloutFileError:
    """One error with a line for each mistake, in the order of the file."""
    found = []
    for mistake in mistakes:
        line = mistake.line if mistake.line or mistake.file else line_of(mistake.path, lines)
        where = location(mistake.file or str(file), line, mistake.path)
        found.append((mistake.file, line or 0, f"{where}: {mistake.message}"))
    found.sort(key=lambda each: each[:2])
    return all_at_once(sentence for _, _, sentence in found)


def all_at_once(sentences: Iterable[str]) -> RolloutFileError:
    """One error with a line for each sentence, each once; of very many only the first, since nobody reads on."""
    lines = list(dict.fromkeys(sentences))
    more = len(lines) - _MISTAKES_SHOWN
    return RolloutFileError(*lines[:_MISTAKES_SHOWN], *([f"and {more:,} more mistakes"] if more > 0 else []))


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a value; where there is no such value, of the one that lacks it."""
    return next((lines[each] for each in leading(path) if each in lines), None)


def leading(path: KeyPath) -> list[KeyPath]:
    """The path, and those of all that it is a part of."""
    return [path[:length] for length in range(len(path), -1, -1)]


def location(file: str, line: int | None, path: KeyPath) -> str:
    """The file, the line and the keys as a person writes them: rollout.yaml, line 8, phases.dev.regions[0]."""
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return ", ".join(filter(None, [file, f"line {line}" if line else "", keys]))


def _syntax_mistake(error: YAMLError, text: str) -> Mistake:
    at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    position = getattr(error, "position", None)
    line = at.line + 1 if at else text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    if "'\\t'" in problem:
        return Mistake((), "there is a tab where YAML needs spaces; indent with two spaces", line)
    return Mistake((), f"the file is not YAML: {problem}", line)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1


def _kind(node: Node) -> str:
    """The kind that YAML takes a scalar for, such as int; the tag itself where it is no tag of YAML's own."""
    return "str" if _TEXT.fullmatch(str(node.value)) else str(node.tag).removeprefix(_TAG)


def _reading(node: Node) -> str:
    """The kind in a sentence: YAML reads 12:30:00 as a number."""
    return _KINDS.get(_kind(node), f"as {node.tag}")
