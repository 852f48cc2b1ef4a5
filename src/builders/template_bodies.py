"""Template bodies as CloudFormation reads them: JSON, or YAML with its short forms; compared, and evaluated."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from builders.errors import EvaluationError
from builders.evaluate import Evaluated, evaluate, no_echo_parameters
from builders.intrinsics import arguments
from builders.naming import LASTING_PARAMETERS
from builders.scopes import Target

_DELETE = "delete it by `aws cloudformation delete-stack`"
REPAIRS = {
    "CREATE_FAILED": _DELETE,
    "DELETE_FAILED": _DELETE,
    "ROLLBACK_FAILED": _DELETE,
    "UPDATE_FAILED": "roll it back by `aws cloudformation rollback-stack`",
    "UPDATE_ROLLBACK_FAILED": "repair what its events name, then `aws cloudformation continue-update-rollback`",
}
"""Statuses in which CloudFormation refuses an update, and what leads out of them (CloudFormation user guide, "Stack
status codes"). A rollback that was turned off leaves the first and the fourth (ansible-collections/amazon.aws#1655)."""


@dataclass(frozen=True)
class DeployedStack:
    """A stack with its template, as its own account shows it. `outputs` by the template's names, `id` is its ARN; with
    termination protection it is `protected`."""

    template: str
    parameters: Mapping[str, str]
    status: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default="", compare=False)
    protected: bool = False

    def was_given(self, template: str) -> bool:
        """Return whether the last operation on the stack is over, none failed, and it has this template."""
        return self.status.endswith("_COMPLETE") and same_template(self.template, template)


@dataclass(frozen=True)
class PlainStack:
    """One plain stack: its account and region, its name, and what it is deployed with."""

    layer: str
    target: Target
    name: str
    template: str
    values: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def declared(self) -> Mapping[str, Any]:
        """The parameters of the template."""
        return declared_parameters(self.template)

    @property
    def missing(self) -> list[str]:
        """The parameters that have neither a value nor a default."""
        return [name for name, each in self.declared.items() if name not in self.values and "Default" not in each]

    def __str__(self) -> str:
        """Return the form that reports use."""
        return f"{self.name} in {self.target}"


