"""The contract of a layer: names, the environment suffix, tags, exports and imports are made here and nowhere else.

A layer is a module with `SCOPE`, optionally `AFTER` and `ACTIONS`, its exports as constants, and `build(stack)`:

    SCOPE = Scope.PHASE
    VPC_ID = Export("network", "VpcId", "the VPC of the phase")

    def build(stack: Stack) -> None:
        vpc = stack.add(ec2.VPC("Vpc", CidrBlock=...))
        stack.export(VPC_ID, vpc.ref())
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import troposphere
from troposphere import (
    AWSHelperFn,
    AWSObject,
    Equals,
    Export as ExportName,
    If,
    ImportValue,
    Not,
    NoValue,
    Output,
    Parameter,
    Sub,
    Tags,
    Template,
    iam,
)

from builders import naming, parameters, policies
from builders.errors import LayerError
from builders.scopes import Scope as Scope  # noqa: PLC0414  a layer takes both from here

Resource = TypeVar("Resource", bound=AWSObject)


@dataclass_transform(eq_default=False, frozen_default=True)
class Value:
    """A value of named parts for classes that a build makes on its way: to a type checker a frozen dataclass.

    Python itself keeps nobody from setting a part, and two of the same parts are not equal. It compiles the code of a
    dataclass or a named tuple, which takes thirty times as long as to make this.
    """

    def __init__(self, *parts: Any, **named: Any) -> None:
        names = type(self).__annotations__
        found = dict(zip(names, parts, strict=False)) | named
        lacking = [name for name in names if name not in found and not hasattr(type(self), name)]
        if lacking or len(found) != len(parts) + len(named) or not found.keys() <= names.keys():
            raise TypeError(f"{type(self).__name__} has the parts {', '.join(names)}, each once")
        vars(self).update(found)


class Export(NamedTuple):
    """A value that one layer gives to others of its scope: the layer, the output's name, what it is."""

    layer: str
    name: str
    description: str

    @property
    def physical_name(self) -> Sub:
        """The name in the account and region: it carries the suffix, so that two environments can share both."""
        return Sub(f"{self.layer}-{self.name}-${{{naming.SUFFIX}}}")


class _Contains(AWSHelperFn):
    """Fn::Contains, which troposphere lacks: true where the value is one of the texts. For Rules alone."""

    def __init__(self, texts: list[str], value: Any) -> None:
        self.data = {"Fn::Contains": [texts, value]}


class OwnLayer(Value):
    """A layer of a project's own: its template, and the ACTIONS of its module, None where it has no such constant."""

    template: Mapping[str, Any]
    actions: Collection[str] | None = None


