"""Finds the layers by walking `builders/layers`, builds them, and derives the order in which they deploy."""

from __future__ import annotations

import contextlib
import graphlib
import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from builders import layers
from builders.errors import LayerError, UsageError
from builders.findings import Finding
from builders.scopes import Scope, in_order
from builders.stack import Export, OwnLayer, Stack, Value
from builders.text import unknown_name

Complete = Callable[[Stack, Mapping[str, OwnLayer]], Iterable[tuple[str, LayerError]]]
"""Adds to a layer what layers of a project's own need of it, and yields what they leave open, by layer."""


class Layer(Value):
    """One module of `builders.layers`: its name, scope, what it follows, and its builder.

    `actions` are those that the execution role needs for it beside what the registry names, None where it says nothing.
    """

    name: str
    scope: Scope
    build_into: Callable[[Stack], None]
    description: str
    after: tuple[str, ...] = ()
    actions: tuple[str, ...] | None = None
    complete: Complete | None = None

    def build(self) -> Stack:
        """Build the template. Raises `LayerError` for whatever the builder raises: one layer's mistake is its own."""
        return self.build_and_write()[0]

    def build_and_write(
        self, own: Mapping[str, OwnLayer] | None = None, breaches: list[tuple[str, LayerError]] | None = None
    ) -> tuple[Stack, dict[str, Any]]:
        """Build the template, and return it as plain data, too. Raises as `build` does.

        It is completed for the layers of a project's `own`; what those leave open is added to `breaches`.
        """
        stack = Stack(self.name, self.description)
        try:
            self.build_into(stack)
            if self.complete and own:
                found = list(self.complete(stack, own))
                if breaches is not None:
                    breaches += found
            if self.scope is Scope.PHASE:
                stack.bound_roles()
            stack.describe_itself(self.scope, self.after)
            template = stack.to_dict()  # troposphere validates when it writes
        except LayerError:
            raise
        except (Exception, SystemExit) as error:
            raise LayerError(f"{self.name}: the builder failed: {type(error).__name__}: {_one_line(error)}") from error
        return stack, template


def layer_names(package: ModuleType = layers) -> list[str]:
    """The names of all layers of a package, in alphabetical order, without importing them."""
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__) if not module.name.startswith("_"))


def own_names(package: ModuleType = layers) -> list[str]:
    """The names of the layers in the folders that `builders.layers.include` has added: those of a project's own."""
    return sorted(
        module.name for module in pkgutil.iter_modules(list(package.__path__)[1:]) if not module.name.startswith("_")
    )


def known_layer(name: str, package: ModuleType = layers) -> str:
    """The name itself. Raises `UsageError` with the closest match and the list when it names no layer."""
    every = layer_names(package)
    if name not in every:
        raise UsageError(unknown_name("layer", name, every))
    return name


def load(name: str, package: ModuleType = layers) -> Layer:
    """Import one layer. Raises `UsageError` for a name that is no layer, `LayerError` for a module that is none."""
    return _load(known_layer(name, package), package)


def _load(name: str, package: ModuleType) -> Layer:
    if not _NAME.fullmatch(name):
        raise LayerError(
            f"{name}: a layer's file is called by small letters, digits and underscores, the first a letter, such as "
            "message_queue.py: stacks are called by it, too"
        )
    try:
        module = importlib.import_module(f"{package.__name__}.{name}")
    except (Exception, SystemExit) as error:
        raise LayerError(
            f"{name}: the module cannot be imported: {type(error).__name__}: {_one_line(error)}"
        ) from error
    scope, build = getattr(module, "SCOPE", None), getattr(module, "build", None)
    if not isinstance(scope, Scope) or not callable(build):
        raise LayerError(f"{name}: a layer module needs SCOPE = Scope.<...> and build(stack)")
    description = (module.__doc__ or name).strip().splitlines()[0]
    actions = None if getattr(module, "ACTIONS", None) is None else _texts(name, module, "ACTIONS")
    return Layer(
        name, scope, build, description, _texts(name, module, "AFTER"), actions, getattr(module, "complete", None)
    )


