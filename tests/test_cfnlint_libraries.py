"""cfn-lint gets the same answers from our forms as from sympy and networkx, and nobody else gets them at all."""

from __future__ import annotations

import functools
import importlib
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import networkx
import pytest
from cfnlint.version import __version__

from builders import cfnlint_libraries

PROGRAM = """
import sys
from builders import cfnlint_libraries
{before}
from builders.building import lint
print(sorted({{name for name in ("sympy", "networkx") if name in sys.modules}}))
print([found.rule for found in lint.Linter(["us-east-1"]).lint("a.json", {template!r})])
import sympy, networkx
print(sympy.Symbol.__module__, networkx.MultiDiGraph.__module__)
"""
TEMPLATE = """{"Conditions": {"Never": {"Fn::And": [{"Condition": "One"}, {"Fn::Not": [{"Condition": "One"}]}]},
"One": {"Fn::Equals": [{"Ref": "AWS::Region"}, "us-east-1"]}}, "Resources": {
"A": {"Type": "AWS::SNS::Topic", "DependsOn": "B", "Condition": "One"},
"B": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "A"}}, "Condition": "Never"}}}"""

FOREIGN_RULE = """
import networkx
from cfnlint.rules import CloudFormationLintRule, RuleMatch
class Ancestors(CloudFormationLintRule):
    id, shortdesc, description, source_url, tags = "E9990", "ancestors", "ancestors", "https://example.com", []
    def match(self, cfn):
        if networkx.ancestors(cfn.graph.graph, "A") == {"B"}:
            yield RuleMatch(["Resources", "A"], "B is before A")
"""


def forms() -> SimpleNamespace:
    """The names that cfn-lint gets from this project, whatever module they are in."""
    return SimpleNamespace(**{name: getattr(module, name) for module, name in names()})


def originals() -> SimpleNamespace:
    """The same names of sympy and networkx."""
    return SimpleNamespace(
        **{name: getattr(importlib.import_module(module.__name__), name) for module, name in names()}
    )


def names() -> list[tuple[ModuleType, str]]:
    modules = cfnlint_libraries.MODULES.values()
    return [(module, name) for module in modules for name in vars(module) if not name.startswith("__")]


def formula(of: SimpleNamespace, chosen: random.Random, depth: int) -> Any:
    """A formula over four variables, made by the makers that cfn-lint uses."""
    kind = chosen.choice(["And", "Or", "Not", "Implies", "Equivalent", "&", "~"]) if depth else "Symbol"
    if kind == "Symbol":
        name = chosen.choice(["a", "b", "c", "d", "true", "false"])
        return {"true": of.BooleanTrue, "false": of.BooleanFalse}.get(name, lambda: of.Symbol(name))()
    parts = [formula(of, chosen, depth - chosen.randint(1, depth)) for _ in range(chosen.randint(0, 3))]
    parts += [formula(of, chosen, depth - 1), formula(of, chosen, depth - 1)]
    if kind == "&":
        return parts[0] & parts[1]
    if kind == "~":
        return ~parts[0]
    return getattr(of, kind)(*parts[: {"Not": 1, "Implies": 2, "Equivalent": 2}.get(kind)])


def answers(of: SimpleNamespace, seed: int) -> list[bool]:
    """Ask whether formulas hold together, after each that is added, and whether a copy does with one more."""
    chosen, cnf, found = random.Random(seed), of.EncodedCNF(), []
    for _ in range(4):
        cnf.add_prop(formula(of, chosen, 2))
        other = cnf.copy()
        other.add_prop(formula(of, chosen, 1))
        found += [bool(of.satisfiable(cnf)), bool(of.satisfiable(other))]
    return found


def test_conditions_hold_together_where_they_do_for_sympy() -> None:
    ours, sympys = forms(), originals()
    found = {seed: answers(ours, seed) for seed in range(100)}
    assert found == {seed: answers(sympys, seed) for seed in range(100)}
    assert {True, False} == {each for answer in found.values() for each in answer}


def test_no_formula_at_all_has_an_empty_model() -> None:
    assert forms().satisfiable(forms().EncodedCNF()) == originals().satisfiable(originals().EncodedCNF()) == {}


@pytest.mark.parametrize("seed", range(40))
def test_hard_conditions_hold_together_where_they_do_for_sympy(seed: int) -> None:
    """Three of thirty variables in each clause, and as many clauses as make every other one impossible."""

    def answer(of: SimpleNamespace) -> bool:
        chosen, cnf = random.Random(seed), of.EncodedCNF()
        variables = [of.Symbol(f"v{number}") for number in range(30)]
        for _ in range(128):
            three = chosen.sample(variables, 3)
            cnf.add_prop(of.Or(*(each if chosen.random() < 0.5 else of.Not(each) for each in three)))
        return bool(of.satisfiable(cnf))

    assert answer(forms()) == answer(originals())


