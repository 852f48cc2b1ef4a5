"""A template as the rules see it: resources by type, properties by name, and what two values can be together."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from cfnlint.template.template import Template as CfnTemplate

from builders.rules._functions import Reference, reference_of
from builders.rules._values import ABSENT, Path, Resolver, Scenario, Value

_MOST_WAYS = 64


@dataclass(frozen=True, eq=False)
class Resource:
    """One resource: its logical id, type, whole body, and properties (an empty map where they are none)."""

    name: str
    type: str
    body: dict[str, Any]
    properties: dict[str, Any]

    @property
    def path(self) -> Path:
        """The path of a finding about a missing property."""
        return ("Resources", self.name, "Properties") if "Properties" in self.body else ("Resources", self.name)

    @property
    def scenario(self) -> Scenario:
        """The condition under which the resource exists."""
        condition = self.body.get("Condition")
        return frozenset({(condition, True)}) if isinstance(condition, str) else frozenset()

    @property
    def depends_on(self) -> list[str]:
        """The logical ids in DependsOn."""
        given = self.body.get("DependsOn")
        return [name for name in (given if isinstance(given, list) else [given]) if isinstance(name, str)]


class Template:
    """Reads one parsed template; shared by all rules of a run, so that each value is followed once."""

    def __init__(self, cfn: CfnTemplate) -> None:
        self.cfn = cfn
        self.body: dict[str, Any] = cfn.template if isinstance(cfn.template, dict) else {}
        self.parameters = self.section("Parameters")
        self.outputs = self.section("Outputs")
        self.resolver = Resolver(self.parameters, self.section("Mappings"))
        self._satisfied: dict[Scenario, bool] = {}
        self._resources = {
            str(name): Resource(str(name), body["Type"], body, _mapping(body.get("Properties")))
            for name, body in self.section("Resources").items()
            if isinstance(body, dict) and isinstance(body.get("Type"), str)
        }

    def section(self, name: str) -> dict[str, Any]:
        """A section of the template; empty where it is absent or no map."""
        return _mapping(self.body.get(name))

    def resources(self, *types: str) -> list[Resource]:
        """The resources of these types, or all of them."""
        return [resource for resource in self._resources.values() if not types or resource.type in types]

    def resource(self, name: str | None) -> Resource | None:
        """The resource of a logical id."""
        return self._resources.get(name) if name else None

    def branches(self, resource: Resource, dotted: str) -> list[Value]:
        """The values of a property ("PostgreSqlSettings.SecretsManagerSecretId") on both sides of each Fn::If above.

        `*` stands for the entries of a list ("Targets.*.Arn").
        """
        found = [Value(resource.properties, ("Resources", resource.name, "Properties"), resource.scenario)]
        for key in dotted.split("."):
            found = [
                value for parent in found for value in (self.items(parent) if key == "*" else self.child(parent, key))
            ]
        return found

    def child(self, parent: Value, key: str | int) -> list[Value]:
        """The possible values of a map's key or a list's index; ABSENT, at the parent, where it is not there."""
        node = parent.value
        if isinstance(node, dict) and key in node:
            return list(self.resolver.branches(node[key], (*parent.path, key), parent.when))
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            return list(self.resolver.branches(node[key], (*parent.path, key), parent.when))
        if node is ABSENT or (isinstance(node, dict) and not any(str(it).startswith(("Fn::", "Ref")) for it in node)):
            return [Value(ABSENT, parent.path, parent.when)]
        return []  # a function instead of a map: nobody knows what it holds

    def items(self, value: Value) -> Iterator[Value]:
        """The entries of a list, each side of an entry's Fn::If by itself; a single value counts as its own list."""
        if isinstance(value.value, list):
            for index, node in enumerate(value.value):
                yield from self.resolver.branches(node, (*value.path, index), value.when)
        elif value.value is not ABSENT:
            yield value

    def constants(self, resource: Resource, dotted: str) -> list[Value]:
        """Every constant that a property can be; UNKNOWN and ABSENT stand for themselves."""
        return [
            constant
            for branch in self.branches(resource, dotted)
            for constant in self.resolver.constants(branch.value, branch.path, branch.when)
        ]

    def constants_in(self, holder: Value, key: str) -> list[Value]:
        """Every constant that an entry of a map can be."""
        return [
            constant
            for value in self.child(holder, key)
            for constant in self.resolver.constants(value.value, value.path, value.when)
        ]

    def target(self, node: Any) -> Resource | None:
        """The resource of this template that a node refers to."""
        reference = reference_of(node)
        return self.resource(reference.name) if reference else None

    def targets(self, resource: Resource, dotted: str) -> set[str]:
        """The logical ids of the resources that a property refers to."""
        return {found.name for value in self.branches(resource, dotted) if (found := self.target(value.value))}

    def parameter(self, node: Any) -> str | None:
        """The parameter that a node refers to."""
        reference = reference_of(node)
        return reference.name if reference and reference.name in self.parameters else None

    def references(self, node: Any) -> set[str]:
        """Every name that a node refers to, however deep."""
        found: set[str] = set()
        for _, inner in walk(node, ()):
            found |= {piece.name for piece in self.resolver.pieces(inner) if isinstance(piece, Reference)}
        return found

    def upstream(self, resource: Resource) -> set[str]:
        """The logical ids that exist before the resource: what it refers to or depends on, and so on.

        A reference in the metadata counts, too: it is the DependsOn that can have conditions.
        """
        found: set[str] = set()
        waiting = [resource]
        while waiting:
            current = waiting.pop()
            for name in {*current.depends_on, *self.references(current.body)} - found:
                found.add(name)
                waiting += [other for other in [self.resource(name)] if other]
        return found

    def possible(self, *values: Value | Scenario) -> bool:
        """Return whether there is a deployment in which all of these hold."""
        scenario: dict[str, bool] = {}
        for value in values:
            for condition, side in value.when if isinstance(value, Value) else value:
                if scenario.setdefault(condition, side) is not side:
                    return False
        return self._satisfiable(frozenset(scenario.items()))

    def reaches(self, path: Path) -> bool:
        """Return whether there is a deployment that takes the sides of Fn::If on the way to a path."""
        if "Fn::If" not in path:
            return True
        taken: set[tuple[str, bool]] = set()
        node: Any = self.body
        for key, side in itertools.pairwise(path):
            node = node[key]
            if key == "Fn::If" and isinstance(node, list) and isinstance(node[0], str):
                taken.add((node[0], side == 1))
        return self.possible(frozenset(taken))

    def can_lack(self, others: Iterable[Scenario], *values: Value | Scenario) -> bool:
        """Return whether there is a deployment in which all of `values` hold and none of the other scenarios does."""
        ways = [[frozenset({(condition, not side)}) for condition, side in other] for other in others]
        return any(self.possible(*values, *way) for way in itertools.islice(itertools.product(*ways), _MOST_WAYS))

    def _satisfiable(self, scenario: Scenario) -> bool:
        if scenario not in self._satisfied:
            self._satisfied[scenario] = self._solve(scenario)
        return self._satisfied[scenario]

    def _solve(self, scenario: Scenario) -> bool:
        conditions = self.section("Conditions")
        if any(name not in conditions for name, _ in scenario):
            return False  # cfn-lint reports the undefined condition; what it would mean nobody knows
        if not scenario:
            return True
        try:
            fixed = self.cfn.conditions.build_scenarios({name: {side} for name, side in scenario})
            return next(fixed, None) is not None
        except Exception:  # sympy and broken conditions: without knowledge, no finding
            return False


def walk(node: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Every node below and including this one, with its path."""
    yield path, node
    if isinstance(node, dict):
        for key, child in node.items():
            yield from walk(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from walk(child, (*path, index))


@functools.lru_cache(maxsize=1)
def template_of(cfn: CfnTemplate) -> Template:
    """The same `Template` for all rules of one run."""
    return Template(cfn)


def _mapping(node: Any) -> dict[str, Any]:
    return node if isinstance(node, dict) else {}
