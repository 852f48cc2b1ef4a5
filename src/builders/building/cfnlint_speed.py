"""Quicker forms of what cfn-lint does most often, for the one version in which they are known to find the same.

cfn-lint copies its validators and contexts 300,000 times for our templates, each time by asking the dataclass for its
fields; it makes a class for every schema that it extends, compares every rule with every keyword, solves the same
conditions again, and reads 15 MB of schemas, of which most templates need none. The forms here do the same in half of
the time. tests/building/test_cfnlint_speed.py compares the findings with those of the command `cfn-lint`.
"""

from __future__ import annotations

import sys
from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any, NamedTuple

import regex
from cfnlint import helpers
from cfnlint.conditions import conditions as template_conditions
from cfnlint.context.conditions import _conditions as context_conditions
from cfnlint.context.context import Context, Path
from cfnlint.helpers import FUNCTIONS
from cfnlint.jsonschema import CfnTemplateValidator, StandardValidator
from cfnlint.jsonschema._filter import FunctionFilter
from cfnlint.jsonschema._format import cfn_format_checker
from cfnlint.jsonschema._types import cfn_type_checker
from cfnlint.jsonschema._utils import Unset
from cfnlint.rules._rules import Rules
from cfnlint.rules.jsonschema.CfnLintJsonSchema import CfnLintJsonSchema
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
        _replace(validator, evolve=_evolving_validator(validator), extend=_extending(validator))
    # Where cfn-lint was imported in the plain way it asks sympy, which takes pycosat and looks for it at each call.
    asked = template_conditions.satisfiable  # type: ignore[attr-defined]
    if asked is not cfnlint_libraries.satisfiable and find_spec("pycosat") is None:
        for module in (template_conditions, context_conditions):
            _replace(module, satisfiable=_satisfiable())
    _replace(CfnLintJsonSchema, _schema=_read_late("_schema"))
    _replace(sys.modules[CfnLintJsonSchema.__module__], load_resource=_Schema)
    _replace(helpers, load_resource=_late_policies(helpers.load_resource))
    _replace(regex, **{name: _with_compiled(name) for name in ("findall", "match", "search")})


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
    of_class = {field.name: _default(field) for field in fields(kind) if not field.init}

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


def _default(field: Any) -> Any:
    return field.default_factory()


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
            found = self.__dict__[attribute] = helpers.load_resource(*found)  # type: ignore[no-untyped-call]
        return found

    return property(value, lambda self, new: self.__dict__.update({attribute: new}))


class _LatePolicies(UserDict[str, Any]):
    """All actions of IAM, 2 MB, which one rule looks at where a template has a policy, and another one if it is on."""

    def __init__(self, read: Callable[[], dict[str, Any]]) -> None:
        self._read = read

    @cached_property
    def data(self) -> dict[str, Any]:  # type: ignore[override]
        return self._read()


def _late_policies(plain: Callable[..., Any]) -> Callable[..., Any]:
    def load_resource(package: Any, filename: str = "us-east-1.json") -> Any:
        if filename == "Policies.json":
            return _LatePolicies(lambda: plain(package, filename))
        return plain(package, filename)

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