def digest(content: str | bytes) -> str:
    """The SHA-256 of a text, in hexadecimal, by which templates are stored and compared."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


@functools.lru_cache(maxsize=256)
def parse_template(body: str) -> dict[str, Any]:
    """Return a body in JSON or YAML as plain data, which must not be changed, and whose sections have their form.

    Raises `EvaluationError` where it is no template.
    """
    try:
        data = json.loads(body) if body.lstrip().startswith("{") else _read_yaml(body)
        _require_plain(data)
    except ValueError as error:
        raise EvaluationError(f"the template is neither JSON nor YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise EvaluationError("the template is nested too deeply; CloudFormation reads a hundred levels") from error
    if not isinstance(data, dict) or not isinstance(data.get("Resources"), dict):
        raise EvaluationError("the template has no Resources")
    for wrong in _misshapen(data):
        raise EvaluationError(f"the template's {wrong}")
    return data


_MOST_LEVELS = 100
_MOST_VALUES = 500_000
"""Most values of a template of 1 MB; aliases of aliases could stand for billions."""


def _require_plain(data: Any) -> None:
    """Raise `ValueError` unless every value is one that JSON has, of a size that a template can have."""
    count = 0
    level = [data]
    for _ in range(_MOST_LEVELS):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below += [*node, *node.values()]
                if not all(isinstance(key, str) for key in node):
                    raise ValueError("a key is not a text")
            elif isinstance(node, list):
                below += node
            elif isinstance(node, float) and not math.isfinite(node):
                raise ValueError("a number is not finite")
            elif isinstance(node, str) and not node.isascii() and any("\ud800" <= each <= "\udfff" for each in node):
                raise ValueError("a text has half a surrogate pair")
        count += len(below)
        if count > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_VALUES:,} values")
        if not below:
            return
        level = below
    raise RecursionError


def _misshapen(data: Mapping[str, Any]) -> Iterator[str]:
    """Sentences about parts without which nothing can be read from a template: CloudFormation refuses them as well.

    What a macro puts in the place of a part (`Fn::Transform`) is passed over.
    """
    for section in ("Metadata", "Parameters", "Mappings", "Conditions", "Rules", "Resources", "Outputs"):
        if not isinstance(data.get(section, {}), dict):
            yield f"{section} must be an object"
            return
    for name, table in data.get("Mappings", {}).items():
        if not isinstance(table, dict) or not all(isinstance(row, dict) for row in table.values()):
            yield f"Mappings.{name} must be an object of objects"
    for section, check in (
        ("Parameters", _wrong_parameter),
        ("Rules", _wrong_rule),
        ("Resources", _wrong_resource),
        ("Outputs", _wrong_output),
    ):
        for name, body in data.get(section, {}).items():
            if name == "Fn::Transform" and isinstance(body, dict):
                continue
            if wrong := "must be an object" if not isinstance(body, dict) else check(body):
                yield f"{section}.{name} {wrong}"


_NUMBERS = ("MinLength", "MaxLength", "MinValue", "MaxValue")
_SCALAR = (str, int, float)


def _wrong_parameter(body: Mapping[str, Any]) -> str:
    if not isinstance(body.get("Type"), str):
        return "needs a Type"
    for name in ("AllowedPattern", "ConstraintDescription", "Description"):
        if not isinstance(body.get(name, ""), str):
            return f"must have a text as its {name}"
    for name in ("Default", "NoEcho", *_NUMBERS):
        if not isinstance(body.get(name, ""), _SCALAR):
            return f"must have a text or a number as its {name}"
    for name in _NUMBERS:
        try:
            float(body.get(name, 0))
        except (ValueError, OverflowError):
            return f"must have a number as its {name}"
    allowed = body.get("AllowedValues", [])
    if not isinstance(allowed, list) or not all(isinstance(each, _SCALAR) for each in allowed):
        return "must have a list of texts as its AllowedValues"
    return ""


def _wrong_rule(body: Mapping[str, Any]) -> str:
    assertions = body.get("Assertions")
    if not isinstance(assertions, list):
        return "needs a list of Assertions"
    for each in assertions:
        if not isinstance(each, dict) or "Assert" not in each or not isinstance(each.get("AssertDescription", ""), str):
            return "must have an object with Assert as each of its Assertions"
    return ""


def _wrong_resource(body: Mapping[str, Any]) -> str:
    if not isinstance(body.get("Type"), str):
        return "needs a Type"
    if not isinstance(body.get("Properties", {}), dict):
        return "must have an object as its Properties"
    for name in ("Condition", "DeletionPolicy", "UpdateReplacePolicy"):
        if not isinstance(body.get(name, ""), str):
            return f"must have a text as its {name}"
    needs = body.get("DependsOn", [])
    if not isinstance(needs, str) and not (isinstance(needs, list) and all(isinstance(each, str) for each in needs)):
        return "must have a logical id or a list of them as its DependsOn"
    return ""


def _wrong_output(body: Mapping[str, Any]) -> str:
    if "Value" not in body:
        return "needs a Value"
    if not isinstance(body.get("Condition", ""), str):
        return "must have a text as its Condition"
    export = body.get("Export", {"Name": ""})
    return "" if isinstance(export, dict) and "Name" in export else "must have an object with Name as its Export"


def _read_yaml(body: str) -> Any:
    """A body in YAML as plain data. Raises `ValueError`."""
    import yaml  # noqa: PLC0415  a megabyte that templates in JSON do not need

    try:
        return yaml.load(body, _yaml_loader())  # noqa: S506  it extends SafeLoader
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


@functools.cache
def _yaml_loader() -> Any:
    """YAML as CloudFormation reads it: short forms of functions; numbers and dates stay the texts that they are."""
    import yaml  # noqa: PLC0415  see above

    class Loader(yaml.SafeLoader):
        pass

    Loader.yaml_implicit_resolvers = {
        letter: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] in ("bool", "null", "merge")]
        for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def short_form(loader: Loader, name: str, node: yaml.Node) -> dict[str, Any]:
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

    Loader.add_multi_constructor("!", short_form)
    return Loader


def evaluate_template(
    body: str, values: Mapping[str, str], account: str, region: str
) -> tuple[Evaluated, frozenset[str]]:
    """Return what a body says in an account and region, and the names of the exports that it imports there.

    Raises `EvaluationError` where that cannot be computed.
    """
    imports = _AnyExport()
    found = evaluate(parse_template(body), values, imports=imports, region=region, account=account)
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


def declared_parameters(body: str) -> Mapping[str, Mapping[str, Any]]:
    """The declarations of a template's parameters, by name."""
    found: Mapping[str, Mapping[str, Any]] = parse_template(body).get("Parameters", {})
    return found


