"""A plan as JSON, the file that keeps it until it is applied, and how a newly made plan differs from a saved one."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, ValidationError

from builders import files
from builders.errors import RolloutError, UsageError
from builders.rollout.model import Target
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, PlannedHazard, PlannedOperation
from builders.stack_diff.effects import Change
from builders.stack_diff.hazards import HazardKind
from builders.text import name_list, printable

VERSION = 2
_VERSION_KEY = "stackferry_plan"
_DIGEST_KEY = "sha256"
_NAMED = 3


_Place = Annotated[str, BeforeValidator(lambda place: str(place) if isinstance(place, Target) else place)]
_PLACES = AliasChoices("places", "targets")
"""Their name in a file, and in a plan."""


class SavedValue(BaseModel, frozen=True, extra="forbid", from_attributes=True):
    """A changed property with its values, at `places` only where they are not those of the whole group."""

    logical_id: str
    path: str
    before: str | None
    after: str | None
    places: tuple[_Place, ...] = Field((), validation_alias=_PLACES)


class SavedGroup(BaseModel, frozen=True, extra="forbid", from_attributes=True):
    """Instances that change alike. Their targets are `account/region`."""

    wave: str
    layer: str
    kind: ChangeKind
    places: list[_Place] = Field(validation_alias=_PLACES)
    changes: tuple[Change, ...] | None
    values: tuple[SavedValue, ...] = ()


class SavedHazard(BaseModel, frozen=True, extra="forbid"):
    """A hazard with the targets that it concerns."""

    name: str
    kind: HazardKind
    layer: str
    resource: str
    message: str
    way_round: str
    acknowledgeable: bool
    blocks: bool
    needs_order: list[str]
    places: list[str]


class SavedPlan(BaseModel, frozen=True, extra="forbid"):
    """A plan with every target. The names are the keys of `plan --json` and of plan files, and so must not change."""

    phase: str
    command: str
    release: str
    nothing_to_do: bool
    blocked: bool
    counts: dict[str, int]
    minutes: float
    layers: list[str]
    groups: list[SavedGroup]
    calls: list[PlannedOperation]
    hazards: list[SavedHazard]
    acknowledged: list[str]
    notes: list[str]

    @classmethod
    def of(cls, plan: Plan) -> SavedPlan:
        """A plan in the form of the file."""
        blocks = set(plan.blocks)
        return cls(
            phase=plan.phase,
            command=plan.command,
            release=plan.release,
            nothing_to_do=plan.nothing_to_do,
            blocked=bool(blocks),
            counts={
                kind.value: count
                for kind in ChangeKind
                if (count := plan.count(kind)) or kind is not ChangeKind.ADOPT  # programs know the others
            },
            minutes=plan.minutes,
            layers=list(plan.layers),
            groups=list(map(SavedGroup.model_validate, plan.groups)),
            calls=list(plan.operations),
            hazards=[_saved_hazard(each, each in blocks) for each in plan.hazards],
            acknowledged=sorted(plan.acknowledged),
            notes=list(plan.notes),
        )


def _saved_hazard(each: PlannedHazard, blocks: bool) -> SavedHazard:
    fields, places = dict(vars(each.hazard)), list(map(str, each.targets))
    return SavedHazard(name=each.name, way_round=fields.pop("remedy"), blocks=blocks, places=places, **fields)


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as a dictionary that `json` can write."""
    return SavedPlan.of(plan).model_dump(mode="json")


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan to a file. Raises `RolloutError` where the file cannot be written."""
    data = plan_data(plan)
    content = json.dumps({_VERSION_KEY: VERSION, _DIGEST_KEY: _digest(data), **data}, indent=1)
    try:
        files.replace(path, f"{content}\n".encode())
    except OSError as error:
        raise RolloutError(f"{path}: the plan cannot be saved: {error.strerror or error}") from error


def load_plan(path: Path) -> SavedPlan:
    """Read a saved plan. Raises `RolloutError` for a file that is missing, edited, or of another version.

    The digest finds edits, and nobody who writes a new one: what such a plan says is compared with a fresh plan, and it
    acknowledges nothing that it does not show.
    """
    advice = "save one with `rollout-stacksets plan --out plan.json`"
    try:
        found = json.loads(files.read_bytes(path))
    except OSError as error:
        raise UsageError(f"{path}: the plan cannot be read: {error.strerror or error}; {advice}") from error
    except (ValueError, RecursionError) as error:
        raise RolloutError(f"{path} is not a saved plan: it is not JSON; {advice}") from error
    if not isinstance(found, dict) or _VERSION_KEY not in found:
        raise RolloutError(f"{path} is not a saved plan; {advice}")
    if found.pop(_VERSION_KEY) != VERSION:
        raise RolloutError(f"{path} was saved by another version of rollout-stacksets; {advice}")
    digest = found.pop(_DIGEST_KEY, None)
    try:
        plan = SavedPlan.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = printable(".".join(map(str, first["loc"])))
        raise RolloutError(f"{path} is cut or edited: {where}: {first['msg']}; {advice}") from error
    if digest != _digest(found):  # of the content as it was saved: a plan of before there were values has none of them
        raise RolloutError(f"{path} was edited since it was saved: its SHA-256 is another one; {advice}")
    if unseen := sorted(set(plan.acknowledged) - {each.name for each in plan.hazards}):
        raise RolloutError(f"{path} acknowledges {printable(', '.join(unseen))}, which it does not show; {advice}")
    return plan


def _digest(data: Mapping[str, Any]) -> str:
    """The SHA-256 of a plan's content: of what it shows, and of what is acknowledged of that."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def differences(saved: SavedPlan, plan: Plan) -> list[str]:
    """The differences of a newly made plan from a saved one, a line each; none where the saved one may be applied."""
    fresh = SavedPlan.of(plan)
    before, after = _compared(saved), _compared(fresh)
    lines = [
        f"{part} was {before[part] or 'none'}, and is {after[part] or 'none'}"
        for part in ("phase", "command", "release")
        if before[part] != after[part]
    ]
    lines += [*_instances(saved, fresh), *_hazards(saved, fresh)]
    # The rest follows from these; where they are the same, the rest itself is different.
    return lines or [f"{part} differ" for part in after if before[part] != after[part]]


