"""Writes scripts that make given templates without Stackferry: the plain ways against which its build is measured.

A script is what somebody would write by hand, with loops unrolled: resources one after the other by the classes of
their services, references by troposphere's functions, policies as awacs documents. The script in AWS CDK has the same
resources as level 1 constructs.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import awacs.aws
import troposphere

Template = Mapping[str, Any]

_SPREAD = ("And", "Cidr", "Equals", "FindInMap", "GetAtt", "If", "Join", "Not", "Or", "Select", "Split", "Sub")
"""Intrinsic functions whose list of arguments troposphere takes as arguments."""
_FUNCTIONS = {
    **{name: name for name in ("Ref", "Condition")},
    **{f"Fn::{name}": name for name in (*_SPREAD, "Base64", "GetAZs", "ImportValue")},
}
_MODULES = {"lambda": "awslambda"}
_ATTRIBUTES = ("Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata")
_SECTIONS = {"AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Mappings", "Conditions", "Rules"}
_MAIN = """import sys
from pathlib import Path

{imports}

for name, template in {templates}:
    Path(sys.argv[1], name + ".json").write_text(template.to_json())
"""


def write_troposphere(templates: Mapping[str, Template], folder: Path) -> Path:
    """Write a module for each template and a script that dumps them all; return the script.

    The script takes the folder to write into: `python script.py FOLDER`. Raises `ValueError` for a template with a
    resource that troposphere does not know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, template in templates.items():
        (folder / f"made_{name}.py").write_text(_Module().source(template), encoding="utf-8")
    script = folder / "script.py"
    listed = ", ".join(f"({name!r}, made_{name}.template)" for name in templates)
    imports = "\n".join(f"import made_{name}" for name in templates)
    script.write_text(_MAIN.format(imports=imports, templates=f"[{listed}]"), encoding="utf-8")
    return script


