"""The possible values of a template's value: Fn::If, parameters, mappings and texts followed as far as they are known.

A rule may only speak where it knows. Everything that this module cannot follow (an import, an attribute of a
resource, a dynamic reference, a transform, a parameter without a default) becomes `UNKNOWN`, and rules pass over it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from builders.intrinsics import DYNAMIC_REFERENCE
from builders.rules._functions import SUB_NAME, Reference, function_of, reference_of

Path = tuple[str | int, ...]
Scenario = frozenset[tuple[str, bool]]
"""Conditions and the side of each that is taken."""

_MAX_TEXTS = 32  # a text of many parameters with many allowed values is not worth the time
_DYNAMIC_TYPES = ("AWS::SSM::",)  # the default of such a parameter is the name of the value, not the value


class _Mark:
    """A value that is no value: compared by identity, printed by name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNKNOWN = _Mark("UNKNOWN")
"""The template does not say what the value will be."""
ABSENT = _Mark("ABSENT")
"""The property is not given, or is AWS::NoValue."""


@dataclass(frozen=True)
class Value:
    """One thing that a property can be: the node or constant, where it is written, and when.

    `parameter` names the parameter whose default or allowed value this is.
    """

    value: Any
    path: Path
    when: Scenario = frozenset()
    parameter: str | None = field(default=None, compare=False)

    @property
    def source(self) -> str:
        """The words that tell where a constant comes from, to end a message with."""
        return f" (a value of parameter {self.parameter})" if self.parameter else ""


