"""Lint rules for cfn-lint: `cfn-lint --append-rules builders.rules template.yaml`.

One rule a file, found by walking this folder: adding the file is the whole registration. A file whose name begins
with an underscore is shared by rules.
"""

from __future__ import annotations

import importlib
import pkgutil

from builders.rules._rule import Rule

__all__ = ["Rule", "all_rules"]


def all_rules() -> list[type[Rule]]:
    """Every rule's class, by id."""
    found: dict[str, type[Rule]] = {}
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        if module.name.rpartition(".")[2].startswith("_") or module.ispkg or module.name.endswith(".pages"):
            continue
        members = vars(importlib.import_module(module.name)).values()
        found |= {rule.id: rule for rule in members if isinstance(rule, type) and issubclass(rule, Rule) and rule.id}
    return [found[rule_id] for rule_id in sorted(found)]


# cfn-lint looks for classes among the members of the module that it is told to append.
globals().update({rule.__name__: rule for rule in all_rules()})