def write_cdk(templates: Mapping[str, Template], folder: Path) -> Path:
    """Write a script for node with a stack for each template, its resources as `CfnResource`; return the script.

    The script takes the folder to write into: `node script.js FOLDER`; aws-cdk-lib is required from beside it. Only
    resources are compared: parameters, conditions and outputs are left out of the stacks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "const cdk = require('aws-cdk-lib');",
        "const app = new cdk.App({outdir: process.argv[2], analyticsReporting: false});",
    ]
    for name, template in templates.items():
        stack = f"stack_{name}"
        title = json.dumps(name.replace("_", "-"))
        synthesizer = "{synthesizer: new cdk.BootstraplessSynthesizer()}"
        lines.append(f"const {stack} = new cdk.Stack(app, {title}, {synthesizer});")
        for logical_id, resource in template["Resources"].items():
            declared = {"type": resource["Type"], "properties": resource.get("Properties", {})}
            lines.append(f"new cdk.CfnResource({stack}, {json.dumps(logical_id)}, {json.dumps(declared)});")
    script = folder / "script.js"
    script.write_text("\n".join([*lines, "app.synth();", ""]), encoding="utf-8")
    return script


class _Module:
    """The source of the module that makes one template, with the names that it imports."""

    def __init__(self) -> None:
        self._troposphere = {"Template"}
        self._statements: set[str] = set()
        self._actions: set[str] = set()
        self._classes: list[str] = []

    def source(self, template: Template) -> str:
        lines = [*self._lines(template)]
        imports = [f"from troposphere import {', '.join(sorted(self._troposphere))}"]
        if self._statements:
            imports.append(
                f"from awacs.aws import {', '.join(f'{name} as _{name}' for name in sorted(self._statements))}"
            )
        imports += [f"from awacs import {service} as {service}_actions" for service in sorted(self._actions)]
        return "\n".join([*imports, "", *self._classes, "template = Template()", *lines, ""])

    def _lines(self, template: Template) -> Iterator[str]:
        unknown = template.keys() - {*_SECTIONS, "Resources", "Outputs"}
        if unknown:
            raise ValueError(f"no plain script is written for the section {sorted(unknown)[0]}")
        yield f"template.set_version({template['AWSTemplateFormatVersion']!r})"
        yield f"template.set_description({template['Description']!r})"
        if "Metadata" in template:
            yield f"template.set_metadata({template['Metadata']!r})"
        for name, declaration in template.get("Parameters", {}).items():
            yield f"template.add_parameter({self._make(troposphere.Parameter, name, declaration)})"
        for name, mapping in template.get("Mappings", {}).items():
            yield f"template.add_mapping({name!r}, {mapping!r})"
        for section, method in (("Conditions", "add_condition"), ("Rules", "add_rule")):
            for name, value in template.get(section, {}).items():
                yield f"template.{method}({name!r}, {self._value(value)})"
        for name, resource in template["Resources"].items():
            attributes = {key: resource[key] for key in _ATTRIBUTES if key in resource}
            made = self._make(self._resource_class(resource), name, {**resource.get("Properties", {}), **attributes})
            yield f"template.add_resource({made}{_unvalidated(resource)})"
        for name, output in template.get("Outputs", {}).items():
            yield f"template.add_output({self._make(troposphere.Output, name, output)})"

    def _make(self, kind: Any, title: str | None, values: Mapping[str, Any]) -> str:
        """The call that makes an object of troposphere, its properties by the classes that it wants."""
        arguments = [] if title is None else [repr(title)]
        for key, value in values.items():
            arguments.append(f"{key}={self._value(value, kind.props.get(key, (None,))[0])}")
        return f"{self._class_name(kind)}({', '.join(arguments)})"

    def _class_name(self, kind: Any) -> str:
        if not isinstance(kind, type):  # a custom resource, whose class this module has
            return str(kind.name)
        module = kind.__module__.rpartition(".")[2]
        self._troposphere.add(kind.__name__ if module == "troposphere" else module)
        return kind.__name__ if module == "troposphere" else f"{module}.{kind.__name__}"

    def _resource_class(self, resource: Mapping[str, Any]) -> Any:
        kind: str = resource["Type"]
        if not kind.startswith("Custom::"):
            return _resource_class(kind)
        name = kind.partition("::")[2]
        self._troposphere.add("cloudformation")
        names = ", ".join(f"{key!r}: (object, False)" for key in resource["Properties"])
        self._classes += [
            f"class {name}(cloudformation.CustomResource):",
            f"    resource_type = {kind!r}",
            f"    props = {{**cloudformation.CustomResource.props, {names}}}",
            "",
        ]
        return _Custom(name)

    def _value(self, node: Any, expected: Any = None) -> str:
        if isinstance(node, dict):
            function = self._function(node) or self._document(node)
            if function is not None:
                return function
            if inspect.isclass(expected) and issubclass(expected, (troposphere.AWSProperty, troposphere.Export)):
                return self._property(expected, node)
            return f"{{{', '.join(f'{key!r}: {self._value(value)}' for key, value in node.items())}}}"
        if isinstance(node, list):
            if _is_tags(node):
                self._troposphere.add("Tags")
                return f"Tags({self._value({tag['Key']: tag['Value'] for tag in node})})"
            member = expected[0] if isinstance(expected, list) and len(expected) == 1 else None
            return f"[{', '.join(self._value(part, member) for part in node)}]"
        return repr(node)

    def _property(self, kind: Any, node: Mapping[str, Any]) -> str:
        if kind is troposphere.Export:
            self._troposphere.add("Export")
            return f"Export({self._value(node['Name'])})"
        return self._make(kind, None, node)

    def _function(self, node: Mapping[str, Any]) -> str | None:
        name: str
        argument: Any
        name, argument = next(iter(node.items())) if len(node) == 1 else ("", None)
        function = _FUNCTIONS.get(name)
        if function is None or (name == "Condition" and not isinstance(argument, str)):
            return None
        self._troposphere.add(function)
        spread = function in _SPREAD and isinstance(argument, list)
        arguments = argument if spread else [argument]
        return f"{function}({', '.join(self._value(part) for part in arguments)})"

    def _document(self, node: Mapping[str, Any]) -> str | None:
        """A policy document in awacs' classes; None for what is none, or what awacs has no classes for."""
        stated = node.get("Statement")
        # awacs takes no statement that is there on a condition only.
        if not isinstance(stated, list) or not all("Effect" in statement for statement in stated):
            return None
        statements = [self._statement(statement) for statement in stated]
        others = "".join(f"{key}={node[key]!r}, " for key in ("Version", "Id") if key in node)
        return f"{self._aws('PolicyDocument')}({others}Statement=[{', '.join(statements)}])"

    def _statement(self, statement: Mapping[str, Any]) -> str:
        arguments = []
        for key, value in statement.items():
            if key in ("Action", "NotAction"):
                text = f"[{', '.join(self._action(action) for action in value)}]"
            elif key == "Principal":
                text = self._principal(value)
            elif key == "Condition":
                elements = [f"{self._aws(name.replace(':', ''))}({self._value(of)})" for name, of in value.items()]
                text = f"{self._aws('Condition')}([{', '.join(elements)}])"
            else:
                text = self._value(value)
            arguments.append(f"{key}={text}")
        return f"{self._aws('Statement')}({', '.join(arguments)})"

    def _principal(self, value: Any) -> str:
        arguments = (value,) if isinstance(value, str) else next(iter(value.items()))
        return f"{self._aws('Principal')}({', '.join(map(self._value, arguments))})"

    def _action(self, action: str) -> str:
        service, _, name = action.partition(":")
        module = _action_module(service, name)
        if module is None:
            return f"{self._aws('Action')}({service!r}, {name!r})"
        self._actions.add(module)
        return f"{module}_actions.{name}"

    def _aws(self, name: str) -> str:
        getattr(awacs.aws, name)  # AttributeError is a defect of this module, not of a template
        self._statements.add(name)
        return f"_{name}"


class _Custom:
    """Stands for the class of a custom resource, all of whose properties are plain values."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.props: dict[str, Any] = {}


def _is_tags(node: list[Any]) -> bool:
    return bool(node) and all(isinstance(each, dict) and each.keys() == {"Key", "Value"} for each in node)


def _unvalidated(resource: Mapping[str, Any]) -> str:
    """The call that lets a route have a target of two, one on a condition each, which troposphere refuses."""
    targets = [key for key in resource.get("Properties", {}) if key.endswith(("GatewayId", "EndpointId"))]
    return ".no_validation()" if resource["Type"] == "AWS::EC2::Route" and len(targets) > 1 else ""


@functools.cache
def _resource_class(kind: str) -> Any:
    service = kind.split("::")[1].lower()
    module = importlib.import_module(f"troposphere.{_MODULES.get(service, service)}")
    for _, found in inspect.getmembers(module, inspect.isclass):
        if getattr(found, "resource_type", None) == kind and found.__module__ == module.__name__:
            return found
    raise ValueError(f"troposphere has no class for {kind}")


@functools.cache
def _action_module(service: str, name: str) -> str | None:
    """The module of awacs that has an action as an attribute; None for a pattern and for what awacs does not know."""
    name_of_module = _MODULES.get(service, service.replace("-", "_"))
    try:
        module = importlib.import_module(f"awacs.{name_of_module}")
    except ImportError:
        return None
    action = getattr(module, name, None)
    known = isinstance(action, awacs.aws.Action) and action.JSONrepr() == f"{service}:{name}"
    return name_of_module if known else None
