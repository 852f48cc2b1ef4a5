"""Template bodies as CloudFormation reads them: JSON, or YAML with its short forms; compared, and evaluated."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from builders.errors import EvaluationError
from builders.evaluate import Evaluated, evaluate


@functools.lru_cache(maxsize=256)
def parse_template(body: str) -> dict[str, Any]:
    """Return a body in JSON or YAML as plain data, which must not be changed.

    Raises `EvaluationError` where it is no template.
    """
    try:
        data = json.loads(body) if body.lstrip().startswith("{") else yaml.load(body, _Loader)  # noqa: S506
    except (ValueError, yaml.YAMLError) as error:
        raise EvaluationError(f"the template is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or not isinstance(data.get("Resources"), dict):
        raise EvaluationError("the template has no Resources")
    return data


class _Loader(yaml.SafeLoader):
    """YAML as CloudFormation reads it: short forms of functions; numbers and dates stay the texts that they are."""


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


def evaluate_template(
    body: str, values: Mapping[str, str], account: str, region: str
) -> tuple[Evaluated, frozenset[str]]:
    """Return what a body says in an account and region, and the names of the exports that it imports there.

    Raises `EvaluationError` where that cannot be computed.
    """
    imports = _AnyExport()
    try:
        found = evaluate(parse_template(body), values, imports=imports, region=region, account=account)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError) as error:
        # Somebody's template: CloudFormation would refuse what evaluate() does not foresee.
        raise EvaluationError(f"a function has other arguments than it takes ({error})") from error
    return found, frozenset(imports)


class _AnyExport(dict[str, str]):
    """Answers Fn::ImportValue for every name with a text that names the export; its keys are the names asked for.

    An imported export cannot change its value, so that the same name is the same value before and after.
    """

    def __contains__(self, name: object) -> bool:
        """Every export exists."""
        return True

    def __missing__(self, name: str) -> str:
        """Return a text that stays in one piece, whatever a template splits it by."""
        plain = re.sub(r"[^A-Za-z0-9]", lambda each: "_" if each[0] == "-" else f"_{ord(each[0]):x}_", name)
        self[name] = f"${{import_{plain}}}"
        return self[name]


@functools.lru_cache(maxsize=256)
def same_template(one: str, other: str) -> bool:
    """Return whether two bodies say the same, whatever their layout."""
    return one == other or parse_template(one) == parse_template(other)


def declared_values(body: str, values: Mapping[str, str]) -> dict[str, str]:
    """The values of all parameters that a template declares, the default where none is given: a value of a parameter
    that the template no longer declares counts for nothing."""
    return {name: values.get(name, default) for name, default in _defaults(body).items()}


@functools.lru_cache(maxsize=256)
def _defaults(body: str) -> dict[str, str]:
    parameters = parse_template(body).get("Parameters", {})
    return {name: str(declaration.get("Default", "")) for name, declaration in parameters.items()}