def graph(of: SimpleNamespace, seed: int) -> Any:
    chosen, made = random.Random(seed), of.MultiDiGraph(name="template")
    for node in ("A", "B", "C", "AB"):
        made.add_node(node, type="Resource", label=node)
    for number in range(chosen.randint(0, 8)):
        made.add_edge(*chosen.choices(["A", "B", "C", "AB", "Output-X"], k=2), label=str(number))
    made.add_node("A", color="black")
    return made


def circle(of: SimpleNamespace, made: Any, source: str) -> Any:
    try:
        return list(of.find_cycle(made, source))
    except of.NetworkXNoCycle:
        return None


def read(of: SimpleNamespace, made: Any) -> list[Any]:
    """All that cfn-lint and its rules read from a graph, of nodes that there are and others."""
    nodes = ["A", "B", "C", "AB", "BC", "Output-X", "nowhere"]
    return [
        *(circle(of, made, node) for node in nodes),
        *(list(made.in_edges(node)) for node in nodes),
        *(made.get_edge_data(one, other) for one in nodes for other in nodes),
        list(made.edges.data()),
        dict(made.nodes.items()),
        [node in made.nodes for node in nodes],
        made.graph,
    ]


@pytest.mark.parametrize("seed", range(60))
def test_a_graph_reads_as_that_of_networkx(seed: int) -> None:
    ours, networkxs = forms(), originals()
    assert read(ours, graph(ours, seed)) == read(networkxs, graph(networkxs, seed))


@pytest.mark.parametrize("node", [None, ["a"]])
def test_a_graph_refuses_the_nodes_that_networkx_refuses(node: Any) -> None:
    for kind in (cfnlint_libraries.MultiDiGraph, networkx.MultiDiGraph):
        with pytest.raises((ValueError, TypeError)):
            kind().add_node(node)


def test_a_name_that_is_no_text_is_refused_as_by_sympy() -> None:
    for of in (forms(), originals()):
        with pytest.raises(TypeError, match="name should be a string, not <class 'int'>"):
            of.Symbol(1)


@functools.cache
def linted(before: str = "", folder: Path | None = None) -> list[str]:
    """Modules loaded with the linter, its findings, and what others import after it, in a process of its own."""
    command = [sys.executable, "-c", PROGRAM.format(before=before, template=TEMPLATE)]
    finished = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return finished.stdout.splitlines()


def test_the_linter_fetches_nothing_until_it_is_asked_to() -> None:
    program = """
import sys
from builders.building import lint
from cfnlint import helpers
print("urllib.request" in sys.modules, helpers.Request("https://example.com/", method="HEAD").get_method())
print(helpers.urlopen("data:,fetched").read().decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False HEAD\nfetched\n", "")


def test_the_linter_loads_neither_library_and_others_get_both_as_they_are() -> None:
    loaded, _, others = linted()
    assert loaded == "[]"
    assert others == "sympy.core.symbol networkx.classes.multidigraph"


@pytest.mark.parametrize(
    "before",
    ["cfnlint_libraries.KNOWN_VERSION = 'another'", "del cfnlint_libraries.MODULES['sympy'].Dummy"],
    ids=["another version", "another name is wanted"],
)
def test_another_cfn_lint_gets_both_libraries_and_finds_the_same(before: str) -> None:
    loaded, found, _ = linted(before)
    assert loaded == "['networkx', 'sympy']"
    assert found == linted()[1]
    assert "E3004" in found


def test_rules_of_others_get_the_graphs_of_networkx(tmp_path: Path) -> None:
    (tmp_path / ".cfnlintrc").write_text("append_rules: [rules]", encoding="utf-8")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ancestors.py").write_text(FOREIGN_RULE, encoding="utf-8")
    loaded, found, _ = linted(folder=tmp_path)
    assert loaded == "[]"  # until the linter knows of them
    assert "E9990" in found


def test_the_forms_are_for_the_version_that_is_installed() -> None:
    assert __version__ == cfnlint_libraries.KNOWN_VERSION


def test_two_threads_that_import_it_at_once_leave_the_libraries_to_everybody_else() -> None:
    program = """
import contextlib, sys, threading
from builders import cfnlint_libraries
both, version = threading.Barrier(2), cfnlint_libraries._version
def together():
    with contextlib.suppress(threading.BrokenBarrierError):
        both.wait(0.5)
    return version()
cfnlint_libraries._version = together
threads = [threading.Thread(target=cfnlint_libraries.import_cfnlint) for _ in range(2)]
for each in threads: each.start()
for each in threads: each.join()
print(sorted(name for name in cfnlint_libraries.MODULES if name in sys.modules))
print(sys.modules["urllib.request"] is cfnlint_libraries.MODULES["urllib.request"])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['urllib.request']\nFalse\n", "")  # the real one, for both
