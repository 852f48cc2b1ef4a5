"""Computes what a template says with given parameters: conditions decided, intrinsic functions resolved, Rules checked.

Pure: no AWS, no clock. What only AWS knows (the id of a resource, an attribute of it) stays as a text that names it:
`${Vpc}` for a Ref, `${Key.Arn}` for a GetAtt. Such texts can be joined, split and compared like the real ones.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from builders import intrinsics
from builders.errors import EvaluationError

MASKED = "****"
"""Stands for a value that nobody is shown."""
_SHORTEST_SECRET = 4
"""Least characters of a value that is looked for in messages: words of two letters are in all of them."""

NO_VALUE = object()
"""The value of `AWS::NoValue`; a property or list item that has it is left out."""

EXAMPLE_ACCOUNT, REGION = "1" * 12, "us-east-1"
"""Account and region of a template that is evaluated for no target in particular."""
_ZONES = {"us-west-1": "ac", "ca-west-1": "abc", "ap-northeast-1": "acd"}
"""Zones of regions that do not offer a, b and c to every account (AWS regions and Availability Zones, "Regions")."""

_SUB_VARIABLE = re.compile(r"\$\{(!?)([^}]+)\}")


@dataclass(frozen=True)
class Evaluated:
    """A template with its values: what would be deployed, exported, and refused by the Rules.

    `resources` maps logical ids to {"Type", "Properties", ...} of those whose condition holds, `outputs` and
    `exports` map names to values, and `failed_rules` are the sentences of assertions that do not hold.
    """

    resources: dict[str, dict[str, Any]]
    outputs: dict[str, Any]
    exports: dict[str, Any]
    conditions: dict[str, bool]
    failed_rules: tuple[str, ...]


def evaluate(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    *,
    imports: Mapping[str, Any] | None = None,
    region: str = REGION,
    account: str = EXAMPLE_ACCOUNT,
    namespace: str = "",
) -> Evaluated:
    """Evaluate `template`, as CloudFormation's JSON in plain data, with `parameters` as texts.

    Parameters that are not given take their default; keys that the template does not declare are passed over, as
    `aws cloudformation deploy` does. `imports` maps the physical names of exports to values. `namespace` goes in
    front of the names of resources, to tell those of several templates apart.

    Raises `EvaluationError` for a parameter without a value, a name that nothing has, or a function whose arguments
    do not fit.
    """
    try:
        return _evaluated(template, parameters, {} if imports is None else imports, region, account, namespace)
    except EvaluationError as error:
        raise EvaluationError(without_secrets(str(error), secret_values(template, parameters))) from error
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        # Somebody's template: CloudFormation would refuse what is not foreseen here.
        said = without_secrets(str(error), secret_values(template, parameters))
        raise EvaluationError(f"a function has other arguments than it takes ({said})") from error


def _evaluated(
    template: Mapping[str, Any],
    parameters: Mapping[str, str],
    imports: Mapping[str, Any],
    region: str,
    account: str,
    namespace: str,
) -> Evaluated:
    scope = _Scope(template, parameters, imports, region, account, namespace)
    failed = tuple(_failed_rules(scope, template.get("Rules", {})))
    conditions = {name: scope.condition(name) for name in template.get("Conditions", {})}
    resources = {
        name: {key: scope.value(part) for key, part in body.items()}
        for name, body in template.get("Resources", {}).items()
        if scope.holds(body)
    }
    for name, body in resources.items():
        if not isinstance(body.get("Properties", {}), dict):
            raise EvaluationError(f"{name} has Properties that are not an object")
    outputs, exports = {}, {}
    for name, body in template.get("Outputs", {}).items():
        if scope.holds(body):
            outputs[name] = scope.value(body["Value"])
            if "Export" in body:
                export = scope.value(body["Export"]["Name"])
                if isinstance(export, dict | list):
                    raise EvaluationError(f"the export of {name} has a name that is not a text")
                exports[str(export)] = outputs[name]
    return Evaluated(resources, outputs, exports, conditions, failed)


def no_echo_parameters(template: Mapping[str, Any]) -> list[str]:
    """The names of the parameters whose values CloudFormation never shows."""
    declared = template.get("Parameters", {})
    return [name for name, body in declared.items() if str(body.get("NoEcho")).lower() == "true"]


def secret_values(template: Mapping[str, Any], parameters: Mapping[str, str]) -> frozenset[str]:
    """The values of a template's NoEcho parameters, given or by default."""
    declared = template.get("Parameters", {})
    found = (str(parameters.get(name, declared[name].get("Default", ""))) for name in no_echo_parameters(template))
    return frozenset(each for each in found if len(each) >= _SHORTEST_SECRET)


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """A message with `MASKED` in the place of secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASKED)
    return text


def known_by_name(layer: str, output: str) -> str:
    """The output of a stack that does not stand yet, as a value that only AWS knows: `${artifacts.ArtifactsBucket}`."""
    return f"${{{layer}.{output}}}"


_NAMED_OUTPUT = re.compile(r"\$\{([a-z][a-z0-9_]*)\.([A-Za-z0-9]+)\}")
"""Names of layers begin with a small letter, logical ids with a capital one."""


def named_outputs(value: str) -> list[tuple[str, str]]:
    """The layer and the output of each value of `known_by_name` in a text."""
    return _NAMED_OUTPUT.findall(value)


def with_outputs(value: str, output_of: Callable[[str, str], str]) -> str:
    """Put the outputs of layers in the place of values that are known by their names."""
    return _NAMED_OUTPUT.sub(lambda match: output_of(match[1], match[2]), value)


def partition_of(region: str) -> str:
    """The partition that a region belongs to: aws, aws-cn or aws-us-gov."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rsplit("-", 2)[0], "aws")


