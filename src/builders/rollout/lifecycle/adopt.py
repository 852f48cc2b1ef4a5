"""adopt: stacks that were first deployed by hand become instances of their stack sets, by import, and none is changed.

The stack of a layer is known by its name, `<layer>-<suffix>`. A set is made with the template that its stacks have, not
with the desired one: StackSets imports only what is as the set says, and so the next plan shows, resource by resource,
what an apply would change. Values by which a stack differs become its overrides.

Sources: CloudFormation user guide, "Import a stack into StackSets", "Requirements for stack import" (one set for each
stack, no NoEcho, tags are those of the set); API reference, ImportStacksToStackSet (10 stacks a call).
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from builders import naming
from builders.aws import stacks
from builders.aws.calls import attempted
from builders.errors import RolloutError
from builders.evaluate import no_echo_parameters
from builders.rollout.aws.client import Client
from builders.rollout.config.desired_state import package_keys
from builders.rollout.model import (
    CurrentState,
    DeployedStack,
    DesiredState,
    LayerTarget,
    StackSet,
    StackSetSpec,
    Target,
    Values,
)
from builders.rollout.plan.calls import Action, Call, rectangles
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Group, Plan, PlannedHazard, PlannedOperation, make_groups
from builders.rollout.plan.schedule import waves_of
from builders.rollout.state.releases import release_id
from builders.scopes import in_order
from builders.stack_diff.comparison import compare
from builders.stack_diff.hazards import Hazard, HazardKind
from builders.stack_diff.values import changed_values
from builders.template_bodies import declared_parameters, parse_template, same_template
from builders.text import counted_noun

MOST_STACKS = 10
"""Stacks of one call of ImportStacksToStackSet."""

FAILED_IMPORT = "FAILED_IMPORT"
"""The detailed status of an instance that is tried again by the next import."""

IMPORTABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
"""Statuses of stacks that a next update can start from. No page lists those that an import takes."""

MINUTES = 1.0
"""A guess for one import, which only reads the stacks."""


@dataclass(frozen=True)
class Standing:
    """A stack that was deployed by hand."""

    id: str
    stack: DeployedStack


@dataclass(frozen=True)
class Adoption:
    """The plan that is shown, the sets as their stacks are, and the calls of each layer, in the order of layers."""

    plan: Plan
    desired: DesiredState
    calls: Mapping[str, Sequence[Call]]


def plan_adoption(
    client: Client, desired: DesiredState, current: CurrentState, acknowledged: Collection[str] = ()
) -> Adoption:
    """Plan the import of every stack of the phase that stands and is in no set of it.

    Raises `RolloutError` where there is neither such a stack nor a set.
    """
    found, unread = _read(client, desired, current)
    if not (found or unread or current.sets):
        raise RolloutError(
            f"no stack of phase {desired.phase} stands at its targets: a stack to adopt is called like "
            f"{naming.plain_stack('network', desired.suffix)}; `apply` deploys what is not there"
        )
    planner = _Planner(desired, current, found)
    for (layer, target), reason in sorted(unread.items()):
        remedy = "run `rollout-stacksets bootstrap`, whose plan role may read it, then adopt again"
        planner.refuse(layer, target, f"cannot be read: {reason}", remedy)
    return planner.adoption(acknowledged)


def _read(
    client: Client, desired: DesiredState, current: CurrentState
) -> tuple[dict[LayerTarget, Standing], dict[LayerTarget, str]]:
    """The stacks that stand where a set has no instance yet, and why others cannot be read."""

    def read(key: LayerTarget) -> Standing | None:
        session = client.reading(key[1])
        described = stacks.describe(session, naming.plain_stack(key[0], desired.suffix))
        stack = described and stacks.with_template(session, described)
        return Standing(described["StackId"], stack) if described and stack else None

    asked = [
        (layer, target)
        for layer, spec in desired.sets.items()
        for target in spec.overrides
        if _is_open(current.sets.get(layer), target)
    ]
    answers = dict(attempted(read, asked))
    found = {key: answer for key, answer in answers.items() if isinstance(answer, Standing)}
    return found, {key: str(answer) for key, answer in answers.items() if isinstance(answer, RolloutError)}


def _is_open(state: StackSet | None, target: Target) -> bool:
    """Return whether a set has no instance at a target, or one without a stack, or one whose import failed."""
    instance = state.instances.get(target) if state else None
    return instance is None or not instance.stack_id or instance.detailed == FAILED_IMPORT


class _Planner:
    """Decides for each stack whether it can be imported, and gathers what is shown and sent."""

    def __init__(self, desired: DesiredState, current: CurrentState, found: Mapping[LayerTarget, Standing]) -> None:
        self._desired = desired
        self._current = current
        self._found = found
        self._refused: dict[Hazard, set[Target]] = defaultdict(set)
        self._notes: list[str] = []

    def refuse(self, layer: str, target: Target, message: str, remedy: str) -> None:
        """Leave a stack out, which blocks the adoption until it is acknowledged."""
        self._refused[Hazard(HazardKind.NOT_IMPORTABLE, layer, "adopt", message, remedy, True)].add(target)

    def adoption(self, acknowledged: Collection[str]) -> Adoption:
        """Put the plan together."""
        adopted = {layer: self._importable(layer) for layer in self._desired.sets}
        present = [each for members in adopted.values() for each in members.values()]
        tags = [{key: text for key, text in each.stack.tags.items() if key != stacks.TEMPLATE_TAG} for each in present]
        common = set.intersection(*(set(each.items()) for each in tags)) if tags else self._desired.tags.items()
        sets = {layer: spec for layer, members in adopted.items() if (spec := self._spec(layer, members))}
        values = [spec.values(target) for spec in sets.values() for target in spec.overrides]
        desired = dataclasses.replace(
            self._desired,
            sets=sets,
            tags=dict(sorted(common)),
            packages=tuple(sorted(set[str]().union(*map(package_keys, values)))),
        )
        if present and dict(common) != dict(self._desired.tags):
            self._notes.append("the stacks do not have the tags of the phase: the next apply updates each to set them")
        if present and (role := self._desired.permissions.execution_role_name):
            self._notes.append(
                f"{role} must be allowed the same on these stacks, and on what is named after them, as on those of "
                "stack sets (docs/rollout.md, adopt); else their import fails, and nothing is changed"
            )
        calls: dict[str, list[Call]] = defaultdict(list)
        groups, operations = list[Group](), list[PlannedOperation]()
        for wave in waves_of(self._desired, self._current):
            for layer in in_order(self._desired.needs):
                members = {t: each for t, each in adopted.get(layer, {}).items() if t.account in wave.accounts}
                groups += self._groups(wave.name, layer, members)
                if members and layer not in calls and layer not in self._current.sets:
                    calls[layer].append(Call(Action.CREATE_SET, layer, sets[layer].name))
                for call in _imports(sets[layer].name, layer, members, self._desired.regions) if members else ():
                    calls[layer].append(call)
                    accounts = len(call.accounts)
                    shown = wave.name, layer, call.action, accounts, call.regions, accounts, MINUTES
                    operations.append(PlannedOperation(*shown))
        self._note_absent()
        layers = tuple(layer for layer in in_order(self._desired.needs) if layer in self._desired.sets)
        plan = Plan(
            phase=self._desired.phase,
            command="adopt",
            release=release_id(desired),
            layers=layers,
            groups=tuple(groups),
            operations=tuple(operations),
            hazards=tuple(PlannedHazard(each, tuple(sorted(targets))) for each, targets in self._refused.items()),
            acknowledged=frozenset(acknowledged),
            minutes=MINUTES * len(operations),
            notes=tuple(self._notes),
        )
        return Adoption(plan, desired, {layer: calls[layer] for layer in layers if layer in calls})

    def _importable(self, layer: str) -> dict[Target, Standing]:
        """The stacks of a layer that can be imported into one set; the others are refused."""
        state, name = self._current.sets.get(layer), naming.plain_stack(layer, self._desired.suffix)
        good: dict[Target, Standing] = {}
        for (other, target), each in sorted(self._found.items()):
            hidden = no_echo_parameters(parse_template(each.stack.template))
            instance = state.instances.get(target) if state else None
            if other != layer:
                continue
            if each.stack.status not in IMPORTABLE:
                remedy = f"bring {name} to CREATE_COMPLETE or UPDATE_COMPLETE in its account, or delete it; then adopt"
                self.refuse(layer, target, f"{name} is {each.stack.status}, and cannot be imported", remedy)
            elif hidden:
                remedy = "take NoEcho out of the template (secrets belong into Secrets Manager), deploy it, then adopt"
                self.refuse(layer, target, f"NoEcho of {', '.join(hidden)} cannot be imported", remedy)
            elif instance and instance.stack_id != each.id:
                remedy = "take it out by `aws cloudformation delete-stack-instances --retain-stacks`, then adopt"
                message = f"its stack set has an instance there already, of {instance.stack_id or 'no stack'}"
                self.refuse(layer, target, message, remedy)
            else:
                good[target] = each
        template = state.template if state else self._commonest(layer, [each.stack.template for each in good.values()])
        for target, each in list(good.items()):
            if not same_template(each.stack.template, template):
                del good[target]
                owner = "its stack set" if state else "most of the others"
                newer = state is not None and same_template(each.stack.template, self._desired.sets[layer].template)
                remedy = (
                    "apply first, which gives the stack set this template"
                    if newer
                    else (f"deploy the template of {owner} there by `aws cloudformation deploy --stack-name {name}`")
                )
                self.refuse(layer, target, f"the template of {name} is not that of {owner}", f"{remedy}; then adopt")
        return good

    def _commonest(self, layer: str, templates: Sequence[str]) -> str:
        """The template that most stacks have; of two, the desired one."""
        wanted = self._desired.sets[layer].template
        first = {text: next(one for one in templates if same_template(one, text)) for text in dict.fromkeys(templates)}
        alike = [first[text] for text in templates]
        return max(alike, key=lambda text: (alike.count(text), same_template(text, wanted)), default=wanted)

    def _spec(self, layer: str, members: Mapping[Target, Standing]) -> StackSetSpec | None:
        """The set with its instances and new members; None where there is neither."""
        state, wanted = self._current.sets.get(layer), self._desired.sets[layer]
        if state is None and not members:
            return None
        template = state.template if state else next(iter(members.values())).stack.template
        if state is None:
            one = next(iter(members.values())).stack.parameters
            own: Values = {n: wanted.parameters.get(n, one[n]) for n in declared_parameters(template) if n in one}
        else:
            own = state.parameters
        overrides = {t: dict(each.overrides or {}) for t, each in state.instances.items()} if state else {}
        for target, each in members.items():
            values = each.stack.parameters
            overrides[target] = {n: value for n, value in values.items() if own.get(n) != value}
        return StackSetSpec(layer, wanted.name, template, own, overrides)

    def _groups(self, wave: str, layer: str, members: Mapping[Target, Standing]) -> tuple[Group, ...]:
        """The members with what the next apply changes in each."""
        found = []
        for target, each in members.items():
            spec = self._desired.sets[layer]
            comparison = compare(each.stack, spec.template, spec.values(target), target)
            alike = wave, layer, ChangeKind.ADOPT, comparison.unnamed
            found.append((alike, target, changed_values(comparison, target.account)))
        return make_groups(found)

    def _note_absent(self) -> None:
        if self._found:
            self._notes.append("no stack is changed now; changes of resources are those that the next apply makes")
        refused = {(each.layer, target) for each, targets in self._refused.items() for target in targets}
        for layer, spec in self._desired.sets.items():
            state = self._current.sets.get(layer)
            open_ = {(layer, target) for target in spec.overrides if _is_open(state, target)}
            if absent := open_ - self._found.keys() - refused:
                name = naming.plain_stack(layer, self._desired.suffix)
                where = counted_noun(len(absent), "target")
                self._notes.append(f"{layer}: there is no stack {name} at {where}, where apply makes one")


def _imports(name: str, layer: str, members: Mapping[Target, Standing], regions: Sequence[str]) -> Iterator[Call]:
    """Calls of at most ten stacks."""
    for accounts, there in rectangles(members, regions):
        for begin in range(0, len(there), MOST_STACKS):
            some = there[begin : begin + MOST_STACKS]
            step = MOST_STACKS // len(some)
            for number in range(0, len(accounts), step):
                chosen = accounts[number : number + step]
                ids = tuple(members[Target(account, region)].id for account in chosen for region in some)
                yield Call(Action.IMPORT, layer, name, chosen, some, stack_ids=ids)
