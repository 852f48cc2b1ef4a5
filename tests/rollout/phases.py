"""Small templates and rollout files, from which tests of the desired state make phases."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from builders.layer_templates import Template, read_template
from builders.rollout.config.desired_state import desired_state
from builders.rollout.config.parameters import SharedOutputs
from builders.rollout.config.schema import RolloutFile
from builders.rollout.model import DesiredState

ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
NEAR, FAR = "us-east-1", "eu-west-1"
TEXT: Mapping[str, Any] = {"Type": "String"}
COMMON: Mapping[str, Any] = {"EnvironmentSuffix": TEXT, "MigrationPhase": TEXT}


def made(
    layer: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    scope: str = "PHASE",
    needs: tuple[str, ...] = (),
    outputs: tuple[str, ...] = (),
    rules: Mapping[str, Any] | None = None,
    resources: Mapping[str, Any] | None = None,
) -> Template:
    """A template with the common parameters and its own."""
    body = {
        "Metadata": {"Stackferry": {"Scope": scope, "Needs": sorted(needs)}},
        "Parameters": {**COMMON, **(parameters or {})},
        "Rules": rules or {},
        "Resources": resources or {},
        "Outputs": {name: {"Value": "x"} for name in outputs},
    }
    return read_template(layer, json.dumps(body))


def rollout(plan: Mapping[str, Any] | None = None, **file: Any) -> RolloutFile:
    """A rollout file with the phase dev in two accounts and two regions, with changes to it."""
    phase = {"environment": "dev.json", "targets": {"accounts": [ONE, TWO]}, "regions": [NEAR, FAR], **(plan or {})}
    content = {
        "tooling": {"account": "888888888888", "parameters": "tooling.json"},
        "network": {"account": "999999999999", "parameters": "network.json"},
        "phases": {"dev": phase},
        **file,
    }
    return RolloutFile.model_validate(content)


def environment(values: Mapping[str, str] | None = None) -> str:
    """The content of a parameter file, with an entry a line."""
    given = {"EnvironmentSuffix": "dev", "MigrationPhase": "dev", **(values or {})}
    return json.dumps([f"{key}={value}" for key, value in given.items()], indent=0)


def phase(
    templates: list[Template],
    plan: Mapping[str, Any] | None = None,
    values: Mapping[str, str] | None = None,
    *,
    shared: SharedOutputs | None = None,
    members: Mapping[str, tuple[str, ...]] | None = None,
    **file: Any,
) -> DesiredState:
    """The desired state of dev, its parameter file in the present folder."""
    by_layer = {each.layer: each for each in templates}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("dev.json").write_text(environment(values), encoding="utf-8")
        return desired_state(rollout(plan, **file), "dev", by_layer, shared or SharedOutputs(), members)
