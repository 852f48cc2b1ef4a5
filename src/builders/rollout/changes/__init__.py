"""What an update does to each resource of a stack, and what AWS would refuse or what would be lost. Pure: no AWS.

    effects.py      the values: Effect, Change, Hazard
    reading.py      a template's body (JSON, or somebody's YAML) evaluated with a place's parameters
    weights.py      what a change of one property does: modify, may replace, replace, by the registry's schemas
    differences.py  which properties differ, and where a property mentions another resource
    spreading.py    a replaced resource changes those that mention it
    comparison.py   a stack as it is beside the stack as it shall be: compare(), changes()
    hazards.py      hazards of one stack: hazards(); gathers the next four
    stateful.py         what holds data, generated secrets, a running replication task
    refusals.py         what CloudFormation refuses
    taken.py            names and places that the old resource still holds
    exports.py          exports that another layer imports
    sets.py         hazards of a stack set: limits of the template, parameters that are new
    collisions.py   hazards across stacks: two that give the same name

The way of a caller: `compare()` each stack that may differ, show `Comparison.changes`, ask `hazards()`.
"""

from builders.rollout.changes.collisions import collisions, names_of
from builders.rollout.changes.comparison import Comparison, changes, compare
from builders.rollout.changes.effects import Change, Effect, Hazard, HazardKind
from builders.rollout.changes.exports import Imports, changed_exports, exports_of, imports_of
from builders.rollout.changes.hazards import hazards
from builders.rollout.changes.sets import limits, new_parameters

__all__ = [
    "Change",
    "Comparison",
    "Effect",
    "Hazard",
    "HazardKind",
    "Imports",
    "changed_exports",
    "changes",
    "collisions",
    "compare",
    "exports_of",
    "hazards",
    "imports_of",
    "limits",
    "names_of",
    "new_parameters",
]
