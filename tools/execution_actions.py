"""Writes the actions that the execution role of StackSets needs, from the registry's schemas of the resource types.

They are kept in `layers/_execution/actions.py`, so that the layer is built without reading cfn-lint's schemas.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from builders import catalog
from builders.layers._execution.registry import Actions, derive, types_of, without_resource_level
from builders.scopes import Scope
from tools import written_files

TARGET = Path("src/builders/layers/_execution/actions.py")

_HEADER = '''"""The actions that create, read, update and delete the resources of a phase, by service.

Written by `python -m tools.execution_actions` from the registry's schemas; do not edit.
"""

from __future__ import annotations

'''


def phase_templates() -> list[Mapping[str, Any]]:
    """The templates of the layers that StackSets deploy."""
    every = [catalog.load(name) for name in catalog.layer_names()]
    return [layer.build().to_dict() for layer in every if layer.scope is Scope.PHASE]


def phase_actions() -> Actions:
    """The actions for these layers."""
    return derive(phase_templates())


def desired_files() -> dict[Path, str]:
    """The module with the actions of a phase."""
    templates = phase_templates()
    return {TARGET: _source(derive(templates), types_of(templates))}


def _source(actions: Actions, types: Sequence[str]) -> str:
    everywhere = without_resource_level(actions)
    confined = {
        service: tuple(v for v in verbs if v not in everywhere.get(service, ())) for service, verbs in actions.items()
    }
    return (
        _HEADER
        + _assignment("CONFINED", confined, "Actions that IAM allows on some resources and not on others.")
        + "\n"
        + _assignment("EVERYWHERE", everywhere, "Actions without a resource level.")
        + "\nTYPES = (\n"
        + "".join(f'    "{each}",\n' for each in types)
        + ')\n"""The resource types that these actions are for."""\n'
    )


def _assignment(name: str, actions: Actions, meaning: str) -> str:
    lines = [f"{name}: dict[str, tuple[str, ...]] = {{"]
    for service, verbs in actions.items():
        if len(verbs) > 1:
            lines += [f'    "{service}": (', *(f'        "{verb}",' for verb in verbs), "    ),"]
        elif verbs:
            lines += [f'    "{service}": ("{verbs[0]}",),']
    return "\n".join([*lines, "}", f'"""{meaning}"""', ""])


if __name__ == "__main__":
    sys.exit(written_files.main("tools.execution_actions", desired_files()))