_NAME = re.compile("[a-z][a-z0-9_]*")


def _texts(layer: str, module: ModuleType, constant: str) -> tuple[str, ...]:
    """A constant of a layer's module that is a tuple of texts. Raises `LayerError` where it is something else."""
    found = getattr(module, constant, ())
    if not isinstance(found, (tuple, list, set, frozenset)) or not all(isinstance(each, str) for each in found):
        raise LayerError(f'{layer}: {constant} is {found!r}; write a tuple of texts, such as ("network",)')
    return tuple(found)


def deploy_order(built: Mapping[str, Stack], catalog: Iterable[Layer]) -> list[str]:
    """The names of the layers, each after those that it imports from or states in `AFTER`.

    Layers that are free of each other stand in alphabetical order, so that the order is always the same. Raises the
    first `LayerError` that `breaches` finds.
    """
    loaded = list(catalog)
    for _, breach in breaches(built, loaded):
        raise breach
    return in_order(needs(built, loaded))


def breaches(
    built: Mapping[str, Stack], catalog: Iterable[Layer], unbuilt: Collection[str] = ()
) -> Iterator[tuple[str, LayerError]]:
    """Every way in which layers that each build well do not fit together, with the name of the layer at fault.

    An output that two layers have, a parameter with two defaults, an import that nobody exports or that another scope
    exports, an `AFTER` that names no layer, and a circle. `unbuilt` names layers whose builder failed: what others
    want of them is not judged.
    """
    by_name = {layer.name: layer for layer in catalog}
    exporters = {export for stack in built.values() for export in stack.exports}
    yield from _shared_outputs(built)
    yield from _differing_defaults(built)
    for name, stack in sorted(built.items()):
        for export in stack.imports:
            if export.layer not in unbuilt:
                yield from _unfit_import(by_name[name], export, exporters, by_name)
        for other in by_name[name].after:
            if other not in by_name and other not in unbuilt:
                every = ", ".join(sorted(by_name))
                yield name, LayerError(f"{name}: AFTER names {other!r}, which is not a layer; layers are {every}")
    yield from _circle(needs(built, by_name.values()))


def needs(built: Mapping[str, Stack], catalog: Iterable[Layer]) -> dict[str, set[str]]:
    """Return the layers that must be deployed before each layer that is built."""
    after = {layer.name: set(layer.after) for layer in catalog}
    return {
        name: ({export.layer for export in stack.imports} | after[name]) & built.keys()
        for name, stack in sorted(built.items())
    }


def _shared_outputs(built: Mapping[str, Stack]) -> Iterator[tuple[str, LayerError]]:
    """Outputs of all layers end in one flat file, so a name belongs to one layer."""
    owner: dict[str, str] = {}
    for name, stack in sorted(built.items()):
        for output in stack.template.outputs:
            if owner.setdefault(output, name) != name:
                message = f"{name}: output {output} is an output of {owner[output]} too; rename one of them"
                yield name, LayerError(message)


def _differing_defaults(built: Mapping[str, Stack]) -> Iterator[tuple[str, LayerError]]:
    """One flat file serves all layers: a parameter that it leaves out must mean the same to all that take it."""
    first: dict[str, tuple[str, Any]] = {}
    for name, stack in sorted(built.items()):
        for title, parameter in stack.template.parameters.items():
            default = parameter.properties.get("Default")
            if default is None:
                continue
            owner, other = first.setdefault(title, (name, default))
            if default != other:
                message = (
                    f"{name}: parameter {title} is {default!r} by default and {other!r} in {owner}; share one maker"
                )
                yield name, LayerError(message)


