"""Kills a run before and after its AWS calls, resumes it as another process would, and looks at the end.

At each point must hold: the accounts end as they do without a crash, a plan has nothing more to do, StackSets have had
the same operations, and each of them is one that the journal had written down. The kill is an exception that nothing
catches, raised between the process and AWS; a real SIGKILL is part of every rehearsal.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sampling import Points, every

from builders import naming
from builders.aws.calls import ApiCall, Moment
from builders.cloud.process import Cloud
from builders.errors import RolloutError
from builders.rollout.executor.context import Report
from builders.rollout.executor.executor import begin_run, carry_out, take_over_run
from builders.rollout.lifecycle import rollback
from builders.rollout.lifecycle.adopt import plan_adoption
from builders.rollout.model import DesiredState, Wave
from builders.rollout.state.journal import Command
from rollout.conftest import SUFFIX, Administrator
from rollout.small_phase import SmallPhase, body, layer_set

CHAIN = ("network", "database")
READING = ("Describe", "List", "Get", "Head")
_numbers = itertools.count(760_000_000_001)


class Killed(BaseException):
    """The process is no more."""


@dataclass
class Killer:
    """Counts moments, and kills at one of them; without a point it only counts.

    Behind a call that only reads nothing is other than before the next one, so that is no moment of its own.
    """

    point: int | None = None
    moments: int = 0
    last: str = ""

    def __call__(self, moment: Moment, call: ApiCall) -> None:
        if moment is Moment.AFTER and call.operation.startswith(READING):
            return
        self.moments += 1
        if self.moments - 1 == self.point:
            self.last = f"{moment.value} {call.service}:{call.operation}"
            raise Killed


@dataclass
class Scenario:
    """A command and the phase that it finds. `prepare` brings the phase there, `desired` is the command's aim."""

    name: str
    command: Command
    prepare: Callable[[SmallPhase], None]
    desired: Callable[[SmallPhase], DesiredState]
    run: Callable[[SmallPhase, DesiredState, Command], Report] = SmallPhase.run
    resume: Callable[[SmallPhase, DesiredState], Report] = SmallPhase.resume


@dataclass
class Result:
    """The number of points that were tried, and each violation in a line."""

    points: int = 0
    violations: list[str] = field(default_factory=list)


def first(small: SmallPhase) -> DesiredState:
    """Two layers at one target each, as a release begins."""
    return small.desired(*(layer_set(layer, small.targets[:2]) for layer in CHAIN), waves=_waves(small))


def second(small: SmallPhase) -> DesiredState:
    """A new template for both, and a value of its own at one target."""
    network = {small.targets[0]: {"DelaySeconds": "7"}, small.targets[1]: {}}
    return small.desired(
        layer_set("network", network, body("network", version="2")),
        layer_set("database", small.targets[:2], body("database", version="2")),
        waves=_waves(small),
    )


def _waves(small: SmallPhase) -> tuple[Wave, ...]:
    return tuple(Wave(f"wave {number}", (account,)) for number, account in enumerate(small.accounts, 1))


def _back(small: SmallPhase) -> DesiredState:
    release = small.store.releases.save(first(small))
    return rollback.desired_release(small.client, small.store.releases.load(release), second(small), small.current())


def _at_second(small: SmallPhase) -> None:
    small.run(first(small))
    small.run(second(small))


def _by_hand(small: SmallPhase) -> None:
    """Deploy what `first` has by hand."""
    for layer, spec in first(small).sets.items():
        for target in spec.overrides:
            api = small.administrator.api("cloudformation", *target)
            parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in spec.parameters.items()]
            tags = [{"Key": "Environment", "Value": SUFFIX}]
            name = naming.plain_stack(layer, SUFFIX)
            api.create_stack(StackName=name, TemplateBody=spec.template, Parameters=parameters, Tags=tags)
            api.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.02})


def _adopt(small: SmallPhase, desired: DesiredState, command: Command) -> Report:
    adoption = plan_adoption(small.client, desired, small.current())
    assert not adoption.blocks
    assert adoption.imports is not None
    services, release = small.services(), small.store.releases.save(adoption.desired)
    return carry_out(services, begin_run(services, command, release, ()), adoption.desired, adoption.imports)


