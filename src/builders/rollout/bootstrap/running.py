"""Deploys the plain stacks: round after round, the places of a round side by side, each failing for itself."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from builders import progress
from builders.errors import RolloutError
from builders.rollout import names
from builders.rollout.bootstrap import planning, standing
from builders.rollout.bootstrap.planning import ROUNDS, PlainStep
from builders.rollout.client import Client, together
from builders.rollout.client.refusals import Refused, Unreachable
from builders.rollout.desired import Shared, Template, desired, template
from builders.rollout.desired.parameter_files import SUFFIX
from builders.rollout.desired.templates import ACCOUNT
from builders.rollout.file import RolloutFile
from builders.rollout.model import Desired, Place, Values


class State(enum.Enum):
    """What came of a stack."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    HELD = "held back"


@dataclass(frozen=True)
class Outcome:
    """A stack and what came of it: why, where it failed or was held back, and what it puts out where it stands."""

    step: PlainStep
    state: State
    reason: str = ""
    outputs: Values = field(default_factory=dict)

    @property
    def stands(self) -> bool:
        """Whether the stack is what it shall be."""
        return self.state not in (State.FAILED, State.HELD)

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.step}: {self.state.value}" + (f", {self.reason}" if self.reason else "")


Tell = Callable[[Outcome], None]


def run(
    client: Client,
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    members: Mapping[str, Collection[str]] | None = None,
    tell: Tell = lambda _outcome: None,
) -> list[Outcome]:
    """Deploy everything that a phase stands on, and tell each outcome as it comes; return them all.

    A stack that fails holds back those that need it, and no others. Raises `RolloutFileError` for values that are
    wrong, and `Unreachable` where nobody can be asked.
    """
    for scope in ROUNDS:  # what is wrong with any value is said before the first stack is touched
        planning.plan(rollout, phase, scope, templates, Shared(), members)
    outcomes: list[Outcome] = []
    for scope in ROUNDS:
        steps = planning.plan(rollout, phase, scope, templates, _shared(outcomes), members)
        outcomes += _round(client, steps, _broken(outcomes), tell)
    if all(outcome.stands for outcome in outcomes):
        wanted = _wanted(client, rollout, phase, templates, outcomes, members or {})
        steps = planning.routes(wanted, _put_out(client, wanted)) if wanted else []
        outcomes += _round(client, steps, {}, tell)
    return outcomes


def _round(client: Client, steps: Sequence[PlainStep], broken: Mapping[str, str], tell: Tell) -> list[Outcome]:
    """The stacks of one place go one after the other, since they may follow each other."""
    places: dict[Place, list[PlainStep]] = {}
    for step in steps:
        places.setdefault(step.place, []).append(step)

    def work(place: Place) -> list[Outcome]:
        done: list[Outcome] = []
        for step in places[place]:
            done.append(_deployed(client, step, {**broken, **_broken(done)}))
        return done

    outcomes: list[Outcome] = []
    with progress.bar("bootstrap", len(places)) as advance:
        for place, done in together(work, places):
            advance(str(place))
            for outcome in done:
                tell(outcome)
            outcomes += done
    return outcomes


def _deployed(client: Client, step: PlainStep, broken: Mapping[str, str]) -> Outcome:
    waiting = sorted(template(step.layer, step.template).needs & broken.keys())
    if waiting:
        return Outcome(step, State.HELD, f"since {broken[waiting[0]]} does not stand")
    try:
        before = client.plain.read(step.account, step.region, step.name)
        after = client.plain.deploy(step.account, step.region, step.name, step.template, step.values, step.tags)
    except Unreachable:
        raise
    except RolloutError as error:
        return Outcome(step, State.FAILED, str(error))
    state = State.CREATED if before is None else State.UNCHANGED if before == after else State.UPDATED
    return Outcome(step, state, outputs=after.outputs)


def _broken(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """The layers of which a stack does not stand, each with one such stack."""
    return {outcome.step.layer: str(outcome.step) for outcome in outcomes if not outcome.stands}


def _shared(outcomes: Sequence[Outcome]) -> Shared:
    return standing.joined({(each.step.layer, each.step.place): each.outputs for each in outcomes if each.stands})


def _wanted(
    client: Client,
    rollout: RolloutFile,
    phase: str,
    templates: Mapping[str, Template],
    outcomes: Sequence[Outcome],
    members: Mapping[str, Collection[str]],
) -> Desired | None:
    """The phase as it shall be, where something of it stands; before its first apply its values may be incomplete."""
    of_account = [each.step for each in outcomes if template(each.step.layer, each.step.template).scope == ACCOUNT]
    suffix = of_account[0].values[SUFFIX] if of_account else ""
    if not {names.stack_set(layer, suffix) for layer in templates} & set(client.sets.names()):
        return None
    return desired(rollout, phase, templates, _shared(outcomes), members)


def _put_out(client: Client, wanted: Desired) -> dict[str, dict[Place, Values]]:
    """What the layers that the routes follow have put out, by layer and place, where they stand."""
    needed = {need for layer in wanted.plain for need in wanted.needs[layer] & wanted.sets.keys()}
    return {layer: _outputs(client, layer, wanted.sets[layer].name) for layer in sorted(needed)}


def _outputs(client: Client, layer: str, name: str) -> dict[Place, Values]:
    """The outputs of a set's stacks; of those that are not there, or do not let themselves be read, none."""
    state = client.sets.read(layer, name)
    instances = {place: each for place, each in (state.instances if state else {}).items() if each.stack_id}

    def look(place: Place) -> Values:
        try:
            return client.members.outputs(place, instances[place].stack_id)
        except Refused:
            return {}

    return dict(together(look, instances))
