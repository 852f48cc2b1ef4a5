"""Agreements hold: nothing is sent that the plan did not show, and what is held back is reported."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from cloud.conftest import until
from hypothesis import given, strategies as st

from builders import naming
from builders.rollout.executor.context import PollInterval, Report, RunServices
from builders.rollout.executor.current_state import read_current_state
from builders.rollout.executor.executor import begin_run, planning_lock, run_to_desired
from builders.rollout.model import DesiredState, StackSet, Target, Values, Wave
from builders.rollout.plan.calls import Action, Call
from builders.rollout.plan.schedule import Schedule, make_schedule
from builders.rollout.state.journal import Command, Hold
from builders.rollout.state.store import Store

from .conftest import REGION, Administrator
from .large_phase import NETWORK, LargePhase
from .simulation import SimulatedSet, Simulation, simulated_client
from .small_phase import LAYERS, SmallPhase, body, layer_set
from .states import TARGETS, calls_of, stack_sets, template, values
from .test_plan import phases
from .test_schedule import Recorder

NETWORK_SET = "stackferry-network-dev"


@dataclass
class Colleague:
    """Somebody who changes a set past the run, at most one thing at an instance. `moved` are the instances of which
    something else becomes now."""

    simulation: Simulation
    desired: DesiredState
    moved: set[Target] = field(default_factory=set)
    operations: int = 0

    def move(self, what: str, target: Target, own: Values) -> None:
        """Delete an instance, create it, give it own values, or give the set another template."""
        found = self.simulation.sets.get(NETWORK_SET)
        if found is None or target in self.moved:
            return
        before = self._outcome(found, target)
        self.operations += 1
        operation = f"theirs-{self.operations}"
        found.operations.append((operation, "UPDATE"))
        if what == "delete":
            found.instances.pop(target, None)
        elif (what == "create" and target not in found.instances) or (what == "override" and target in found.instances):
            found.instances[target] = operation, own
        elif what == "template":
            found.template = template("Size", "Zone", Description="of a colleague")
            self.moved.update(found.instances)
        if self._outcome(found, target) != before:
            self.moved.add(target)

    def _outcome(self, found: SimulatedSet, target: Target) -> object:
        spec = self.desired.sets.get("network")
        if target not in found.instances:
            return None
        staying = spec is not None and target in spec.overrides
        # What leaves is deleted, whatever its parameters were.
        return {**spec.parameters, **found.instances[target][1]} if spec and staying else True


class Watcher(Recorder):
    """Lets the colleague move when a wave begins, and notes which instances calls touch that were moved before."""

    def __init__(self, colleague: Colleague, moves: Mapping[str, list[tuple[str, Target, Values]]]) -> None:
        super().__init__()
        self._colleague = colleague
        self._moves = moves
        self.wrongly: set[Target] = set()

    def wave(self, name: str, _targets: int) -> None:
        for move in self._moves.get(name, []):
            self._colleague.move(*move)

    def submitted(self, call: Call, operation_id: str) -> None:
        super().submitted(call, operation_id)
        if call.layer == "network":
            self.wrongly |= call.targets & self._colleague.moved


def simulated(sets: Mapping[str, StackSet]) -> Simulation:
    """AWS with these stack sets."""
    simulation = Simulation("888888888888")
    for state in sets.values():
        instances = {each: (f"made-{each}", found.overrides or {}) for each, found in state.instances.items()}
        simulation.sets[state.name] = SimulatedSet(
            state.template, dict(state.parameters), [], instances=instances, operations=[("made", "CREATE")]
        )
    return simulation


def one_of(call: Call, planned: Call, target: Target) -> bool:
    """Tell whether a planned call does the same to a target; an update of the set does as much as one of instances."""
    updates = {Action.UPDATE_SET, Action.UPDATE}
    if planned.layer != call.layer or target not in planned.targets or planned.retain != call.retain:
        return False
    if call.action is Action.UPDATE_SET:
        return planned.action in updates
    return planned.action is call.action and planned.overrides == call.overrides


moves = st.lists(
    st.tuples(st.sampled_from(["delete", "create", "override", "template"]), st.sampled_from(TARGETS), values),
    max_size=3,
)


@given(phases(), stack_sets(), moves, st.fixed_dictionaries({"canary": moves, "rest": moves}))
def test_planned_calls_are_the_submitted_ones_whatever_a_colleague_does_meanwhile(
    desired: DesiredState,
    network: StackSet | None,
    first: list[tuple[str, Target, Values]],
    later: dict[str, list[tuple[str, Target, Values]]],
) -> None:
    simulation = simulated({"network": network} if network else {})
    schedule, report, watcher = carried_out(simulation, desired, first, later)
    assert not watcher.wrongly, "a call touched an instance of which something else becomes now"
    planned = calls_of(schedule)
    for call in watcher.sent:
        assert any((each.action, each.layer) == (call.action, call.layer) for each in planned)
        assert all(any(one_of(call, each, target) for each in planned) for target in call.targets)
    touched = {(call.layer, target) for call in watcher.sent for target in call.targets}
    told = {(each.layer, each.target) for each in report.failures}
    left = {(call.layer, target) for call in planned for target in call.targets} - touched - told
    for layer, target in left if not report.stopped else ():
        found = simulation.sets.get(f"stackferry-{layer}-dev")
        there = found is not None and target in found.instances
        assert there is (layer in desired.sets and target in desired.sets[layer].overrides), "neither done nor told"


def carried_out(
    simulation: Simulation,
    desired: DesiredState,
    first: list[tuple[str, Target, Values]],
    later: Mapping[str, list[tuple[str, Target, Values]]],
) -> tuple[Schedule, Report, Watcher]:
    """Plan, let the colleague move before the yes and at the beginning of waves, and carry the plan out."""
    client = simulated_client(simulation)
    store = Store(client.objects("us-east-1"), "bucket", "dev")
    layers = ("network", "database")
    schedule = make_schedule(desired, read_current_state(client, store.overrides(), desired, layers))
    colleague = Colleague(simulation, desired)
    for move in first:
        colleague.move(*move)
    watcher = Watcher(colleague, later)
    services = RunServices(client, store, simulation.clock, PollInterval(), watcher)
    run = begin_run(services, Command.APPLY, "0123456789ab", ())
    return schedule, run_to_desired(services, run, desired, layers, schedule), watcher


@pytest.fixture
def small(administrator: Administrator, members: list[str]) -> SmallPhase:
    """Three accounts in one region, where the first release is deployed, and operations are listed at once."""
    administrator.fleet.lag = 0.0
    administrator.fleet.drive(OperationsLagSeconds=0)
    administrator.fleet.drive(OperationsLagSeconds=0)
    small = SmallPhase(administrator, members, regions=("us-east-1",))
    assert small.run(release(small, "1")).good
    return small


def release(small: SmallPhase, version: str) -> DesiredState:
    sets = [layer_set(layer, small.targets, body(layer, version=version)) for layer in LAYERS]
    return small.desired(*sets, failure_tolerance="2")


def _an_instance(small: SmallPhase) -> str:
    """Take an instance out of the set of monitoring."""
    api = small.administrator.api("cloudformation")
    where = {"Accounts": small.accounts[:1], "Regions": ["us-east-1"], "RetainStacks": False}
    api.delete_stack_instances(StackSetName="stackferry-monitoring-dev", **where)
    return "the plan has update for it, and now it would be create"


def _its_values(small: SmallPhase) -> str:
    api = small.administrator.api("cloudformation")
    own = [{"ParameterKey": "DelaySeconds", "ParameterValue": "7"}]
    where = {"Accounts": small.accounts[:1], "Regions": ["us-east-1"]}
    api.update_stack_instances(StackSetName="stackferry-monitoring-dev", ParameterOverrides=own, **where)
    return "its own parameters are not those that the plan was made from"


def _its_set(small: SmallPhase) -> str:
    api = small.administrator.api("cloudformation")
    given = {"Parameters": [{"ParameterKey": "EnvironmentSuffix", "UsePreviousValue": True}]}
    text = body("monitoring", version="a colleague's")
    api.update_stack_set(StackSetName="stackferry-monitoring-dev", TemplateBody=text, **given)
    return "its stack set is not the one that the plan was made from"


@pytest.mark.parametrize("move", [_an_instance, _its_values, _its_set])
def test_an_instance_of_which_something_else_would_become_is_held_back_and_reported(
    small: SmallPhase, move: Callable[[SmallPhase], str]
) -> None:
    desired = release(small, "2")
    plan = small.plan(desired)
    why = move(small)
    small.wait_until_idle()
    before = small.versions()
    recorder = Recorder()
    report = small.run(desired, observer=recorder, planned=plan)
    held_back = {each.target: each.reason for each in report.failures if each.layer == "monitoring"}
    expected = f"held back: {why}; plan again and agree to that"
    moved = small.targets if move is _its_set else [small.targets[0]]
    assert held_back == dict.fromkeys(moved, expected)
    sent = {target for call in recorder.sent if call.layer == "monitoring" for target in call.targets}
    assert sent == set(small.targets) - set(moved)
    after = small.versions()
    for layer, target in before:
        stays = layer == "monitoring" and target in moved
        assert after[layer, target] == (before[layer, target] if stays else "2")
    assert small.run(desired).good, "the next plan shows them, and carries them out"
    assert set(small.versions().values()) == {"2"}


def test_what_a_colleague_has_done_already_is_said_and_not_sent(small: SmallPhase) -> None:
    nothing = dataclasses.replace(small.desired(), sets={})
    plan = small.plan(nothing, Command.REMOVE)
    _an_instance(small)
    small.wait_until_idle()
    recorder = Recorder()
    assert small.run(nothing, Command.REMOVE, recorder, planned=plan).good
    said = f"monitoring at {small.targets[0]} is as desired already: nothing is sent, though "
    assert [line for line in recorder.lines if line.startswith(said)]
    sent = {target for call in recorder.sent if call.layer == "monitoring" for target in call.targets}
    assert sent == set(small.targets[1:])


def test_a_set_with_an_instance_that_the_plan_does_not_know_stays(small: SmallPhase) -> None:
    some = small.targets[:2]
    sets = [layer_set(layer, some if layer == "monitoring" else small.targets) for layer in LAYERS]
    assert small.run(small.desired(*sets)).good
    nothing = dataclasses.replace(small.desired(), sets={})
    plan = small.plan(nothing, Command.REMOVE)
    api = small.administrator.api("cloudformation")
    newcomer = small.targets[2]
    api.create_stack_instances(
        StackSetName="stackferry-monitoring-dev", Accounts=[newcomer.account], Regions=[newcomer.region]
    )
    small.wait_until_idle()
    report = small.run(nothing, Command.REMOVE, planned=plan)
    reason = "held back: the plan does not know it; plan again and agree to that"
    assert (newcomer, reason) in [(each.target, each.reason) for each in report.failures]
    assert ("monitoring", newcomer) in small.versions()


def test_the_calls_of_a_later_wave_are_held_back_by_what_happens_in_an_earlier_one(small: SmallPhase) -> None:
    """The plan is hours old when the last wave begins."""
    waves = tuple(Wave(account, (account,)) for account in small.accounts)
    desired = dataclasses.replace(release(small, "2"), waves=waves)

    class Meddler(Recorder):
        def wave(self, name: str, _targets: int) -> None:
            if name == small.accounts[2]:
                where = {"Accounts": [name], "Regions": ["us-east-1"]}
                own = [{"ParameterKey": "DelaySeconds", "ParameterValue": "7"}]
                api = small.administrator.api("cloudformation")
                api.update_stack_instances(StackSetName="stackferry-database-dev", ParameterOverrides=own, **where)
                small.wait_until_idle()

    report = small.run(desired, observer=Meddler())
    assert [(each.layer, each.target, each.skipped) for each in report.failures] == [
        ("database", small.targets[2], True),
        ("monitoring", small.targets[2], True),
    ]
    assert report.failures[0].reason.startswith("held back: ")


def test_the_lock_is_renewed_while_a_plan_is_made_and_while_an_answer_is_waited_for(
    administrator: Administrator,
) -> None:
    client, store = administrator.client(), Store(administrator.client().objects(REGION), administrator.bucket(), "dev")
    ends: list[str] = []

    class Journal:
        """Keeps what the lock asks of the journal."""

        def hold(self, hold: Hold) -> None:
            ends.append(hold.until)

        def renew(self, until: str) -> None:
            ends.append(until)

        def give_back(self) -> None:
            ends.append("given back")

    store.journal = Journal()  # type: ignore[assignment]
    others = set(threading.enumerate())
    with planning_lock(client, store, Command.APPLY, renewal_seconds=0.01) as lock:
        (renewing,) = set(threading.enumerate()) - others
        until(lambda: len(ends) >= 4)
        lock.shown(agreeing_seconds=60)
        shown = len(ends)
        until(lambda: len(ends) > shown)
        assert renewing.is_alive(), "it is renewed for as long as an answer is waited for"
        lock.shown(agreeing_seconds=0.1)
        renewing.join(60)
        assert not renewing.is_alive(), "and not for longer"
    assert ends[-1] == "given back"


def test_a_plain_stack_that_was_changed_behind_the_plan_is_held_back() -> None:
    phase = LargePhase(4)
    phase.stand()
    desired = phase.spec(CostCenter="refunds")
    plan = phase.plan(desired)
    name = naming.network_stack("phase_routes", "dev", phase.accounts[1])
    phase.simulation.stacks[NETWORK, "us-east-1", name]["Parameters"].append(
        {"ParameterKey": "CostCenter", "ParameterValue": "a colleague's"}
    )
    report = phase.apply(desired, planned=plan)
    reason = "held back: its stack was changed since the plan; plan again and agree to that"
    assert [(each.target, each.reason) for each in report.failures if each.layer == "phase_routes"] == [
        (Target(phase.accounts[1], "us-east-1"), reason)
    ]
