"""A template's body as plain data, evaluated with the parameters of a place."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from builders.errors import EvaluationError
from builders.evaluate import Evaluated, evaluate
from builders.rollout.model import Place, Values


class _AnyExport(Mapping[str, str]):
    """Answers Fn::ImportValue for every name with a text that names the export, and keeps which were asked for.

    An export that is imported cannot change its value, so that the same name is the same value before and after.
    """

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def __contains__(self, name: object) -> bool:
        """Every export is there."""
        return isinstance(name, str)

    def __getitem__(self, name: str) -> str:
        """Return the text that stands for the export: in one piece, whatever a template splits it by."""
        self.asked.add(name)
        plain = re.sub(r"[^A-Za-z0-9]", lambda each: "_" if each[0] == "-" else f"_{ord(each[0]):x}_", name)
        return f"${{import_{plain}}}"

    def __iter__(self) -> Iterator[str]:
        """Return the names that were asked for."""
        return iter(self.asked)

    def __len__(self) -> int:
        """Return how many names were asked for."""
        return len(self.asked)


def evaluated(template: str, values: Values, place: Place) -> tuple[Evaluated, frozenset[str]]:
    """Return what a body says at a place, and the names of the exports that it imports there.

    Raises EvaluationError where that cannot be computed.
    """
    imports = _AnyExport()
    try:
        found = evaluate(parsed(template), values, imports=imports, region=place.region, account=place.account)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Somebody's template: CloudFormation would refuse what evaluate() does not foresee.
        raise EvaluationError(f"a function has other arguments than it takes ({error})") from error
    return found, frozenset(imports.asked)


@functools.lru_cache(maxsize=128)
def parsed(template: str) -> dict[str, Any]:
    """Return a body as plain data, which is not to be changed. Raises EvaluationError where it is no template."""
    try:
        data = json.loads(template) if template.lstrip().startswith("{") else yaml.load(template, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise EvaluationError(f"the template is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or not isinstance(data.get("Resources"), dict):
        raise EvaluationError("the template has no Resources")
    return data


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms of functions, and numbers and dates as the texts that they are."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _short_form(loader: _Loader, name: str, node: yaml.Node) -> dict[str, Any]:
    argument: Any
    if isinstance(node, yaml.MappingNode):
        argument = loader.construct_mapping(node, deep=True)
    elif isinstance(node, yaml.SequenceNode):
        argument = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.ScalarNode)
        argument = loader.construct_scalar(node)
    if name == "GetAtt" and isinstance(argument, str):
        argument = argument.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": argument}


_Loader.add_multi_constructor("!", _short_form)
