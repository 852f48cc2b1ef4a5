"""The parts of sympy and networkx that cfn-lint uses, in forms that load at once: both take as long as all its rules.

cfn-lint asks sympy one thing only: can these conditions hold at the same time? It uses seven makers of formulas and
never looks at a model. Of networkx it uses one class and one search for a circle. `import_cfnlint` imports cfn-lint so
that it takes them from here, and leaves urllib.request for later. sympy and networkx themselves stay as they are for
everybody else, and are not loaded.

It is done for the one version of cfn-lint that is known to find the same; any other gets sympy and networkx.
tests/test_cfnlint_libraries.py compares the answers with theirs, and building/test_cfnlint_speed.py the findings with
those of the command `cfn-lint`.
"""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

KNOWN_VERSION = "1.58.0"
"""The only version of cfn-lint that is not left as it is."""
REMEMBERED_ANSWERS = 4096
_importing = threading.Lock()


def import_cfnlint() -> bool:
    """Import cfn-lint, with the forms of this module where it is of the known version; return whether it has them.

    Of two threads the second waits, or it would take the first one's stand-ins for modules that were there before.
    """
    with _importing:
        return _import_cfnlint()


def _import_cfnlint() -> bool:
    if "cfnlint" in sys.modules or _version() != KNOWN_VERSION:
        return False
    modules = dict(MODULES)
    if threading.active_count() > 1:
        del modules["urllib.request"]  # another thread may want it for itself
    standing = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        importlib.import_module("cfnlint.runner")
    except ImportError:  # it wants another name: what has been imported so far is imported again, in the plain way
        for name in [name for name in sys.modules if name.partition(".")[0] == "cfnlint"]:
            del sys.modules[name]
        return False
    finally:
        for name, module in standing.items():
            del sys.modules[name]
            if module:
                sys.modules[name] = module
    return True


def use_networkx() -> None:
    """Let cfn-lint make its graphs by networkx from now on: rules of others may ask more of them."""
    importlib.import_module("cfnlint.graph").networkx = importlib.import_module("networkx")  # type: ignore[attr-defined]


def _version() -> str:
    """The version of cfn-lint by its source, since importing any part of it imports all."""
    spec = find_spec("cfnlint")
    if spec is None or spec.origin is None:
        return ""
    source = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.*)"', source, re.MULTILINE)
    return found[1] if found else ""


class Boolean:
    """A formula. All of it is one of these: True and False, symbols, and what And, Or and Not make of formulas."""

    def __and__(self, other: Boolean) -> Any:
        """The formula that holds where both do."""
        return And(self, other)

    def __or__(self, other: Boolean) -> Any:
        """The formula that holds where one of both does."""
        return Or(self, other)

    def __invert__(self) -> Any:
        """The formula that holds where this one does not."""
        return Not(self)


class _Truth(Boolean):
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


class BooleanTrue(_Truth):
    """The formula that always holds."""


class BooleanFalse(_Truth):
    """The formula that never holds."""


