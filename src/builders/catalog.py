"""Finds the layers by walking `builders/layers`, builds them, and derives the order in which they deploy."""

from __future__ import annotations

import graphlib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from builders import layers
from builders.errors import LayerError, UsageError
from builders.stack import Export, Scope, Stack


@dataclass(frozen=True)
class Layer:
    """One module of `builders.layers`: its name, scope, what it follows, and its builder."""

    name: str
    scope: Scope
    build_into: Callable[[Stack], None]
    description: str
    after: tuple[str, ...] = field(default=())

    def build(self) -> Stack:
        """Build the template. Raises `LayerError` for whatever the builder raises: one layer's mistake is its own."""
        stack = Stack(self.name, self.description)
        try:
            self.build_into(stack)
            stack.to_dict()  # troposphere validates when it writes
        except LayerError:
            raise
        except Exception as error:
            raise LayerError(f"{self.name}: the builder failed: {type(error).__name__}: {_one_line(error)}") from error
        return stack


def names() -> list[str]:
    """The names of all layers, in alphabetical order, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(layers.__path__) if not module.name.startswith("_"))


def load(name: str) -> Layer:
    """Import one layer. Raises `UsageError` for a name that is no layer, `LayerError` for a module that is none."""
    if name not in names():
        raise UsageError(f"unknown layer {name!r}; layers are {', '.join(names())}")
    try:
        module = importlib.import_module(f"{layers.__name__}.{name}")
    except Exception as error:
        raise LayerError(
            f"{name}: the module cannot be imported: {type(error).__name__}: {_one_line(error)}"
        ) from error
    scope, build = getattr(module, "SCOPE", None), getattr(module, "build", None)
    if not isinstance(scope, Scope) or not callable(build):
        raise LayerError(f"{name}: a layer module needs SCOPE = Scope.<...> and build(stack)")
    description = (module.__doc__ or name).strip().splitlines()[0]
    return Layer(name, scope, build, description, tuple(getattr(module, "AFTER", ())))


def deploy_order(built: Mapping[str, Stack], catalog: Iterable[Layer]) -> list[str]:
    """The names of the layers, each after those that it imports from or states in `AFTER`.

    Layers that are free of each other stand in alphabetical order, so that the order is always the same. Raises
    `LayerError` for an output that two layers have, for an import that nobody exports or that another scope
    exports, for an `AFTER` that names no layer, and for a cycle.
    """
    by_name = {layer.name: layer for layer in catalog}
    _check_outputs(built)
    exporters = {export for stack in built.values() for export in stack.exports}
    graph: dict[str, set[str]] = {}
    for name, stack in sorted(built.items()):
        layer = by_name[name]
        for export in stack.imports:
            _check_import(layer, export, exporters, by_name)
        for other in layer.after:
            if other not in by_name:
                raise LayerError(f"{name}: AFTER names {other!r}, which is no layer; layers are {', '.join(by_name)}")
        graph[name] = {export.layer for export in stack.imports} | set(layer.after)
    return _sorted_topologically(graph)


def _check_outputs(built: Mapping[str, Stack]) -> None:
    """Outputs of all layers end in one flat file, so a name belongs to one layer."""
    owner: dict[str, str] = {}
    for name, stack in sorted(built.items()):
        for output in stack.template.outputs:
            if output in owner:
                raise LayerError(f"{name}: output {output} is an output of {owner[output]} too; rename one of them")
            owner[output] = name


def _check_import(layer: Layer, export: Export, exporters: set[Export], catalog: Mapping[str, Layer]) -> None:
    if export not in exporters:
        raise LayerError(f"{layer.name}: imports {export.name} of {export.layer}, which {export.layer} does not export")
    exporter = catalog[export.layer]
    if exporter.scope is not layer.scope:
        raise LayerError(
            f"{layer.name}: imports {export.name} of {exporter.name}, which lives in another place "
            f"({exporter.scope.value}, not {layer.scope.value}); take it as a parameter"
        )


def _sorted_topologically(graph: Mapping[str, set[str]]) -> list[str]:
    sorter = graphlib.TopologicalSorter(graph)
    order: list[str] = []
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        raise LayerError(f"layers wait for each other in a circle: {' -> '.join(error.args[1])}") from error
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(ready)
        sorter.done(*ready)
    return order


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