def lasting_values(body: str, deployed: object) -> dict[str, str]:
    """Values of a deployed stack that no service takes back, of those parameters that another template declares."""
    if not isinstance(deployed, DeployedStack):
        return {}
    names = LASTING_PARAMETERS & declared_parameters(body).keys() & deployed.parameters.keys()
    return {name: deployed.parameters[name] for name in sorted(names)}


LEAVING = ("Retain", "RetainExceptOnCreate", "Snapshot")
"""DeletionPolicy attributes that leave something (CloudFormation user guide, "DeletionPolicy attribute")."""


def deletion_policy(resource: Mapping[str, Any]) -> str:
    """The DeletionPolicy of a resource in a template; databases are kept as snapshots unless it says otherwise
    (CloudFormation user guide, "DeletionPolicy attribute")."""
    alone = resource["Type"] == "AWS::RDS::DBInstance" and not resource.get("Properties", {}).get("DBClusterIdentifier")
    default = "Snapshot" if alone or resource["Type"] == "AWS::RDS::DBCluster" else "Delete"
    return str(resource.get("DeletionPolicy") or default)


def has_transform(template: Mapping[str, Any]) -> bool:
    """Return whether a template, as plain data, asks for a transform or a macro anywhere."""
    return "Transform" in template or any(True for _ in arguments(template, "Fn::Transform"))


_ACCOUNT = re.compile(r"(?<!\d)\d{12}(?!\d)")


def deciding_target(target: Target, *bodies: str) -> Target:
    """Return the part of a target on which the bodies depend: mostly an account changes names and no effect."""
    return target if any(map(_differs_by_account, bodies)) else Target("", target.region)


@functools.lru_cache(maxsize=256)
def _differs_by_account(body: str) -> bool:
    """Return whether what a body says in two accounts differs by more than their numbers: it has a number of an account
    of its own, or the account decides on a condition or an export's name."""
    try:
        template = parse_template(body)
    except EvaluationError:
        return False
    exports = [each.get("Export") for each in template.get("Outputs", {}).values()]
    deciding = json.dumps([template.get("Conditions"), exports])
    return "AWS::AccountId" in deciding or bool(_ACCOUNT.search(body))


@functools.lru_cache(maxsize=256)
def same_template(one: str, other: str) -> bool:
    """Return whether two bodies say the same, whatever their layout."""
    return one == other or parse_template(one) == parse_template(other)


def declared_values(body: str, values: Mapping[str, str]) -> dict[str, str]:
    """The values of all parameters that a template declares, the default where none is given: a value of a parameter
    that the template no longer declares counts for nothing."""
    return {name: values.get(name, default) for name, default in _defaults(body).items()}


def comparable_values(body: str, values: Mapping[str, str]) -> dict[str, str]:
    """The `declared_values` that can be compared with those of a stack or stack set: CloudFormation shows asterisks for
    those of NoEcho parameters (user guide, "Parameters section")."""
    return {name: value for name, value in declared_values(body, values).items() if name not in _hidden(body)}


@functools.lru_cache(maxsize=256)
def _hidden(body: str) -> frozenset[str]:
    return frozenset(no_echo_parameters(parse_template(body)))


@functools.lru_cache(maxsize=256)
def _defaults(body: str) -> dict[str, str]:
    return {name: str(each.get("Default", "")) for name, each in declared_parameters(body).items()}