def _failed_rules(scope: _Scope, rules: Mapping[str, Any]) -> list[str]:
    return [
        assertion.get("AssertDescription", f"rule {name} does not hold")
        for name, rule in rules.items()
        if scope.test(rule.get("RuleCondition", True))
        for assertion in rule["Assertions"]
        if not scope.test(assertion["Assert"])
    ]


class _Scope:
    """The names that a template's functions can see."""

    def __init__(
        self,
        template: Mapping[str, Any],
        given: Mapping[str, str],
        imports: Mapping[str, Any],
        region: str,
        account: str,
        namespace: str,
    ) -> None:
        self._template = template
        self._imports = imports
        self._region = region
        self._prefix = f"{namespace}/" if namespace else ""
        self._deciding: set[str] = set()
        self._decided: dict[str, bool] = {}
        self._references = _pseudo_parameters(region, account) | _parameter_values(template, given)
        self._functions: dict[str, Callable[[Any], Any]] = {
            "Ref": self._ref,
            "Condition": self.condition,
            "Fn::GetAtt": self._get_att,
            "Fn::Sub": self._sub,
            "Fn::If": self._if,
            "Fn::FindInMap": self._find_in_map,
            "Fn::ImportValue": self._import_value,
            "Fn::GetAZs": self._get_azs,
            "Fn::Join": lambda argument: intrinsics.join(*self._arguments(argument, 2)),
            "Fn::Split": lambda argument: intrinsics.split(*self._arguments(argument, 2)),
            "Fn::Select": lambda argument: intrinsics.select(*self._arguments(argument, 2)),
            "Fn::Cidr": lambda argument: intrinsics.cidr(*self.value(argument)),
            "Fn::Equals": lambda argument: intrinsics.equal(*self._arguments(argument, 2)),
            "Fn::Not": lambda argument: not self.test(argument[0]),
            "Fn::And": lambda argument: all(self.test(part) for part in argument),
            "Fn::Or": lambda argument: any(self.test(part) for part in argument),
            "Fn::Contains": lambda argument: intrinsics.contains(*self._arguments(argument, 2)),
            "Fn::EachMemberEquals": lambda argument: intrinsics.each_member_in(*self._arguments(argument, 2)),
            "Fn::EachMemberIn": lambda argument: intrinsics.each_member_in(*self._arguments(argument, 2)),
        }

    def holds(self, body: Mapping[str, Any]) -> bool:
        """Return whether the condition of a resource or output holds; True without a condition."""
        return "Condition" not in body or self.condition(body["Condition"])

    def test(self, expression: Any) -> bool:
        """A condition function's truth."""
        value = self.value(expression)
        if not isinstance(value, bool):
            raise EvaluationError(
                f"{expression!r} is not a condition; use Fn::Equals, Fn::Not, Fn::And, Fn::Or, Condition"
            )
        return value

    def condition(self, name: str) -> bool:
        """The truth of a named condition, found once."""
        if name in self._decided:
            return self._decided[name]
        conditions = self._template.get("Conditions", {})
        if name not in conditions:
            raise EvaluationError(f"condition {name!r} is not declared; declared are {', '.join(conditions) or 'none'}")
        if name in self._deciding:
            raise EvaluationError(f"condition {name!r} refers to itself")
        self._deciding.add(name)
        try:
            self._decided[name] = self.test(conditions[name])
        finally:
            self._deciding.discard(name)
        return self._decided[name]

    def value(self, node: Any) -> Any:
        """`node` with every function in it resolved and what has no value left out."""
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            (name, argument), *_ = node.items()
            # An IAM policy and a resource have a "Condition" of their own: only a text is a condition's name.
            if name in self._functions and (name != "Condition" or isinstance(argument, str)):
                return self._functions[name](argument)
        resolved = {key: self.value(part) for key, part in node.items()}
        return {key: part for key, part in resolved.items() if part is not NO_VALUE}

    def _arguments(self, argument: Any, count: int) -> list[Any]:
        if not isinstance(argument, list) or len(argument) != count:
            raise EvaluationError(f"{argument!r} should be a list of {count} arguments")
        return [self.value(part) for part in argument]

    def _ref(self, name: str) -> Any:
        if name in self._references:
            return self._references[name]
        self._resource(name)
        return f"${{{self._prefix}{name}}}"

    def _get_att(self, argument: Any) -> Any:
        name, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
        properties = self._resource(name).get("Properties", {})
        # An attribute that repeats a property, such as a VPC's CidrBlock, has that property's value.
        value = self.value(properties[attribute]) if attribute in properties else NO_VALUE
        return value if value is not NO_VALUE else f"${{{self._prefix}{name}.{attribute}}}"

    def _resource(self, name: str) -> Mapping[str, Any]:
        resources: Mapping[str, Any] = self._template.get("Resources", {})
        if name not in resources:
            raise EvaluationError(f"{name!r} is neither a parameter nor a resource of the template")
        if not self.holds(resources[name]):
            raise EvaluationError(f"{name!r} is referred to, but its condition {resources[name]['Condition']} is false")
        body: Mapping[str, Any] = resources[name]
        return body

    def _sub(self, argument: Any) -> str:
        text, variables = (argument, {}) if isinstance(argument, str) else argument
        own = {name: self.value(value) for name, value in variables.items()}

        def replacement(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(own[name])
            return str(self._get_att(name) if "." in name else self._ref(name))

        return _SUB_VARIABLE.sub(replacement, text)

    def _if(self, argument: Any) -> Any:
        name, when_true, when_false = argument
        return self.value(when_true if self.condition(name) else when_false)

    def _find_in_map(self, argument: Any) -> Any:
        name, top, second = self._arguments(argument, 3)
        try:
            return self._template["Mappings"][name][top][second]
        except KeyError as error:
            raise EvaluationError(f"mapping {name} has no entry {top}, {second}") from error

    def _import_value(self, argument: Any) -> Any:
        name = self.value(argument)
        if name not in self._imports:
            raise EvaluationError(f"export {name!r} is not there; exported are {', '.join(self._imports) or 'none'}")
        return self._imports[name]

    def _get_azs(self, argument: Any) -> list[str]:
        region = self.value(argument) or self._region
        return [f"{region}{zone}" for zone in _ZONES.get(region, "abc")]


def _pseudo_parameters(region: str, account: str) -> dict[str, Any]:
    partition = partition_of(region)
    return {
        "AWS::AccountId": account,
        "AWS::NoValue": NO_VALUE,
        "AWS::NotificationARNs": [],
        "AWS::Partition": partition,
        "AWS::Region": region,
        "AWS::StackId": f"arn:{partition}:cloudformation:{region}:{account}:stack/${{AWS::StackName}}",
        "AWS::StackName": "${AWS::StackName}",
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
    }


def _parameter_values(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, parameter in template.get("Parameters", {}).items():
        if name not in given and "Default" not in parameter:
            raise EvaluationError(f"parameter {name} has no default and no value was given")
        text = str(given.get(name, parameter.get("Default")))
        is_list = parameter["Type"] == "CommaDelimitedList" or "List<" in parameter["Type"]
        values[name] = [item.strip() for item in text.split(",")] if is_list else text
    return values
