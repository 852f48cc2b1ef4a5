"""Quicker forms of what cfn-lint does most often, for the one version in which they are known to find the same.

cfn-lint copies its validators and contexts 300,000 times for our templates, each time by asking the dataclass for its
fields; it makes a class for every schema that it extends, compares every rule with every keyword, solves the same
conditions again, tries a database on the schema of each engine, and reads 15 MB of schemas, of which most templates
need none. The forms here do the same in less than half of the time. tests/building/test_cfnlint_speed.py compares the
findings with those of the command `cfn-lint`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache, cached_property
from importlib import resources
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from json import JSONDecoder
from typing import Any, NamedTuple

import regex
from cfnlint import helpers
from cfnlint.conditions import conditions as template_conditions
from cfnlint.context.conditions import _conditions as context_conditions
from cfnlint.context.context import Context, Path
from cfnlint.decode.mark import Mark
from cfnlint.decode.node import dict_node, list_node
from cfnlint.helpers import FUNCTIONS
from cfnlint.jsonschema import CfnTemplateValidator, StandardValidator, _keywords
from cfnlint.jsonschema._filter import FunctionFilter
from cfnlint.jsonschema._format import cfn_format_checker
from cfnlint.jsonschema._types import cfn_type_checker
from cfnlint.jsonschema._utils import Unset, equal
from cfnlint.jsonschema.exceptions import UndefinedTypeCheck, UnknownType
from cfnlint.rules._rule import CloudFormationLintRule
from cfnlint.rules._rules import Rules
from cfnlint.rules.jsonschema.CfnLintJsonSchema import CfnLintJsonSchema
from cfnlint.rules.jsonschema.CfnLintJsonSchemaRegional import CfnLintJsonSchemaRegional
from cfnlint.template.template import Template
from cfnlint.version import __version__

from builders import cfnlint_libraries
from builders.cfnlint_libraries import KNOWN_VERSION

REMEMBERED_CONDITIONS = 4096


@cache
def install() -> None:
    """Change cfn-lint in this process, once."""
    if __version__ != KNOWN_VERSION:
        return
    for copied in (Context, Path, FunctionFilter):
        _replace(copied, evolve=_evolving(copied))
    _replace(Path, descend=_descending(Path.descend))
    for validator in (CfnTemplateValidator, StandardValidator):
        _replace(validator, evolve=_evolving_validator(validator), extend=_extending(validator), is_type=_is_type)
        _of_class(validator)["validators"]["allOf"] = _all_of
    _replace(
        context_conditions,
        build_instance_from_scenario=_in_scenario,
        get_conditions_from_property=_conditions_within,
    )
    _replace(Rules, run_check=_running(Rules.run_check))
    _replace(helpers, create_rules=_create_rules, import_filename=_importing_file(helpers.import_filename))
    # Where cfn-lint was imported in the plain way it asks sympy, which takes pycosat and looks for it at each call.
    asked = template_conditions.satisfiable  # type: ignore[attr-defined]
    if asked is not cfnlint_libraries.satisfiable and find_spec("pycosat") is None:
        for module in (template_conditions, context_conditions):
            _replace(module, satisfiable=_satisfiable())
    _replace(CfnLintJsonSchema, _schema=_read_late("_schema"))
    _replace(sys.modules[CfnLintJsonSchema.__module__], load_resource=_Schema)
    _replace(helpers, load_resource=_late_policies(helpers.load_resource))
    _replace(regex, **{name: _with_compiled(name) for name in ("findall", "fullmatch", "match", "search")})


def index_keywords(rules: Rules) -> None:
    """Let the rule that hands properties to the rules of their keywords look them up by keyword."""
    if __version__ == KNOWN_VERSION and "E1101" in rules.data:  # cfn-lint loads each rule as a module of its own
        _replace(type(rules.data["E1101"]), initialize=_forget_keywords, cfnLint=_by_keyword)


def _replace(owner: Any, **functions: Callable[..., Any]) -> None:
    for name, function in functions.items():
        setattr(owner, name, function)


def _evolving(kind: type[Any]) -> Callable[..., Any]:
    """`evolve` of a dataclass without __post_init__: a copy of the instance with some of its fields changed."""
    plain = kind.evolve
    known = frozenset(field.name for field in fields(kind) if field.init)

    def evolve(self: Any, **changes: Any) -> Any:
        if not known.issuperset(changes):
            return plain(self, **changes)
        if "ref_values" in changes:
            changes["ref_values"] = {**self.ref_values, **changes["ref_values"]}
        new = object.__new__(kind)
        state = new.__dict__
        state.update(self.__dict__)
        if "resources" in changes:
            state.pop("module_names", None)  # a cached property, computed from the resources
        state.update(changes)
        return new

    return evolve


def _descending(plain: Callable[..., Path]) -> Callable[..., Path]:
    """`Path.descend`: a copy with one more step in some of its paths."""
    known = frozenset(field.name for field in fields(Path))

    def descend(self: Path, **steps: Any) -> Path:
        of_type = steps.get("cfn_path")
        if not known.issuperset(steps) or of_type in FUNCTIONS or isinstance(of_type, int):
            return plain(self, **steps)  # which refuses them
        new = object.__new__(Path)
        state = new.__dict__
        state.update(self.__dict__)
        for name, step in steps.items():
            if step is not None:
                state[name] = longer = state[name].copy()
                longer.append(step)
        return new

    return descend


def _evolving_validator(kind: type[Any]) -> Callable[..., Any]:
    known = frozenset(field.name for field in fields(kind) if field.init)
    of_class = _of_class(kind)

    def evolve(self: Any, **changes: Any) -> Any:
        if not known.issuperset(changes):
            raise TypeError(f"no fields of a validator: {sorted(changes.keys() - known)}")
        new = object.__new__(type(self))
        state = new.__dict__
        state.update(self.__dict__)
        # A rule may give one validator other keywords (E1010): a validator made from it has those of its class again.
        state.update(self.__dict__.get("_extended", of_class))
        state.update(changes)
        if state["context"] is None or state["resolver"] is None:
            new.__post_init__()
        return new

    return evolve


def _of_class(kind: type[Any]) -> dict[str, Any]:
    """The fields that all validators of a class share."""
    shared: Any = [field for field in fields(kind) if not field.init]
    return {field.name: field.default_factory() for field in shared}


def _extending(kind: type[Any]) -> Callable[..., Any]:
    """`extend`: a maker of validators with other keywords, without a new class for each."""

    def extend(
        self: Any,
        validators: Mapping[str, Any] | None = None,
        function_filter: FunctionFilter | None = None,
        fn_resolvers: Mapping[str, Any] | None = None,
    ) -> Callable[..., Any]:
        extended = {
            "_type_checker": cfn_type_checker,
            "format_checker": cfn_format_checker,
            "validators": {**self.validators, **(validators or {})},
            "fn_resolvers": {**self.fn_resolvers, **(fn_resolvers or {})},
        }
        own_filter = self.function_filter if function_filter is None else function_filter

        def make(
            schema: Any = True,
            resolver: Any = None,
            function_filter: FunctionFilter = own_filter,
            cfn: Template | None = None,
            context: Context | None = None,
        ) -> Any:
            new = object.__new__(kind)
            new.__dict__.update(extended, _extended=extended, schema=schema, resolver=resolver, context=context)
            new.__dict__.update(function_filter=function_filter, cfn=Template(None, {}) if cfn is None else cfn)
            new.__post_init__()
            return new

        return make

    return extend


_TYPES = {"array": list, "boolean": bool, "null": type(None), "object": dict, "string": str}
"""The types that Python has; a number is more than that."""


def _is_type(self: Any, instance: Any, type: str) -> bool:
    """`is_type` of a validator, all of which have the same checker of types."""
    known = _TYPES.get(type)
    if known:
        return isinstance(instance, known)
    try:
        return bool(cfn_type_checker.is_type(instance, type))
    except UndefinedTypeCheck:
        raise UnknownType(type, instance, self.schema) from None  # type: ignore[no-untyped-call]


def _conditions_within(instance: Any, is_root: bool = True) -> set[str]:
    """`get_conditions_from_property`: conditions that are used in a mapping or list, not in what is nested in it."""
    found: set[str] = set()
    _add_conditions(instance, is_root, found)
    return found


def _add_conditions(instance: Any, is_root: bool, found: set[str]) -> None:
    if isinstance(instance, list):
        inner = instance
    elif not isinstance(instance, dict):
        return
    elif len(instance) == 1 and "Fn::If" in instance:
        choice = instance["Fn::If"]
        if isinstance(choice, list) and len(choice) == 3 and isinstance(choice[0], str):
            found.add(choice[0])
            _add_conditions(choice[1], is_root, found)
            _add_conditions(choice[2], is_root, found)
        return
    else:
        inner = [*instance.values()] if is_root else []
    for value in inner:
        if isinstance(value, (dict, list)):
            _add_conditions(value, False, found)


def _in_scenario(  # noqa: PLR0911  one for each kind of value
    instance: Any, scenario: Mapping[str, bool], is_root: bool, context: Context
) -> Any:
    """`build_instance_from_scenario`: a value with its choices made, None for no value."""
    if isinstance(instance, list):
        made = list_node([], *_marks(instance))
        for value in instance:
            new = _in_scenario(value, scenario, False, context) if isinstance(value, (dict, list)) else value
            if new is not None:
                made.append(new)
        return made
    if not isinstance(instance, dict):
        return instance
    if len(instance) == 1:
        [(function, argument)] = instance.items()
        if function == "Fn::If" and "Fn::If" in context.functions:
            if isinstance(argument, list) and len(argument) == 3 and isinstance(argument[0], str):
                holds = scenario.get(argument[0])
                if holds is not None:
                    return _in_scenario(argument[1 if holds else 2], scenario, is_root, context)
            return instance
        if function == "Ref" and argument == "AWS::NoValue" and "Ref" in context.functions:
            return None
    if not is_root:
        return instance
    made = dict_node({}, *_marks(instance))
    for key, value in instance.items():
        new = _in_scenario(value, scenario, False, context) if isinstance(value, (dict, list)) else value
        if new is not None:
            made[key] = new
    return made


def _marks(instance: Any) -> tuple[Mark, Mark]:
    return getattr(instance, "start_mark", _NOWHERE), getattr(instance, "end_mark", _NOWHERE)


_NOWHERE = Mark(0, 0)


def _running(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`Rules.run_check`, which calls no rule that looks at nothing: all are asked about all resources."""

    def run_check(
        self: Rules, check: Any, filename: Any, rule_id: str, config: Any, enabled: Any = (), *arguments: Any
    ) -> Iterator[Any]:
        rule: Any = self.data[rule_id]
        asked = getattr(check, "__func__", None)
        if asked is CloudFormationLintRule.matchall:
            idle = type(rule).match is CloudFormationLintRule.match
        else:
            is_of_resource = asked is CloudFormationLintRule.matchall_resource_properties
            idle = is_of_resource and arguments[3] not in rule.resource_property_types
        if not idle:
            yield from plain(self, check, filename, rule_id, config, enabled, *arguments)
        elif rule_id in enabled:
            self.used_rules[rule_id] = rule

    return run_check