def _compared(plan: SavedPlan) -> dict[str, Any]:
    """A plan without a person's acknowledgements, and without what follows from them or is counted from the rest."""
    follows = {"acknowledged": True, "blocked": True, "counts": True, "nothing_to_do": True}
    return plan.model_dump(exclude={**follows, "hazards": {"__all__": {"blocks"}}})


_Outcome = tuple[ChangeKind, tuple[Change, ...] | None]


def _instances(before: SavedPlan, after: SavedPlan) -> Iterator[str]:
    """The instances of which something else becomes now, those with the same difference in one line."""
    was, now = _by_instance(before), _by_instance(after)
    alike: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            layer, _, target = key
            alike[layer, _difference(was.get(key), now.get(key))].append(target)
    for (layer, difference), targets in alike.items():
        yield f"{layer} at {name_list(targets, _NAMED)}: {difference}"


def _by_instance(plan: SavedPlan) -> dict[tuple[str, str, str], _Outcome]:
    return {
        (group.layer, group.wave, target): (group.kind, group.changes)
        for group in plan.groups
        for target in group.places
    }


def _difference(was: _Outcome | None, now: _Outcome | None) -> str:
    if was is None:
        return f"{now[0].value if now else 'nothing'}, and was not in the plan"
    if now is None:
        return f"was {was[0].value}, and is not in the plan now"
    if was[0] is not now[0]:
        return f"was {was[0].value}, and is {now[0].value}"
    if was[1] is None or now[1] is None:
        return f"{now[0].value} changes other resources: compared in one of the plans only"
    names = sorted({each.logical_id for each in set(was[1]) ^ set(now[1])})
    return f"{now[0].value} changes other resources: {name_list(names, _NAMED) or 'in another order'}"


def _hazards(before: SavedPlan, after: SavedPlan) -> Iterator[str]:
    was, now = ({(each.name, each.message): each.places for each in plan.hazards} for plan in (before, after))
    for name, message in sorted(now.keys() - was.keys()):
        yield f"new hazard {name}: {message}"
    for name, message in sorted(was.keys() - now.keys()):
        yield f"hazard {name} is gone: {message}"
    for key in sorted(was.keys() & now.keys()):
        if was[key] != now[key]:
            yield f"hazard {key[0]} is at {_where(now[key])}, and was at {_where(was[key])}"


def _where(targets: list[str]) -> str:
    return name_list(targets, _NAMED) or "no target"