def _unfit_import(
    layer: Layer, export: Export, exporters: Collection[Export], catalog: Mapping[str, Layer]
) -> Iterator[tuple[str, LayerError]]:
    if export not in exporters:
        message = f"{layer.name}: imports {export.name} of {export.layer}, which {export.layer} does not export"
        yield layer.name, LayerError(message)
        return
    exporter = catalog[export.layer]
    if exporter.scope is not layer.scope:
        message = (
            f"{layer.name}: imports {export.name} of {exporter.name}, which lives elsewhere "
            f"({exporter.scope.value}, not {layer.scope.value}); take it as a parameter"
        )
        yield layer.name, LayerError(message)


def _circle(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, LayerError]]:
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        yield circle[0], LayerError(f"{circle[0]}: layers wait for each other in a circle: {' -> '.join(circle)}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


class Assembly(Value):
    """Layers that were built together: scopes, stacks, templates as plain data, and findings, by layer.

    `order` lists the layers that were built, each after those that it needs; where they go in a circle it is
    alphabetical. `unbuilt` names the layers that have no template because their module or builder failed.
    """

    order: list[str]
    scopes: dict[str, Scope]
    stacks: dict[str, Stack]
    templates: dict[str, dict[str, Any]]
    unbuilt: list[str]
    findings: dict[str, list[Finding]]


def assemble(package: ModuleType = layers) -> Assembly:
    """Build every layer of a package, so that one layer's mistake, a finding, does not hide another's."""
    with contextlib.redirect_stdout(sys.stderr):  # what a module prints is none of a command's result
        return _assembled(package)


def _assembled(package: ModuleType) -> Assembly:
    names = layer_names(package)
    loaded: dict[str, Layer] = {}
    stacks: dict[str, Stack] = {}
    templates: dict[str, dict[str, Any]] = {}
    findings: dict[str, list[Finding]] = {name: [] for name in names}
    for name in names:
        try:
            loaded[name] = _load(name, package)
            stacks[name], templates[name] = loaded[name].build_and_write()
        except LayerError as error:
            findings[name].append(_layer_finding(error, name, package))
    open_ends: list[tuple[str, LayerError]] = []
    own = {
        name: OwnLayer(templates[name], loaded[name].actions)
        for name in own_names(package)
        if name in templates and loaded[name].scope is Scope.PHASE
    }
    for name in [name for name in stacks if own and loaded[name].complete]:
        try:
            stacks[name], templates[name] = loaded[name].build_and_write(own, open_ends)
        except LayerError as error:
            findings[name].append(_layer_finding(error, name, package))
    unbuilt = [name for name in names if name not in stacks]
    for name, breach in [*open_ends, *breaches(stacks, loaded.values(), unbuilt)]:
        findings[name].append(_layer_finding(breach, name, package))
    scopes = {name: layer.scope for name, layer in loaded.items()}
    return Assembly(_order(stacks, loaded.values()), scopes, stacks, templates, unbuilt, findings)


def _order(stacks: dict[str, Stack], loaded: Iterable[Layer]) -> list[str]:
    try:
        return in_order(needs(stacks, loaded))
    except graphlib.CycleError:
        return sorted(stacks)


def _layer_finding(error: LayerError, name: str, package: ModuleType) -> Finding:
    source = _source(name, package)
    return Finding("layer", str(error), _relative(source), _line_within(source, error))


def _source(name: str, package: ModuleType) -> Path:
    from importlib.util import find_spec  # noqa: PLC0415

    spec = find_spec(f"{package.__name__}.{name}")
    return Path(spec.origin if spec and spec.origin else package.__path__[0])


def _relative(path: Path) -> str:
    """The path as a person in the current directory would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _line_within(source: Path, error: BaseException) -> int | None:
    """The last line of the layer's own module on the way to the error, or to what caused it."""
    import traceback  # noqa: PLC0415  only a mistake waits for it to load

    frames = traceback.extract_tb(error.__traceback__)
    if error.__cause__ is not None:
        frames += traceback.extract_tb(error.__cause__.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == source]
    return lines[-1] if lines else None
