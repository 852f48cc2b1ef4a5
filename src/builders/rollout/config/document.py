"""rollout.yaml as plain data with the line of each value, and mistakes in it with the lines that people read.

A value that YAML would change without notice is a mistake: account ids and numbers that it reads in another base, words
that it takes for truth values, keys that are given twice.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import MaxDepthExceededError
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode

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
    return RolloutFileError(
        "\n".join([*lines[:_MISTAKES_SHOWN], *([f"and {more:,} more mistakes"] if more > 0 else [])])
    )


def line_of(path: KeyPath, lines: Mapping[KeyPath, int]) -> int | None:
    """The line of a value; where there is no such value, of the one that lacks it."""
    return next((lines[path[:length]] for length in range(len(path), -1, -1) if path[:length] in lines), None)


def location(file: str, line: int | None, path: KeyPath) -> str:
    """The file, the line and the keys as a person writes them: rollout.yaml, line 8, phases.dev.regions[0]."""
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    return ", ".join(filter(None, [file, f"line {line}" if line else "", keys]))


def read_document(text: str) -> Document:
    """Read a text as YAML 1.1, as most tools do. Never raises: what is wrong is among the mistakes."""
    loader = YAML()
    loader.version = (1, 1)
    loader.max_depth = _MOST_DEPTH
    loader.Constructor = _Constructor
    found = Document()
    try:
        root = loader.load(text)
        if root is None:
            found.mistakes.append(Mistake((), "the file is empty; begin with tooling: and phases:"))
        elif not isinstance(root, CommentedMap):
            found.mistakes.append(Mistake((), "the file must be keys and values, such as tooling: and phases:", 1))
        else:
            found.lines[()] = root.lc.line + 1
            found.data = _Reader(found, loader.constructor.wrong_keys).value(root, ())
    except (MaxDepthExceededError, RecursionError):  # the latter by a list that holds itself through an alias
        found.mistakes.append(Mistake((), "the file is nested too deeply; rollout.yaml needs six levels"))
    except YAMLError as error:
        found.mistakes.append(_syntax_mistake(error, text))
    except ValueError as error:  # an escape for a character that does not exist, such as "\U00110000"
        found.mistakes.append(Mistake((), f"the file is no YAML: {error}"))
    return found


def _syntax_mistake(error: YAMLError, text: str) -> Mistake:
    at = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    position = getattr(error, "position", None)
    line = at.line + 1 if at else text.count("\n", 0, position) + 1 if isinstance(position, int) else None
    if "'\\t'" in problem:
        return Mistake((), "there is a tab where YAML needs spaces; indent with two spaces", line)
    return Mistake((), f"the file is no YAML: {problem}", line)


class _Scalar(str):
    """A scalar as it is written, and the tag of the kind that YAML takes it for."""

    tag: str

    @property
    def kind(self) -> str:
        return self.tag.removeprefix(_TAG)

    @property
    def reading(self) -> str:
        """The kind in a sentence: YAML reads 12:30:00 as a number."""
        return _KINDS.get(self.kind, f"as {self.tag}")

    @property
    def is_account(self) -> bool:
        return bool(re.fullmatch(r"\d{12}", self, re.ASCII))


class _Constructor(RoundTripConstructor):
    """Makes CommentedMap and CommentedSeq of every collection, whatever its tag, and _Scalar of every scalar.

    `wrong_keys` has the mistakes of keys that are left out, by the id of their CommentedMap, from where paths begin.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.wrong_keys: defaultdict[int, list[Mistake]] = defaultdict(list)

    def construct_object(self, node: Node, deep: bool = False) -> Any:
        """Construct one value. An alias inside of what it repeats becomes None, which nothing else does."""
        if isinstance(node, ScalarNode):
            scalar = _Scalar(node.value)
            scalar.tag = f"{_TAG}str" if _TEXT.fullmatch(node.value) else str(node.tag)
            return self.constructed_objects.setdefault(node, scalar)
        node.tag = f"{_TAG}map" if isinstance(node, MappingNode) else f"{_TAG}seq"
        return super().construct_object(node, deep=True)

    def flatten_mapping(self, node: Node) -> None:
        """Leave merge keys where they are."""

    def check_mapping_key(self, node: Node, key_node: Node, mapping: CommentedMap, key: Any, value: Any) -> bool:
        """Tell whether a key goes into the mapping."""
        path: KeyPath
        if not isinstance(key, _Scalar):
            path, message = (), "a key must be a word, not a list or keys of its own"
        elif key.kind == "merge":
            path, message = (), "<< is not read here; write the keys out"
        elif key in mapping:
            path, message = (str(key),), f"the key is on line {mapping.lc.key(key)[0] + 1} too; keep one of them"
        else:
            return True
        self.wrong_keys[id(mapping)].append(Mistake(path, message, key_node.start_mark.line + 1))
        return False