class Symbol(Boolean):
    """A variable."""

    def __init__(self, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"name should be a string, not {type(name)!r}")
        self.name = str(name)

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same variable: one of the same name."""
        return isinstance(other, Symbol) and other.name == self.name

    def __hash__(self) -> int:
        """The same for the same variable."""
        return hash(self.name)


class Dummy(Boolean):
    """A variable that is the same as no other, whatever it is called."""

    def __init__(self, name: str) -> None:
        self.name = name


class BooleanFunction(Boolean):
    """A formula of formulas, whose order does not matter."""

    args: tuple[Boolean, ...]

    def __new__(cls, *args: Boolean) -> Any:
        """Make the formula as it is, or a simpler one that holds where it does."""
        new = super().__new__(cls)
        new.args = args
        return new

    def __eq__(self, other: object) -> bool:
        """Return whether it is made in the same way of the same formulas."""
        return isinstance(other, type(self)) and frozenset(other.args) == frozenset(self.args)

    def __hash__(self) -> int:
        """The same for the same formula."""
        return hash((type(self), frozenset(self.args)))


class _Junction(BooleanFunction):
    """And, or Or: what it is without formulas, and the formula that decides it alone."""

    empty: type[_Truth]
    decided: type[_Truth]

    def __new__(cls, *args: Boolean) -> Any:
        left = [each for each in args if not isinstance(each, cls.empty)]
        for each in left:
            if isinstance(each, cls.decided):
                return each
            if not isinstance(each, Boolean):
                raise ValueError(f"no formula: {each!r}")
        return super().__new__(cls, *left) if len(left) > 1 else left[0] if left else cls.empty()


class And(_Junction):
    """The formula that holds where all of some do."""

    empty, decided = BooleanTrue, BooleanFalse


class Or(_Junction):
    """The formula that holds where one of some does."""

    empty, decided = BooleanFalse, BooleanTrue


class Not(BooleanFunction):
    """The formula that holds where another does not."""

    def __new__(cls, formula: Boolean) -> Any:
        """Make it, or the formula that is left of two of them."""
        if isinstance(formula, Not):
            return formula.args[0]
        if isinstance(formula, _Truth):
            return BooleanFalse() if isinstance(formula, BooleanTrue) else BooleanTrue()
        return super().__new__(cls, formula)


# sympy has classes for these two, which cfn-lint takes apart by `to_nnf` before it looks at them.
def implies(condition: Boolean, consequence: Boolean) -> Any:
    """The formula that holds where one does not or the other does."""
    return Or(Not(condition), consequence)


def equivalent(one: Boolean, other: Boolean) -> Any:
    """The formula that holds where both do or neither does."""
    return And(implies(one, other), implies(other, one))


def to_nnf(formula: Boolean, simplify: bool = True) -> Boolean:
    """The formula by And, Or and Not alone, which it is already."""
    return formula


Clause = frozenset[int]
"""Variables by their numbers, a negative number for one that does not hold: one at least is as it says."""


class EncodedCNF:
    """Formulas that hold at the same time, as clauses. Copies share the numbers of variables."""

    def __init__(self) -> None:
        self.data: list[Clause] = []
        self._numbers: dict[Boolean, int] = {}

    def copy(self) -> EncodedCNF:
        """The same formulas, to which others can be added."""
        new = EncodedCNF()
        new.data, new._numbers = self.data.copy(), self._numbers
        return new

    def add_prop(self, formula: Boolean) -> None:
        """Add a formula."""
        for part in formula.args if isinstance(formula, And) else (formula,):
            alternatives = part.args if isinstance(part, Or) else (part,)
            self.data.append(frozenset(map(self._literal, alternatives)))

    def _literal(self, formula: Boolean) -> int:
        """The variable that holds where a formula does; for And and Or it is a new one (Tseitin's encoding)."""
        if isinstance(formula, Not):
            return -self._literal(formula.args[0])
        number = self._numbers.get(formula)
        if number is None:
            number = self._numbers[formula] = len(self._numbers) + 1
        if isinstance(formula, _Truth):
            self.data.append(frozenset({number if isinstance(formula, BooleanTrue) else -number}))
        elif isinstance(formula, _Junction):
            # One variable for all, that holds where they all do (And) or where one does (Or).
            sign = 1 if isinstance(formula, And) else -1
            literals = [sign * self._literal(each) for each in formula.args]
            self.data.extend(frozenset({-sign * number, literal}) for literal in literals)
            self.data.append(frozenset({sign * number, *(-literal for literal in literals)}))
        return number


_answers: dict[frozenset[Clause], bool] = {}


def satisfiable(cnf: EncodedCNF, all_models: bool = False) -> Any:
    """Return whether the formulas can hold at the same time; for no formula an empty model, as sympy does."""
    if not cnf.data:
        return {}
    clauses = frozenset(cnf.data)
    found = _answers.get(clauses)
    if found is None:
        if len(_answers) > REMEMBERED_ANSWERS:
            _answers.clear()
        found = _answers[clauses] = _can_hold(clauses)
    return found


def _can_hold(clauses: Iterable[Clause]) -> bool:
    """Search as Davis, Putnam, Logemann and Loveland do: what has to hold, then a guess, and if it fails the contrary.

    Two literals of each clause are watched (Chaff, "Engineering an Efficient SAT Solver"): as long as neither fails,
    nobody looks at the clause. The next guess is a variable of those on which the last ones failed.
    """
    search = _Search(clauses)
    fits = search.assume(search.demanded)
    guesses: list[tuple[int, int]] = []  # how many literals held before each, and the guess
    while True:
        if fits:
            guess = search.next_guess()
            if guess is None:
                return True
            guesses.append((len(search.order), guess))
            fits = search.assume([guess])
        elif not guesses:
            return False
        else:
            held, guess = guesses.pop()
            search.undo(held)
            fits = search.assume([-guess])


class _Search:
    """The literals that hold at one point of a search, in their order, and what follows from them."""

    def __init__(self, clauses: Iterable[Clause]) -> None:
        self.order: list[int] = []
        self.demanded: list[int] = []
        self._holds: set[int] = set()
        self._watching: dict[int, list[list[int]]] = {}
        self._weights: dict[int, float] = {}
        self._weight = 1.0
        for clause in clauses:
            literals = sorted(clause)
            for literal in literals:
                self._weights[literal] = self._weights.get(literal, 0) + 1
                self._watching.setdefault(literal, [])
                self._watching.setdefault(-literal, [])
            if len(literals) == 1:
                self.demanded.append(literals[0])
            else:
                for watched in literals[:2]:
                    self._watching[watched].append(literals)
        self._heaviest = self._by_weight()

    def next_guess(self) -> int | None:
        """The heaviest literal of which nothing is known; None where all are known."""
        holds = self._holds
        return next((each for each in self._heaviest if each not in holds and -each not in holds), None)

    def assume(self, literals: list[int]) -> bool:
        """Let literals hold, and all that follow from them; return False where two contradict."""
        follow = literals.copy()
        while follow:
            literal = follow.pop()
            if literal in self._holds:
                continue
            if -literal in self._holds:
                return False
            self._holds.add(literal)
            self.order.append(literal)
            watching, self._watching[-literal] = self._watching[-literal], []
            for number, clause in enumerate(watching):
                if clause[0] == -literal:
                    clause[0], clause[1] = clause[1], clause[0]
                other = self._other_to_watch(clause)
                self._watching[other].append(clause)
                if other == -literal:  # all but the first have failed
                    if -clause[0] in self._holds:
                        self._watching[-literal] += watching[number + 1 :]
                        self._blame(clause)
                        return False
                    follow.append(clause[0])
        return True

    def _other_to_watch(self, clause: list[int]) -> int:
        """The literal that is watched instead of the second, which has failed; the second itself where none is left."""
        if clause[0] not in self._holds:
            for place in range(2, len(clause)):
                if -clause[place] not in self._holds:
                    clause[1], clause[place] = clause[place], clause[1]
                    break
        return clause[1]

    def _blame(self, clause: list[int]) -> None:
        self._weight *= 1.1
        for literal in clause:
            self._weights[literal] += self._weight
        self._heaviest = self._by_weight()

    def _by_weight(self) -> list[int]:
        return sorted(self._weights, key=self._weights.__getitem__, reverse=True)

    def undo(self, held: int) -> None:
        """Go back to the point where so many literals held."""
        self._holds.difference_update(self.order[held:])
        del self.order[held:]


class NetworkXNoCycle(Exception):
    """No circle can be reached from a node."""


Edge = tuple[Any, Any, int]
"""An edge from one node to another, and its number among those between both."""


class MultiDiGraph:
    """A directed graph with any number of edges between two nodes; nodes and edges have attributes.

    What is asked of it by a name, an order or an error is as networkx has it, and no more than cfn-lint asks.
    """

    def __init__(self, **attributes: Any) -> None:
        self.graph = attributes
        self.nodes: dict[Any, dict[str, Any]] = {}
        self._after: dict[Any, dict[Any, dict[int, dict[str, Any]]]] = {}
        self._before: dict[Any, dict[Any, dict[int, dict[str, Any]]]] = {}

    def add_node(self, node: Any, **attributes: Any) -> None:
        """Add a node, or attributes to the node that there is."""
        if node not in self.nodes:
            if node is None:
                raise ValueError("None cannot be a node")
            self.nodes[node], self._after[node], self._before[node] = {}, {}, {}
        self.nodes[node].update(attributes)

    def add_edge(self, one: Any, other: Any, **attributes: Any) -> None:
        """Add an edge, and nodes that are not there yet."""
        self.add_node(one)
        self.add_node(other)
        between = self._after[one].setdefault(other, {})
        self._before[other][one] = between
        between[len(between)] = attributes

    def get_edge_data(self, one: Any, other: Any, key: None = None, default: Any = None) -> Any:
        """The attributes of the edges from one node to another, by their numbers; `default` for no edge."""
        return self._after.get(one, {}).get(other, default)

    @property
    def edges(self) -> _Edges:
        """The edges, in the order of their nodes."""
        return _Edges(self._after)

    def in_edges(self, nodes: Any) -> list[tuple[Any, Any]]:
        """The edges to a node, or to those of some that there are."""
        return [
            (before, node) for node in self.among(nodes) for before, edges in self._before[node].items() for _ in edges
        ]

    def among(self, nodes: Any) -> list[Any]:
        """The node, where it is one of the graph, or else those of its members that are: a text has letters."""
        return [nodes] if nodes in self.nodes else [node for node in nodes if node in self.nodes]

    def edges_from(self, node: Any) -> Iterator[Edge]:
        """Yield the edges from a node."""
        return ((node, after, key) for after, edges in self._after[node].items() for key in edges)


class _Edges:
    def __init__(self, after: Mapping[Any, Mapping[Any, Mapping[int, dict[str, Any]]]]) -> None:
        self._after = after

    def data(self) -> list[tuple[Any, Any, dict[str, Any]]]:
        """The edges with their attributes."""
        return [
            (node, other, attributes)
            for node, others in self._after.items()
            for other, edges in others.items()
            for attributes in edges.values()
        ]


def find_cycle(graph: MultiDiGraph, source: Any) -> Sequence[Edge]:
    """The first circle that a search in depth meets on its way from a node. Raises `NetworkXNoCycle`."""
    done: set[Any] = set()
    for start in graph.among(source):
        path: list[Edge] = []
        steps = {start: graph.edges_from(start)}  # the nodes on the way, with the edges that are still to go
        while steps:
            node = next(reversed(steps))
            edge = next(steps[node], None)
            if edge is None:
                done.add(node)
                del steps[node]
                del path[-1:]
            elif edge[1] in steps:
                return [*path, edge][[*steps].index(edge[1]) :]
            elif edge[1] not in done:
                path.append(edge)
                steps[edge[1]] = graph.edges_from(edge[1])
    raise NetworkXNoCycle("No cycle found.")


def _late(name: str) -> Callable[..., Any]:
    """A function of urllib.request, which takes an eighth of cfn-lint's import, and which only --update-specs calls."""

    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(importlib.import_module("urllib.request"), name)(*arguments, **options)

    return call


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    return module


MODULES = {
    module.__name__: module
    for module in (
        _module(
            "sympy",
            **{each.__name__: each for each in (And, Dummy, Not, Or, Symbol)},
            Equivalent=equivalent,
            Implies=implies,
        ),
        _module("sympy.assumptions.cnf", EncodedCNF=EncodedCNF),
        _module(
            "sympy.logic.boolalg",
            **{each.__name__: each for each in (Boolean, BooleanFalse, BooleanFunction, BooleanTrue)},
            to_nnf=to_nnf,
        ),
        _module("sympy.logic.inference", satisfiable=satisfiable),
        _module("networkx", MultiDiGraph=MultiDiGraph, NetworkXNoCycle=NetworkXNoCycle, find_cycle=find_cycle),
        _module("urllib.request", **{name: _late(name) for name in ("Request", "urlopen", "urlretrieve")}),
    )
}
"""The modules that cfn-lint imports, with the names that it uses of each."""
