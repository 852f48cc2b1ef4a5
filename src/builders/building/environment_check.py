"""Holds every parameter file against all layers, and those of a phase as they would be deployed with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from builders import environments
from builders.building import packages
from builders.building.address_ranges import collisions
from builders.building.assembly import Assembly
from builders.building.findings import Finding
from builders.building.parameter_values import mistakes, shown
from builders.building.refusals import refusals
from builders.environments import ParameterFile
from builders.errors import ParameterFileError, UsageError
from builders.package import Function
from builders.stack import Scope
from builders.text import suggestion

Declarations = Mapping[str, Mapping[str, dict[str, Any]]]
"""For each parameter, its declaration in each layer that has it."""


def check(folder: Path, made: Assembly, functions: Sequence[Function] = ()) -> list[Finding]:
    """Everything that is wrong with the parameter files of `folder`. Raises `UsageError` when there is no folder.

    `functions` are those whose packages the files may name.
    """
    if not folder.is_dir():
        raise UsageError(f"no folder {folder} here; run from the project's root or say --environments-dir")
    findings: list[Finding] = []
    files: list[ParameterFile] = []
    for path in sorted(folder.glob("*.json")):
        try:
            files.append(environments.read(path))
        except ParameterFileError as error:
            line = error.__cause__.lineno if isinstance(error.__cause__, JSONDecodeError) else None
            findings.append(Finding("parameter-file", str(error), str(path), line))
    for file in files:
        findings += file.findings
        findings += _check_file(file, made)
    return [*findings, *collisions(files), *packages.findings(functions, made, files)]


def _check_file(file: ParameterFile, made: Assembly) -> Iterator[Finding]:
    declarations = _declarations(made)
    if not made.unbuilt:  # a layer that was not built may declare the key
        yield from _unknown(file, declarations)
    of_one_key = [*_missing(file, declarations, made.scopes), *_wrong_values(file, declarations)]
    yield from (finding for _, finding in of_one_key)
    yield from refusals(file, made, {key for key, _ in of_one_key})


def _declarations(made: Assembly) -> Declarations:
    declarations: dict[str, dict[str, dict[str, Any]]] = {}
    for layer, template in sorted(made.templates.items()):
        for key, declaration in template["Parameters"].items():
            declarations.setdefault(key, {})[layer] = declaration
    return declarations


def _unknown(file: ParameterFile, declarations: Declarations) -> Iterator[Finding]:
    for key, entry in file.entries.items():
        if key not in declarations:
            close = suggestion(key, declarations)
            advice = f"did you mean {close}?" if close else "remove it"
            message = f"{key} is a parameter of no layer, and the AWS CLI would drop it in silence; {advice}"
            yield Finding("unknown-parameter", message, str(file.path), entry.line)


def _missing(
    file: ParameterFile, declarations: Declarations, scopes: Mapping[str, Scope]
) -> Iterator[tuple[str, Finding]]:
    """Each key that the layers of the file's scopes cannot be deployed without."""
    for key, by_layer in declarations.items():
        demanding = [
            layer
            for layer, declaration in by_layer.items()
            if scopes[layer] in file.scopes and "Default" not in declaration
        ]
        if demanding and key not in file.entries:
            description = by_layer[demanding[0]].get("Description", "its layer says no more")
            layers = ", ".join(demanding)
            message = f'{key} is missing and has no default in {layers}; add "{key}=...": {description}'
            yield key, Finding("missing-parameter", message, str(file.path))


def _wrong_values(file: ParameterFile, declarations: Declarations) -> Iterator[tuple[str, Finding]]:
    """Each mistake once, with all layers that see it, by key."""
    for key in file.entries.keys() & declarations.keys():
        entry = file.entries[key]
        layers: dict[str, list[str]] = {}
        for layer, declaration in declarations[key].items():
            for mistake in mistakes(entry.value, declaration):
                layers.setdefault(f"{shown(key, entry.value, declaration)} {mistake}", []).append(layer)
        for mistake, names in layers.items():
            yield key, Finding("parameter-value", f"{mistake} ({', '.join(names)})", str(file.path), entry.line)