class Stack:
    """A `troposphere.Template` that names, tags and exports in one way.

    Raises `LayerError` where the layer declares a thing twice or tags by itself.
    """

    def __init__(self, layer: str, description: str) -> None:
        self.layer = layer
        self.template = Template(Description=description)
        self.template.set_version()
        self.exports: list[Export] = []
        self.imports: list[Export] = []
        for parameter in parameters.common():
            self.parameter(parameter)

    def parameter(self, parameter: Parameter) -> Parameter:
        """Declare a parameter of the template and return it."""
        title = str(parameter.title)
        if title in self.template.parameters:
            raise LayerError(f"{self.layer}: parameter {title} is declared twice; declare it once and pass it on")
        self.template.add_parameter(parameter)
        return parameter

    def condition(self, name: str, condition: AWSHelperFn) -> str:
        """Declare a condition and return its name. troposphere overwrites a duplicate in silence; this does not."""
        if name in self.template.conditions:
            raise LayerError(f"{self.layer}: condition {name} is declared twice; declare it once and pass its name on")
        self.template.add_condition(name, condition)
        return name

    def rule(self, name: str, assertion: AWSHelperFn, message: str, when: AWSHelperFn | None = None) -> None:
        """Declare an assertion over the parameters, with the sentence that a person reads when it fails."""
        if name in self.template.rules:
            raise LayerError(f"{self.layer}: rule {name} is declared twice; give the second a name of its own")
        rule: dict[str, Any] = {"Assertions": [{"Assert": assertion, "AssertDescription": message}]}
        if when is not None:
            rule["RuleCondition"] = when
        self.template.add_rule(name, rule)

    def log_retention(self) -> Parameter:
        """Declare the days for which logs are kept, which are a year at least where card data is in scope.

        Source: PCI DSS 4.0.1, requirement 10.5.1.
        """
        retention = self.parameter(parameters.log_retention())
        shorter = [str(days) for days in parameters.LOG_RETENTION_DAYS if days < parameters.DAYS_OF_A_YEAR]
        self.rule(
            "LogsAreKeptForAYear",
            Not(_Contains(shorter, retention.ref())),
            f"LogRetentionDays is below {parameters.DAYS_OF_A_YEAR}, and ComplianceScope is "
            f"{parameters.PCI_DSS}, which asks for a year of logs; choose {parameters.DAYS_OF_A_YEAR} or more",
            when=Equals(parameters.reference(naming.COMPLIANCE_SCOPE), parameters.PCI_DSS),
        )
        return retention

    def add(self, resource: Resource) -> Resource:
        """Add a resource, tagged when its type can carry tags, and return it."""
        title = str(resource.title)
        if title in self.template.resources:
            raise LayerError(f"{self.layer}: resource {title} is added twice; logical ids are unique in a template")
        if "Tags" in resource.properties:
            raise LayerError(f"{self.layer}: {title} brings its own tags; leave them to Stack.add")
        if "Tags" in resource.props:
            resource.Tags = self._tags(resource)
        self.template.add_resource(resource)
        return resource

    def name(self, base: str) -> Sub:
        """The physical name for `base`: nothing else puts the environment suffix into a name."""
        return Sub(f"{base}-${{{naming.SUFFIX}}}")

    def output(self, name: str, value: Any, description: str, condition: str | None = None) -> None:
        """Declare an output; with a condition it exists only where the condition holds."""
        self._output(Output(name, Value=value, Description=description), condition)

    def export(self, export: Export, value: Any, condition: str | None = None) -> None:
        """Declare an output that other layers of this scope import."""
        if export.layer != self.layer:
            raise LayerError(
                f"{self.layer}: cannot export {export.name} for layer {export.layer}; each exports its own"
            )
        self.exports.append(export)
        output = Output(export.name, Value=value, Description=export.description)
        output.Export = ExportName(export.physical_name)
        self._output(output, condition)

    def import_value(self, export: Export) -> ImportValue:
        """The value that another layer exports, by the export's constant in that layer's module."""
        if export not in self.imports:
            self.imports.append(export)
        return ImportValue(export.physical_name)

    def bound_roles(self) -> None:
        """Let a parameter limit every role by a permissions boundary, those of layers of one's own, too.

        The execution role makes no role without the boundary that the account demands (`account`).
        """
        roles = [each for each in self.template.resources.values() if isinstance(each, iam.Role)]
        unbound = [role for role in roles if "PermissionsBoundary" not in role.properties]
        if not unbound:
            return
        name = self.parameter(parameters.permissions_boundary())
        bound = self.condition("HasPermissionsBoundary", Not(Equals(name.ref(), "")))
        for role in unbound:
            role.PermissionsBoundary = If(bound, policies.own_policy(f"${{{name.title}}}"), NoValue)

    def describe_itself(self, scope: Scope, after: Collection[str]) -> None:
        """Write into the template where it belongs and which layers it follows: those it imports from, and `after`.

        A rollout reads templates, today's or an old release's, and asks no builder.
        """
        needs = sorted({export.layer for export in self.imports} | set(after))
        self.template.set_metadata({naming.METADATA: {"Scope": scope.name, "Needs": needs}})

    def to_dict(self) -> dict[str, Any]:
        """The template as plain data, its sections in the order in which troposphere writes them.

        Raises whatever troposphere raises for a resource without a property that it needs, or with a wrong one.
        """
        # Each object of troposphere encodes all that is in it, and whoever holds it encodes the result once more.
        encode = troposphere.encode_to_dict
        troposphere.encode_to_dict = _as_it_is  # type: ignore[assignment]
        try:
            template: dict[str, Any] = _plain(self.template.to_dict())
        finally:
            troposphere.encode_to_dict = encode
        return template

    def _output(self, output: Output, condition: str | None) -> None:
        title = str(output.title)
        if title in self.template.outputs:
            raise LayerError(f"{self.layer}: output {title} is declared twice; an export is an output too")
        if condition is not None:
            output.Condition = condition
        self.template.add_output(output)

    def _tags(self, resource: AWSObject) -> Any:
        tags = {
            "Name": self.name(_kebab(str(resource.title))),
            **{tag: parameters.reference(parameter) for tag, parameter in naming.TAGS.items()},
        }
        # A few types (SSM parameters, resolver configurations) take a map where the others take a list.
        return tags if resource.props["Tags"][0] is dict else Tags(**tags)


def _as_it_is(node: Any) -> Any:
    return node


def _plain(node: Any) -> Any:
    """The same as `troposphere.encode_to_dict`, while objects return their content as it is.

    A build asks for some ten thousand nodes: a comprehension is a call more, and `isinstance` looks for a `__class__`.
    """
    while (kind := type(node)) not in _PLAIN:
        if kind is dict:
            plain = {}
            for key, value in node.items():
                plain[key] = value if type(value) is str else _plain(value)
            return plain
        if kind is list or kind is tuple:
            return [value if type(value) is str else _plain(value) for value in node]
        content = getattr(node, "to_dict", None) or getattr(node, "JSONrepr", None)
        if content:
            node = content()
        elif isinstance(node, dict):
            node = dict(node)
        elif isinstance(node, (list, tuple)):
            node = list(node)
        else:
            break
    return node


_PLAIN = frozenset({bool, float, int, str, type(None)})


def _kebab(title: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", title).lower()
