"""Random sequences of rotations, kills, retries, restores and concurrent invocations on one secret."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st
from rotation_world import harness, tally
from rotation_world.newest import on_newest_server
from rotation_world.world import STEPS, Trial, World, until_converged

steps = st.sampled_from(STEPS)
units = st.integers(0, 20)
actions = st.one_of(
    st.tuples(st.just("begin")),
    st.tuples(st.just("step"), steps),
    st.tuples(st.just("kill"), steps, units, st.booleans()),
    st.tuples(st.just("beside"), steps, units, steps, units),
    st.tuples(st.just("restore")),
)


class Story:
    """One secret and what happens to it; a restore goes back one rotation at most, as a label still knows that one."""

    def __init__(self, world: World) -> None:
        self.trial: Trial = world.trial()
        self.token = self.trial.begin()

    def begin(self) -> None:
        if "AWSPENDING" not in self.trial.world.secrets_manager.labels(self.trial.arn):
            self.token = self.trial.begin()

    def step(self, step: str) -> None:
        self.trial.step(step, self.token)

    def kill(self, step: str, point: int, after: bool) -> None:
        wire = self.trial.world.wire
        invocation = self.trial.start(step, self.token)
        link = harness.advance(self.trial.world, invocation, point)
        if link is None:
            invocation.outcome()
        elif after:
            wire.cut_after(invocation, link)
        else:
            wire.cut(invocation)

    def beside(self, first: str, i: int, second: str, j: int) -> None:
        """The first runs for i units, the second for j, then the first to its end, then the second."""
        world = self.trial.world
        one = self.trial.start(first, self.token)
        harness.advance(world, one, i)
        world.wire.pause(one)
        two = self.trial.start(second, self.token)
        harness.advance(world, two, j)
        world.wire.pause(two)
        world.wire.run(one)
        world.wire.run(two)
        one.outcome(), two.outcome()

    def restore(self) -> None:
        password = self.trial.password("AWSPREVIOUS")
        if password:
            self.trial.world.server.set_password(self.trial.username, password)


@on_newest_server
def test_whatever_happens_some_label_logs_in_and_the_next_rotation_converges(world: World) -> None:
    told: list[int] = []

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.lists(actions, min_size=1, max_size=6))
    def tell(story: list[tuple[str, ...]]) -> None:
        told.append(len(story))
        secret = Story(world)
        for name, *arguments in story:
            getattr(secret, name)(*arguments)
            assert secret.trial.labels_that_log_in() != []
        assert until_converged(secret.trial, attempts=5)

    tell()
    tally.report(f"PostgreSQL {world.server.major}: {len(told)} random stories of {sum(told)} events, 0 violations")