def _importing_file(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`import_filename`, which lists the folder again for each of its files."""

    def import_filename(name: str, folder: str) -> Any:
        spec = spec_from_file_location(name, os.path.join(folder, f"{name}.py")) if name.isidentifier() else None
        if spec is None or spec.loader is None:
            return plain(name, folder)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return import_filename


def _create_rules(
    module: Any,
    name: str = "CloudFormationLintRule",
    modules: Sequence[str] = ("cfnlint", "cfnlint.rules", "cfnlint.rules._rule"),
) -> list[Any]:
    """`create_rules`: an instance of each rule's class that a module has."""
    return [
        each()
        for _, each in sorted(vars(module).items())
        if isinstance(each, type)
        and (each.__name__, each.__module__) != ("CustomRule", "cfnlint.rules.custom")
        and any(above.__name__ == name and above.__module__ in modules for above in each.__mro__[1:])
    ]


_SIMPLE = frozenset({"const", "enum", "pattern", "type"})


def _all_of(validator: Any, schemas: Sequence[Any], instance: Any, schema: Any) -> Iterator[Any]:
    """`allOf`, without a look at what is meant for other values: RDS has a schema for each version of each engine.

    Where a rule looks at no functions, a value is what it says. A condition that one property does not meet has no
    effect then, whatever the other properties are.
    """
    keywords = validator.validators
    if (
        validator.context.functions
        or not isinstance(instance, dict)
        or any(keywords.get(name) is not plain for name, plain in _DECIDING.items())
    ):
        yield from _keywords.allOf(validator, schemas, instance, schema)
        return
    validator = validator.evolve(function_filter=validator.function_filter.evolve(add_cfn_lint_keyword=False))
    for index, each in enumerate(schemas):
        if not _is_for_others(each, instance):
            yield from validator.descend(instance, each, schema_path=index)


_DECIDING = {"const": _keywords.const, "if": _keywords.if_, "properties": _keywords.properties}


def _is_for_others(schema: Any, instance: Mapping[str, Any]) -> bool:
    """Return whether a schema is an if and a then, and one text is not what the if wants."""
    if not isinstance(schema, dict) or schema.keys() != {"if", "then"} or not isinstance(schema["if"], dict):
        return False
    wanted = schema["if"].get("properties", {})
    if not schema["if"].keys() <= {"properties", "required"} or not all(map(_is_simple, wanted.values())):
        return False
    return any("const" in each and _is_other(instance.get(name), each["const"]) for name, each in wanted.items())


def _is_simple(schema: Any) -> bool:
    return isinstance(schema, dict) and schema.keys() <= _SIMPLE


def _is_other(value: Any, constant: Any) -> bool:
    # cfn-lint reads references and pseudo parameters in texts before it compares them.
    return isinstance(value, str) and "{{" not in value and "::" not in value and not equal(value, constant)  # type: ignore[no-untyped-call]


def _satisfiable() -> Callable[..., Any]:
    """Tell from the clauses alone whether they can be satisfied, and remember it: cfn-lint never looks at the model."""
    from sympy.logic.algorithms.dpll2 import dpll_satisfiable  # noqa: PLC0415  mostly nobody has loaded it

    remembered: dict[frozenset[frozenset[int]], bool] = {}

    def satisfiable(cnf: Any, all_models: bool = False) -> Any:
        if all_models:
            return dpll_satisfiable(cnf, all_models)
        clauses = frozenset(map(frozenset, cnf.data))
        if len(remembered) > REMEMBERED_CONDITIONS:
            remembered.clear()
        found = remembered.get(clauses)
        if found is None:
            found = remembered[clauses] = bool(dpll_satisfiable(cnf))
        return found

    return satisfiable


class _Schema(NamedTuple):
    """A schema of a rule that has not been read: the rules' own take a third of the time of loading all rules."""

    package: Any
    filename: str


def _read_late(attribute: str) -> Any:
    def value(self: Any) -> Any:
        found = self.__dict__[attribute]
        if isinstance(found, _Schema):
            by_region = isinstance(self, CfnLintJsonSchemaRegional)
            found = ByKey(*found) if by_region else helpers.load_resource(*found)  # type: ignore[no-untyped-call]
            self.__dict__[attribute] = found
        return found

    return property(value, lambda self, new: self.__dict__.update({attribute: new}))


class ByKey(Mapping[str, Any]):
    """A file of cfn-lint that is read when it is first used, and parsed key by key: by region, or by service of IAM.

    Such files have a line for each brace and a space for each level (`json.dumps`, `indent=1`).
    """

    def __init__(self, package: Any, filename: str) -> None:
        self._file = resources.files(package).joinpath(filename)
        self._parsed: dict[str, Any] = {}

    @cached_property
    def _texts(self) -> dict[str, str]:
        _, *members = self._file.read_text(encoding="utf-8").split('\n "')
        parts = (member.partition('": ') for member in members)
        return {key: text for key, _, text in parts}

    def __getitem__(self, key: str) -> Any:
        """The value of a key, as a whole."""
        if key not in self._parsed:
            self._parsed[key], _ = _DECODER.raw_decode(self._texts[key])
        return self._parsed[key]

    def __iter__(self) -> Iterator[str]:
        """The keys, in the order of the file."""
        return iter(self._texts)

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._texts)