class Resolver:
    """Follows the values of one template. It never raises: what is malformed is UNKNOWN."""

    def __init__(self, parameters: Mapping[str, Any], mappings: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._mappings = mappings

    def branches(self, node: Any, path: Path, when: Scenario = frozenset()) -> Iterator[Value]:
        """The node on each side of its Fn::If, with AWS::NoValue as ABSENT; other functions stay as they are."""
        function, argument = function_of(node)
        if function == "Fn::If" and isinstance(argument, list) and len(argument) == 3:
            condition, *sides = argument
            if isinstance(condition, str):
                for index, side in enumerate(sides, start=1):
                    taken = (condition, index == 1)
                    if (condition, index != 1) not in when:
                        yield from self.branches(side, (*path, "Fn::If", index), when | {taken})
                return
        if function == "Ref" and argument == "AWS::NoValue":
            yield Value(ABSENT, path, when)
        else:
            yield Value(node, path, when)

    def constants(self, node: Any, path: Path, when: Scenario = frozenset()) -> Iterator[Value]:
        """Each constant (text, number, boolean, list, map without function at its top) that the node can be."""
        for branch in self.branches(node, path, when):
            for constant in self._constants_of(branch):
                dynamic = isinstance(constant.value, str) and DYNAMIC_REFERENCE in constant.value
                yield replace(constant, value=UNKNOWN) if dynamic else constant

    def _constants_of(self, branch: Value) -> Iterator[Value]:
        function, argument = function_of(branch.value)
        if function is None:
            yield branch
        elif function == "Ref":
            yield from self._parameter_values(branch, argument)
        elif function == "Fn::FindInMap":
            yield from self._mapped(branch, argument)
        elif function in ("Fn::Sub", "Fn::Join"):
            yield from self._texts(branch)
        elif function == "Fn::Select" and isinstance(argument, list) and len(argument) == 2:
            yield from self._selected(branch, argument)
        else:
            yield replace(branch, value=UNKNOWN)

    def _parameter_values(self, branch: Value, name: Any) -> Iterator[Value]:
        parameter = self._parameters.get(name) if isinstance(name, str) else None
        kind = parameter.get("Type") if isinstance(parameter, dict) else None
        if not isinstance(parameter, dict) or not isinstance(kind, str) or kind.startswith(_DYNAMIC_TYPES):
            yield replace(branch, value=UNKNOWN)
            return
        allowed = parameter.get("AllowedValues")
        if isinstance(allowed, list) and allowed:
            values = allowed
        elif "Default" in parameter:
            values = [parameter["Default"]]
        else:
            values = [UNKNOWN]
        is_list = kind == "CommaDelimitedList" or kind.startswith("List<")
        for value in values:
            yield replace(branch, value=_as_list(value) if is_list else value, parameter=name)

    def _mapped(self, branch: Value, argument: Any) -> Iterator[Value]:
        if not isinstance(argument, list) or len(argument) < 3:
            yield replace(branch, value=UNKNOWN)
            return
        found: list[Any] = [self._mappings]
        for key in argument[:3]:
            maps = [entry for entry in found if isinstance(entry, dict)]
            if isinstance(key, str):
                found = [entry[key] for entry in maps if key in entry]
            else:
                found = [value for entry in maps for value in entry.values()]
        yield from (replace(branch, value=value) for value in found)
        if found and all(isinstance(key, str) for key in argument[:3]):
            return
        last = argument[3] if len(argument) == 4 else None
        if isinstance(last, dict) and "DefaultValue" in last:
            yield from self.constants(last["DefaultValue"], branch.path, branch.when)
        elif not found:
            yield replace(branch, value=UNKNOWN)

    def _texts(self, branch: Value) -> Iterator[Value]:
        choices: list[list[Value]] = []
        for piece in self.pieces(branch.value):
            if isinstance(piece, str):
                choices.append([replace(branch, value=piece)])
            elif isinstance(piece, Reference) and piece.attribute is None:
                choices.append(list(self._parameter_values(branch, piece.name)))
            else:
                yield replace(branch, value=UNKNOWN)
                return
        for combination in itertools.islice(itertools.product(*choices), _MAX_TEXTS):
            if all(isinstance(part.value, (str, int, float)) for part in combination):
                parameter = next((part.parameter for part in combination if part.parameter), None)
                text = "".join(str(part.value) for part in combination)
                yield replace(branch, value=text, parameter=parameter)
            else:
                yield replace(branch, value=UNKNOWN)

    def _selected(self, branch: Value, argument: list[Any]) -> Iterator[Value]:
        index, items = argument
        for value in self.constants(items, branch.path, branch.when):
            position = int(index) if isinstance(index, (str, int)) and str(index).isdecimal() else -1
            if isinstance(value.value, list) and 0 <= position < len(value.value):
                for constant in self.constants(value.value[position], branch.path, value.when):
                    yield replace(constant, parameter=constant.parameter or value.parameter)
            else:
                yield replace(branch, value=UNKNOWN, when=value.when)

    def pieces(self, node: Any) -> list[Any]:
        """A text as the parts that it is joined of: `str`, `Reference`, or UNKNOWN."""
        if isinstance(node, (str, int, float)) and not isinstance(node, bool):
            return [str(node)]
        function, argument = function_of(node)
        if function in ("Ref", "Fn::GetAtt"):
            return [reference_of(node) or UNKNOWN]
        if function == "Fn::Sub":
            return self._sub_pieces(argument)
        if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:
            delimiter, items = argument
            if isinstance(delimiter, str) and isinstance(items, list):
                joined = [[delimiter] * (index > 0) + self.pieces(item) for index, item in enumerate(items)]
                return _merged([piece for part in joined for piece in part])
        return [UNKNOWN]

    def _sub_pieces(self, argument: Any) -> list[Any]:
        text, given = argument, {}
        if isinstance(argument, list) and len(argument) == 2 and isinstance(argument[1], dict):
            text, given = argument
        if not isinstance(text, str):
            return [UNKNOWN]
        pieces: list[Any] = []
        for index, part in enumerate(SUB_NAME.split(text)):
            if index % 2 == 0:
                pieces += [part.replace("${!", "${")] if part else []
            elif part in given:
                pieces += self.pieces(given[part])
            else:
                name, _, attribute = part.strip().partition(".")
                pieces.append(Reference(name, attribute or None))
        return pieces


def _merged(pieces: list[Any]) -> list[Any]:
    """The pieces with texts that stand beside each other made one, and without empty ones."""
    found: list[Any] = []
    for piece in pieces:
        if isinstance(piece, str) and found and isinstance(found[-1], str):
            found[-1] += piece
        elif piece != "":
            found.append(piece)
    return found


def _as_list(value: Any) -> Any:
    """The list that a list parameter makes of its text."""
    if not isinstance(value, str):
        return value
    return [item.strip() for item in value.split(",")] if value.strip() else []