def _adopt_the_rest(small: SmallPhase, desired: DesiredState) -> Report:
    services = small.services()
    run, _ = take_over_run(services, lambda run: small.store.releases.load(run.release).desired_state(desired))
    adoption = plan_adoption(small.client, desired, small.current())
    assert adoption.imports is not None
    return carry_out(services, run, adoption.desired, adoption.imports)


def _run(small: SmallPhase, desired: Callable[[SmallPhase], DesiredState]) -> None:
    small.run(desired(small))


SCENARIOS = (
    Scenario("apply, from nothing", Command.APPLY, lambda small: None, first),
    Scenario("apply, an update", Command.APPLY, lambda small: _run(small, first), second),
    Scenario("rollback", Command.ROLLBACK, _at_second, _back),
    Scenario(
        "remove", Command.REMOVE, lambda small: _run(small, first), lambda small: rollback.desired_nothing(first(small))
    ),
    Scenario(
        "adopt",
        Command.ADOPT,
        _by_hand,
        first,
        _adopt,
        _adopt_the_rest,
    ),
)


def try_out(cloud: Cloud, scenario: Scenario, points: Points = every) -> Result:
    """Kill at the moments of a scenario that `points` chooses."""
    calm = _phase(cloud)
    scenario.prepare(calm)
    before = calm.operations()
    counting = Killer()
    desired = scenario.desired(calm)
    calm.connect(counting)
    scenario.run(calm, desired, scenario.command)
    expected = _end(calm), _made(before, calm.operations())
    result = Result()
    for point in points(counting.moments):
        result.points += 1
        result.violations += [f"{scenario.name}, {line}" for line in _one(cloud, scenario, point, expected)]
    return result


def _one(cloud: Cloud, scenario: Scenario, point: int, expected: tuple[object, object]) -> Iterator[str]:
    small = _phase(cloud)
    scenario.prepare(small)
    before, ids = small.operations(), _ids(small)
    desired = scenario.desired(small)
    killer = Killer(point)
    with contextlib.suppress(Killed):
        small.connect(killer)
        scenario.run(small, desired, scenario.command)
    killer.point = None  # a run makes a few calls more or less as its operations take their time
    where = f"killed {killer.last or 'nowhere'} ({point})"
    written = _written(small)
    report = _go_on(small, scenario, desired)
    if not report:
        yield f"{where}: the resumed run did not end well"
    if _end(small) != expected[0]:
        yield f"{where}: ended with {_end(small)}, not {expected[0]}"
    made = _made(before, small.operations())
    if made != expected[1]:
        yield f"{where}: operations {made}, not {expected[1]}"
    if not small.plan(desired).nothing_to_do:
        yield f"{where}: there is something left to do"
    # A run that had ended is not the last one any more when the command was called again.
    unwritten = _ids(small) - ids - written - _written(small)
    if unwritten:
        yield f"{where}: operations that no journal has: {sorted(unwritten)}"


def _go_on(small: SmallPhase, scenario: Scenario, desired: DesiredState) -> bool:
    """Resume; where the run had not begun yet, or had ended, call the command again as a person would."""
    small.connect()
    try:
        return scenario.resume(small, desired).good
    except RolloutError as error:
        if "nothing to resume" not in str(error):
            raise
    return scenario.run(small, desired, scenario.command).good


def _end(small: SmallPhase) -> object:
    """The stacks of the accounts, whatever their numbers."""
    number = {account: index for index, account in enumerate(small.accounts)}
    return sorted((layer, number[p.account], p.region, version) for (layer, p), version in small.versions().items())


def _made(before: dict[str, list[str]], now: dict[str, list[str]]) -> dict[str, list[str]]:
    """The operations that came since; a set that is gone takes its operations along."""
    return {layer: actions[len(before.get(layer, [])) :] for layer, actions in now.items()}


def _ids(small: SmallPhase) -> set[str]:
    found: set[str] = set()
    for layer in small.operations():
        listed = small.administrator.fleet.operations(naming.stack_set(layer, "dev"))
        found |= {each["OperationId"] for each in listed}
    return found


def _written(small: SmallPhase) -> set[str]:
    run = small.store.journal.run()
    return {entry.operation_id for entry in run.entries} if run else set()


def _phase(cloud: Cloud) -> SmallPhase:
    administrator = Administrator(cloud, str(next(_numbers)))
    return SmallPhase(
        administrator, [administrator.member(str(next(_numbers))) for _ in range(2)], regions=("us-east-1",)
    )