_DECODER = JSONDecoder()


def _late_policies(plain: Callable[..., Any]) -> Callable[..., Any]:
    """`load_resource`: one rule looks at the actions of IAM where a template has a policy, another one if it is on."""

    def load_resource(package: Any, filename: str = "us-east-1.json") -> Any:
        return ByKey(package, filename) if filename == "Policies.json" else plain(package, filename)

    return load_resource


def _with_compiled(name: str) -> Callable[..., Any]:
    """A function of `regex` that keeps compiled patterns by their text alone: its own key takes longer than a match."""
    plain = getattr(regex, name)
    compiled = cache(regex.compile)

    def call(pattern: Any, string: str, *arguments: Any, **options: Any) -> Any:
        if arguments or options:
            return plain(pattern, string, *arguments, **options)
        return getattr(compiled(pattern), name)(string)

    return call


def _forget_keywords(self: Any, _: Template) -> None:
    """`initialize` of E1101: a run begins, in which it may have other rules below it than in the last one."""
    self.rules_by_keyword = None


def _by_keyword(self: Any, validator: Any, keywords: Sequence[str], instance: Any, schema: Any) -> Iterator[Any]:
    """`cfnLint` of E1101: the errors of the rules that are registered for a place in the template."""
    if self.rules_by_keyword is None:
        self.rules_by_keyword = {}
        for rule in filter(None, self.child_rules.values()):
            for keyword in rule.keywords if rule.id else ():
                self.rules_by_keyword.setdefault(keyword, []).append(rule)
    chosen = [(keyword, rule) for keyword in keywords for rule in self.rules_by_keyword.get(keyword, ())]
    if not chosen:
        return
    validator = validator.evolve(function_filter=validator.function_filter.evolve(add_cfn_lint_keyword=False))
    for keyword, rule in chosen:
        for error in rule.validate(validator, keyword, instance, schema):
            if error.rule is None and isinstance(error.validator, Unset):
                error.rule = rule
            yield error
