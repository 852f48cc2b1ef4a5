"""adopt: stacks that were first deployed by hand become instances of their stack sets, by import, and none is changed.

The stack of a layer is known by its name, `<layer>-<suffix>`. A set is made with the template that its stacks have, not
with the desired one: StackSets imports only what is as the set says, and so the next plan shows, resource by resource,
what an apply would change. Values by which a stack differs become its overrides.

Sources: CloudFormation user guide, "Import a stack into StackSets", "Requirements for stack import" (one set for each
stack, no NoEcho, tags are those of the set); API reference, ImportStacksToStackSet (10 stacks a call).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from builders import naming
from builders.aws import stacks
from builders.aws.calls import attempted
from builders.errors import RolloutError
from builders.evaluate import no_echo_parameters
from builders.rollout.client import Client
from builders.rollout.config.desired_state import package_keys
from builders.rollout.model import CurrentState, DeployedStack, DesiredState, LayerTarget, StackSetSpec, Target, Values
from builders.rollout.plan.calls import Action, Call, rectangles
from builders.rollout.plan.changes import ChangeKind
from builders.rollout.plan.plan import Plan, PlannedHazard, PlannedOperation, StackChange, make_groups
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

IMPORTABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_COMPLETE")
"""Statuses of stacks that a next update can start from. No page lists those that an import takes."""

MINUTES = 1.0
"""A guess for one import, which only reads the stacks."""


def plan_adoption(
    client: Client, desired: DesiredState, current: CurrentState, acknowledged: Collection[str] = ()
) -> Plan:
    """Plan the import of every stack of the phase that stands and is in no set of it. Raises `RolloutError` where there
    is neither such a stack nor a set."""

    def read(stack: LayerTarget) -> DeployedStack | None:
        return stacks.deployed(client.reading(stack[1]), naming.plain_stack(stack[0], desired.suffix))

    planner = _Planner(desired, current)
    asked = [(layer, target) for layer in desired.sets for target in planner.open_targets(layer)]
    for (layer, target), answer in sorted(attempted(read, asked), key=lambda each: each[0]):
        if isinstance(answer, RolloutError):
            remedy = "run `rollout-stacksets bootstrap`, whose plan role may read it, then adopt again"
            planner.refuse(layer, target, f"cannot be read: {answer}", remedy)
        elif answer is not None:
            planner.found[layer][target] = answer
    if not (planner.found or planner.refused or current.sets):
        name = f"a stack to adopt is called like {naming.plain_stack('network', desired.suffix)}"
        nothing = f"no stack of phase {desired.phase} stands at its targets"
        raise RolloutError(f"{nothing}: {name}; `apply` deploys what is not there")
    return planner.adoption(acknowledged)


@dataclass
class _Planner:
    """Decides for each stack that was `found` whether it can be imported, and gathers what is shown and sent."""

    desired: DesiredState
    current: CurrentState
    found: dict[str, dict[Target, DeployedStack]] = field(default_factory=lambda: defaultdict(dict))
    refused: dict[Hazard, set[Target]] = field(default_factory=lambda: defaultdict(set))

    def open_targets(self, layer: str) -> list[Target]:
        """The targets where a set has no instance, or one without a stack, or one whose import failed."""
        found = self.current.sets[layer].instances if layer in self.current.sets else {}
        taken = {target for target, each in found.items() if each.stack_id and each.detailed != "FAILED_IMPORT"}
        return [target for target in self.desired.sets[layer].overrides if target not in taken]

    def refuse(self, layer: str, target: Target, message: str, remedy: str) -> None:
        """Leave a stack out, which blocks the adoption until it is acknowledged."""
        self.refused[Hazard(HazardKind.NOT_IMPORTABLE, layer, "adopt", message, remedy, True)].add(target)

    def adoption(self, acknowledged: Collection[str]) -> Plan:
        """Put the plan together."""
        adopted = {layer: self._importable(layer) for layer in self.desired.sets}
        tags = [
            {(key, text) for key, text in each.tags.items() if key != stacks.TEMPLATE_TAG}
            for members in adopted.values()
            for each in members.values()
        ]
        common = dict(sorted(set.intersection(*tags) if tags else self.desired.tags.items()))
        sets = {layer: spec for layer, members in adopted.items() if (spec := self._spec(layer, members))}
        values = [spec.values(target) for spec in sets.values() for target in spec.overrides]
        packages = tuple(sorted(set[str]().union(*map(package_keys, values))))
        desired = dataclasses.replace(self.desired, sets=sets, tags=common, packages=packages)
        layers = tuple(layer for layer in in_order(self.desired.needs) if layer in self.desired.sets)
        calls: dict[str, list[Call]] = defaultdict(list)
        changes, operations = list[StackChange](), list[PlannedOperation]()
        for wave, layer in itertools.product(waves_of(self.desired, self.current), layers):
            members = {target: each for target, each in adopted[layer].items() if target.account in wave.accounts}
            for target, each in members.items():
                spec = self.desired.sets[layer]
                comparison = compare(each, spec.template, spec.values(target), target)
                alike = wave.name, layer, ChangeKind.ADOPT, comparison.unnamed
                changes.append((alike, target, changed_values(comparison, target.account)))
            if members and layer not in calls and layer not in self.current.sets:
                calls[layer].append(Call(Action.CREATE_SET, layer, sets[layer].name))
            for call in _imports(self.desired.sets[layer].name, layer, members, self.desired.regions):
                calls[layer].append(call)
                count = len(call.accounts)
                operations.append(PlannedOperation(wave.name, layer, call.action, count, call.regions, count, MINUTES))
        return Plan(
            phase=self.desired.phase,
            command="adopt",
            release=release_id(desired),
            layers=layers,
            groups=make_groups(changes),
            operations=tuple(operations),
            hazards=tuple(PlannedHazard(each, tuple(sorted(targets))) for each, targets in self.refused.items()),
            acknowledged=frozenset(acknowledged),
            minutes=MINUTES * len(operations),
            notes=tuple(self._notes(bool(tags), common)),
            desired=desired,
            imports={layer: calls[layer] for layer in layers if layer in calls},
        )

    def _importable(self, layer: str) -> dict[Target, DeployedStack]:
        """The stacks of a layer that can be imported into one set; the others are refused."""
        state, name = self.current.sets.get(layer), naming.plain_stack(layer, self.desired.suffix)
        good: dict[Target, DeployedStack] = {}
        for target, stack in self.found.get(layer, {}).items():
            instance = state.instances.get(target) if state else None
            if stack.status not in IMPORTABLE:
                remedy = f"bring {name} to CREATE_COMPLETE or UPDATE_COMPLETE in its account, or delete it; then adopt"
                self.refuse(layer, target, f"{name} is {stack.status}, and cannot be imported", remedy)
            elif hidden := no_echo_parameters(parse_template(stack.template)):
                remedy = "take NoEcho out of the template (secrets belong in Secrets Manager), deploy it, then adopt"
                self.refuse(layer, target, f"NoEcho of {', '.join(hidden)} cannot be imported", remedy)
            elif instance and instance.stack_id != stack.id:
                remedy = "take it out by `aws cloudformation delete-stack-instances --retain-stacks`, then adopt"
                message = f"its stack set has an instance there already, of {instance.stack_id or 'no stack'}"
                self.refuse(layer, target, message, remedy)
            else:
                good[target] = stack
        wanted = self.desired.sets[layer].template
        template = state.template if state else _commonest([each.template for each in good.values()], wanted)
        owner = "its stack set" if state else "most of the others"
        for target, stack in list(good.items()):
            if not same_template(stack.template, template):
                del good[target]
                remedy = f"deploy the template of {owner} there by `aws cloudformation deploy --stack-name {name}`"
                if state and same_template(stack.template, wanted):
                    remedy = "apply first, which gives the stack set this template"
                self.refuse(layer, target, f"the template of {name} is not that of {owner}", f"{remedy}; then adopt")
        return good

    def _spec(self, layer: str, members: Mapping[Target, DeployedStack]) -> StackSetSpec | None:
        """The set with its instances and new members; None where there is neither."""
        state, wanted = self.current.sets.get(layer), self.desired.sets[layer]
        overrides: dict[Target, Values] = {}
        if state:
            template, own = state.template, state.parameters
            overrides |= {target: each.overrides or {} for target, each in state.instances.items()}
        elif members:
            one = next(iter(members.values()))
            template, given = one.template, one.parameters
            declared = [name for name in declared_parameters(template) if name in given]
            own = {name: wanted.parameters.get(name, given[name]) for name in declared}
        else:
            return None
        for target, each in members.items():
            overrides[target] = {name: value for name, value in each.parameters.items() if own.get(name) != value}
        return StackSetSpec(layer, wanted.name, template, own, overrides)

    def _notes(self, present: bool, tags: Values) -> Iterator[str]:
        if present and tags != dict(self.desired.tags):
            yield "the stacks do not have the tags of the phase: the next apply updates each to set them"
        if present and (role := self.desired.permissions.execution_role_name):
            yield (
                f"{role} must be allowed the same on these stacks, and on what is named after them, as on those of "
                "stack sets (docs/rollout.md, adopt); else their import fails, and nothing is changed"
            )
        if self.found:
            yield "no stack is changed now; changes of resources are those that the next apply makes"
        for layer in self.desired.sets:
            refused = {target for each, targets in self.refused.items() if each.layer == layer for target in targets}
            if absent := set(self.open_targets(layer)) - self.found.get(layer, {}).keys() - refused:
                name, where = naming.plain_stack(layer, self.desired.suffix), counted_noun(len(absent), "target")
                yield f"{layer}: there is no stack {name} at {where}, where apply makes one"


def _commonest(templates: Sequence[str], wanted: str) -> str:
    """The template that most stacks have; of two, the desired one."""
    first = {text: next(one for one in templates if same_template(one, text)) for text in dict.fromkeys(templates)}
    alike = [first[text] for text in templates]
    return max(alike, key=lambda text: (alike.count(text), same_template(text, wanted)), default=wanted)


def _imports(name: str, layer: str, members: Mapping[Target, DeployedStack], regions: Sequence[str]) -> Iterator[Call]:
    """Calls of at most ten stacks."""
    for accounts, there in rectangles(members, regions):
        for begin in range(0, len(there), MOST_STACKS):
            some = there[begin : begin + MOST_STACKS]
            step = MOST_STACKS // len(some)
            for number in range(0, len(accounts), step):
                chosen = accounts[number : number + step]
                ids = tuple(members[Target(account, region)].id for account in chosen for region in some)
                yield Call(Action.IMPORT, layer, name, chosen, some, stack_ids=ids)
