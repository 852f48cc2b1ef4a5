"""Random sequences of rotations, kills, retries, restores and concurrent invocations on one secret."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings, strategies as st

from lambdas.rotation import harness
from lambdas.rotation.rig import STEPS, Rig, Trial, until_converged
from lambdas.rotation.servers import on_newest_server

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

    def __init__(self, rig: Rig) -> None:
        self.trial: Trial = rig.trial()
        self.token = self.trial.begin()

    def begin(self) -> None:
        if "AWSPENDING" not in self.trial.rig.secrets_manager.labels(self.trial.arn):
            self.token = self.trial.begin()

    def step(self, step: str) -> None:
        self.trial.step(step, self.token)

    def kill(self, step: str, point: int, after: bool) -> None:
        wire = self.trial.rig.wire
        invocation = self.trial.start(step, self.token)
        link = harness.advance(self.trial.rig, invocation, point)
        if link is None:
            invocation.outcome()
        elif after:
            wire.cut_after(invocation, link)
        else:
            wire.cut(invocation)

    def beside(self, first: str, i: int, second: str, j: int) -> None:
        """The first runs for i units, the second for j, then the first to its end, then the second."""
        rig = self.trial.rig
        one = self.trial.start(first, self.token)
        harness.advance(rig, one, i)
        rig.wire.pause(one)
        two = self.trial.start(second, self.token)
        harness.advance(rig, two, j)
        rig.wire.pause(two)
        rig.wire.run(one)
        rig.wire.run(two)
        one.outcome(), two.outcome()

    def restore(self) -> None:
        password = self.trial.password("AWSPREVIOUS")
        if password:
            self.trial.rig.server.set_password(self.trial.username, password)


@on_newest_server
def test_whatever_happens_some_label_logs_in_and_the_next_rotation_converges(rig: Rig, whole: bool) -> None:
    @settings(
        max_examples=60 if whole else 10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(st.lists(actions, min_size=1, max_size=6))
    def tell(story: list[tuple[str, ...]]) -> None:
        secret = Story(rig)
        for name, *arguments in story:
            getattr(secret, name)(*arguments)
            assert secret.trial.labels_that_log_in() != []
        assert until_converged(secret.trial, attempts=5)

    tell()
