"""Builds many layers so that one layer's mistake does not hide another's, and judges how they fit together."""

from __future__ import annotations

import graphlib
import importlib.util
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from builders import catalog, graphs, layers
from builders.building.findings import Finding
from builders.errors import LayerError
from builders.stack import Scope, Stack


@dataclass(frozen=True)
class Assembly:
    """What layers made, by their names: scopes, stacks, templates as plain data, and findings.

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
    """Build every layer of a package; what goes wrong is a finding of the layer at fault."""
    names = catalog.names(package)
    loaded: dict[str, catalog.Layer] = {}
    stacks: dict[str, Stack] = {}
    findings: dict[str, list[Finding]] = {name: [] for name in names}
    for name in names:
        try:
            loaded[name] = catalog.load(name, package)
            stacks[name] = loaded[name].build()
        except LayerError as error:
            findings[name].append(_finding(error, name, package))
    unbuilt = [name for name in names if name not in stacks]
    for name, breach in catalog.breaches(stacks, loaded.values(), unbuilt):
        findings[name].append(_finding(breach, name, package))
    templates = {name: stack.to_dict() for name, stack in stacks.items()}
    scopes = {name: layer.scope for name, layer in loaded.items()}
    return Assembly(_order(stacks, loaded.values()), scopes, stacks, templates, unbuilt, findings)


def _order(stacks: dict[str, Stack], loaded: Iterable[catalog.Layer]) -> list[str]:
    try:
        return graphs.in_order(catalog.needs(stacks, loaded))
    except graphlib.CycleError:
        return sorted(stacks)


def _finding(error: LayerError, name: str, package: ModuleType) -> Finding:
    source = _source(name, package)
    return Finding("layer", str(error), _relative(source), _line_within(source, error))


def _source(name: str, package: ModuleType) -> Path:
    spec = importlib.util.find_spec(f"{package.__name__}.{name}")
    return Path(spec.origin if spec and spec.origin else package.__path__[0])


def _relative(path: Path) -> str:
    """The path as a person in the current directory would type it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _line_within(source: Path, error: BaseException) -> int | None:
    """The last line of the layer's own module on the way to the error, or to what caused it."""
    frames = traceback.extract_tb(error.__traceback__)
    if error.__cause__ is not None:
        frames += traceback.extract_tb(error.__cause__.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == source]
    return lines[-1] if lines else None