class _Reader:
    """Turns what the constructor made into plain data, and notes the line of each value."""

    def __init__(self, document: Document, wrong_keys: Mapping[int, list[Mistake]]) -> None:
        self._document = document
        self._wrong_keys = wrong_keys
        self._seen: set[int] = set()
        self._repeated = 0

    def value(self, found: CommentedMap | CommentedSeq | _Scalar | None, path: KeyPath) -> Any:
        if found is None:
            self._wrong(path, "the alias is inside of what it repeats; write the value out")
            return None
        if self._repeats_too_much(found, path):
            return None
        if isinstance(found, _Scalar):
            return self._scalar(found, path)
        if isinstance(found, CommentedMap):
            return dict(self._entries(found, path))
        lines = self._document.lines
        lines.update({(*path, number): found.lc.item(number)[0] + 1 for number in range(len(found))})
        return [self.value(item, (*path, number)) for number, item in enumerate(found)]

    def _repeats_too_much(self, found: CommentedMap | CommentedSeq | _Scalar, path: KeyPath) -> bool:
        """An alias is the same object once more; aliases of aliases can stand for more values than memory holds."""
        if id(found) in self._seen:
            self._repeated += 1
            if self._repeated == _REPEATED_VALUES:
                self._wrong(path, f"aliases repeat more than {_REPEATED_VALUES:,} values; write them out")
        self._seen.add(id(found))
        return self._repeated >= _REPEATED_VALUES

    def _entries(self, found: CommentedMap, path: KeyPath) -> Iterator[tuple[str, Any]]:
        for mistake in self._wrong_keys.get(id(found), ()):
            self._wrong((*path, *mistake.path), mistake.message, mistake.line)
        for key, value in found.items():
            here, line = (*path, str(key)), found.lc.key(key)[0] + 1
            self._document.lines[here] = line
            if key.kind != "str":
                self._wrong(here, f'YAML reads the key {key.reading}; put it in quotes: "{key}"', line)
            yield str(key), self.value(value, here)

    def _scalar(self, found: _Scalar, path: KeyPath) -> Any:
        text, kind = str(found), found.kind
        parameter = "parameters" in path[-2:-1] or not _PARAMETERS_BY_TARGET.isdisjoint(map(str, path[-3:-2]))
        if kind == "str":
            return text
        if kind == "null" and not parameter and not text:
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() if parameter else text.lower() == "true"
        if kind == "int" and _WHOLE.fullmatch(text) and (parameter or not found.is_account):
            return text if parameter else int(text)
        if kind == "float" and parameter and _DECIMAL.fullmatch(text):
            return text
        if found.is_account:
            self._wrong(path, f'quote account ids: write "{found}", or YAML reads a number and drops leading zeros')
        elif kind == "null":
            self._wrong(path, 'there is no value; write "" for an empty one')
        else:
            self._wrong(path, f'YAML reads {found} {found.reading}; put it in quotes: "{found}"')
        return None

    def _wrong(self, path: KeyPath, message: str, line: int | None = None) -> None:
        self._document.mistakes.append(Mistake(path, message, line))
